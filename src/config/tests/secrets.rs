//! Where secrets come from, and where they never show.

use std::fs;
use std::path::Path;

use super::{MINIMAL, env, good, one_mistake, parse};
use crate::config::{Access, Config, ConfigErrors, Password};

/// The Argon2id hash of "change-me", cheap.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";

fn with_password(password: &str) -> String {
    MINIMAL.replace("\"s3cret\"", password)
}

fn password(config: &Config) -> &Password {
    match &config.instances[0].access {
        Access::Basic { passwords, .. } | Access::Header { passwords, .. } => &passwords[0],
        Access::Open => panic!("no password"),
    }
}

fn plain(config: &Config) -> &str {
    match password(config) {
        Password::Plain(secret) => secret.expose(),
        Password::Argon2(_) => panic!("a hash"),
    }
}

#[test]
fn a_literal_is_taken_as_it_is() {
    for text in ["x", " x ", "päss:wörd", "{env}", "$argon2", "$HOME"] {
        assert_eq!(plain(&good(&with_password(&format!("\"{text}\"")))), text);
    }
}

#[test]
fn from_the_environment() {
    assert_eq!(plain(&good(&with_password("{ env = \"HOOK_PASSWORD\" }"))), "value-of-HOOK_PASSWORD");
    let as_a_table = format!("{}[instance.password]\nenv = \"A\"\n", MINIMAL.replace("password = \"s3cret\"\n", ""));
    assert_eq!(plain(&good(&as_a_table)), "value-of-A");
    for (name, want) in [
        ("UNSET", "the environment variable UNSET is not set, or not UTF-8"),
        ("EMPTY", "the environment variable EMPTY is empty"),
        ("", "env must be the name of an environment variable: letters, digits and underscores"),
        ("1A", "env must be the name of an environment variable: letters, digits and underscores"),
        ("A=B", "env must be the name of an environment variable: letters, digits and underscores"),
    ] {
        let message = one_mistake(&with_password(&format!("{{ env = \"{name}\" }}")));
        assert_eq!(message, format!(":4: instance[0].password: {want}"));
    }
}

fn from_file(folder: &Path, content: &[u8]) -> Result<Config, ConfigErrors> {
    fs::write(folder.join("secret"), content).unwrap();
    Config::parse(&with_password("{ file = \"secret\" }"), &folder.join("hookgate.toml"), &env)
}

#[test]
fn from_a_file_without_its_last_line_break() {
    let folder = tempfile::tempdir().unwrap();
    for (content, want) in [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), (" x \n", " x "), (&format!("{HASH}\n"), HASH)] {
        let config = from_file(folder.path(), content.as_bytes()).unwrap();
        match password(&config) {
            Password::Plain(secret) => assert_eq!(secret.expose(), want),
            Password::Argon2(hash) => assert_eq!(hash, want),
        }
    }
}

#[test]
fn from_a_file_that_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    for (content, want) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"s3cret\n\n", "must not contain a control character, such as a line break (RFC 7617)"),
        (b"s3cret\xff", "cannot read \""),
        (&[b's'; 65_537], "is too large for a secret"),
    ] {
        let errors = from_file(folder.path(), content).unwrap_err().to_string();
        assert!(errors.contains(":4: instance[0].password: ") && errors.contains(want) && !errors.contains("s3cret"), "{errors}");
    }
    for path in ["nothing-here", ".", "/dev/zero"] {
        let text = with_password(&format!("{{ file = \"{path}\" }}"));
        let errors = Config::parse(&text, &folder.path().join("hookgate.toml"), &env).unwrap_err();
        assert_eq!((errors.errors.len(), errors.errors[0].line), (1, Some(4)), "{errors}");
    }
}

#[test]
fn a_secret_has_one_source() {
    for value in ["{}", "{ env = \"A\", file = \"b\" }", "{ environment = \"A\" }", "{ env = 1 }", "{ file = \"\" }"] {
        let want = ":4: instance[0].password: must be a string, { env = \"NAME\" } or { file = \"PATH\" }";
        assert_eq!(one_mistake(&with_password(value)), want);
    }
}

#[test]
fn hashes_are_valid_argon2id() {
    assert!(matches!(password(&good(&with_password(&format!("\"{HASH}\"")))), Password::Argon2(hash) if hash == HASH));
    let from_env = |_: &str| Some(HASH.to_owned());
    let config = Config::parse(&with_password("{ env = \"A\" }"), Path::new("x"), &from_env).unwrap();
    assert!(matches!(password(&config), Password::Argon2(_)));
    for hash in [
        "$argon2id$",
        "$argon2id$v=19",
        "$argon2id$v=19$m=8,t=1,p=1",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ",
        "$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=20$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA$x",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$!!!",
        "$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$6$salt$hash",
    ] {
        let message = one_mistake(&with_password(&format!("\"{hash}\"")));
        assert!(message.starts_with(":4: instance[0].password: ") && message.contains("hookgate hash-password"), "{message}");
        assert!(!message.contains("c2FsdHNhbHQ"), "{message}");
    }
}

#[test]
fn the_admin_token_is_one_word() {
    let config = good(&format!("[admin]\ntoken = {{ env = \"TOKEN\" }}\n{MINIMAL}"));
    assert_eq!(config.admin.unwrap().token.expose(), "value-of-TOKEN");
    for (token, want) in [
        ("\"a b\"", "must be visible ASCII without spaces"),
        ("\"ä\"", "must be visible ASCII without spaces"),
        ("\"\"", "must not be empty"),
        (&format!("\"{HASH}\""), "must be the token itself"),
    ] {
        let message = one_mistake(&format!("[admin]\ntoken = {token}\n{MINIMAL}"));
        assert!(message.starts_with(&format!(":2: admin.token: {want}")), "{message}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let text = format!(
        "[admin]\ntoken = \"s3cret-token\"\n{MINIMAL}password_next = \"{HASH}\"\n\
         [[instance]]\nname = \"b\"\nusername = \"_header:X\"\npassword = \"s3cret-header\"\n"
    );
    let shown = format!("{:?}", good(&text));
    assert!(!shown.contains("s3cret") && !shown.contains("argon2id") && shown.contains("[redacted]"), "{shown}");
    let errors = parse(&format!("{text}nmae = 1\n")).unwrap_err();
    assert!(!format!("{errors:?}").contains("s3cret"));
}

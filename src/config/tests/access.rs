//! Who is let in.

use super::{MINIMAL, good, one_mistake};
use crate::config::{Access, Password};

#[test]
fn credentials_are_a_must() {
    let instance = |lines: &str| format!("[[instance]]\nname = \"a\"\n{lines}");
    let none = "has no credentials: set username and password, or allow_unauthenticated = true to let everybody in";
    for (lines, want) in [
        ("", format!(":1: instance[0]: {none}")),
        ("allow_unauthenticated = false\n", format!(":1: instance[0]: {none}")),
        ("username = \"u\"\n", ":1: instance[0].password: is missing: credentials are a username and a password".into()),
        ("password = \"p\"\n", ":1: instance[0].username: is missing: credentials are a username and a password".into()),
        (
            "username = \"u\"\npassword_next = \"p\"\n",
            ":1: instance[0].password: is missing: credentials are a username and a password".into(),
        ),
        (
            "username = \"u\"\npassword = \"p\"\nallow_unauthenticated = true\n",
            ":5: instance[0].allow_unauthenticated: contradicts the credentials: remove it, or username and password".into(),
        ),
        ("username = \"\"\npassword = \"p\"\n", ":3: instance[0].username: must not be empty".into()),
        ("username = \"u\\u0007\"\npassword = \"p\"\n", ":3: instance[0].username: must not contain a control character (RFC 7617)".into()),
        ("username = \"u\"\npassword = \"\"\n", ":4: instance[0].password: must not be empty".into()),
        (
            "username = \"u\"\npassword = 5\n",
            ":4: instance[0].password: must be a string, { env = \"NAME\" } or { file = \"PATH\" }, not a value of type integer".into(),
        ),
    ] {
        assert_eq!(one_mistake(&instance(lines)), want);
    }
    good(&instance("username = \"u\"\npassword = \"p\"\nallow_unauthenticated = false\n"));
}

#[test]
fn no_credentials_are_said_loudly() {
    let config = good("[[instance]]\nname = \"lab\"\nallow_unauthenticated = true\n");
    assert!(matches!(config.instances[0].access, Access::Open));
    let want = "/etc/hookgate/hookgate.toml:3: instance[0].allow_unauthenticated: everybody who can reach this instance may post to it";
    assert_eq!(config.warnings, [want]);
}

#[test]
fn header_credentials() {
    let instance = |username: &str, password: &str| format!("[[instance]]\nname = \"a\"\nusername = {username}\npassword = {password}\n");
    for password in ["Basic MYIvOkEyMw==", "Bearer XXX", "päss wörd", "a\tb"] {
        let quoted = toml::Value::String(password.into()).to_string();
        let config = good(&instance("\"_header:Authorization\"", &quoted));
        let Access::Header { name, passwords } = &config.instances[0].access else { panic!("{:?}", config.instances[0].access) };
        assert_eq!(name, "authorization");
        assert!(matches!(&passwords[..], [Password::Plain(secret)] if secret.expose() == password));
    }
    for name in ["", " X", "X Y", "X:Y", "Ä", "X\\n"] {
        let message = one_mistake(&instance(&format!("\"_header:{name}\""), "\"p\""));
        assert_eq!(message, ":3: instance[0].username: names no valid header: write _header:X-Api-Key");
    }
    for name in ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Te", "Upgrade", "Expect", "Content-Type", "X-Forwarded-For"]
    {
        let message = one_mistake(&instance(&format!("\"_header:{name}\""), "\"p\""));
        let name = name.to_ascii_lowercase();
        assert!(message.starts_with(&format!(":3: instance[0].username: the header {name} cannot hold a secret")), "{message}");
    }
    for (password, want) in [
        ("\" p\"", "begins or ends with a space"),
        ("\"p\\t\"", "begins or ends with a space"),
        ("\"p\\nq\"", "contains a character that no header can carry"),
        ("\"p\\u007f\"", "contains a character that no header can carry"),
    ] {
        let message = one_mistake(&instance("\"_header:X\"", password));
        assert!(message.starts_with(&format!(":4: instance[0].password: {want}")), "{message}");
    }
}

#[test]
fn two_passwords_while_one_is_rotated() {
    let config = good(&format!("{MINIMAL}password_next = {{ env = \"NEXT\" }}\n"));
    let Access::Basic { username, passwords } = &config.instances[0].access else { panic!() };
    assert_eq!(username, "u");
    let texts: Vec<_> = passwords
        .iter()
        .map(|password| match password {
            Password::Plain(secret) => secret.expose(),
            Password::Argon2(_) => "",
        })
        .collect();
    assert_eq!(texts, ["s3cret", "value-of-NEXT"]);
}

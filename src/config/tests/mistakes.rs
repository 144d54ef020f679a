//! All mistakes in one run, in the order of the file, with their lines.

use std::path::Path;

use proptest::prelude::*;

use super::{MINIMAL, bad, one_mistake};
use crate::config::{Config, TABLES};

#[test]
fn all_mistakes_in_one_run() {
    let text = r#"tittle = "x"
[server]
listen = ["127.0.0.1:8080", "localhost:1"]
certificate = "hookgate.crt"
max_bdy = "10MiB"
max_body = "10 parsecs"
max_incidents = 0
header_timeout = 10
trusted_proxies = ["10.0.0.0/40"]
token = "s3cret"

[admin]
listen = "127.0.0.1:8080"

[store]
url = "postgres://u:s3cret@db/x"

[[instance]]
name = "one"
username = "a:b"
password = "s3cret"

[[instance]]
name = "one"
username = "_header:X Api"
password = { env = "UNSET" }
duplication_key = ["a..b"]

[[instance]]
name = "no/good"
store_samples = "yes"
password = "s3cret"
"#;
    let want = [
        r"::1: tittle: unknown key; known are server, admin, store, log, instance",
        r"::2: server.private_key: is missing: certificate needs it",
        r#"::3: server.listen[1]: "localhost:1" is not an address: write an IP address and a port, such as "127.0.0.1:8080" or "[::]:8080""#,
        r"::5: server.max_bdy: unknown key; did you mean max_body?",
        r#"::6: server.max_body: "10 parsecs" is not a size: write "512KiB", "10MiB", "1GiB", "10MB" or a number of bytes"#,
        r"::7: server.max_incidents: must be between 1 and 1000000",
        r#"::8: server.header_timeout: a duration needs a unit: write it as a string such as "10s""#,
        r#"::9: server.trusted_proxies[0]: "10.0.0.0/40" is neither an address nor a network: write "10.0.0.7" or "10.0.0.0/8""#,
        r"::10: server.token: unknown key here; it belongs in [admin]",
        r"::12: admin.token: is missing: whoever reads incidents must show a token",
        r"::13: admin.listen: 127.0.0.1:8080 is already taken by server.listen[0] (127.0.0.1:8080)",
        r#"::16: store.url: only SQLite is supported: write "sqlite:hookgate.db" or "sqlite:/var/lib/hookgate/hookgate.db""#,
        r"::20: instance[0].username: must not contain a colon (RFC 7617); for a header write _header:X-Api-Key",
        r#"::24: instance[1].name: "one" is already the name of instance[0] (line 18)"#,
        r"::25: instance[1].username: names no valid header: write _header:X-Api-Key",
        r"::26: instance[1].password: the environment variable UNSET is not set, or not UTF-8",
        r#"::27: instance[1].duplication_key[0]: "a..b" is not a path: write keys joined with dots, such as "alert.id""#,
        r"::29: instance[2].username: is missing: credentials are a username and a password",
        r#"::30: instance[2].name: "no/good" is not a name: letters, digits, _ . and - only, a letter or digit first, at most 64"#,
        r"::31: instance[2].store_samples: must be true or false, not a value of type string",
    ];
    let want: Vec<_> = want.iter().map(|line| line.replacen("::", ":", 1)).collect();
    assert_eq!(bad(text), want);
}

#[test]
fn files_that_are_not_toml_name_each_line() {
    let text = "[server]\nlisten = 127.0.0.1:8080\nmax_body = \"1MiB\n[store]\nsamples = 5\nsamples = 6\n[[instance]]\nname = \"a\"\n";
    let messages = bad(text);
    let lines: Vec<_> = messages.iter().map(|message| message.split(": ").next().unwrap()).collect();
    assert_eq!(lines, [":2", ":3", ":6"], "{messages:#?}");
    assert!(messages[2].ends_with("not valid TOML at column 1: duplicate key"), "{}", messages[2]);
}

#[test]
fn what_is_written_is_checked_even_if_another_line_is_not_toml() {
    let messages = bad("[server]\nmax_bdy = 1\n[[instance]]\nname = \"a b\"\nusername = \"u\"\npassword = \"s3cret\n");
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert!(messages[0].starts_with(":2: server.max_bdy: unknown key"));
    assert!(messages[1].starts_with(":4: instance[0].name:"));
    assert!(messages[2].starts_with(":6: not valid TOML"));
}

#[test]
fn a_mistake_around_a_secret_does_not_repeat_it() {
    for password in [
        "s3cret",
        "\"s3cret",
        "\"\"s3cret\"",
        "\"a\"s3cret\"",
        "s3cret\"",
        "'s3cret",
        "\"\"\"s3cret",
        "\"\\s3cret\"",
        "[\"s3cret\"]",
        "{ s3cret = true }",
        "{ env = \"s3-cret\" }",
        "{ env = \"s3cret!\" }",
        "{ envv = \"s3cret\" }",
        "{ env = s3cret }",
        "{ env = \"A\", file = \"s3cret\" }",
        "{ file = [\"s3cret\"] }",
        "\"$argon2id$s3cret\"",
        "\"$argon2id$v=19$m=s3cret\"",
        "\"$6$s3cret\"",
        "\"s3cret\\n\"",
        "\"a\ns3cret\"",
    ] {
        for key in ["password", "password_next"] {
            let text = format!("[[instance]]\nname = \"a\"\nusername = \"u\"\n{key} = {password}\n");
            let messages = bad(&text).join("\n");
            assert!(!messages.contains("s3"), "{messages}\nin\n{text}");
            let line = messages.lines().find(|line| line.starts_with(":4:"));
            assert!(line.is_some(), "{messages}\nin\n{text}");
        }
        let messages = bad(&format!("{MINIMAL}[admin]\ntoken = {password}\n")).join("\n");
        assert!(!messages.contains("s3"), "{messages}");
    }
}

#[test]
fn hints_for_unknown_keys() {
    for (text, want) in [
        ("[servr]\n", ":1: servr: unknown key; did you mean server?"),
        ("[[instances]]\n[server]\n", ":1: instances: unknown key; did you mean instance?"),
        ("listen = \"127.0.0.1:1\"\n", ":1: listen: unknown key here; it belongs in [server]"),
        ("[store]\npassword = \"x\"\n", ":2: store.password: unknown key here; it belongs in [[instance]]"),
        ("[log]\ncolour = 1\n", ":2: log.colour: unknown key; known are format, level"),
        ("[log]\n\"a b\" = 1\n", ":2: log.\"a b\": unknown key; known are format, level"),
    ] {
        assert_eq!(one_mistake(&format!("{text}{MINIMAL}")), want);
    }
    let text = format!("{MINIMAL}pasword_next = \"x\"\n");
    assert_eq!(one_mistake(&text), ":5: instance[0].pasword_next: unknown key; did you mean password_next?");
}

#[test]
fn tables_of_the_wrong_kind() {
    for (text, want) in [
        ("server = 5\n", ":1: server: must be a table, not a value of type integer"),
        ("[[store]]\n", ":1: store: must be a table, not a value of type array"),
    ] {
        assert_eq!(one_mistake(&format!("{text}{MINIMAL}")), want);
    }
    let single = MINIMAL.replace("[[instance]]", "[instance]");
    assert_eq!(one_mistake(&single), ":1: instance: write [[instance]] with double brackets: there may be several");
    assert_eq!(one_mistake("instance = [1]\n"), ":1: instance[0]: must be a table, not a value of type integer");
}

#[test]
fn an_empty_file_needs_an_instance() {
    let want = ": instance: there is none: add a table [[instance]] with name, username and password";
    for text in ["", "# nothing\n", "[server]\n"] {
        assert_eq!(one_mistake(text), want);
    }
    assert_eq!(one_mistake("instance = []\n"), want.replacen(':', ":1:", 1));
}

/// Lines that look like a configuration, so that random files come far.
fn any_line() -> impl Strategy<Value = String> {
    let tables: Vec<String> = TABLES.iter().map(|(table, _)| (*table).to_owned()).collect();
    let keys: Vec<&str> = TABLES.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let values = prop_oneof![
        Just("\"127.0.0.1:80\"".to_owned()),
        Just("{ env = \"A\" }".to_owned()),
        Just("{ file = \"a\" }".to_owned()),
        Just("\"_header:X\"".to_owned()),
        Just("\"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g\"".to_owned()),
        "\"[0-9]{1,20}(ms|s|d|KiB|GiB)\"",
        any::<i64>().prop_map(|number| number.to_string()),
        "[\"'\\[\\]{}a=., ]{0,8}",
        any::<String>().prop_map(|text| toml::Value::String(text).to_string()),
    ];
    prop_oneof![
        2 => proptest::sample::select(tables),
        8 => (proptest::sample::select(keys), values).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = Config::parse(&text, Path::new("x/hookgate.toml"), &|_| Some("value".into()));
    }

    #[test]
    fn no_lines_panic_and_every_line_named_exists(lines in proptest::collection::vec(any_line(), 0..40)) {
        let text = lines.join("\n");
        if let Err(errors) = Config::parse(&text, Path::new("x/hookgate.toml"), &|_| Some("value".into())) {
            prop_assert!(!errors.errors.is_empty());
            prop_assert_eq!(errors.to_string().split(char::is_control).count(), errors.errors.len(), "{}", errors);
            prop_assert!(errors.errors.is_sorted_by_key(|error| error.line));
            for error in errors.errors {
                prop_assert!(error.line.is_none_or(|line| (1..=text.split('\n').count()).contains(&line)), "{error:?}");
            }
        }
    }
}

#[test]
fn deep_nesting_ends_in_an_error() {
    for text in [format!("{}a = 1", "a.".repeat(100_000)), format!("a = {}", "[".repeat(100_000)), format!("[{}a]", "a.".repeat(100_000))] {
        assert!(!bad(&text).is_empty());
    }
}

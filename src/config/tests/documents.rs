//! The files that come with the program say what the program does.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FILE, MINIMAL, env, good};
use crate::config::{Access, Config, Password, TABLES, quickstart};

const SAMPLE: &str = include_str!("../../../samples/hookgate.toml");
const GUIDE: &str = include_str!("../../../docs/configuration.md");

/// The template with every commented setting switched on.
fn all_of_the_template() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    Config::TEMPLATE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn keys_in(text: &str) -> BTreeSet<String> {
    let document: toml::Table = text.parse().unwrap();
    let mut keys = BTreeSet::new();
    for (name, value) in &document {
        match value {
            toml::Value::Array(tables) => tables.iter().for_each(|table| collect_keys(&format!("[[{name}]]"), table, &mut keys)),
            table => collect_keys(&format!("[{name}]"), table, &mut keys),
        }
    }
    keys
}

fn collect_keys(name: &str, table: &toml::Value, keys: &mut BTreeSet<String>) {
    for (key, value) in table.as_table().unwrap() {
        keys.insert(format!("{name} {key}"));
        let tables = if let toml::Value::Array(tables) = value { tables.as_slice() } else { std::slice::from_ref(value) };
        if ["signature", "map"].contains(&key.as_str()) {
            tables.iter().for_each(|table| collect_keys(&format!("[instance.{key}]"), table, keys));
        }
    }
}

fn known_keys() -> BTreeSet<String> {
    TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table} {key}"))).collect()
}

#[test]
fn the_sample_uses_every_key_and_has_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("senders")).unwrap();
    let config = Config::parse(SAMPLE, &folder.path().join("hookgate.toml"), &env).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(keys_in(SAMPLE), known_keys());
    assert_eq!(config.instances.len(), 7);
    let said = config.warnings.join("\n");
    assert!(config.warnings.len() == 1 && said.contains("allow_unauthenticated"), "{said}");
    assert_eq!(config.instances[3].sender.signing.signatures.len(), 2);
}

#[test]
fn the_template_names_every_key_with_its_default() {
    assert_eq!(keys_in(&all_of_the_template()), known_keys());
    let without_default = [
        "senders_dir",
        "sender ",
        "secrets",
        "path_token",
        "verify_token",
        "keys",
        "audience",
        "service_accounts",
        "shares_duplicates_with",
        "certificate",
        "private_key",
        "client_ca",
        "public_url",
        "retention",
        "unwrap",
        "incident_type",
        "duplication_key",
        "expect_every",
        "listen = \"0.",
        "allow_from",
    ];
    let all = all_of_the_template();
    // What follows shows what could be there; without it nothing is signed or mapped.
    let (all, _) = all.split_once("[instance.signature]").unwrap();
    let written: Vec<_> = all.lines().filter(|line| !without_default.iter().any(|key| line.starts_with(key))).map(str::to_owned).collect();
    let written = good(&written.join("\n"));
    let absent = good(&quickstart("@PASSWORD@", "@TOKEN@"));
    assert_eq!(format!("{:?}", written.server), format!("{:?}", absent.server));
    assert_eq!(format!("{:?}", written.admin), format!("{:?}", absent.admin));
    assert_eq!(format!("{:?}", written.store), format!("{:?}", absent.store));
    assert_eq!(format!("{:?}", written.log), format!("{:?}", absent.log));
    assert_eq!(written.instances[0].duplication_window, absent.instances[0].duplication_window);
    assert_eq!(written.instances[0].store_samples, absent.instances[0].store_samples);
}

#[test]
fn quickstart_is_ready_to_serve() {
    let config = good(&quickstart("p4ss", "t0ken"));
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    let admin = config.admin.unwrap();
    assert_eq!((admin.listen.to_string().as_str(), admin.token.expose()), ("127.0.0.1:8081", "t0ken"));
    let instance = &config.instances[0];
    assert_eq!(instance.name, "my_instance_01");
    let Access::Basic { username, passwords } = &instance.access else { panic!("{:?}", instance.access) };
    assert_eq!(username, "my_user");
    assert!(matches!(&passwords[..], [Password::Plain(secret)] if secret.expose() == "p4ss"));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn quickstart_quotes_what_it_fills_in() {
    for text in ["\"", "\\", "'", "a\"]\n", "\"@PASSWORD@\""] {
        let document: toml::Table = quickstart(text, text).parse().unwrap();
        assert_eq!(document["admin"]["token"].as_str(), Some(text));
        assert_eq!(document["instance"][0]["password"].as_str(), Some(text));
    }
}

#[test]
fn the_guide_explains_every_key() {
    for (table, keys) in TABLES {
        let heading = format!("## `{table}`");
        let chapter = GUIDE.split_once(&heading).unwrap_or_else(|| panic!("no chapter {heading}")).1;
        let chapter = chapter.split_once("\n## ").map_or(chapter, |(chapter, _)| chapter);
        for key in keys {
            assert!(chapter.contains(&format!("| `{key}` |")), "{heading} does not explain {key}");
        }
    }
}

#[test]
fn the_examples_of_the_guide_are_right() {
    let mut examples = 0;
    for block in GUIDE.split("```toml\n").skip(1) {
        let text = block.split_once("```").unwrap().0;
        let text = if text.contains("[[instance]]") { text.to_owned() } else { format!("{text}\n{MINIMAL}") };
        if let Err(errors) = Config::parse(&text, Path::new(FILE), &env) {
            // Files of secrets are the one thing that an example cannot bring along.
            let others: Vec<_> = errors.errors.iter().filter(|error| !error.message.starts_with("cannot read \"/")).collect();
            assert!(others.is_empty(), "{others:?}\nin\n{text}");
        }
        examples += 1;
    }
    assert!(examples >= 5, "{examples}");
}

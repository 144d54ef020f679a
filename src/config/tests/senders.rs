//! Senders: presets below an instance's own keys, and every mistake at its line, whichever file it is in.

use std::fs;
use std::path::Path;
use std::time::Duration;

use http::Method;

use super::{MINIMAL, bad, env, good, one_mistake};
use crate::config::{Access, Config, Instance, Preset};
use crate::intake::Accept;
use crate::mapping::Mapping;
use crate::senders::handshake::Handshake;
use crate::senders::presets::BUILT_IN;
use crate::senders::signature::{Algorithm, Scheme};

const GITHUB: &str = "[[instance]]\nname = \"gh\"\nsender = \"github\"\nsecrets = [\"s3cret\", { env = \"B\" }]\n";

fn first(text: &str) -> Instance {
    good(text).instances.remove(0)
}

fn built_in() -> Vec<Preset> {
    Config::load_presets(Path::new("/nonexistent/hookgate.toml")).unwrap()
}

#[test]
fn every_built_in_preset_is_whole() {
    let presets = built_in();
    assert_eq!(presets.len(), BUILT_IN.len());
    for preset in &presets {
        let name = &preset.name;
        for (what, line) in [("title", &preset.title), ("page", &preset.page), ("verifies", &preset.verifies), ("dedups", &preset.dedups)] {
            assert!(!line.trim().is_empty() && !line.contains('\n'), "{name}: {what}");
        }
        assert!(preset.page.starts_with("https://"), "{name}: {}", preset.page);
        assert!(preset.methods.contains(&Method::POST), "{name}");
        if let Err(errors) = Mapping::compile(&preset.layer.map) {
            panic!("{name}: {errors:?}");
        }
    }
}

#[test]
fn a_preset_shown_is_a_preset() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("senders")).unwrap();
    for (name, text) in BUILT_IN {
        fs::write(folder.path().join(format!("senders/{name}.toml")), text).unwrap();
    }
    fs::write(folder.path().join("senders/.hidden.toml"), "no = [").unwrap();
    fs::write(folder.path().join("senders/README.md"), "no = [").unwrap();
    let path = folder.path().join("hookgate.toml");
    fs::write(&path, "[server]\nsenders_dir = \"senders\"\n").unwrap();
    let own = Config::load_presets(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(format!("{own:?}"), format!("{:?}", built_in()));
}

#[test]
fn a_preset_knows_what_its_sender_does() {
    let instance = first(GITHUB);
    assert!(matches!(instance.access, Access::Open));
    assert_eq!(instance.sender.preset.as_deref(), Some("github"));
    let [signature] = &instance.sender.signing.signatures[..] else { panic!("{:?}", instance.sender.signing) };
    assert_eq!((signature.scheme, signature.algorithm, signature.tolerance), (Scheme::Hmac, Algorithm::Sha256, Duration::from_secs(300)));
    let secrets: Vec<_> = instance.sender.signing.secrets.iter().map(|secret| secret.expose().to_owned()).collect();
    assert_eq!(secrets, ["s3cret", "value-of-B"]);
    assert!(instance.map.name.is_some());
    assert_eq!(instance.sender.methods, [Method::POST]);
    assert!(first(&GITHUB.replace("github", "zendesk")).sender.methods.contains(&Method::PUT));
    assert_eq!(first(&GITHUB.replace("github", "slack")).sender.handshake, [Handshake::Slack]);
}

#[test]
fn the_instances_own_keys_count() {
    let own = format!(
        "{GITHUB}accept = \"xml\"\nhandshake = [\"dropbox\"]\nincident_type = \"Own\"\nduplication_window = \"1h\"\n\
         [instance.signature]\ntolerance = \"0s\"\nheader = \"X-Own\"\n[instance.map]\ntype = '\"own\"'\n"
    );
    let (own, preset) = (first(&own), first(GITHUB));
    assert_eq!((own.accept, own.sender.handshake), (Accept::Xml, vec![Handshake::Dropbox]));
    assert_eq!((own.incident_type.as_deref(), own.duplication_window), (Some("Own"), Duration::from_secs(3600)));
    let (changed, below) = (&own.sender.signing.signatures[0], &preset.sender.signing.signatures[0]);
    assert_eq!((changed.tolerance, &changed.format), (Duration::ZERO, &below.format));
    assert_ne!(changed.place, below.place);
    assert_eq!((own.map.kind.as_deref(), own.map.name), (Some("\"own\""), preset.map.name));
}

#[test]
fn a_signature_changes_all_alternatives_and_a_list_replaces_them() {
    let hubspot = GITHUB.replace("github", "hubspot") + "public_url = \"https://hooks.example.com/h\"\n";
    let all = first(&hubspot).sender.signing.signatures.len();
    assert!(all > 1);
    let changed = first(&format!("{hubspot}[instance.signature]\ntolerance = \"1s\"\n"));
    let tolerances: Vec<_> = changed.sender.signing.signatures.iter().map(|signature| signature.tolerance).collect();
    assert_eq!(tolerances, vec![Duration::from_secs(1); all]);
    let replaced = first(&format!("{hubspot}[[instance.signature]]\nheader = \"X-Own\"\n"));
    assert_eq!(replaced.sender.signing.signatures.len(), 1);
    let unsigned = "[[instance]]\nname = \"a\"\nsender = \"github\"\nsignature = []\nusername = \"u\"\npassword = \"p\"\n";
    assert!(first(unsigned).sender.signing.signatures.is_empty());
}

#[test]
fn a_way_of_finding_duplicates_replaces_the_presets() {
    let preset = first(GITHUB);
    assert!(preset.map.duplication_key.is_some() && preset.duplication_key.is_empty());
    let by_path = first(&format!("{GITHUB}duplication_key = \"id\"\n"));
    assert_eq!((by_path.map.duplication_key, by_path.duplication_key), (None, vec!["id".to_owned()]));
    let forms = "[[instance]]\nname = \"f\"\nsender = \"google-forms\"\nusername = \"u\"\npassword = \"p\"\n";
    assert_eq!(first(forms).duplication_key, ["responseId"]);
    let by_map = first(&format!("{forms}[instance.map]\nduplication_key = \".id\"\n"));
    assert_eq!((by_map.map.duplication_key.as_deref(), by_map.duplication_key.len()), (Some(".id"), 0));
}

#[test]
fn a_signature_needs_its_secret_and_open_contradicts_it() {
    let without = GITHUB.replace("secrets = [\"s3cret\", { env = \"B\" }]\n", "");
    let message = one_mistake(&without);
    assert!(message.starts_with(":1: instance[0].secrets: a secret is needed"), "{message}");
    let message = one_mistake(&format!("{GITHUB}allow_unauthenticated = true\n"));
    assert!(message.starts_with(":5: instance[0].allow_unauthenticated: contradicts the signature"), "{message}");
    // Secrets alone prove nothing.
    let messages = bad("[[instance]]\nname = \"a\"\nsecrets = \"s3cret\"\n");
    assert!(messages.len() == 2 && messages[0].starts_with(":1: instance[0]: has no credentials"), "{messages:?}");
    let both = first(&format!("{GITHUB}username = \"u\"\npassword = \"p\"\n"));
    assert!(matches!(both.access, Access::Basic { .. }) && !both.sender.signing.signatures.is_empty());
}

#[test]
fn unknown_senders_are_told_with_the_nearest() {
    let message = one_mistake(&GITHUB.replace("\"github\"", "\"githbu\""));
    assert_eq!(
        message,
        ":3: instance[0].sender: \"githbu\" is no known sender: did you mean \"github\"? `hookgate senders` lists those there are"
    );
    let message = one_mistake(&GITHUB.replace("\"github\"", "\"acme-corp\""));
    assert_eq!(message, ":3: instance[0].sender: \"acme-corp\" is no known sender: `hookgate senders` lists those there are");
}

#[test]
fn every_mistake_of_a_signature_is_told() {
    let text = "[[instance]]\nname = \"a\"\nsecrets = [\"$argon2id$x\", \"\"]\nhandshake = [\"slak\"]\nkeys = \"nowhere.pem\"\npublic_url = \"hooks\"\n\
                [instance.signature]\nscheme = \"rot13\"\nalgoritm = \"md5\"\nheader = \"X Y\"\njson = \"a\"\nformat = \"sha256=\"\nseparator = \"\"\n\
                signed = \"{bdy}\"\ntimestamp = \"now\"\ntolerance = 5\n[instance.map]\nname = \".a |\"\nfields = { \"a-b\" = \".a\", c = \")\" }\n";
    let messages = bad(text);
    for (line, key) in [
        (3, "secrets[0]"),
        (3, "secrets[1]"),
        (4, "handshake[0]"),
        (5, "keys"),
        (6, "public_url"),
        (8, "signature.scheme"),
        (9, "signature.algoritm"),
        (10, "signature.header"),
        (11, "signature.json"),
        (12, "signature.format"),
        (13, "signature.item"),
        (14, "signature.signed"),
        (15, "signature.timestamp"),
        (16, "signature.tolerance"),
        (18, "map.name"),
        (19, "map.fields.a-b"),
        (19, "map.fields.c"),
    ] {
        let place = format!(":{line}: instance[0].{key}: ");
        let found = messages
            .iter()
            .any(|message| message.starts_with(&place) || key == "signature.item" && message.contains("signature.item: is missing"));
        assert!(found, "no {place} in {messages:#?}");
    }
    assert!(messages.iter().any(|message| message.contains("signature.algoritm: unknown key; did you mean algorithm?")), "{messages:#?}");
}

#[test]
fn path_tokens_are_parts_of_an_address() {
    let with = |token: &str| format!("[[instance]]\nname = \"a\"\npath_token = \"{token}\"\n");
    let config = good(&with("0123456789abcdefghij-._~"));
    assert!(matches!(config.instances[0].access, Access::Open) && config.warnings.is_empty(), "{:?}", config.warnings);
    for token in ["a/b", "a b", "ä", "a%20", "..", "a?b"] {
        let message = one_mistake(&with(token));
        assert!(message.starts_with(":3: instance[0].path_token: must be letters"), "{message}");
    }
    assert!(good(&with("short")).warnings[0].contains("guessed"));
    let needed = one_mistake("[[instance]]\nname = \"a\"\nsender = \"defensx\"\n");
    assert!(needed.starts_with(":1: instance[0]: has no credentials, and this sender can send none: set path_token"), "{needed}");
    assert!(
        good("[[instance]]\nname = \"a\"\nsender = \"defensx\"\npath_token = { env = \"T\" }\n").instances[0].sender.path_token.is_some()
    );
}

#[test]
fn the_address_that_is_signed() {
    let url = |text: &str| first(text).sender.signing.url;
    assert_eq!(url(GITHUB), None);
    let server = "[server]\npublic_url = \"https://hooks.example.com/gate/\"\n";
    assert_eq!(url(&format!("{server}{GITHUB}")).as_deref(), Some("https://hooks.example.com/gate/instance/execute/gh"));
    let with_token = url(&format!("{server}{GITHUB}path_token = \"0123456789abcdefghij\"\n"));
    assert_eq!(with_token.as_deref(), Some("https://hooks.example.com/gate/instance/execute/gh/0123456789abcdefghij"));
    let own = url(&format!("{server}{GITHUB}public_url = \"https://example.com:443/\"\n"));
    assert_eq!(own.as_deref(), Some("https://example.com:443/"), "to the letter");
    let needed = one_mistake(&GITHUB.replace("github", "twilio"));
    assert!(needed.starts_with(":1: instance[0].public_url: "), "{needed}");
}

#[test]
fn memory_is_shared_with_another_instance() {
    let two =
        |shared: &str| format!("{MINIMAL}{}", MINIMAL.replace("\"a\"", "\"b\"") + &format!("shares_duplicates_with = \"{shared}\"\n"));
    assert_eq!(good(&two("a")).instances[1].shares_duplicates_with.as_deref(), Some("a"));
    let window = format!("{}duplication_key = \"id\"\nduplication_window = \"1d\"\n", two("a"));
    let warning =
        "/etc/hookgate/hookgate.toml:11: instance[1].duplication_window: has no effect: the memory is \"a\"'s, and so is the window";
    assert_eq!(good(&window).warnings, [warning]);
    assert!(one_mistake(&two("b")).starts_with(":9: instance[1].shares_duplicates_with: is the instance itself"));
    assert!(one_mistake(&two("c")).starts_with(":9: instance[1].shares_duplicates_with: no instance is named \"c\""));
    let chain = two("a").replacen("s3cret\"\n", "s3cret\"\nshares_duplicates_with = \"b\"\n", 1);
    assert_eq!(bad(&chain).len(), 2);
}

#[test]
fn a_sender_that_tells_its_secret_late_starts_behind_other_credentials() {
    let ens = "[[instance]]\nname = \"a\"\nsender = \"salesforce-ens\"\n";
    assert!(one_mistake(ens).contains("secrets: a secret is needed"));
    let config = good(&format!("{ens}username = \"u\"\npassword = \"p\"\n"));
    assert!(config.instances[0].sender.signing.awaits_secret && config.warnings[0].contains("no secrets yet"), "{:?}", config.warnings);
    assert!(!first(&format!("{ens}secrets = \"k\"\n")).sender.signing.awaits_secret);
}

#[test]
fn what_has_no_effect_or_too_much_is_warned_of() {
    for (text, warning) in [
        (format!("{MINIMAL}verify_token = \"x\"\n"), "instance[0].verify_token: has no effect"),
        (format!("{MINIMAL}confirm_subscriptions = true\n"), "instance[0].confirm_subscriptions: has no effect"),
        (format!("{MINIMAL}handshake = [\"meta\"]\n"), "has no verify_token"),
        ("[[instance]]\nname = \"a\"\nsender = \"aws-sns\"\n".to_owned(), "any topic are accepted: set audience"),
        (GITHUB.replace("github", "salesforce-ens"), "a new callback's verification, which nobody signs, is refused"),
        (GITHUB.replace("github", "hubspot"), "requests with those are refused"),
        (
            "[[instance]]\nname = \"a\"\nsecrets = \"k\"\n[instance.signature]\nscheme = \"jwt\"\nheader = \"Authorization\"\n".to_owned(),
            "tokens that say which request",
        ),
        (format!("{GITHUB}[instance.signature]\nsigned = \"const\"\n"), "instance[0].signature: leaves {body} out of signed"),
        (format!("{}duplication_key = \"id\"\n", GITHUB.replace("github", "mailgun")), "duplication_key: is not what this sender signs"),
        (format!("{}map.duplication_key = \".id\"\n", GITHUB.replace("github", "mailgun")), "map: is not what this sender signs"),
        (format!("{}duplication_window = \"23h\"\n", GITHUB.replace("github", "mailgun")), "duplication_window: is shorter than"),
        (format!("[server]\nlisten = \"0.0.0.0:80\"\n{GITHUB}"), "unencrypted"),
    ] {
        let warnings = good(&text).warnings;
        assert!(warnings.iter().any(|found| found.contains(warning)), "{warnings:?}\nin\n{text}");
    }
}

#[test]
fn presets_of_ones_own_replace_the_built_in_ones() {
    let folder = tempfile::tempdir().unwrap();
    let senders = folder.path().join("senders");
    fs::create_dir(&senders).unwrap();
    fs::write(senders.join("github.toml"), "sender.title = \"Mine\"\n[signature]\nheader = \"X-Mine\"\n").unwrap();
    fs::write(senders.join("acme.toml"), "accept = \"any\"\nsender.title = \"Acme\"\n[signature]\nheader = \"X-Acme\"\n").unwrap();
    let text = format!("[server]\nsenders_dir = \"senders\"\n{GITHUB}{}", GITHUB.replace("\"gh\"", "\"b\"").replace("github", "acme"));
    let config = Config::parse(&text, &folder.path().join("hookgate.toml"), &env).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.instances[0].map.is_empty(), "nothing of the built-in one is left");
    assert_eq!(config.instances[1].accept, Accept::Any);
}

#[test]
fn mistakes_in_presets_are_told_with_their_own_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let senders = folder.path().join("senders");
    fs::create_dir(&senders).unwrap();
    fs::write(
        senders.join("acme.toml"),
        "acept = \"any\"\nusername = \"u\"\n[map]\nname = \".a |\"\n[sender]\ntitle = \"Acme\"\nmethods = [\"GET\"]\n",
    )
    .unwrap();
    fs::write(senders.join("Bad Name.toml"), "").unwrap();
    fs::write(senders.join("empty.toml"), "\n").unwrap();
    let path = folder.path().join("hookgate.toml");
    let text = format!("[server]\nsenders_dir = \"senders\"\nmax_bdy = 1\n{}", GITHUB.replace("github", "acme"));
    let errors = Config::parse(&text, &path, &env).unwrap_err();
    let shown = errors.to_string();
    let lines: Vec<_> = shown.lines().map(|line| line.replace(&*folder.path().to_string_lossy(), "")).collect();
    for want in [
        "/hookgate.toml:3: server.max_bdy: unknown key",
        "/senders/acme.toml:1: acept: unknown key; did you mean accept?",
        "/senders/acme.toml:2: username: unknown key here; it belongs in [[instance]]",
        "/senders/acme.toml:4: map.name: ",
        "/senders/acme.toml:7: sender.methods[0]: \"GET\" brings no events",
        "/senders/Bad Name.toml: is not named like a sender",
        "/senders/empty.toml: sender.title: is missing",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(want)), "no {want} in {lines:#?}");
    }
    assert_eq!(lines.len(), 7, "{lines:#?}");
}

#[test]
fn no_secret_of_a_sender_is_shown() {
    let text = format!("{GITHUB}path_token = \"s3cret-of-the-path-0\"\nverify_token = \"s3cret-of-meta\"\nhandshake = [\"meta\"]\n");
    assert!(!format!("{:?}", good(&text)).contains("s3cret"));
    let wrong = text.replace("\"s3cret-of-the-path-0\"", "\"s3cret/of/the/path\"");
    assert!(!bad(&wrong).join("\n").contains("s3cret"));
}

/// With a preset that is gone its signature would be gone, and nobody would be told.
#[test]
fn no_signature_vanishes() {
    let message = one_mistake(&format!("{MINIMAL}secrets = \"x\"\n"));
    assert!(message.contains("instance[0].secrets: nothing is signed"), "{message}");
    let message = one_mistake(&format!("{GITHUB}username = \"u\"\npassword = \"p\"\nsignature = []\n"));
    assert!(message.contains("instance[0].secrets: nothing is signed"), "{message}");
    good("[[instance]]\nname = \"a\"\nusername = \"u\"\npassword = \"p\"\nhandshake = [\"zoom\"]\nsecrets = \"x\"\n");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookgate.toml");
    let text = format!("[server]\nsenders_dir = \"senders\"\n{}", GITHUB.replace(", { env = \"B\" }", ""));
    fs::write(&path, &text).unwrap();
    let missing = Config::load(&path).unwrap_err();
    let [error] = &missing.errors[..] else { panic!("{missing}") };
    assert!(error.key == "server.senders_dir" && error.line == Some(2), "{missing}");
    fs::create_dir(folder.path().join("senders")).unwrap();
    Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    fs::write(folder.path().join("senders/github.toml"), "").unwrap();
    let empty = Config::load(&path).unwrap_err().to_string();
    assert!(empty.contains("github.toml: sender.title: is missing") && empty.lines().count() == 1, "{empty}");
}

#[test]
fn what_is_as_it_should_be_is_not_warned_of() {
    let with = |sender: &str, keys: &str| format!("{}{keys}", GITHUB.replace("github", sender));
    for text in [
        with("hubspot", "public_url = \"https://hooks.example.com/h\"\n"),
        with("mailgun", "duplication_window = \"25h\"\n"),
        with("github", "duplication_key = \"id\"\nduplication_window = \"1m\"\n[instance.signature]\nsigned = \"a{body}\"\n"),
        with("gitlab", "").replace("s3cret", "whsec_c2VjcmV0"),
    ] {
        assert_eq!(good(&text).warnings, [""; 0], "{text}");
    }
    let mistake = one_mistake("[[instance]]\nname = \"a\"\nsender = \"pubsub\"\naudience = \"a\"\n");
    assert!(mistake.contains("instance[0].service_accounts: service_accounts must say"), "{mistake}");
}

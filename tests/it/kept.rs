//! What the command line shows of a store, with a gateway running and without.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::cli::{done, failed, hookgate, run, stderr, stdout, with_config};
use crate::harness::{BASIC, Running};

#[test]
fn incidents_are_listed_while_the_gateway_runs() {
    let gateway = Running::start(BASIC);
    let first = gateway.post(r#"{"name":"Phishing \u001b[31mred","type":"mail"}"#).ids().remove(0);
    let second = gateway.post(r#"{"name":"A much longer name than the first one had","occurred":"2026-01-31T08:00:00Z"}"#).ids().remove(0);

    let table = done(&run(gateway.folder(), &["incidents", "list"]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].contains(&second) && lines[2].contains(&first), "newest first: {table}");
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["CREATED", "ID", "INSTANCE", "TYPE", "OCCURRED", "NAME"]);
    for (gap, _) in lines[0].match_indices("  ").filter(|(gap, _)| !lines[0][gap + 2..].starts_with(' ')) {
        assert!(lines.iter().all(|line| &line[gap..gap + 2] == "  " && &line[gap + 2..gap + 3] != " "), "column at {gap}: {table}");
    }
    assert!(lines[2].ends_with(r"Phishing \u{1b}[31mred"), "{table}");

    let list = |args: &[&str]| -> Vec<String> {
        let args = [&["incidents", "list", "--json"], args].concat();
        let array: Value = serde_json::from_str(&done(&run(gateway.folder(), &args))).unwrap();
        array.as_array().unwrap().iter().map(|incident| incident["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&[]), [second.as_str(), &first]);
    assert_eq!(list(&["--limit", "1"]), [second.as_str()]);
    assert_eq!(list(&["--type", "mail"]), [first.as_str()]);
    assert_eq!(list(&["--q", "LONGER name"]), [second.as_str()]);
    assert_eq!(list(&["--q", &first[20..]]), [first.as_str()], "part of an id");
    assert_eq!(list(&["--since", "1h", "--instance", "in"]), [second.as_str(), &first]);
    assert!(list(&["--until", "1h"]).is_empty());
    assert!(list(&["--instance", "other"]).is_empty());

    let cut = run(gateway.folder(), &["incidents", "list", "--limit", "1"]);
    assert_eq!(stderr(&cut), "only the newest 1; --limit shows more\n");
    let none = run(gateway.folder(), &["incidents", "list", "--until", "2020-01-01"]);
    assert_eq!((none.status.code(), stdout(&none).as_str(), stderr(&none).as_str()), (Some(0), "", "no incidents match\n"));
    assert_eq!(stderr(&run(gateway.folder(), &["incidents", "list", "--q", "nowhere"])), "no incidents match\n");
}

#[test]
fn an_incident_is_shown_with_what_was_sent() {
    let gateway = Running::start(BASIC);
    let id = gateway.post(r#"{"name":"N","n":1e400,"n":2}"#).ids().remove(0);
    let text = done(&run(gateway.folder(), &["incidents", "show", &id]));
    assert!(text.contains(&id) && text.contains("name      N\n") && text.contains("\n  \"n\": 1e400,\n  \"n\": 2,\n"), "{text}");
    let json = done(&run(gateway.folder(), &["incidents", "show", "--json", &id]));
    assert!(json.starts_with('{') && json.contains(&id) && json.contains(r#""n":1e400,"n":2"#), "{json}");

    let other = "0190b6c1-8f2a-7000-8000-0123456789ab";
    assert!(failed(&run(gateway.folder(), &["incidents", "show", other]), 1).contains(other));
}

#[test]
fn an_export_has_a_line_an_incident_oldest_first() {
    let gateway = Running::start(BASIC);
    let count = 600;
    let events: Vec<String> = (0..count).map(|number| format!("{{\n  \"number\": {number}\r\n}}")).collect();
    gateway.post(format!("[{}]", events.join(","))).ids();

    let export = done(&run(gateway.folder(), &["incidents", "export"]));
    let numbers: Vec<i64> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .map(|incident| incident["rawJson"]["number"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    assert_eq!(
        done(&run(gateway.folder(), &["incidents", "export", "--limit", "7"])),
        export.split_inclusive('\n').take(7).collect::<String>()
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let gateway = Running::start(BASIC);
    let events = vec![format!("{{\"text\":\"{}\"}}", "x".repeat(1000)); 1000];
    gateway.post(format!("[{}]", events.join(","))).ids();
    let mut export = hookgate(gateway.folder(), &["incidents", "export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A megabyte does not fit into a pipe: the rest of it meets a closed one.
    export.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    assert_eq!(done(&export.wait_with_output().unwrap()), "");
}

#[test]
fn samples_are_printed_as_an_array() {
    let gateway = Running::start(&format!("{BASIC}store_samples = true\n[[instance]]\nname = \"none\"\nallow_unauthenticated = true\n"));
    gateway.post(r#"{"name":"one"}"#).ids();
    gateway.post(r#"{"name":"two"}"#).ids();
    let samples: Value = serde_json::from_str(&done(&run(gateway.folder(), &["samples", "in"]))).unwrap();
    assert_eq!((&samples[0]["name"], &samples[1]["name"]), (&"one".into(), &"two".into()));

    let none = run(gateway.folder(), &["samples", "none"]);
    assert_eq!((none.status.code(), stdout(&none).as_str()), (Some(0), "[]\n"));
    assert!(stderr(&none).contains("store_samples"), "{none:?}");
    assert!(failed(&run(gateway.folder(), &["samples", "nobody"]), 1).contains("in, none"));
}

#[test]
fn a_backup_is_a_store_and_never_overwrites() {
    let gateway = Running::start(BASIC);
    let id = gateway.post("{}").ids().remove(0);
    assert!(done(&run(gateway.folder(), &["backup", "copy.db"])).starts_with("copy.db: "));
    let before = std::fs::read(gateway.folder().join("copy.db")).unwrap();
    assert!(failed(&run(gateway.folder(), &["backup", "copy.db"]), 1).contains("overwrite"));
    assert_eq!(std::fs::read(gateway.folder().join("copy.db")).unwrap(), before);

    std::fs::write(gateway.folder().join("copy.toml"), format!("[store]\nurl = \"sqlite:copy.db\"\n{BASIC}")).unwrap();
    assert!(done(&run(gateway.folder(), &["incidents", "show", &id, "--config", "copy.toml"])).contains(&id));
}

#[test]
fn without_a_store_the_error_says_what_to_do() {
    let folder = with_config(BASIC);
    for args in [&["incidents", "list"][..], &["samples", "in"], &["backup", "copy.db"]] {
        let told = failed(&run(folder.path(), args), 1);
        assert!(told.starts_with("error: ") && told.contains("hookgate serve"), "{args:?}: {told}");
    }
    assert!(!folder.path().join("copy.db").exists());
}

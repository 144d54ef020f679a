//! An operator's map, from the sender's bytes to the store and back.

use std::time::Instant;

use serde_json::Value;

use crate::harness::{ALICE, BASIC, PATIENCE, Running, request};
use crate::process::Process;

/// Alerts in the way of a well-known sender.
const MAP: &str = r#"
[instance.map]
items = ".alerts[]"
name = '"\(.labels.alertname) on \(.labels.host)"'
type = ".labels.team"
occurred = ".startsAt"
duplication_key = "[.fingerprint, .startsAt]"
drop = '.status == "resolved"'

[instance.map.fields]
severity = ".labels.severity"
receiver = "$body.receiver"
event = '$headers["x-event"]'
env = "$query.env"
"#;

fn mapped(map: &str) -> Running {
    Running::start(&format!("{BASIC}incident_type = \"Default\"\n{map}"))
}

fn post(running: &Running, body: &str) -> Vec<Value> {
    let answer = running.request("POST", "/instance/execute/in?env=prod", &[ALICE, ("x-event", "ping")], body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

#[test]
fn the_events_of_a_body_are_kept_to_the_byte_and_mapped_one_by_one() {
    let running = mapped(MAP);
    let one = r#"{ "status":"firing", "fingerprint":"f1", "startsAt":1769846400.5, "n": 0.10,
        "labels":{"alertname":"Disk","host":"web1","team":"ops","severity":"high"}}"#;
    let two = r#"{"status":"firing","fingerprint":"f2","startsAt":"2026-01-31 09:00:00 UTC","labels":{"alertname":"Net","host":"web2"}}"#;
    let resolved = r#"{"status":"resolved","fingerprint":"f3"}"#;
    let body = format!(r#"{{"receiver":"hook","alerts":[{one}, {resolved},{two}]}}"#);

    let answer = post(&running, &body);
    let told: Vec<_> =
        answer.iter().map(|one| (one["name"].as_str().unwrap(), one["type"].as_str(), one["occurred"].as_str().unwrap())).collect();
    assert_eq!(told, [("Disk on web1", Some("ops"), "2026-01-31T08:00:00.500Z"), ("Net on web2", Some("Default"), "2026-01-31T09:00:00Z")]);
    assert!(answer.iter().all(|one| one.get("warnings").is_none()), "{answer:?}");
    assert_eq!(running.metric("hookgate_dropped_incidents_total{instance=\"in\"}"), 1.0);

    let id = answer[0]["id"].as_str().unwrap();
    let stored = running.admin(&format!("/api/v1/incidents/{id}")).text();
    let raw = stored.split_once("\"rawJson\":").unwrap().1;
    assert!(raw.starts_with(&one[..one.len() - 1]), "{raw}");
    let incidents = running.incidents();
    assert_eq!(incidents[0]["fields"], serde_json::json!({"severity": "high", "receiver": "hook", "event": "ping", "env": "prod"}));
    assert_eq!(incidents[1]["fields"], serde_json::json!({"receiver": "hook", "event": "ping", "env": "prod"}));

    // The same alerts again, in another batch, are the same events.
    let again = post(&running, &format!(r#"{{"alerts":[{two},{one}]}}"#));
    assert!(again.iter().all(|one| one["duplicate"] == true), "{again:?}");
    assert_eq!(again[1]["id"], answer[0]["id"]);
}

#[test]
fn incidents_are_found_by_their_fields() {
    let running = mapped(MAP);
    for (n, severity) in ["high", "low", "high"].into_iter().enumerate() {
        post(&running, &format!(r#"{{"receiver":"r{n}","alerts":[{{"fingerprint":{n},"labels":{{"severity":"{severity}"}}}}]}}"#));
    }
    let found = |query: &str| {
        let page = running.admin(&format!("/api/v1/incidents?order=asc&{query}")).json();
        page["incidents"].as_array().unwrap().iter().map(|one| one["fields"]["receiver"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("field=severity:high"), ["r0", "r2"]);
    assert_eq!(found("field=severity:high&field=receiver:r2"), ["r2"]);
    assert_eq!(found("field=severity:none"), [""; 0]);
    assert_eq!(running.admin("/api/v1/incidents?field=severity").status, 400);
}

#[test]
fn nothing_left_is_an_empty_answer() {
    let running = mapped(MAP);
    assert_eq!(post(&running, r#"{"alerts":[{"status":"resolved"},{"status":"resolved"}]}"#), [Value::Null; 0]);
    assert_eq!(post(&running, r#"{"alerts":[]}"#), [Value::Null; 0]);
    assert!(running.incidents().is_empty());
    assert_eq!(running.metric("hookgate_dropped_incidents_total{instance=\"in\"}"), 2.0);
}

#[test]
fn a_filter_that_fails_loses_no_event() {
    let running = mapped("[instance.map]\nname = \".a.b\"\noccurred = \"error\"\nfields = { f = \".a.b\" }\n");
    let answer = post(&running, r#"{"a":"text","name":"sent","occurred":"2026-01-31"}"#);
    assert_eq!((answer[0]["name"].as_str(), answer[0]["occurred"].as_str()), (Some("sent"), Some("2026-01-31T00:00:00Z")));
    let warnings = answer[0]["warnings"].to_string();
    for filter in ["name", "occurred", "field f"] {
        assert!(warnings.contains(&format!("{filter} failed")), "{warnings}");
    }
    assert!(!warnings.contains("text"), "what went wrong is for the operator: {warnings}");
    assert_eq!(running.metric("hookgate_map_failures_total{instance=\"in\"}"), 3.0);
    // A body that the map was not written for.
    let running = mapped(MAP);
    let answer = post(&running, r#"{"challenge":"x"}"#);
    assert!(answer[0]["warnings"][0].as_str().unwrap().contains("items are not in the body"), "{answer:?}");
    assert!(running.incidents()[0]["rawJson"]["challenge"] == "x");
}

#[test]
fn a_runaway_filter_costs_others_nothing() {
    let plain = "[[instance]]\nname = \"plain\"\nallow_unauthenticated = true\n";
    let runaway = "[instance.map]\nname = \"[limit(1e9; repeat(1))]\"\ntype = '\"x\" * 1e9'\noccurred = \"last(range(1e12))\"\n";
    let running = mapped(&format!("{runaway}{plain}"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..10 {
                        let answer = running.post(format!("{{\"name\":\"{n}\"}}")).json();
                        assert_eq!((answer[0]["name"].as_str(), answer[0]["type"].as_str()), (Some(&*n.to_string()), Some("Default")));
                        assert_eq!(answer[0]["warnings"].as_array().unwrap().len(), 3);
                    }
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            assert_eq!(running.request("POST", "/instance/execute/plain", &[], b"{}").status, 200);
        }
    });
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn large_bodies_are_mapped_too() {
    let running = mapped(MAP);
    let alert = |n: usize| format!(r#"{{"fingerprint":{n},"labels":{{"alertname":"A{n}","host":"h","pad":"{}"}}}}"#, "x".repeat(1_000));
    let alerts: Vec<String> = (0..2_000).map(alert).collect();
    let answer = post(&running, &format!(r#"{{"receiver":"hook","alerts":[{}]}}"#, alerts.join(",")));
    assert_eq!(answer.len(), 2_000);
    assert_eq!(answer[1_999]["name"], "A1999 on h");
    assert!(answer.iter().all(|one| one.get("warnings").is_none()), "{:?}", answer.iter().find(|one| one.get("warnings").is_some()));
}

#[test]
fn a_reload_changes_the_map() {
    let running = mapped("[instance.map]\nname = \".a\"\n");
    assert_eq!(post(&running, r#"{"a":"x","b":"y"}"#)[0]["name"], "x");
    running.rewrite(|text| text.replace("\".a\"", "\".b\"")).unwrap();
    assert_eq!(post(&running, r#"{"a":"x","b":"y"}"#)[0]["name"], "y");
    let refused = running.rewrite(|text| text.replace("\".b\"", "\".b |\"")).unwrap_err().to_string();
    assert!(refused.contains("instance[0].map.name") && refused.contains("at line 1 column 5 of the filter"), "{refused}");
    assert_eq!(post(&running, r#"{"a":"x","b":"y"}"#)[0]["name"], "y");
}

fn hookgate(folder: &std::path::Path, args: &[&str], input: &str) -> std::process::Output {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder).args(args).write_stdin(input).output().unwrap()
}

fn printed(folder: &std::path::Path, args: &[&str], input: &str) -> String {
    let output = hookgate(folder, args, input);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_map_is_tried_on_a_file_without_storing_anything() {
    let running = mapped(MAP);
    let body =
        r#"{"receiver":"hook","alerts":[{"n":1e400,"labels":{"alertname":"Disk","host":"a","severity":"high"}},{"status":"resolved"}]}"#;
    let arguments = ["map", "in", "-", "--header", "X-Event: ping", "--query", "env=test"];
    let text = printed(running.folder(), &arguments, body);
    for line in [
        "default rules: 1 incident\n    1  name      Generic webhook triggered incident\n",
        "with the map: 1 incident, 1 dropped\n    1  name      Disk on a\n       type      Default\n       occurred  the time of arrival\n",
        "field     env: test\n       field     event: ping\n       field     receiver: hook\n       field     severity: high\n",
    ] {
        assert!(text.contains(line), "{line}in\n{text}");
    }
    let json = printed(running.folder(), &[&arguments[..], &["--json"]].concat(), body);
    assert!(json.contains("\"n\":1e400"), "numbers are as sent: {json}");
    let json: Value = serde_json::from_str(&json.replace("1e400", "1")).unwrap();
    assert_eq!((&json[0]["after"]["dropped"], &json[0]["before"]["dropped"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(json[0]["after"]["incidents"][0]["fields"]["env"], "test");
    assert_eq!(json[0]["after"]["incidents"][0]["rawJson"]["headers"]["x-event"], "ping");
    assert!(running.incidents().is_empty());

    assert!(printed(running.folder(), &["map", "in"], "{").contains("refused: Request, and rawJson"));
    assert_eq!(hookgate(running.folder(), &["map", "nobody"], "{}").status.code(), Some(1));
}

#[test]
fn a_map_is_tried_on_the_samples() {
    // Samples from before there was a map, and from after.
    let running = mapped("store_samples = true\n");
    post(&running, r#"{"alerts":[{"labels":{"alertname":"Disk","host":"a"}}]}"#);
    running.rewrite(|text| text + MAP).unwrap();
    post(&running, r#"{"alerts":[{"labels":{"alertname":"Net","host":"b","severity":"low"},"status":"new"}]}"#);
    let json: Value = serde_json::from_str(&printed(running.folder(), &["map", "in", "--samples", "--json"], "")).unwrap();
    let after = |n: usize| &json[n]["after"]["incidents"][0];
    assert_eq!((&after(0)["name"], &after(1)["name"]), (&Value::from("Disk on a"), &Value::from("Net on b")));
    assert_eq!(after(1)["fields"], serde_json::json!({"severity": "low", "event": "ping"}));
    assert_eq!(after(1)["warnings"], serde_json::json!([]));
    let listed = printed(running.folder(), &["incidents", "list", "--field", "severity=low", "--json"], "");
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().len(), 1);
    let exported = printed(running.folder(), &["incidents", "export", "--field", "severity:low", "--field", "env=prod"], "");
    assert!(exported.contains(r#""fields":{"env":"prod","event":"ping","severity":"low"}"#), "{exported}");
    assert_eq!(hookgate(running.folder(), &["incidents", "list", "--field", "severity"], "").status.code(), Some(2));
}

/// A process that may not have more than 1 GiB, the compiler's stack included, tries filters that want to fill the memory.
#[test]
fn no_filter_fills_the_memory() {
    let folder = tempfile::TempDir::new().unwrap();
    let event = format!(r#"{{"a":"{}","b":[{}1]}}"#, "x".repeat(20_000), "[[]],".repeat(2_000));
    for filter in [
        r#""x" * 1000000000"#,
        "[limit(1e9; repeat(.))]",
        r#"reduce range(60) as $i ("x"; . + .)"#,
        "reduce range(60) as $i (.; . * {a: ., b: .})",
        "reduce range(60) as $i ([1]; [., .]) | tojson",
        "[range(1e9)]",
        "[.. |= [., ., .]] | [.. |= [., .]]",
        r#".a * 100000 | explode"#,
        r#"[.a / ""] | [combinations] | length"#,
        "[paths, paths(..), (paths | tojson)] | [., .] | [combinations(6)]",
        r#"[.a | splits("")] | [., .] | [combinations]"#,
        "[recurse(if . == null then empty else [.[]?, .] end)]",
        "reduce range(60) as $i (7; . * . * .)",
    ] {
        let config = format!("{BASIC}[instance.map]\nname = '''{filter}'''\n");
        std::fs::write(folder.path().join("hookgate.toml"), config).unwrap();
        let limited = format!("ulimit -v 1048576; exec {} map in - --json", env!("CARGO_BIN_EXE_hookgate"));
        let output =
            assert_cmd::Command::new("sh").current_dir(folder.path()).args(["-c", &limited]).write_stdin(&*event).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{filter}: {output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json[0]["after"]["failures"][0]["filter"], "name", "{filter}: {}", json[0]["after"]);
    }
}

#[test]
fn check_tells_every_broken_filter_with_its_line() {
    let folder = tempfile::TempDir::new().unwrap();
    let map = "[instance.map]\nname = \".a |\"\ntype = \".a\"\noccurred = \"nope\"\n[instance.map.fields]\nx = \"$y\"\n\"a-b\" = \".\"\n";
    std::fs::write(folder.path().join("hookgate.toml"), format!("{BASIC}{map}")).unwrap();
    let output = hookgate(folder.path(), &["check"], "");
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    for want in [
        "hookgate.toml:6: instance[0].map.name: expected term, found the end at line 1 column 5 of the filter",
        "hookgate.toml:8: instance[0].map.occurred: there is no function nope at line 1 column 1",
        "hookgate.toml:10: instance[0].map.fields.x: there is no variable $y",
        "hookgate.toml:11: instance[0].map.fields.a-b: is no name for a field",
    ] {
        assert!(said.contains(want), "{want} in\n{said}");
    }
    assert!(!said.contains("map.type"), "{said}");
}

/// What a body costs at its peak under a map, over the idle process; most of these would take 250 to 550 MiB.
#[test]
fn a_large_body_costs_a_bounded_amount_of_memory_and_is_never_lost() {
    let filters = ["items = \"[.a]|.[]|{a:., b:$body}\"", "name = \".a|length|tostring\"", "type = \"[..]|length|tostring\""];
    let map = format!("[instance.map]\n{}\n", filters.join("\n"));
    let list = |item: &str, size: usize| format!("{{\"a\":[{}]}}", vec![item; size / (item.len() + 1) - 4].join(","));
    const ALL: usize = 10 << 20;
    for (item, size, is_mapped) in [
        ("0", ALL, false),
        ("0", 2_500_000, false),
        ("{}", ALL, false),
        (r#"{"":0}"#, ALL, false),
        (r#"{"a":{"b":[1,"x"]}}"#, ALL, false),
        ("1e5", 2_500_000, false),
        (r#""xxxxxxxxxxxxxxxxxxx\n""#, ALL / 3, true),
        (&format!("\"{}\"", "x".repeat(900)), ALL / 2, true),
    ] {
        let (what, body) = (format!("{item:.30} in {size}"), list(item, size));
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("hookgate.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{BASIC}{map}")).unwrap();
        let process = Process::serve(folder.path());
        let idle = process.peak_memory();
        let answer = request(process.address, "POST", "/instance/execute/in", &[ALICE], body.as_bytes());
        let rise = process.peak_memory() - idle;
        println!("{what}: {rise} MiB");
        let stored = &answer.json()[0];
        assert_eq!(answer.status, 200, "{what}: {stored}");
        assert_eq!(stored["name"] != "Generic webhook triggered incident", is_mapped, "{what}: {stored}");
        assert_eq!(stored["warnings"].is_null(), is_mapped, "{what}: {stored}");
        assert!(rise <= 128, "{what}: {rise} MiB");
    }
}

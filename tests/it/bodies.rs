//! From bodies to incidents, seen from outside. The rules themselves are tested beside the code in `src/intake`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{ALICE, BASIC, Running};

const REFUSAL: &str = "Request, and rawJson field if exists must be in JSON format";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_array_is_one_incident_per_element_in_order() {
    let running = Running::start(BASIC);
    let answer = running.post(r#"[{"name":"a"},{"name":"b"},{"name":"c"}]"#);
    let names: Vec<_> = answer.json().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let stored: Vec<_> = running.incidents().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stored, ["a", "b", "c"]);
    let none = running.post(" [ ] ");
    assert_eq!((none.status, none.text().as_str()), (200, "[]"));
}

#[test]
fn what_was_sent_is_kept_to_the_byte() {
    let running = Running::start(BASIC);
    let sent = r#"{"z":1e400,"a":123456789012345678901234567890,"a":-0.0,"u":"\u00e9\/\ud800","s":{ "x" : [1 ,2] }}"#;
    let id = &running.post(format!("{{\"rawJson\":{sent}}}")).ids()[0];
    let stored = running.admin(&format!("/api/v1/incidents/{id}")).text();
    assert!(stored.contains(sent.strip_suffix('}').unwrap()), "{stored}");
}

#[test]
fn defaults_are_those_of_the_instance() {
    let running = Running::start(&format!("{BASIC}incident_type = \"Phishing\"\n"));
    let answer = running.post(r#"{"name":7,"type":"","occurred":"yesterday"}"#).json();
    assert_eq!(answer[0]["name"], "Generic webhook triggered incident");
    assert_eq!(answer[0]["type"], "Phishing");
    assert_eq!(answer[0]["occurred"], answer[0]["created"]);
    assert_eq!(answer[0]["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_senders_own_headers_are_replaced() {
    let running = Running::start(BASIC);
    running.post(r#"{"rawJson":{"headers":{"authorization":"mine"},"a":1}}"#);
    let raw = &running.incidents()[0]["rawJson"];
    assert_eq!(raw["a"], 1);
    assert_eq!(raw["headers"]["host"], "test");
    assert!(raw["headers"].get("authorization").is_none());
}

#[test]
fn a_bad_body_is_refused_whole() {
    let running = Running::start(BASIC);
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    for body in ["", " ", "nope", "1", "\"x\"", "null", "{", "[{},1]", "[{}", "{}{}", r#"{"rawJson":1}"#, r#"{"rawJson":"x"}"#, &deep] {
        let answer = running.post(body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().starts_with(REFUSAL), "{body}: {}", answer.text());
        assert_eq!(answer.text().lines().count(), 1);
    }
    assert!(running.post(r#"[{"a":1},{"b":2},3]"#).text().contains('2'), "names the element");
    assert!(running.incidents().is_empty());
}

#[test]
fn a_stranger_does_not_learn_what_is_wrong_with_a_body() {
    let running = Running::start(BASIC);
    assert_eq!(running.request("POST", "/instance/execute/in", &[], b"nope").status, 401);
    let huge = vec![b'['; 300_000];
    assert_eq!(running.request("POST", "/instance/execute/in", &[], &huge).status, 401);
}

#[test]
fn json_is_json_whatever_it_is_called() {
    let running = Running::start(BASIC);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "nonsense"] {
        let answer = running.request("POST", "/instance/execute/in", &[ALICE, ("content-type", kind)], b"\xef\xbb\xbf{\"name\":\"n\"}");
        assert_eq!(answer.json()[0]["name"], "n", "{kind}");
    }
}

#[test]
fn forms_become_objects() {
    let running = Running::start(BASIC);
    let form = ("content-type", "application/x-www-form-urlencoded");
    running.request("POST", "/instance/execute/in", &[ALICE, form], b"payload=%7B%22name%22%3A%22github%22%7D");
    running.request("POST", "/instance/execute/in", &[ALICE, form], b"name=plain+form&a=1&a=2");
    let stored = running.incidents();
    assert_eq!(stored[0]["name"], "github");
    assert_eq!(stored[1]["name"], "plain form");
    assert_eq!(stored[1]["rawJson"]["a"], serde_json::json!(["1", "2"]));
}

#[test]
fn broken_json_that_is_called_a_form_is_refused() {
    let running = Running::start(BASIC);
    for broken in [r#"{"a":1"#, r#"{"a":}"#, "[1", " [{}", "\u{feff}{"] {
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(running.request("POST", "/instance/execute/in", &[ALICE, form], broken.as_bytes()).status, 400, "{broken}");
    }
    assert!(running.incidents().is_empty());
}

#[test]
fn gzip_is_unpacked_and_bounded() {
    let running = Running::start_with("max_body = \"100KiB\"", BASIC);
    let post = |encoding, body: &[u8]| running.request("POST", "/instance/execute/in", &[ALICE, ("content-encoding", encoding)], body);
    assert_eq!(post("gzip", &gzip(b"{\"name\":\"zipped\"}")).json()[0]["name"], "zipped");
    let bomb = gzip(format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)).as_bytes());
    assert!(bomb.len() < 10_000);
    assert_eq!(post("gzip", &bomb).status, 413);
    assert_eq!(post("gzip", b"{}").status, 400);
    for encoding in ["br", "deflate", "gzip, gzip"] {
        assert_eq!(post(encoding, b"{}").status, 415, "{encoding}");
    }
}

#[test]
fn limits_of_size_and_number_hold() {
    let running = Running::start_with("max_body = \"100KiB\"\nmax_incidents = 3", BASIC);
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(100 * 1024 - 8));
    assert_eq!(running.post(&body).status, 200);
    assert_eq!(running.post(format!(" {body}")).status, 413);
    assert_eq!(running.post("[{},{},{}]").ids().len(), 3);
    assert_eq!(running.post("[{},{},{},{}]").status, 413);
    assert_eq!(running.incidents().len(), 4);
}

#[test]
fn duplicates_are_told_the_first_id() {
    let running = Running::start(&format!("{BASIC}duplication_key = [\"incidentId\", \"alert.id\"]\n"));
    let first = running.post(r#"{"incidentId":5,"n":1}"#).json();
    let again = running.post(r#"{"incidentId":"5","n":2}"#).json();
    assert_eq!(again[0]["id"], first[0]["id"]);
    assert_eq!(again[0]["duplicate"], true);
    assert!(first[0].get("duplicate").is_none());
    let twins = running.post(r#"[{"alert":{"id":"x"}},{"alert":{"id":"x"}},{"alert":{}}]"#).json();
    assert_eq!(twins[0]["id"], twins[1]["id"]);
    assert_ne!(twins[1]["id"], twins[2]["id"]);
    assert_eq!(running.incidents().len(), 3);
    assert_eq!(running.metric("hookgate_duplicates_total{instance=\"in\"}"), 2.0);
}

#[test]
fn samples_are_the_last_ones_in_order_and_survive_a_restart() {
    let instances =
        format!("[store]\nsamples = 3\n{BASIC}store_samples = true\n[[instance]]\nname = \"off\"\nallow_unauthenticated = true\n");
    let running = Running::start(&instances);
    for number in 0..5 {
        running.post(format!("{{\"name\":\"{number}\"}}"));
    }
    running.request("POST", "/instance/execute/off", &[], b"{}");
    let names = |running: &Running| {
        let samples = running.admin("/api/v1/instances/in/samples").json();
        let list = samples["samples"].as_array().unwrap_or_else(|| samples.as_array().unwrap());
        list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&running), ["2", "3", "4"]);
    let off = running.admin("/api/v1/instances/off/samples").json();
    assert!(!off.to_string().contains("rawJson"), "{off}");
    let running = Running::start_in(running.stop(), "", &instances);
    assert_eq!(names(&running), ["2", "3", "4"]);
}

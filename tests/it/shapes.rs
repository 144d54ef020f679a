//! Bodies that are not plain JSON, seen from outside. The rules themselves are tested beside the code in `src/intake`.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{ALICE, Answer, BASIC, Running};

/// A gateway whose instance `in` has these keys too.
fn with(keys: &str) -> Running {
    Running::start(&format!("{BASIC}{keys}\n"))
}

fn post_as(running: &Running, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
    running.request("POST", "/instance/execute/in", &[ALICE, ("content-type", content_type)], body.as_ref())
}

/// The details of everything that was stored, without the request's headers.
fn raws(running: &Running) -> Vec<Value> {
    let raw = |mut incident: Value| {
        let mut raw = incident["rawJson"].take();
        raw.as_object_mut().unwrap().remove("headers");
        raw
    };
    running.incidents().into_iter().map(raw).collect()
}

/// What is stored of one body.
fn one(running: &Running, content_type: &str, body: impl AsRef<[u8]>) -> Value {
    let before = running.incidents().len();
    assert_eq!(post_as(running, content_type, body).ids().len(), 1);
    raws(running).remove(before)
}

#[test]
fn a_form_whose_payload_is_no_json_is_the_object_of_its_fields() {
    let running = with("");
    let form = "application/x-www-form-urlencoded";
    assert_eq!(one(&running, form, "payload=5&name=n"), json!({"payload": "5", "name": "n"}));
    assert_eq!(one(&running, form, "payload=%7B%22a%22%3A1%7D&name=n"), json!({"a": 1}));
    assert_eq!(post_as(&running, form, "payload=[%7B%22a%22:1%7D,%7B%7D]").ids().len(), 2);
}

#[test]
fn lines_of_json_are_an_incident_each() {
    let running = with("accept = \"json-lines\"");
    for (body, names) in [
        ("{\"name\":\"a\"}\n\n  \n{\"name\":\"b\"}\n", &["a", "b"][..]),
        ("{\"name\":\"c\"},{\"name\":\"d\"},\r\n{\"name\":\"e\"}", &["c", "d", "e"]),
        ("{\"name\":\"f\"}", &["f"]),
        ("[{\"name\":\"g\"},{\"name\":\"h\"}]", &["g", "h"]),
    ] {
        let answer = post_as(&running, "application/x-ndjson", body).json();
        let stored: Vec<_> = answer.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(stored, names, "{body:?}");
    }
    let id = &post_as(&running, "application/json", "{\"n\": 1e400 , \"n\":2}\n{}").ids()[0];
    let stored = running.admin(&format!("/api/v1/incidents/{id}")).text();
    assert!(stored.contains("{\"n\": 1e400 , \"n\":2,\"headers\":"), "{stored}");
}

#[test]
fn a_sender_of_lines_may_ask_whether_anybody_is_there() {
    let running = with("accept = \"json-lines\"");
    for nothing in ["", " \r\n\n", "\u{feff}"] {
        let answer = running.post(nothing);
        assert_eq!((answer.status, answer.text().as_str()), (200, "[]"), "{nothing:?}");
    }
    let refused = running.post("{}\n{}\nverify\n");
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().trim_end().ends_with("element 2 (counted from 0): expected an object, found 'v' at line 3 column 1"),
        "{}",
        refused.text()
    );
    assert!(running.incidents().is_empty());
    assert_eq!(with("").post("{}\n{}").status, 400, "only where it is asked for");
}

#[test]
fn a_multipart_form_is_stored_without_its_files() {
    let running = with("");
    let body = "--frontier\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nMail\r\n\
                --frontier\r\nContent-Disposition: form-data; name=\"recipient\"\r\n\r\na@example.com\r\n\
                --frontier\r\nContent-Disposition: form-data; name=\"recipient\"\r\n\r\nb@example.com\r\n\
                --frontier\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"bill.pdf\"\r\n\
                Content-Type: application/pdf\r\n\r\n%PDF-secret-content\0\r\n--frontier--\r\n";
    let raw = one(&running, "multipart/form-data; boundary=frontier", body);
    assert_eq!(
        raw,
        json!({
            "name": "Mail",
            "recipient": ["a@example.com", "b@example.com"],
            "attachment-1": {"filename": "bill.pdf", "content_type": "application/pdf", "size": 20},
        })
    );
    assert_eq!(running.incidents()[0]["name"], "Mail");
    let refused = post_as(&running, "multipart/form-data; boundary=other", body);
    assert_eq!(refused.status, 400);
    assert!(refused.text().trim_end().ends_with("a multipart body without its boundary"), "{}", refused.text());
}

#[test]
fn what_curl_posts_as_a_form_is_understood() {
    let running = with("");
    let file = running.folder().join("report \"1\".csv");
    std::fs::write(&file, "a,b\r\n1,2\r\n").unwrap();
    let url = format!("http://{}/instance/execute/in", running.address);
    let curl = |fields: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "-u", "alice:secret", &url]);
        fields.iter().for_each(|field| {
            command.args(["-F", field]);
        });
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer.as_array().unwrap().len(), 1, "{answer}");
    };
    let quoted = file.to_str().unwrap().replace('"', "\\\"");
    curl(&["note=first line\nsecond é", "empty=", &format!("report=@\"{quoted}\";type=text/csv")]);
    curl(&["payload={\"name\":\"inside\"};type=application/json", &format!("thumb=@\"{quoted}\"")]);
    let stored = raws(&running);
    assert_eq!(stored[0]["note"], "first line\nsecond é");
    assert_eq!(stored[0]["empty"], "");
    assert_eq!(stored[0]["report"]["content_type"], "text/csv");
    assert_eq!(stored[0]["report"]["size"], 10);
    assert!(stored[0]["report"]["filename"].as_str().unwrap().starts_with("report "), "{}", stored[0]);
    assert_eq!(stored[1], json!({"name": "inside"}));
}

#[test]
fn xml_becomes_json_where_it_is_asked_for() {
    let running = with("accept = \"xml\"");
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<alert severity='high'>\n  <host>db-1</host>\n  <tag>a</tag>\n  <tag>b</tag>\n  \
               <note>disk &amp; cpu</note>\n</alert>\n";
    let want = json!({"alert": {"@severity": "high", "host": "db-1", "tag": ["a", "b"], "note": "disk & cpu"}});
    assert_eq!(one(&running, "application/xml", xml), want);
    assert_eq!(one(&running, "text/plain", xml), want);
    assert_eq!(one(&running, "application/x-www-form-urlencoded", xml), want, "what curl calls a form");
    assert_eq!(one(&running, "application/x-www-form-urlencoded", "a=%3Cb/%3E"), json!({"a": "<b/>"}));
    assert_eq!(one(&running, "application/json", "{\"name\":\"JSON still\"}"), json!({"name": "JSON still"}));

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(xml.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let answer = running.request("POST", "/instance/execute/in", &[ALICE, ("content-encoding", "gzip")], &packed);
    assert_eq!(answer.ids().len(), 1);

    let before = running.incidents().len();
    let laughs = "<!DOCTYPE a [<!ENTITY b \"&c;&c;\"><!ENTITY c \"ha\">]><a>&b;</a>";
    for (body, why) in [(laughs, "DOCTYPE"), ("<a><b></a>", "a tag that does not fit"), ("", "the body is empty"), ("text", "text outside")]
    {
        let refused = post_as(&running, "application/xml", body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains(why), "{body}: {}", refused.text());
    }
    assert_eq!(running.incidents().len(), before);
    assert_eq!(with("").post(xml).status, 400, "only where it is asked for");
}

#[test]
fn anything_is_kept_where_it_is_asked_for() {
    let running = with("accept = \"any\"");
    let text = "text/plain; charset=utf-8";
    assert_eq!(one(&running, text, "[ALERT] disk \"full\"\n"), json!({"content": "[ALERT] disk \"full\"\n", "content_type": text}));
    assert_eq!(one(&running, text, ""), json!({"content": "", "content_type": text}));
    assert_eq!(one(&running, "application/json", "{\"broken\":"), json!({"content": "{\"broken\":", "content_type": "application/json"}));
    assert_eq!(one(&running, "application/json", "5"), json!({"content": "5", "content_type": "application/json"}));
    assert_eq!(
        one(&running, "image/png", b"\x89PNG\r\n"),
        json!({"content_base64": STANDARD.encode(b"\x89PNG\r\n"), "content_type": "image/png"})
    );
    assert_eq!(one(&running, text, "{\"name\":\"JSON\"}"), json!({"name": "JSON"}));
    assert_eq!(one(&running, "application/x-www-form-urlencoded", "a=1&b=2"), json!({"a": "1", "b": "2"}));
    let curls = one(&running, "application/x-www-form-urlencoded", "Disk full");
    assert_eq!(curls["content"], "Disk full", "what curl calls a form");
    let broken = one(&running, "multipart/form-data; boundary=x", "--y\r\n\r\n1");
    assert_eq!(broken["content"], "--y\r\n\r\n1");
    assert_eq!(post_as(&running, text, "[{\"a\":1},{\"a\":2}]").ids().len(), 2);
    assert_eq!(one(&running, text, "[1,2]")["content"], "[1,2]");
    let bare = running.request("POST", "/instance/execute/in", &[ALICE], b"no type");
    assert_eq!(bare.ids().len(), 1);
    assert_eq!(raws(&running).last().unwrap(), &json!({"content": "no type"}));
}

#[test]
fn what_grows_beyond_max_body_is_too_large() {
    let running = Running::start_with("max_body = \"1KiB\"", &format!("{BASIC}accept = \"any\"\n"));
    assert_eq!(running.post(vec![b'x'; 900]).status, 200);
    assert_eq!(running.post(vec![b'"'; 900]).status, 413);
    assert_eq!(running.post(vec![0xff; 900]).status, 413);
}

#[test]
fn json_inside_strings_takes_their_place() {
    let running = with("unwrap = [\"base64 .message.data\", \"json .Message\", \"json .data.attributes.entity\"]");
    let data = STANDARD.encode(r#"{"alert": {"id":7}}"#);
    let message = format!(r#"{{"message":{{"data":"{data}","messageId":"1"}},"subscription":"s"}}"#);
    let want = json!({"message": {"data": {"alert": {"id": 7}}, "messageId": "1"}, "subscription": "s"});
    assert_eq!(one(&running, "application/json", message), want);
    let notification = r#"{"Type":"Notification","Message":"{\"AlarmName\":\"cpu\"}"}"#;
    assert_eq!(one(&running, "text/plain; charset=UTF-8", notification)["Message"], json!({"AlarmName": "cpu"}));
    assert_eq!(one(&running, "text/plain; charset=UTF-8", r#"{"Message":"plain text"}"#)["Message"], "plain text");
    let deep = r#"{"data":{"attributes":{"entity":"{\"a\":1}"}}}"#;
    assert_eq!(one(&running, "application/json", deep)["data"]["attributes"]["entity"], json!({"a": 1}));
    let broken = running.post(r#"{"Message":"{\"cut off"}"#).json();
    assert_eq!(broken[0]["warnings"], json!([".Message begins like JSON and is none; it was left as it was"]));
    assert_eq!(raws(&running).last().unwrap()["Message"], "{\"cut off");
}

#[test]
fn a_cloudevent_is_the_same_in_every_mode() {
    let running = with("cloudevents = true");
    let want = json!({
        "specversion": "1.0", "type": "com.example.disk", "source": "/db 1", "id": "7",
        "datacontenttype": "application/json", "data": {"free": 0.4},
    });
    let binary = [
        ALICE,
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.disk"),
        ("ce-source", "/db%201"),
        ("ce-id", "7"),
        ("content-type", "application/json"),
    ];
    running.request("POST", "/instance/execute/in", &binary, br#"{"free":0.4}"#).ids();
    post_as(&running, "application/cloudevents+json", want.to_string()).ids();
    post_as(&running, "application/cloudevents-batch+json; charset=utf-8", format!("[{want}]")).ids();
    let stored = raws(&running);
    assert_eq!(stored, [want.clone(), want.clone(), want]);
    assert_eq!(running.incidents()[0]["type"], "com.example.disk");

    let image = [ALICE, ("ce-specversion", "1.0"), ("ce-id", "8"), ("content-type", "image/png")];
    running.request("POST", "/instance/execute/in", &image, b"\x89PNG").ids();
    assert_eq!(raws(&running)[3]["data_base64"], STANDARD.encode(b"\x89PNG"));

    let plain = with("");
    plain.request("POST", "/instance/execute/in", &binary, br#"{"free":0.4}"#).ids();
    assert_eq!(raws(&plain), [json!({"free": 0.4})], "only where it is asked for");
}

//! Any body, as JSON (`j`), a form (`f`) or gzip (`g`), whichever the first byte says: no panic, and whatever becomes an
//! incident is JSON that carries our headers.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use hookgate::incident::{Draft, with_headers};
use hookgate::intake::{Accept, Body, Rules, headers_json, read};
use http::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else { return };
    let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("hooks.example.com"))]);
    let rules = Rules {
        incident_type: None,
        duplication_key: ["id", "alert.0.id", "headers.host"].iter().map(|path| path.parse().expect("a path")).collect(),
        max_incidents: 50,
        max_body: 20_000,
        accept: Accept::Json,
        unwrap: Vec::new(),
        cloudevents: false,
        mapping: None,
    };
    let body = Body {
        query: None,
        content_type: (*kind == b'f').then_some("application/x-www-form-urlencoded"),
        content_encoding: (*kind == b'g').then_some("gzip"),
        bytes: Bytes::copy_from_slice(body),
        headers: &headers,
        secret_header: None,
    };
    match read(body, &rules) {
        Ok(intake) => intake.drafts.iter().for_each(|draft| check(draft, &headers)),
        Err(error) => {
            let line = error.to_string();
            assert!(line.len() < 300 && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        }
    }
});

fn check(draft: &Draft, headers: &HeaderMap) {
    // Names without a text, such as lone surrogates, are JSON too, yet no map's keys.
    if let Ok(object) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(&draft.raw) {
        assert!(!object.contains_key("headers"), "{object:?}");
    }
    let raw = with_headers(&draft.raw, &headers_json(headers, None));
    let raw = serde_json::from_slice::<&RawValue>(&raw).expect("an incident's rawJson is JSON");
    assert!(raw.get().ends_with(r#""headers":{"host":"hooks.example.com"}}"#), "{raw}");
    assert!(!draft.name.trim().is_empty() && draft.name.chars().count() <= 1_024, "{:?}", draft.name);
    assert!(draft.occurred.as_ref().is_none_or(|occurred| occurred.len() >= 20 && occurred.ends_with('Z')), "{:?}", draft.occurred);
    assert!(draft.key.is_some(), "the host is always there");
}

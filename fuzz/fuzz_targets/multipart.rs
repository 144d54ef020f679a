//! Any multipart body, with the boundary on its first line behind the two hyphens: no panic, and it is refused or becomes JSON
//! that is no longer than a body may be.
#![no_main]

use bytes::Bytes;
use hookgate::intake::{Accept, Body, IntakeError, Rules, read};
use http::HeaderMap;
use serde_json::value::RawValue;

const MAX_BODY: usize = 20_000;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let first_line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let boundary = String::from_utf8_lossy(first_line.strip_prefix(b"--").unwrap_or(first_line)).replace(['"', '\\'], "");
    let rules = Rules {
        incident_type: None,
        duplication_key: Vec::new(),
        max_incidents: 50,
        max_body: MAX_BODY,
        accept: Accept::Json,
        unwrap: ["json .a", "base64 .b", "json .a.c"].iter().map(|rule| rule.parse().expect("a rule")).collect(),
        cloudevents: false,
        mapping: None,
    };
    let body = Body {
        query: None,
        content_type: Some(&format!("multipart/form-data; boundary=\"{}\"", boundary.trim())),
        content_encoding: None,
        bytes: Bytes::copy_from_slice(input),
        headers: &HeaderMap::new(),
        secret_header: None,
    };
    match read(body, &rules) {
        Ok(intake) => {
            let drafts = intake.drafts;
            assert!(drafts.iter().map(|draft| draft.raw.len()).sum::<usize>() <= MAX_BODY);
            for draft in &drafts {
                serde_json::from_slice::<&RawValue>(&draft.raw).expect("an incident's rawJson is JSON");
            }
        }
        Err(IntakeError::Malformed { what }) => assert!(what.is_ascii() && what.len() < 300 && !what.contains('\n'), "{what:?}"),
        Err(_) => {}
    }
});

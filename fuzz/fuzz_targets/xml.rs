//! Any body where XML (`x`), lines of JSON (`l`) or anything (`a`) is accepted, whichever the first byte says: no panic, and it
//! is refused or becomes JSON that is no longer than a body may be. Of anything nothing is refused but for its size.
#![no_main]

use bytes::Bytes;
use hookgate::intake::{Accept, Body, IntakeError, Rules, read};
use http::HeaderMap;
use serde_json::value::RawValue;

const MAX_BODY: usize = 20_000;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else { return };
    let accept = match kind {
        b'a' => Accept::Any,
        b'l' => Accept::JsonLines,
        _ => Accept::Xml,
    };
    let rules = Rules {
        incident_type: None,
        duplication_key: Vec::new(),
        max_incidents: 50,
        max_body: MAX_BODY,
        accept,
        unwrap: Vec::new(),
        cloudevents: false,
        mapping: None,
    };
    let bytes = Bytes::copy_from_slice(body);
    let body = Body { query: None, content_type: None, content_encoding: None, bytes, headers: &HeaderMap::new(), secret_header: None };
    match read(body, &rules) {
        Ok(intake) => {
            assert!(intake.drafts.iter().map(|draft| draft.raw.len()).sum::<usize>() <= MAX_BODY);
            for draft in &intake.drafts {
                serde_json::from_slice::<&RawValue>(&draft.raw).expect("an incident's rawJson is JSON");
            }
        }
        Err(IntakeError::Malformed { what }) => {
            assert!(what.is_ascii() && what.len() < 300 && !what.contains('\n'), "{what:?}");
            // What a JSON object says of its rawJson is looked at as everywhere.
            assert!(accept != Accept::Any || what.contains("raw"), "{what}");
        }
        Err(_) => {}
    }
});

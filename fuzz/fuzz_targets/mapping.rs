//! Any body through a map whose filters take everything apart: no panic, and whatever becomes an incident is JSON.
#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hookgate::incident::with_headers;
use hookgate::intake::{Accept, Body, Rules, read};
use hookgate::mapping::{MapSpec, Mapping};
use http::HeaderMap;
use serde_json::value::RawValue;

/// By the first byte: items as a path, and as a filter.
static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let items = [None, Some(".a[]"), Some(".[]?"), Some(".. | objects")];
    items.into_iter().map(|items| rules(items.map(str::to_owned))).collect()
});

fn rules(items: Option<String>) -> Rules {
    let filter = |text: &str| Some(text.to_owned());
    let fields =
        [("text", "tojson"), ("sorted", "[..] | sort | unique"), ("found", "[.. | strings | test(\"a+\")]"), ("body", "$body | length")];
    let spec = MapSpec {
        items,
        name: filter(".a // .b"),
        kind: filter("[paths] | length"),
        occurred: filter(".a, .b"),
        duplication_key: filter("."),
        drop: filter(".c | not | not"),
        fields: fields.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
    };
    let mapping = Mapping::compile(&spec).expect("the filters are jq");
    Rules {
        incident_type: None,
        duplication_key: Vec::new(),
        max_incidents: 50,
        max_body: 20_000,
        accept: Accept::Json,
        unwrap: Vec::new(),
        cloudevents: false,
        mapping: Some(Arc::new(mapping)),
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((which, body)) = input.split_first() else { return };
    let headers = HeaderMap::new();
    let bytes = Bytes::copy_from_slice(body);
    let body = Body { content_type: None, content_encoding: None, bytes, query: None, headers: &headers, secret_header: None };
    for draft in read(body, &RULES[usize::from(*which) % RULES.len()]).into_iter().flat_map(|intake| intake.drafts) {
        serde_json::from_slice::<&RawValue>(&with_headers(&draft.raw, "{}")).expect("an incident's rawJson is JSON");
        assert!(draft.fields.iter().all(|field| !field.value.is_empty() && field.value.chars().count() <= 1_024));
    }
});

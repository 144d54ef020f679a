//! What maps make of bodies, rule by rule.

use http::HeaderMap;
use http::header::HeaderValue;
use proptest::prelude::*;

use super::super::{Accept, Body, Rules};
use super::*;
use crate::incident::with_headers;
use crate::mapping::MapSpec;

fn spec(filters: &[(&str, &str)]) -> MapSpec {
    let mut spec = MapSpec::default();
    for (key, filter) in filters {
        let text = (*filter).to_owned();
        let filter = Some(text.clone());
        match *key {
            "items" => spec.items = filter,
            "name" => spec.name = filter,
            "type" => spec.kind = filter,
            "occurred" => spec.occurred = filter,
            "duplication_key" => spec.duplication_key = filter,
            "drop" => spec.drop = filter,
            field => drop(spec.fields.insert(field.to_owned(), text)),
        }
    }
    spec
}

fn read(filters: &[(&str, &str)], body: &str) -> Result<Intake, IntakeError> {
    let rules = Rules {
        incident_type: Some("Default type".into()),
        duplication_key: vec!["id".parse().unwrap()],
        max_incidents: 5,
        max_body: 1_000_000,
        mapping: Some(Mapping::compile(&spec(filters)).unwrap().into()),
        accept: Accept::Json,
        unwrap: Vec::new(),
        cloudevents: false,
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-event", HeaderValue::from_static("ping"));
    headers.insert("authorization", HeaderValue::from_static("Basic s3cret"));
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let body = Body { content_type: None, content_encoding: None, bytes, query: Some("env=prod"), headers: &headers, secret_header: None };
    super::super::read(body, &rules)
}

fn drafts(filters: &[(&str, &str)], body: &str) -> Vec<Draft> {
    read(filters, body).unwrap().drafts
}

fn one(filters: &[(&str, &str)], body: &str) -> Draft {
    let mut drafts = drafts(filters, body);
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    drafts.remove(0)
}

fn raws(items: &str, body: &str) -> Vec<String> {
    drafts(&[("items", items)], body).into_iter().map(|draft| String::from_utf8(draft.raw.into()).unwrap()).collect()
}

#[test]
fn items_of_a_plain_path_are_kept_to_the_byte() {
    let odd = r#"{ "n" : 1e400, "n":-0.0 , "\u0061":"\ud800\/"}"#;
    for (items, body) in [
        (".", odd.to_owned()),
        (".alerts[]", format!(r#"{{"x":1,"alerts":[{{"old":1}}],"alerts" : [ {odd} ] }}"#)),
        (".data.events[]", format!(r#"{{"data":{{"events":[{odd}]}}}}"#)),
        (".[]", format!("[{odd}]")),
        (".[]", format!(r#"{{"any":{odd}}}"#)),
        (r#".["a b"]"#, format!(r#"{{"a b":{odd}}}"#)),
        (".[].list[]", format!(r#"[{{"none":1}},{{"list":[{odd}]}},{{"list":[]}}]"#)),
        (".alerts[]?", format!(r#"{{"alerts":[{odd}]}}"#)),
    ] {
        assert_eq!(raws(items, &body), [odd], "{items} of {body}");
        assert_eq!(one(&[("items", items)], &body).warnings, [""; 0], "{items}");
    }
}

#[test]
fn items_of_other_filters_are_written_as_json() {
    let body = r#"{"alerts":[{"a":1e400,"s":"é"},{"a":2}]}"#;
    assert_eq!(raws(".alerts | .[]", body), [r#"{"a":1e400,"s":"é"}"#, r#"{"a":2}"#]);
    assert_eq!(raws(".alerts[] | select(.a == 2) | {n: .a, x: $query.env}", body), [r#"{"n":2,"x":"prod"}"#]);
    let none = read(&[("items", ".alerts[] | select(.a == 3)")], body).unwrap();
    assert_eq!((none.drafts.len(), none.dropped), (0, 1));
}

#[test]
fn without_items_a_body_is_what_it_always_is() {
    let name = [("name", ".n")];
    assert_eq!(drafts(&name, r#"[{"n":"a"},{"n":"b"}]"#).iter().map(|draft| &*draft.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(drafts(&name, "[]").len(), 0);
    assert_eq!(one(&name, r#"{"rawJson":{"x":1},"n":"a"}"#).raw, r#"{"rawJson":{"x":1},"n":"a"}"#, "a map takes the item as it is");
    for body in ["", "5", "[5]", "{", "[{},]", "{}x"] {
        assert!(matches!(read(&name, body), Err(IntakeError::Malformed { .. })), "{body}");
        assert!(matches!(read(&[("items", ".a[]")], body), Err(IntakeError::Malformed { .. })) || body == "[5]", "{body}");
    }
}

#[test]
fn a_body_without_its_items_is_an_event_itself() {
    for body in [r#"{"alert":[]}"#, r#"{"alerts":null}"#, r#"{"alerts":"none"}"#, r#"{"alerts":7}"#] {
        let draft = one(&[("items", ".alerts[]")], body);
        assert_eq!((&*draft.raw, &draft.warnings[..]), (body.as_bytes(), &[Cow::Borrowed(NO_ITEMS)][..]), "{body}");
    }
    let of_array = drafts(&[("items", ".alerts[]")], r#"[{"a":1},7]"#);
    assert_eq!(of_array.iter().map(|draft| &*draft.raw).collect::<Vec<_>>(), [&b"{\"a\":1}"[..], b"{\"value\":7}"]);
    assert_eq!(raws(".alerts[]", r#"{"alerts":[]}"#), [""; 0], "an empty list is no mistake");
    assert_eq!(raws(".alerts[]?", r#"{"alert":1}"#), [""; 0], "nor is what may be missing");
    for failing in ["error(\"x\")", ".a | .b", "repeat(.) | select(false)", "nan | .[0]"] {
        let draft = one(&[("items", failing)], r#"{"a":"text"}"#);
        assert_eq!((&*draft.raw, &draft.warnings[..]), (&br#"{"a":"text"}"#[..], &[Cow::Borrowed(ITEMS_FAILED)][..]), "{failing}");
    }
    // A map that is not for it neither names nor drops it, nor takes it for another one.
    let map = [("items", ".alerts[]"), ("name", "\"x\""), ("drop", "true"), ("duplication_key", "\"same\""), ("f", ".name")];
    let draft = one(&map, r#"{"name":"Own name","type":"Own","occurred":"2026-02-11T09:05:00Z"}"#);
    assert_eq!((&*draft.name, draft.kind.as_deref(), draft.occurred.as_deref()), ("Own name", Some("Own"), Some("2026-02-11T09:05:00Z")));
    assert!(draft.key.is_none() && draft.fields.is_empty());
    // What it gave before it failed is not taken for everything.
    assert_eq!(raws(".a[], error(\"x\")", r#"{"a":[{}]}"#), [r#"{"a":[{}]}"#]);
}

#[test]
fn an_item_that_is_no_object_is_the_value_of_one() {
    for item in ["7", "\"x\"", "null", "[1, 2]", "1e400"] {
        let draft = one(&[("items", ".[]"), ("name", "type")], &format!("[{item}]"));
        assert_eq!(draft.raw, format!("{{\"value\":{item}}}"));
        assert_eq!(draft.warnings, [NO_OBJECT]);
        assert_ne!(draft.name, "object", "filters see the item itself");
    }
}

#[test]
fn too_many_items_are_refused() {
    for items in [".a[]", ".a | .[]"] {
        assert_eq!(drafts(&[("items", items)], r#"{"a":[{},{},{},{},{}]}"#).len(), 5);
        assert_eq!(read(&[("items", items)], r#"{"a":[{},{},{},{},{},{}]}"#).unwrap_err(), IntakeError::TooManyIncidents { max: 5 });
    }
    assert!(read(&[("items", ".missing[]")], "[1,2,3,4,5,6]").is_err());
    assert!(read(&[("items", "range(1e9) | {a: .}")], "{}").is_err());
}

#[test]
fn headers_are_taken_out_of_items() {
    assert_eq!(raws(".a[]", r#"{"a":[{"headers":1,"b":2}]}"#), [r#"{"b":2}"#]);
    assert_eq!(raws(".a[] | .headers += {x: 1}", r#"{"a":[{"b":2}]}"#), [r#"{"b":2}"#]);
}

#[test]
fn names_and_types_are_the_maps_or_the_default() {
    let labels = |filter: &str, body: &str| {
        let draft = one(&[("name", filter), ("type", filter)], body);
        (draft.name.to_string(), draft.kind.map(|kind| kind.to_string()), draft.warnings.len())
    };
    let said = |name: &str, kind: &str, warnings| (name.to_owned(), Some(kind.to_owned()), warnings);
    assert_eq!(labels(".t", r#"{"t":"x"}"#), said("x", "x", 0));
    assert_eq!(labels(".t", r#"{"t":12}"#), said("12", "12", 0));
    assert_eq!(labels(".t", r#"{"t":true,"name":"n"}"#), said("true", "true", 0));
    for nothing in ["{}", r#"{"t":null}"#, r#"{"t":""}"#, r#"{"t":" \n"}"#] {
        assert_eq!(labels(".t", nothing), said("Generic webhook triggered incident", "Default type", 0), "{nothing}");
    }
    assert_eq!(labels(".t", r#"{"t":[1],"name":"n","type":"k"}"#), said("n", "k", 2));
    assert_eq!(labels(".t.u", r#"{"t":"x","name":"n","type":"k"}"#), said("n", "k", 2));
    let long = one(&[("name", ".t")], &format!(r#"{{"t":"{}"}}"#, "é".repeat(2_000)));
    assert_eq!((long.name.chars().count(), &long.warnings[..]), (1_024, &[Cow::Borrowed(event::NAME_CUT)][..]));
}

#[test]
fn moments_are_dates_or_numbers() {
    let occurred = |value: &str| {
        let draft = one(&[("occurred", ".t")], &format!(r#"{{"t":{value},"occurred":"2020-01-01"}}"#));
        (draft.occurred.unwrap_or_default(), draft.warnings.len())
    };
    for (value, want) in [
        ("\"2026-01-31T08:00:00.5Z\"", "2026-01-31T08:00:00.500Z"),
        ("\"2026-01-31 08:00:00 UTC\"", "2026-01-31T08:00:00Z"),
        ("\"2026-01-31T08:00:00-0600\"", "2026-01-31T14:00:00Z"),
        ("1769846400", "2026-01-31T08:00:00Z"),
        ("1769846400.5", "2026-01-31T08:00:00.500Z"),
        ("1769846400123", "2026-01-31T08:00:00.123Z"),
        ("\" 1769846400123 \"", "2026-01-31T08:00:00.123Z"),
        ("\"1769846400.5\"", "2026-01-31T08:00:00.500Z"),
    ] {
        assert_eq!(occurred(value), (want.to_owned(), 0), "{value}");
    }
    for default in ["null", "\"\"", "\"0001-01-01T00:00:00Z\""] {
        assert_eq!(occurred(default), ("2020-01-01T00:00:00Z".to_owned(), 0), "{default}");
    }
    for wrong in ["\"yesterday\"", "true", "[1]", "{}", "1e300"] {
        assert_eq!(occurred(wrong), ("2020-01-01T00:00:00Z".to_owned(), 1), "{wrong}");
    }
}

#[test]
fn keys_are_any_value() {
    let key = |filter: &str, body: &str| one(&[("duplication_key", filter)], body).key;
    let body = r#"{"id":"x","n":1,"s":"1","list":["a",1],"text":"[\"a\",1]","none":null,"empty":""}"#;
    assert!(key(".n", body).is_some());
    assert_eq!(key(".n", body), key(".s", body), "a number and a string that spell the same are the same");
    assert_ne!(key(".n", body), key(".list", body));
    assert_ne!(key(".list", body), key(".text", body), "a list is not its text");
    assert_eq!(key("[.list[0], 1]", body), key(".list", body));
    for default in [".none", ".empty", "empty", ".n.x", "repeat(.) | select(false)"] {
        assert_eq!(key(default, body), one(&[("name", ".")], body).key, "{default} leaves it to the paths");
    }
    assert_ne!(key(".id", body), key(".none", body), "the same value under a path is another key");
}

#[test]
fn what_is_dropped_is_counted() {
    let body = r#"{"a":[{"s":"resolved"},{"s":"firing"},{"s":"resolved"}]}"#;
    let intake = read(&[("items", ".a[]"), ("drop", ".s == \"resolved\"")], body).unwrap();
    assert_eq!((intake.drafts.len(), intake.dropped, intake.failed), (1, 2, 0));
    for (filter, dropped) in [("true", 1), ("1", 1), ("\"\"", 1), ("false", 0), ("null", 0), ("empty", 0)] {
        assert_eq!(read(&[("drop", filter)], "{}").unwrap().dropped, dropped, "{filter}");
    }
    let kept = read(&[("drop", ".a.b")], r#"{"a":"x"}"#).unwrap();
    assert_eq!((kept.drafts[0].warnings.len(), kept.dropped, kept.failed), (1, 0, 1));
    assert!(kept.failures[0].key == "drop" && kept.failures[0].text.contains("cannot index"), "{:?}", kept.failures);
}

#[test]
fn fields_are_text() {
    let fields = |filter: &str, body: &str| {
        let draft = one(&[("f", filter), ("e", "$headers[\"x-event\"]")], body);
        let text = |field: &Field| format!("{}={}", field.name, field.value);
        (draft.fields.iter().map(text).collect::<Vec<_>>().join("&"), draft.warnings.len())
    };
    for (filter, body, want) in [
        (".f", r#"{"f":"x"}"#, "e=ping&f=x"),
        (".f", r#"{"f":12.50}"#, "e=ping&f=12.50"),
        (".f", r#"{"f":false}"#, "e=ping&f=false"),
        (".f", r#"{"f":[1,"a"]}"#, r#"e=ping&f=[1,"a"]"#),
        (".f", r#"{"f":null}"#, "e=ping"),
        (".f", r#"{"f":" "}"#, "e=ping"),
        ("$headers.authorization", "{}", "e=ping"),
    ] {
        assert_eq!(fields(filter, body), (want.to_owned(), 0), "{filter} of {body}");
    }
    assert_eq!(fields(".f.g", r#"{"f":"x"}"#), ("e=ping".to_owned(), 1));
    let (text, warnings) = fields(".f", &format!(r#"{{"f":"{}"}}"#, "é".repeat(1_025)));
    assert_eq!((text, warnings), (format!("e=ping&f={}", "é".repeat(1_024)), 1));
}

#[test]
fn broken_events_are_kept_by_the_default_rules() {
    // Deep, long and odd values; filters that fail on all of them.
    let filters = [
        ("name", ".x.y"),
        ("type", "error"),
        ("occurred", "[limit(1e9; repeat(.))]"),
        ("duplication_key", ".x | .[0]"),
        ("drop", ".x.y"),
        ("f", ".x.y"),
    ];
    let draft = one(&filters, r#"{"x":"\ud800","name":"n","type":"t","occurred":"2026-01-31","id":1}"#);
    assert_eq!((&*draft.name, draft.kind.as_deref(), draft.occurred.as_deref()), ("n", Some("t"), Some("2026-01-31T00:00:00Z")));
    assert!(draft.key.is_some() && draft.fields.is_empty());
    assert_eq!(draft.warnings.len(), 6, "{:?}", draft.warnings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_body_is_refused_or_kept_as_json(
        bytes in prop::collection::vec(prop::sample::select(&b"{}[]\":,0 \\ahe"[..]), 0..60),
        items in prop::sample::select(&[".", ".[]", ".a[]", ".a[]?", ".a | .[]", "..", "[.]", "tojson"][..]),
    ) {
        let filters = [("items", items), ("name", ".a"), ("occurred", ".a"), ("duplication_key", "."), ("f", ".")];
        for draft in read(&filters, &String::from_utf8(bytes).unwrap()).into_iter().flat_map(|intake| intake.drafts) {
            let raw = with_headers(&draft.raw, "{}");
            serde_json::from_slice::<&serde_json::value::RawValue>(&raw).unwrap();
            prop_assert!(draft.key.is_some() && !draft.name.trim().is_empty());
        }
    }
}

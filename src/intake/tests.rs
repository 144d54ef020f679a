//! From bodies to drafts, rule by rule.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::incident::with_headers;

const PREFIX: &str = "Request, and rawJson field if exists must be in JSON format: ";

fn rules() -> Rules {
    Rules {
        incident_type: Some("Default type".into()),
        duplication_key: vec!["id".parse().unwrap()],
        max_incidents: 100,
        max_body: 100_000,
        accept: Accept::Json,
        unwrap: Vec::new(),
        cloudevents: false,
        mapping: None,
    }
}

fn read_as(content_type: Option<&str>, body: impl AsRef<[u8]>) -> Result<Vec<Draft>, IntakeError> {
    let bytes = Bytes::copy_from_slice(body.as_ref());
    let headers = HeaderMap::new();
    super::read(Body { content_type, content_encoding: None, bytes, query: None, headers: &headers, secret_header: None }, &rules())
        .map(|intake| intake.drafts)
}

fn read(body: impl AsRef<[u8]>) -> Result<Vec<Draft>, IntakeError> {
    read_as(Some("application/json"), body)
}

fn one(body: impl AsRef<[u8]>) -> Draft {
    let mut drafts = read(body).unwrap();
    assert_eq!(drafts.len(), 1);
    drafts.remove(0)
}

fn raws(body: &str) -> Vec<String> {
    let text = |draft: Draft| String::from_utf8(draft.raw.into()).unwrap();
    read(body).unwrap().into_iter().map(text).collect()
}

/// What the caller reads after the fixed words.
fn refusal(body: impl AsRef<[u8]>) -> String {
    let text = read(body).unwrap_err().to_string();
    assert!(text.starts_with(PREFIX) && text.len() < 250 && !text.contains(['\n', '\r']), "{text}");
    text[PREFIX.len()..].to_owned()
}

#[test]
fn an_object_is_one_incident_and_an_array_one_for_each_element() {
    assert_eq!(raws(r#" {"a": 1} "#), [r#"{"a": 1}"#]);
    assert_eq!(raws("\u{feff}\r\n{\"a\":1}\n"), [r#"{"a":1}"#]);
    assert_eq!(raws("{}"), ["{}"]);
    assert_eq!(raws(r#"[ {"a":1} , {"b":[ ]},{}]"#), [r#"{"a":1}"#, r#"{"b":[ ]}"#, "{}"]);
    assert_eq!(raws(" [ ] "), [""; 0]);
}

#[test]
fn a_large_body_does_not_stay_for_a_small_event() {
    let headers = HeaderMap::new();
    let held = |text: String| {
        let bytes = Bytes::from(text.into_bytes());
        let body =
            Body { content_type: None, content_encoding: None, bytes: bytes.clone(), query: None, headers: &headers, secret_header: None };
        let drafts = super::read(body, &rules()).unwrap().drafts;
        (!bytes.is_unique(), drafts)
    };
    let (name, blanks) = ("n".repeat(100), " ".repeat(50_000));
    let small = format!("{{\"name\":\"{name}\",\"rawJson\":{{\"a\":1}}}}");
    for text in [format!("{small}{blanks}"), format!("[{blanks}{small}]")] {
        let (is_held, drafts) = held(text);
        assert_eq!((drafts.len(), &*drafts[0].name, &*drafts[0].raw), (1, &*name, &b"{\"a\":1}"[..]));
        assert!(!is_held, "nothing keeps it");
    }
    assert!(held(format!("{{\"a\":\"{}\"}}", "x".repeat(50_000))).0, "what is needed is not copied");
    assert!(held(format!("{small}{}", " ".repeat(1000))).0, "nor is what is small");
}

#[test]
fn json_is_json_whatever_it_is_called() {
    for content_type in
        [None, Some(""), Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data; boundary=x"), Some("\"")]
    {
        assert_eq!(read_as(content_type, r#"{"a":1}"#).unwrap().len(), 1, "{content_type:?}");
    }
    assert!(read_as(Some("application/json"), "a=1").is_err());
    assert_eq!(read_as(Some("application/x-www-form-urlencoded"), "name=n&rawJson=%7B%22a%22:1%7D").unwrap()[0].raw, r#"{"a":1}"#);
}

#[test]
fn gzip_is_unpacked_before_anything_else() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(br#"{"a":1}"#).unwrap();
    let headers = HeaderMap::new();
    let bytes = encoder.finish().unwrap().into();
    let body = Body { content_type: None, content_encoding: Some("gzip"), bytes, query: None, headers: &headers, secret_header: None };
    assert_eq!(super::read(body, &rules()).unwrap().drafts[0].raw, r#"{"a":1}"#);
}

#[test]
fn raw_is_raw_json_or_its_alias_or_everything() {
    for (body, want) in [
        (r#"{"rawJson":{"a": 1e400},"x":1}"#, r#"{"a": 1e400}"#),
        (r#"{"raw_json":{"a":1},"x":1}"#, r#"{"a":1}"#),
        (r#"{"raw_json":{"a":1},"rawJson":{"a":2}}"#, r#"{"a":2}"#),
        (r#"{"raw_json":5,"rawJson":{"a":2}}"#, r#"{"a":2}"#),
        (r#"{"raw_json":{"a":1},"rawJson":{ }}"#, r#"{"a":1}"#),
        (r#"{"rawJson":{},"raw_json":{},"x":1}"#, r#"{"rawJson":{},"raw_json":{},"x":1}"#),
        (r#"{"rawJson":"{}","x":1}"#, r#"{"rawJson":"{}","x":1}"#),
        (r#"{"rawJson":1,"rawJson":{"a":1}}"#, r#"{"a":1}"#),
        (r#"{"raw\u004ason":{"a":1}}"#, r#"{"a":1}"#),
        (r#"{"rawjson":{"a":1}}"#, r#"{"rawjson":{"a":1}}"#),
        (r#"{"a":{"rawJson":5}}"#, r#"{"a":{"rawJson":5}}"#),
        (r#"{"rawJson":{"rawJson":{"a":1}}}"#, r#"{"rawJson":{"a":1}}"#),
    ] {
        assert_eq!(raws(body), [want], "{body}");
    }
}

#[test]
fn raw_json_may_be_a_string_that_holds_an_object() {
    for (body, want) in [
        (r#"{"rawJson":" {\"a\" : \"\\u00e9\\n\", \"b\":1.0}\n"}"#, r#"{"a" : "\u00e9\n", "b":1.0}"#),
        (r#"{"rawJson":"\u007b\"\ud83d\ude00\":\"\/\"}"}"#, r#"{"😀":"/"}"#),
        (r#"{"rawJson":"{\"headers\":1,\"a\":2}"}"#, r#"{"a":2}"#),
        (r#"{"rawJson":"{\"a\":\"\ud800\"}"}"#, r#"{"a":"\ud800"}"#),
        (r#"{"raw_json":"{\"a\":\"\\ud800\"}"}"#, r#"{"a":"\ud800"}"#),
    ] {
        assert_eq!(raws(body), [want], "{body}");
    }
}

#[test]
fn what_the_sender_had_under_headers_is_taken_out() {
    for (body, want) in [
        (r#"{"headers":{"a":1},"b":2}"#, r#"{"b":2}"#),
        (r#"{"b" : 2 , "headers" : [],"\u0068eaders":0}"#, r#"{"b" : 2 }"#),
        (r#"{"headers":1}"#, "{}"),
        (r#"{"headers":1,"rawJson":{"a":{"headers":2},"headers":3}}"#, r#"{"a":{"headers":2}}"#),
        (r#"{"headers":1,"rawJson":{}}"#, r#"{"rawJson":{}}"#),
        (r#"{"headers":1,"rawJson":{"a":1}}"#, r#"{"a":1}"#),
        (r#"{"rawJson":{"headers":1},"raw_json":{"a":1}}"#, "{}"),
        (r#"{"Headers":1}"#, r#"{"Headers":1}"#),
    ] {
        assert_eq!(raws(body), [want], "{body}");
    }
}

#[test]
fn what_was_sent_is_kept_to_the_byte_and_shared() {
    let body = Bytes::from_static(
        br#"[{"z":1e400,"a":123456789012345678901234567890,"a":-0.0,"\u0041":"\ud800\/" , "b":[ ]},{"rawJson":{"c":1}}]"#,
    );
    let headers = HeaderMap::new();
    let drafts = super::read(
        Body { content_type: None, content_encoding: None, bytes: body.clone(), query: None, headers: &headers, secret_header: None },
        &rules(),
    )
    .unwrap()
    .drafts;
    for (draft, range) in drafts.iter().zip([1..86, 98..105]) {
        assert_eq!(draft.raw, body.slice(range));
        assert!(body.as_ptr_range().contains(&draft.raw.as_ptr()), "a slice of the body, not a copy");
    }
}

#[test]
fn names_and_types_are_the_senders_where_they_say_something() {
    let draft = one(r#"{"name":" \u0041\"é\ud800\u0000 ","type":"T"}"#);
    assert_eq!((&*draft.name, draft.kind.as_deref()), (" A\"é\u{FFFD}\0 ", Some("T")));
    for odd in ["null", "5", "true", "{\"a\":1}", "[\"x\"]", "\"\"", "\" \\t\\n\\u00a0\""] {
        let draft = one(format!(r#"{{"name":{odd},"type":{odd}}}"#));
        assert_eq!((&*draft.name, draft.kind.as_deref()), ("Generic webhook triggered incident", Some("Default type")), "{odd}");
        assert!(draft.warnings.is_empty());
    }
    assert_eq!(one(r#"{"name":"a","name":"b"}"#).name, "b");
    assert_eq!(one(r#"{"name":"outer","rawJson":{"name":"inner"}}"#).name, "outer");
    let headers = HeaderMap::new();
    let body = Body {
        content_type: None,
        content_encoding: None,
        bytes: Bytes::from_static(b"{}"),
        query: None,
        headers: &headers,
        secret_header: None,
    };
    assert_eq!(super::read(body, &Rules { incident_type: None, ..rules() }).unwrap().drafts[0].kind, None);
}

#[test]
fn long_names_and_types_are_cut_with_a_warning() {
    let fits = one(format!(r#"{{"name":"{0}","type":"{0}"}}"#, "é".repeat(1_024)));
    assert!(fits.warnings.is_empty());
    let body = format!(r#"{{"name":"{0}x","type":"{0}\u0041"}}"#, "é".repeat(1_024));
    let cut = one(&body);
    assert_eq!((cut.name, cut.kind), (fits.name, fits.kind));
    assert_eq!(cut.raw, body);
    assert_eq!(
        cut.warnings,
        ["name was longer than 1,024 characters and was cut there", "type was longer than 1,024 characters and was cut there"]
    );
}

#[test]
fn occurred_is_utc_or_the_time_of_arrival_with_a_warning() {
    let occurred = |value: &str| {
        let draft = one(format!(r#"{{"occurred":{value}}}"#));
        (draft.occurred, draft.warnings.join("|"))
    };
    assert_eq!(occurred(r#""2026-01-31T08:00:00+02:00""#), (Some("2026-01-31T06:00:00Z".into()), String::new()));
    assert_eq!(occurred(r#""2026\u002d01-31""#).0.as_deref(), Some("2026-01-31T00:00:00Z"));
    for none in ["null", "\"\"", "\" \\n\""] {
        assert_eq!(occurred(none), (None, String::new()), "{none}");
    }
    let long = format!("\"2026-01-31T08:00:00.{}Z\"", "1".repeat(200));
    for unreadable in ["\"yesterday\"", "1700000000", "true", "{}", "[\"2026-01-31\"]", "\"0000-01-01\"", &long] {
        let warning = "occurred is not an ISO 8601 date; the time of arrival was used".into();
        assert_eq!(occurred(unreadable), (None, warning), "{unreadable}");
    }
    assert_eq!(one("{}").warnings, [""; 0]);
}

#[test]
fn the_key_is_made_of_what_is_kept() {
    assert_eq!(one(r#"{"id":1,"rawJson":{"a":1}}"#).key, None);
    let key = one(r#"{"id":1}"#).key;
    assert!(key.is_some());
    assert_eq!(one(r#"{"id":2,"rawJson":{"id":1}}"#).key, key);
    assert_eq!(one(r#"{"rawJson":"{\"id\":1}"}"#).key, key);
    assert_ne!(one(r#"{"id":2}"#).key, key);
}

#[test]
fn refusals_say_what_and_where() {
    for (body, want) in [
        ("", "the body is empty"),
        (" \n", "the body is empty"),
        ("\u{feff}", "the body is empty"),
        ("5", "expected an object or an array, found '5' at line 1 column 1"),
        ("\"{}\"", "expected an object or an array, found '\"' at line 1 column 1"),
        ("null", "expected an object or an array, found 'n' at line 1 column 1"),
        ("a=1", "expected an object or an array, found 'a' at line 1 column 1"),
        ("{\"a\":1}\n{\"a\":2}", "expected the end, found '{' at line 2 column 1"),
        ("[{},{},\n5]", "element 2 (counted from 0): expected an object, found '5' at line 2 column 1"),
        ("[[]]", "element 0 (counted from 0): expected an object, found '[' at line 1 column 2"),
        ("[{},]", "element 1 (counted from 0): expected an object, found ']' at line 1 column 5"),
        ("[{\"a\":01}]", "element 0 (counted from 0): expected ',' or '}', found '1' at line 1 column 8"),
        ("[{}{}]", "after element 0 (counted from 0): expected ',' or ']', found '{' at line 1 column 4"),
        ("[{}", "after element 0 (counted from 0): expected ',' or ']', found the end at line 1 column 4"),
        ("{\"rawJson\":null}", "rawJson is neither an object nor a string that holds one"),
        ("{\"raw_json\":[{}]}", "raw_json is neither an object nor a string that holds one"),
        ("{\"rawJson\":{},\"raw_json\":1}", "raw_json is neither an object nor a string that holds one"),
        ("[{},{\"rawJson\":true}]", "element 1 (counted from 0): rawJson is neither an object nor a string that holds one"),
        ("{\"rawJson\":\"\"}", "in the string rawJson: expected an object, found the end at line 1 column 1"),
        ("{\"rawJson\":\"[{}]\"}", "in the string rawJson: expected an object, found '[' at line 1 column 1"),
        ("{\"rawJson\":\"{}x\"}", "in the string rawJson: expected the end, found 'x' at line 1 column 3"),
        ("{\"rawJson\":\"{\\\"a\\\":\\n}\"}", "in the string rawJson: expected a value, found '}' at line 2 column 1"),
        (
            "{\"rawJson\":\"{\\\"\\\\\\ud800\\\":1}\"}",
            "in the string rawJson: expected one of \"\\/bfnrtu after a backslash, found a character outside ASCII at line 1 column 4",
        ),
    ] {
        assert_eq!(refusal(body), want, "{body}");
    }
    assert_eq!(refusal(b"{\"a\":\"\xFF\"}"), "bytes that are not UTF-8 at line 1 column 7");
}

#[test]
fn nesting_is_counted_over_the_body_and_over_a_string_on_its_own() {
    let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{", "}".repeat(depth));
    assert_eq!(one(nested(64)).raw, nested(64));
    assert_eq!(refusal(nested(65)), "nesting deeper than 64 levels at line 1 column 321");
    assert!(read(format!("[{}]", nested(63))).is_ok());
    assert_eq!(refusal(format!("[{}]", nested(64))), "element 0 (counted from 0): nesting deeper than 64 levels at line 1 column 317");
    let wrapped = |inner: &str| format!("[{{\"rawJson\":{}}}]", serde_json::to_string(inner).unwrap());
    assert_eq!(one(wrapped(&nested(64))).raw, nested(64));
    assert!(refusal(wrapped(&nested(65))).contains("in the string rawJson: nesting deeper than 64 levels"));
}

#[test]
fn incidents_are_counted_while_they_are_read() {
    let array = |count: usize, end: &str| format!("[{}{end}", vec!["{}"; count].join(","));
    assert_eq!(read(array(100, "]")).unwrap().len(), 100);
    assert_eq!(read(array(101, "]")).unwrap_err(), IntakeError::TooManyIncidents { max: 100 });
    assert_eq!(read(array(101, "nothing after it is looked at")).unwrap_err(), IntakeError::TooManyIncidents { max: 100 });
}

#[test]
fn bodies_are_bounded() {
    assert_eq!(read(format!("{{\"a\":\"{}\"}}", "x".repeat(100_000))).unwrap_err(), IntakeError::TooLarge);
}

fn objects() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let name =
        prop_oneof![4 => any::<String>(), 1 => Just("headers".to_owned()), 1 => Just("name".to_owned()), 1 => Just("occurred".to_owned())];
    prop::collection::btree_map(name, value, 0..5).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn any_object_is_kept_with_our_headers(object in objects(), is_pretty: bool, wrap in 0..4_usize) {
        let text = if is_pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        let body = match wrap {
            0 => text.clone(),
            1 => format!("[{text}]"),
            2 => format!("{{\"x\":1,\"rawJson\":{text}}}"),
            _ => format!("{{\"x\":1,\"rawJson\":{}}}", serde_json::to_string(&text).unwrap()),
        };
        let draft = one(&body);
        let is_whole_request = object.is_empty() && wrap > 1;
        if !object.contains_key(HEADERS) {
            prop_assert_eq!(&draft.raw, if is_whole_request { &body } else { &text });
        }
        let with_ours: serde_json::Map<_, _> = serde_json::from_slice(&with_headers(&draft.raw, r#"{"a":"b"}"#)).unwrap();
        let mut want: serde_json::Map<_, _> = serde_json::from_str(if is_whole_request { &body } else { &text }).unwrap();
        want.insert(HEADERS.into(), serde_json::json!({"a": "b"}));
        prop_assert_eq!(with_ours, want);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_kept_as_json(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        prop::collection::vec(prop::sample::select(&b"{}[]\":,0 \\headers"[..]), 0..60),
    ], is_form: bool) {
        let content_type = is_form.then_some("application/x-www-form-urlencoded");
        for draft in read_as(content_type, bytes).into_iter().flatten() {
            serde_json::from_slice::<&RawValue>(&with_headers(&draft.raw, "{}")).unwrap();
        }
    }
}

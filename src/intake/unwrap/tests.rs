use proptest::prelude::*;

use super::*;

#[test]
fn what_to_unwrap_is_an_encoding_and_a_path() {
    for text in ["json .Message", "base64 .message.data", "json .data.attributes.entity", "json .é.0"] {
        assert_eq!(text.parse::<Unwrap>().unwrap().to_string(), text);
    }
    for text in ["", "json", ".Message", "json Message", "json .", "json .a.", "json .a..b", "hex .a", "json .a[]", "JSON .a", "json .a .b"]
    {
        let error = text.parse::<Unwrap>().unwrap_err().to_string();
        assert!(error.contains("base64 .message.data"), "{text}: {error}");
    }
}

fn unwrapped(rules: &[&str], body: &str) -> (String, Vec<String>) {
    let rules: Vec<Unwrap> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let mut warnings = Vec::new();
    let body = apply(Bytes::copy_from_slice(body.as_bytes()), &rules, 1_000, &mut warnings);
    (String::from_utf8(body.into()).unwrap(), warnings.into_iter().map(Cow::into_owned).collect())
}

/// Without a warning.
fn quietly(rule: &str, body: &str) -> String {
    let (body, warnings) = unwrapped(&[rule], body);
    assert_eq!(warnings, [""; 0]);
    body
}

#[test]
fn a_string_of_json_is_replaced_and_all_else_stays_to_the_byte() {
    for (body, want) in [
        (r#"{ "z":1e400, "m" : " {\"a\" : \"\\u00e9\"}\n" , "b":[ ]}"#, r#"{ "z":1e400, "m" : {"a" : "\u00e9"} , "b":[ ]}"#),
        (r#"{"m":"[1, 2]"}"#, r#"{"m":[1, 2]}"#),
        ("\u{feff} {\"m\":\"{}\"}\n", "\u{feff} {\"m\":{}}\n"),
        (r#"{"m":"{\"a\":\"\ud800\"}"}"#, r#"{"m":{"a":"\ud800"}}"#),
        (r#"{"\u006d":"{}"}"#, r#"{"\u006d":{}}"#),
        (r#"{"m":"{}","m":"[]"}"#, r#"{"m":"{}","m":[]}"#),
        (r#"[{"m":"{}"}, {"m":5},{"x":"{}"} ,{"m":"[]"}]"#, r#"[{"m":{}}, {"m":5},{"x":"{}"} ,{"m":[]}]"#),
    ] {
        assert_eq!(quietly("json .m", body), want, "{body}");
    }
    assert_eq!(quietly("json .a.0.b", r#"{"a":[{"b":"{}"}]}"#), r#"{"a":[{"b":{}}]}"#);
}

#[test]
fn what_holds_no_json_is_left_alone() {
    for body in [
        r#"{"m":"plain text"}"#,
        r#"{"m":"5"}"#,
        r#"{"m":"null"}"#,
        r#"{"m":""}"#,
        r#"{"m":{"a":1}}"#,
        r#"{"m":7}"#,
        r#"{"x":"{}"}"#,
        "{}",
        "[]",
        "[5]",
        "5",
        r#"{"m":"{}"#,
        r#"{"m":"{}"}}"#,
        "",
        "text",
    ] {
        assert_eq!(quietly("json .m", body), body, "{body}");
        assert_eq!(quietly("json .m.n", body), body, "{body}");
    }
}

#[test]
fn base64_is_json_or_text_or_left_alone() {
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let body = |data: &str| format!("{{\"m\":{{\"d\":\"{data}\"}},\"x\": 1}}");
    let becomes = |data: &str| quietly("base64 .m.d", &body(data));
    let with = |value: &str| format!("{{\"m\":{{\"d\":{value}}},\"x\": 1}}");
    assert_eq!(becomes(&base64(b" {\"a\": 1e400} ")), with("{\"a\": 1e400}"));
    assert_eq!(becomes(&base64(b"[1]").replace('=', "")), with("[1]"));
    assert_eq!(becomes("eyJhIjoiPz8_In0"), with(r#"{"a":"???"}"#), "the URL-safe alphabet");
    assert_eq!(becomes(r"eyJhIjoiPz8\/In0="), with(r#"{"a":"???"}"#), "an escaped slash");
    assert_eq!(becomes(&base64("say \"é\"\n".as_bytes())), with(r#""say \"é\"\n""#));
    assert_eq!(becomes(&base64(b"5")), with("\"5\""));
    assert_eq!(becomes(""), with("\"\""));
    for binary in [&b"\xff\xd8"[..], b"a\0b"] {
        assert_eq!(becomes(&base64(binary)), body(&base64(binary)));
    }
}

#[test]
fn what_does_not_work_is_left_with_a_warning() {
    for (rule, body, want) in [
        ("json .m", r#"{"m":"{\"a\":"}"#, ".m begins like JSON and is none; it was left as it was"),
        ("json .m", r#"[{"m":"{}x"},{"m":"{"}]"#, "element 0 (counted from 0): .m begins like JSON and is none; it was left as it was"),
        ("base64 .m", r#"{"m":"not base64!"}"#, ".m is not base64; it was left as it was"),
    ] {
        assert_eq!(unwrapped(&[rule], body), (body.to_owned(), vec![want.to_owned()]));
    }
    let controls = format!("{{\"m\":\"{}\"}}", "AQEB".repeat(70));
    assert_eq!(unwrapped(&["base64 .m"], &controls).1, [".m is larger than max_body once it is read; it was left as it was"]);
}

#[test]
fn nesting_is_counted_over_all_of_it() {
    let nested = |depth: usize| format!("{{\"a\":{{\"m\":\"{}{}\"}}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(quietly("json .a.m", &nested(62)), nested(62).replace("\"[", "[").replace("]\"", "]"));
    let (body, warnings) = unwrapped(&["json .a.m"], &nested(63));
    assert_eq!((body, warnings.len()), (nested(63), 1));
    assert_eq!(unwrapped(&["json .a.m"], &format!("[{}]", nested(62))).1.len(), 1);
}

#[test]
fn one_rule_looks_at_what_the_one_before_left() {
    let body = r#"{"m":"{\"n\":\"{\\\"a\\\":1}\"}","z":0}"#;
    assert_eq!(unwrapped(&["json .m", "json .m.n"], body).0, r#"{"m":{"n":{"a":1}},"z":0}"#);
    assert_eq!(unwrapped(&["json .m.n", "json .m"], body).0, r#"{"m":{"n":"{\"a\":1}"},"z":0}"#);
}

proptest! {
    #[test]
    fn wrapping_is_undone(before in "[a-c]{0,2}", inner in prop::sample::select(&["{}", "[1, 2]", "{\"a\" : \"\\\\ é \\n\"}", "{\"b\":1e400}"][..]), is_base64: bool, is_array: bool) {
        let string = if is_base64 {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, inner)
        } else {
            inner.to_owned()
        };
        let event = |value: &str| format!("{{ \"{before}\" : 1, \"m\": {{\"n\":{value}}} ,\"o\":[]}}");
        let body = |value: &str| if is_array { format!("[ {0} , {0}]", event(value)) } else { event(value) };
        let rule = if is_base64 { "base64 .m.n" } else { "json .m.n" };
        prop_assert_eq!(quietly(rule, &body(&serde_json::to_string(&string).unwrap())), body(inner));
    }

    #[test]
    fn arbitrary_bodies_stay_json_or_as_they_are(body in "[{}\\[\\],\":\\\\m1eyJ=]{0,40}") {
        for rule in ["json .m", "base64 .m"] {
            let (after, _) = unwrapped(&[rule], &body);
            prop_assert!(after == body || root(after.as_bytes()).is_ok());
        }
    }
}

//! The grammar of RFC 8259, class by class.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn scan(text: &[u8]) -> Result<&[u8], Fault> {
    let mut scanner = Scanner::new(text)?;
    let value = scanner.value(0)?;
    scanner.end()?;
    Ok(value)
}

fn assert_json(texts: &[&str]) {
    for text in texts {
        assert_eq!(scan(text.as_bytes()), Ok(text.trim_matches([' ', '\t', '\n', '\r']).as_bytes()), "{text:?}");
    }
}

fn assert_not_json(texts: &[&str]) {
    for text in texts {
        assert!(scan(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn structure() {
    assert_json(&[
        "{}",
        "[]",
        "[[]]",
        "[{}]",
        r#"{"":0}"#,
        r#"{"a":{},"b":[]}"#,
        r#"[1,"a",[2,{"b":[]}],{}]"#,
        r#"{"a":1,"a":2}"#,
        "1",
        "\"a\"",
    ]);
    assert_not_json(&["", "{", "}", "[", "]", "{]", "[}", "[[]", "[]]", "{}}", r#"{"a":[}"#, r#"{"a":1]"#, "[1}", "[{]}", "{[]}"]);
    assert_not_json(&[
        "[,]",
        "[,1]",
        "[1,]",
        "[1,,2]",
        "[1 2]",
        "[1:2]",
        "{,}",
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a":1,,"b":2}"#,
        r#"{"a":1 "b":2}"#,
    ]);
    assert_not_json(&[
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a",1}"#,
        r#"{"a"::1}"#,
        r#"{:1}"#,
        r#"{"a":1:2}"#,
        "{a:1}",
        "{1:1}",
        "{null:1}",
        "{'a':1}",
        "{[]:1}",
    ]);
    assert_not_json(&[
        "{} {}", "{}{}", "[],[]", "{}x", "[]0", "1 2", "{}\n{}", "// c\n{}", "{}//", "[/**/]", "# c\n{}", "<a/>", "[1]\u{1}",
    ]);
}

#[test]
fn literals() {
    assert_json(&["true", "false", "null", "[true,false,null]"]);
    assert_not_json(&["True", "TRUE", "tru", "truee", "fals", "nul", "nulL", "none", "undefined", "[t]", "yes", "[nulll]"]);
}

#[test]
fn numbers() {
    assert_json(&["0", "-0", "1", "-1", "10", "0.0", "-0.5", "1e5", "1E5", "1e+5", "1e-05", "0e0", "1.25E-10", "1e400", "-1e-400"]);
    assert_json(&["123456789012345678901234567890", "0.1000000000000000055511151231257827021181583404541015625"]);
    let long = "9".repeat(100_000);
    assert_json(&[&long, &format!("0.{long}"), &format!("1e{long}")]);
    assert_not_json(&[
        "-", "+1", "01", "-01", "00", ".5", "-.5", "1.", "1.e5", "1e", "1E+", "1e+-5", "1.2.3", "1e5.5", "0x10", "1_000", "1,000",
    ]);
    assert_not_json(&["NaN", "-NaN", "Infinity", "-Infinity", "inf", "1f", "1L", "--1", "- 1", "1 .5", "٣", "１"]);
}

#[test]
fn strings_and_escapes() {
    assert_json(&[
        r#""""#,
        r#""a""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0041\u00e9\u20AC\uFFFF""#,
        r#""\u0000""#,
        "\"/\u{7f}\u{80}é€😀\u{10FFFF}\u{FEFF}\u{2028}\"",
    ]);
    assert_json(&[r#""\ud83d\ude00""#, r#""\ud800""#, r#""\udc00""#, r#""\udc00\ud800""#, r#""\ud800\ud800x""#, r#""\ud800\n""#]);
    assert_not_json(&["\"", "\"a", r#""\"#, r#""\""#, "'a'", "`a`", r#""a"b""#, r#"\"a\""#, "“a”"]);
    assert_not_json(&[r#""\a""#, r#""\x41""#, r#""\'""#, r#""\0""#, r#""\U0041""#, "\"\\\n\"", r#""\é""#, r#""\ n""#]);
    assert_not_json(&[r#""\u""#, r#""\u004""#, r#""\u004g""#, r#""\u+041""#, r#""\u 041""#, r#""\u{41}""#, r#""\u00é""#, r#""\u12"#]);
    for control in 0..0x20_u8 {
        for before in 0..20 {
            let text = format!("\"{}{}{}\"", "a".repeat(before), char::from(control), "b".repeat(10));
            assert!(scan(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

#[test]
fn whitespace() {
    assert_json(&[" {}", "\t\n\r {}\r\n\t ", "[ 1 ,\t2\n,\r3 ]", "{ \"a\" : 1 , \"b\" : [ ] }", "[\n]", "{\t}"]);
    for other in ['\u{0}', '\u{b}', '\u{c}', '\u{a0}', '\u{85}', '\u{2028}', '\u{3000}', '\u{feff}'] {
        assert_not_json(&[&format!("[{other}]"), &format!("[1{other},2]"), &format!("[]{other}"), &format!("{{\"a\"{other}:1}}")]);
    }
}

#[test]
fn a_byte_order_mark_may_come_first_and_only_there() {
    assert_eq!(scan(b"\xEF\xBB\xBF {}"), Ok(&b"{}"[..]));
    assert_not_json(&["\u{feff}\u{feff}{}", "{}\u{feff}", " \u{feff}{}", "\u{feff}"]);
    for other in [&b"\xFE\xFF\0{\0}"[..], b"\xFF\xFE{\0}\0", b"{\0}\0", b"\0{\0}", b"+AHsAfQ-"] {
        assert!(scan(other).is_err(), "{other:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8() {
    let cases: [&[u8]; 14] = [
        b"\x80",
        b"\xBF",
        b"\xC3",
        b"\xC3(",
        b"\xC0\x80",
        b"\xC1\xBF",
        b"\xE0\x80\x80",
        b"\xE2\x82",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xF0\x80\x80\x80",
        b"\xF0\x9F\x98",
        b"\xF4\x90\x80\x80",
        b"\xFF",
    ];
    for bytes in cases {
        for text in [[b"\"", bytes, b"\""].concat(), [b"{\"", bytes, b"\":1}"].concat(), [b"[]", bytes].concat(), bytes.to_vec()] {
            assert!(scan(&text).is_err(), "{text:?}");
        }
    }
    assert_eq!(
        scan(b"[\"\xC3\xA9\",\n\"\xE9\"]").unwrap_err().describe(b"[\"\xC3\xA9\",\n\"\xE9\"]"),
        "bytes that are not UTF-8 at line 2 column 2"
    );
}

#[test]
fn nesting_is_bounded_wherever_it_begins() {
    let nested = |depth: usize, open: &str, inner: &str, close: &str| [&open.repeat(depth), inner, &close.repeat(depth)].concat();
    for (open, inner, close) in [("[", "", "]"), ("[1,", "1", "]"), ("{\"a\":", "1", "}"), ("[{\"a\":", "[]", "}]")] {
        let levels_each = open.matches(['[', '{']).count();
        let levels_inside = inner.matches('[').count();
        let most = (MAX_DEPTH - levels_inside) / levels_each;
        let text = nested(most, open, inner, close);
        assert!(scan(text.as_bytes()).is_ok(), "{text}");
        let text = nested(most + 1, open, inner, close);
        assert!(scan(text.as_bytes()).unwrap_err().is_too_deep(), "{text}");
    }
    let text = nested(MAX_DEPTH - 1, "[", "", "]");
    assert!(Scanner::new(text.as_bytes()).unwrap().value(1).is_ok());
    assert!(Scanner::new(text.as_bytes()).unwrap().value(2).unwrap_err().is_too_deep());
    assert!(scan("[".repeat(1_000_000).as_bytes()).unwrap_err().is_too_deep());
    let wide = format!("[{}]", vec!["[[]]"; 1_000].join(","));
    assert!(scan(wide.as_bytes()).is_ok(), "only what is open at once counts");
}

#[test]
fn faults_say_what_and_where() {
    for (text, want) in [
        ("{\"a\":1,}", "expected a name in double quotes, found '}' at line 1 column 8"),
        ("{\n  \"é\": tru\n}", "expected true, found 't' at line 2 column 8"),
        ("[1,\n\n 02]", "expected ',' or ']', found '2' at line 3 column 3"),
        ("\u{feff}[1", "expected ',' or ']', found the end at line 1 column 3"),
        ("{\"a\" 1}", "expected ':', found '1' at line 1 column 6"),
        ("[\"a\nb\"]", "expected no control character in a string, found byte 0x0A at line 1 column 4"),
        ("[é]", "expected a value, found a character outside ASCII at line 1 column 2"),
        ("{} x", "expected the end, found 'x' at line 1 column 4"),
        ("[\"\\u12", "expected four hexadecimal digits after \\u, found the end at line 1 column 7"),
        ("[-]", "expected a digit, found ']' at line 1 column 3"),
    ] {
        assert_eq!(scan(text.as_bytes()).unwrap_err().describe(text.as_bytes()), want, "{text:?}");
    }
    let deep = "[".repeat(65);
    assert_eq!(scan(deep.as_bytes()).unwrap_err().describe(deep.as_bytes()), "nesting deeper than 64 levels at line 1 column 65");
}

#[test]
fn members_and_elements_are_slices_of_the_value() {
    let members: Vec<_> = members(br#"{ "a" : 1 , "b":[ 2 ],"\u0063":"}" }"#).collect();
    assert_eq!(members.iter().map(|member| member.value).collect::<Vec<_>>(), [&b"1"[..], b"[ 2 ]", b"\"}\""]);
    assert!(members[0].name.is("a") && members[1].name.is("b") && members[2].name.is("c"));
    assert_eq!(elements(b"[ 1 , {} ,\"]\"]").collect::<Vec<_>>(), [&b"1"[..], b"{}", b"\"]\""]);
    for other in ["1", "\"{\"", "null", "[]", "{}"] {
        assert_eq!(super::members(other.as_bytes()).count() + elements(other.as_bytes()).count(), 0, "{other}");
    }
}

#[test]
fn cutting_takes_one_comma_along() {
    for (object, want) in [
        ("{}", "{}"),
        ("{ }", "{}"),
        (r#"{"h":1}"#, "{}"),
        (r#"{ "h" : {"h":[2]} }"#, "{}"),
        (r#"{"h":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"h":1}"#, r#"{"a":2}"#),
        (r#"{ "a" : 1e400 , "h" : "}" , "b" : "\u00e9" }"#, r#"{ "a" : 1e400 , "b" : "\u00e9" }"#),
        (r#"{"h":1,"h":2,"a":{"h":3},"\u0068":4,"a":5,"h":6}"#, r#"{"a":{"h":3},"a":5}"#),
        (r#"{"H":1,"hh":2,"":3}"#, r#"{"H":1,"hh":2,"":3}"#),
    ] {
        let mut bytes = object.as_bytes().to_vec();
        cut(&mut bytes, "h").unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), want, "{object}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn accepts_what_serde_json_accepts(text in json_like()) {
        let serde = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(scan(text.as_bytes()).is_ok(), serde, "{}", text);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match scan(&bytes) {
            Ok(_) => prop_assert!(serde_json::from_slice::<IgnoredAny>(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes)).is_ok()),
            Err(fault) => prop_assert!(fault.describe(&bytes).len() < 120),
        }
    }

    #[test]
    fn cutting_keeps_all_else_to_the_byte(members in prop::collection::vec((0..4_usize, " {0,2}", prop::sample::select(vec!["1", "{\"h\":2}", "\"h\\\\\"", "\"\\\"h\""])), 0..8)) {
        let name = |index: usize| ["a", "b", "h", "\\u0068"][index];
        let spell = |(index, space, value): &(usize, String, &str)| format!("{space}\"{}\"{space}:{space}{value}{space}", name(*index));
        let kept: Vec<_> = members.iter().filter(|member| member.0 < 2).map(spell).collect();
        let mut object = format!("{{{}}}", members.iter().map(spell).collect::<Vec<_>>().join(",")).into_bytes();
        cut(&mut object, "h").unwrap();
        prop_assert_eq!(String::from_utf8(object).unwrap(), format!("{{{}}}", kept.join(",")));
    }
}

/// JSON, and texts one slip away from it.
fn json_like() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"a\":",
        "0",
        "-",
        "1.5",
        "e",
        "1e9",
        "true",
        "null",
        " ",
        "\n",
        "\\",
        "\\u00",
        "é",
        "\u{1}",
        "{}",
        "[]",
        "{\"a\":1}",
    ]);
    let json = prop_oneof![Just("{\"a\": [1, -2.5e3, \"x\\u0041\\n\", true, {\"b\": null}], \"c\": {}}".to_owned()), json_text()];
    prop_oneof![
        prop::collection::vec(token.clone(), 0..12).prop_map(|tokens| tokens.concat()),
        (json, any::<prop::sample::Index>(), token, 0..3_usize).prop_map(|(json, at, token, slip)| {
            let chars: Vec<char> = json.chars().collect();
            let at = at.index(chars.len());
            let (before, after) = (chars[..at].iter().collect::<String>(), chars[at + usize::from(slip == 1)..].iter().collect::<String>());
            if slip == 2 { json } else { before + if slip == 0 { token } else { "" } + &after }
        }),
    ]
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<f64>().prop_filter("JSON has no other numbers", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), "[ \t\r\n]{0,2}")
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))),
            (prop::collection::vec((any::<String>(), inner), 0..5), "[ \t\r\n]{0,2}").prop_map(|(members, space)| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("{}{space}:{space}{value}", serde_json::to_string(name).unwrap())).collect();
                format!("{{{space}{}{space}}}", members.join(&format!("{space},")))
            }),
        ]
    })
}

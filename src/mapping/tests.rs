//! Filters as an operator writes them, and events as an attacker would.

mod hostile;

use proptest::prelude::*;

use super::*;

fn name_filter(filter: &str) -> MapSpec {
    MapSpec { name: Some(filter.to_owned()), ..MapSpec::default() }
}

/// What a filter makes of an event, or what is wrong with it.
fn run(filter: &str, event: &str) -> Result<Output, String> {
    let mapping = Mapping::compile(&name_filter(filter)).unwrap_or_else(|errors| panic!("{errors:?}"));
    let body = Bytes::copy_from_slice(event.as_bytes());
    let session = mapping.session(|| r#"{"x-event":"ping"}"#.to_owned(), Some("a=1&b=%20&a=2"), &body);
    let event = session.event(&body);
    let output = session.run(Slot::Name, &event).unwrap();
    output.map_err(|Failed| session.take_failures().remove(0).text)
}

fn text(filter: &str, event: &str) -> String {
    run(filter, event).unwrap_or_else(|error| panic!("{filter}: {error}")).text().unwrap_or_default()
}

fn mistake(filter: &str) -> String {
    let mut errors = Mapping::compile(&name_filter(filter)).expect_err(filter);
    assert_eq!((errors.len(), errors[0].key()), (1, "name"));
    errors.remove(0).to_string()
}

#[test]
fn filters_do_what_jq_does() {
    let event = r#"{"labels":{"alertname":"Disk full","n":3},"list":[3,1,2],"text":"a1b22","time":"2026-01-31T08:00:00Z","big":12345678901234567890123}"#;
    for (filter, want) in [
        (r#""\(.labels.alertname) on \(.labels.host // "nowhere")""#, "Disk full on nowhere"),
        (r#"[.list[] | tostring] | join(":")"#, "3:1:2"),
        (".list | sort | reverse | .[0]", "3"),
        (".list | add / length", "2"),
        (".list | map(. * 2) | tojson", "[6,2,4]"),
        (".labels | to_entries | map(.key) | join(\",\")", "alertname,n"),
        (".big", "12345678901234567890123"),
        (".labels", r#"{"alertname":"Disk full","n":3}"#),
        (r##".text | gsub("[0-9]+"; "#")"##, "a#b#"),
        (r#".text | test("^a\\d")"#, "true"),
        (r#".text | capture("(?<l>[a-z])(?<d>\\d+)$") | .d"#, "22"),
        (".time | fromdateiso8601", "1769846400"),
        ("1769846400 | todateiso8601", "2026-01-31T08:00:00Z"),
        (".text | ascii_upcase | ltrimstr(\"A\")", "1B22"),
        (r#".text | split("b") | .[1]"#, "22"),
        ("[limit(3; repeat(1))] | length", "3"),
        ("[range(2; 10; 3)] | tojson", "[2,5,8]"),
        ("first(range(10; 0; -1))", "10"),
        (r#"[.list | indices(1), contains([2]), has(5)] | tojson"#, "[[1],true,false]"),
        (r#""{\"a\":[1]}" | fromjson | .a[0]"#, "1"),
        ("try error(\"x\") catch .", "x"),
        ("if .labels.n > 2 then \"many\" else \"few\" end", "many"),
        ("def twice(f): f | f; .labels.n | twice(. + 1)", "5"),
        (".labels.n as $n | [$n, $n] | length", "2"),
        ("reduce .list[] as $x (0; . + $x)", "6"),
        (".list |= map(. + 1) | .list | tojson", "[4,2,3]"),
        ("del(.labels.n) | .labels | tojson", r#"{"alertname":"Disk full"}"#),
        ("[paths] | length", "10"),
        ("[..] | length", "11"),
        (".list[1:] | tojson", "[1,2]"),
        ("1 / 3 * 3", "1"),
        ("@base64 \"\\(.text)\"", "YTFiMjI="),
        ("$headers[\"x-event\"]", "ping"),
        ("$query.a + $query.b", "2 "),
        ("$body.labels.n", "3"),
        (".missing.deeper", ""),
        ("empty", ""),
        ("nan", ""),
        ("infinite | tostring | length > 3", "true"),
    ] {
        assert_eq!(text(filter, event), want, "{filter}");
    }
    assert_eq!(run(".a", r#"{"a":1e400}"#), Ok(Output::Number("1e400".into())));
    assert_eq!(run(".a", r#"{"a":false}"#), Ok(Output::Bool(false)));
}

#[test]
fn mistakes_name_the_place_in_the_filter() {
    for (filter, want) in [
        (".a |", r#"expected term, found the end at line 1 column 5 of the filter, here: .a | >>> "#),
        (".a | | .b", r#"expected term, found "|" at line 1 column 6 of the filter, here: .a |  >>> | .b"#),
        (".a\n| .\"é\" + lenght", "there is no function lenght at line 2 column 10 of the filter, here: | .\"é\" +  >>> lenght"),
        ("\"\\(.a\"", "expected closing quote"),
        ("$__slot", "there is no variable $__slot at line 1 column 1"),
        (". # a comment\n| nope", "there is no function nope at line 2 column 3"),
        ("$ENV.HOME", "there is no variable $ENV at line 1 column 1"),
        ("env", "there is no function env"),
        ("input", "there is no function input"),
        ("[inputs]", "there is no function inputs"),
        ("debug", "there is no function debug"),
        ("halt", "there is no function halt"),
        ("halt_error(1)", "there is no function halt_error with 1 argument"),
        ("localtime", "there is no function localtime"),
        ("unchecked_matches(\"a\"; \"g\")", "there is no function unchecked_matches"),
        ("include \"a\"; .", "expected"),
        ("import \"a\" as $a; .", "expected"),
        ("def f: f; f", "f calls itself"),
        ("def f(g): 1 + f(g | .a); f(.)", "f calls itself"),
        ("def f: def g: f; g; f", "f calls itself"),
        ("if . then", "expected term"),
        ("\u{1b}[31m", "expected token"),
    ] {
        let said = mistake(filter);
        assert!(said.contains(want), "{filter}: {said}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    // The argument is another function than the definition around it, and calling one twice is not calling itself.
    assert_eq!(text("def f(f): f + 1; f(f(1))", "{}"), "3");
    assert!(mistake(&"(".repeat(8_000)).contains("expected closing"));
    for deep in [
        "(".repeat(2_000) + "1" + &")".repeat(2_000),
        "1".to_owned() + &"|.".repeat(3_000),
        "-".repeat(4_000) + "1",
        "try ".repeat(2_000) + "1",
    ] {
        let _ = Mapping::compile(&name_filter(&deep)).map(|mapping| {
            let body = Bytes::from_static(b"{}");
            let session = mapping.session(String::new, None, &body);
            let _ = session.run(Slot::Name, &session.event(&body));
        });
    }
    assert!(mistake(&" ".repeat(9_000)).contains("longer than"));
}

#[test]
fn filters_of_a_map_do_not_meet() {
    let fields = (0..32).map(|n| (format!("f{n:02}"), format!("def f: {n}; f + .n # of field {n}"))).collect();
    let spec = MapSpec { name: Some(".n as $x | $x, 7".into()), drop: Some(".n, 8".into()), fields, ..MapSpec::default() };
    let mapping = Mapping::compile(&spec).unwrap();
    let body = Bytes::from_static(br#"{"n":100}"#);
    let session = mapping.session(String::new, None, &body);
    let event = session.event(&body);
    for slot in [Slot::Name, Slot::Drop] {
        assert_eq!(session.run(slot, &event), Some(Ok(Output::Number("100".into()))));
    }
    assert_eq!(session.run(Slot::Kind, &event), None);
    for (n, (name, output)) in session.fields(&event).enumerate() {
        assert_eq!((&**name, output), (&*format!("f{n:02}"), Ok(Output::Number((100 + n).to_string()))));
    }
    for other in ["$x", "f", "1) | (2"] {
        let fields = [("a", "def f: 1; f as $x | $x"), ("b", other)].map(|(name, filter)| (name.to_owned(), filter.to_owned()));
        assert_eq!(Mapping::compile(&MapSpec { fields: fields.into(), ..MapSpec::default() }).unwrap_err()[0].key(), "fields.b", "{other}");
    }
}

#[test]
fn every_broken_filter_is_one_mistake() {
    let broken = || Some("|".to_owned());
    let fields = [("good", "."), ("bad", "|"), ("no-name", ".")].map(|(name, filter)| (name.to_owned(), filter.to_owned()));
    let occurred = Some("nope | nope".to_owned());
    let spec = MapSpec { items: broken(), kind: broken(), occurred, drop: Some(".".into()), fields: fields.into(), ..MapSpec::default() };
    let keys: Vec<String> = Mapping::compile(&spec).unwrap_err().iter().map(|error| error.key().to_owned()).collect();
    assert_eq!(keys, ["fields.no-name", "items", "type", "fields.bad", "occurred"]);
}

#[test]
fn times_are_told_from_other_numbers() {
    for (filter, want) in [
        ("1764000000 | gmtime | mktime | tostring", "1764000000"),
        ("1764000000 | strftime(\"%Y-%m-%d\")", "2025-11-24"),
        ("253402207200 | gmtime | mktime | todate", "9999-12-30T22:00:00Z"),
        ("[2025, 10, 24, 16, 0, 0, 0, 0] | mktime | tostring", "1764000000"),
    ] {
        assert_eq!(text(filter, "{}"), want);
    }
    for filter in ["1764000000000 | gmtime", "10000000000000 | strftime(\"%Y\")", "-1e300 | gmtime", "9e18 | gmtime"] {
        assert_eq!(run(filter, "{}").unwrap_err(), "a time outside the years -9999 to 9999", "{filter}");
    }
    assert_eq!(run("[2025, 127, 1, 0, 0, 0, 0, 0] | mktime", "{}").unwrap_err(), "a month outside 0 to 11");
}

#[test]
fn a_failure_is_one_short_line() {
    let event = format!("{{\"a\":\"{}\\n\\u001b[31m\"}}", "x".repeat(10_000));
    let said = run(".a.b", &event).unwrap_err();
    assert!(said.starts_with("cannot index ") && said.chars().count() <= 201 && !said.contains(char::is_control), "{said}");
    assert_eq!(run("error(\"broken\\nline\")", "{}").unwrap_err(), "broken line");
}

#[test]
fn mappings_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Mapping::compile(&name_filter(".a")).unwrap());
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|is| is.to_string()),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,6})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud800""#.to_owned()),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[a-d]", inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

thread_local! {
    static ORDINARY: Vec<Mapping> = [
        ".a.b", ".[]?", "..", "tojson", "tostring | fromjson", "[.[]?] | sort | unique", "[paths]", "walk(.)", ".a += 1", "del(.a)", "length",
        "to_entries?", ". + .", ". * 3", "-(.)", ". / 2", ". % 7", ". == 1, . < 2", "[.. | numbers] | add", "[.. | strings | test(\"a\")]",
        "map_values(.)?", ".[1:3]?", "has(\"a\")", "[.. | todate?]", "implode?", "explode?", "@text, @json, @html, @uri, @base64", "floor?",
        "[limit(5; ..)]", "first(..), last(..)", ".a[1:2] = [1]", ".a[\"b\"] |= 1", "contains(1)?", "contains(.)", "indices(1)?", "transpose?", "keys",
        "group_by(.a?)", "min_by(.a?)", "any, all", "flatten?", "gsub(\"a\"; \"b\")?", "ascii_downcase?", "[splits(\"a\")?]", "strptime(\"%Y\")?", "mktime?",
        "gmtime?", "bsearch(1)?", "ltrimstr(\"a\")", "tonumber?", "abs?", "pow(.; 2)?", "@sh?", "getpath([\"a\", 0])?",
    ].iter().map(|filter| Mapping::compile(&name_filter(filter)).unwrap()).collect();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_event_makes_the_interpreter_fail(event in json()) {
        let body = Bytes::from(event);
        ORDINARY.with(|mappings| for mapping in mappings {
            let session = mapping.session(String::new, None, &body);
            let _ = session.run(Slot::Name, &session.event(&body));
            for failure in session.take_failures() {
                assert!(!failure.text.contains("interpreter"), "{failure:?} of {}", String::from_utf8_lossy(&body));
            }
        });
    }

    #[test]
    fn no_text_makes_the_compiler_fail(filter in "[.|,()\\[\\]{}\"\\\\$@a-c0-9 :;?#=+*/<>-]{0,40}") {
        let errors = Mapping::compile(&name_filter(&filter)).err().unwrap_or_default();
        prop_assert!(errors.iter().all(|error| !error.to_string().contains("compiler failed")), "{errors:?}");
    }
}

//! What no filter may cost, whatever it is.

use std::time::{Duration, Instant};

use super::*;

/// Filters that would run for ever, fill the memory or overflow the stack.
const HOSTILE: &[&str] = &[
    "[range(1e9)] | length",
    "last(range(1e9))",
    "[limit(1e9; repeat(1))] | length",
    "repeat(.) | select(false)",
    "[repeat([.])]",
    "until(false; .)",
    "while(true; . + 1) | select(false)",
    "last(recurse(.))",
    "last(path(recurse(.a?)))",
    "[limit(100000; path(repeat(.a?)))] | length",
    "\"x\" * 1e9 | length",
    "\"x\" * 1000000000",
    "1000000000 * \"\"",
    "reduce range(100) as $i (\"x\"; . + .)",
    "reduce range(100) as $i ([1]; . + .)",
    "reduce range(100) as $i ([1]; [., .]) | tojson | length",
    "reduce range(100) as $i ([1]; [., .]) | [..] | length",
    "reduce range(100) as $i ([1]; [., .]) | . == (. | map(.))",
    "reduce range(100000) as $i (0; [.])",
    "reduce range(100000) as $i (0; {a: .}) | tojson",
    "reduce range(100000) as $i (.; .a |= [.])",
    "reduce range(64) as $i (10; . * .)",
    "reduce range(100000) as $i (1; . * 1000000007) | tostring | length",
    "reduce range(200) as $i ({}; . * {a: ., b: .})",
    "[.[]?, .] | combinations(30)",
    "[range(100)] | [combinations(5)]",
    "[range(50)] | [., ., ., ., ., .] | [combinations] | length",
    "[range(100000)] | sort_by(-.)",
    "[range(300) | \"x\" * 5000] | sort | length",
    "[range(1000)] as $a | [$a[] as $x | $a[] as $y | $a[] | select(false)]",
    "(\"a\" * 20000) | [match(\"a.*z|a\"; \"g\")] | length",
    "(\"a\" * 20000) | test(\"(a*)*(a*)*b\")",
    "\"a\" | test(\"((a{1000}){1000}){1000}\")",
    "[\"a\" * 50000 | explode | implode] | length",
    "(\"a,\" * 50000) / \",\" | length",
    "(\"a\" * 100000) / \"\" | length",
    "[range(30000)] - [range(30000)]",
    "[range(20000)] | index([range(10000)])",
    "[range(20000)] | contains([range(20000)])",
    "[\"[\" * 100000 | fromjson?]",
    "\"9\" * 100000 | tonumber | . + 1 | tostring | length",
    "[.. |= [.]] | tojson",
    "def f: [., .]; f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f | f",
    "label $out | repeat(if false then break $out else . end)",
    "[.[]? += 1] | repeat(.[0])",
    "reduce range(100000) as $i (null; [., .[0]])",
    "walk(walk(walk(walk([., .]))))",
    "path(..) | error",
    "error(reduce range(100) as $i ([1]; [., .]))",
    "try error(reduce range(100) as $i ([1]; [., .])) catch tojson",
    "reduce range(100) as $i ([1]; [., .]) | .a",
    "[splits(\"\"; \"g\")] | length",
    "[range(1e5)] | flatten | unique | group_by(.) | length",
    "getpath([range(100000)])",
    "setpath([range(5000) | \"a\"]; 1)",
    "$body | reduce range(60) as $i (.; [., .]) | tostring | length",
    "limit(1; [range(1e9)])",
    "@json \"\\(reduce range(100) as $i ([1]; [., .]))\"",
    "[now | strftime(\"%Y\" * 100000)] | length",
];

fn hostile_events() -> Vec<String> {
    let deep = "[".repeat(63) + &"]".repeat(63);
    let wide: Vec<String> = (0..2_000).map(|n| format!("{{\"k{n}\":{n}}}")).collect();
    let digits = "9".repeat(20_000);
    vec![
        "{}".into(),
        format!("{{\"a\":{deep}}}"),
        format!("{{\"a\":[{}]}}", wide.join(",")),
        format!("{{\"a\":\"{}\"}}", "a".repeat(30_000)),
        format!("{{\"a\":{digits},\"b\":-{digits}e{digits}}}"),
        r#"{"a":"\ud800","a":null,"":{"":[]}}"#.into(),
    ]
}

#[test]
fn no_filter_and_event_together_cost_more_than_a_little() {
    for filter in HOSTILE {
        let mapping = Mapping::compile(&name_filter(filter)).unwrap_or_else(|errors| panic!("{filter}: {errors:?}"));
        for event in hostile_events() {
            let body = Bytes::from(event);
            let started = Instant::now();
            let session = mapping.session(String::new, None, &body);
            let _ = session.run(Slot::Name, &session.event(&body));
            drop(session);
            // Measured without optimisation and beside other tests; a runaway would take for ever.
            assert!(started.elapsed() < Duration::from_secs(5), "{filter} took {:?}", started.elapsed());
        }
    }
}

#[test]
fn a_runaway_is_tried_once_a_request_and_then_less_and_less() {
    let fields = [("a", "repeat(1) | select(false)"), ("b", "1")].map(|(name, filter)| (name.to_owned(), filter.to_owned()));
    let mapping = Mapping::compile(&MapSpec { fields: fields.into(), ..MapSpec::default() }).unwrap();
    let body = Bytes::from_static(b"{}");
    for request in 0..12 {
        let session = mapping.session(String::new, None, &body);
        let event = session.event(&body);
        for item in 0..2 {
            let outcomes: Vec<_> = session.fields(&event).map(|(name, outcome)| (name.to_string(), outcome.is_ok())).collect();
            assert_eq!(outcomes, [("a".to_owned(), false), ("b".to_owned(), true)]);
            assert_eq!(session.failed(), item + 1);
        }
        let texts: Vec<_> = session.take_failures().into_iter().map(|failure| failure.text).collect();
        let is_tried = texts[0].contains("takes too long");
        assert_eq!(is_tried, request < 10, "{texts:?}");
        assert!(texts[1].contains("left alone"), "{texts:?}");
    }
}

#[test]
fn all_events_of_a_request_share_what_it_may_cost() {
    // Dear, yet no runaway.
    let mapping = Mapping::compile(&name_filter("[range(20000)] | length")).unwrap();
    let body = Bytes::from_static(b"{}");
    let session = mapping.session(String::new, None, &body);
    let outcomes: Vec<bool> = (0..100).map(|_| session.run(Slot::Name, &session.event(&body)).unwrap().is_ok()).collect();
    assert!(outcomes[0] && !outcomes[99], "{outcomes:?}");
    assert!(mapping.session(String::new, None, &body).run(Slot::Name, &session.event(&body)).unwrap().is_ok());
}

//! The steps of the plain path, each by itself: `cargo bench --bench plain_path`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hookgate::auth::{Verifier, parse_basic};
use hookgate::intake::headers_json;
use http::HeaderValue;
use tokio::runtime::Builder;

mod plain;

fn credentials(c: &mut Criterion) {
    let mut group = c.benchmark_group("credentials");
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without I/O needs nothing");
    let verifier = Verifier::new();
    let access = plain::access(&verifier);
    let right = plain::headers();
    let mut wrong = right.clone();
    wrong.insert("authorization", HeaderValue::from_static("Basic YmVuY2g6d3Jvbmc="));
    group.bench_function("parse_basic", |b| b.iter(|| parse_basic(black_box(right["authorization"].as_bytes()))));
    for (name, headers) in [("right", &right), ("wrong", &wrong)] {
        let verdict = runtime.block_on(verifier.verify(Some(&access), headers));
        assert_eq!(verdict.is_ok(), name == "right", "{verdict:?}");
        group.bench_function(name, |b| b.iter(|| runtime.block_on(verifier.verify(Some(&access), black_box(headers)))));
    }
    group.finish();
}

/// Parsing alone is not to be had: intake reads a body once and makes drafts of it as it goes.
fn bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("bodies");
    let (headers, rules) = (plain::headers(), plain::rules());
    let array = format!("[{}]", vec![plain::event(300); 100].join(","));
    for (name, text) in
        [("300 B", plain::event(300)), ("2 KiB", plain::event(2 << 10)), ("100 KiB", plain::event(100 << 10)), ("array of 100", array)]
    {
        let bytes = Bytes::from(text);
        plain::read(&bytes, &headers, &rules).expect("a good body");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &bytes, |b, bytes| b.iter(|| plain::read(bytes, &headers, &rules)));
    }
    group.finish();
}

fn normalise(c: &mut Criterion) {
    let mut group = c.benchmark_group("normalise");
    let headers = plain::headers();
    let mut keyed = plain::rules();
    keyed.duplication_key = vec!["rule".parse().expect("a plain path")];
    let cases = [
        ("rawJson in a string", plain::rules(), r#"{"rawJson":"{\"host\":\"web-07\",\"count\":42,\"tags\":[\"auth\"]}"}"#.to_owned()),
        ("a date that is none", plain::rules(), plain::event(300).replace("2026-02-11T09:05:00Z", "last Wednesday")),
        ("duplication key", keyed, plain::event(300)),
    ];
    for (name, rules, text) in cases {
        let bytes = Bytes::from(text);
        plain::read(&bytes, &headers, &rules).expect("a good body");
        group.bench_function(name, |b| b.iter(|| plain::read(black_box(&bytes), &headers, &rules)));
    }
    group.bench_function("headers", |b| b.iter(|| headers_json(black_box(&headers), None)));
    group.finish();
}

criterion_group!(benches, credentials, bodies, normalise);
criterion_main!(benches);

//! What is told, to whom, and how it is asked for.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;

use super::{Bench, Draft, TOKEN, draft, rejection};

fn query<const N: usize>(pairs: [(&'static str, &str); N]) -> HashMap<&'static str, String> {
    pairs.map(|(name, value)| (name, value.to_owned())).into()
}

#[tokio::test]
async fn health_needs_no_token() {
    let bench = Bench::new();
    for path in ["/healthz", "/readyz"] {
        let answer = bench.answer(bench.request("GET", path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "ok\n"), "{path}");
    }
    bench.gateway.is_ready.store(false, Ordering::SeqCst);
    let answer = bench.answer(bench.request("GET", "/readyz")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.text.contains("secret"), "anybody may ask: {}", answer.text);
    assert_eq!(bench.answer(bench.request("GET", "/healthz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn all_else_needs_the_token() {
    let bench = Bench::new();
    let others = ["/metrics", "/api/v1/incidents", "/api/v1/instances/a/rejections", "/api/v1/openapi.json", "/", "/healthz/", "/made/up"];
    for path in others {
        for request in [bench.request("GET", path), bench.request("POST", path), bench.request("GET", path).bearer_auth("wrong")] {
            let answer = bench.answer(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"hookgate admin\"");
            assert_eq!(answer.json()["status"], 401);
        }
    }
    let twice = bench.request("GET", "/metrics").bearer_auth(TOKEN).header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(bench.answer(twice).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessers_are_told_to_wait() {
    let bench = Bench::new();
    let mut answer = bench.answer(bench.request("GET", "/metrics").bearer_auth("guess")).await;
    for _ in 0..100 {
        answer = bench.answer(bench.request("GET", "/metrics").bearer_auth("guess")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(answer.json()["status"], 429);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(bench.answer(bench.request("GET", "/healthz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn other_paths_and_methods_are_problems() {
    let bench = Bench::new();
    for path in ["/", "/api/v1/incidents/", "/api/v1/incidents/x", "/api/v1/instances/%ff/samples", "/api/v1/instances/c/samples"] {
        let answer = bench.get(path).await;
        assert_eq!(answer.json()["status"], 404, "{path}");
    }
    let unknown = "/api/v1/incidents/00000000-0000-7000-8000-000000000000";
    assert_eq!(bench.get(unknown).await.status, StatusCode::NOT_FOUND);
    for method in ["POST", "DELETE", "OPTIONS"] {
        let answer = bench.answer(bench.request(method, "/api/v1/incidents").bearer_auth(TOKEN)).await;
        assert_eq!(answer.json()["status"], 405);
        assert_eq!(answer.headers["allow"], "GET,HEAD");
    }
    let head = bench.answer(bench.request("HEAD", "/api/v1/incidents").bearer_auth(TOKEN)).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn pages_skip_and_repeat_nothing_while_incidents_arrive() {
    let bench = Bench::new();
    for order in ["asc", "desc"] {
        let mut wanted = bench.store("a", vec![draft("{}"); 7]).await;
        let mut query = query([("order", order), ("limit", "3"), ("since", &wanted[0].seq().time().to_string())]);
        let mut seen = Vec::new();
        let first = bench.page(&query).await;
        seen.extend(first.0);
        let mut next = first.1;
        let late = bench.store("a", vec![draft("{}"); 4]).await;
        while let Some(cursor) = next {
            query.insert("cursor", cursor);
            let (ids, cursor) = bench.page(&query).await;
            assert!(ids.len() <= 3);
            seen.extend(ids);
            next = cursor;
        }
        if order == "asc" {
            wanted.extend(late);
        } else {
            seen.reverse();
        }
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        // The second round may see the end of the first one, stored in the same millisecond.
        let from = seen.iter().position(|id| *id == wanted[0]).unwrap();
        assert_eq!(seen[from..], wanted, "{order}");
    }
}

#[tokio::test]
async fn a_consumer_follows_the_stream_with_its_last_cursor() {
    let bench = Bench::new();
    let mut wanted = bench.store("a", vec![draft("{}"); 2]).await;
    let mut query = query([("order", "asc")]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (ids, next) = bench.page(&query).await;
        seen.extend(ids);
        if let Some(cursor) = next {
            query.insert("cursor", cursor);
        }
        if wanted.len() < 4 {
            wanted.extend(bench.store("b", vec![draft("{}")]).await);
        }
    }
    assert_eq!(seen, wanted.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn filters_narrow_what_is_told() {
    let bench = Bench::new();
    let kind = |kind: &'static str| Draft { kind: Some(kind.into()), ..draft(r#"{"text":"Invoice 7"}"#) };
    let a = bench.store("a", vec![kind("Phish & co"), draft("{}")]).await;
    let b = bench.store("b", vec![kind("Other")]).await;
    for (pairs, wanted) in [
        (query([("instance", "b")]), vec![b[0]]),
        (query([("instance", "nobody")]), vec![]),
        (query([("type", "Phish & co")]), vec![a[0]]),
        (query([("q", "invoice 7")]), vec![b[0], a[0]]),
        (query([("q", "invoice 7"), ("order", "asc")]), vec![a[0], b[0]]),
        (query([("since", "2020-01-01"), ("until", "2020-01-02")]), vec![]),
        (query([("since", "2020-01-01T00:00:00Z"), ("until", ""), ("instance", "a")]), vec![a[1], a[0]]),
    ] {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(bench.page(&pairs).await.0, wanted, "{pairs:?}");
    }
}

#[tokio::test]
async fn mistakes_in_the_query_are_named() {
    let bench = Bench::new();
    bench.store("a", vec![draft("{}"); 2]).await;
    let (_, next) = bench.page(&query([("order", "asc"), ("limit", "1")])).await;
    let other_order = format!("/api/v1/incidents?order=desc&cursor={}", next.unwrap());
    for (target, name) in [
        ("/api/v1/incidents?limit=0", "limit"),
        ("/api/v1/incidents?since=soon", "since"),
        ("/api/v1/incidents?cursor=made-up", "cursor"),
        (&other_order, "cursor"),
        ("/api/v1/incidents?offset=3", "offset"),
        ("/api/v1/instances?limit=3", "limit"),
        ("/api/v1/instances/a/samples?limit=3", "limit"),
    ] {
        let answer = bench.get(target).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        let problem = answer.json();
        assert_eq!(problem["parameter"], name, "{target}");
        assert!(problem["detail"].as_str().unwrap().starts_with(name), "{target}: {problem}");
    }
}

#[tokio::test]
async fn what_was_sent_is_told_to_the_byte() {
    let bench = Bench::new();
    let raw = r#"{"n": 1e400, "n":0.10, "é":"\u00e9"}"#;
    let id = bench.store("a", vec![draft(raw)]).await[0];
    let wanted = r#""rawJson":{"n": 1e400, "n":0.10, "é":"\u00e9","headers":{"host":"h"}}}"#;
    for target in [format!("/api/v1/incidents/{id}"), "/api/v1/incidents".to_owned(), "/api/v1/instances/a/samples".to_owned()] {
        let answer = bench.get(&target).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.contains(wanted), "{target}: {}", answer.text);
    }
}

#[tokio::test]
async fn instances_samples_and_rejections() {
    let bench = Bench::new();
    let ids = bench.store("a", vec![draft("{}"); 2]).await;
    bench.gateway.rejections.push("a", rejection());

    let instances = bench.json("/api/v1/instances").await;
    assert_eq!(instances["instances"][1]["name"], "b");
    assert_eq!(instances["instances"][0]["duplicationWindowSeconds"], 604_800);

    let samples = bench.json("/api/v1/instances/a/samples").await;
    assert_eq!(samples["samples"][1]["id"], ids[1].to_string());
    assert_eq!(bench.json("/api/v1/instances/b/samples").await, json!({"samples": []}));

    let redacted = json!({"name": "authorization", "value": "[redacted]"});
    let wanted = json!({
        "at": "1970-01-01T00:00:00.001Z", "requestId": "0123456789abcdef", "status": 401, "reason": "wrong password",
        "method": "POST", "path": "/instance/execute/a", "peer": "192.0.2.1", "headers": [redacted, redacted],
    });
    assert_eq!(bench.json("/api/v1/instances/a/rejections").await, json!({"rejections": [wanted]}));
    assert_eq!(bench.get("/api/v1/instances/c/rejections").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let bench = Bench::new();
    let answer = bench.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text.contains("hookgate_commit_duration_seconds") && answer.text.ends_with("# EOF\n"));
}

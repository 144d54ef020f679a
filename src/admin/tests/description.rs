//! `openapi.json` against what is served, both ways.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

use super::super::api::routes;
use super::{Answer, Bench, Draft, Field, TOKEN, draft, rejection};

async fn description(bench: &Bench) -> Value {
    bench.json("/api/v1/openapi.json").await
}

/// Follows `$ref`.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(pointer) => document.pointer(pointer.trim_start_matches('#')).unwrap_or_else(|| panic!("{pointer} leads nowhere")),
        None => value,
    }
}

/// The part of JSON Schema that the description uses; an unknown keyword fails, so that nothing goes unchecked.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "description" | "format" | "default" => {}
            "type" => {
                let types: Vec<&Value> = rule.as_array().map_or_else(|| vec![rule], |list| list.iter().collect());
                assert!(types.iter().any(|wanted| is_of_type(value, wanted.as_str().unwrap())), "{at}: {value} is no {rule}");
            }
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value} is none of {rule}"),
            "minimum" => assert!(value.as_i64().unwrap() >= rule.as_i64().unwrap(), "{at}: {value} < {rule}"),
            "minLength" => assert!(value.as_str().unwrap().len() as u64 >= rule.as_u64().unwrap(), "{at}"),
            // These say nothing about what is no object (JSON Schema, 2020-12).
            "required" | "properties" | "additionalProperties" if !value.is_object() => {}
            "required" => {
                for name in rule.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at} lacks {name}");
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(document, schema, member, &format!("{at}.{name}"));
                    }
                }
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().unwrap() {
                    if schema["properties"].get(name).is_none() {
                        assert!(rule != false, "{at}.{name} is not described");
                        check(document, rule, member, &format!("{at}.{name}"));
                    }
                }
            }
            "items" => value.as_array().unwrap().iter().for_each(|item| check(document, rule, item, &format!("{at}[]"))),
            other => panic!("{at}: {other} is not checked here"),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

/// Whether an answer is one of those that `operation` describes: status, headers, media type and body.
fn check_answer(document: &Value, operation: &Value, answer: &Answer, at: &str) {
    let described = &operation["responses"][answer.status.as_str()];
    assert!(described.is_object(), "{at}: {} is not described", answer.status);
    let response = resolve(document, described);
    for name in response["headers"].as_object().unwrap().keys() {
        assert!(answer.headers.contains_key(name), "{at}: no {name}");
    }
    let (media, content) = response["content"].as_object().unwrap().iter().next().unwrap();
    let sent = answer.headers["content-type"].to_str().unwrap();
    assert_eq!(sent.split(';').next().unwrap(), media, "{at}");
    let body = if media.ends_with("json") { serde_json::from_str(&answer.text).unwrap() } else { Value::from(answer.text.as_str()) };
    check(document, &content["schema"], &body, at);
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_served() {
    let bench = Bench::new();
    let document = description(&bench).await;
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let served: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).collect();
    assert_eq!(described, served);
    for (path, item) in document["paths"].as_object().unwrap() {
        assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), ["get"], "{path}");
    }
}

#[tokio::test]
async fn every_address_answers_as_described() {
    let bench = Bench::new();
    let fields = vec![Field { name: "severity".into(), value: "high".into() }];
    let keyed = Draft { kind: Some("T".into()), key: Some([1; 16]), fields, ..draft(r#"{"n":0.10}"#) };
    // One that came again, and one that did not.
    let id = bench.store("a", vec![keyed.clone(), keyed, draft("{}")]).await[0].to_string();
    bench.gateway.rejections.push("a", rejection());
    let document = description(&bench).await;

    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        let needs_token = operation.get("security") != Some(&Value::Array(Vec::new()));
        let target = path.replace("{id}", &id).replace("{name}", "a");
        let ok =
            bench.answer(if needs_token { bench.request("GET", &target).bearer_auth(TOKEN) } else { bench.request("GET", &target) }).await;
        assert_eq!(ok.status, StatusCode::OK, "{path}");
        check_answer(&document, operation, &ok, path);

        let statuses: BTreeSet<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses.contains("401"), needs_token, "{path}");
        let post = bench.answer(bench.request("POST", &target).bearer_auth(TOKEN)).await;
        check_answer(&document, operation, &post, path);
        if needs_token {
            let stranger = bench.answer(bench.request("GET", &target)).await;
            assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{path}");
            check_answer(&document, operation, &stranger, path);
        }
        if statuses.contains("400") {
            let mistaken = bench.get(&format!("{target}?no-such-parameter=1")).await;
            assert_eq!(mistaken.status, StatusCode::BAD_REQUEST, "{path}");
            check_answer(&document, operation, &mistaken, path);
        }
        if statuses.contains("404") {
            let missing = bench.get(&path.replace("{id}", "x").replace("{name}", "x")).await;
            assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
            check_answer(&document, operation, &missing, path);
        }
    }
}

#[tokio::test]
async fn every_described_parameter_is_understood() {
    let bench = Bench::new();
    let document = description(&bench).await;
    let operation = &document["paths"]["/api/v1/incidents"]["get"];
    let mut names = BTreeSet::new();
    for parameter in operation["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let schema = &parameter["schema"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut values: Vec<String> = [&parameter["example"], &schema["default"]].into_iter().filter(|v| !v.is_null()).map(text).collect();
        values.extend([&schema["minimum"], &schema["maximum"]].into_iter().filter(|v| !v.is_null()).map(text));
        values.extend(schema["enum"].as_array().into_iter().flatten().map(text));
        values.push(String::new());
        for value in values {
            let answer = bench.get(&format!("/api/v1/incidents?{name}={value}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}={value}");
        }
        names.insert(name);
    }
    assert_eq!(names, BTreeSet::from(["instance", "type", "field", "since", "until", "q", "order", "limit", "cursor"]));
}

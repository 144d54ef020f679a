//! What both benchmarks post: an event as senders send them, with Basic credentials.

use bytes::Bytes;
use hookgate::auth::{Access, AccessSpec, PasswordSpec, Verifier};
use hookgate::incident::Draft;
use hookgate::intake::{self, Accept, Body, IntakeError, Rules};
use hookgate::secret::Secret;
use http::{HeaderMap, HeaderName, HeaderValue};

const USERNAME: &str = "bench";
const PASSWORD: &str = "correct-horse-battery-staple";
/// `USERNAME:PASSWORD` in base64.
const AUTHORIZATION: &str = "Basic YmVuY2g6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==";

/// An event of so many bytes, at least 250.
pub(crate) fn event(length: usize) -> String {
    let head = concat!(
        r#"{"name":"Benchmark event","type":"Bench","occurred":"2026-02-11T09:05:00Z","rawJson":{"host":"web-07","#,
        r#""source":"203.0.113.9","rule":"too many failed sign-ins","count":42,"score":0.87,"tags":["auth","brute-force"],"#,
        r#""note":""#
    );
    let tail = r#""}}"#;
    let words = "Failed password for invalid user admin from 203.0.113.9 port 50432; ";
    let note: String = words.chars().cycle().take(length - head.len() - tail.len()).collect();
    format!("{head}{note}{tail}")
}

/// What common senders put into a request's head.
pub(crate) fn headers() -> HeaderMap {
    let pairs = [
        ("host", "hooks.example.com"),
        ("user-agent", "example-sender/3.2"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("authorization", AUTHORIZATION),
        ("x-request-id", "0a1b2c3d4e5f"),
    ];
    pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).into_iter().collect()
}

/// Lets in who shows [`headers`].
pub(crate) fn access(verifier: &Verifier) -> Access {
    let password = PasswordSpec::Plain(Secret::new(PASSWORD.to_owned()));
    verifier.access(AccessSpec::Basic { username: USERNAME.to_owned(), passwords: vec![password] })
}

/// The default configuration's.
pub(crate) fn rules() -> Rules {
    Rules {
        incident_type: None,
        duplication_key: Vec::new(),
        max_incidents: 10_000,
        max_body: 10 << 20,
        accept: Accept::default(),
        unwrap: Vec::new(),
        cloudevents: false,
        mapping: None,
    }
}

/// From the bytes of a body to drafts.
pub(crate) fn read(bytes: &Bytes, headers: &HeaderMap, rules: &Rules) -> Result<Vec<Draft>, IntakeError> {
    let body = Body {
        query: None,
        content_type: Some("application/json"),
        content_encoding: None,
        bytes: bytes.clone(),
        headers,
        secret_header: None,
    };
    intake::read(body, rules).map(|intake| intake.drafts)
}

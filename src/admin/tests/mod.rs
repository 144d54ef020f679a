//! The admin listener as a whole: over a real socket, with a real store.

mod connections;
mod description;
mod reading;

use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use super::server::Limits;
use super::{Admin, Gateway, InstanceInfo, Options};
use crate::incident::{Draft, Field, IncidentId, Timestamp};
use crate::metrics::Metrics;
use crate::rejections::{Rejection, Rejections};
use crate::secret::Secret;
use crate::senders::handshake::Pending;
use crate::store::{self, Outcome, Store};

const TOKEN: &str = "a token of the tests";

struct FakeGateway {
    is_ready: AtomicBool,
    rejections: Rejections,
}

impl Gateway for FakeGateway {
    fn instances(&self) -> Vec<InstanceInfo> {
        let instance = |name: &str| InstanceInfo {
            name: name.to_owned(),
            urls: vec![format!("http://127.0.0.1:1/instance/execute/{name}")],
            auth: "basic",
            sender: Some("aws-sns".to_owned()),
            signature: true,
            path_token: false,
            incident_type: None,
            store_samples: true,
            duplication_key: vec!["incidentId".to_owned()],
            duplication_window_seconds: 604_800,
            expect_every_seconds: Some(3600),
            silent: Some(false),
            last_event: Some(Timestamp(1).to_string()),
            last_refusal: None,
            password_last_used: Some(Timestamp(2).to_string()),
            password_next_last_used: None,
            pending: None,
        };
        let waiting = Pending {
            handshake: "sns",
            received: Timestamp(3).to_string(),
            topic_arn: Some("arn:aws:sns:eu-west-1:1:t".to_owned()),
            subscribe_url: Some("https://sns.eu-west-1.amazonaws.com/".to_owned()),
            callback_id: None,
            verification_key: None,
        };
        vec![instance("a"), InstanceInfo { pending: Some(waiting), ..instance("b") }]
    }

    fn rejections(&self, instance: &str) -> Option<Vec<Rejection>> {
        self.rejections.of(instance)
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        let is_ready = self.is_ready.load(Ordering::SeqCst);
        Box::pin(ready(if is_ready { Ok(()) } else { Err("no room in /secret/folder".to_owned()) }))
    }
}

/// A running admin listener over a store of its own.
struct Bench {
    admin: Admin,
    store: Store,
    gateway: Arc<FakeGateway>,
    client: reqwest::Client,
    _folder: TempDir,
}

/// An answer whose common headers were checked.
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], if self.status.is_success() { "application/json" } else { "application/problem+json" });
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Bench {
    fn new() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let options = store::Options { path: folder.path().join("x.db"), retention: None, samples: 20, metrics: Arc::clone(&metrics) };
        let store = Store::open(options).unwrap();
        let gateway = Arc::new(FakeGateway { is_ready: AtomicBool::new(true), rejections: Rejections::new(["a", "b"]) });
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            token: Secret::new(TOKEN.to_owned()),
            reader: store.reader(),
            metrics,
            gateway: Arc::clone(&gateway) as Arc<dyn Gateway>,
        };
        let admin = Admin::start_within(options, limits).unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { admin, store, gateway, client, _folder: folder }
    }

    async fn store(&self, instance: &str, drafts: Vec<Draft>) -> Vec<IncidentId> {
        let write = store::Write {
            instance: instance.into(),
            headers: r#"{"host":"h"}"#.to_owned(),
            drafts,
            keep_samples: true,
            duplicates_of: instance.into(),
            duplication_window: Duration::from_secs(60),
            tally: Arc::default(),
        };
        let receipt = self.store.lane().commit(Arc::new(write)).await.unwrap();
        receipt
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Stored(id) => *id,
                Outcome::Duplicate { first, .. } => *first,
            })
            .collect()
    }

    fn request(&self, method: &str, target: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("http://{}{target}", self.admin.address()))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, text: response.text().await.unwrap() };
        assert_eq!(answer.headers["x-request-id"].len(), 16);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        answer
    }

    async fn get(&self, target: &str) -> Answer {
        self.answer(self.request("GET", target).bearer_auth(TOKEN)).await
    }

    async fn json(&self, target: &str) -> Value {
        let answer = self.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text);
        answer.json()
    }

    /// The ids of one page, and its cursor.
    async fn page(&self, query: &HashMap<&str, String>) -> (Vec<String>, Option<String>) {
        let mut target = form_urlencoded::Serializer::new("/api/v1/incidents?".to_owned());
        let page = self.json(&target.extend_pairs(query).finish()).await;
        let ids = page["incidents"].as_array().unwrap().iter().map(|incident| incident["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next"].as_str().map(str::to_owned))
    }
}

fn draft(raw: &str) -> Draft {
    Draft {
        name: "n".into(),
        kind: None,
        occurred: None,
        raw: Bytes::copy_from_slice(raw.as_bytes()),
        key: None,
        fields: Vec::new(),
        warnings: Vec::new(),
    }
}

fn rejection() -> Rejection {
    Rejection {
        at: Timestamp(1),
        request_id: "0123456789abcdef".to_owned(),
        status: 401,
        reason: "wrong password".to_owned(),
        method: "POST".to_owned(),
        path: "/instance/execute/a".to_owned(),
        peer: [192, 0, 2, 1].into(),
        headers: vec![("authorization".to_owned(), "[redacted]".to_owned()), ("authorization".to_owned(), "[redacted]".to_owned())],
    }
}

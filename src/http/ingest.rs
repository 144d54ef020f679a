//! One request, top to bottom: framing, path, method, throttle, credentials, size, body, signature, normalise, commit, answer.
//!
//! Nothing of a body is parsed before its sender was let in, and 200 is said only after the store's COMMIT returned.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::admit::Admitted;
use super::answer::{self, Body};
use super::attempt::Attempt;
use super::budget::Reserved;
use super::error::Refused;
use super::reading::{self, Content};
use super::request_id::RequestId;
use super::shares::Share;
use super::{Entrance, Instance, Site, Visit, body, framing, route, vouched};
use crate::incident::{Draft, Timestamp};
use crate::intake::{self, Intake};
use crate::listener::client_address;
use crate::log::excerpt;
use crate::metrics::{REASONS, RejectionLabels, RequestLabels};
use crate::rejections::{self, Rejection};
use crate::store::Write;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way through: what the log wants to know of it, good or bad.
pub(super) struct Passage<'a> {
    id: RequestId,
    pub(super) site: Arc<Site>,
    pub(super) visit: &'a Visit,
    pub(super) head: Parts,
    pub(super) peer: IpAddr,
}

impl Entrance {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, visit: &Visit) -> Response<Body> {
        let (mut head, mut incoming) = request.into_parts();
        vouched::vouch(&mut head, visit.client.as_deref());
        let site = self.site.load_full();
        let peer = client_address(visit.remote, &site.limits.trusted_proxies, &head.headers);
        let mut passage = Passage { id: self.request_ids.next(), site, visit, head, peer };
        let mut response = match self.ingest(&mut passage, &mut incoming).await {
            Ok(response) => response,
            Err(refused) => {
                let response = self.refuse(&passage, &refused);
                // Whoever waits for a 100 before sending is answered at once and need not send.
                if !passage.head.headers.contains_key(header::EXPECT) {
                    body::drain(incoming, Arc::clone(&visit.traffic));
                }
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, passage.id.header_value());
        // Answers may repeat what a stranger sent: no browser is to guess what that is.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn ingest(&self, passage: &mut Passage<'_>, incoming: &mut Incoming) -> Result<Response<Body>, Refused> {
        vouched::name_host(&mut passage.head)?;
        framing::check(&passage.head)?;
        let _share = self.share(passage)?;
        let Admitted { instance, greeting, secret } = self.admit(passage).await?;
        if let Some(greeting) = greeting {
            return Ok(self.greet(&instance, greeting));
        }
        if !instance.takes(&passage.head.method) {
            return answer_probe(&instance, &passage.head.method);
        }
        let limits = &passage.site.limits;
        let bounds = body::Bounds { max: limits.max_body, time: limits.body_timeout, last_call: &self.last_call };
        let is_proven = secret.is_some() || !instance.may_read_to_verify();
        let mut reserved = if is_proven { self.budgets.reserve() } else { self.budgets.reserve_unverified(passage.peer) };
        let attempt = Attempt::begin(self, passage.peer, &instance, is_proven);
        let bytes = body::collect(incoming, &bounds, &mut reserved, &passage.visit.traffic).await;
        let bytes = bytes.map_err(|refused| attempt.refused(refused))?;
        let read = reading::read(&instance, &mut passage.head, reading::Received { bytes, reserved }, secret, &attempt).await;
        let (content, mut reserved) = read.map_err(|refused| attempt.refused(refused))?;
        attempt.verified();
        self.budgets.verified(&mut reserved)?;
        match content {
            Content::Greeting(greeting) => Ok(self.greet(&instance, greeting)),
            Content::Events(intake) => {
                note_map(passage, &instance, &intake);
                let drafts = intake.drafts;
                reserved.account_for(&drafts)?;
                self.store(passage, &instance, drafts, reserved).await
            }
        }
    }

    /// A request's place among those of its client, where connections do not tell clients apart.
    fn share(&self, passage: &Passage<'_>) -> Result<Option<Share<'_>>, Refused> {
        let is_by_proxy = passage.peer != passage.visit.remote.to_canonical();
        is_by_proxy.then(|| self.shares.take(passage.peer, passage.site.limits.max_requests_per_client)).transpose()
    }

    /// Commits, then answers.
    async fn store(
        &self,
        passage: &Passage<'_>,
        instance: &Instance,
        drafts: Vec<Draft>,
        reserved: Reserved,
    ) -> Result<Response<Body>, Refused> {
        if drafts.is_empty() {
            instance.ok.inc();
            let mut response = Response::new(Body::whole("[]"));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return Ok(response);
        }
        let write = Arc::new(Write {
            instance: Arc::clone(&instance.name),
            headers: intake::headers_json(&passage.head.headers, instance.secret_header()),
            drafts,
            keep_samples: instance.keep_samples,
            duplicates_of: Arc::clone(&instance.duplicates_of),
            duplication_window: instance.duplication_window,
            tally: Arc::clone(&instance.tally),
        });
        let receipt = passage.visit.lane.commit(Arc::clone(&write)).await?;
        instance.ok.inc();
        Ok(answer::stored_response(write, receipt, reserved))
    }

    /// The answer to a refused request; its true reason goes to the log, the metrics and the rejections.
    pub(super) fn refuse(&self, passage: &Passage<'_>, refused: &Refused) -> Response<Body> {
        let instance = passage.instance();
        let status = refused.status();
        let path = passage.head.uri.path();
        self.count_refused(instance.map(|instance| &*instance.name), status, refused.word());
        let (id, peer, method) = (passage.id.as_str(), passage.peer, &passage.head.method);
        self.log_refused(passage, refused);
        if let Some(instance) = instance {
            let at = Timestamp::now();
            instance.tally.activity.last_refusal.set(at);
            let rejection = Rejection {
                at,
                request_id: id.to_owned(),
                status: status.as_u16(),
                reason: refused.to_string(),
                method: method.to_string(),
                path: route::shown(path),
                peer,
                headers: rejections::redacted(&passage.head.headers, |name, value| instance.is_secret(name, value)),
            };
            self.rejections.push(&instance.name, rejection);
        }
        let basic = instance.is_none_or(|instance| instance.asks_for_basic);
        refused.response(&passage.head.headers, basic)
    }

    /// One line with the true reason, unless there are very many.
    fn log_refused(&self, passage: &Passage<'_>, refused: &Refused) {
        let (id, peer, status) = (passage.id.as_str(), passage.peer, refused.status());
        let method = excerpt(passage.head.method.as_str());
        let known = passage.instance().map_or("", |instance| &instance.name);
        if !self.log_quota.admits(known, refused.word()) {
            return;
        }
        let name = route::address(&passage.visit.door, passage.head.uri.path()).map(|address| address.name).unwrap_or_default();
        if status.is_server_error() {
            tracing::error!(request_id = id, instance = name, %peer, %method, status = status.as_u16(), reason = %refused, "request refused");
        } else {
            tracing::warn!(request_id = id, instance = name, %peer, %method, status = status.as_u16(), reason = %refused, "request refused");
        }
    }

    pub(super) fn count_refused(&self, instance: Option<&str>, status: StatusCode, word: &'static str) {
        debug_assert!(REASONS.contains(&word), "{word} is missing in the list of reasons");
        let instance = instance.unwrap_or_default().to_owned();
        self.metrics.requests.get_or_create(&RequestLabels { instance: instance.clone(), status: status.as_u16() }).inc();
        self.metrics.rejections.get_or_create(&RejectionLabels { instance, reason: word }).inc();
    }
}

/// Counts what an instance's map left out, and what went wrong with it: one line a request, whatever is in it.
fn note_map(passage: &Passage<'_>, instance: &Instance, intake: &Intake) {
    if intake.dropped > 0 {
        instance.dropped.inc_by(intake.dropped as u64);
        // What is left out was heard of all the same.
        instance.tally.activity.last_event.set(Timestamp::coarse());
    }
    if let Some(first) = intake.failures.first() {
        instance.filter_failures.inc_by(intake.failed as u64);
        let (id, name, filter, reason) = (passage.id.as_str(), &*instance.name, &first.key, &first.text);
        let failed = intake.failed;
        tracing::warn!(request_id = id, instance = name, filter, reason, failed, "a filter of the map failed; the default rule was used");
    }
}

/// GET and HEAD are how many senders test a connection; what else comes here is a method that only others take.
fn answer_probe(instance: &Instance, method: &Method) -> Result<Response<Body>, Refused> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Err(Refused::Method { method: method.clone(), allow: instance.allow() });
    }
    instance.ok.inc();
    Ok(answer::text_response(StatusCode::OK, format!("Hookgate instance {} is ready for POST.", instance.name)))
}

//! One request, top to bottom: framing, path, method, throttle, credentials, size, body, normalise, commit, answer.
//!
//! Nothing of a body is parsed before its sender was let in, and 200 is said only after the store's COMMIT returned.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::answer::{self, Body};
use super::body::Reserved;
use super::error::Refused;
use super::request_id::RequestId;
use super::shares::Share;
use super::{Entrance, Instance, Site, Visit, body, framing, route, vouched};
use crate::auth::Refusal;
use crate::incident::{Draft, Timestamp};
use crate::intake::{self, Intake, IntakeError};
use crate::listener::client_address;
use crate::metrics::{REASONS, RejectionLabels, RequestLabels};
use crate::rejections::{self, Rejection};
use crate::store::Write;

/// From here on a body is parsed off the threads that serve connections, because it would hold up everybody else for 0.1 ms
/// or more. Packed ones always are: how large they become is not known.
const LARGE_BODY: usize = 64 * 1024;
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way through: what the log wants to know of it, good or bad.
struct Passage<'a> {
    id: RequestId,
    site: Arc<Site>,
    visit: &'a Visit,
    head: Parts,
    peer: IpAddr,
}

impl Entrance {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, visit: &Visit) -> Response<Body> {
        let _in_flight = visit.traffic.begin();
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
                    body::drain(incoming);
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
        let instance = self.admit(passage).await?;
        if passage.head.method != Method::POST {
            instance.ok.inc();
            return Ok(answer::text_response(StatusCode::OK, format!("Hookgate instance {} is ready for POST.", instance.name)));
        }
        let limits = &passage.site.limits;
        let bounds = body::Bounds { max: limits.max_body, time: limits.body_timeout, last_call: &self.last_call };
        let mut reserved = self.budget.reserve();
        let bytes = body::collect(incoming, &bounds, &mut reserved, &passage.visit.traffic).await?;
        let headers = std::mem::take(&mut passage.head.headers);
        let (headers, events) = normalise(&instance, headers, passage.head.uri.clone(), bytes).await?;
        passage.head.headers = headers;
        let intake = events?;
        note_map(passage, &instance, &intake);
        let drafts = intake.drafts;
        // What was packed takes more room now than it took on the way.
        reserved.grow_to(drafts.iter().map(|draft| draft.raw.len() as u64).sum())?;
        self.store(passage, &instance, drafts, reserved).await
    }

    /// A request's place among those of its client, where connections do not tell clients apart.
    fn share(&self, passage: &Passage<'_>) -> Result<Option<Share<'_>>, Refused> {
        let is_by_proxy = passage.peer != passage.visit.remote.to_canonical();
        is_by_proxy.then(|| self.shares.take(passage.peer, passage.site.limits.max_requests_per_client)).transpose()
    }

    /// Path, method, throttle, credentials: from a stranger to a sender of an instance.
    async fn admit(&self, passage: &Passage<'_>) -> Result<Arc<Instance>, Refused> {
        let head = &passage.head;
        let name = route::instance_name(&passage.visit.door, head.uri.path())?;
        if !matches!(head.method, Method::POST | Method::GET | Method::HEAD) {
            return Err(Refused::Method(head.method.clone()));
        }
        self.throttle.check(passage.peer, name).map_err(|wait| Refused::Throttled(wait.0))?;
        let instance = passage.instance();
        // From a wrong address, credentials are verified as those for an instance that does not exist: it takes as long as with a
        // wrong password, and nothing is learned by it about the right one.
        let (instance, is_elsewhere) = match instance {
            Some(instance) if !instance.allows(passage.peer) => (None, true),
            other => (other, false),
        };
        let attempt = Attempt { entrance: self, passage, name, is_undecided: true };
        let verdict = self.verifier.verify(instance.map(|instance| &instance.access), &head.headers).await;
        attempt.decided();
        match verdict {
            // A stranger to the gateway is a stranger to this instance too: `verify` refuses where there is no instance.
            Ok(verified) => {
                let instance = instance.ok_or_else(|| Refused::Internal("verified without an instance".into()))?;
                if let Some(use_of_password) = instance.password_uses.get(verified.password) {
                    use_of_password.set(Timestamp::coarse());
                }
                Ok(Arc::clone(instance))
            }
            Err(refusal) => {
                let refused = match refusal {
                    Refusal::UnknownInstance if is_elsewhere => Refused::Address(passage.peer),
                    refusal => Refused::Credentials(refusal),
                };
                if refused.status() == StatusCode::UNAUTHORIZED {
                    self.throttle.failed(passage.peer, name);
                }
                Err(refused)
            }
        }
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
            headers: intake::headers_json(&passage.head.headers, instance.secret_header.as_ref()),
            drafts,
            keep_samples: instance.keep_samples,
            duplication_window: instance.duplication_window,
            tally: Arc::clone(&instance.tally),
        });
        let receipt = passage.visit.lane.commit(Arc::clone(&write)).await?;
        instance.ok.inc();
        Ok(answer::stored_response(write, receipt, reserved))
    }

    /// The answer to a refused request; its true reason goes to the log, the metrics and the rejections.
    fn refuse(&self, passage: &Passage<'_>, refused: &Refused) -> Response<Body> {
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
                path: path.to_owned(),
                peer,
                headers: rejections::redacted(&passage.head.headers, instance.secret_header.as_ref()),
            };
            self.rejections.push(&instance.name, rejection);
        }
        let basic = instance.is_none_or(|instance| instance.asks_for_basic);
        refused.response(&passage.head.headers, basic)
    }

    /// One line with the true reason, unless there are very many.
    fn log_refused(&self, passage: &Passage<'_>, refused: &Refused) {
        let (id, peer, method, status) = (passage.id.as_str(), passage.peer, &passage.head.method, refused.status());
        let known = passage.instance().map_or("", |instance| &instance.name);
        if !self.log_quota.admits(known, refused.word()) {
            return;
        }
        let name = route::instance_name(&passage.visit.door, passage.head.uri.path()).unwrap_or_default();
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

impl Passage<'_> {
    /// The instance that the path names, if there is one.
    fn instance(&self) -> Option<&Arc<Instance>> {
        let name = route::instance_name(&self.visit.door, self.head.uri.path()).ok()?;
        // Behind an instance's own door no other can be reached.
        let is_behind_door = match &self.visit.door {
            super::Door::Shared => true,
            super::Door::Own(own) => **own == *name,
        };
        self.site.instances.get(name).filter(|_| is_behind_door)
    }
}

/// A login that is being verified. Verifying a password may take a while; whoever hangs up meanwhile, and with that drops
/// what waits for it, has failed like everybody who guesses wrong.
struct Attempt<'a> {
    entrance: &'a Entrance,
    passage: &'a Passage<'a>,
    name: &'a str,
    is_undecided: bool,
}

impl Attempt<'_> {
    fn decided(mut self) {
        self.is_undecided = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_undecided {
            self.entrance.throttle.failed(self.passage.peer, self.name);
            // There is nobody to send it to; it is logged, counted and shown.
            let _ = self.entrance.refuse(self.passage, &Refused::HungUp);
        }
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

/// From bytes to drafts; the headers are lent and come back.
async fn normalise(
    instance: &Arc<Instance>,
    headers: HeaderMap,
    uri: Uri,
    bytes: Bytes,
) -> Result<(HeaderMap, Result<Intake, IntakeError>), Refused> {
    let is_small = bytes.len() < LARGE_BODY && !headers.contains_key(header::CONTENT_ENCODING);
    if is_small {
        return Ok(read(instance, headers, &uri, bytes));
    }
    let instance = Arc::clone(instance);
    let reading = tokio::task::spawn_blocking(move || read(&instance, headers, &uri, bytes));
    reading.await.map_err(|error| Refused::Internal(format!("reading the body failed: {error}")))
}

fn read(instance: &Instance, headers: HeaderMap, uri: &Uri, bytes: Bytes) -> (HeaderMap, Result<Intake, IntakeError>) {
    let content_encoding = joined(&headers, header::CONTENT_ENCODING);
    let body = intake::Body {
        content_type: headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()),
        content_encoding: content_encoding.as_deref(),
        bytes,
        query: uri.query(),
        headers: &headers,
        secret_header: instance.secret_header.as_ref(),
    };
    let events = intake::read(body, &instance.rules);
    (headers, events)
}

/// Every line of a header as one; none if it is not there.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let mut lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?.into_owned();
    Some(lines.fold(first, |all, line| all + ", " + &line))
}

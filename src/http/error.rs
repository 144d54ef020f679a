//! The one place where a refusal becomes a status.
//!
//! Three readers see a refusal, and each gets what is theirs: the caller a short line that gives nothing away
//! ([`Refused::public_text`]), the metrics one word of a fixed list ([`Refused::word`]), the operator's log the true reason
//! (`Display`).

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::answer::{Body, text_response};
use crate::auth;
use crate::intake::IntakeError;
use crate::log::excerpt;
use crate::senders::handshake::HandshakeRefusal;
use crate::senders::signature::SignatureRefusal;
use crate::store::WriteError;

/// What every instance answers; in the order of RFC 9110.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");

/// What a caller reads that was not let in, whatever the reason.
const FAILED: &str = "Authorization failed.";
const NOT_NOW: &str = "The event cannot be stored now. Try again later.";

/// Queues drain in well under a second, so a full one is worth an early retry.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// A full or failing disk waits for a person; a shutdown for a restart.
const RETRY_LATER: Duration = Duration::from_secs(30);

/// Why a request is not answered with 200. `Display` is for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("malformed request: {0}")]
    Framing(&'static str),
    #[error("no such path")]
    Path,
    #[error("method {} is not answered here", excerpt(method.as_str()))]
    Method { method: Method, allow: HeaderValue },
    #[error("{most} requests of this client are being answered already, as many as max_connections_per_address allows")]
    TooManyRequests { most: usize },
    #[error("too many failed logins from this address; the next is looked at in {0:?}")]
    Throttled(Duration),
    #[error("{0}")]
    Credentials(#[from] auth::Refusal),
    #[error("{0} is not in the instance's allow_from: its credentials were not looked at")]
    Address(IpAddr),
    #[error(transparent)]
    Unproven(#[from] Unproven),
    #[error(transparent)]
    Signature(#[from] SignatureRefusal),
    #[error(transparent)]
    Handshake(#[from] HandshakeRefusal),
    #[error("the caller hung up while the credentials were being verified")]
    HungUp,
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: u64 },
    #[error("the body came too slowly: {received} bytes in {after:?}")]
    BodyTooSlow { received: u64, after: Duration },
    #[error("the body broke off after {received} bytes: {source}")]
    BodyBroken { received: u64, source: hyper::Error },
    #[error("the gateway had to stop while the body was still on its way: {received} bytes of it had come")]
    Stopping { received: u64 },
    #[error("so many large bodies are being read that this one had no turn within {after:?}")]
    NoTurn { after: Duration },
    #[error("the budget for bodies in flight is used up")]
    OverBudget,
    #[error("the budget for bodies whose signature is still to be verified is used up, or this address's share of it")]
    OverUnverifiedBudget,
    #[error("{0}")]
    Intake(#[from] IntakeError),
    #[error("{0}")]
    Store(#[from] WriteError),
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why a sender is not believed to be one, besides credentials and signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("the address ends with the instance's name: the sender's URL must go on with a slash and the path_token")]
    NoToken,
    #[error("wrong path token: check the last part of the sender's URL, or whether it was rotated")]
    WrongToken,
    #[error("something stands behind the instance's name in the address, and the instance has no path_token")]
    NeedlessToken,
    #[error("only a signed body tells who sends here, and this request has none: it is no event and no handshake of this sender")]
    Unsigned,
    #[error("the sender signs its events, and there is no secret to verify them with: set secrets to the key that it showed")]
    NoSecret,
    #[error("the body is a challenge that this gateway answered with its signature, not an event: somebody makes up events")]
    Challenge,
}

impl Unproven {
    fn word(self) -> &'static str {
        match self {
            Self::NoToken => "path_token_missing",
            Self::WrongToken | Self::NeedlessToken => "path_token_wrong",
            Self::Unsigned => "unsigned",
            Self::NoSecret => "signature_key",
            Self::Challenge => "signature_made_up",
        }
    }
}

impl Refused {
    /// 405 for a caller who may not know which instances there are.
    pub(super) fn method(method: &Method) -> Self {
        Self::Method { method: method.clone(), allow: ALLOW }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Credentials(auth::Refusal::Busy)
            | Self::TooManyRequests { .. }
            | Self::NoTurn { .. }
            | Self::OverBudget
            | Self::OverUnverifiedBudget
            | Self::Stopping { .. }
            | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Signature(refusal) if refusal.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Credentials(_) | Self::Signature(_) | Self::Unproven(_) | Self::Address(_) | Self::HungUp => StatusCode::UNAUTHORIZED,
            Self::Handshake(refusal) if refusal.is_failed_login() => StatusCode::UNAUTHORIZED,
            Self::Framing(_) | Self::BodyBroken { .. } | Self::Handshake(_) | Self::Intake(IntakeError::Malformed { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooLarge { .. } | Self::Intake(IntakeError::TooLarge | IntakeError::TooManyIncidents { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Intake(IntakeError::UnsupportedEncoding) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word for the metric `hookgate_rejections_total`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Framing(_) => "framing",
            Self::Path => "path",
            Self::Method { .. } => "method",
            Self::TooManyRequests { .. } => "too_many_requests_of_address",
            Self::Throttled(_) => "throttled",
            Self::Credentials(refusal) => refusal.reason(),
            Self::Address(_) => "address",
            Self::Unproven(unproven) => unproven.word(),
            Self::Signature(refusal) => refusal.word(),
            Self::Handshake(_) => "handshake",
            Self::HungUp => "hung_up",
            Self::BodyTooLarge { .. } | Self::Intake(IntakeError::TooLarge) => "body_too_large",
            Self::BodyTooSlow { .. } => "body_too_slow",
            Self::BodyBroken { .. } => "body_broken",
            Self::NoTurn { .. } => "body_overdue",
            Self::OverBudget | Self::OverUnverifiedBudget => "body_budget",
            Self::Intake(IntakeError::Malformed { .. }) => "body_malformed",
            Self::Intake(IntakeError::TooManyIncidents { .. }) => "too_many_incidents",
            Self::Intake(IntakeError::UnsupportedEncoding) => "content_encoding",
            Self::Store(WriteError::QueueFull) => "queue_full",
            Self::Store(WriteError::Overdue) => "queue_overdue",
            Self::Store(WriteError::DiskFull) => "disk_full",
            Self::Stopping { .. } | Self::Store(WriteError::Closing) => "closing",
            Self::Store(_) => "store",
            Self::Internal(_) => "internal",
        }
    }

    /// What the caller may read: what to change on their side, nothing about ours.
    fn public_text(&self) -> String {
        match self {
            Self::Framing(_) | Self::Intake(_) => self.to_string(),
            Self::BodyTooLarge { limit } => format!("The body is larger than {limit} bytes."),
            Self::Path => "Not found. Events are posted to /instance/execute/<name>.".into(),
            Self::Method { .. } => "Method not allowed. Send events with POST.".into(),
            Self::Throttled(_) => "Too many failed logins. Try again later.".into(),
            Self::BodyTooSlow { .. } => "The body came too slowly.".into(),
            Self::BodyBroken { .. } => "The body broke off.".into(),
            Self::Credentials(auth::Refusal::Busy)
            | Self::NoTurn { .. }
            | Self::OverBudget
            | Self::OverUnverifiedBudget
            | Self::Stopping { .. }
            | Self::Store(_) => NOT_NOW.into(),
            Self::Signature(refusal) if refusal.is_temporary() => NOT_NOW.into(),
            Self::Credentials(_) | Self::Signature(_) | Self::Unproven(_) | Self::Address(_) | Self::HungUp => FAILED.into(),
            Self::Handshake(refusal) if refusal.is_failed_login() => FAILED.into(),
            Self::Handshake(_) => "The challenge cannot be answered: it is too long, or not visible ASCII.".into(),
            Self::TooManyRequests { .. } => "Too many requests at once. Try again later.".into(),
            Self::Internal(_) => "Internal error.".into(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled(wait) => Some(*wait),
            Self::Store(WriteError::QueueFull | WriteError::Overdue) => Some(RETRY_SOON),
            Self::Stopping { .. } | Self::Store(_) => Some(RETRY_LATER),
            Self::Credentials(auth::Refusal::Busy)
            | Self::TooManyRequests { .. }
            | Self::NoTurn { .. }
            | Self::OverBudget
            | Self::OverUnverifiedBudget => Some(RETRY_SOON),
            // A key's owner is asked again after a while.
            Self::Signature(refusal) if refusal.is_temporary() => Some(RETRY_LATER),
            _ => None,
        }
    }

    /// After these the rest of the stream is not to be trusted, or not worth reading.
    fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Framing(_) | Self::BodyTooLarge { .. } | Self::BodyTooSlow { .. } | Self::BodyBroken { .. } | Self::Stopping { .. }
        )
    }

    /// The whole answer except `X-Request-Id`. `basic`: whether a 401 asks for Basic credentials.
    pub(super) fn response(&self, request_headers: &HeaderMap, basic: bool) -> Response<Body> {
        let status = self.status();
        let text = self.public_text();
        let mut response = if accepts_json(request_headers) { problem(status, &text) } else { text_response(status, text) };
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED && basic {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"hookgate\", charset=\"UTF-8\""));
        }
        if let Self::Method { allow, .. } = self {
            headers.insert(header::ALLOW, allow.clone());
        }
        if let Some(wait) = self.retry_after() {
            // Rounded up: a caller that comes back on the dot is not refused again.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        if self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Whether `Accept` names JSON: `application/json`, `application/problem+json` or another `+json`, not with `q=0`.
/// A bare `*/*` names nothing.
fn accepts_json(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, q)| name.trim().eq_ignore_ascii_case("q") && q.trim().parse() == Ok(0.0_f32))
        });
        (media.ends_with("/json") || media.ends_with("+json")) && !refused
    })
}

/// RFC 9457 problem details; `about:blank` says that the status is the type.
fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let json = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = Response::new(Body::whole(json.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn json_is_sent_to_those_who_name_it() {
        for value in ["application/json", "text/html, application/problem+json;q=0.9", "APPLICATION/JSON; charset=utf-8"] {
            assert!(accepts_json(&accepting(value)), "{value}");
        }
        for value in ["*/*", "text/plain", "application/json;q=0", "application/jsonx"] {
            assert!(!accepts_json(&accepting(value)), "{value}");
        }
        assert!(!accepts_json(&HeaderMap::new()));
    }

    #[test]
    fn waiting_time_is_rounded_up() {
        let response = Refused::Throttled(Duration::from_millis(1200)).response(&HeaderMap::new(), true);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn the_guide_has_every_status_with_its_text() {
        let guide = include_str!("../../docs/http.md");
        let table = guide.split_once("## Statuses\n").unwrap().1.split_once("\n## ").unwrap().0;
        for refused in [
            Refused::Framing("x"),
            Refused::Path,
            Refused::method(&Method::PUT),
            Refused::Throttled(RETRY_SOON),
            Refused::Credentials(auth::Refusal::UnknownUser),
            Refused::Credentials(auth::Refusal::Busy),
            Refused::HungUp,
            Refused::Unproven(Unproven::NoToken),
            Refused::Handshake(HandshakeRefusal::Unfit),
            Refused::TooManyRequests { most: 1 },
            Refused::BodyTooLarge { limit: 1 },
            Refused::BodyTooSlow { received: 0, after: RETRY_SOON },
            Refused::Stopping { received: 0 },
            Refused::NoTurn { after: RETRY_SOON },
            Refused::OverBudget,
            Refused::Intake(IntakeError::Malformed { what: "x".into() }),
            Refused::Store(WriteError::DiskFull),
            Refused::Internal("x".into()),
        ] {
            let text = refused.public_text().replace(" 1 bytes", " … bytes");
            let (beginning, status) = (text.split(": ").next().unwrap(), refused.status().as_u16());
            let is_there = table.lines().any(|row| row.starts_with(&format!("| {status} | `{beginning}")));
            assert!(is_there, "{status} {text:?} is not in the table");
        }
    }

    #[test]
    fn an_internal_error_says_nothing() {
        let refused = Refused::Internal("the cellar is flooded".into());
        assert!(!refused.public_text().contains("cellar"));
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

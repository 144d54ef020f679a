//! What the admin API tells: JSON, or a problem (RFC 9457).

use std::borrow::Cow;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::auth::RetryAfter;
use crate::incident::Incident;
use crate::log::Quota;
use crate::rejections::Rejection;

/// The media type of JSON answers (RFC 8259).
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of errors (RFC 9457).
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer other than what was asked for.
#[derive(Debug)]
pub(super) enum Problem {
    /// A query parameter that does not exist or cannot be read.
    Parameter { name: Cow<'static, str>, detail: String },
    /// No token, or not the right one.
    Unauthorized,
    /// Nothing of that name.
    NotFound(&'static str),
    /// Only GET and HEAD are served; the router adds `Allow`.
    Method,
    /// Too many wrong tokens.
    Throttled(RetryAfter),
    /// For the log; the caller is not told.
    Internal(String),
}

/// In the place of an instance, where lines are counted: instances have no spaces in their names.
const LISTENER: &str = "the admin listener";

/// What the log is to be told of a request. Goes with the answer, as a part of it that is not sent, to where the request's id
/// is known.
#[derive(Clone, Debug)]
pub(super) enum Remark {
    /// It was not let in.
    Refused { peer: IpAddr, path: String, reason: &'static str },
    /// It could not be answered.
    Failed { reason: String },
    /// From now on events cannot be stored.
    NotReady { reason: String },
}

impl Remark {
    pub(super) fn log(self, request_id: &str, quota: &Quota) {
        match self {
            Self::Refused { reason, .. } if !quota.admits(LISTENER, reason) => {}
            Self::Refused { peer, path, reason } => tracing::warn!(request_id, %peer, path, reason, "admin request refused"),
            Self::Failed { reason } => tracing::error!(request_id, reason, "an admin request failed"),
            Self::NotReady { reason } => tracing::warn!(request_id, reason, "not ready"),
        }
    }
}

/// As written (RFC 9457, section 3). `parameter` is an extension member.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Parameter { detail, .. } => detail,
            Self::Unauthorized => "This needs one Authorization header: Bearer and the admin token.",
            Self::NotFound(what) => what,
            Self::Method => "Only GET and HEAD are served here.",
            Self::Throttled(_) => "Too many wrong tokens came from this address. Try again later.",
            Self::Internal(_) => "Internal error. The log says which.",
        }
    }

    fn document(&self) -> Vec<u8> {
        let status = self.status();
        let parameter = match self {
            Self::Parameter { name, .. } => Some(name.as_ref()),
            _ => None,
        };
        to_json(&Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
            parameter,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), [(CONTENT_TYPE, PROBLEM_JSON)], self.document()).into_response();
        match self {
            Self::Unauthorized => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hookgate admin\""));
            }
            Self::Throttled(after) => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.seconds()));
            }
            Self::Internal(reason) => {
                response.extensions_mut().insert(Remark::Failed { reason });
            }
            Self::Parameter { .. } | Self::NotFound(_) | Self::Method => {}
        }
        response
    }
}

/// A 200 with a JSON document.
pub(super) fn json(document: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, JSON)], document.into()).into_response()
}

/// A 200 with `{"<name>": <items>}`.
pub(super) fn list<T: Serialize>(name: &str, items: &[T]) -> Response {
    json([b"{\"", name.as_bytes(), b"\":", &to_json(&items), b"}"].concat())
}

/// Appends a JSON array of incidents, each as its sender wrote it.
pub(super) fn write_incidents(incidents: &[Incident], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, incident) in incidents.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        incident.write_json(out);
    }
    out.push(b']');
}

pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of text and numbers are JSON")
}

/// A refused request as the admin API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RejectionJson<'a> {
    at: String,
    request_id: &'a str,
    status: u16,
    reason: &'a str,
    method: &'a str,
    path: &'a str,
    peer: String,
    headers: Vec<HeaderJson<'a>>,
}

/// A list and no object, because a header that came twice is often the very reason.
#[derive(Serialize)]
struct HeaderJson<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> From<&'a Rejection> for RejectionJson<'a> {
    fn from(rejection: &'a Rejection) -> Self {
        Self {
            at: rejection.at.to_string(),
            request_id: &rejection.request_id,
            status: rejection.status,
            reason: &rejection.reason,
            method: &rejection.method,
            path: &rejection.path,
            peer: rejection.peer.to_string(),
            headers: rejection.headers.iter().map(|(name, value)| HeaderJson { name, value }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_is_for_the_log_alone() {
        let problem = Problem::Internal("cannot open /secret/folder".to_owned());
        let text = String::from_utf8(problem.document()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(problem.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

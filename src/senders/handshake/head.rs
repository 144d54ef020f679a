//! Handshakes that are told by a request's head.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::json;

use super::{Handshake, HandshakeRefusal, Handshakes, Head, Reply, echo, hmac_sha256, is_same};

/// RFC-like names of the CloudEvents webhook specification, section 4.
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
const OKTA_CHALLENGE: HeaderName = HeaderName::from_static("x-okta-verification-challenge");

/// Bytes of X's `crc_token`; those seen have 48.
const MAX_CRC: usize = 256;

type Answer = Option<Result<Reply, HandshakeRefusal>>;

impl Handshakes {
    /// The answer to a request whose head says that it is a handshake.
    ///
    /// # Errors
    /// If it is one and must not get what it wants.
    pub fn of_head(&self, head: &Head<'_>) -> Answer {
        self.kinds.iter().find_map(|kind| self.of_kind(*kind, head))
    }

    fn of_kind(&self, kind: Handshake, head: &Head<'_>) -> Answer {
        match (kind, head.method) {
            (Handshake::MicrosoftGraph, &Method::POST) => head.parameter("validationToken").map(|token| text(&token)),
            (Handshake::Dropbox, &Method::GET) => head.parameter("challenge").map(|challenge| text(&challenge)),
            (Handshake::Okta, &Method::GET) => okta(head),
            (Handshake::Meta, &Method::GET) => self.meta(head),
            (Handshake::X, &Method::GET) => self.x(head),
            (Handshake::CloudEvents, &Method::OPTIONS) => cloud_events(head),
            _ => None,
        }
    }

    fn meta(&self, head: &Head<'_>) -> Answer {
        head.parameter("hub.mode").filter(|mode| mode == "subscribe")?;
        let (challenge, token) = (head.parameter("hub.challenge")?, head.parameter("hub.verify_token")?);
        let Some(expected) = &self.verify_token else { return Some(Err(HandshakeRefusal::NoToken)) };
        Some(if is_same(expected.expose(), &token) { text(&challenge) } else { Err(HandshakeRefusal::WrongToken) })
    }

    /// The answer is a signature like that of an event, made for a text that anybody may choose. So it is made for what a
    /// challenge looks like, and [`Handshakes::is_made_up`] takes no such text for an event.
    fn x(&self, head: &Head<'_>) -> Answer {
        let (token, secret) = (head.parameter("crc_token")?, self.secrets.first()?);
        if !is_crc_token(token.as_bytes()) {
            return Some(Err(HandshakeRefusal::Unfit));
        }
        let response = format!("sha256={}", BASE64_STANDARD.encode(hmac_sha256(secret, &token)));
        Some(Ok(Reply::json(&json!({ "response_token": response }))))
    }

    /// Whether a body is no event, though its signature may hold: [`Handshake::X`] signs such texts for anybody.
    pub fn is_made_up(&self, body: &[u8]) -> bool {
        self.has(Handshake::X) && is_crc_token(body)
    }
}

fn is_crc_token(text: &[u8]) -> bool {
    (1..=MAX_CRC).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=.".contains(byte))
}

fn okta(head: &Head<'_>) -> Answer {
    let challenge = head.headers.get(OKTA_CHALLENGE)?.to_str().map_err(|_| HandshakeRefusal::Unfit).and_then(echo);
    Some(challenge.map(|challenge| Reply::json(&json!({ "verification": challenge }))))
}

/// The sender may then post at the rate that it asked for.
fn cloud_events(head: &Head<'_>) -> Answer {
    let origin = head.headers.get(REQUEST_ORIGIN)?;
    let is_fit = |value: &HeaderValue| value.to_str().is_ok_and(|text| echo(text).is_ok());
    if !is_fit(origin) {
        return Some(Err(HandshakeRefusal::Unfit));
    }
    let mut reply = Reply::text("");
    reply.headers.push((header::ALLOW, HeaderValue::from_static("POST")));
    reply.headers.push((ALLOWED_ORIGIN, origin.clone()));
    if let Some(rate) = head.headers.get(REQUEST_RATE) {
        let is_number = !rate.is_empty() && rate.as_bytes().iter().all(u8::is_ascii_digit);
        reply.headers.push((ALLOWED_RATE, if is_number && is_fit(rate) { rate.clone() } else { HeaderValue::from_static("*") }));
    }
    Some(Ok(reply))
}

fn text(challenge: &str) -> Result<Reply, HandshakeRefusal> {
    echo(challenge).map(Reply::text)
}

impl Head<'_> {
    /// A parameter of the query, decoded.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        form_urlencoded::parse(self.query?.as_bytes()).find_map(|(key, value)| (key == name).then_some(value))
    }
}

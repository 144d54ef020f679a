//! Handshakes: what senders ask before they send anything, and what they want to hear.
//!
//! Those that can be told by a request's head ([`Handshakes::of_head`]) are answered before a body is read, the others
//! ([`Handshakes::of_body`]) once the body's signature holds. An echo is bounded and visible ASCII, since whoever can reach an
//! instance chooses what is echoed; nothing of a handshake is stored. What a person has to copy by hand is [`Pending`].

mod body;
mod head;
#[cfg(test)]
mod tests;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::incident::Timestamp;
use crate::secret::Secret;

/// Bytes of a challenge that are echoed. The longest known are Microsoft's, a few hundred bytes.
const MAX_ECHO: usize = 4096;
/// Bytes of a body that may be a handshake: an Event Grid array of one, with room to spare.
const MAX_BODY: usize = 8 * 1024;

/// A kind of handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// `url_verification`: <https://docs.slack.dev/reference/events/url_verification>
    Slack,
    /// `validationToken`: <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>
    MicrosoftGraph,
    /// `SubscriptionValidation`: <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>
    EventGrid,
    /// OPTIONS: <https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md>
    CloudEvents,
    /// One-time verification: <https://developer.okta.com/docs/concepts/event-hooks/>
    Okta,
    /// `endpoint.url_validation`: <https://developers.zoom.us/docs/api/webhooks/>
    Zoom,
    /// `hub.challenge`: <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>
    Meta,
    /// `challenge`: <https://www.dropbox.com/developers/reference/webhooks>
    Dropbox,
    /// Challenge-response check: <https://docs.x.com/x-api/webhooks/introduction>
    X,
    /// `SubscriptionConfirmation`: <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
    Sns,
    /// `verificationKey`: <https://developer.salesforce.com/docs/marketing/marketing-cloud/guide/ens-verify.html>
    SalesforceEns,
}

impl Handshake {
    /// As the configuration has them.
    pub const WORDS: &[(&str, Self)] = &[
        ("slack", Self::Slack),
        ("microsoft-graph", Self::MicrosoftGraph),
        ("event-grid", Self::EventGrid),
        ("cloudevents", Self::CloudEvents),
        ("okta", Self::Okta),
        ("zoom", Self::Zoom),
        ("meta", Self::Meta),
        ("dropbox", Self::Dropbox),
        ("x", Self::X),
        ("sns", Self::Sns),
        ("salesforce-ens", Self::SalesforceEns),
    ];
}

/// The handshakes of an instance.
#[derive(Clone, Debug, Default)]
pub struct Handshakes {
    kinds: Vec<Handshake>,
    secrets: Vec<Secret>,
    verify_token: Option<Secret>,
    ignores_unsigned: bool,
}

/// A request as far as its head shows it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL's query, as sent.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// What is answered, with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether the body is JSON rather than plain text.
    pub is_json: bool,
    /// The body.
    pub body: String,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What a person must do now.
    pub pending: Option<Pending>,
}

impl Reply {
    fn text(body: &str) -> Self {
        Self { is_json: false, body: body.to_owned(), headers: Vec::new(), pending: None }
    }

    fn json(body: &serde_json::Value) -> Self {
        Self { is_json: true, body: body.to_string(), headers: Vec::new(), pending: None }
    }

    fn pending(pending: Pending) -> Self {
        Self { pending: Some(pending), ..Self::text("") }
    }
}

/// What a sender waits for and a person must copy by hand. It lets nobody in here; where it leads to is for the operator to judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// As in the configuration: `sns` or `salesforce-ens`.
    pub handshake: &'static str,
    /// When it was received, RFC 3339 in UTC.
    pub received: String,
    /// SNS: the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_arn: Option<String>,
    /// SNS: whoever visits this confirms the subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe_url: Option<String>,
    /// Salesforce: which callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_id: Option<String>,
    /// Salesforce: what its verification wants to hear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_key: Option<String>,
}

impl Pending {
    fn new(handshake: &'static str) -> Self {
        let received = Timestamp::now().to_string();
        Self { handshake, received, topic_arn: None, subscribe_url: None, callback_id: None, verification_key: None }
    }
}

/// For the log: `topicArn=…, subscribeUrl=…`.
impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = [
            ("topicArn", &self.topic_arn),
            ("subscribeUrl", &self.subscribe_url),
            ("callbackId", &self.callback_id),
            ("verificationKey", &self.verification_key),
        ];
        let details = details.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
        f.write_str(&details.collect::<Vec<_>>().join(", "))
    }
}

/// Why a handshake is not answered with what it wants to hear. Holds nothing that the caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeRefusal {
    /// The token that the sender was given does not match.
    #[error("hub.verify_token is not the instance's verify_token: enter the same text on both sides")]
    WrongToken,
    /// There is none to compare with.
    #[error("a subscription is to be verified, and the instance has no verify_token: set one, and enter it at the sender too")]
    NoToken,
    /// The challenge cannot be echoed.
    #[error("the handshake's challenge is longer than 4,096 bytes or not visible ASCII, so it is not echoed")]
    Unfit,
}

impl HandshakeRefusal {
    /// Whether somebody was to prove something and did not.
    pub fn is_failed_login(&self) -> bool {
        match self {
            Self::WrongToken | Self::NoToken => true,
            Self::Unfit => false,
        }
    }
}

impl Handshakes {
    /// `secrets` are those of the instance's signature, the current one first; `verify_token` is what Meta is told to send.
    pub fn new(kinds: Vec<Handshake>, secrets: Vec<Secret>, verify_token: Option<Secret>) -> Self {
        Self { kinds, secrets, verify_token, ignores_unsigned: false }
    }

    /// The same for an instance where nothing but a signature keeps strangers out: what has none is nobody's.
    pub fn signed_only(self) -> Self {
        Self { ignores_unsigned: true, ..self }
    }

    /// Whether there is one that comes in a body without any signature.
    pub fn answer_unsigned(&self) -> bool {
        self.has(Handshake::SalesforceEns) && !self.ignores_unsigned
    }

    /// Whether one of them is this one.
    pub fn has(&self, kind: Handshake) -> bool {
        self.kinds.contains(&kind)
    }
}

/// What may be echoed.
fn echo(challenge: &str) -> Result<&str, HandshakeRefusal> {
    let is_fit = (1..=MAX_ECHO).contains(&challenge.len()) && challenge.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_fit { Ok(challenge) } else { Err(HandshakeRefusal::Unfit) }
}

/// In constant time, whatever differs: digests have one length.
fn is_same(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

fn hmac_sha256(secret: &Secret, message: &str) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

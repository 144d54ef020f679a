//! Handshakes that are told by a body.

use std::fmt::Write;

use http::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Handshake, HandshakeRefusal, Handshakes, Head, MAX_BODY, Pending, Reply, echo, hmac_sha256};

const EVENT_GRID_TYPE: HeaderName = HeaderName::from_static("aeg-event-type");

type Answer = Option<Result<Reply, HandshakeRefusal>>;

impl Handshakes {
    /// The answer to a POST whose body says that it is a handshake; its signature, if the sender signs, was verified with the
    /// instance's secret number `secret`.
    ///
    /// # Errors
    /// If it is one and must not get what it wants.
    pub fn of_body(&self, head: &Head<'_>, body: &[u8], secret: usize) -> Answer {
        if body.len() > MAX_BODY {
            return None;
        }
        self.kinds.iter().find_map(|kind| match kind {
            Handshake::Slack => slack(body),
            Handshake::EventGrid => event_grid(head, body),
            Handshake::Zoom => self.zoom(body, secret),
            Handshake::Sns => sns(body),
            Handshake::SalesforceEns => salesforce(body),
            _ => None,
        })
    }

    /// Likewise for a body without any signature: Salesforce sends its key before there is a secret to sign with.
    pub fn of_unsigned_body(&self, body: &[u8]) -> Answer {
        if body.len() <= MAX_BODY && self.answer_unsigned() { salesforce(body) } else { None }
    }

    fn zoom(&self, body: &[u8], secret: usize) -> Answer {
        #[derive(Deserialize)]
        struct Validation {
            event: String,
            payload: Payload,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            plain_token: String,
        }
        let Validation { payload: Payload { plain_token }, .. } =
            parse(body, "endpoint.url_validation").filter(|found: &Validation| found.event == "endpoint.url_validation")?;
        let secret = self.secrets.get(secret)?;
        Some(echo(&plain_token).map(|token| {
            let encrypted = hex(&hmac_sha256(secret, token));
            Reply::json(&json!({ "plainToken": token, "encryptedToken": encrypted }))
        }))
    }
}

fn slack(body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Verification {
        r#type: String,
        challenge: String,
    }
    let found = parse(body, "url_verification").filter(|found: &Verification| found.r#type == "url_verification")?;
    Some(echo(&found.challenge).map(Reply::text))
}

fn event_grid(head: &Head<'_>, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Event {
        data: Data,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        validation_code: String,
    }
    head.headers.get(EVENT_GRID_TYPE).filter(|kind| kind.as_bytes() == b"SubscriptionValidation")?;
    let [Event { data }] = parse(body, "validationCode")?;
    Some(echo(&data.validation_code).map(|code| Reply::json(&json!({ "validationResponse": code }))))
}

fn sns(body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Confirmation {
        r#type: String,
        topic_arn: String,
        #[serde(rename = "SubscribeURL")]
        subscribe_url: String,
    }
    let found = parse(body, "SubscriptionConfirmation").filter(|found: &Confirmation| found.r#type == "SubscriptionConfirmation")?;
    let pending = || {
        let (topic, url) = (shown(&found.topic_arn)?, shown(&found.subscribe_url)?);
        Ok(Reply::pending(Pending { topic_arn: Some(topic), subscribe_url: Some(url), ..Pending::new("sns") }))
    };
    Some(pending())
}

fn salesforce(body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Verification {
        callback_id: String,
        verification_key: String,
    }
    let found: Verification = parse(body, "verificationKey")?;
    let pending = || {
        let (id, key) = (shown(&found.callback_id)?, shown(&found.verification_key)?);
        Ok(Reply::pending(Pending { callback_id: Some(id), verification_key: Some(key), ..Pending::new("salesforce-ens") }))
    };
    Some(pending())
}

/// What is logged and shown is as fit for it as what is echoed.
fn shown(text: &str) -> Result<String, HandshakeRefusal> {
    echo(text).map(str::to_owned)
}

/// The body, if it holds `word` and has the form. Almost no event gets past the search, so events are not parsed twice.
fn parse<T: DeserializeOwned>(body: &[u8], word: &str) -> Option<T> {
    body.windows(word.len()).any(|part| part == word.as_bytes()).then(|| serde_json::from_slice(body).ok()).flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

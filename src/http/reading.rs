//! A body that was received: is it signed as it must be, is it a handshake, and which events are in it?

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Uri, header};

use super::Instance;
use super::attempt::Attempt;
use super::error::{Refused, Unproven};
use crate::incident::Timestamp;
use crate::intake::{self, Intake};
use crate::senders::handshake::{Head, Reply};
use crate::senders::signature::{KeyFault, SignatureRefusal, Signed};

/// From here on a body is read off the threads that serve connections, because it would hold up everybody else for 0.1 ms
/// or more. Packed ones always are: how large they become is not known.
const LARGE_BODY: usize = 64 * 1024;

/// What a body turned out to be.
pub(super) enum Content {
    /// A handshake, which is answered so.
    Greeting(Reply),
    /// Events.
    Events(Intake),
}

/// A request whose body is there.
struct Received {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
}

/// Which of the instance's secrets a request was signed with; the first where nothing is signed.
type Secret = usize;

/// Verifies, unless the head has `proven` a secret, then reads; `attempt` says whether to ask others for keys. The headers are lent
/// and come back, without those that hold a secret of a signature or repeat the path token.
pub(super) async fn read(
    instance: &Arc<Instance>,
    head: &mut Parts,
    bytes: Bytes,
    proven: Option<Secret>,
    attempt: &Attempt<'_>,
) -> Result<Content, Refused> {
    let headers = std::mem::take(&mut head.headers);
    let mut received = Received { method: head.method.clone(), uri: head.uri.clone(), headers, bytes };
    let mut outcome = process(instance, &mut received, proven).await?;
    if let Err(Refused::Signature(SignatureRefusal::Key(KeyFault::NotFetched))) = outcome
        && let Some(signatures) = &instance.proof.signatures
    {
        outcome = match signatures.verify_for(&received.signed(), Timestamp::now(), &|| attempt.may_ask_for_a_key()).await {
            Ok(secret) => process(instance, &mut received, Some(secret)).await?,
            Err(refusal) => Err(refusal.into()),
        };
    }
    head.headers = received.headers;
    outcome
}

/// On this thread, or on another if it takes long.
async fn process(instance: &Arc<Instance>, received: &mut Received, proven: Option<Secret>) -> Result<Result<Content, Refused>, Refused> {
    let is_small = received.bytes.len() < LARGE_BODY && !received.headers.contains_key(header::CONTENT_ENCODING);
    if is_small {
        return Ok(received.process(instance, proven));
    }
    let instance = Arc::clone(instance);
    let mut lent = received.take();
    let work = tokio::task::spawn_blocking(move || {
        let outcome = lent.process(&instance, proven);
        (lent, outcome)
    });
    let (back, outcome) = work.await.map_err(|error| Refused::Internal(format!("reading the body failed: {error}")))?;
    *received = back;
    Ok(outcome)
}

impl Received {
    fn take(&mut self) -> Self {
        Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: std::mem::take(&mut self.headers),
            bytes: std::mem::take(&mut self.bytes),
        }
    }

    fn signed(&self) -> Signed<'_> {
        Signed { method: &self.method, query: self.uri.query(), headers: &self.headers, body: &self.bytes }
    }

    fn process(&mut self, instance: &Instance, proven: Option<Secret>) -> Result<Content, Refused> {
        let handshakes = &instance.proof.handshakes;
        let secret = match (proven, &instance.proof.signatures) {
            (Some(secret), _) => secret,
            (None, None) if instance.proof.awaits_secret => {
                let greeting = handshakes.of_unsigned_body(&self.bytes).ok_or(Unproven::NoSecret)?;
                return Ok(Content::Greeting(greeting?));
            }
            (None, None) => 0,
            (None, Some(signatures)) => match signatures.verify_now(&self.signed(), Timestamp::now()) {
                Ok(secret) => secret,
                Err(refusal @ SignatureRefusal::Missing { .. }) => {
                    let greeting = handshakes.of_unsigned_body(&self.bytes).ok_or(refusal)?;
                    return Ok(Content::Greeting(greeting?));
                }
                Err(refusal) => return Err(refusal.into()),
            },
        };
        let head = Head { method: &self.method, query: self.uri.query(), headers: &self.headers };
        if let Some(greeting) = handshakes.of_body(&head, &self.bytes, secret) {
            return Ok(Content::Greeting(greeting?));
        }
        if handshakes.is_made_up(&self.bytes) {
            return Err(Refused::Unproven(Unproven::Challenge));
        }
        if let Some(signatures) = &instance.proof.signatures {
            signatures.secret_headers().for_each(|name| drop(self.headers.remove(name)));
            self.bytes = signatures.without_secrets(std::mem::take(&mut self.bytes));
        }
        instance.without_token(&mut self.headers);
        self.events(instance).map(Content::Events)
    }

    fn events(&mut self, instance: &Instance) -> Result<Intake, Refused> {
        let content_encoding = joined(&self.headers, header::CONTENT_ENCODING);
        let body = intake::Body {
            query: self.uri.query(),
            content_type: self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()),
            content_encoding: content_encoding.as_deref(),
            bytes: std::mem::take(&mut self.bytes),
            headers: &self.headers,
            secret_header: instance.secret_header(),
        };
        Ok(intake::read(body, &instance.rules)?)
    }
}

/// Every line of a header as one; none if it is not there.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let mut lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?.into_owned();
    Some(lines.fold(first, |all, line| all + ", " + &line))
}

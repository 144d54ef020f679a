//! A body that was received: is it signed as it must be, is it a handshake, and which events are in it?

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Uri, header};

use super::Instance;
use super::attempt::Attempt;
use super::budget::Reserved;
use super::error::{Refused, Unproven};
use super::turns::Turns;
use crate::incident::Timestamp;
use crate::intake::{self, Intake};
use crate::mapping;
use crate::senders::handshake::{Head, Reply};
use crate::senders::signature::{KeyFault, SignatureRefusal, Signed};

/// From here on a body is read off the threads that serve connections, because it would hold up everybody else for 0.1 ms
/// or more. Packed ones always are: how large they become is not known.
const LARGE_BODY: usize = 64 * 1024;

/// What a byte of gzip becomes at most (RFC 1951 has 258 bytes for two bits).
const UNPACKED_BYTES: usize = 1032;

/// What a body turned out to be.
pub(super) enum Content {
    /// A handshake, which is answered so.
    Greeting(Reply),
    /// Events.
    Events(Intake),
}

/// A body that is there, and the room that it takes.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) reserved: Reserved,
}

/// A request whose body is there. The room for it is given back with it: who hangs up does not end what is being done with it.
struct Whole {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
    reserved: Reserved,
}

/// Which of the instance's secrets a request was signed with; the first where nothing is signed.
type Secret = usize;

/// Verifies, unless the head has `proven` a secret, then reads; `attempt` says whether to ask others for keys. The headers are lent
/// and come back, without those that hold a secret of a signature or repeat the path token.
pub(super) async fn read(
    instance: &Arc<Instance>,
    head: &mut Parts,
    received: Received,
    proven: Option<Secret>,
    attempt: &Attempt<'_>,
) -> Result<(Content, Reserved), Refused> {
    let headers = std::mem::take(&mut head.headers);
    let Received { bytes, reserved } = received;
    let whole = Whole { method: head.method.clone(), uri: head.uri.clone(), headers, bytes, reserved };
    let (mut whole, mut outcome) = process(instance, whole, proven, attempt.turns()).await?;
    if let Err(Refused::Signature(SignatureRefusal::Key(KeyFault::NotFetched))) = outcome
        && let Some(signatures) = &instance.proof.signatures
    {
        outcome = match signatures.obtain(&whole.signed(), &|| attempt.may_ask_for_a_key()).await {
            Ok(()) => {
                let again = process(instance, whole, proven, attempt.turns()).await?;
                whole = again.0;
                again.1
            }
            Err(refusal) => Err(refusal.into()),
        };
    }
    head.headers = whole.headers;
    outcome.map(|content| (content, whole.reserved))
}

/// On this thread, or on another if it takes long.
async fn process(
    instance: &Arc<Instance>,
    mut whole: Whole,
    proven: Option<Secret>,
    turns: &Turns,
) -> Result<(Whole, Result<Content, Refused>), Refused> {
    if whole.is_small() {
        let outcome = whole.process(instance, proven);
        return Ok((whole, outcome));
    }
    let turn = match turns.take(instance.rules.mapping.as_ref().map_or(0, |_| whole.memory_of_values())).await {
        Ok(turn) => turn,
        // The answer and the list of rejections go by the headers.
        Err(refused) => return Ok((whole, Err(refused))),
    };
    let instance = Arc::clone(instance);
    let work = tokio::task::spawn_blocking(move || {
        let outcome = whole.process(&instance, proven);
        drop(turn);
        (whole, outcome)
    });
    work.await.map_err(|error| Refused::Internal(format!("reading the body failed: {error}")))
}

impl Whole {
    fn is_small(&self) -> bool {
        self.bytes.len() < LARGE_BODY && !self.is_packed()
    }

    fn is_packed(&self) -> bool {
        self.headers.contains_key(header::CONTENT_ENCODING)
    }

    /// What a map's values of the body take at most, in bytes.
    fn memory_of_values(&self) -> usize {
        let length = self.bytes.len();
        match self.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            _ if self.is_packed() => mapping::memory_of(length.saturating_mul(UNPACKED_BYTES)),
            Some(b'{' | b'[') => mapping::memory_of(length),
            // How long the JSON of another body is, is not known before it is made.
            _ => mapping::MOST_MEMORY,
        }
    }

    fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
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
            content_encoding: content_encoding.as_deref(),
            bytes: std::mem::take(&mut self.bytes),
            content_type: self.content_type(),
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

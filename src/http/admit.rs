//! From a stranger to a sender of an instance: path, method, throttle, credentials. Nothing but a request's head is looked at.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::error::{Refused, Unproven};
use super::ingest::Passage;
use super::route::Address;
use super::{Entrance, Instance, route};
use crate::auth::Refusal;
use crate::incident::Timestamp;
use crate::senders::handshake::{HandshakeRefusal, Head, Reply};
use crate::senders::signature::{SignatureRefusal, Signed};

/// Without it an OPTIONS is no handshake (CloudEvents webhooks, section 4.1).
const WEBHOOK_REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");

/// A sender that was let in as far as its request's head goes.
pub(super) struct Admitted {
    pub(super) instance: Arc<Instance>,
    /// The answer to its handshake, if that is all it wants.
    pub(super) greeting: Option<Reply>,
    /// Which of the instance's secrets its signature was made with, where the head holds all of that.
    pub(super) secret: Option<usize>,
}

/// An instance, if there is one and nothing speaks against the caller yet.
struct Found<'a> {
    instance: Option<&'a Arc<Instance>>,
    greeting: Option<Result<Reply, HandshakeRefusal>>,
    secret: Option<usize>,
    /// Why there is none, although the name is right.
    doubt: Option<Refused>,
}

impl Entrance {
    /// Lets in who belongs to an instance. A failed login counts against whoever made it.
    pub(super) async fn admit(&self, passage: &Passage<'_>) -> Result<Admitted, Refused> {
        let head = &passage.head;
        let Address { name, token } = route::address(&passage.visit.door, head.uri.path())?;
        let is_known = passage.site.knows(&head.method) && (head.method != Method::OPTIONS || asks_for_permission(&head.headers));
        if !is_known {
            return Err(Refused::method(&head.method));
        }
        let throttled = self.throttle.check(passage.peer, name).err();
        if let Some(wait) = throttled.filter(|_| !passage.may_be_signed()) {
            return Err(Refused::Throttled(wait.0));
        }
        let Found { instance, greeting, secret, doubt } = self.find(passage, token);
        // A handshake asks for what can be guessed.
        if let Some(wait) = throttled.filter(|_| doubt.is_some() || greeting.is_some()) {
            return Err(Refused::Throttled(wait.0));
        }
        let attempt = Login { entrance: self, passage, name, is_undecided: true };
        let verdict = self.verifier.verify(instance.map(|instance| &instance.access), &head.headers).await;
        attempt.decided();
        let refused = match verdict {
            // A stranger to the gateway is a stranger to this instance too: `verify` refuses where there is no instance.
            Ok(verified) => {
                let instance = instance.ok_or_else(|| Refused::Internal("verified without an instance".into()))?;
                if let Some(use_of_password) = instance.password_uses.get(verified.password) {
                    use_of_password.set(Timestamp::coarse());
                }
                return Ok(Admitted { instance: Arc::clone(instance), greeting: greeting.transpose()?, secret });
            }
            Err(Refusal::UnknownInstance) => doubt.unwrap_or(Refused::Credentials(Refusal::UnknownInstance)),
            Err(refusal) => Refused::Credentials(refusal),
        };
        if refused.status() == StatusCode::UNAUTHORIZED {
            self.throttle.failed(passage.peer, name);
        }
        Err(refused)
    }

    /// What can be said before credentials are looked at.
    ///
    /// In doubt, they are verified as those for an instance that does not exist: it takes as long as with a wrong password, and
    /// nothing is learned by it about the right one.
    fn find<'a>(&self, passage: &'a Passage<'_>, token: Option<&str>) -> Found<'a> {
        let Some(instance) = passage.instance() else {
            // Costs what it costs where there is an instance.
            self.verifier.is_token(None, token);
            return Found { instance: None, greeting: None, secret: None, doubt: None };
        };
        let greeting = instance.proof.handshakes.of_head(&passage.shown());
        match self.signer(passage, instance, token, greeting.as_ref()) {
            Ok(secret) => Found { instance: Some(instance), greeting, secret, doubt: None },
            Err(doubt) => Found { instance: None, greeting, secret: None, doubt: Some(doubt) },
        }
    }

    /// Which secret signed the head, if that is how its sender proves himself; or why this is nobody of the instance, whatever the
    /// credentials are.
    fn signer(
        &self,
        passage: &Passage<'_>,
        instance: &Instance,
        token: Option<&str>,
        greeting: Option<&Result<Reply, HandshakeRefusal>>,
    ) -> Result<Option<usize>, Refused> {
        let is_token = self.verifier.is_token(instance.proof.path_token.as_ref(), token);
        if !instance.allows(passage.peer) {
            return Err(Refused::Address(passage.peer));
        }
        if !is_token {
            return Err(Refused::Unproven(match (&instance.proof.path_token, token) {
                (Some(_), None) => Unproven::NoToken,
                (Some(_), Some(_)) => Unproven::WrongToken,
                (None, _) => Unproven::NeedlessToken,
            }));
        }
        match greeting {
            Some(Err(refusal)) if refusal.is_failed_login() => Err(Refused::Handshake(*refusal)),
            None if instance.is_only_signed() => signer_of(instance, &passage.head),
            _ => Ok(None),
        }
    }
}

/// Where a signature is all that is asked for, whoever cannot have one, or has a wrong one, is refused before a body is read; as
/// far as the head tells.
fn signer_of(instance: &Instance, head: &Parts) -> Result<Option<usize>, Refused> {
    if !instance.takes(&head.method) {
        return Err(Refused::Unproven(Unproven::Unsigned));
    }
    let Some(signatures) = &instance.proof.signatures else { return Ok(None) };
    let signed = Signed { method: &head.method, query: head.uri.query(), headers: &head.headers, body: &[] };
    match signatures.of_head(&signed, Timestamp::now()).transpose() {
        Err(SignatureRefusal::Missing { .. }) if instance.proof.handshakes.answer_unsigned() => Ok(None),
        said => Ok(said?),
    }
}

fn asks_for_permission(headers: &HeaderMap) -> bool {
    headers.contains_key(WEBHOOK_REQUEST_ORIGIN)
}

impl Passage<'_> {
    /// The instance that the path names, if there is one.
    pub(super) fn instance(&self) -> Option<&Arc<Instance>> {
        let Address { name, .. } = route::address(&self.visit.door, self.head.uri.path()).ok()?;
        // Behind an instance's own door no other can be reached.
        let is_behind_door = match &self.visit.door {
            super::Door::Shared => true,
            super::Door::Own(own) => **own == *name,
        };
        self.site.instances.get(name).filter(|_| is_behind_door)
    }

    /// Whether there may be a right signature, which lets in whatever else came from the same address: many customers of one
    /// sender share its addresses, and anybody can have it post nonsense here.
    fn may_be_signed(&self) -> bool {
        self.instance().is_some_and(|instance| instance.is_proven_by_signature() && instance.takes(&self.head.method))
    }

    /// What a handshake may be told by.
    fn shown(&self) -> Head<'_> {
        Head { method: &self.head.method, query: self.head.uri.query(), headers: &self.head.headers }
    }
}

/// Credentials that are being verified. Verifying a password may take a while; whoever hangs up meanwhile, and with that drops
/// what waits for it, has failed like everybody who guesses wrong.
struct Login<'a> {
    entrance: &'a Entrance,
    passage: &'a Passage<'a>,
    name: &'a str,
    is_undecided: bool,
}

impl Login<'_> {
    fn decided(mut self) {
        self.is_undecided = false;
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        if self.is_undecided {
            self.entrance.throttle.failed(self.passage.peer, self.name);
            // There is nobody to send it to; it is logged, counted and shown.
            let _ = self.entrance.refuse(self.passage, &Refused::HungUp);
        }
    }
}

//! Signatures of senders: one engine, driven by data.
//!
//! A [`SignatureSpec`] says what a sender signs, how, and where it puts the result. [`Signatures`] are an instance's, made once
//! of the specs and the secrets; [`Signatures::verify`] looks at the bytes of a request as they came, before anything is decoded.
//!
//! Several specs are alternatives. Which one counts is decided by where the signature is: the first spec whose header or
//! member is there. Specs with the same place belong together, and one of them must hold. There is no falling back to a
//! later place, so nobody gets around a signature by leaving it out where it was expected.
//!
//! Everything fails closed: a header that is missing or there twice, a signature in another format, a time that cannot be read.

mod alternative;
mod build;
mod diagnosis;
mod encoding;
mod equal;
mod format;
mod json;
mod jwt;
mod keys;
mod mac;
mod mask;
mod notation;
mod public;
mod qsh;
mod refusal;
mod remote;
mod request;
mod sign;
mod sns;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod timestamp;
mod twilio;
mod url;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::incident::Timestamp;
use crate::secret::Secret;

use alternative::{Alternative, Check};
use build::{Material, build};
pub use format::Format;
pub use json::JsonPath;
pub use notation::InvalidNotation;
pub use refusal::{Cause, Fault, KeyFault, SignatureRefusal, UrlFault};
pub use spec::{Algorithm, Encoding, InvalidSignatureSpec, KeySource, Place, Scheme, SecretEncoding, SignatureSpec};
pub use template::Template;
pub use timestamp::{TimestampFormat, TimestampPlace};
use url::PublicUrl;

/// A request, as far as a signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// As received.
    pub method: &'a Method,
    /// As received, without its question mark.
    pub query: Option<&'a str>,
    /// As received.
    pub headers: &'a HeaderMap,
    /// As received, before any decoding.
    pub body: &'a [u8],
}

/// An instance's signatures, ready to verify with.
pub struct Signatures {
    alternatives: Vec<Alternative>,
    url: Option<PublicUrl>,
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.alternatives.iter().map(|alternative| &alternative.spec)).finish()
    }
}

impl Signatures {
    /// Makes what was configured ready. `url` is the address that the sender posts to, without a query.
    ///
    /// A secret may be good for some of the alternatives only; an alternative that no secret is good for is left out.
    ///
    /// # Errors
    /// If something could never be verified, or would be verified less strictly than it looks.
    pub fn new(
        alternatives: Vec<SignatureSpec>,
        secrets: &[Secret],
        url: Option<String>,
        keys: KeySource,
    ) -> Result<Self, InvalidSignatureSpec> {
        let url = url.map(PublicUrl::new).transpose()?;
        let alternatives = build(alternatives, &Material { secrets, url: url.as_ref(), source: &keys })?;
        Ok(Self { alternatives, url })
    }

    /// Headers whose value lets in whoever knows it: to be left out of what is stored, and of what is shown.
    pub fn secret_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.alternatives.iter().filter_map(|alternative| match (&alternative.check, &alternative.spec.place) {
            (Check::Equal(_) | Check::Jwt(_), Place::Header(name)) => Some(name),
            _ => None,
        })
    }

    /// Whether each request's is another, made with a secret that it does not show: none can be guessed by trying.
    pub fn are_made_anew(&self) -> bool {
        self.alternatives.iter().all(|alternative| !matches!(alternative.check, Check::Equal(_)))
    }

    /// The body without the secrets that let in whoever knows them: their text is overwritten.
    pub fn without_secrets(&self, body: Bytes) -> Bytes {
        let names = self.alternatives.iter().filter_map(|alternative| match (&alternative.check, &alternative.spec.place) {
            (Check::Equal(_), Place::Json(path)) => path.last_name(),
            _ => None,
        });
        names.fold(body, mask::mask)
    }

    /// What a request's head alone says, whatever its body is: the secret it was made with, or why it is nobody's. None if the body
    /// must be seen, of which nothing is looked at in `head`.
    pub fn of_head(&self, head: &Signed<'_>, now: Timestamp) -> Option<Result<usize, SignatureRefusal>> {
        let is_absent = |place: &Place| matches!(place, Place::Header(name) if !head.headers.contains_key(name));
        // What may stand in the body is not passed over.
        let Some(first) = self.alternatives.iter().find(|alternative| !is_absent(&alternative.spec.place)) else {
            return Some(Err(self.missing(head.headers)));
        };
        let mut counting = self.alternatives.iter().filter(|alternative| alternative.spec.place == first.spec.place);
        if !counting.all(Alternative::is_in_head) {
            return None;
        }
        // A key that is to be fetched is waited for once the body is there.
        Some(self.verify_now(head, now)).filter(|said| !matches!(said, Err(refusal) if refusal.is_temporary()))
    }

    /// Whether one of them holds for the request: the index of the secret it was made with, 0 where there are none.
    ///
    /// Waits only where a key of somebody else's is needed and not at hand; then it must be called inside a tokio runtime
    /// with time. Comparing takes the same time whatever differs.
    ///
    /// # Errors
    /// The true reason, for the operator.
    pub async fn verify(&self, request: &Signed<'_>, now: Timestamp) -> Result<usize, SignatureRefusal> {
        self.verify_for(request, now, &|| true).await
    }

    /// Likewise for somebody who may name keys that there are not: `may_ask` is asked before an owner is asked for one that was
    /// never seen.
    ///
    /// # Errors
    /// Likewise; [`KeyFault::Busy`] if it may not.
    pub async fn verify_for(
        &self,
        request: &Signed<'_>,
        now: Timestamp,
        may_ask: &(dyn Fn() -> bool + Sync),
    ) -> Result<usize, SignatureRefusal> {
        match self.verify_now(request, now) {
            Err(SignatureRefusal::Key(KeyFault::NotFetched)) => {
                self.obtain(request, may_ask).await?;
                self.verify_now(request, now)
            }
            decided => decided,
        }
    }

    /// Gets the keys at hand that [`Self::verify_now`] missed; see [`Self::verify_for`].
    ///
    /// # Errors
    /// Why they are not to be had.
    pub async fn obtain(&self, request: &Signed<'_>, may_ask: &(dyn Fn() -> bool + Sync)) -> Result<(), SignatureRefusal> {
        for alternative in self.group(request) {
            alternative.obtain(request, may_ask).await.map_err(SignatureRefusal::Key)?;
        }
        Ok(())
    }

    /// Like [`Self::verify`] with what is at hand.
    ///
    /// # Errors
    /// The true reason, for the operator; [`KeyFault::NotFetched`] where a key is not at hand.
    pub fn verify_now(&self, request: &Signed<'_>, now: Timestamp) -> Result<usize, SignatureRefusal> {
        let mut refusals = Vec::new();
        for alternative in self.group(request) {
            match alternative.verify(request, self.url.as_ref(), now) {
                Ok(index) => return Ok(index),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let telling = refusals.into_iter().max_by_key(SignatureRefusal::weight);
        Err(telling.unwrap_or_else(|| self.missing(request.headers)))
    }

    /// Headers that sign the request, as its sender would; none where only the sender can, or where they go into the body.
    pub fn sign(&self, request: &Signed<'_>, now: Timestamp) -> Option<Vec<(HeaderName, HeaderValue)>> {
        self.alternatives.iter().find_map(|alternative| alternative.sign(request, self.url.as_ref(), now))
    }

    /// The alternatives that count for a request: those that have the first place where something is.
    fn group<'s>(&'s self, request: &Signed<'_>) -> impl Iterator<Item = &'s Alternative> {
        let mut places = self.alternatives.iter().map(|alternative| &alternative.spec.place);
        // Looking into a body costs time, and a single place needs no choice.
        let is_single = self.alternatives.windows(2).all(|pair| pair[0].spec.place == pair[1].spec.place);
        let place = places.find(|place| is_single || place.is_present(request));
        self.alternatives.iter().filter(move |alternative| Some(&alternative.spec.place) == place)
    }

    fn missing(&self, headers: &HeaderMap) -> SignatureRefusal {
        let mut places: Vec<_> = self.alternatives.iter().map(|alternative| alternative.spec.place.describe()).collect();
        places.dedup();
        request::missing(places.join(" or "), headers)
    }
}

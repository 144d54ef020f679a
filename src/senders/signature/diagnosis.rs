//! What may be wrong when a signature does not hold: the usual mistakes, tried one at a time.
//!
//! This happens after the refusal is certain and changes nothing about it. Whoever sends rubbish pays for it with one hash;
//! we with some twenty over a small body, which is why there are limits.

use std::borrow::Cow;

use super::Signed;
use super::format::Found;
use super::mac::{Candidate, Mac, MacKey, candidates};
use super::refusal::Cause;
use super::request::{Piece, render};
use super::spec::{Algorithm, Encoding, SecretEncoding, SignatureSpec};
use super::template::Part;
use super::url::PublicUrl;
use crate::secret::Secret;

/// Test deliveries are smaller, and those are what people try things with.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The current secret and the one before.
const MAX_SECRETS: usize = 2;

/// A signature that does not hold.
pub(super) struct Case<'a> {
    pub(super) spec: &'a SignatureSpec,
    pub(super) mac: &'a Mac,
    pub(super) found: &'a [Found<'a>],
    pub(super) named: &'a [(&'a str, &'a str)],
    pub(super) request: Signed<'a>,
    pub(super) url: Option<&'a PublicUrl>,
}

impl Case<'_> {
    /// The first mistake that explains it.
    pub(super) fn cause(&self) -> Cause {
        if self.request.body.len() > MAX_BODY {
            return Cause::Unknown;
        }
        let keys = || self.mac.keys.iter().take(MAX_SECRETS);
        let by_key = keys().find_map(|key| self.other_writing(key).or_else(|| self.other_secret(key)));
        let by_text = || keys().find_map(|key| self.other_body(key).or_else(|| self.other_url(key)));
        by_key.or_else(by_text).or_else(|| self.length()).unwrap_or(Cause::Unknown)
    }

    /// Another encoding, or another hash function, or both.
    fn other_writing(&self, key: &MacKey) -> Option<Cause> {
        let SignatureSpec { algorithm, encoding, .. } = self.spec;
        if self.is_right(key, &self.request, *encoding, *algorithm, None) == Some(false)
            && self.is_right(key, &self.request, encoding.other(), *algorithm, None)?
        {
            return Some(Cause::Encoding(encoding.other()));
        }
        if *algorithm == Algorithm::FromPrefix {
            return None;
        }
        let mut others = [Algorithm::Sha256, Algorithm::Sha1, Algorithm::Sha512].into_iter().filter(|other| other != algorithm);
        let is_right = |other: &Algorithm| {
            let in_any = |encoding| self.is_right(key, &self.request, encoding, *other, None) == Some(true);
            in_any(*encoding) || in_any(encoding.other())
        };
        others.find(is_right).map(Cause::Algorithm)
    }

    /// The same secret, taken for something else.
    fn other_secret(&self, key: &MacKey) -> Option<Cause> {
        let text = key.secret.expose();
        let trimmed = Secret::new(text.trim().to_owned());
        let readings = [
            (&trimmed, self.spec.secret_encoding, Cause::SecretHasSpace),
            (&key.secret, SecretEncoding::Utf8, Cause::SecretIsText),
            (&trimmed, SecretEncoding::Base64, Cause::SecretIsBase64),
            (&trimmed, SecretEncoding::Whsec, Cause::SecretIsWhsec),
        ];
        readings.into_iter().find_map(|(secret, encoding, cause)| {
            let other = MacKey::new(key.index, secret, encoding, self.spec.algorithm)?;
            let is_right = other.bytes() != key.bytes() && self.holds(&other, &self.request, None);
            is_right.then_some(cause)
        })
    }

    /// The end of the last line is lost and added easily.
    fn other_body(&self, key: &MacKey) -> Option<Cause> {
        if !self.spec.signed.0.contains(&Part::Body) {
            return None;
        }
        let body = self.request.body;
        let is_right = |body: &[u8]| self.holds(key, &Signed { body, ..self.request }, None);
        if let Some(shorter) = body.strip_suffix(b"\n")
            && (is_right(shorter) || shorter.strip_suffix(b"\r").is_some_and(is_right))
        {
            return Some(Cause::NewlineAdded);
        }
        (is_right(&[body, b"\n"].concat()) || is_right(&[body, b"\r\n"].concat())).then_some(Cause::NewlineRemoved)
    }

    /// Whoever posts to another address signs that.
    fn other_url(&self, key: &MacKey) -> Option<Cause> {
        let url = self.url.filter(|_| self.spec.signed.has_url())?;
        let host = self.request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let guesses = url.guesses(self.request.query, host);
        guesses.into_iter().find(|(guess, _)| self.holds(key, &self.request, Some(guess))).map(|(_, fault)| Cause::Url(fault))
    }

    /// A signature as long as one of another function, where nothing else is known.
    fn length(&self) -> Option<Cause> {
        if self.spec.algorithm == Algorithm::FromPrefix {
            return None;
        }
        let candidates = candidates(self.found, self.spec.algorithm, self.spec.encoding)?;
        let length = candidates.first().map(|candidate| candidate.bytes.len())?;
        let other = [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)].into_iter().find(|(_, of)| *of == length)?;
        (other.0 != self.spec.algorithm).then_some(Cause::Length(other.0))
    }

    /// Whether the signature holds with this key for this request and address, all else as configured.
    fn holds(&self, key: &MacKey, request: &Signed<'_>, url: Option<&str>) -> bool {
        self.is_right(key, request, self.spec.encoding, self.spec.algorithm, url) == Some(true)
    }

    fn is_right(&self, key: &MacKey, request: &Signed<'_>, encoding: Encoding, algorithm: Algorithm, url: Option<&str>) -> Option<bool> {
        let candidates = candidates(self.found, algorithm, encoding)?;
        let url: Option<Cow<'_, str>> = match (url, self.url) {
            (Some(url), _) => Some(url.into()),
            (None, configured) => configured.map(|url| url.with_query(request.query).into()),
        };
        let pieces = render(&self.spec.signed, request, url.as_deref(), self.named).ok()?;
        Some(candidates.iter().any(|candidate| self.is_made_with(key, candidate, &pieces)))
    }

    fn is_made_with(&self, key: &MacKey, candidate: &Candidate, pieces: &[Piece<'_>]) -> bool {
        // Of no use to anybody who measures the time: the caller is refused already.
        key.tag(self.mac.kind, candidate.algorithm, pieces) == candidate.bytes
    }
}

//! Senders that sign nothing and repeat a secret.

use http::HeaderName;
use ring::{hmac, rand};
use subtle::Choice;

use super::Signed;
use super::json::JsonPath;
use super::refusal::{Cause, Fault, SignatureRefusal};
use super::request::{header_place, header_text, json_place, single};
use super::spec::{Place, SignatureSpec};
use crate::secret::Secret;

/// The secrets, as tags under a key that lives and dies with the process: comparing tags takes the same time whatever
/// differs, length included.
pub(super) struct Equal {
    key: hmac::Key,
    tags: Vec<(usize, hmac::Tag)>,
    /// To send ourselves.
    first: Option<Secret>,
}

impl Equal {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).expect("a booted operating system has random bytes");
        let tags = secrets.iter().map(|secret| hmac::sign(&key, secret.expose().as_bytes())).enumerate().collect();
        Self { key, tags, first: secrets.first().cloned() }
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.first.as_ref().map(Secret::expose)
    }

    pub(super) fn verify(&self, spec: &SignatureSpec, request: &Signed<'_>) -> Result<usize, SignatureRefusal> {
        match &spec.place {
            Place::Header(name) => self.verify_header(spec, name, request),
            Place::Json(path) => self.verify_members(path, request),
            Place::None => Err(SignatureRefusal::Wrong(Cause::NotEqual)),
        }
    }

    fn verify_header(&self, spec: &SignatureSpec, name: &HeaderName, request: &Signed<'_>) -> Result<usize, SignatureRefusal> {
        let found = if spec.format.is_plain() {
            self.matching(single(request.headers, name)?.as_bytes())
        } else {
            let text = header_text(request.headers, name)?;
            let malformed = || SignatureRefusal::Malformed { place: header_place(name), fault: Fault::Format };
            let reading = spec.format.read(text).ok_or_else(malformed)?;
            reading.found.iter().filter_map(|found| self.matching(found.signature.as_bytes())).next()
        };
        found.ok_or(SignatureRefusal::Wrong(Cause::NotEqual))
    }

    /// Every value must be a secret: a request may hold the items of several subscriptions.
    fn verify_members(&self, path: &JsonPath, request: &Signed<'_>) -> Result<usize, SignatureRefusal> {
        let values = path.read(request.body);
        let values = values.ok_or_else(|| SignatureRefusal::Malformed { place: json_place(path), fault: Fault::Text })?;
        let matches: Vec<_> = values.iter().map(|value| self.matching(value.as_bytes())).collect();
        match matches.first() {
            None => Err(SignatureRefusal::Missing { place: json_place(path), similar: Vec::new() }),
            Some(Some(first)) if matches.iter().all(Option::is_some) => Ok(*first),
            Some(_) if matches.iter().any(Option::is_some) => Err(SignatureRefusal::Wrong(Cause::NotAllEqual)),
            Some(_) => Err(SignatureRefusal::Wrong(Cause::NotEqual)),
        }
    }

    fn matching(&self, value: &[u8]) -> Option<usize> {
        let is_equal = |tag: &hmac::Tag| Choice::from(u8::from(hmac::verify(&self.key, value, tag.as_ref()).is_ok()));
        let matches: Vec<_> = self.tags.iter().map(|(index, tag)| (*index, is_equal(tag))).collect();
        matches.into_iter().find(|(_, is_equal)| bool::from(*is_equal)).map(|(index, _)| index)
    }
}

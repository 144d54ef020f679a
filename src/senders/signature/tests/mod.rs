//! The known answers were computed with Python's `hmac` and `cryptography` (OpenSSL), not with anything that is used here.

mod asymmetric;
mod causes;
mod fetched;
mod groups;
mod known_answers;
mod mistakes;
mod properties;
mod tokens;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

/// 2026-09-21T14:13:20Z.
pub(super) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(super) const SECRET: &str = "correct horse battery staple";
pub(super) const BODY: &[u8] = "{\"event\":\"door.opened\",\"at\":1790000000,\"who\":\"Jürgen\"}\n".as_bytes();

/// A spec with its signature in the header `X-Signature`.
pub(super) fn spec(change: impl FnOnce(&mut SignatureSpec)) -> SignatureSpec {
    let mut spec = SignatureSpec { place: Place::Header(HeaderName::from_static("x-signature")), ..SignatureSpec::default() };
    change(&mut spec);
    spec
}

pub(super) fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
}

pub(super) fn signatures(specs: impl IntoIterator<Item = SignatureSpec>, texts: &[&str]) -> Signatures {
    Signatures::new(specs.into_iter().collect(), &secrets(texts), None, KeySource::default()).unwrap()
}

pub(super) fn signatures_at(url: &str, spec: SignatureSpec) -> Signatures {
    Signatures::new(vec![spec], &secrets(&[SECRET]), Some(url.to_owned()), KeySource::default()).unwrap()
}

/// What a sender sends.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Sent {
    pub(super) fn new(body: &[u8]) -> Self {
        Self { method: Method::POST, query: None, headers: HeaderMap::new(), body: body.to_vec() }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed { method: &self.method, query: self.query.as_deref(), headers: &self.headers, body: &self.body }
    }

    pub(super) fn verify(&self, signatures: &Signatures) -> Result<usize, SignatureRefusal> {
        signatures.verify_now(&self.signed(), NOW)
    }

    pub(super) fn verify_later(&self, signatures: &Signatures, seconds: i64) -> Result<usize, SignatureRefusal> {
        signatures.verify_now(&self.signed(), Timestamp(NOW.0 + seconds * 1000))
    }
}

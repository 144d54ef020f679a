//! Twilio's own way: <https://www.twilio.com/docs/usage/webhooks/webhooks-security>.
//!
//! For a form: HMAC-SHA1 over the address and the form's fields, sorted by name, each as name and value without anything in
//! between; of a field that is there several times, each different value once, sorted. For other bodies: over the address,
//! whose query then has `bodySHA256`, the hash of the body. Twilio is not steady about whether a default port is in the address.

use std::collections::BTreeSet;

use form_urlencoded::parse;
use ring::digest;
use subtle::ConstantTimeEq;

use super::Signed;
use super::encoding::encode_hex;
use super::mac::{Kind, MacKey, candidates};
use super::refusal::{Cause, Fault, SignatureRefusal};
use super::request::Piece;
use super::spec::{Algorithm, Encoding, SecretEncoding, SignatureSpec};
use super::url::PublicUrl;
use crate::secret::Secret;

const BODY_HASH: &str = "bodySHA256";

pub(super) struct Twilio {
    keys: Vec<MacKey>,
}

impl Twilio {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let keys = secrets.iter().enumerate();
        Self { keys: keys.filter_map(|(index, secret)| MacKey::new(index, secret, SecretEncoding::Utf8, Algorithm::Sha1)).collect() }
    }

    pub(super) fn verify(&self, spec: &SignatureSpec, request: &Signed<'_>, url: &PublicUrl) -> Result<usize, SignatureRefusal> {
        let malformed = |fault| SignatureRefusal::Malformed { place: spec.place.describe(), fault };
        let text = spec.place.text(request)?;
        let reading = spec.format.read(&text).ok_or_else(|| malformed(Fault::Format))?;
        let signatures = candidates(&reading.found, Algorithm::Sha1, Encoding::Base64).unwrap_or_default();
        if signatures.is_empty() {
            return Err(malformed(Fault::Encoding(Encoding::Base64)));
        }
        let fields = match body_hash(request) {
            Some(hash) => {
                hash?;
                String::new()
            }
            // A JSON body is no form; what `parse` would make of it is not what its reader reads.
            None if !request.body.is_empty() && !is_form(request) => return Err(malformed(Fault::BodyNotCovered)),
            None => sorted_fields(request.body),
        };
        let matching = |address: &str| {
            let pieces = pieces(address, &fields);
            let is_right = |key: &&MacKey| {
                let tag = key.tag(Kind::Hmac, Algorithm::Sha1, &pieces);
                signatures.iter().any(|signature| bool::from(tag.ct_eq(&signature.bytes)))
            };
            self.keys.iter().find(is_right).map(|key| key.index)
        };
        let addresses = [Some(url.with_query(request.query)), url.with_other_port(request.query)];
        let found = addresses.into_iter().flatten().find_map(|address| matching(&address));
        found.ok_or_else(|| SignatureRefusal::Wrong(cause(request, url, |address| matching(address).is_some())))
    }

    /// The signature of a form, or of the address with the hash in it.
    pub(super) fn sign(&self, request: &Signed<'_>, url: &PublicUrl) -> Option<String> {
        let fields = match body_hash(request) {
            Some(hash) => hash.ok().map(|()| String::new())?,
            None if !request.body.is_empty() && !is_form(request) => return None,
            None => sorted_fields(request.body),
        };
        let address = url.with_query(request.query);
        Some(Encoding::Base64.encode(&self.keys.first()?.tag(Kind::Hmac, Algorithm::Sha1, &pieces(&address, &fields))))
    }
}

fn cause(request: &Signed<'_>, url: &PublicUrl, is_right: impl Fn(&str) -> bool) -> Cause {
    if request.body.len() > super::diagnosis::MAX_BODY {
        return Cause::Unknown;
    }
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let guess = url.guesses(request.query, host).into_iter().find(|(guess, _)| is_right(guess));
    guess.map_or(Cause::Unknown, |(_, fault)| Cause::Url(fault))
}

fn pieces<'a>(address: &'a str, fields: &'a str) -> [Piece<'a>; 2] {
    [address, fields].map(|text| Piece::Bytes(text.as_bytes().into()))
}

/// Whether the body is the one whose hash is in the query; none if there is no hash.
fn body_hash(request: &Signed<'_>) -> Option<Result<(), SignatureRefusal>> {
    let (_, hash) = parse(request.query?.as_bytes()).find(|(name, _)| name == BODY_HASH)?;
    let actual = encode_hex(digest::digest(&digest::SHA256, request.body).as_ref());
    let is_right = bool::from(actual.as_bytes().ct_eq(hash.to_ascii_lowercase().as_bytes()));
    Some(if is_right { Ok(()) } else { Err(SignatureRefusal::Wrong(Cause::BodyHash)) })
}

fn is_form(request: &Signed<'_>) -> bool {
    let content_type = request.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn sorted_fields(body: &[u8]) -> String {
    let fields: BTreeSet<_> = parse(body).collect();
    fields.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

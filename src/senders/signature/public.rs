//! Signatures that only the sender can make: ECDSA over P-256, and Ed25519.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::encoding::{PUBLIC_PREFIX, decode_base64};
use super::mac::Candidate;
use super::spec::{Encoding, Scheme};
use crate::secret::Secret;

/// An Ed25519 public key (RFC 8032).
const ED25519_LENGTH: usize = 32;

/// The public keys of one spec, with their places among the configured secrets.
pub(super) struct PublicKeys(pub(super) Vec<PublicKey>);

pub(super) struct PublicKey {
    index: usize,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl PublicKeys {
    /// The key that one of the candidates was made with. Nothing here is secret, so time does not matter.
    pub(super) fn matching(&self, signed: &[u8], candidates: &[Candidate]) -> Option<usize> {
        let is_right = |key: &&PublicKey| candidates.iter().any(|candidate| key.key.verify(signed, &candidate.bytes).is_ok());
        self.0.iter().find(is_right).map(|key| key.index)
    }
}

impl PublicKey {
    /// None if `text` is no such key.
    pub(super) fn new(index: usize, secret: &Secret, scheme: Scheme) -> Option<Self> {
        let text = secret.expose().trim();
        let (bytes, algorithm): (_, &'static dyn VerificationAlgorithm) = match scheme {
            Scheme::Ecdsa => (p256_point(text)?, &ECDSA_P256_SHA256_ASN1),
            _ => (ed25519_key(text)?, &ED25519),
        };
        Some(Self { index, key: UnparsedPublicKey::new(algorithm, bytes) })
    }
}

fn p256_point(text: &str) -> Option<Vec<u8>> {
    // An uncompressed point (SEC 1, section 2.3.3); ring refuses one that is not on the curve.
    bits_of_spki(text).filter(|point| point.len() == 65 && point[0] == 4)
}

fn ed25519_key(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_prefix(PUBLIC_PREFIX).unwrap_or(text);
    let raw = decode_base64(bare).filter(|key| key.len() == ED25519_LENGTH);
    let raw = raw.or_else(|| Encoding::Hex.decode(bare).filter(|key| key.len() == ED25519_LENGTH));
    raw.or_else(|| bits_of_spki(bare).filter(|key| key.len() == ED25519_LENGTH))
}

/// The key inside a SubjectPublicKeyInfo (RFC 5280, section 4.1), as PEM or base64.
fn bits_of_spki(text: &str) -> Option<Vec<u8>> {
    let der = match SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
        Ok(der) => der.to_vec(),
        Err(_) => decode_base64(&text.split_ascii_whitespace().collect::<String>())?,
    };
    let (rest, info) = SubjectPublicKeyInfo::from_der(&der).ok()?;
    rest.is_empty().then(|| info.subject_public_key.data.to_vec())
}

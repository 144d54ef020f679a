//! Signatures that whoever knows the secret can make: HMAC, and plain hashes over text with the secret in it.

use ring::{digest, hmac};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::format::Found;
use super::request::Piece;
use super::spec::{Algorithm, Encoding, Scheme, SecretEncoding};
use crate::secret::Secret;

/// The keys of one spec.
pub(super) struct Mac {
    pub(super) kind: Kind,
    pub(super) keys: Vec<MacKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hmac,
    Hash,
}

/// A secret, ready for use. No `Debug`: it would print the key.
pub(super) struct MacKey {
    /// Among the configured secrets.
    pub(super) index: usize,
    /// As configured, for finding out what is wrong with it.
    pub(super) secret: Secret,
    bytes: Zeroizing<Vec<u8>>,
    /// For HMAC: for SHA-256, unless another function is asked for, which is made ready each time.
    ready: (Algorithm, hmac::Key),
}

/// A signature as bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) algorithm: Algorithm,
    pub(super) bytes: Vec<u8>,
}

impl Mac {
    /// For [`Scheme::Hmac`] or [`Scheme::Hash`].
    pub(super) fn new(scheme: Scheme, keys: Vec<MacKey>) -> Self {
        Self { kind: if scheme == Scheme::Hash { Kind::Hash } else { Kind::Hmac }, keys }
    }

    /// The index of the secret that one of the candidates was made with.
    ///
    /// Each secret is tried with each candidate whatever came before, so the time says nothing about which one was right.
    pub(super) fn matching(&self, pieces: &[Piece<'_>], candidates: &[Candidate]) -> Option<usize> {
        let matches = self.keys.iter().map(|key| {
            let mut is_right = Choice::from(0);
            for (_, algorithm) in Algorithm::WORDS {
                let mut of_this = candidates.iter().filter(|candidate| candidate.algorithm == *algorithm).peekable();
                if of_this.peek().is_some() {
                    let tag = key.tag(self.kind, *algorithm, pieces);
                    of_this.for_each(|candidate| is_right |= tag.ct_eq(&candidate.bytes));
                }
            }
            (key.index, is_right)
        });
        let matches: Vec<_> = matches.collect();
        matches.into_iter().find(|(_, is_right)| bool::from(*is_right)).map(|(index, _)| index)
    }
}

impl MacKey {
    /// None if the secret is not written so.
    pub(super) fn new(index: usize, secret: &Secret, encoding: SecretEncoding, algorithm: Algorithm) -> Option<Self> {
        let bytes = encoding.key(secret.expose())?;
        let algorithm = if algorithm == Algorithm::FromPrefix { Algorithm::Sha256 } else { algorithm };
        let ready = (algorithm, hmac::Key::new(hmac_algorithm(algorithm), &bytes));
        Some(Self { index, secret: secret.clone(), bytes, ready })
    }

    /// What the sender would write, before it is encoded.
    pub(super) fn tag(&self, kind: Kind, algorithm: Algorithm, pieces: &[Piece<'_>]) -> Vec<u8> {
        match kind {
            Kind::Hash => hash(algorithm, &self.bytes, pieces),
            Kind::Hmac if self.ready.0 == algorithm => sign(&self.ready.1, pieces),
            Kind::Hmac => sign(&hmac::Key::new(hmac_algorithm(algorithm), &self.bytes), pieces),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The candidates that are written in `encoding`, with the function they name where they do.
///
/// None of them, if all name one that is not accepted.
pub(super) fn candidates(found: &[Found<'_>], algorithm: Algorithm, encoding: Encoding) -> Option<Vec<Candidate>> {
    let accepted = found.iter().filter_map(|found| match (algorithm, found.algorithm) {
        (Algorithm::FromPrefix, Some("sha256")) => Some((found.signature, Algorithm::Sha256)),
        (Algorithm::FromPrefix, Some("sha512")) => Some((found.signature, Algorithm::Sha512)),
        (Algorithm::FromPrefix, _) => None,
        (fixed, _) => Some((found.signature, fixed)),
    });
    let accepted: Vec<_> = accepted.collect();
    if accepted.is_empty() {
        return None;
    }
    let decoded = accepted.into_iter().filter_map(|(text, algorithm)| Some(Candidate { algorithm, bytes: encoding.decode(text)? }));
    Some(decoded.collect())
}

fn sign(key: &hmac::Key, pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    for piece in pieces {
        // An HMAC's text never has the secret in it; specs that ask for that are refused.
        if let Piece::Bytes(bytes) = piece {
            context.update(bytes);
        }
    }
    context.sign().as_ref().to_vec()
}

fn hash(algorithm: Algorithm, secret: &[u8], pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut context = digest::Context::new(hmac_algorithm(algorithm).digest_algorithm());
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => context.update(bytes),
            Piece::Secret => context.update(secret),
        }
    }
    context.finish().as_ref().to_vec()
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
        // A name that was read is one of the others; what is signed by us is SHA-256.
        Algorithm::Sha256 | Algorithm::FromPrefix => hmac::HMAC_SHA256,
    }
}

//! RSA public keys: out of PEM, certificates and JWK sets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use crate::incident::Timestamp;

/// Owners publish two to four at a time.
const MAX_KEYS: usize = 64;

/// An RSA public key, checked when it is used.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum RsaKey {
    /// RSAPublicKey (RFC 8017, appendix A.1.1) in DER.
    Der(Vec<u8>),
    /// Big-endian, without leading zeros.
    Components { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl RsaKey {
    pub(super) fn verify(&self, parameters: &'static RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Der(der) => UnparsedPublicKey::new(parameters, der).verify(message, signature).is_ok(),
            Self::Components { modulus, exponent } => {
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
            }
        }
    }

    fn from_spki(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        info.parsed()
            .is_ok_and(|key| matches!(key, x509_parser::public_key::PublicKey::RSA(_)))
            .then(|| Self::Der(info.subject_public_key.data.to_vec()))
    }
}

/// A certificate's key, and when it may be used.
pub(super) struct Certificate {
    pub(super) key: RsaKey,
    /// Seconds since 1970, both included.
    validity: (i64, i64),
}

impl Certificate {
    /// Every certificate of a PEM file that has an RSA key.
    pub(super) fn all(pem: &[u8]) -> Vec<Self> {
        let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).take(MAX_KEYS);
        certificates.filter_map(|der| Self::from_der(&der)).collect()
    }

    /// The certificate of a file that begins with one.
    pub(super) fn first(pem: &[u8]) -> Option<Self> {
        if !pem.trim_ascii_start().starts_with(b"-----BEGIN CERTIFICATE-----") {
            return None;
        }
        Self::from_der(&CertificateDer::from_pem_slice(pem).ok()?)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let validity = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Self { key: RsaKey::from_spki(certificate.public_key())?, validity })
    }

    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        (self.validity.0..=self.validity.1).contains(&now.0.div_euclid(1000))
    }
}

/// Keys by the names that tokens call them by.
#[derive(Default)]
pub(super) struct KeySet(Vec<(Option<String>, RsaKey)>);

impl KeySet {
    /// What a JWK set (RFC 7517) or a PEM file holds; none if no RSA key for signatures is in it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let keys = Self::from_jwks(bytes).unwrap_or_else(|| Self::from_pem(bytes));
        (!keys.0.is_empty()).then_some(keys)
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys of this name, and those without one.
    pub(super) fn named<'k>(&'k self, kid: Option<&'k str>) -> impl Iterator<Item = &'k RsaKey> {
        let is_meant = move |name: &Option<String>| kid.is_none_or(|kid| name.as_deref().is_none_or(|name| name == kid));
        self.0.iter().filter(move |(name, _)| is_meant(name)).map(|(_, key)| key)
    }

    fn from_pem(pem: &[u8]) -> Self {
        let infos = SubjectPublicKeyInfoDer::pem_slice_iter(pem).filter_map(Result::ok).take(MAX_KEYS);
        let bare = infos.filter_map(|der| RsaKey::from_spki(&SubjectPublicKeyInfo::from_der(&der).ok()?.1));
        let of_certificates = Certificate::all(pem).into_iter().map(|certificate| certificate.key);
        Self(bare.chain(of_certificates).map(|key| (None, key)).collect())
    }

    fn from_jwks(json: &[u8]) -> Option<Self> {
        let set: Jwks = serde_json::from_slice(json).ok()?;
        let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| {
            let is_for_us = key.kty == "RSA" && key.usage.is_none_or(|usage| usage == "sig") && key.alg.is_none_or(|alg| alg == "RS256");
            let number = |text: Option<String>| {
                let bytes = URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()?;
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                Some(bytes[zeros..].to_vec())
            };
            is_for_us.then_some(())?;
            Some((key.kid, RsaKey::Components { modulus: number(key.n)?, exponent: number(key.e)? }))
        });
        Some(Self(keys.collect()))
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

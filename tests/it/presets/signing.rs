//! Signatures as the senders make them, with other crates than the gateway verifies them with.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit, Mac};
use p256::pkcs8::EncodePublicKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::signature::SignatureEncoding;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{PrivateKey, pkcs1v15};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// How a sender turns text into what stands in its header.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scheme {
    Sha256Hex,
    Sha512Hex,
    Sha256Base64,
    Sha1Hex,
    Sha1Base64,
    /// The secret is base64 of the key, behind `whsec_`.
    Whsec,
    /// A plain hash; the secret is a part of the text.
    PlainSha256,
    Ed25519,
    P256,
    /// PKCS #1 v1.5 with SHA-256.
    Rsa,
    /// The text is the token's claims.
    Jwt,
}

impl Scheme {
    pub(super) fn sign(self, key: &str, text: &str) -> String {
        match self {
            Self::Sha256Hex => hex(&sha256(key.as_bytes(), text)),
            Self::Sha256Base64 => BASE64_STANDARD.encode(sha256(key.as_bytes(), text)),
            Self::Sha512Hex => {
                let mac = Hmac::<Sha512>::new_from_slice(key.as_bytes()).unwrap().chain_update(text);
                hex(&mac.finalize().into_bytes())
            }
            Self::Sha1Hex => hex(&sha1(key, text)),
            Self::Sha1Base64 => BASE64_STANDARD.encode(sha1(key, text)),
            Self::Whsec => {
                let key = BASE64_STANDARD.decode(key.strip_prefix("whsec_").unwrap()).unwrap();
                BASE64_STANDARD.encode(sha256(&key, text))
            }
            Self::PlainSha256 => hex(&Sha256::digest(text)),
            Self::Ed25519 => BASE64_STANDARD.encode(ed25519(key).sign(text.as_bytes()).to_bytes()),
            Self::P256 => {
                let signature: p256::ecdsa::Signature = p256(key).sign(text.as_bytes());
                BASE64_STANDARD.encode(signature.to_der())
            }
            Self::Rsa => BASE64_STANDARD.encode(rsa(key, text)),
            Self::Jwt => jwt(key, text),
        }
    }

    /// What the instance is configured with, where that is not the key itself.
    pub(super) fn configured(self, key: &str) -> String {
        match self {
            Self::Ed25519 => format!("whpk_{}", BASE64_STANDARD.encode(ed25519(key).verifying_key().as_bytes())),
            Self::P256 => BASE64_STANDARD.encode(p256(key).verifying_key().to_public_key_der().unwrap().as_bytes()),
            _ => key.to_owned(),
        }
    }
}

fn sha256(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn sha1(key: &str, text: &str) -> Vec<u8> {
    Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// A key pair for each text.
fn ed25519(seed: &str) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&Sha256::digest(seed).into())
}

fn p256(seed: &str) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&Sha256::digest(seed)).unwrap()
}

/// What signs for Amazon and Google here.
pub(super) const OURS: &str = "ours";

/// The key that tests/it/keys/rsa.crt certifies.
static RSA: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::from_pkcs1_pem(include_str!("../keys/rsa.pkcs1.key")).unwrap());

/// A key of somebody else, as long: the same primes with another exponent.
static OTHER_RSA: LazyLock<PrivateKey> = LazyLock::new(|| {
    let [p, q] = RSA.primes() else { panic!("two primes") };
    PrivateKey::from_p_q(p.as_ref().clone(), q.as_ref().clone(), 257u32.into()).unwrap()
});

fn rsa(key: &str, text: &str) -> Vec<u8> {
    let key = if key == OURS { &RSA } else { &OTHER_RSA };
    let signature = pkcs1v15::SigningKey::<Sha256>::new((**key).clone()).sign(text.as_bytes());
    signature.to_vec()
}

/// What stands at Google's address, with our key in it.
pub(super) fn jwk_set() -> String {
    let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (RSA.n().to_be_bytes_trimmed_vartime(), RSA.e().to_be_bytes_trimmed_vartime());
    json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "key-1", "n": number(&n), "e": number(&e) }] }).to_string()
}

fn jwt(key: &str, claims: &str) -> String {
    let header = json!({ "alg": "RS256", "kid": "key-1", "typ": "JWT" }).to_string();
    let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(rsa(key, &signed)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What a signature is configured to be. Plain data: a preset or an instance's own table, read.

use std::time::Duration;

use http::HeaderName;

use super::format::Format;
use super::json::JsonPath;
use super::template::Template;
use super::timestamp::{TimestampFormat, TimestampPlace};

/// Five minutes: what Standard Webhooks, Slack, Stripe and HubSpot ask their receivers for.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// One way to sign a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSpec {
    /// How it is made.
    pub scheme: Scheme,
    /// The hash function. [`Scheme::Twilio`], [`Scheme::Ecdsa`], [`Scheme::Ed25519`], [`Scheme::Sns`] and [`Scheme::Jwt`] have their own.
    pub algorithm: Algorithm,
    /// Where it is. Of no matter to [`Scheme::Sns`], whose messages hold it at a place of their own.
    pub place: Place,
    /// How it stands there.
    pub format: Format,
    /// How its bytes are written.
    pub encoding: Encoding,
    /// What is signed.
    pub signed: Template,
    /// When it was signed.
    pub timestamp: Option<TimestampPlace>,
    /// How that is written.
    pub timestamp_format: TimestampFormat,
    /// How far from now that may be, before or after; zero: as far as it likes.
    pub tolerance: Duration,
    /// How the key is written in the configured secret.
    pub secret_encoding: SecretEncoding,
}

impl Default for SignatureSpec {
    /// HMAC-SHA256 over the body in hexadecimal digits, at no place yet.
    fn default() -> Self {
        Self {
            scheme: Scheme::Hmac,
            algorithm: Algorithm::Sha256,
            place: Place::None,
            format: Format::plain(),
            encoding: Encoding::Hex,
            signed: Template::body(),
            timestamp: None,
            timestamp_format: TimestampFormat::Unix,
            tolerance: DEFAULT_TOLERANCE,
            secret_encoding: SecretEncoding::Utf8,
        }
    }
}

impl SignatureSpec {
    /// Whether it covers the address that the sender posts to.
    pub fn needs_url(&self) -> bool {
        self.signed.has_url() || self.scheme == Scheme::Twilio
    }

    /// Whether it is made of a text that lacks the body. Secrets and tokens that are merely sent along are made of none.
    pub fn leaves_body_out(&self) -> bool {
        matches!(self.scheme, Scheme::Hmac | Scheme::Hash | Scheme::Ecdsa | Scheme::Ed25519) && !self.signed.has_body()
    }
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC (RFC 2104) over the signed text.
    Hmac,
    /// A plain hash over the signed text, which has the secret in it.
    Hash,
    /// No signature at all: the value is a secret.
    Equal,
    /// Twilio's: HMAC-SHA1 over the address and the sorted form.
    Twilio,
    /// ECDSA over P-256 and SHA-256; the secrets are public keys, as base64 of their SubjectPublicKeyInfo or PEM.
    Ecdsa,
    /// Ed25519 (RFC 8032); the secrets are public keys.
    Ed25519,
    /// Amazon SNS: RSA over chosen members of the body, with a certificate of Amazon's.
    Sns,
    /// A JSON Web Token (RFC 7519): HS256 with the secrets, or RS256 with Google's keys.
    Jwt,
}

impl Scheme {
    /// As configured.
    pub const WORDS: &[(&str, Self)] = &[
        ("hmac", Self::Hmac),
        ("hash", Self::Hash),
        ("equal", Self::Equal),
        ("twilio", Self::Twilio),
        ("ecdsa", Self::Ecdsa),
        ("ed25519", Self::Ed25519),
        ("sns", Self::Sns),
        ("jwt", Self::Jwt),
    ];
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Old senders only.
    Sha1,
    /// Nearly everybody's.
    Sha256,
    /// As good.
    Sha512,
    /// The one that the sender names before the signature: SHA-256 or SHA-512, never SHA-1.
    FromPrefix,
}

impl Algorithm {
    /// As configured.
    pub const WORDS: &[(&str, Self)] =
        &[("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512), ("from-prefix", Self::FromPrefix)];

    /// As configured, and as senders name it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::FromPrefix => "from-prefix",
        }
    }
}

/// Where a signature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a header.
    Header(HeaderName),
    /// In a JSON body.
    Json(JsonPath),
    /// Not said yet, or not to be said.
    None,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits in any case.
    Hex,
    /// Standard base64, with its padding or without.
    Base64,
}

impl Encoding {
    /// As configured.
    pub const WORDS: &[(&str, Self)] = &[("hex", Self::Hex), ("base64", Self::Base64)];
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The text is the key.
    Utf8,
    /// Base64 of the key.
    Base64,
    /// As Standard Webhooks has it: base64, after `whsec_` or alone; what begins with `whpk_` is an Ed25519 public key.
    Whsec,
}

impl SecretEncoding {
    /// As configured.
    pub const WORDS: &[(&str, Self)] = &[("utf8", Self::Utf8), ("base64", Self::Base64), ("whsec", Self::Whsec)];
}

/// Where keys come from that are no secrets of the instance, and what else a message or token must say.
#[derive(Clone, Debug, Default)]
pub struct KeySource {
    /// Contents of files: for [`Scheme::Jwt`] a JWK set (RFC 7517) or PEM public keys or certificates, for [`Scheme::Sns`] PEM
    /// certificates. With any of them nothing is fetched.
    pub keys_pem_or_jwks: Vec<Vec<u8>>,
    /// For [`Scheme::Jwt`] the `aud` claim, by default the public address; for [`Scheme::Sns`] the topic's ARN.
    pub audience: Option<String>,
    /// For [`Scheme::Jwt`] with Google's keys: the service accounts, one of which must have made the token.
    pub emails: Vec<String>,
    /// Whether keys may be fetched from their owner, over HTTPS and from nobody else.
    pub fetch: bool,
}

/// A signature that cannot be verified as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignatureSpec {
    /// No alternatives.
    #[error("there is no signature to verify")]
    None,
    /// A scheme that works with secrets has none.
    #[error("a secret is needed to verify this sender's signature: the one shown in the sender's webhook settings")]
    NoSecret,
    /// Anybody could compute signatures with it.
    #[error("secret {} is empty", .0 + 1)]
    EmptySecret(usize),
    /// No alternative can make a key of it.
    #[error("secret {} is not {expected}", .index + 1)]
    SecretEncoding {
        /// From 0.
        index: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// Something is signed that only the configuration can say.
    #[error("the signature covers the address that the sender posts to, so public_url must say it in full")]
    NoUrl,
    /// A query comes with each request.
    #[error("must be an http:// or https:// address without query and fragment: the query of each request is added to it")]
    Url,
    /// Nobody said where the signature is.
    #[error("header or json must say where the signature is")]
    NoPlace,
    /// Several values where one is needed.
    #[error("{0} may name several values, which only scheme \"equal\" can compare")]
    PluralPath(String),
    /// A part of the signature's header that its format does not have.
    #[error("{{sig:{0}}} is used, but format has no {{{0}}}")]
    UnknownPart(String),
    /// A hash without the secret proves nothing; elsewhere the secret is the key.
    #[error("{{secret}} must be in signed for scheme \"hash\", and only there")]
    Secret,
    /// The algorithm is to be read, but from where?
    #[error("algorithm \"from-prefix\" needs {{algorithm}} in format, as in {{algorithm}}={{sig}}, and {{algorithm}} needs that")]
    Prefix,
    /// Nothing to verify with.
    #[error("keys are needed, or leave to fetch them")]
    NoKeys,
    /// None of the files' contents is a key.
    #[error("there is no {0} in it")]
    Keys(&'static str),
    /// Google signs tokens for everybody.
    #[error("service_accounts must say who the sender is: Google signs tokens for everybody")]
    NoEmail,
    /// Tokens for other receivers would be accepted.
    #[error("audience is needed, or public_url if the audience is the address")]
    NoAudience,
    /// Which of them counts?
    #[error("either secrets (HS256) or keys (RS256), not both")]
    SecretsAndKeys,
}

impl InvalidSignatureSpec {
    /// The configuration key, within the instance, that is to be changed.
    pub fn key(&self) -> &'static str {
        match self {
            Self::None | Self::NoPlace | Self::UnknownPart(_) => "signature",
            Self::NoSecret | Self::EmptySecret(_) | Self::SecretEncoding { .. } | Self::SecretsAndKeys => "secrets",
            Self::NoUrl | Self::Url => "public_url",
            Self::PluralPath(_) => "signature.json",
            Self::Secret => "signature.signed",
            Self::Prefix => "signature.format",
            Self::NoKeys | Self::Keys(_) => "keys",
            Self::NoEmail => "service_accounts",
            Self::NoAudience => "audience",
        }
    }
}

//! Why a signature was refused: one sentence for the operator, one word for the metrics.

use std::fmt;

use http::HeaderName;

use super::spec::{Algorithm, Encoding};

/// The true reason of a refusal, with its likely cause. It is for the log and the admin API; the caller never learns it.
///
/// Nothing in it is a secret, a signature or any other value that the caller sent, but for names of headers, and for the
/// host in [`UrlFault::Host`], which whoever knows the secret has signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefusal {
    /// What should carry the signature, or a part of what is signed, is not there.
    #[error("there is no {place}{}: check the webhook secret in the sender's settings, or whether a proxy in between removes it", Similar(.similar))]
    Missing {
        /// The header, or the member of the body.
        place: String,
        /// Headers that are there and look as if they carried a signature.
        similar: Vec<HeaderName>,
    },
    /// A header is there more than once, so that it is not clear which one counts.
    #[error("there is more than one {0} header: the sender or a proxy in between adds another")]
    Repeated(HeaderName),
    /// It is there, but cannot be read.
    #[error("the {place} {fault}")]
    Malformed {
        /// The header, or the member of the body.
        place: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It can be read and does not hold.
    #[error("wrong signature: {0}")]
    Wrong(Cause),
    /// It holds, but was made too long ago, or is not to be made yet.
    #[error("the signature is right, but {}", Clock { seconds: *.seconds, tolerance: *.tolerance })]
    Stale {
        /// Age; negative: the sender's clock is ahead.
        seconds: i64,
        /// What is allowed, in seconds.
        tolerance: u64,
    },
    /// The key to verify it with could not be had.
    #[error("{0}")]
    Key(KeyFault),
}

impl SignatureRefusal {
    /// A word of a fixed list, for a metric's label.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "signature_missing",
            Self::Repeated(_) | Self::Malformed { .. } => "signature_malformed",
            Self::Wrong(_) => "signature_wrong",
            Self::Stale { .. } => "signature_stale",
            Self::Key(_) => "signature_key",
        }
    }

    /// Whether it says nothing about the signature, and the sender should try again.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Key(KeyFault::Unreachable(_) | KeyFault::Busy | KeyFault::NotFetched))
    }

    /// Whether a key could not be had: the message may name one that is made up.
    pub fn is_about_a_key(&self) -> bool {
        matches!(self, Self::Key(_))
    }

    /// How much it tells the operator, where several alternatives were tried.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Self::Stale { .. } => 6,
            Self::Wrong(cause) if *cause != Cause::Unknown => 5,
            Self::Key(_) => 4,
            Self::Wrong(_) => 3,
            Self::Repeated(_) => 2,
            Self::Malformed { .. } => 1,
            Self::Missing { .. } => 0,
        }
    }
}

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No such item, or not the prefix, or too many.
    #[error("does not have the configured format: check format, separator and item")]
    Format,
    /// Items of public keys, but the configured secret is none.
    #[error("is one for a public key (v1a): configure the sender's whpk_ key, or have it sign with the whsec_ secret")]
    Asymmetric,
    /// Items of a shared secret, but the configured key is a public one.
    #[error("is one for a shared secret (v1): configure the sender's whsec_ secret, or have it sign with the key of whpk_")]
    Symmetric,
    /// A hash function that is not accepted.
    #[error("names a hash function that is not accepted; \"from-prefix\" accepts sha256 and sha512, and sha1 must be configured")]
    Algorithm,
    /// Neither hexadecimal digits nor base64, or not the configured one.
    #[error("is not written in {}", encoding_name(*.0))]
    Encoding(Encoding),
    /// Not visible ASCII, not one string or number in a JSON body, or one that stands there twice.
    #[error("is no text, or stands there twice")]
    Text,
    /// Not a time in the configured format.
    #[error("is no time in the configured timestamp_format")]
    Timestamp,
    /// Twilio's JSON bodies are covered by a hash in the query.
    #[error("does not cover this body: the address has no bodySHA256, and the body is no form")]
    BodyNotCovered,
    /// A plain hash can be continued by whoever sees it, into something else than JSON.
    #[error("is a plain hash, which proves a body of JSON only, and this body is none")]
    NotJson,
    /// Not a JSON Web Token.
    #[error("holds no JSON Web Token")]
    Token,
    /// A kind of message that nobody knows, or a signature version.
    #[error("is of a kind that is not known")]
    Kind,
}

/// Why a signature does not hold, as far as trying a few things has shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// None of what was tried gave this signature.
    #[error("the secret is another one, or the body was changed on the way")]
    Unknown,
    /// The same bytes in another writing.
    #[error("it would be right in {}: set encoding", encoding_name(*.0))]
    Encoding(Encoding),
    /// Another hash function.
    #[error("it would be right with {}: set algorithm", .0.word())]
    Algorithm(Algorithm),
    /// As long as another hash function's.
    #[error("it is as long as one made with {}: check algorithm and encoding", .0.word())]
    Length(Algorithm),
    /// The secret is base64 of the key.
    #[error("it would be right with the secret decoded from base64: set secret_encoding = \"base64\"")]
    SecretIsBase64,
    /// The secret is the key, though it looks like base64.
    #[error("it would be right with the secret taken as text: set secret_encoding = \"utf8\"")]
    SecretIsText,
    /// The secret is a Standard Webhooks one.
    #[error("it would be right with the secret decoded after its whsec_: set secret_encoding = \"whsec\"")]
    SecretIsWhsec,
    /// Whitespace around the secret.
    #[error("it would be right without the whitespace around the secret")]
    SecretHasSpace,
    /// Something on the way added or the sender forgot the end of the last line.
    #[error(
        "it is right for the body without its last line's end: a tool in between added it (curl: use --data-binary, or printf instead of echo)"
    )]
    NewlineAdded,
    /// Something on the way cut the end of the last line.
    #[error("it is right for the body with a line's end after it: something in between removed that")]
    NewlineRemoved,
    /// Another address was signed.
    #[error("it was made for another address, {0}: set public_url to what the sender posts to")]
    Url(UrlFault),
    /// Nothing to compare with.
    #[error("it covers the address that the sender posts to, and nobody said what that is: set public_url")]
    NoUrl,
    /// The value is not the secret.
    #[error("the value is not the secret; check it in the sender's settings, surrounding quotes and prefixes included")]
    NotEqual,
    /// Not every item of the body has the secret.
    #[error("not every item of the body carries the secret")]
    NotAllEqual,
    /// The body is not the one that was signed.
    #[error("the body is not the one whose hash is in the address: it was changed on the way")]
    BodyHash,
    /// Not made with this key.
    #[error("it was not made with the configured public key, or the body was changed on the way")]
    OtherKey,
    /// What a token claims is not what it should.
    #[error("the token's {0} is not the configured one: check {1}")]
    Claim(&'static str, &'static str),
    /// A token of another kind than the one configured.
    #[error("the token is signed with another algorithm than {0}")]
    TokenAlgorithm(&'static str),
    /// A token that was made for something else.
    #[error(
        "the token was made for another request (qsh): check public_url, which must be what the app's webhook posts to; or somebody sends a token that a browser was given"
    )]
    OtherRequest,
    /// An SNS message of another topic.
    #[error("the message is of another topic than the configured audience")]
    Topic,
}

/// How the address that was signed differs from the configured one. Its path may hold a secret and is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// `http` or `https`.
    #[error("one that begins with {0}://")]
    Scheme(&'static str),
    /// The configured one ends in a slash.
    #[error("one without the slash at its end")]
    Slash,
    /// The configured one does not end in a slash.
    #[error("one with a slash at its end")]
    NoSlash,
    /// The default port is written, or not.
    #[error("with its port written out where public_url leaves it out, or the other way round")]
    Port,
    /// The sender leaves the query out.
    #[error("the one without its query (this sender does not sign it)")]
    Query,
    /// The one in the request's own Host header.
    #[error("at the host {0}")]
    Host(String),
}

/// Why a key could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The owner could not be asked.
    #[error("the key to verify the signature with cannot be fetched: {0}; without a way out, configure keys")]
    Unreachable(&'static str),
    /// It was asked for too often; somebody may send made-up signatures.
    #[error("keys were fetched too often for a while: somebody may be sending made-up signatures, or configure keys")]
    Busy,
    /// It is not at hand, and was not to be fetched.
    #[error("the key to verify the signature with is not at hand")]
    NotFetched,
    /// There is no such key.
    #[error("there is no key of the kind the signature names: it is made up, or the configured keys are too old")]
    Absent,
    /// A key from elsewhere.
    #[error("the key is to be fetched from an address that is not the owner's: the message is made up")]
    ForeignAddress,
    /// A certificate outside its time.
    #[error("the certificate that the signature was made with is not valid now: check the clock, or the configured keys")]
    Expired,
    /// Not a key that can be used.
    #[error("what was fetched is no certificate or key of the right kind")]
    Unusable,
}

fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hexadecimal digits (encoding = \"hex\")",
        Encoding::Base64 => "base64 (encoding = \"base64\")",
    }
}

struct Similar<'a>(&'a [HeaderName]);

impl fmt::Display for Similar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else { return Ok(()) };
        write!(f, ", but {first}")?;
        others.iter().try_for_each(|name| write!(f, " and {name}"))
    }
}

struct Clock {
    seconds: i64,
    tolerance: u64,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, tolerance } = self;
        if *seconds < 0 {
            let seconds = seconds.unsigned_abs();
            write!(f, "made {seconds} s in the future, and {tolerance} s are allowed: one of the two clocks is off")
        } else {
            write!(
                f,
                "made {seconds} s ago, and {tolerance} s are allowed: a clock is off, or the sender repeats what it signed before (tolerance)"
            )
        }
    }
}

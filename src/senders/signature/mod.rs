//! Signatures of senders: one engine, driven by data.
//!
//! A [`SignatureSpec`] says what a sender signs, how, and where it puts the result. [`Signatures`] are an instance's, made once
//! of the specs and the secrets; [`Signatures::verify`] looks at the bytes of a request as they came, before anything is decoded.
//!
//! Several specs are alternatives. Which one counts is decided by where the signature is: the first spec whose header or
//! member is there. Specs with the same place belong together, and one of them must hold. There is no falling back to a
//! later place, so nobody gets around a signature by leaving it out where it was expected.
//!
//! Everything fails closed: a header that is missing or there twice, a signature in another format, a time that cannot be read.

mod format;
mod json;
mod notation;
mod refusal;
mod spec;
mod template;
mod timestamp;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::incident::Timestamp;
use crate::secret::Secret;

pub use format::Format;
pub use json::JsonPath;
pub use notation::InvalidNotation;
pub use refusal::{Cause, Fault, KeyFault, SignatureRefusal};
pub use spec::{Algorithm, Encoding, InvalidSignatureSpec, KeySource, Place, Scheme, SecretEncoding, SignatureSpec};
pub use template::Template;
pub use timestamp::{TimestampFormat, TimestampPlace};

/// A request, as far as a signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// As received.
    pub method: &'a Method,
    /// As received, without its question mark.
    pub query: Option<&'a str>,
    /// As received.
    pub headers: &'a HeaderMap,
    /// As received, before any decoding.
    pub body: &'a [u8],
}

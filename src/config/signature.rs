//! `[instance.signature]`: how a sender signs, as a preset or an instance has it.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;
use toml::de::DeValue;

use super::reader::{Section, choice, string};
use super::units;
use crate::senders::signature::{
    Algorithm, Encoding, Format, JsonPath, Place, Scheme, SecretEncoding, SignatureSpec, Template, TimestampFormat, TimestampPlace,
};

/// The keys of `[instance.signature]`.
pub(super) const KEYS: &[&str] = &[
    "scheme",
    "algorithm",
    "header",
    "json",
    "format",
    "separator",
    "item",
    "encoding",
    "signed",
    "timestamp",
    "timestamp_format",
    "tolerance",
    "secret_encoding",
];

/// Zero switches the age check off. What may be older than a year needs none.
const TOLERANCE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 86_400);

/// What is written of one signature.
#[derive(Clone, Debug, Default)]
pub(super) struct SignatureKeys {
    scheme: Option<Scheme>,
    algorithm: Option<Algorithm>,
    /// `header` or `json`.
    place: Option<Place>,
    /// `format`, or `separator` and `item`.
    format: Option<Format>,
    encoding: Option<Encoding>,
    signed: Option<Template>,
    timestamp: Option<TimestampPlace>,
    timestamp_format: Option<TimestampFormat>,
    tolerance: Option<Duration>,
    secret_encoding: Option<SecretEncoding>,
}

impl SignatureKeys {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            scheme: section.take("scheme", |value| choice(value, Scheme::WORDS)),
            algorithm: section.take("algorithm", |value| choice(value, Algorithm::WORDS)),
            place: read_place(section),
            format: read_format(section),
            encoding: section.take("encoding", |value| choice(value, Encoding::WORDS)),
            signed: section.take("signed", parsed::<Template>),
            timestamp: section.take("timestamp", parsed::<TimestampPlace>),
            timestamp_format: section.take("timestamp_format", |value| choice(value, TimestampFormat::WORDS)),
            tolerance: section.take("tolerance", |value| units::duration(value, TOLERANCE)),
            secret_encoding: section.take("secret_encoding", |value| choice(value, SecretEncoding::WORDS)),
        }
    }

    /// This one, with what it leaves open as in `below`.
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            scheme: self.scheme.or(below.scheme),
            algorithm: self.algorithm.or(below.algorithm),
            place: self.place.or_else(|| below.place.clone()),
            format: self.format.or_else(|| below.format.clone()),
            encoding: self.encoding.or(below.encoding),
            signed: self.signed.or_else(|| below.signed.clone()),
            timestamp: self.timestamp.or_else(|| below.timestamp.clone()),
            timestamp_format: self.timestamp_format.or(below.timestamp_format),
            tolerance: self.tolerance.or(below.tolerance),
            secret_encoding: self.secret_encoding.or(below.secret_encoding),
        }
    }

    pub(super) fn resolve(&self) -> SignatureSpec {
        let default = SignatureSpec::default();
        SignatureSpec {
            scheme: self.scheme.unwrap_or(default.scheme),
            algorithm: self.algorithm.unwrap_or(default.algorithm),
            place: self.place.clone().unwrap_or(default.place),
            format: self.format.clone().unwrap_or(default.format),
            encoding: self.encoding.unwrap_or(default.encoding),
            signed: self.signed.clone().unwrap_or(default.signed),
            timestamp: self.timestamp.clone().or(default.timestamp),
            timestamp_format: self.timestamp_format.unwrap_or(default.timestamp_format),
            tolerance: self.tolerance.unwrap_or(default.tolerance),
            secret_encoding: self.secret_encoding.unwrap_or(default.secret_encoding),
        }
    }
}

fn read_place(section: &Section<'_>) -> Option<Place> {
    let header = section.take("header", header_name).map(Place::Header);
    let json = section.take("json", parsed::<JsonPath>).map(Place::Json);
    if section.has("header") && section.has("json") {
        section.error("json", "contradicts header: the signature is in one place; for a sender with several write [[signature]] twice");
    }
    header.or(json)
}

fn read_format(section: &Section<'_>) -> Option<Format> {
    let format = section.take("format", parsed::<Format>);
    let separator = section.take("separator", |value| string(value).map(str::to_owned));
    let (has_item, has_separator) = (section.has("item"), section.has("separator"));
    match (has_separator, has_item) {
        (true, false) => section.missing("item", "is missing: separator needs it, such as item = \"v1,{sig}\""),
        (false, true) => section.missing("separator", "is missing: item needs it, such as separator = \" \""),
        (true, true) if section.has("format") => section.error("format", "contradicts separator and item: write either"),
        _ => {}
    }
    let list = section.take("item", |value| {
        let item = string(value)?;
        separator.as_deref().map(|separator| Format::list(separator, item).map_err(|error| error.to_string())).transpose()
    });
    list.flatten().or(format)
}

fn header_name(value: &DeValue<'_>) -> Result<HeaderName, String> {
    let text = string(value)?;
    text.parse().map_err(|_| format!("{text:?} is no name of a header, such as \"X-Hub-Signature-256\""))
}

fn parsed<T: FromStr<Err: ToString>>(value: &DeValue<'_>) -> Result<T, String> {
    string(value)?.parse().map_err(|error: T::Err| error.to_string())
}

//! What a spec refers to, fetched out of a request. Whatever is missing or there twice is a refusal.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Signed;
use super::json::JsonPath;
use super::refusal::{Fault, SignatureRefusal};
use super::spec::{Place, SignatureSpec};
use super::template::{Part, Template};
use super::timestamp::{TimestampPlace, distance};
use super::url::unescaped;
use crate::incident::Timestamp;

/// Enough to see what the sender is; names are long only where somebody plays.
const MAX_SIMILAR: usize = 4;
const MAX_SIMILAR_NAME: usize = 64;
/// What names of headers with signatures have in them.
const SIGNATURE_LIKE: [&str; 6] = ["signature", "hmac", "digest", "token", "-sign", "webhook-auth"];

/// A run of what was signed.
pub(super) enum Piece<'a> {
    Bytes(Cow<'a, [u8]>),
    /// To be filled in with the secret.
    Secret,
}

impl Place {
    /// Whether something is there, so that this is the signature that counts.
    pub(super) fn is_present(&self, request: &Signed<'_>) -> bool {
        match self {
            Self::Header(name) => request.headers.contains_key(name),
            // A body that cannot be read may hold it; then it is refused as malformed rather than passed over.
            Self::Json(path) => path.read(request.body).is_none_or(|found| !found.is_empty()),
            Self::None => true,
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Header(name) => header_place(name),
            Self::Json(path) => json_place(path),
            Self::None => "message".to_owned(),
        }
    }

    /// The text there.
    pub(super) fn text<'a>(&self, request: &Signed<'a>) -> Result<Cow<'a, str>, SignatureRefusal> {
        match self {
            Self::Header(name) => header_text(request.headers, name).map(Cow::Borrowed),
            Self::Json(path) => json_text(request.body, path).map(Cow::Owned),
            Self::None => Err(missing(self.describe(), request.headers)),
        }
    }
}

/// What was signed, in runs. `url` is the full address.
pub(super) fn render<'a>(
    template: &'a Template,
    request: &Signed<'a>,
    url: Option<&'a str>,
    named: &[(&'a str, &'a str)],
) -> Result<Vec<Piece<'a>>, SignatureRefusal> {
    let pieces = template.0.iter().map(|part| {
        let bytes: Cow<'a, [u8]> = match part {
            Part::Literal(text) => text.as_bytes().into(),
            Part::Body => request.body.into(),
            Part::Method => request.method.as_str().as_bytes().into(),
            // Without a configured address nothing that refers to it is ever made ready.
            Part::Url { is_unescaped: false } => url.unwrap_or_default().as_bytes().into(),
            Part::Url { is_unescaped: true } => unescaped(url.unwrap_or_default()).into_bytes().into(),
            Part::Header(name) => single(request.headers, name)?.as_bytes().into(),
            Part::Sig(name) => named_part(named, name)?.as_bytes().into(),
            Part::Json(path) => json_text(request.body, path)?.into_bytes().into(),
            Part::Secret => return Ok(Piece::Secret),
        };
        Ok(Piece::Bytes(bytes))
    });
    pieces.collect()
}

/// The signed text in one run, for schemes that cannot take it piece by piece; the body alone is not copied.
pub(super) fn joined<'a>(pieces: Vec<Piece<'a>>) -> Cow<'a, [u8]> {
    let mut runs = pieces.into_iter().filter_map(|piece| if let Piece::Bytes(bytes) = piece { Some(bytes) } else { None });
    let first = runs.next().unwrap_or_default();
    runs.fold(first, |mut all, run| {
        all.to_mut().extend_from_slice(&run);
        all
    })
}

/// That the signature, which holds, was made about now.
pub(super) fn check_time(
    spec: &SignatureSpec,
    request: &Signed<'_>,
    named: &[(&str, &str)],
    now: Timestamp,
) -> Result<(), SignatureRefusal> {
    let Some(place) = spec.timestamp.as_ref().filter(|_| !spec.tolerance.is_zero()) else { return Ok(()) };
    let (text, described): (Cow<'_, str>, _) = match place {
        TimestampPlace::Header(name) => (header_text(request.headers, name)?.into(), header_place(name)),
        TimestampPlace::Sig(name) => (named_part(named, name)?.into(), format!("{name} beside the signature")),
        TimestampPlace::Json(path) => (json_text(request.body, path)?.into(), json_place(path)),
    };
    let moment = spec.timestamp_format.read(&text);
    let moment = moment.ok_or(SignatureRefusal::Malformed { place: described, fault: Fault::Timestamp })?;
    match distance(moment, now, spec.tolerance) {
        None => Ok(()),
        Some(seconds) => Err(SignatureRefusal::Stale { seconds, tolerance: spec.tolerance.as_secs() }),
    }
}

/// The value of a header that is there exactly once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, SignatureRefusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| missing(header_place(name), headers))?;
    if values.next().is_some() { Err(SignatureRefusal::Repeated(name.clone())) } else { Ok(value) }
}

pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, SignatureRefusal> {
    let malformed = |_| SignatureRefusal::Malformed { place: header_place(name), fault: Fault::Text };
    single(headers, name)?.to_str().map_err(malformed)
}

fn json_text(body: &[u8], path: &JsonPath) -> Result<String, SignatureRefusal> {
    match path.read_one(body) {
        Some(text) => Ok(text),
        None if path.read(body).is_some_and(|found| found.is_empty()) => {
            Err(SignatureRefusal::Missing { place: json_place(path), similar: Vec::new() })
        }
        None => Err(SignatureRefusal::Malformed { place: json_place(path), fault: Fault::Text }),
    }
}

fn named_part<'v>(named: &[(&'v str, &'v str)], name: &str) -> Result<&'v str, SignatureRefusal> {
    let found = named.iter().find(|(found, _)| *found == name).map(|(_, text)| *text);
    found.ok_or_else(|| SignatureRefusal::Missing { place: format!("{name} beside the signature"), similar: Vec::new() })
}

pub(super) fn header_place(name: &HeaderName) -> String {
    format!("{name} header")
}

pub(super) fn json_place(path: &JsonPath) -> String {
    format!("{path} of the body")
}

/// With the names of the headers that look as if they were meant.
pub(super) fn missing(place: String, headers: &HeaderMap) -> SignatureRefusal {
    let is_similar = |name: &&HeaderName| {
        let text = name.as_str();
        text.len() <= MAX_SIMILAR_NAME && SIGNATURE_LIKE.iter().any(|part| text.contains(part))
    };
    SignatureRefusal::Missing { place, similar: headers.keys().filter(is_similar).take(MAX_SIMILAR).cloned().collect() }
}

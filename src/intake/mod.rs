//! From the bytes of a body to drafts of incidents.
//!
//! ```text
//! encoding (gzip) ─ shape (whatever it is → JSON) ─ json (grammar, slices) ─ event (names, dates, raw) ─ key ─▶ Draft
//! ```
//!
//! What was sent as JSON is kept to the byte: a draft's `raw` is a slice of the body it came in. Nothing is built of such a
//! body but the drafts themselves. Other shapes become JSON first, within the limit of bodies; what each may cost is in
//! docs/http.md.

mod accept;
mod cloudevents;
mod content;
pub mod dates;
mod encoding;
mod error;
mod escapes;
mod event;
mod fields;
mod form;
mod headers;
mod json;
mod key;
mod lines;
mod mapped;
mod multipart;
mod shape;
mod unwrap;
mod writer;
mod xml;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName};

pub use self::accept::Accept;
pub use self::error::IntakeError;
use self::event::Event;
pub use self::headers::headers_json;
use self::json::{Fault, Scanner};
pub use self::key::{InvalidKeyPath, KeyPath};
pub use self::unwrap::{InvalidUnwrap, Unwrap};
use crate::incident::{Draft, Label};
use crate::mapping::{Failure, Mapping};

/// The member of an incident's `rawJson` that holds the request's headers.
const HEADERS: &str = "headers";
/// Bodies of fewer bytes may keep what they do not need: it is no more than a request's head takes.
const MIN_WASTE: usize = 16 << 10;

/// What an instance makes of bodies.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The `type` of incidents whose sender gives none.
    pub incident_type: Option<Arc<str>>,
    /// The first that is present in an event makes its duplication key.
    pub duplication_key: Vec<KeyPath>,
    /// Incidents in one request.
    pub max_incidents: usize,
    /// Bytes, also after unpacking.
    pub max_body: usize,
    /// What is understood besides JSON and forms.
    pub accept: Accept,
    /// Strings whose JSON takes their place, in this order.
    pub unwrap: Vec<Unwrap>,
    /// Whether headers that begin with `ce-` make an event of the body (CloudEvents, HTTP binding, binary mode).
    pub cloudevents: bool,
    /// The operator's own filters, where there are any.
    pub mapping: Option<Arc<Mapping>>,
}

/// A request, as far as incidents depend on it.
#[derive(Debug)]
pub struct Body<'a> {
    /// What stood behind the `?` of the request, undecoded.
    pub query: Option<&'a str>,
    /// The `Content-Type`, if any.
    pub content_type: Option<&'a str>,
    /// The `Content-Encoding`, if any; several lines of it joined with commas.
    pub content_encoding: Option<&'a str>,
    /// As received. Drafts share them; a form or a packed body is rewritten in place where this is the only handle.
    pub bytes: Bytes,
    /// For key paths that begin with `headers`, and for filters.
    pub headers: &'a HeaderMap,
    /// The header that is the instance's password: no key is made of it.
    pub secret_header: Option<&'a HeaderName>,
}

/// What a body holds.
#[derive(Debug)]
pub struct Intake {
    /// What is to be stored, in the order sent.
    pub drafts: Vec<Draft>,
    /// Events that the operator's filters leave out.
    pub dropped: usize,
    /// How often a filter failed.
    pub failed: usize,
    /// The first of these failures.
    pub failures: Vec<Failure>,
}

/// What every event of a request is read with.
struct Context<'a> {
    rules: &'a Rules,
    headers: &'a HeaderMap,
    secret_header: Option<&'a HeaderName>,
    query: Option<&'a str>,
}

/// The incidents that a body holds, in the order sent: one of an object, one of each element of an array, unless a map says
/// otherwise.
///
/// # Errors
/// If anything in the body is wrong, for the body as a whole.
pub fn read(body: Body<'_>, rules: &Rules) -> Result<Intake, IntakeError> {
    let context = Context { rules, headers: body.headers, secret_header: body.secret_header, query: body.query };
    let bytes = encoding::unpack(body.bytes, body.content_encoding, rules.max_body)?;
    let shaped = shape::to_json(bytes, body.content_type, &context)?;
    let mut intake = match &rules.mapping {
        Some(mapping) => mapped::read(&shaped.json, mapping, &context)?,
        None => as_sent(&shaped.json, &context)?,
    };
    if let Some(first) = intake.drafts.first_mut() {
        first.warnings.extend(shaped.warnings);
    }
    let_go_of_waste(&shaped.json, &mut intake.drafts);
    Ok(intake)
}

/// Drafts are parts of the body and keep all of it in memory. Where most of it is of no use to them, blanks say or an envelope, they
/// are copied instead: what is told to those who count memory is then about what is held.
fn let_go_of_waste(json: &Bytes, drafts: &mut [Draft]) {
    let used: usize = drafts.iter().map(|draft| draft.raw.len() + draft.labels().map(Label::shared_bytes).sum::<usize>()).sum();
    if json.len() < MIN_WASTE || used > json.len() / 2 {
        return;
    }
    let mut texts = BytesMut::with_capacity(used);
    for draft in drafts {
        texts.extend_from_slice(&draft.raw);
        draft.raw = texts.split().freeze();
        draft.labels_mut().for_each(|label| label.move_to(&mut texts));
    }
}

/// Without a map.
fn as_sent(json: &Bytes, context: &Context<'_>) -> Result<Intake, IntakeError> {
    let mut drafts = Vec::new();
    each_event(json, context, |event, expected| {
        if drafts.is_empty() {
            drafts.reserve_exact(expected);
        }
        drafts.push(event.draft(json, context)?);
        Ok(())
    })?;
    Ok(Intake { drafts, dropped: 0, failed: 0, failures: Vec::new() })
}

/// Hands on the object that a body is, or each element of the array that it is, each with how many there may be from there on.
fn each_event<'a>(
    json: &'a Bytes,
    context: &Context<'_>,
    mut take: impl FnMut(Event<'a>, usize) -> Result<(), IntakeError>,
) -> Result<(), IntakeError> {
    let malformed = |fault: Fault| IntakeError::malformed(fault.describe(json));
    let mut scanner = Scanner::new(json).map_err(malformed)?;
    match scanner.peek() {
        Some(b'{') => take(Event::scan(&mut scanner, 0).map_err(malformed)?, 1)?,
        Some(b'[') => each_element(&mut scanner, json, context, take)?,
        Some(_) => return Err(malformed(scanner.expected("an object or an array"))),
        None => return Err(IntakeError::malformed("the body is empty")),
    }
    scanner.end().map_err(malformed)
}

fn each_element<'a>(
    scanner: &mut Scanner<'a>,
    json: &'a Bytes,
    context: &Context<'_>,
    mut take: impl FnMut(Event<'a>, usize) -> Result<(), IntakeError>,
) -> Result<(), IntakeError> {
    let malformed = |fault: Fault| IntakeError::malformed(fault.describe(json));
    let after = |count: usize| format!("after {}", element(count - 1));
    let max = context.rules.max_incidents;
    let mut count = 0;
    scanner.begin(b'[').map_err(malformed)?;
    while scanner.next_item(count == 0, b']').map_err(|fault| malformed(fault).at(|| after(count)))? {
        if count == max {
            return Err(IntakeError::TooManyIncidents { max });
        }
        let before = scanner.rest().len();
        let event = Event::scan(scanner, 1).map_err(malformed);
        // As if all were as long as this one: room that is not filled costs nothing, a list that moves is there twice.
        let (length, left) = (before - scanner.rest().len(), scanner.rest().len());
        let expected = (1 + left / length.max(1)).min(max);
        event.and_then(|event| take(event, expected)).map_err(|error| error.at(|| element(count)))?;
        count += 1;
    }
    Ok(())
}

fn element(index: usize) -> String {
    format!("element {index} (counted from 0)")
}

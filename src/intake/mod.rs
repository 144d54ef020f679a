//! From the bytes of a body to drafts of incidents.
//!
//! ```text
//! encoding (gzip) ─ form (or JSON as it is) ─ json (grammar, slices) ─ event (names, dates, raw) ─ key ─▶ Draft
//! ```
//!
//! What was sent is kept to the byte: a draft's `raw` is a slice of the body it came in. Nothing is built of a body but the
//! drafts themselves, so that intake costs at most one more copy of it, whatever a sender makes up.

pub mod dates;
mod encoding;
mod error;
mod event;
mod form;
mod headers;
mod json;
mod key;
mod mapped;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};

pub use self::error::IntakeError;
use self::event::Event;
pub use self::headers::headers_json;
use self::json::{Fault, Scanner};
pub use self::key::{InvalidKeyPath, KeyPath};
use crate::incident::Draft;
use crate::mapping::{Failure, Mapping};

/// The member of an incident's `rawJson` that holds the request's headers.
const HEADERS: &str = "headers";

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
    /// The operator's own filters, where there are any.
    pub mapping: Option<Arc<Mapping>>,
}

/// A request, as far as incidents depend on it.
#[derive(Debug)]
pub struct Body<'a> {
    /// The `Content-Type`, if any.
    pub content_type: Option<&'a str>,
    /// The `Content-Encoding`, if any; several lines of it joined with commas.
    pub content_encoding: Option<&'a str>,
    /// As received. Drafts share them; a form or a packed body is rewritten in place where this is the only handle.
    pub bytes: Bytes,
    /// What follows the `?` of the address, for filters.
    pub query: Option<&'a str>,
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
    let json = if form::is_form(body.content_type) { form::to_json(bytes, rules.max_body)? } else { bytes };
    if let Some(mapping) = &rules.mapping {
        return mapped::read(&json, mapping, &context);
    }
    let mut drafts = Vec::new();
    each_event(&json, &context, |event, expected| {
        if drafts.is_empty() {
            drafts.reserve_exact(expected);
        }
        drafts.push(event.draft(&json, &context)?);
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

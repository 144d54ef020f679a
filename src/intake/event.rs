//! One event: what its object says, and the incident that becomes of it.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;

use super::json::{self, Fault, Scanner, Text};
use super::key::duplication_key;
use super::{Context, HEADERS, IntakeError, dates};
use crate::incident::{Draft, Label};

/// The name of an incident whose sender gave none: what Cortex XSOAR calls it.
const DEFAULT_NAME: &str = "Generic webhook triggered incident";

/// Characters of a name or type that are kept: a headline, not a place for a payload; both are shown in lists and searched.
pub(super) const MAX_LABEL_CHARS: usize = 1_024;

/// Bytes from which on a copy costs more than to know where the original is.
const LONG_LABEL: usize = 64;

/// Characters of the longest date worth reading: any ISO 8601 spelling with a very long fraction.
const MAX_DATE_CHARS: usize = 128;

pub(super) const NAME_CUT: &str = "name was longer than 1,024 characters and was cut there";
pub(super) const KIND_CUT: &str = "type was longer than 1,024 characters and was cut there";
const OCCURRED_UNREADABLE: &str = "occurred is not an ISO 8601 date; the time of arrival was used";

/// The members of an event's object that mean something to the gateway, as spelled. Of equal names the last one counts, as
/// in Python and JavaScript.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    whole: &'a [u8],
    is_empty: bool,
    has_headers: bool,
    name: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    occurred: Option<&'a [u8]>,
    raw_json: Option<&'a [u8]>,
    raw_json_alias: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// Reads the object that the scanner stands before, `outer` containers being open around it.
    pub(super) fn scan(scanner: &mut Scanner<'a>, outer: usize) -> Result<Self, Fault> {
        let mut event = Self { is_empty: true, ..Self::default() };
        scanner.space();
        let before = scanner.rest();
        scanner.begin(b'{')?;
        while scanner.next_item(event.is_empty, b'}')? {
            event.is_empty = false;
            event.note(scanner.member(outer + 1)?);
        }
        event.whole = &before[..before.len() - scanner.rest().len()];
        Ok(event)
    }

    fn note(&mut self, json::Member { name, value }: json::Member<'a>) {
        if name.is("name") {
            self.name = Some(value);
        } else if name.is("type") {
            self.kind = Some(value);
        } else if name.is("occurred") {
            self.occurred = Some(value);
        } else if name.is("rawJson") {
            self.raw_json = Some(value);
        } else if name.is("raw_json") {
            self.raw_json_alias = Some(value);
        } else if name.is(HEADERS) {
            self.has_headers = true;
        }
    }

    /// The incident; `json` is the text that holds the event.
    ///
    /// # Errors
    /// `Malformed` if the event's `rawJson` holds no object.
    pub(super) fn draft(&self, json: &Bytes, context: &Context<'_>) -> Result<Draft, IntakeError> {
        let mut warnings = Vec::new();
        let raw = self.raw(json)?;
        let key = duplication_key(&raw, context);
        let name = self.name(json, &mut warnings);
        let kind = self.kind(json, context, &mut warnings);
        let occurred = self.occurred(&mut warnings);
        Ok(Draft { name, kind, occurred, raw, key, fields: Vec::new(), warnings })
    }

    pub(super) fn name(&self, json: &Bytes, warnings: &mut Vec<Cow<'static, str>>) -> Label {
        label(json, self.name, NAME_CUT, warnings).unwrap_or_else(|| DEFAULT_NAME.into())
    }

    pub(super) fn kind(&self, json: &Bytes, context: &Context<'_>, warnings: &mut Vec<Cow<'static, str>>) -> Option<Label> {
        label(json, self.kind, KIND_CUT, warnings).or_else(|| context.rules.incident_type.clone().map(Label::from))
    }

    /// The event as spelled.
    pub(super) fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// All of the event but the sender's `headers`; `json` is the text that holds it.
    pub(super) fn kept(&self, json: &Bytes) -> Result<Bytes, IntakeError> {
        kept(json.slice_ref(self.whole), self.has_headers)
    }

    /// What is kept of the event: `rawJson`, else `raw_json`, else all of it; what is empty counts as absent.
    fn raw(&self, json: &Bytes) -> Result<Bytes, IntakeError> {
        for (name, value) in [("rawJson", self.raw_json), ("raw_json", self.raw_json_alias)] {
            let Some(value) = value else { continue };
            let object = match Text::of(value) {
                Some(text) => object(text.contents().into()).map_err(|error| error.at(|| format!("in the string {name}")))?,
                None if value.starts_with(b"{") => scanned_object(json.slice_ref(value))?,
                None => return Err(IntakeError::malformed(format!("{name} is neither an object nor a string that holds one"))),
            };
            if let Some(object) = object {
                return Ok(object);
            }
        }
        self.kept(json)
    }

    pub(super) fn occurred(&self, warnings: &mut Vec<Cow<'static, str>>) -> Option<String> {
        let value = self.occurred.filter(|value| *value != b"null")?;
        let moment = match Text::of(value).map(|text| text.decode(MAX_DATE_CHARS)) {
            Some((text, false)) if text.trim().is_empty() => return None,
            Some((text, false)) => dates::to_utc(&text),
            _ => None,
        };
        if moment.is_none() {
            warnings.push(OCCURRED_UNREADABLE.into());
        }
        moment.filter(|moment| moment != dates::UNSET)
    }
}

/// As [`object`], of one that was scanned as a part of what holds it: most need no second look.
fn scanned_object(object: Bytes) -> Result<Option<Bytes>, IntakeError> {
    // Letters may be spelled as escapes.
    if memmem::find(&object, HEADERS.as_bytes()).is_some() || memmem::find(&object, b"\\u").is_some() {
        return self::object(object);
    }
    let is_empty = object[1..object.len() - 1].trim_ascii().is_empty();
    Ok((!is_empty).then_some(object))
}

/// The object that `json` is, as it is kept; none if it is empty.
fn object(json: Bytes) -> Result<Option<Bytes>, IntakeError> {
    let scan = || {
        let mut scanner = Scanner::new(&json)?;
        let event = Event::scan(&mut scanner, 0)?;
        scanner.end()?;
        Ok(event)
    };
    let event = scan().map_err(|fault: Fault| IntakeError::malformed(fault.describe(&json)))?;
    if event.is_empty {
        return Ok(None);
    }
    let (object, has_headers) = (json.slice_ref(event.whole), event.has_headers);
    // Without this handle a text of our own can be cut where it is.
    drop(json);
    kept(object, has_headers).map(Some)
}

/// An object without its members called `headers`: the request's take their place on the way out.
fn kept(object: Bytes, has_headers: bool) -> Result<Bytes, IntakeError> {
    if !has_headers {
        return Ok(object);
    }
    let mut object = Vec::from(object);
    json::cut(&mut object, HEADERS).map_err(|fault| IntakeError::malformed(fault.describe(&object)))?;
    Ok(object.into())
}

/// The text of `value`, if it is a string that says something.
///
/// A long one without escapes is not copied: it is a part of `json` as it stands there.
fn label(json: &Bytes, value: Option<&[u8]>, cut: &'static str, warnings: &mut Vec<Cow<'static, str>>) -> Option<Label> {
    let text = Text::of(value?)?;
    let (label, is_cut) = match text.as_spelled(MAX_LABEL_CHARS) {
        Some((spelled, is_cut)) if spelled.len() >= LONG_LABEL => (Label::part(json.slice_ref(spelled))?, is_cut),
        _ => {
            let (decoded, is_cut) = text.decode(MAX_LABEL_CHARS);
            (decoded.into(), is_cut)
        }
    };
    if label.trim().is_empty() {
        return None;
    }
    if is_cut {
        warnings.push(cut.into());
    }
    Some(label)
}

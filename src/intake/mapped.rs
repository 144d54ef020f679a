//! Events by an operator's map: which of them a body holds, and what becomes of each. A filter that gives nothing usable costs
//! no event: the default rule takes its place, and a warning says so.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::event::{self, Event};
use super::json::{self, Scanner};
use super::{Context, Fault, Intake, IntakeError, dates};
use crate::incident::{Draft, DuplicationKey, Field, Label};
use crate::mapping::{self, Failed, Mapping, Output, PlainPath, Session, Slot, Step};

/// Characters of a field's value that are kept: it is shown in lists and looked up in an index.
const MAX_FIELD_CHARS: usize = 1_024;
/// Characters of the longest date worth reading.
const MAX_DATE: usize = 128;

const NO_ITEMS: &str = "the map's items are not in the body; the body itself was taken";
const ITEMS_FAILED: &str = "the filter for items failed; the body itself was taken";
const NO_OBJECT: &str = "the item is no object; it was kept as the member value of one";

type Warnings = Vec<Cow<'static, str>>;

/// What a body holds by the operator's map.
pub(super) fn read(json: &Bytes, mapping: &Mapping, context: &Context<'_>) -> Result<Intake, IntakeError> {
    let headers = || super::headers_json(context.headers, context.secret_header);
    let session = mapping.session(headers, context.query, json);
    let mut reader = Reader { context, session: &session, drafts: Vec::new(), dropped: 0 };
    match mapping.items() {
        None => reader.default_items(json)?,
        Some(path) => reader.items(json, path)?,
    }
    let Reader { drafts, dropped, .. } = reader;
    let failed = session.failed();
    Ok(Intake { drafts, dropped, failed, failures: session.take_failures() })
}

struct Reader<'a> {
    context: &'a Context<'a>,
    session: &'a Session<'a>,
    drafts: Vec<Draft>,
    dropped: usize,
}

impl Reader<'_> {
    /// The body, or each element of an array, as without a map.
    fn default_items(&mut self, json: &Bytes) -> Result<(), IntakeError> {
        super::each_event(json, self.context, |event, _| {
            let raw = event.kept(json)?;
            self.event(json, &json.slice_ref(event.whole()), &event, raw, Vec::new());
            Ok(())
        })
    }

    fn items(&mut self, json: &Bytes, path: Option<&PlainPath>) -> Result<(), IntakeError> {
        let malformed = |fault: Fault| IntakeError::malformed(fault.describe(json));
        let mut scanner = Scanner::new(json).map_err(malformed)?;
        match scanner.peek() {
            Some(b'{' | b'[') => {}
            Some(_) => return Err(malformed(scanner.expected("an object or an array"))),
            None => return Err(IntakeError::malformed("the body is empty")),
        }
        let body = scanner.value(0).map_err(malformed)?;
        scanner.end().map_err(malformed)?;
        let body = json.slice_ref(body);
        match path {
            Some(path) => self.items_at(&body, path),
            None => self.items_of_filter(&body),
        }
    }

    /// Items that stand in the body, to the byte.
    fn items_at(&mut self, body: &Bytes, path: &PlainPath) -> Result<(), IntakeError> {
        let max = self.context.rules.max_incidents;
        let mut found = Vec::new();
        let is_there = walk(body, &path.steps, &mut |item| {
            found.push(item);
            found.len() <= max
        });
        if found.len() > max {
            return Err(IntakeError::TooManyIncidents { max });
        }
        if found.is_empty() && !is_there && !path.is_optional {
            return self.whole_body(body, NO_ITEMS);
        }
        found.into_iter().try_for_each(|item| self.item(body.slice_ref(item)))
    }

    /// Items that a filter made.
    fn items_of_filter(&mut self, body: &Bytes) -> Result<(), IntakeError> {
        let max = self.context.rules.max_incidents;
        let Ok(items) = self.session.items(max) else { return self.whole_body(body, ITEMS_FAILED) };
        if items.len() > max {
            return Err(IntakeError::TooManyIncidents { max });
        }
        if items.is_empty() {
            // The filter wants nothing of the body.
            self.dropped += 1;
        }
        let items: Vec<Bytes> = items.into_iter().map(Bytes::from).collect();
        if !items.iter().all(|item| is_json(item)) {
            return self.whole_body(body, ITEMS_FAILED);
        }
        items.into_iter().try_for_each(|item| self.item(item))
    }

    /// The body itself, or each element of an array, where its items are not to be had. The map is not for such a body, so none of
    /// its filters has a say: a `drop` or a key made for other events would lose this one.
    fn whole_body(&mut self, body: &Bytes, warning: &'static str) -> Result<(), IntakeError> {
        if !body.starts_with(b"[") {
            return self.unmapped(body.clone(), warning);
        }
        let max = self.context.rules.max_incidents;
        if json::elements(body).nth(max).is_some() {
            return Err(IntakeError::TooManyIncidents { max });
        }
        json::elements(body).try_for_each(|item| self.unmapped(body.slice_ref(item), warning))
    }

    /// One item of any kind.
    fn item(&mut self, item: Bytes) -> Result<(), IntakeError> {
        let mut warnings = Warnings::new();
        let object = object(&item, &mut warnings);
        let event = scan(&object)?;
        let raw = event.kept(&object)?;
        self.event(&object, &item, &event, raw, warnings);
        Ok(())
    }

    /// Likewise, by the default rules alone.
    fn unmapped(&mut self, item: Bytes, warning: &'static str) -> Result<(), IntakeError> {
        let mut warnings: Warnings = vec![warning.into()];
        let object = object(&item, &mut warnings);
        let event = scan(&object)?;
        let raw = event.kept(&object)?;
        let name = event.name(&object, &mut warnings);
        let kind = event.kind(&object, self.context, &mut warnings);
        let occurred = event.occurred(&mut warnings);
        let key = super::key::duplication_key(&raw, self.context);
        self.drafts.push(Draft { name, kind, occurred, raw, key, fields: Vec::new(), warnings });
        Ok(())
    }

    /// What becomes of an event that `item` is; `json` is the text that holds the event.
    fn event(&mut self, json: &Bytes, item: &Bytes, event: &Event<'_>, raw: Bytes, warnings: Warnings) {
        let mut mapped = Mapped { session: self.session, item: self.session.event(item), warnings };
        if mapped.is_dropped() {
            self.dropped += 1;
            return;
        }
        let name = mapped.label(Slot::Name, event::NAME_CUT);
        let name = name.map_or_else(|| event.name(json, &mut mapped.warnings), Label::from);
        let kind = mapped.label(Slot::Kind, event::KIND_CUT).map(Label::from);
        let kind = kind.or_else(|| event.kind(json, self.context, &mut mapped.warnings));
        let occurred = mapped.occurred().or_else(|| event.occurred(&mut mapped.warnings));
        let key = mapped.key().or_else(|| super::key::duplication_key(&raw, self.context));
        let fields = mapped.fields();
        self.drafts.push(Draft { name, kind, occurred, raw, key, fields, warnings: mapped.warnings });
    }
}

/// The object that an item is, or is kept as.
fn object(item: &Bytes, warnings: &mut Warnings) -> Bytes {
    if item.starts_with(b"{") {
        return item.clone();
    }
    warnings.push(NO_OBJECT.into());
    [b"{\"value\":", &**item, b"}"].concat().into()
}

fn scan(object: &Bytes) -> Result<Event<'_>, IntakeError> {
    let malformed = |fault: Fault| IntakeError::malformed(fault.describe(object));
    Event::scan(&mut Scanner::new(object).map_err(malformed)?, 0).map_err(malformed)
}

/// An event, its filters, and what is to be said of it.
struct Mapped<'a> {
    session: &'a Session<'a>,
    item: mapping::Event,
    warnings: Warnings,
}

impl Mapped<'_> {
    /// What the filter gave, if it gave anything.
    fn run(&mut self, slot: Slot) -> Option<Output> {
        match self.session.run(slot, &self.item)? {
            Ok(Output::Nothing) => None,
            Ok(output) => Some(output),
            Err(Failed) => {
                self.warn(slot, "failed");
                None
            }
        }
    }

    fn warn(&mut self, slot: Slot, what: &str) {
        self.warnings.push(format!("the filter for {} {what}; the default rule was used", slot.key()).into());
    }

    fn is_dropped(&mut self) -> bool {
        match self.session.run(Slot::Drop, &self.item) {
            Some(Ok(output)) => output.is_true(),
            Some(Err(Failed)) => {
                self.warnings.push("the filter for drop failed; the event was kept".into());
                false
            }
            None => false,
        }
    }

    fn label(&mut self, slot: Slot, cut: &'static str) -> Option<String> {
        let text = match self.run(slot)? {
            Output::Json(_) => {
                self.warn(slot, "gave no text");
                return None;
            }
            output => output.text()?,
        };
        if text.trim().is_empty() {
            return None;
        }
        let (text, is_cut) = shortened(text, event::MAX_LABEL_CHARS);
        if is_cut {
            self.warnings.push(cut.into());
        }
        Some(text)
    }

    fn occurred(&mut self) -> Option<String> {
        let date = match self.run(Slot::Occurred)? {
            Output::Text(text) if text.trim().is_empty() => return None,
            Output::Text(text) if text.len() <= MAX_DATE => dates::to_utc(&text).or_else(|| dates::from_number(text.trim())),
            Output::Number(number) => dates::from_number(&number),
            _ => None,
        };
        if date.is_none() {
            self.warn(Slot::Occurred, "gave no date");
        }
        date.filter(|date| date != dates::UNSET)
    }

    /// Begins with a dot, as no dotted path does: it never equals a key of the default rule.
    fn key(&mut self) -> Option<DuplicationKey> {
        let (kind, text) = match self.run(Slot::DuplicationKey)? {
            Output::Json(text) => (b".j", text),
            // A number and a string that spell the same are the same.
            output => (b".s", output.text().filter(|text| !text.is_empty())?),
        };
        let mut hash = Sha256::new();
        hash.update(kind);
        hash.update(text);
        hash.finalize().first_chunk().copied()
    }

    fn fields(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, outcome) in self.session.fields(&self.item) {
            let text = match outcome {
                Ok(output) => output.text().filter(|text| !text.trim().is_empty()),
                Err(Failed) => {
                    self.warnings.push(format!("the filter for the field {name} failed; it was left out").into());
                    None
                }
            };
            let Some(text) = text else { continue };
            let (value, is_cut) = shortened(text, MAX_FIELD_CHARS);
            if is_cut {
                self.warnings.push(format!("the field {name} was longer than 1,024 characters and was cut there").into());
            }
            fields.push(Field { name: Arc::clone(name), value });
        }
        fields
    }
}

/// The first `max` characters, and whether there were more.
fn shortened(mut text: String, max: usize) -> (String, bool) {
    let end = text.char_indices().nth(max).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
    }
    (text, end.is_some())
}

fn is_json(text: &[u8]) -> bool {
    let scan = || {
        let mut scanner = Scanner::new(text)?;
        // An object is made of it where it is none.
        scanner.value(1)?;
        scanner.end()
    };
    scan().is_ok()
}

/// Hands every value at the path to `found`, which says whether to go on. Returns whether there is anything at the path: an
/// empty array with items to come is.
fn walk<'a>(value: &'a [u8], steps: &[Step], found: &mut impl FnMut(&'a [u8]) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return found(value) };
    match step {
        Step::Member(name) => {
            let member = json::members(value).filter(|member| member.name.is(name)).last();
            member.filter(|member| member.value != b"null").is_some_and(|member| walk(member.value, rest, found))
        }
        Step::Each if value.starts_with(b"[") => {
            let mut elements = json::elements(value).peekable();
            // Of several containers, one without the path is no reason to take the body itself for an event.
            let is_empty = elements.peek().is_none();
            elements.fold(is_empty, |is_there, element| walk(element, rest, found) || is_there)
        }
        Step::Each if value.starts_with(b"{") => {
            let mut members = json::members(value).peekable();
            let is_empty = members.peek().is_none();
            members.fold(is_empty, |is_there, member| walk(member.value, rest, found) || is_there)
        }
        Step::Each => false,
    }
}

#[cfg(test)]
mod tests;

//! Running filters on the events of one request, within what one request may cost.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;
use jaq_core::{Ctx, Vars};
use jaq_json::Val;

use super::engine::{Data, Jq};
use super::meter::{self, Stop};
use super::value::Value;
use super::{Filter, Mapping, Slot, read, write};

/// Places in [`super::engine::VARIABLES`].
const HEADERS: usize = 0;
const QUERY: usize = 1;
const BODY: usize = 2;
/// Steps of one filter on one event: some ms. Ordinary filters take tens to hundreds.
const STEPS: u64 = 100_000;
/// Whatever the event's size. A step makes some tens of bytes, so this bounds memory too.
const MOST_STEPS: u64 = 1_000_000;
/// Steps of all filters on all events of one request, for each byte of its body, beside those of a few events.
const STEPS_PER_BYTE: u64 = 4;
/// How much of what went wrong is told.
const MAX_FAILURES: usize = 20;
/// Characters of one of them.
const MAX_TEXT: usize = 200;

/// What a filter made of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// `null`, or no output at all.
    Nothing,
    /// True or false.
    Bool(bool),
    /// As spelled.
    Number(String),
    /// A string's text.
    Text(String),
    /// An array or an object, as JSON.
    Json(String),
}

impl Output {
    /// What jq takes for true.
    pub fn is_true(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Bool(false))
    }

    /// The text that people read; none for nothing.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Bool(is) => Some(is.to_string()),
            Self::Number(text) | Self::Text(text) | Self::Json(text) => Some(text),
        }
    }
}

/// A filter gave nothing usable; what it was is in [`Session::take_failures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// What went wrong with a filter, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Such as `occurred` or `fields.severity`.
    pub key: String,
    /// One line; may quote the event.
    pub text: String,
}

/// The filters of a map on one request.
pub struct Session<'a> {
    mapping: &'a Mapping,
    headers: Value,
    query: Value,
    body: &'a Bytes,
    /// Read when first needed.
    read_body: RefCell<Option<Option<Value>>>,
    fuel: Cell<u64>,
    failures: RefCell<Vec<Failure>>,
    failed: Cell<usize>,
    /// Keys of filters that ran away on this request; they are not tried again.
    ran_away: RefCell<Vec<&'a str>>,
}

/// An event as filters see it; none if it would take too much memory.
pub struct Event(Option<Value>);

impl<'a> Session<'a> {
    pub(super) fn new(mapping: &'a Mapping, headers: impl FnOnce() -> String, query: Option<&str>, body: &'a Bytes) -> Self {
        let uses = |variable: usize| mapping.filters().any(|filter| filter.uses[variable]);
        let null = || Value::scalar(Val::Null);
        let headers = if uses(HEADERS) { read::read(&headers().into()).unwrap_or_else(null) } else { null() };
        let query = if uses(QUERY) { query_value(query.unwrap_or_default()) } else { null() };
        Self {
            mapping,
            headers,
            query,
            body,
            read_body: RefCell::default(),
            fuel: Cell::new(2 * STEPS + STEPS_PER_BYTE * body.len() as u64),
            failures: RefCell::default(),
            failed: Cell::new(0),
            ran_away: RefCell::default(),
        }
    }

    /// The event that `json`, which was scanned before, is.
    pub fn event(&self, json: &Bytes) -> Event {
        let is_body = json.len() == self.body.len() && json.as_ptr() == self.body.as_ptr();
        // It is held anyway.
        let is_shared = is_body && self.mapping.filters().any(|filter| filter.uses[BODY]);
        Event(if is_shared { self.whole_body() } else { read::read(json) })
    }

    /// What a filter makes of an event; none if there is no such filter.
    pub fn run(&self, slot: Slot, event: &Event) -> Option<Result<Output, Failed>> {
        Some(self.first(self.mapping.slot(slot)?, event))
    }

    /// Own fields of an event, by name.
    pub fn fields<'s>(&'s self, event: &'s Event) -> impl Iterator<Item = (&'a Arc<str>, Result<Output, Failed>)> + 's {
        self.mapping.fields.iter().map(move |(name, filter)| (name, self.first(filter, event)))
    }

    /// The events that the filter for items makes of the body, as JSON; at most so many and one more.
    pub fn items(&self, max: usize) -> Result<Vec<String>, Failed> {
        let Some(filter) = self.mapping.slot(Slot::Items) else { return Err(Failed) };
        let body = self.event(self.body);
        self.outputs(filter, &body, max.saturating_add(1), write::text)
    }

    /// How often filters failed.
    pub fn failed(&self) -> usize {
        self.failed.get()
    }

    /// The first failures.
    pub fn take_failures(&self) -> Vec<Failure> {
        self.failures.take()
    }

    fn first(&self, filter: &'a Filter, event: &Event) -> Result<Output, Failed> {
        let outputs = self.outputs(filter, event, 1, output)?;
        Ok(outputs.into_iter().next().unwrap_or(Output::Nothing))
    }

    /// Runs `filter` until it gave `max` outputs.
    fn outputs<T>(&self, filter: &'a Filter, event: &Event, max: usize, convert: fn(&Value) -> T) -> Result<Vec<T>, Failed> {
        if self.ran_away.borrow().contains(&filter.key.as_str()) || filter.breaker.is_open() {
            return self.fail(filter, "is left alone for a while: it ran away too often".to_owned());
        }
        let body = if filter.uses[BODY] { self.whole_body() } else { Some(Value::scalar(Val::Null)) };
        let (Some(event), Some(body)) = (&event.0, body) else {
            return self.fail(filter, "is not run: in memory, so many values would take too much room".to_owned());
        };
        let fuel = self.fuel.get().min(STEPS + event.weight() as u64 / 16).min(MOST_STEPS);
        let variables = Vars::new([self.headers.clone(), self.query.clone(), body, filter.index.into()]);
        let input = event.clone();
        let (outcome, used) = meter::run(fuel, || {
            let program = &self.mapping.program;
            let context = Ctx::<Jq>::new(Data(&program.lut), variables);
            let outputs = program.id.run((context, input)).take(max);
            outputs
                .map(|output| output.map(|value| convert(&value)).map_err(|error| message(error.get_err())))
                .collect::<Result<Vec<T>, _>>()
        });
        self.fuel.set(self.fuel.get() - used.min(self.fuel.get()));
        match outcome {
            Ok(outputs) => {
                filter.breaker.went_well();
                outputs.or_else(|text| self.fail(filter, text))
            }
            Err(Stop::RanAway) => {
                self.ran_away.borrow_mut().push(&filter.key);
                if filter.breaker.ran_away() {
                    tracing::warn!(filter = filter.key, "a filter of a map ran away too often and is left alone for a minute");
                }
                self.fail(filter, "takes too long or too much memory".to_owned())
            }
            Err(Stop::Panicked) => self.fail(filter, "made the jq interpreter fail".to_owned()),
        }
    }

    fn fail<T>(&self, filter: &Filter, text: String) -> Result<T, Failed> {
        self.failed.set(self.failed.get() + 1);
        let mut failures = self.failures.borrow_mut();
        if failures.len() < MAX_FAILURES {
            failures.push(Failure { key: filter.key.clone(), text });
        }
        Err(Failed)
    }

    fn whole_body(&self) -> Option<Value> {
        self.read_body.borrow_mut().get_or_insert_with(|| read::read(self.body)).clone()
    }
}

impl Mapping {
    fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.slots.iter().flatten().chain(self.fields.iter().map(|(_, filter)| filter))
    }
}

fn output(value: &Value) -> Output {
    match &value.val {
        Val::Null => Output::Nothing,
        Val::Bool(is) => Output::Bool(*is),
        Val::Num(_) => match write::text(value) {
            text if text == "null" => Output::Nothing,
            text => Output::Number(text),
        },
        Val::TStr(_) | Val::BStr(_) => Output::Text(write::plain(value)),
        Val::Arr(_) | Val::Obj(_) => Output::Json(write::text(value)),
    }
}

/// An error in one line; a `break` or `halt` is none.
fn message<E>(error: Result<jaq_core::Error<Value>, E>) -> String {
    let Ok(error) = error else { return "broke off".to_owned() };
    let text = write::plain(&error.into_val());
    let mut short: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MAX_TEXT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// An object of the parameters; of equal names the last one counts.
fn query_value(query: &str) -> Value {
    let members = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let text = |text: std::borrow::Cow<'_, str>| Value::from(text.into_owned());
        (text(name), text(value))
    });
    <Value as jaq_core::ValT>::from_map(members).unwrap_or_else(|_| Value::scalar(Val::Null))
}

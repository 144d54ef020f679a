//! The operator's jq filters, compiled once: what a body holds, and what is made of each event in it.
//!
//! Filters come from the configuration and may be wrong; events come from anybody and may be hostile. Neither costs more than
//! a bounded time and memory, and a filter that fails loses no event: whoever asks for a value then goes by the default rule.
//!
//! This module knows nobody but the leaves.

mod breaker;
mod calculate;
mod compile;
mod engine;
mod forbidden;
mod functions;
mod meter;
mod path;
mod pattern;
mod read;
mod session;
mod spec;
mod update;
mod value;
mod write;

pub use self::compile::MapError;
pub use self::path::{PlainPath, Step};
pub use self::spec::{MapSpec, is_field_name};

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use self::breaker::Breaker;
use self::engine::{Jq, VARIABLES};
pub use self::session::{Event, Failed, Failure, Output, Session};

/// What a byte of JSON takes at most once it is a value.
const VALUE_BYTES: usize = 45;
/// Bytes that the values of one request take at most, however large its body: what is read for filters is bounded, and so are
/// their steps.
pub const MOST_MEMORY: usize = 128 << 20;

/// Bytes that the values of a body of `length` bytes of JSON take at most.
pub fn memory_of(length: usize) -> usize {
    length.saturating_mul(VALUE_BYTES).min(MOST_MEMORY)
}

/// What a filter of a map decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The events in a body.
    Items,
    /// An event's name.
    Name,
    /// An event's `type`.
    Kind,
    /// When an event happened.
    Occurred,
    /// What makes two events the same.
    DuplicationKey,
    /// Whether an event is left out.
    Drop,
}

impl Slot {
    const ALL: [Self; 6] = [Self::Items, Self::Name, Self::Kind, Self::Occurred, Self::DuplicationKey, Self::Drop];

    fn filter(self, spec: &MapSpec) -> Option<&str> {
        let filter = match self {
            Self::Items => &spec.items,
            Self::Name => &spec.name,
            Self::Kind => &spec.kind,
            Self::Occurred => &spec.occurred,
            Self::DuplicationKey => &spec.duplication_key,
            Self::Drop => &spec.drop,
        };
        filter.as_deref()
    }

    /// As the configuration calls it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Name => "name",
            Self::Kind => "type",
            Self::Occurred => "occurred",
            Self::DuplicationKey => "duplication_key",
            Self::Drop => "drop",
        }
    }
}

/// One of a map's filters.
struct Filter {
    /// Such as `occurred` or `fields.severity`.
    key: String,
    /// Its place in the program.
    index: usize,
    /// Which of the variables it may look at.
    uses: [bool; VARIABLES.len()],
    breaker: Breaker,
}

impl Filter {
    fn new(index: usize, (key, filter): &(String, &str)) -> Self {
        let uses = VARIABLES.map(|variable| filter.contains(variable));
        Self { key: key.clone(), index, uses, breaker: Breaker::default() }
    }
}

/// The filters of an instance, ready to run; shared by all threads.
pub struct Mapping {
    program: jaq_core::Filter<Jq>,
    /// In the order of [`Slot::ALL`].
    slots: [Option<Filter>; Slot::ALL.len()],
    /// By name.
    fields: Vec<(Arc<str>, Filter)>,
    /// Where `items` is a path without anything to calculate.
    items: Option<PlainPath>,
}

impl Mapping {
    /// Compiles the filters of `spec`.
    ///
    /// # Errors
    /// One for each filter that is no jq, and for each field that has no name.
    pub fn compile(spec: &MapSpec) -> Result<Self, Vec<MapError>> {
        let slots = Slot::ALL.into_iter().filter_map(|slot| Some((slot.key().to_owned(), slot.filter(spec)?)));
        let fields = spec.fields.iter().map(|(name, filter)| (format!("fields.{name}"), filter.as_str()));
        let filters: Vec<_> = slots.chain(fields).collect();
        let misnamed: Vec<_> = spec.wrong_fields().map(|(name, text)| MapError::new(format!("fields.{name}"), text)).collect();
        let program = match compile::with_room(|| compile::program(&filters)) {
            Ok(program) if misnamed.is_empty() => program,
            outcome => return Err(misnamed.into_iter().chain(outcome.err().unwrap_or_default()).collect()),
        };
        let mut compiled = filters.iter().enumerate().map(|(index, filter)| Filter::new(index, filter));
        let slots = Slot::ALL.map(|slot| slot.filter(spec).and_then(|_| compiled.next()));
        let fields = spec.fields.keys().map(|name| name.as_str().into()).zip(compiled).collect();
        Ok(Self { program, slots, fields, items: spec.items.as_deref().and_then(PlainPath::parse) })
    }

    /// Begins with the events of one request: `headers` is a JSON object, `body` what its JSON is after decoding.
    pub fn session<'a>(&'a self, headers: impl FnOnce() -> String, query: Option<&str>, body: &'a Bytes) -> Session<'a> {
        Session::new(self, headers, query, body)
    }

    /// Whether a map says what the events of a body are; and if a plain path does, that path.
    pub fn items(&self) -> Option<Option<&PlainPath>> {
        self.has(Slot::Items).then_some(self.items.as_ref())
    }

    /// Whether there is a filter for this.
    pub fn has(&self, slot: Slot) -> bool {
        self.slot(slot).is_some()
    }

    /// Names of own fields, sorted.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.fields.iter().map(|(name, _)| name)
    }

    fn slot(&self, slot: Slot) -> Option<&Filter> {
        self.slots[slot as usize].as_ref()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

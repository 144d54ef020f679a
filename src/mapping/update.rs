//! Updates: a filter is run on parts of a value, and what it gives takes their place.

use std::cell::{Cell, RefCell};

use jaq_core::{Error, Exn, ValX};
use jaq_json::Val;

use super::value::{Child, Value};

/// What an update of jaq's value goes through, so that the new value knows its size, and exceptions come out as they are.
pub(super) struct Through<'a> {
    child: Child,
    whole: Value,
    weight: Cell<usize>,
    depth: Cell<u16>,
    exception: RefCell<Option<Exn<'a, Value>>>,
}

impl<'a> Through<'a> {
    pub(super) fn new(value: &Value) -> Self {
        Self {
            child: Child::of(value),
            whole: Value::new(Val::Null, value.weight(), value.depth()),
            weight: Cell::new(value.weight()),
            depth: Cell::new(value.depth()),
            exception: RefCell::default(),
        }
    }

    pub(super) fn add(&self, weight: usize) {
        self.weight.set(self.weight.get().saturating_add(weight));
    }

    /// A part of the value.
    pub(super) fn part(&self, part: Val) -> Value {
        self.child.wrap(part)
    }

    /// A slice of the value, which is as deep as the value.
    pub(super) fn slice(&self, part: Val) -> Value {
        Value::new(part, self.whole.weight(), self.whole.depth())
    }

    /// What a filter made of a part or a slice.
    pub(super) fn outputs<I: Iterator<Item = ValX<'a, Value>>>(&self, outputs: I) -> impl Iterator<Item = ValX<'a, Val>> + use<'_, 'a, I> {
        outputs.map(|output| self.note(output))
    }

    fn note(&self, output: ValX<'a, Value>) -> ValX<'a, Val> {
        match output {
            Ok(value) => {
                self.add(value.weight());
                self.depth.set(self.depth.get().max(value.depth() + 1));
                Ok(value.val)
            }
            Err(exception) => {
                self.exception.replace(Some(exception));
                Err(Error::new(Val::Null).into())
            }
        }
    }

    /// The new value.
    pub(super) fn finish(self, outcome: ValX<'a, Val>) -> ValX<'a, Value> {
        match (outcome, self.exception.into_inner()) {
            (Ok(val), _) => Ok(Value::new(val, self.weight.get(), self.depth.get().max(1))),
            (Err(_), Some(exception)) => Err(exception),
            (Err(_), None) => Err(Error::str("cannot update a value of this kind so").into()),
        }
    }
}

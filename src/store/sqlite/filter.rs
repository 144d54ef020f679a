//! What a reader asks for, and what it gets.

use std::fmt;
use std::str::FromStr;

use crate::incident::{Incident, Seq, Timestamp};

/// Which incidents to read. The conditions hold together; `None` is no condition.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of this instance.
    pub instance: Option<String>,
    /// Of this `type`.
    pub kind: Option<String>,
    /// With these own fields, by name and value.
    pub fields: Vec<(String, String)>,
    /// Created at this moment or later.
    pub since: Option<Timestamp>,
    /// Created before this moment.
    pub until: Option<Timestamp>,
    /// Has this text in its name, type, id or JSON (without headers); ASCII letters match in both cases.
    pub q: Option<String>,
    /// In the order of storing.
    pub order: Order,
    /// At most so many; 0 counts as 1. A page may be shorter although there are more: only `next` tells.
    pub limit: usize,
    /// Where an earlier page of the same filter ended.
    pub cursor: Option<Cursor>,
}

/// Everything, newest first, 50 a page.
impl Default for Filter {
    fn default() -> Self {
        let (order, fields) = (Order::default(), Vec::new());
        Self { instance: None, kind: None, fields, since: None, until: None, q: None, order, limit: 50, cursor: None }
    }
}

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// For people.
    #[default]
    NewestFirst,
    /// For consumers that follow the stream.
    OldestFirst,
}

/// Some incidents, and where to go on.
#[derive(Clone, Debug)]
pub struct Page {
    /// May be none although `next` is some.
    pub incidents: Vec<Incident>,
    /// Newest first: some if there may be more. Oldest first: some if anything was looked at, so that a consumer that keeps the
    /// last cursor it got can follow the stream for ever.
    pub next: Option<Cursor>,
}

/// A place between two incidents, for one order. Its text is opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) order: Order,
    /// The last incident that was looked at.
    pub(super) seq: Seq,
}

impl Cursor {
    /// The last incident that was looked at: all before it, in the cursor's order, were too.
    pub fn seq(self) -> Seq {
        self.seq
    }
}

/// Not the text of a cursor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: take `next` of an earlier answer as it is")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::NewestFirst => 'n',
            Order::OldestFirst => 'o',
        };
        write!(f, "{order}{:x}", self.seq.0)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (order, digits) = match text.as_bytes() {
            [b'n', digits @ ..] => (Order::NewestFirst, digits),
            [b'o', digits @ ..] => (Order::OldestFirst, digits),
            _ => return Err(InvalidCursor),
        };
        // A sign would be accepted by the parser below, and no cursor has one.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidCursor);
        }
        let seq = i64::from_str_radix(&text[1..], 16).map_err(|_| InvalidCursor)?;
        Ok(Self { order, seq: Seq(seq) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_no_cursors() {
        for text in ["", "n", "o", "x1", "n+1", "o-1", "nffffffffffffffff", "n1 ", "1", "ñ1"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn cursors_round_trip(seq in 0..i64::MAX, is_newest: bool) {
            let order = if is_newest { Order::NewestFirst } else { Order::OldestFirst };
            let cursor = Cursor { order, seq: Seq(seq) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_crashes_the_cursor(text: String) {
            let _ = text.parse::<Cursor>();
        }
    }
}

//! What is wrong with a text that is not JSON, told to people.

use std::fmt;

use super::{BYTE_ORDER_MARK, MAX_DEPTH};

/// Why a text is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::intake) struct Fault {
    pub(super) at: usize,
    pub(super) problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotUtf8,
    TooDeep,
    Expected(&'static str),
}

impl Fault {
    /// Well-formed as far as it was read, but refused for its nesting.
    pub(in crate::intake) fn is_too_deep(self) -> bool {
        self.problem == Problem::TooDeep
    }

    /// What and where, for people; `text` is what was scanned. Of the text itself at most one ASCII character is shown.
    pub(in crate::intake) fn describe(self, text: &[u8]) -> String {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let place = Place::of(text, self.at);
        match self.problem {
            Problem::NotUtf8 => format!("bytes that are not UTF-8 at {place}"),
            Problem::TooDeep => format!("nesting deeper than {MAX_DEPTH} levels at {place}"),
            Problem::Expected(what) => format!("expected {what}, found {} at {place}", found(text.get(self.at))),
        }
    }
}

fn found(byte: Option<&u8>) -> String {
    match byte {
        None => "the end".into(),
        Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(*byte)),
        Some(byte) if byte.is_ascii() => format!("byte 0x{byte:02X}"),
        Some(_) => "a character outside ASCII".into(),
    }
}

/// Line and column, both counted from 1, columns in characters.
pub(in crate::intake) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Of the byte at `at`.
    pub(in crate::intake) fn of(text: &[u8], at: usize) -> Self {
        let before = &text[..at];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let starts_character = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
        Self {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: before[line_start..].iter().filter(starts_character).count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

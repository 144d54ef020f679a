//! Strings of JSON: reading their escapes, and writing them.

use std::borrow::Cow;

/// The inside of a string that was scanned, escapes as spelled.
#[derive(Clone, Copy, Debug)]
pub(in crate::intake) struct Text<'a> {
    raw: &'a [u8],
    has_escapes: bool,
}

/// A run of a string's characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::intake) enum Piece<'a> {
    /// As spelled; UTF-8.
    Plain(&'a [u8]),
    /// What an escape (or two, of a surrogate pair) stands for.
    Char(char),
    /// An escaped half of a surrogate pair without its other half: no character, yet JSON.
    Lone(u16),
}

impl<'a> Text<'a> {
    pub(super) fn new(raw: &'a [u8], has_escapes: bool) -> Self {
        Self { raw, has_escapes }
    }

    /// The text of a value that was scanned before, if that is a string.
    pub(in crate::intake) fn of(value: &'a [u8]) -> Option<Self> {
        let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Some(Self { raw, has_escapes: raw.contains(&b'\\') })
    }

    /// Whether the string is `want`, however it is spelled.
    pub(in crate::intake) fn is(self, want: &str) -> bool {
        if !self.has_escapes {
            return self.raw == want.as_bytes();
        }
        let mut rest = want.as_bytes();
        let all_match = self.pieces().all(|piece| {
            let after = match piece {
                Piece::Plain(plain) => rest.strip_prefix(plain),
                Piece::Char(char) => rest.strip_prefix(char.encode_utf8(&mut [0; 4]).as_bytes()),
                Piece::Lone(_) => None,
            };
            rest = after.unwrap_or_default();
            after.is_some()
        });
        all_match && rest.is_empty()
    }

    /// The bytes of the first `max` characters, and whether there are more; none if there are escapes among all of them.
    pub(in crate::intake) fn as_spelled(self, max: usize) -> Option<(&'a [u8], bool)> {
        let text = std::str::from_utf8(self.raw).ok().filter(|_| !self.has_escapes)?;
        let end = text.char_indices().nth(max).map(|(at, _)| at);
        Some((&self.raw[..end.unwrap_or(self.raw.len())], end.is_some()))
    }

    /// The first `max` characters, and whether there are more. Lone surrogates become U+FFFD.
    pub(in crate::intake) fn decode(self, max: usize) -> (String, bool) {
        if !self.has_escapes && self.raw.len() <= max {
            return (String::from_utf8_lossy(self.raw).into_owned(), false);
        }
        // Never longer than as spelled.
        let mut text = String::with_capacity(self.raw.len().min(max.saturating_mul(4)));
        let mut left = max;
        for piece in self.pieces() {
            let (plain, char) = match piece {
                Piece::Plain(plain) => (String::from_utf8_lossy(plain), None),
                Piece::Char(char) => ("".into(), Some(char)),
                Piece::Lone(_) => ("".into(), Some(char::REPLACEMENT_CHARACTER)),
            };
            for char in plain.chars().chain(char) {
                if left == 0 {
                    text.shrink_to_fit();
                    return (text, true);
                }
                text.push(char);
                left -= 1;
            }
        }
        text.shrink_to_fit();
        (text, false)
    }

    /// The whole text, for reading it as JSON itself. Never longer than the string as spelled.
    ///
    /// A lone surrogate has no UTF-8: it stays an escape, which means the same inside the inner text's strings.
    pub(in crate::intake) fn contents(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.raw.len());
        self.append_to(&mut text);
        text
    }

    /// Appends [`Self::contents`].
    pub(in crate::intake) fn append_to(self, text: &mut Vec<u8>) {
        let start = text.len();
        for piece in self.pieces() {
            match piece {
                Piece::Plain(plain) => text.extend_from_slice(plain),
                Piece::Char(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                Piece::Lone(_) if ends_in_open_escape(&text[start..]) => text.extend_from_slice("\u{FFFD}".as_bytes()),
                Piece::Lone(half) => text.extend_from_slice(format!("\\u{half:04x}").as_bytes()),
            }
        }
    }

    /// [`Self::contents`], copied only where the string is spelled with escapes.
    pub(in crate::intake) fn bytes(self) -> Cow<'a, [u8]> {
        if self.has_escapes { self.contents().into() } else { self.raw.into() }
    }

    /// The text in runs, nothing allocated.
    pub(in crate::intake) fn pieces(self) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (piece, after) = first_piece(rest)?;
            rest = after;
            Some(piece)
        })
    }
}

/// Whether a backslash at the end waits for what it escapes, so that a second one would close it.
fn ends_in_open_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn first_piece(raw: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let plain = raw.iter().position(|&byte| byte == b'\\').unwrap_or(raw.len());
    if plain > 0 {
        return Some((Piece::Plain(&raw[..plain]), &raw[plain..]));
    }
    let char = match raw.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return first_unicode_escape(raw),
        other => char::from(*other),
    };
    Some((Piece::Char(char), &raw[2..]))
}

fn first_unicode_escape(raw: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let (unit, after) = code_unit(raw)?;
    if let Some(char) = char::from_u32(u32::from(unit)) {
        return Some((Piece::Char(char), after));
    }
    if let Some((second, after_pair)) = code_unit(after)
        && let Some(Ok(char)) = char::decode_utf16([unit, second]).next()
    {
        return Some((Piece::Char(char), after_pair));
    }
    Some((Piece::Lone(unit), after))
}

/// The UTF-16 code unit that `raw` begins with, if it begins with a `\u` escape.
fn code_unit(raw: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = raw.strip_prefix(b"\\u")?.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u16::from_str_radix(digits, 16).ok()?, after))
}

/// How many bytes at the start of `bytes` need no look inside a string: no quote, backslash or control character.
///
/// Strings are most of a body, so this takes eight bytes at a time: for each byte of a word, subtracting the bound borrows
/// into its highest bit where the byte is below the bound. Borrows run upwards only, so the lowest hit is always right.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES << 7;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH_BITS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);

    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let hits = below(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    bytes[at..].iter().position(is_special).map_or(bytes.len(), |position| at + position)
}

/// Appends `text` as a string's inside: quotes, backslashes and control characters escaped, all else as it is.
pub(in crate::intake) fn quote(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_len(rest.as_bytes()));
        out.push_str(plain);
        let Some(char) = special.chars().next() else { return };
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                out.push_str(if char < '\u{10}' { "\\u000" } else { "\\u001" });
                out.extend(char::from_digit(u32::from(char) & 0xF, 16));
            }
        }
        rest = &special[char.len_utf8()..];
    }
}

/// How many bytes [`quote`] appends.
pub(in crate::intake) fn quoted_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        ..b' ' => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_strings_have_a_text() {
        for value in ["1", "null", "{\"a\":\"b\"}", "[\"\"]"] {
            assert!(Text::of(value.as_bytes()).is_none(), "{value}");
        }
        assert_eq!(Text::of(b"\"\"").unwrap().decode(9), (String::new(), false));
    }

    #[test]
    fn lone_surrogates_stay_escapes_unless_they_would_be_escaped() {
        let contents = |value: &str| String::from_utf8(Text::of(value.as_bytes()).unwrap().contents()).unwrap();
        assert_eq!(contents(r#""a\uD800\uD800\uDC00\udfff""#), "a\\ud800\u{10000}\\udfff");
        assert_eq!(contents(r#""\\\\\ud800""#), r"\\\ud800");
        assert_eq!(contents(r#""\\\ud800""#), "\\\u{FFFD}");
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_reading(text in any::<String>(), controls in "[\\x00-\\x20\"\\\\/é]{0,20}", max in 0..40_usize) {
            let text = text + &controls;
            let mut quoted = String::new();
            quote(&mut quoted, &text);
            prop_assert_eq!(quoted.len(), quoted_len(&text));
            let value = format!("\"{quoted}\"");
            prop_assert_eq!(&serde_json::from_str::<String>(&value).unwrap(), &text);
            let read = Text::of(value.as_bytes()).unwrap();
            prop_assert_eq!(read.decode(usize::MAX), (text.clone(), false));
            prop_assert_eq!(read.decode(max), (text.chars().take(max).collect(), text.chars().count() > max));
            prop_assert_eq!(read.contents(), text.as_bytes());
            prop_assert!(read.is(&text));
            let longer = text.clone() + "x";
            prop_assert!(!read.is(&longer));
        }

        #[test]
        fn escapes_are_read_as_serde_json_reads_them(inside in "(a|é|\\\\u00[0-9a-fA-F]{2}|\\\\ud8[0-9a-f]{2}|\\\\uDc[0-9A-F]{2}|\\\\[nrtbf/\\\\\"]){0,10}") {
            let value = format!("\"{inside}\"");
            let read = Text::of(value.as_bytes()).unwrap();
            match serde_json::from_str::<String>(&value) {
                Ok(text) => {
                    prop_assert!(read.is(&text));
                    prop_assert_eq!(read.decode(usize::MAX), (text, false));
                }
                Err(_) => prop_assert!(read.pieces().any(|piece| matches!(piece, Piece::Lone(_)))),
            }
            prop_assert!(read.contents().len() <= inside.len());
        }

        #[test]
        fn plain_len_stops_at_the_first_special_byte(bytes in prop::collection::vec(prop_oneof![9 => b'#'..=255, 1 => any::<u8>()], 0..60)) {
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            prop_assert_eq!(plain_len(&bytes), bytes.iter().position(is_special).unwrap_or(bytes.len()));
        }
    }
}

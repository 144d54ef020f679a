//! From JSON to values. Texts are slices of what was read; spellings of numbers are kept.
//!
//! jaq's own reader is not used: it takes time quadratic in the digits of a number, recurses as deep as a text is nested, and
//! refuses lone surrogates, which are JSON.

use bytes::Bytes;
use jaq_json::{Map, Num, Val};

use super::value::Value;

/// Of a text that is read by a filter; a body has 64 at most.
const MAX_DEPTH: u16 = 128;
/// Digits of an integer that is calculated with exactly; longer ones are calculated with as floating-point numbers.
const MAX_DIGITS: usize = 100;

/// Bytes of memory that what is read may take. Ordinary events of 10 MiB take less; made of `{"":0}` they would take 400 MiB.
const ROOM: usize = 80 << 20;
/// What a value takes at most where it lies, the list that holds it being moved as it grows.
const PLACE: usize = 64;
/// What its own memory takes, beside its contents.
const OWN: usize = 64;
/// What an object takes with its first member, and each member of it.
const OBJECT: usize = 256;
const MEMBER: usize = 128;

/// The one value that `json` is, or nothing if it is no JSON, nested too deeply, or takes too much memory.
pub(super) fn read(json: &Bytes) -> Option<Value> {
    let mut reader = Reader { json, at: 0, deepest: 0, room: ROOM };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == json.len()).then(|| Value::read(value, json.len(), reader.deepest))
}

struct Reader<'a> {
    json: &'a Bytes,
    at: usize,
    deepest: u16,
    /// Bytes of memory that are left.
    room: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: u16) -> Option<Val> {
        self.space();
        self.pay(PLACE)?;
        match self.peek()? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string(),
            b't' => self.word("true", Val::Bool(true)),
            b'f' => self.word("false", Val::Bool(false)),
            b'n' => self.word("null", Val::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u16) -> Option<Val> {
        let mut map = Map::default();
        self.open(depth)?;
        while self.next_item(b'}', map.is_empty())? {
            self.pay(if map.is_empty() { OBJECT } else { MEMBER })?;
            self.space();
            let name = if self.peek()? == b'"' { self.string()? } else { return None };
            self.space();
            self.take(b':')?;
            map.insert(name, self.value(depth)?);
        }
        Some(Val::obj(map))
    }

    fn array(&mut self, depth: u16) -> Option<Val> {
        let mut array = Vec::new();
        self.open(depth)?;
        while self.next_item(b']', array.is_empty())? {
            array.push(self.value(depth)?);
        }
        Some(array.into_iter().collect())
    }

    fn open(&mut self, depth: u16) -> Option<()> {
        self.at += 1;
        self.pay(OWN)?;
        self.deepest = self.deepest.max(depth);
        (depth <= MAX_DEPTH).then_some(())
    }

    /// Whether there is another item, a comma before it or the closing bracket being read.
    fn next_item(&mut self, close: u8, is_first: bool) -> Option<bool> {
        self.space();
        if self.peek()? == close {
            self.at += 1;
            return Some(false);
        }
        if !is_first {
            self.take(b',')?;
        }
        Some(true)
    }

    fn string(&mut self) -> Option<Val> {
        self.at += 1;
        self.pay(OWN)?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => return self.escaped(start),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(Val::utf8_str(self.json.slice(start..self.at - 1)))
    }

    /// The rest of a string, from its first escape on.
    fn escaped(&mut self, start: usize) -> Option<Val> {
        let mut text = self.json[start..self.at].to_vec();
        let mut paid = 0;
        loop {
            if text.len() > paid {
                // It doubles as it grows.
                self.pay(2 * (text.len() - paid) + OWN)?;
                paid = 2 * text.len() + OWN;
            }
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(Val::utf8_str(text)),
                b'\\' => text.extend_from_slice(self.escape()?.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => text.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code_unit()?;
                let after = self.at;
                let second = if self.json[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    self.code_unit()
                } else {
                    None
                };
                let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
                let is_pair = pair.is_some_and(|char| char > '\u{ffff}');
                if !is_pair {
                    self.at = after;
                }
                pair.filter(|_| is_pair).or_else(|| char::from_u32(first.into())).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(other),
        })
    }

    fn code_unit(&mut self) -> Option<u16> {
        let digits = std::str::from_utf8(self.json.get(self.at..self.at + 4)?).ok()?;
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<Val> {
        let rest = &self.json[self.at..];
        let length = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let text = std::str::from_utf8(&rest[..length]).ok()?;
        self.at += length;
        // As an integer, minus nought would lose its sign.
        let is_integer = text != "-0" && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let number = if is_integer && length <= MAX_DIGITS { Num::from_str_radix(text, 10) } else { None };
        if number.is_none() {
            self.pay(OWN + length)?;
            // What Rust reads as a number and JSON does not have, such as `1.` or `.5`, does no harm.
            text.parse::<f64>().ok()?;
        }
        Some(Val::Num(number.unwrap_or_else(|| Num::Dec(text.to_owned().into()))))
    }

    fn pay(&mut self, bytes: usize) -> Option<()> {
        self.room = self.room.checked_sub(bytes)?;
        Some(())
    }

    fn word(&mut self, word: &str, value: Val) -> Option<Val> {
        let is_there = self.json[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_there.then_some(value)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek()? == byte;
        self.at += 1;
        is_there.then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::write;
    use super::*;

    fn rewritten(json: &str) -> Option<String> {
        read(&Bytes::copy_from_slice(json.as_bytes())).map(|value| write::text(&value))
    }

    #[test]
    fn spellings_and_odd_texts_survive() {
        for (json, want) in [
            (
                r#" {"a" : [1e400, -0.10, -0, 123456789012345678901234567890, true,null]} "#,
                r#"{"a":[1e400,-0.10,-0,123456789012345678901234567890,true,null]}"#,
            ),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#""\ud83d\ude00\ud800\ud800x\n\u0000\/""#, "\"😀\u{FFFD}\u{FFFD}x\\n\\u0000/\""),
            (r#""\ud800\u0041""#, "\"\u{FFFD}A\""),
        ] {
            assert_eq!(rewritten(json).as_deref(), Some(want), "{json}");
        }
        let long = "9".repeat(100_000);
        assert_eq!(rewritten(&long), Some(long));
    }

    #[test]
    fn what_is_no_json_is_nothing() {
        for json in ["", "{", "[1,", "[1 2]", "{\"a\"}", "{1:2}", "tru", "\"a", "\"\\", "\"\\u12", "1 2", "--", "1e", "+"] {
            assert_eq!(rewritten(json), None, "{json}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(rewritten(&nested(128)).is_some());
        assert_eq!(rewritten(&nested(129)), None);
        assert_eq!(rewritten(&"[".repeat(1_000_000)), None);
    }

    proptest! {
        #[test]
        fn reading_agrees_with_serde_json(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\":,0 1e.-\\u\\n\"tnullrue"[..]), 0..40), text: String, number: i64) {
            let json = Bytes::from(bytes);
            if let Ok(want) = serde_json::from_slice::<serde_json::Value>(&json) {
                let got = write::text(&read(&json).unwrap());
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&got).unwrap(), want);
            } else {
                let _ = read(&json);
            }
            let want = serde_json::json!({ &text: [&text, number] });
            let got = rewritten(&want.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&got).unwrap(), want);
        }
    }
}

//! JSON that travels inside a string of JSON, as it is or as base64.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::content::is_text;
use super::json::{self, Fault, Scanner, Text};
use super::writer::{from_base64, string_len};
use super::{element, key};

/// A string in every event that holds JSON itself, such as `base64 .message.data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrap {
    is_base64: bool,
    /// Names of members, from the event inwards; at least one.
    path: Vec<String>,
}

/// Not the place of a string that holds JSON.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not say what to unwrap: write \"json .Message\", or \"base64 .message.data\" where the string is base64")]
pub struct InvalidUnwrap(String);

impl FromStr for Unwrap {
    type Err = InvalidUnwrap;

    fn from_str(text: &str) -> Result<Self, InvalidUnwrap> {
        let invalid = || InvalidUnwrap(text.into());
        let (encoding, path) = text.split_once(' ').ok_or_else(invalid)?;
        let is_base64 = match encoding {
            "base64" => true,
            "json" => false,
            _ => return Err(invalid()),
        };
        let path: Vec<String> = path.trim().strip_prefix('.').ok_or_else(invalid)?.split('.').map(str::to_owned).collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains([' ', '[', ']', '"']);
        if path.iter().all(is_name) { Ok(Self { is_base64, path }) } else { Err(invalid()) }
    }
}

/// As configured.
impl fmt::Display for Unwrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} .{}", if self.is_base64 { "base64" } else { "json" }, self.path.join("."))
    }
}

/// The body with the strings that `rules` name replaced by what they hold, each rule looking at what the one before left.
/// All else stays to the byte. Where a string cannot be read it is left as it was, and `warnings` say so.
///
/// A body that is no JSON is left alone: why it is refused is said elsewhere.
pub(super) fn apply(mut body: Bytes, rules: &[Unwrap], max: usize, warnings: &mut Vec<Cow<'static, str>>) -> Bytes {
    if rules.is_empty() || root(&body).is_err() {
        return body;
    }
    for rule in rules {
        if let Some(replaced) = rule.replace(&body, max, warnings) {
            body = replaced.into();
        }
    }
    body
}

/// The one value that the text is.
fn root(text: &[u8]) -> Result<&[u8], Fault> {
    let mut scanner = Scanner::new(text)?;
    let value = scanner.value(0)?;
    scanner.end().map(|()| value)
}

/// The objects that events are made of, and how many containers are open inside each.
fn events(root: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let whole = root.starts_with(b"{").then_some((root, 1));
    whole.into_iter().chain(json::elements(root).map(|element| (element, 2)))
}

impl Unwrap {
    /// The body with this rule applied; none if nothing changes.
    fn replace(&self, body: &[u8], max: usize, warnings: &mut Vec<Cow<'static, str>>) -> Option<Vec<u8>> {
        let root = root(body).ok()?;
        let mut out = Vec::new();
        let mut done = 0;
        for (index, (event, open)) in events(root).enumerate() {
            let Some(string) = self.find(event) else { continue };
            let start = string.as_ptr().addr() - body.as_ptr().addr();
            // What is put in is seldom longer than what it replaces.
            out.reserve(if out.is_empty() { body.len() } else { 0 });
            out.extend_from_slice(&body[done..start]);
            done = start;
            let room = max.saturating_sub(out.len() + body.len() - start - string.len());
            match self.read(string, open + self.path.len() - 1, room, &mut out) {
                Ok(true) => done += string.len(),
                Ok(false) => {}
                Err(what) => warn(warnings, self, what, root.starts_with(b"[").then_some(index)),
            }
        }
        out.extend_from_slice(&body[done..]);
        (out != body).then_some(out)
    }

    /// The string that the path leads to, as spelled.
    fn find<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        let value = self.path.iter().try_fold(event, |value, segment| key::step(value, segment))?;
        value.starts_with(b"\"").then_some(value)
    }

    /// Appends what a string holds, if that is at most `room` bytes; false if it is to stay as it is. `outer` containers are
    /// open around it.
    fn read(&self, string: &[u8], outer: usize, room: usize, out: &mut Vec<u8>) -> Result<bool, &'static str> {
        let start = out.len();
        let text = Text::of(string).ok_or("is not a string")?;
        let result = self.decode(text, out).and_then(|()| settle(start, outer, self.is_base64, room, out));
        if result != Ok(true) {
            out.truncate(start);
        }
        result
    }

    /// Appends what a string stands for.
    fn decode(&self, text: Text<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.is_base64 {
            return from_base64(&text.bytes(), out).ok_or("is not base64");
        }
        text.append_to(out);
        Ok(())
    }
}

/// Makes JSON of what was decoded to the end of `out`: an object or an array as it is, and text, if it was hidden, as a string.
fn settle(start: usize, outer: usize, was_hidden: bool, room: usize, out: &mut Vec<u8>) -> Result<bool, &'static str> {
    let problem = match container(&out[start..], outer) {
        Ok((from, to)) => {
            out.truncate(start + to);
            out.drain(start..start + from);
            return if to - from <= room { Ok(true) } else { Err(TOO_LARGE) };
        }
        Err(problem) => problem,
    };
    let decoded = &out[start..];
    if !was_hidden || !is_text(decoded) {
        return problem.map_or(Ok(false), Err);
    }
    let length = string_len(decoded);
    if length > room {
        return Err(TOO_LARGE);
    }
    let mut quoted = String::with_capacity(length);
    json::quote(&mut quoted, std::str::from_utf8(decoded).map_err(|_| "is not UTF-8")?);
    out.truncate(start);
    out.push(b'"');
    out.extend_from_slice(quoted.as_bytes());
    out.push(b'"');
    Ok(true)
}

const TOO_LARGE: &str = "is larger than max_body once it is read";

/// Where in the text the object or array stands that it is; an error inside if it only begins like one.
fn container(text: &[u8], outer: usize) -> Result<(usize, usize), Option<&'static str>> {
    let mut scanner = Scanner::new(text).map_err(|_| None)?;
    if !matches!(scanner.peek(), Some(b'{' | b'[')) {
        return Err(None);
    }
    let from = text.len() - scanner.rest().len();
    let read = scanner.value(outer).map(<[u8]>::len).and_then(|length| scanner.end().map(|()| length));
    match read {
        Ok(length) => Ok((from, from + length)),
        Err(fault) if fault.is_too_deep() => Err(Some("holds JSON that would be nested too deeply")),
        Err(_) => Err(Some("begins like JSON and is none")),
    }
}

/// Says it once for each rule: a batch may have the same trouble a thousand times.
fn warn(warnings: &mut Vec<Cow<'static, str>>, rule: &Unwrap, what: &str, index: Option<usize>) {
    let path = format!(".{}", rule.path.join("."));
    if warnings.iter().all(|warning| !warning.contains(&format!("{path} "))) {
        let place = index.map(|index| format!("{}: ", element(index))).unwrap_or_default();
        warnings.push(format!("{place}{path} {what}; it was left as it was").into());
    }
}

#[cfg(test)]
mod tests;

//! Forms as `multipart/form-data` (RFC 7578): browsers and mail services post files so.
//!
//! Read here, from the whole body in memory: the well-kept parsers of this format are made for bodies that arrive bit by bit,
//! and copy what they hand out.

mod header;

use bytes::Bytes;
use memchr::memmem::Finder;

use self::header::{Disposition, parameter};
use super::fields::{self, Field, File, Value};
use super::form::begins_like_json;
use super::{IntakeError, element};

/// Real forms have tens of parts. Each costs memory beyond its own bytes, so there is a bound.
const MAX_PARTS: usize = 1_000;

/// Bytes of a part's headers. They hold a name or two and a type.
const MAX_HEADER: usize = 8 * 1024;

/// RFC 2046, 5.1.1.
const MAX_BOUNDARY: usize = 70;

/// Whether the `Content-Type` says that the body is such a form.
pub(super) fn is_multipart(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// The JSON that a form stands for, as of any other form. Of a file part its name, type and size are kept.
///
/// # Errors
/// `Malformed` if the parts cannot be told apart or are too many, `TooLarge` if the object has more than `max` bytes.
pub(super) fn to_json(body: Bytes, content_type: Option<&str>, max: usize) -> Result<Bytes, IntakeError> {
    if begins_like_json(&body) {
        return Ok(body);
    }
    if body.trim_ascii().is_empty() {
        return Err(IntakeError::malformed("the body is empty"));
    }
    let boundary = content_type.and_then(|value| parameter(value.as_bytes(), "boundary"));
    let boundary = boundary.filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()));
    let boundary = boundary.ok_or_else(|| IntakeError::malformed("multipart/form-data without a boundary in the Content-Type"))?;
    let delimiter = [b"--", &*boundary].concat();
    let fields = read_fields(&body, &Finder::new(&delimiter))?;
    match fields::payload(&fields) {
        Some(payload) => Ok(body.slice_ref(payload)),
        None => fields::to_object(&fields, max),
    }
}

fn read_fields<'a>(body: &'a [u8], delimiter: &Finder<'_>) -> Result<Vec<Field<'a>>, IntakeError> {
    let mut fields = Vec::new();
    let begin = next_delimiter(body, delimiter).ok_or_else(|| IntakeError::malformed("a multipart body without its boundary"))?;
    let (mut rest, mut is_last) = (begin.after, begin.is_last);
    while !is_last {
        if fields.len() == MAX_PARTS {
            return Err(IntakeError::malformed(format!("a multipart body of more than {MAX_PARTS} parts")));
        }
        let part = next_delimiter(rest, delimiter).ok_or_else(|| IntakeError::malformed("a multipart body that ends within a part"));
        let part = part.map_err(|error| error.at(|| element(fields.len())))?;
        fields.push(field(part.before).map_err(|error| error.at(|| element(fields.len())))?);
        (rest, is_last) = (part.after, part.is_last);
    }
    if fields.is_empty() { Err(IntakeError::malformed("a form without fields")) } else { Ok(fields) }
}

/// A line that parts two parts, or is behind the last one.
struct Delimiter<'a> {
    /// What stands before it, the line break that belongs to it left out.
    before: &'a [u8],
    after: &'a [u8],
    is_last: bool,
}

/// The next line that begins with the delimiter and has nothing behind it but the two hyphens of the last one.
///
/// Lines end in CRLF; a bare LF, as scripts write it, will do.
fn next_delimiter<'a>(text: &'a [u8], delimiter: &Finder<'_>) -> Option<Delimiter<'a>> {
    let mut from = 0;
    loop {
        let at = from + delimiter.find(&text[from..])?;
        let end = at + delimiter.needle().len();
        let before = if at == 0 { Some(&text[..0]) } else { text[..at].strip_suffix(b"\n") };
        if let Some(before) = before
            && let Some((after, is_last)) = end_of_delimiter(&text[end..])
        {
            return Some(Delimiter { before: before.strip_suffix(b"\r").unwrap_or(before), after, is_last });
        }
        from = end;
    }
}

/// What follows the delimiter's line, and whether it was the last one; none if other text is on it.
fn end_of_delimiter(text: &[u8]) -> Option<(&[u8], bool)> {
    if let Some(after) = text.strip_prefix(b"--") {
        return Some((after, true));
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let text = &text[blanks..];
    let after = text.strip_prefix(b"\r\n").or_else(|| text.strip_prefix(b"\n"))?;
    Some((after, false))
}

/// One part: headers, an empty line, the content.
fn field(part: &[u8]) -> Result<Field<'_>, IntakeError> {
    let mut disposition = Disposition::default();
    let mut content_type = None;
    let mut rest = part;
    while let Some((line, after)) = next_line(rest) {
        if part.len() - after.len() > MAX_HEADER {
            return Err(IntakeError::malformed(format!("a part with headers of more than {MAX_HEADER} bytes")));
        }
        rest = after;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-disposition") {
            disposition = Disposition::read(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            content_type = Some(value);
        }
    }
    let value = match disposition.filename {
        Some(name) => Value::File(File { name, content_type, size: rest.len() }),
        None => Value::Text(rest),
    };
    Ok(Field { name: disposition.name, value })
}

/// The first line and what follows its end; none if nothing is left.
fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', text);
    let (line, after) = text.split_at(end.unwrap_or(text.len()));
    Some((line.strip_suffix(b"\r").unwrap_or(line), after.strip_prefix(b"\n").unwrap_or(after)))
}

#[cfg(test)]
mod tests;

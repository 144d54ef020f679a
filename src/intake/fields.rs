//! The fields of a form, however it was encoded, and the JSON they stand for.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::writer::{Writer, string_len};
use super::{IntakeError, json};

/// The field whose JSON is the body. GitHub and Slack put theirs there.
const PAYLOAD: &[u8] = b"payload";

/// One field of a form.
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) value: Value<'a>,
}

pub(super) enum Value<'a> {
    Text(&'a [u8]),
    /// A file is described, its content is not kept.
    File(File<'a>),
}

pub(super) struct File<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) content_type: Option<&'a [u8]>,
    /// Bytes.
    pub(super) size: usize,
}

/// What a field called `payload` holds, if that is an object or an array.
pub(super) fn payload<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
    let texts = fields.iter().filter(|field| *field.name == *PAYLOAD).filter_map(|field| field.value.text());
    texts.into_iter().find(|text| json::is_container(text))
}

/// An object of the fields, in the order of their first appearance; one that is repeated becomes an array.
///
/// # Errors
/// `TooLarge` if it has more than `max` bytes.
pub(super) fn to_object(fields: &[Field<'_>], max: usize) -> Result<Bytes, IntakeError> {
    // Measured first: escapes can make six bytes of one. Around a name and a value stand at most four more: :[],
    let length = fields.iter().map(|field| string_len(&field.name) + field.value.len() + 4).sum::<usize>() + 2;
    let mut out = Writer::new(length, max);
    out.json("{")?;
    for (position, (name, values)) in groups(fields).iter().enumerate() {
        if position > 0 {
            out.json(",")?;
        }
        out.string(name)?;
        out.json(":")?;
        match values[..] {
            [value] => value.write(&mut out)?,
            _ => write_array(values, &mut out)?,
        }
    }
    out.json("}")?;
    Ok(out.finish())
}

fn write_array(values: &[&Value<'_>], out: &mut Writer) -> Result<(), IntakeError> {
    for (position, value) in values.iter().enumerate() {
        out.json(if position == 0 { "[" } else { "," })?;
        value.write(out)?;
    }
    out.json("]")
}

/// The fields' values by name. Names that are no UTF-8 are the same where they are written the same.
fn groups<'f>(fields: &'f [Field<'_>]) -> Vec<(&'f [u8], Vec<&'f Value<'f>>)> {
    let mut groups: Vec<(&[u8], Vec<&Value<'_>>)> = Vec::new();
    let mut positions = HashMap::new();
    for field in fields {
        let name = &*field.name;
        let position = *positions.entry(String::from_utf8_lossy(name)).or_insert(groups.len());
        if position == groups.len() {
            groups.push((name, Vec::new()));
        }
        groups[position].1.push(&field.value);
    }
    groups
}

impl<'a> Value<'a> {
    fn text(&self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::File(_) => None,
        }
    }

    /// About what [`Self::write`] appends; never less.
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => string_len(text),
            // Names, punctuation and twenty digits.
            Self::File(file) => string_len(&file.name) + file.content_type.map_or(0, string_len) + 64,
        }
    }

    fn write(&self, out: &mut Writer) -> Result<(), IntakeError> {
        let file = match self {
            Self::Text(text) => return out.string(text),
            Self::File(file) => file,
        };
        out.json("{\"filename\":")?;
        out.string(&file.name)?;
        if let Some(content_type) = file.content_type {
            out.json(",\"content_type\":")?;
            out.string(content_type)?;
        }
        out.json(&format!(",\"size\":{}}}", file.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(name: &'a str, value: &'a str) -> Field<'a> {
        Field { name: name.as_bytes().into(), value: Value::Text(value.as_bytes()) }
    }

    fn file<'a>(name: &'a str, file: &'a str, content_type: Option<&'a str>) -> Field<'a> {
        let content_type = content_type.map(str::as_bytes);
        Field { name: name.as_bytes().into(), value: Value::File(File { name: file.as_bytes().into(), content_type, size: 7 }) }
    }

    #[test]
    fn files_are_described_beside_texts() {
        let fields = [text("a", "1"), file("f", "x\".txt", Some("text/plain")), text("a", "2"), file("f", "", None)];
        assert_eq!(
            to_object(&fields, 1_000).unwrap(),
            r#"{"a":["1","2"],"f":[{"filename":"x\".txt","content_type":"text/plain","size":7},{"filename":"","size":7}]}"#
        );
        assert_eq!(to_object(&[], 1_000).unwrap(), "{}");
        assert_eq!(to_object(&fields, 80), Err(IntakeError::TooLarge));
    }

    #[test]
    fn a_file_is_no_payload() {
        assert_eq!(payload(&[file("payload", "{}", None), text("payload", "5"), text("payload", "[]")]), Some(&b"[]"[..]));
        assert_eq!(payload(&[file("payload", "{}", None), text("payload", "5"), text("Payload", "{}")]), None);
    }
}

//! XML, and the JSON it stands for.
//!
//! An element with neither attributes nor elements in it is a string, its text. Any other is an object: attributes under
//! `@name`, text under `#text`, elements under their names, those that share one in an array. Names keep their prefixes. The
//! body is an object whose one member is the root element.

mod parser;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::IntakeError;
use super::writer::Writer;

/// Its name and value.
type Attribute<'a> = (&'a str, Cow<'a, str>);

/// One element, read.
#[derive(Debug)]
struct Element<'a> {
    name: &'a str,
    attributes: Vec<Attribute<'a>>,
    children: Vec<Self>,
    text: Cow<'a, str>,
}

/// The JSON of an XML document.
///
/// # Errors
/// `Malformed` if it is none, or one that is not read: with a document type, in another encoding than UTF-8; `TooLarge` if the
/// JSON has more than `max` bytes.
pub(super) fn to_object(body: &[u8], max: usize) -> Result<Bytes, IntakeError> {
    let root = parser::parse(body)?;
    // JSON is seldom longer than XML: only attributes are, a little.
    let mut out = Writer::new(body.len() / 8 * 9 + 64, max);
    out.json("{")?;
    out.string(root.name.as_bytes())?;
    out.json(":")?;
    root.write(&mut out)?;
    out.json("}")?;
    Ok(out.finish())
}

impl Element<'_> {
    /// Recurses as deep as elements were let nest.
    fn write(&self, out: &mut Writer) -> Result<(), IntakeError> {
        if self.attributes.is_empty() && self.children.is_empty() {
            return out.string(self.text.as_bytes());
        }
        let mut separator = "{";
        for (name, value) in &self.attributes {
            write_name(&format!("@{name}"), &mut separator, out)?;
            out.string(value.as_bytes())?;
        }
        if !self.text.is_empty() {
            write_name("#text", &mut separator, out)?;
            out.string(self.text.as_bytes())?;
        }
        for (name, elements) in self.groups() {
            write_name(name, &mut separator, out)?;
            match elements[..] {
                [element] => element.write(out)?,
                _ => write_array(&elements, out)?,
            }
        }
        out.json("}")
    }

    /// The elements in it by name, in the order of their first appearance.
    fn groups(&self) -> Vec<(&str, Vec<&Self>)> {
        let mut groups: Vec<(&str, Vec<&Self>)> = Vec::new();
        let mut positions = HashMap::new();
        for child in &self.children {
            let position = *positions.entry(child.name).or_insert(groups.len());
            if position == groups.len() {
                groups.push((child.name, Vec::new()));
            }
            groups[position].1.push(child);
        }
        groups
    }
}

fn write_name(name: &str, separator: &mut &str, out: &mut Writer) -> Result<(), IntakeError> {
    out.json(separator)?;
    *separator = ",";
    out.string(name.as_bytes())?;
    out.json(":")
}

fn write_array(elements: &[&Element<'_>], out: &mut Writer) -> Result<(), IntakeError> {
    let mut separator = "[";
    for element in elements {
        out.json(separator)?;
        separator = ",";
        element.write(out)?;
    }
    out.json("]")
}

#[cfg(test)]
mod tests;

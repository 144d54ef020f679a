//! From the text of a document to its root element.

use std::borrow::Cow;
use std::collections::HashSet;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::{Error, Reader, XmlVersion};

use super::super::IntakeError;
use super::super::json::{MAX_DEPTH, Place};
use super::{Attribute, Element};

/// Elements and attributes of a document. Each costs a hundred bytes or more while it is read, however short it was: this many
/// cost about as much as the largest body that is let in by default.
const MAX_NODES: usize = 50_000;

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// The root element of the document.
pub(super) fn parse(body: &[u8]) -> Result<Element<'_>, IntakeError> {
    let text = std::str::from_utf8(body).map_err(|_| IntakeError::malformed(ONLY_UTF_8))?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut parser = Parser { text, at: 0, reader: Reader::from_str(text), nodes: 0, open: Vec::new(), root: None };
    while parser.step()? {}
    parser.root.take().ok_or_else(|| parser.refused("XML without an element"))
}

const ONLY_UTF_8: &str = "XML in another encoding than UTF-8";

struct Parser<'a> {
    text: &'a str,
    /// Where the event began that is being looked at.
    at: usize,
    reader: Reader<&'a [u8]>,
    nodes: usize,
    /// From the root inwards.
    open: Vec<Open<'a>>,
    root: Option<Element<'a>>,
}

/// An element whose end was not read yet.
struct Open<'a> {
    element: Element<'a>,
    /// Where its text behind the last element in it begins.
    run: usize,
}

impl<'a> Parser<'a> {
    /// Reads on; false at the end.
    fn step(&mut self) -> Result<bool, IntakeError> {
        self.at = position(self.reader.buffer_position());
        match self.reader.read_event().map_err(|error| self.ill_formed(&error))? {
            Event::Start(tag) => self.start(&tag)?,
            Event::Empty(tag) => {
                self.start(&tag)?;
                self.end()?;
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => self.append(text.into_inner())?,
            Event::CData(text) => self.append(text.into_inner())?,
            Event::GeneralRef(reference) => self.append(self.resolve(&reference)?)?,
            Event::DocType(_) => return Err(self.refused("a document type (DOCTYPE), which is not read")),
            Event::Decl(declaration) => self.declaration(&declaration)?,
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if self.open.is_empty() => return Ok(false),
            Event::Eof => return Err(self.refused("the end inside an element")),
        }
        Ok(true)
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), IntakeError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.refused("a second root element"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(self.refused(&format!("nesting deeper than {MAX_DEPTH} levels")));
        }
        self.count_node()?;
        // The tag itself lends nothing that outlives it.
        let written = self.text.get(self.at + 1..).and_then(|rest| rest.get(..tag.len())).filter(|written| **written == **tag);
        let (name, attributes) = written.unwrap_or_default().split_at_checked(tag.name().as_ref().len()).unwrap_or_default();
        if name.is_empty() {
            return Err(self.refused("a tag without a name"));
        }
        let attributes = self.attributes(attributes)?;
        if let Some(parent) = self.open.last_mut() {
            parent.end_run();
        }
        self.open.push(Open { element: Element { name, attributes, children: Vec::new(), text: Cow::Borrowed("") }, run: 0 });
        Ok(())
    }

    fn end(&mut self) -> Result<(), IntakeError> {
        let Some(mut open) = self.open.pop() else { return Err(self.refused("an end tag without a start tag")) };
        if !open.element.children.is_empty() {
            open.end_run();
        }
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(open.element),
            None => self.root = Some(open.element),
        }
        Ok(())
    }

    fn attributes(&mut self, text: &'a str) -> Result<Vec<Attribute<'a>>, IntakeError> {
        let mut attributes = Vec::new();
        let mut names = HashSet::new();
        // Its own check compares every attribute with every other.
        for attribute in Attributes::new(text, 0).with_checks(false) {
            self.count_node()?;
            let attribute = attribute.map_err(|_| self.refused("an attribute that is none"))?;
            let name = attribute.key.into_inner();
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| self.refused(ENTITY))?;
            if !names.insert(name) {
                return Err(self.refused("two attributes of the same name"));
            }
            attributes.push((name, value));
        }
        Ok(attributes)
    }

    fn count_node(&mut self) -> Result<(), IntakeError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(self.refused(&format!("more than {MAX_NODES} elements and attributes"))) } else { Ok(()) }
    }

    fn append(&mut self, text: Cow<'a, str>) -> Result<(), IntakeError> {
        let text = normalised(text);
        let Some(open) = self.open.last_mut() else {
            let is_space = text.chars().all(is_space);
            return if is_space { Ok(()) } else { Err(self.refused("text outside the root element")) };
        };
        if open.element.text.is_empty() {
            open.element.text = text;
        } else {
            open.element.text.to_mut().push_str(&text);
        }
        Ok(())
    }

    fn resolve(&self, reference: &BytesRef<'_>) -> Result<Cow<'a, str>, IntakeError> {
        let named = resolve_predefined_entity(reference).map(Cow::Borrowed);
        let char = || reference.resolve_char_ref().ok().flatten().map(|char| Cow::Owned(char.into()));
        named.or_else(char).ok_or_else(|| self.refused(ENTITY))
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), IntakeError> {
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(encoding)) if ["utf-8", "utf8", "us-ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) => Ok(()),
            Some(_) => Err(self.refused(ONLY_UTF_8)),
        }
    }

    /// That the document is refused for what is being looked at.
    fn refused(&self, what: &str) -> IntakeError {
        refused(what, self.text, self.at)
    }

    fn ill_formed(&self, error: &Error) -> IntakeError {
        let what = match error {
            Error::IllFormed(_) => "a tag that does not fit, or an entity that does not end",
            Error::Syntax(_) => "a tag, comment or section that does not end",
            _ => "what is not XML",
        };
        refused(what, self.text, position(self.reader.error_position()))
    }
}

const ENTITY: &str = "an entity other than &amp; &lt; &gt; &quot; &apos; and numbers";

fn refused(what: &str, text: &str, at: usize) -> IntakeError {
    IntakeError::malformed(format!("in the XML: {what} at {}", Place::of(text.as_bytes(), at.min(text.len()))))
}

/// Within a body that is in memory.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Open<'_> {
    /// Drops white space that only parts an element's elements.
    fn end_run(&mut self) {
        let text = &mut self.element.text;
        if text[self.run..].chars().all(is_space) {
            match text {
                Cow::Borrowed(text) => *text = &text[..self.run],
                Cow::Owned(text) => text.truncate(self.run),
            }
        }
        self.run = text.len();
    }
}

/// XML 1.0, 2.3.
fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

/// With line breaks as XML has them (XML 1.0, 2.11).
fn normalised(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text }
}

//! Single members of a JSON body, read without making a tree of it.
//!
//! A signature that sits in the body is the one reason to look into the body of somebody who was not let in yet. The text is
//! passed over once, iteratively and without keeping any of it but the member itself.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::notation::InvalidNotation;

/// Nobody hides a signature deeper; each level costs a little of the stack.
const MAX_STEPS: usize = 8;
/// Microsoft Graph, the one sender with one secret per item, sends hundreds of items at most.
const MAX_VALUES: usize = 10_000;

/// Where something is in a JSON body: `.signature.token`, or `.value[].clientState` for one in each element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Each,
}

impl JsonPath {
    /// Whether it may name several values.
    pub(super) fn is_plural(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// What the values are called, unless they are elements of a list.
    pub(super) fn last_name(&self) -> Option<&str> {
        if let Some(Step::Member(name)) = self.0.last() { Some(name) } else { None }
    }

    /// The texts of all values at the path: strings as what they mean, numbers as they are spelled.
    ///
    /// None if the body is no JSON, if what stands there is anything but a string or a number, or if a member on the way
    /// stands in its object twice: then another reader may see another value. An empty list if the member is not there.
    pub(super) fn read(&self, body: &[u8]) -> Option<Vec<String>> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let mut found = Vec::new();
        let mut reader = serde_json::Deserializer::from_slice(body);
        Walk { steps: &self.0, found: &mut found }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(found)
    }

    /// The one value at the path.
    pub(super) fn read_one(&self, body: &[u8]) -> Option<String> {
        let mut found = self.read(body)?;
        if found.len() == 1 { found.pop() } else { None }
    }
}

impl FromStr for JsonPath {
    type Err = InvalidNotation;

    fn from_str(text: &str) -> Result<Self, InvalidNotation> {
        let invalid = || InvalidNotation::JsonPath(text.to_owned());
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('.').ok_or_else(invalid)?;
        loop {
            let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '$' | '@' | ':');
            let end = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Member(rest[..end].to_owned()));
            } else if !(steps.is_empty() && rest.starts_with("[]")) {
                return Err(invalid());
            }
            rest = &rest[end..];
            while let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Each);
                rest = after;
            }
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix('.').ok_or_else(invalid)?;
        }
        if steps.len() > MAX_STEPS { Err(invalid()) } else { Ok(Self(steps)) }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Each if index == 0 => f.write_str(".[]")?,
                Step::Each => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

/// Follows the rest of a path into the next value.
struct Walk<'p, 'f> {
    steps: &'p [Step],
    found: &'f mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.steps.first() {
            None => {
                let raw = <&RawValue>::deserialize(deserializer)?;
                self.found.push(scalar(raw).ok_or_else(|| D::Error::custom("neither string nor number"))?);
                if self.found.len() > MAX_VALUES { Err(D::Error::custom("too many values")) } else { Ok(()) }
            }
            Some(Step::Member(_)) => deserializer.deserialize_map(self),
            Some(Step::Each) => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the path leads to")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Member(name), rest)) = self.steps.split_first() else {
            return Err(A::Error::custom("an object where the path has an array"));
        };
        let mut is_found = false;
        while let Some(is_it) = map.next_key_seed(NameIs(name))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
            } else if std::mem::replace(&mut is_found, true) {
                return Err(A::Error::custom("a member stands there twice"));
            } else {
                map.next_value_seed(Walk { steps: rest, found: &mut *self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let rest = self.steps.get(1..).unwrap_or_default();
        let mut elements = 0;
        loop {
            let before = self.found.len();
            if seq.next_element_seed(Walk { steps: rest, found: &mut *self.found })?.is_none() {
                return Ok(());
            }
            elements += 1;
            // One element without the value would go unchecked among the others.
            if self.found.len() == before || elements > MAX_VALUES {
                return Err(A::Error::custom("an element without the value"));
            }
        }
    }
}

/// Whether a member's name is this one, however it is spelled.
struct NameIs<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for NameIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

fn scalar(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str::<Cow<'_, str>>(text).ok().map(Cow::into_owned),
        b'-' | b'0'..=b'9' => Some(text.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str, body: &str) -> Option<Vec<String>> {
        path.parse::<JsonPath>().unwrap().read(body.as_bytes())
    }

    #[test]
    fn paths_are_read_and_written_alike() {
        for path in [".a", ".a.b-c.d_e", ".value[].clientState", ".[]", ".[].a", ".a[][].b", ".$schema"] {
            assert_eq!(path.parse::<JsonPath>().unwrap().to_string(), path);
        }
        for path in ["", ".", "a", "..a", ".a.", ".a[", ".a[0]", ".a[]b", ".a b", ".a.[]", ".\u{e9}", ".a.b.c.d.e.f.g.h.i"] {
            assert!(path.parse::<JsonPath>().is_err(), "{path}");
        }
    }

    #[test]
    fn members_are_found_however_they_are_spelled() {
        assert_eq!(read(".a.b", r#"{"x":[{"a":1}],"a":{"b":"v","c":[]}}"#), Some(vec!["v".into()]));
        assert_eq!(read(".a", "\u{FEFF}{\"\\u0061\":\"\\u00e9\"}"), Some(vec!["é".into()]));
        assert_eq!(read(".t", r#"{"t":1700000000.250}"#), Some(vec!["1700000000.250".into()]));
        assert_eq!(read(".v[].s", r#"{"v":[{"s":"1"},{"s":"2","t":{}}]}"#), Some(vec!["1".into(), "2".into()]));
        assert_eq!(read(".a", r#"{"b":1}"#), Some(vec![]));
        assert_eq!(read(".v[].s", r#"{"v":[]}"#), Some(vec![]));
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_not_read() {
        for body in [
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":"1","\u0061":"2"}"#,
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":{}}"#,
            r#"{"a":["x"]}"#,
            r#"{"a":"1"} x"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"1""#,
            r#"["a"]"#,
            "",
        ] {
            assert_eq!(read(".a", body), None, "{body}");
        }
        assert_eq!(read(".v[].s", r#"{"v":[{"s":"1"},{}]}"#), None);
        assert_eq!(read(".v[].s", r#"{"v":{"s":"1"}}"#), None);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(r#"{{"x":{}{},"a":"1"}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(read(".a", &deep), Some(vec!["1".into()]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(body in prop::collection::vec(any::<u8>(), 0..60), path in "[.a\\[\\]]{0,10}") {
            if let Ok(path) = path.parse::<JsonPath>() {
                let _ = path.read(&body);
            }
        }

        #[test]
        fn the_value_is_the_one_serde_json_reads(value in any::<String>(), other in any::<i64>()) {
            let body = serde_json::json!({ "b": { "a": other }, "a": value }).to_string();
            prop_assert_eq!(read(".a", &body), Some(vec![value]));
            prop_assert_eq!(read(".b.a", &body), Some(vec![other.to_string()]));
        }
    }
}

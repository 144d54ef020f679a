//! Form bodies, `application/x-www-form-urlencoded`, as the URL standard (section 5.1) parses them.
//!
//! GitHub and Slack put their JSON into the field `payload`; Google Apps Script and `curl -d` call JSON a form.

use std::ops::Range;

use bytes::Bytes;

use super::IntakeError;
use super::escapes::hex_pair;
use super::fields::{self, Value};

/// Real forms have tens of fields. Each costs memory far beyond its two bytes, so there is a bound.
const MAX_FIELDS: usize = 10_000;

/// Whether the `Content-Type` says that the body is a form.
pub(super) fn is_form(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The JSON that a form stands for: itself if it is JSON after all (broken JSON too: the refusal says where it breaks off, while
/// a form of it would be stored as nonsense), its `payload` if that is, else an object of its fields.
///
/// Fields are in the order of their first appearance; one that is repeated becomes an array of strings.
///
/// # Errors
/// `Malformed` without any field or with too many, `TooLarge` if the object has more than `max` bytes.
pub(super) fn to_json(bytes: Bytes, max: usize) -> Result<Bytes, IntakeError> {
    if begins_like_json(&bytes) {
        return Ok(bytes);
    }
    if bytes.trim_ascii().is_empty() {
        return Err(IntakeError::malformed("the body is empty"));
    }
    let form = Form::decode(bytes)?;
    let fields = form.fields();
    match fields::payload(&fields) {
        Some(payload) => Ok(form.text.slice_ref(payload)),
        None => fields::to_object(&fields, max),
    }
}

/// Whether the first thing, after a byte order mark and white space, opens an object or an array. Forms escape both.
pub(super) fn begins_like_json(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A form with its escapes decoded.
struct Form {
    text: Bytes,
    /// Where names and values stand in the text.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Form {
    /// Decodes in place: what is decoded is never longer than what was sent.
    fn decode(bytes: Bytes) -> Result<Self, IntakeError> {
        let mut text = Vec::from(bytes);
        let mut fields = Vec::new();
        let (mut from, mut to) = (0, 0);
        while from < text.len() {
            let end = text[from..].iter().position(|&byte| byte == b'&').map_or(text.len(), |length| from + length);
            if from < end {
                if fields.len() == MAX_FIELDS {
                    return Err(IntakeError::malformed(format!("a form of more than {MAX_FIELDS} fields")));
                }
                let equals = text[from..end].iter().position(|&byte| byte == b'=').map_or(end, |length| from + length);
                let name = decode_in_place(&mut text, from..equals, to);
                let value = decode_in_place(&mut text, end.min(equals + 1)..end, name.end);
                to = value.end;
                fields.push((name, value));
            }
            from = end + 1;
        }
        if fields.is_empty() { Err(IntakeError::malformed("a form without fields")) } else { Ok(Self { text: text.into(), fields }) }
    }

    fn fields(&self) -> Vec<fields::Field<'_>> {
        let field = |(name, value): &(Range<usize>, Range<usize>)| fields::Field {
            name: self.text[name.clone()].into(),
            value: Value::Text(&self.text[value.clone()]),
        };
        self.fields.iter().map(field).collect()
    }
}

/// Moves `source` to `to`, which is not behind it, while decoding it; returns where it stands then.
fn decode_in_place(text: &mut [u8], source: Range<usize>, to: usize) -> Range<usize> {
    let (mut from, mut end) = (source.start, to);
    while from < source.end {
        let escaped = (text[from] == b'%').then(|| hex_pair(&text[from + 1..source.end])).flatten();
        text[end] = match (text[from], escaped) {
            (_, Some(byte)) => byte,
            (b'+', None) => b' ',
            (byte, None) => byte,
        };
        from += if escaped.is_some() { 3 } else { 1 };
        end += 1;
    }
    to..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::json;
    use super::*;

    fn json_of(form: &str) -> String {
        String::from_utf8(to_json(Bytes::copy_from_slice(form.as_bytes()), 1_000).unwrap().into()).unwrap()
    }

    #[test]
    fn the_content_type_is_compared_without_its_parameters() {
        for yes in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            " application/x-www-form-urlencoded ;",
        ] {
            assert!(is_form(Some(yes)), "{yes}");
        }
        for no in ["", "application/json", "multipart/form-data", "application/x-www-form-urlencoded2"] {
            assert!(!is_form(Some(no)), "{no}");
        }
        assert!(!is_form(None));
    }

    #[test]
    fn fields_become_an_object_in_the_order_of_first_appearance() {
        for (form, want) in [
            ("b=1&a=2", r#"{"b":"1","a":"2"}"#),
            ("a=1&b=2&a=3&a=", r#"{"a":["1","3",""],"b":"2"}"#),
            ("&&a&&=b&=c&", r#"{"a":"","":["b","c"]}"#),
            ("a=b=c", r#"{"a":"b=c"}"#),
            ("a+b=%41%2b+%26%3D%25", r#"{"a b":"A+ &=%"}"#),
            ("a=%&b=%4&c=%zz&d=%%41", r#"{"a":"%","b":"%4","c":"%zz","d":"%A"}"#),
            ("%61=1&a=2", r#"{"a":["1","2"]}"#),
            ("a=%22%5C%0A%00%C3%A9é", r#"{"a":"\"\\\n\u0000éé"}"#),
            ("a=%FFx%C3", "{\"a\":\"\u{FFFD}x\u{FFFD}\"}"),
            ("%AA=1&%FF=2", "{\"\u{FFFD}\":[\"1\",\"2\"]}"),
        ] {
            assert_eq!(json_of(form), want, "{form}");
        }
    }

    #[test]
    fn a_payload_that_is_json_is_the_body() {
        for (form, want) in [
            ("payload=%7B%22a%22%3A+1%7D", r#"{"a": 1}"#),
            ("x=1&payload=[{},+{}]&y=2", "[{}, {}]"),
            ("payload=no&payload={}", "{}"),
            ("payload=5", r#"{"payload":"5"}"#),
            ("payload={", r#"{"payload":"{"}"#),
            ("Payload={}", r#"{"Payload":"{}"}"#),
        ] {
            assert_eq!(json_of(form), want, "{form}");
        }
    }

    #[test]
    fn json_that_is_called_a_form_is_json() {
        for json in ["{\"a\":\"%41+&b=1\"}", " [1, 2] ", "\u{feff}{}"] {
            assert_eq!(json_of(json), json);
        }
        for broken in [&*"[".repeat(65), "{\"a\":1,}", "{\"a\":1", "[1"] {
            assert_eq!(json_of(broken), broken, "left for the refusal that says why");
        }
        assert_eq!(json_of("5"), r#"{"5":""}"#);
    }

    #[test]
    fn nothing_in_it_is_refused() {
        for form in ["", "  \r\n", "&", "&&"] {
            let result = to_json(Bytes::copy_from_slice(form.as_bytes()), 1_000);
            assert!(matches!(result, Err(IntakeError::Malformed { .. })), "{form:?}");
        }
    }

    #[test]
    fn fields_and_the_object_are_bounded() {
        assert!(to_json("a&".repeat(MAX_FIELDS).into(), 1_000_000).is_ok());
        assert!(matches!(to_json("a&".repeat(MAX_FIELDS + 1).into(), 1_000_000), Err(IntakeError::Malformed { .. })));
        let controls = || Bytes::from([b"a=".to_vec(), vec![1; 1_000]].concat());
        assert_eq!(to_json(controls(), 6_000), Err(IntakeError::TooLarge));
        assert!(to_json(controls(), 6_010).is_ok());
    }

    proptest! {
        #[test]
        fn agrees_with_form_urlencoded(form in "([ab]|%4|%41|%C3%A9|%ff|é|\\+|&|=|%|\"|\\{){0,30}") {
            let fields: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            if fields.is_empty() || form.trim().is_empty() || begins_like_json(form.as_bytes()) {
                return Ok(());
            }
            let object: serde_json::Map<String, Value> = serde_json::from_str(&json_of(&form)).unwrap();
            for (name, value) in &object {
                let values: Vec<&str> = fields.iter().filter(|field| field.0 == *name).map(|field| field.1.as_str()).collect();
                let want = if let [one] = values[..] { Value::from(one) } else { Value::from(values) };
                prop_assert_eq!(value, &want);
            }
            prop_assert!(fields.iter().all(|field| object.contains_key(&field.0)));
        }

        #[test]
        fn arbitrary_bytes_make_json_in_the_room_that_was_measured(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(json) = to_json(bytes.into(), 1_000) {
                prop_assert!(json.len() <= 1_000);
                prop_assert!(json::is_container(&json) || begins_like_json(&json));
            }
        }
    }
}

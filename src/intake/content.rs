//! Bodies that are no JSON, kept as what they are: text or bytes.

use bytes::Bytes;

use super::IntakeError;
use super::json::{Fault, Scanner};
use super::writer::{Writer, base64_len, string_len};

/// Whether the body is JSON that incidents can be made of: an object, or an array of objects.
pub(super) fn is_events(body: &[u8]) -> bool {
    let scan = || -> Result<bool, Fault> {
        let mut scanner = Scanner::new(body)?;
        if scanner.peek() == Some(b'{') {
            scanner.value(0)?;
        } else {
            scanner.begin(b'[')?;
            let mut is_first = true;
            while scanner.next_item(is_first, b']')? {
                scanner.space();
                if scanner.peek() != Some(b'{') {
                    return Ok(false);
                }
                scanner.value(1)?;
                is_first = false;
            }
        }
        scanner.end()?;
        Ok(true)
    };
    scan().unwrap_or(false)
}

/// An object of the body, `content` if it is text and `content_base64` if not, and its `content_type`.
///
/// # Errors
/// `TooLarge` if that has more than `max` bytes.
pub(super) fn to_object(body: &[u8], content_type: Option<&str>, max: usize) -> Result<Bytes, IntakeError> {
    let is_text = is_text(body);
    let length = if is_text { string_len(body) } else { base64_len(body) };
    let mut out = Writer::new(length + content_type.map_or(0, str::len) + 64, max);
    if is_text {
        out.member(b"content")?;
        out.string(body)?;
    } else {
        out.member(b"content_base64")?;
        out.base64(body)?;
    }
    if let Some(content_type) = content_type {
        out.member(b"content_type")?;
        out.string(content_type.as_bytes())?;
    }
    out.json("}")?;
    Ok(out.finish())
}

/// UTF-8 without a zero, which no text has and many other formats begin with.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(body: &[u8], content_type: Option<&str>) -> String {
        String::from_utf8(to_object(body, content_type, 1_000).unwrap().into()).unwrap()
    }

    #[test]
    fn objects_and_arrays_of_them_are_json() {
        for yes in ["{}", " {\"a\":[1]}\n", "\u{feff}{}", "[]", "[{}, {\"a\":1}]"] {
            assert!(is_events(yes.as_bytes()), "{yes}");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(64) + "1", "}".repeat(64));
        assert!(is_events(deep.as_bytes()) && !is_events(format!("[{deep}]").as_bytes()));
        for no in ["", "5", "\"{}\"", "[1]", "[{},1]", "[[]]", "{}x", "{\"a\":}", "[ALERT] disk full", "{{braces}}", "[{}", "null"] {
            assert!(!is_events(no.as_bytes()), "{no}");
        }
        assert!(!is_events(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn text_and_bytes_are_kept_with_their_type() {
        assert_eq!(
            object(b"Disk \"full\"\n", Some("text/plain; charset=utf-8")),
            r#"{"content":"Disk \"full\"\n","content_type":"text/plain; charset=utf-8"}"#
        );
        assert_eq!(object("é".as_bytes(), None), r#"{"content":"é"}"#);
        assert_eq!(object(b"", None), r#"{"content":""}"#);
        assert_eq!(object(b"\xff\xd8", Some("image/jpeg")), r#"{"content_base64":"/9g=","content_type":"image/jpeg"}"#);
        assert_eq!(object(b"a\0", None), r#"{"content_base64":"YQA="}"#);
        assert_eq!(to_object(&[b'"'; 500], None, 1_000), Err(IntakeError::TooLarge));
        assert_eq!(to_object(&[0; 750], None, 1_000), Err(IntakeError::TooLarge));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(body in prop_oneof![prop::collection::vec(any::<u8>(), 0..100), ".{0,40}".prop_map(String::into_bytes)]) {
            let object: serde_json::Value = serde_json::from_str(&object(&body, None)).unwrap();
            match object["content"].as_str() {
                Some(text) => prop_assert_eq!(text.as_bytes(), &body[..]),
                None => {
                    let mut decoded = Vec::new();
                    super::super::writer::from_base64(object["content_base64"].as_str().unwrap().as_bytes(), &mut decoded).unwrap();
                    prop_assert_eq!(decoded, body);
                }
            }
        }
    }
}

//! Secrets that travel inside a body: once compared they are no business of whoever keeps or shows the event.

use bytes::{Bytes, BytesMut};

/// The body with the text of every member `name` overwritten, byte by byte, so that it stays the JSON it was.
///
/// A name counts as what it means: whoever knows the secret may spell it with escapes, which the comparison understands too.
pub(super) fn mask(body: Bytes, name: &str) -> Bytes {
    let is_spelled_plainly = memchr::memmem::find(&body, name.as_bytes()).is_some();
    if !is_spelled_plainly && memchr::memchr(b'\\', &body).is_none() {
        return body;
    }
    let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let mut at = 0;
    while let Some(start) = memchr::memchr(b'"', &body[at..]) {
        let start = at + start;
        let end = start + 1 + string_length(&body[start + 1..]);
        at = (end + 1).min(body.len());
        if is_name(&body[start..at], name) {
            overwrite(&mut body[at..]);
        }
    }
    body.freeze()
}

/// Whether a string, with its quotes, means `name`.
fn is_name(string: &[u8], name: &str) -> bool {
    let Some(text) = string.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else { return false };
    // Each byte of a name takes six at most, and a text without escapes means itself.
    let is_short = text.len() <= name.len() * 6;
    text == name.as_bytes() || is_short && text.contains(&b'\\') && serde_json::from_slice::<String>(string).is_ok_and(|text| text == name)
}

/// How long a string is whose opening quote was read.
fn string_length(after: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &after[at..]) {
        at += found;
        if after[at] == b'"' {
            return at;
        }
        at = (at + 2).min(after.len());
    }
    after.len()
}

/// What follows a member's name, if it is a string.
fn overwrite(after: &mut [u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let colon = after.iter().take_while(|byte| blank(byte)).count();
    if after.get(colon) != Some(&b':') {
        return;
    }
    let quote = colon + 1 + after[colon + 1..].iter().take_while(|byte| blank(byte)).count();
    if after.get(quote) != Some(&b'"') {
        return;
    }
    let end = quote + 1 + string_length(&after[quote + 1..]);
    after[quote + 1..end].fill(b'*');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(body: &str) -> String {
        String::from_utf8(mask(Bytes::copy_from_slice(body.as_bytes()), "key").to_vec()).unwrap()
    }

    #[test]
    fn every_value_of_the_member_is_overwritten_and_nothing_else() {
        for (body, wanted) in [
            (r#"{"key":"s3cret"}"#, r#"{"key":"******"}"#),
            (r#"{"a":[{"key" :	"a\"b"},{"key":"c"}],"b":"key"}"#, r#"{"a":[{"key" :	"****"},{"key":"*"}],"b":"key"}"#),
            (r#"{"key":5,"other":"key","x":"\"key\":\"no\""}"#, r#"{"key":5,"other":"key","x":"\"key\":\"no\""}"#),
            (r#"{"keys":"a","a key":"b","key":""}"#, r#"{"keys":"a","a key":"b","key":""}"#),
            (
                r#"{"k\u0065y":"s","\u006b\u0065\u0079" : "t\"","k\\ey":"u","x":"\u006bey"}"#,
                r#"{"k\u0065y":"*","\u006b\u0065\u0079" : "***","k\\ey":"u","x":"\u006bey"}"#,
            ),
            ("\"key\"", "\"key\""),
            ("\"key\":\"cut\\", "\"key\":\"****"),
        ] {
            assert_eq!(masked(body), wanted);
        }
    }

    proptest! {
        #[test]
        fn the_rest_stays_as_it_is(secret in "\\PC{1,12}", other in "\\PC{0,12}") {
            let body = serde_json::json!({ "a": other, "key": secret, "z": [other] });
            let masked: serde_json::Value = serde_json::from_str(&masked(&body.to_string())).unwrap();
            prop_assert_eq!(&masked["a"], &body["a"]);
            prop_assert_eq!(&masked["z"], &body["z"]);
            prop_assert!(masked["key"].as_str().unwrap().bytes().all(|byte| byte == b'*'));
        }

        #[test]
        fn no_body_panics(body: Vec<u8>, tail: Vec<u8>) {
            let _ = mask([body, b"\"key\":\"".to_vec(), tail].concat().into(), "key");
        }
    }
}

//! Secrets that travel inside a body: once compared they are no business of whoever keeps or shows the event.

use bytes::{Bytes, BytesMut};

/// The body with the text of every member `name` overwritten, byte by byte, so that it stays the JSON it was.
///
/// A name that is spelled with escapes is not found; no sender spells its own so.
pub(super) fn mask(body: Bytes, name: &str) -> Bytes {
    let name = format!("\"{name}\"");
    let Some(first) = find(&body, name.as_bytes()) else { return body };
    let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let mut at = first;
    loop {
        let is_in_a_string = at > 0 && body[at - 1] == b'\\';
        at += name.len();
        if !is_in_a_string {
            overwrite(&mut body[at..]);
        }
        match find(&body[at..], name.as_bytes()) {
            Some(next) => at += next,
            None => return body.freeze(),
        }
    }
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
    let mut at = quote + 1;
    while at < after.len() && after[at] != b'"' {
        let length = if after[at] == b'\\' { 2 } else { 1 };
        let end = (at + length).min(after.len());
        after[at..end].fill(b'*');
        at = end;
    }
}

fn find(body: &[u8], name: &[u8]) -> Option<usize> {
    memchr::memmem::find(body, name)
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

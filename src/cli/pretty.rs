//! JSON laid out for reading, every token as it was sent: number spelling, key order, duplicate keys.

use std::io::{self, Write};

use super::terminal::visible_json;

/// Blanks a level.
const INDENT: usize = 2;

/// Writes valid JSON with one member or element a line, strings escaped for a terminal. No line break at the end.
pub(super) fn write(out: &mut impl Write, json: &str) -> io::Result<()> {
    let json = visible_json(json);
    let mut rest: &str = json.trim_ascii_start();
    let mut depth: usize = 0;
    while let Some(&first) = rest.as_bytes().first() {
        let (token, after) = rest.split_at(token_len(rest));
        rest = after.trim_ascii_start();
        out.write_all(token.as_bytes())?;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let closes_next = rest.starts_with(['}', ']']);
        match first {
            // Empty: stays on its line.
            b'{' | b'[' if closes_next => {}
            _ if closes_next => new_line(out, depth.saturating_sub(1))?,
            b'{' | b'[' | b',' => new_line(out, depth)?,
            b':' => out.write_all(b" ")?,
            _ => {}
        }
    }
    Ok(())
}

fn new_line(out: &mut impl Write, depth: usize) -> io::Result<()> {
    write!(out, "\n{:1$}", "", depth * INDENT)
}

/// Bytes of the token that `rest` begins with: a string, a mark, or all up to the next mark or blank.
fn token_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(b'"') => string_len(bytes),
        Some(b'{' | b'}' | b'[' | b']' | b',' | b':') => 1,
        _ => rest.find(|c: char| "{}[],:\" \t\n\r".contains(c)).unwrap_or(rest.len()),
    }
}

/// Up to and with the closing quote.
fn string_len(bytes: &[u8]) -> usize {
    let mut index = 1;
    while let Some(byte) = bytes.get(index) {
        index += match byte {
            b'"' => return index + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pretty(json: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_and_elements_get_their_lines() {
        assert_eq!(pretty(r#" {"a":[1,{"b":null}],"c":{ },"d":[ ]} "#), PRETTY);
    }

    const PRETTY: &str = r#"{
  "a": [
    1,
    {
      "b": null
    }
  ],
  "c": {},
  "d": []
}"#;

    #[test]
    fn tokens_stay_as_they_were_sent() {
        let json = r#"{"n":1e400,"n":100000000000000000000000000000,"s":"a\"{,:}\\","\u00e9":-0.0}"#;
        let shown = pretty(json);
        assert_eq!(shown.split_whitespace().collect::<String>(), json);
    }

    #[test]
    fn strings_cannot_drive_the_terminal() {
        assert_eq!(pretty("[\"\u{9b}\"]"), "[\n  \"\\u009b\"\n]");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![Just(serde_json::Value::Null), any::<i64>().prop_map(Into::into), any::<String>().prop_map(Into::into)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn means_the_same(value in any_json()) {
            let read: serde_json::Value = serde_json::from_str(&pretty(&value.to_string())).unwrap();
            prop_assert_eq!(read, value);
        }

        #[test]
        fn never_hangs_or_panics(text in ".{0,64}") {
            pretty(&text);
        }
    }
}

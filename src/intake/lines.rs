//! Objects one after the other: a line each (NDJSON, JSON Lines), with commas between them and no brackets (Oracle Responsys),
//! or with nothing between them.

use bytes::Bytes;

use super::json::{Fault, Scanner};
use super::{IntakeError, element};

/// The array of the objects that the text holds, each to the byte; the text itself if it is one object or an array.
///
/// # Errors
/// `Malformed` at the first thing that is no object, it says which element that is; `TooManyIncidents` if there are more than `max`.
pub(super) fn to_array(text: Bytes, max: usize) -> Result<Bytes, IntakeError> {
    let malformed = |fault: Fault| IntakeError::malformed(fault.describe(&text));
    let mut scanner = Scanner::new(&text).map_err(malformed)?;
    if scanner.peek() == Some(b'[') {
        return Ok(text);
    }
    // Alone it is a body like any other, with all 64 levels of nesting to itself.
    let first = object(&mut scanner, 0).map_err(|fault| malformed(fault).at(|| element(0)))?;
    let mut array = Vec::new();
    let mut count = 1;
    while has_next(&mut scanner) {
        if count == max {
            return Err(IntakeError::TooManyIncidents { max });
        }
        if array.is_empty() {
            array.reserve_exact(text.len() + 2);
            array.push(b'[');
            array.extend_from_slice(first);
        }
        array.push(b',');
        array.extend_from_slice(object(&mut scanner, 1).map_err(|fault| malformed(fault).at(|| element(count)))?);
        count += 1;
    }
    if array.is_empty() {
        return Ok(text);
    }
    array.push(b']');
    Ok(array.into())
}

fn object<'a>(scanner: &mut Scanner<'a>, outer: usize) -> Result<&'a [u8], Fault> {
    if scanner.peek() == Some(b'{') { scanner.value(outer) } else { Err(scanner.expected("an object")) }
}

/// Skips what stands between two objects. After a comma one must follow.
fn has_next(scanner: &mut Scanner<'_>) -> bool {
    scanner.space();
    let has_comma = scanner.skip(b',');
    scanner.space();
    has_comma || scanner.peek().is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json;
    use super::*;

    fn array(text: &str) -> Result<String, String> {
        let array = to_array(Bytes::copy_from_slice(text.as_bytes()), 10);
        array.map(|array| String::from_utf8(array.into()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_are_joined_as_they_are() {
        for (text, want) in [
            ("{\"a\":1}\n{\"a\":2}\n", r#"[{"a":1},{"a":2}]"#),
            ("\n \r\n{\"a\": 1e400 }\r\n\r\n{}\r\n  \n", r#"[{"a": 1e400 },{}]"#),
            ("{\"a\":1},{\"a\":2}", r#"[{"a":1},{"a":2}]"#),
            ("{} , {}\n,\n{}", "[{},{},{}]"),
            ("{}{}{}", "[{},{},{}]"),
            ("\u{feff}{\n}\n{}", "[{\n},{}]"),
        ] {
            assert_eq!(array(text).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn one_object_or_an_array_is_left_alone() {
        for text in ["{}", " {\"a\":\n1}\n\n", "\u{feff}{}", "[{},{}]", " [", "[]x"] {
            assert_eq!(array(text).unwrap(), text, "{text:?}");
        }
        let deepest = format!("{}{}", r#"{"a":"#.repeat(63) + "{", "}".repeat(64));
        assert_eq!(array(&deepest).unwrap(), deepest);
        assert!(array(&format!("{{}}\n{deepest}")).unwrap_err().contains("element 1 (counted from 0): nesting deeper than 64"));
    }

    #[test]
    fn objects_are_counted_while_they_are_read() {
        assert_eq!(array(&"{}".repeat(10)).unwrap().len(), 31);
        assert!(array(&("{}".repeat(11) + "nothing after it is looked at")).unwrap_err().starts_with("More than 10 incidents"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, want) in [
            ("{}\n5\n{}", "element 1 (counted from 0): expected an object, found '5' at line 2 column 1"),
            ("{}\n{}\n{\"a\"}", "element 2 (counted from 0): expected ':', found '}' at line 3 column 5"),
            ("{},{},", "element 2 (counted from 0): expected an object, found the end at line 1 column 7"),
            ("{},,{}", "element 1 (counted from 0): expected an object, found ',' at line 1 column 4"),
            ("{}\n[{}]", "element 1 (counted from 0): expected an object, found '[' at line 2 column 1"),
            ("{}\n{", "element 1 (counted from 0): expected a name in double quotes, found the end at line 2 column 2"),
            (",{}", "element 0 (counted from 0): expected an object, found ',' at line 1 column 1"),
            ("verify", "element 0 (counted from 0): expected an object, found 'v' at line 1 column 1"),
        ] {
            let error = array(text).unwrap_err();
            assert!(error.ends_with(want), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_object_is_kept_to_the_byte_and_nothing_else(
            objects in prop::collection::vec("\\{(\"[a-z\\\\n]{0,3}\" ?: ?(1e400|\\[ \\]|\"\u{e9},\\}\"))?[ \\t]?\\}".prop_filter("JSON", |text| json::is_container(text.as_bytes())), 2..8),
            separators in prop::collection::vec(prop::sample::select(&["\n", ",", "\r\n", " ,\n", "", "\n\n \n"][..]), 8),
        ) {
            let text: String = objects.iter().zip(&separators).map(|(object, separator)| format!("{object}{separator}")).collect();
            let text = text.trim_end_matches(['\n', ',', ' ', '\r']).to_owned();
            let array = array(&text).unwrap();
            prop_assert_eq!(&array, &format!("[{}]", objects.join(",")));
            let elements: Vec<_> = json::elements(array.as_bytes()).collect();
            prop_assert_eq!(elements, objects.iter().map(String::as_bytes).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_text_does_no_harm(text in "[{}\\[\\],\":\\\\\n a1]{0,40}") {
            if let Ok(array) = array(&text) {
                prop_assert!(array.len() <= text.len() * 3 / 2 + 2);
            }
        }
    }
}

//! Duplication keys: which value of an event says that it is the same event again.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::headers::{headers_json, shown_value};
use super::json::{self, Piece, Text};
use super::{Context, HEADERS};
use crate::incident::DuplicationKey;

/// A dotted path into `rawJson`, such as `alert.id`, `alerts.0.fingerprint` or `headers.x-github-delivery`.
///
/// A segment names a member of an object or, if it is a number, an element of an array, counted from 0. A top-level member
/// called like the whole path comes first, so that names with dots in them can be reached. Paths that begin with `headers`
/// look at the request's headers, which is what stands there in the incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath(String);

/// Not a path into `rawJson`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a dotted path: expected names joined by single dots, such as alert.id")]
pub struct InvalidKeyPath;

impl FromStr for KeyPath {
    type Err = InvalidKeyPath;

    fn from_str(text: &str) -> Result<Self, InvalidKeyPath> {
        if text.split('.').any(str::is_empty) { Err(InvalidKeyPath) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an event: made of the first of the rules' paths that is present in `raw`, an object that was scanned before.
///
/// The path is part of the key, so that equal values of different things differ. A number and a string that spell the same
/// are the same value.
pub(super) fn duplication_key(raw: &[u8], context: &Context<'_>) -> Option<DuplicationKey> {
    let Context { rules, headers, secret_header, .. } = *context;
    rules.duplication_key.iter().find_map(|KeyPath(path)| {
        let mut hash = Sha256::new();
        hash.update(path);
        hash.update([0]);
        match path.split_once('.') {
            None if path == HEADERS => hash.update(headers_json(headers, secret_header)),
            Some((HEADERS, name)) => hash.update(shown_value(headers, name, secret_header).filter(|value| !value.is_empty())?),
            _ => hash_value(&mut hash, resolve(raw, path)?),
        }
        hash.finalize().first_chunk().copied()
    })
}

/// The value at `path`, if it is present: `null` and an empty string identify nothing.
fn resolve<'a>(raw: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut whole = None;
    let mut value = None;
    // Of members with the same name the last one counts, as in Python and JavaScript.
    for member in json::members(raw) {
        if member.name.is(first) {
            value = Some(member.value);
        } else if member.name.is(path) {
            whole = Some(member.value);
        }
    }
    let walked = || rest.into_iter().flat_map(|rest| rest.split('.')).try_fold(value?, step);
    whole.filter(identifies).or_else(walked).filter(identifies)
}

fn identifies(value: &&[u8]) -> bool {
    *value != b"null" && *value != b"\"\""
}

/// The value one segment of a path further in.
pub(super) fn step<'a>(value: &'a [u8], segment: &str) -> Option<&'a [u8]> {
    if value.starts_with(b"[") {
        return json::elements(value).nth(segment.parse().ok()?);
    }
    json::members(value).filter(|member| member.name.is(segment)).last().map(|member| member.value)
}

fn hash_value(hash: &mut Sha256, value: &[u8]) {
    let Some(text) = Text::of(value) else { return hash.update(value) };
    for piece in text.pieces() {
        match piece {
            Piece::Plain(plain) => hash.update(plain),
            Piece::Char(char) => hash.update(char.encode_utf8(&mut [0; 4])),
            // As UTF-8 would spell it, so that different ones stay different.
            Piece::Lone(half) => hash.update([0xE0 | (half >> 12) as u8, 0x80 | (half >> 6 & 0x3F) as u8, 0x80 | (half & 0x3F) as u8]),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderMap, HeaderName};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{Accept, Rules};
    use super::*;

    fn key(paths: &[&str], raw: &str) -> Option<DuplicationKey> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-id", "a"), ("x-id", "b"), ("x.y", "c"), ("x-empty", ""), ("cookie", "s"), ("x-key", "s")] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let duplication_key = paths.iter().map(|path| path.parse().unwrap()).collect();
        let rules = Rules {
            incident_type: None,
            duplication_key,
            max_incidents: 1,
            max_body: 1,
            accept: Accept::Json,
            unwrap: Vec::new(),
            cloudevents: false,
            mapping: None,
        };
        let secret_header = Some(&HeaderName::from_static("x-key"));
        super::duplication_key(raw.as_bytes(), &Context { rules: &rules, headers: &headers, secret_header, query: None })
    }

    fn expected(path: &str, value: &str) -> Option<DuplicationKey> {
        Sha256::digest([path.as_bytes(), b"\0", value.as_bytes()].concat()).first_chunk().copied()
    }

    #[test]
    fn paths_are_names_joined_by_dots() {
        for path in ["a", "a.b", "a.0.b", "a b", "é.-"] {
            assert_eq!(path.parse::<KeyPath>().unwrap().to_string(), path);
        }
        for path in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(path.parse::<KeyPath>(), Err(InvalidKeyPath), "{path}");
        }
    }

    #[test]
    fn a_value_is_found_and_hashed_with_its_path() {
        let raw = r#"{"id":"x\u0041\n\ud83d\ude00","n":-1.50e+3,"t":true,"f":false,"o":{"a":[ 1, {"b":"é"} ]},"a.b":"dotted","a":{"b":"walked"}}"#;
        for (path, want) in [
            ("id", "xA\n\u{1F600}"),
            ("n", "-1.50e+3"),
            ("t", "true"),
            ("f", "false"),
            ("o", r#"{"a":[ 1, {"b":"é"} ]}"#),
            ("o.a", r#"[ 1, {"b":"é"} ]"#),
            ("o.a.0", "1"),
            ("o.a.1.b", "é"),
            ("a.b", "dotted"),
        ] {
            assert_eq!(key(&[path], raw), expected(path, want), "{path}");
        }
    }

    #[test]
    fn what_is_absent_null_or_empty_makes_no_key() {
        let raw = r#"{"null":null,"empty":"","s":"text","a":[1],"o":{"null":null}}"#;
        for path in ["absent", "null", "empty", "s.x", "s.0", "a.1", "a.x", "a.-1", "o.null", "o.absent", "o.null.x", "a.0.0"] {
            assert_eq!(key(&[path], raw), None, "{path}");
        }
        assert_eq!(key(&[], raw), None);
    }

    #[test]
    fn the_first_path_that_is_present_counts() {
        let raw = r#"{"b":null,"c":5,"d":6}"#;
        assert_eq!(key(&["a", "b", "c", "d"], raw), expected("c", "5"));
        assert_ne!(key(&["c"], raw), key(&["d"], r#"{"d":5}"#), "the path is part of the key");
        assert_eq!(key(&["c"], raw), key(&["c"], r#"{"c":"5"}"#), "a number and a string that spell the same are the same");
        assert_eq!(key(&["a.b"], r#"{"a.b":null,"a":{"b":7}}"#), expected("a.b", "7"), "a null called like the whole path is absent");
    }

    #[test]
    fn of_equal_names_the_last_counts_however_they_are_spelled() {
        assert_eq!(key(&["id"], r#"{"id":1,"\u0069d":2}"#), expected("id", "2"));
        assert_eq!(key(&["o.id"], r#"{"o":{"id":1},"o":{"id":2,"id":3}}"#), expected("o.id", "3"));
        assert_eq!(key(&["id"], r#"{"id":1,"id":null}"#), None);
    }

    #[test]
    fn different_lone_surrogates_stay_different() {
        let raws = [r#"{"id":"\ud800"}"#, r#"{"id":"\ud801"}"#, r#"{"id":"\udc00"}"#, r#"{"id":"\ufffd"}"#];
        let keys: std::collections::HashSet<_> = raws.iter().map(|raw| key(&["id"], raw)).collect();
        assert_eq!(keys.len(), raws.len());
    }

    #[test]
    fn headers_are_the_requests_and_never_secret() {
        let raw = r#"{"headers":{"x-id":"the sender's"}}"#;
        assert_eq!(key(&["headers.x-id"], raw), expected("headers.x-id", "a, b"));
        assert_eq!(key(&["headers.X-Id"], raw), expected("headers.X-Id", "a, b"));
        assert_eq!(key(&["headers.x.y"], raw), expected("headers.x.y", "c"));
        assert_eq!(key(&["headers"], raw), expected("headers", r#"{"x-id":"a, b","x.y":"c","x-empty":""}"#));
        for path in ["headers.cookie", "headers.x-key", "headers.absent", "headers.x-empty", "headers.not a name"] {
            assert_eq!(key(&[path], raw), None, "{path}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c\"\\\\\u{e9}]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c0]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn walking_agrees_with_serde_json(value in json(), segments in prop::collection::vec("[a-c0-3]", 1..4)) {
            let raw = Value::Object([("a".to_owned(), value)].into_iter().collect());
            let path = segments.join(".");
            let found = raw.pointer(&format!("/{}", segments.join("/"))).filter(|value| !value.is_null() && *value != "");
            let want = found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            prop_assert_eq!(key(&[&path], &raw.to_string()), want.and_then(|want| expected(&path, &want)));
        }
    }
}

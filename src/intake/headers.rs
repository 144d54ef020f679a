//! The request's headers, as incidents carry them.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};

use super::json;

/// A JSON object of the headers: lower-case names in the order they came, values of repeated ones joined with `, `.
///
/// The secret header, `authorization`, `proxy-authorization` and `cookie` are left out. A value that is not UTF-8 is read as
/// Latin-1, as HTTP did of old.
pub fn headers_json(headers: &HeaderMap, secret_header: Option<&HeaderName>) -> String {
    // Names, quotes and typical values of a webhook's headers.
    let mut json = String::with_capacity(headers.len() * 48 + 2);
    json.push('{');
    for name in headers.keys().filter(|name| is_shown(name, secret_header)) {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json::quote(&mut json, name.as_str());
        json.push_str("\":\"");
        for (position, value) in headers.get_all(name).iter().enumerate() {
            if position > 0 {
                json.push_str(", ");
            }
            json::quote(&mut json, &text(value));
        }
        json.push('"');
    }
    json.push('}');
    json
}

/// What [`headers_json`] shows under `name` (any case), if anything.
pub(super) fn shown_value(headers: &HeaderMap, name: &str, secret_header: Option<&HeaderName>) -> Option<String> {
    let name = HeaderName::try_from(name).ok().filter(|name| is_shown(name, secret_header))?;
    let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

/// Credentials never reach an incident.
fn is_shown(name: &HeaderName, secret_header: Option<&HeaderName>) -> bool {
    ![AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name) && secret_header != Some(name)
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&str, &[u8])| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn names_are_lower_case_in_the_order_they_came_and_repeats_are_joined() {
        let headers = headers(&[("X-B", b"1"), ("Host", b"h"), ("x-b", b"2"), ("Accept", b"*/*"), ("X-B", b"")]);
        assert_eq!(headers_json(&headers, None), r#"{"x-b":"1, 2, ","host":"h","accept":"*/*"}"#);
    }

    #[test]
    fn credentials_are_left_out() {
        let sent: &[(&str, &[u8])] =
            &[("Authorization", b"s"), ("Proxy-Authorization", b"s"), ("Cookie", b"s"), ("Cookie", b"s"), ("X-Key", b"s"), ("X-Id", b"1")];
        let secret = HeaderName::from_static("x-key");
        assert_eq!(headers_json(&headers(sent), Some(&secret)), r#"{"x-id":"1"}"#);
        assert_eq!(headers_json(&headers(&sent[..5]), Some(&secret)), "{}");
        for name in ["Authorization", "proxy-authorization", "COOKIE", "X-Key"] {
            assert_eq!(shown_value(&headers(sent), name, Some(&secret)), None, "{name}");
        }
        assert_eq!(shown_value(&headers(sent), "x-ID", Some(&secret)).as_deref(), Some("1"));
    }

    #[test]
    fn values_are_escaped_and_latin_1_where_they_are_not_utf_8() {
        let headers = headers(&[("a", b"\"\\\t"), ("b", "é".as_bytes()), ("c", b"\xE9")]);
        assert_eq!(headers_json(&headers, None), r#"{"a":"\"\\\t","b":"é","c":"é"}"#);
    }

    #[test]
    fn a_name_no_header_can_have_shows_nothing() {
        for name in ["", "a b", "é", "absent"] {
            assert_eq!(shown_value(&headers(&[("a", b"1")]), name, None), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_make_an_object_of_theirs(pairs in prop::collection::vec(("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", "[\\t -~\u{80}-\u{ff}]{0,12}"), 0..20)) {
            let mut sent = HeaderMap::new();
            for (name, value) in &pairs {
                sent.append(HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&headers_json(&sent, None)).unwrap();
            for name in sent.keys() {
                let shown = shown_value(&sent, name.as_str(), None);
                prop_assert_eq!(json.get(name.as_str()).and_then(|value| value.as_str()), shown.as_deref());
            }
        }
    }
}

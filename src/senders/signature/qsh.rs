//! `qsh`, the claim by which Atlassian's tokens say what request they are for: SHA-256 of its method, path and sorted query
//! (<https://developer.atlassian.com/cloud/bitbucket/query-string-hash>).
//!
//! It matters although it leaves the body out: every user of a Jira with the app can see tokens that are signed with the same secret,
//! in the addresses of the app's pages and from `AP.context.getToken`. Those are for other requests, or have the word `context-qsh`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use super::Signed;
use super::encoding::encode_hex;

/// The parameter in which a token may be sent, which does not hash itself.
const OWN_PARAMETER: &str = "jwt";

/// Whether it is that of a request to `path`, the path of the public address.
///
/// What is hashed is the path below the app's own address. Where that ends is known to the app's descriptor only, so it may end at any
/// slash: all of it is the address that was told to Atlassian.
pub(super) fn covers(qsh: &str, path: &str, request: &Signed<'_>) -> bool {
    let path = path.trim_end_matches('/');
    let query = canonical_query(request.query.unwrap_or_default());
    let below = path.match_indices('/').map(|(at, _)| &path[at..]).chain(["/"]);
    below.into_iter().any(|path| {
        let canonical = format!("{}&{}&{query}", request.method, path.replace('&', "%26"));
        encode_hex(digest(&SHA256, canonical.as_bytes()).as_ref()) == qsh
    })
}

/// By name and value, escaped as RFC 3986 has it, a name's values behind each other.
fn canonical_query(query: &str) -> String {
    let mut parameters: BTreeMap<String, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != OWN_PARAMETER) {
        parameters.entry(escaped(&name)).or_default().push(value);
    }
    let joined = parameters.into_iter().map(|(name, mut values)| {
        values.sort_unstable();
        let values: Vec<_> = values.iter().map(|value| escaped(value)).collect();
        format!("{name}={}", values.join(","))
    });
    joined.collect::<Vec<_>>().join("&")
}

/// With all but the unreserved characters of RFC 3986 as `%XX`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
        }
    }
    escaped
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).expect("half a byte is one digit").to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn a_query_is_sorted_and_escaped() {
        for (query, want) in [
            ("", ""),
            ("b=2&a=1&B=3", "B=3&a=1&b=2"),
            ("a=+%2B~%c3%a9&b", "a=%20%2B~%C3%A9&b="),
            ("a=y%2C&a=x&jwt=e.y.j", "a=x,y%2C"),
            ("a.b=%2F*&%26=%3D", "%26=%3D&a.b=%2F%2A"),
        ] {
            assert_eq!(canonical_query(query), want, "{query}");
        }
    }

    /// Hashes made with Python's `hashlib`, of what stands beside them.
    #[test]
    fn it_is_for_one_method_path_and_query() {
        let headers = HeaderMap::new();
        let is_for =
            |qsh: &str, method: &Method, path: &str, query| covers(qsh, path, &Signed { method, query, headers: &headers, body: b"" });
        // POST&/hooks/jira&
        let whole = "4127a3fc5343142d97b53d00161ec7b5ef4b7532351abf4639b8b88d66829f40";
        assert!(is_for(whole, &Method::POST, "/hooks/jira", None));
        assert!(is_for(whole, &Method::POST, "/hooks/jira/", Some("jwt=x")), "a slash at the end does not count");
        assert!(is_for(whole, &Method::POST, "/app/hooks/jira", None), "the app is at /app");
        assert!(!is_for(whole, &Method::GET, "/hooks/jira", None));
        assert!(!is_for(whole, &Method::POST, "/hooks/jira/more", None));
        assert!(!is_for(whole, &Method::POST, "/other-hooks/jira", None), "only at a slash");
        assert!(!is_for(whole, &Method::POST, "/hooks/jira", Some("a=1")));
        assert!(!is_for("context-qsh", &Method::POST, "/hooks/jira", None) && !is_for("", &Method::POST, "/hooks/jira", None));
        // POST&/&
        let root = "6dfb58321692d08d44565d1331846fc24e7dc08b33259d262f4eff79b21d8e05";
        assert!(["", "/", "/hooks/jira"].iter().all(|path| is_for(root, &Method::POST, path, None)));
        // POST&/a%26b/jira&
        let ampersand = "797e976d6e00e594ecc3dba7f03a447961bfcff9642a3bdb0b015d4e06961ff9";
        assert!(is_for(ampersand, &Method::POST, "/a&b/jira", None));
        // POST&/hooks/jira&lang=de%20AT&user_id=a~b%2F%2B&user_key=x,y%2C
        let query = "9fbe7ed267f9d56f0590ade262a41271444973ad0a5fbc3a53eefaff0e570024";
        assert!(is_for(query, &Method::POST, "/hooks/jira", Some("user_key=y%2C&user_id=a%7Eb/%2B&user_key=x&lang=de+AT")));
    }
}

//! The last refused requests of each instance, for the operator who wonders why a sender gets nothing in.
//!
//! Kept in memory only, bounded by construction, and without secrets: anybody may send anything to the entrance, and what a
//! sender takes for its password is often in the wrong place.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};

use crate::incident::Timestamp;

/// Requests kept of one instance: enough to see a pattern.
const PER_INSTANCE: usize = 50;
/// Headers kept of one request. With the two bounds below an instance takes at most 2 MiB, and usually 50 KiB.
const MAX_HEADERS: usize = 64;
/// Characters kept of a header's name or value, of a method, a path and a reason: enough to recognise it.
const MAX_TEXT: usize = 256;
/// A header whose name has one of these in it may carry a secret: `Authorization`, `Cookie`, `X-Api-Key`, `X-Gitlab-Token`.
const SECRET_WORDS: [&str; 8] = ["auth", "cookie", "credential", "key", "passw", "secret", "session", "token"];
/// Stands for a value that is not kept.
const REDACTED: &str = "[redacted]";

/// One refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When it was refused.
    pub at: Timestamp,
    /// As in the answer's `X-Request-Id` and in the log.
    pub request_id: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The true reason in one sentence.
    pub reason: String,
    /// The HTTP method.
    pub method: String,
    /// The URL's path, without the query: that may hold secrets.
    pub path: String,
    /// Where it came from.
    pub peer: IpAddr,
    /// Made by [`redacted`].
    pub headers: Vec<(String, String)>,
}

/// The last refused requests of each instance. The entrance writes, the admin API reads.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<HashMap<String, VecDeque<Rejection>>>);

impl Rejections {
    /// An empty list for each of these instances, and for no others: strangers cannot make this grow.
    pub fn new<'a>(instances: impl IntoIterator<Item = &'a str>) -> Self {
        let rejections = Self::default();
        rejections.set_instances(instances);
        rejections
    }

    /// After a reload: keeps the lists of these instances, begins those that are missing, and drops all others.
    pub fn set_instances<'a>(&self, instances: impl IntoIterator<Item = &'a str>) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *lists);
        *lists = instances.into_iter().map(|name| (name.to_owned(), old.remove(name).unwrap_or_default())).collect();
    }

    /// Adds a refused request of an instance, in place of its oldest one where there are enough. Others are ignored.
    pub fn push(&self, instance: &str, mut rejection: Rejection) {
        shorten(&mut rejection.reason);
        shorten(&mut rejection.path);
        shorten(&mut rejection.method);
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(list) = lists.get_mut(instance) else { return };
        if list.len() >= PER_INSTANCE {
            list.pop_front();
        }
        list.push_back(rejection);
    }

    /// Those of an instance, newest first; none if there is no such instance.
    pub fn of(&self, instance: &str) -> Option<Vec<Rejection>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(instance).map(|list| list.iter().rev().cloned().collect())
    }
}

/// Headers as they may be shown: nothing that could be a secret, those that `is_secret` knows of least of all, long values cut.
pub fn redacted(headers: &HeaderMap, is_secret: impl Fn(&HeaderName, &[u8]) -> bool) -> Vec<(String, String)> {
    let shown = |name: &HeaderName, value: &[u8]| match is_secret(name, value) || may_be_secret(name) {
        true => REDACTED.to_owned(),
        false => text(value),
    };
    headers.iter().take(MAX_HEADERS).map(|(name, value)| (text(name.as_str().as_bytes()), shown(name, value.as_bytes()))).collect()
}

fn may_be_secret(name: &HeaderName) -> bool {
    SECRET_WORDS.iter().any(|word| name.as_str().contains(word))
}

/// Bytes that are not UTF-8 are taken for Latin-1.
fn text(bytes: &[u8]) -> String {
    let mut text = str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect(), str::to_owned);
    shorten(&mut text);
    text
}

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(at);
        text.push('…');
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;

    use super::*;

    fn rejection(number: usize) -> Rejection {
        Rejection {
            at: Timestamp(0),
            request_id: number.to_string(),
            status: 401,
            reason: "wrong password".into(),
            method: "POST".into(),
            path: "/instance/execute/a".into(),
            peer: Ipv4Addr::LOCALHOST.into(),
            headers: Vec::new(),
        }
    }

    fn ids(rejections: &Rejections, instance: &str) -> Vec<String> {
        rejections.of(instance).unwrap().into_iter().map(|rejection| rejection.request_id).collect()
    }

    #[test]
    fn the_last_ones_are_kept_newest_first() {
        let rejections = Rejections::new(["a", "b"]);
        for number in 0..PER_INSTANCE + 2 {
            rejections.push("a", rejection(number));
        }
        let wanted: Vec<String> = (2..PER_INSTANCE + 2).rev().map(|number| number.to_string()).collect();
        assert_eq!(ids(&rejections, "a"), wanted);
        assert_eq!(ids(&rejections, "b"), [""; 0]);
    }

    #[test]
    fn strangers_make_no_lists() {
        let rejections = Rejections::new(["a"]);
        rejections.push("made up", rejection(1));
        assert_eq!(rejections.of("made up"), None);
    }

    #[test]
    fn a_reload_keeps_what_goes_on() {
        let rejections = Rejections::new(["a", "b"]);
        rejections.push("a", rejection(1));
        rejections.set_instances(["a", "c"]);
        assert_eq!(ids(&rejections, "a"), ["1"]);
        assert_eq!(rejections.of("b"), None);
        assert_eq!(ids(&rejections, "c"), [""; 0]);
    }

    #[test]
    fn whatever_could_be_a_secret_is_redacted() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-gitlab-token", "x-own"] {
            headers.append(name, HeaderValue::from_static("hunter2"));
        }
        headers.append("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("x-utf8", HeaderValue::from_bytes("café".as_bytes()).unwrap());
        let shown = redacted(&headers, |name, _| name == "x-own");
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
        assert_eq!(shown.len(), 8);
        assert!(shown.contains(&("x-latin".into(), "café".into())) && shown.contains(&("x-utf8".into(), "café".into())));
    }

    #[test]
    fn one_request_is_bounded() {
        let mut headers = HeaderMap::new();
        for number in 0..MAX_HEADERS + 5 {
            headers.append("x-many", HeaderValue::from_str(&"é".repeat(200 + number)).unwrap());
        }
        let shown = redacted(&headers, |_, _| false);
        assert_eq!(shown.len(), MAX_HEADERS);
        assert!(shown.iter().all(|(_, value)| value.chars().count() <= MAX_TEXT + 1));

        let rejections = Rejections::new(["a"]);
        let long = Rejection { path: "/".repeat(70_000), method: "M".repeat(15_000), reason: "r".repeat(1000), ..rejection(1) };
        rejections.push("a", long);
        let kept = &rejections.of("a").unwrap()[0];
        assert_eq!((kept.path.chars().count(), kept.method.chars().count()), (MAX_TEXT + 1, MAX_TEXT + 1));
        assert!(kept.reason.ends_with('…'));
    }
}

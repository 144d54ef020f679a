//! `[[instance]]`: one named entrance, its credentials and its rules.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use toml::de::DeValue;

use super::address::{listen_address, network};
use super::map;
use super::reader::{Section, boolean, non_empty, string};
use super::report::Place;
use super::secret::{self, Password};
use super::server::NOBODY_MAY_SPEAK_IT;
use super::tls::{self, Tls};
use super::units;
use crate::mapping::MapSpec;

/// The keys of `[[instance]]`.
pub(super) const KEYS: &[&str] = &[
    "name",
    "username",
    "password",
    "password_next",
    "allow_unauthenticated",
    "allow_from",
    "incident_type",
    "store_samples",
    "duplication_key",
    "duplication_window",
    "expect_every",
    "listen",
    "proxy_protocol",
    "certificate",
    "private_key",
    "client_ca",
    "map",
];

/// A username that begins so names a header.
const HEADER_PREFIX: &str = "_header:";
/// Headers that say how a request is framed, sent on or understood: clients and proxies set, change and drop them as they
/// must, and the gateway goes by some. None can be what a sender proves itself with.
const UNFIT_HEADERS: [&str; 15] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "hookgate-client-subject",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];
/// Names are path segments, labels and file names elsewhere; 64 characters fit them all.
const MAX_NAME: usize = 64;
/// Senders repeat an event for days at most.
const DEFAULT_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Zero would find no duplicate. A hundred years keep the arithmetic of timestamps safe.
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

/// The watch looks once a second. Nobody waits a hundred years.
const EXPECTATION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

/// One named entrance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`, unlike any other instance's.
    pub name: String,
    /// Who may come in.
    pub access: Access,
    /// Where senders may be; none: anywhere.
    pub allow_from: Option<Vec<IpNet>>,
    /// The type of incidents whose sender gives none.
    pub incident_type: Option<String>,
    /// Keep the last incidents as samples.
    pub store_samples: bool,
    /// Dotted paths into rawJson; the first that is present counts. None: no duplicates.
    pub duplication_key: Vec<String>,
    /// The operator's own filters.
    pub map: MapSpec,
    /// How long an event is remembered.
    pub duplication_window: Duration,
    /// Longer silence than this is worth a warning; none: it may be silent.
    pub expect_every: Option<Duration>,
    /// An address of its own, where `POST /` reaches this instance.
    pub listen: Option<SocketAddr>,
    /// Whether connections to that address begin with a PROXY protocol header; none: as on the gateway's own.
    pub proxy_protocol: Option<bool>,
    /// The certificate of that address; none: the server's, if it has one.
    pub tls: Option<Tls>,
}

impl Instance {
    /// Whether its senders send a password.
    pub(super) fn has_secrets(&self) -> bool {
        !matches!(self.access, Access::Open)
    }
}

/// Who may come in. One password, or two while secrets are rotated.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody.
    Open,
    /// Basic authentication (RFC 7617).
    Basic {
        /// Not empty, no colon, no control character.
        username: String,
        /// `password`, then `password_next`.
        passwords: Vec<Password>,
    },
    /// A header that equals a password.
    Header {
        /// Compared without case.
        name: HeaderName,
        /// `password`, then `password_next`.
        passwords: Vec<Password>,
    },
}

impl Access {
    /// `password`, then `password_next`; none for an open instance.
    pub fn passwords(&self) -> &[Password] {
        match self {
            Self::Open => &[],
            Self::Basic { passwords, .. } | Self::Header { passwords, .. } => passwords,
        }
    }
}

/// All of `[[instance]]`.
#[derive(Default)]
pub(super) struct Instances {
    pub(super) all: Vec<Instance>,
    /// Those of their own, with their places.
    pub(super) addresses: Vec<(Place, SocketAddr)>,
    /// Those of their own that take passwords and have no certificate of their own.
    pub(super) plain: Vec<(Place, SocketAddr)>,
}

/// Reads every `[[instance]]`. `trusts_proxies`: whether `[server]` names any.
pub(super) fn read_all(sections: &[Section<'_>], trusts_proxies: bool) -> Instances {
    let mut seen = HashMap::new();
    let mut instances = Instances::default();
    for section in sections {
        let name = read_name(section, &mut seen);
        let own = section.take("listen", listen_address).map(|address| (section.place("listen"), address));
        let instance = read(section, name, own.as_ref().map(|(_, address)| *address), trusts_proxies);
        let is_plain = instance.as_ref().is_some_and(|instance| instance.has_secrets() && instance.tls.is_none());
        instances.plain.extend(own.clone().filter(|_| is_plain));
        instances.addresses.extend(own);
        instances.all.extend(instance);
    }
    instances
}

fn read(section: &Section<'_>, name: Option<String>, listen: Option<SocketAddr>, trusts_proxies: bool) -> Option<Instance> {
    let access = read_access(section);
    let duplication_key = section.take_list("duplication_key", key_path).unwrap_or_default();
    let map = map::read(&section.table("map", map::KEYS));
    if duplication_key.is_empty() && map.duplication_key.is_none() && section.has("duplication_window") {
        section.context.warn(&section.place("duplication_window"), "has no effect without duplication_key");
    }
    let allow_from = read_allow_from(section);
    let proxy_protocol = read_proxy_protocol(section, trusts_proxies);
    let incident_type = section.take("incident_type", non_empty);
    let store_samples = section.take("store_samples", boolean).unwrap_or(false);
    let duplication_window = section.take("duplication_window", |value| units::duration(value, WINDOW)).unwrap_or(DEFAULT_WINDOW);
    let tls = read_tls(section);
    Some(Instance {
        name: name?,
        access: access?,
        allow_from,
        incident_type,
        store_samples,
        duplication_key: duplication_key.into_iter().map(|(_, path)| path).collect(),
        duplication_window,
        expect_every: section.take("expect_every", |value| units::duration(value, EXPECTATION)),
        map,
        listen,
        tls,
        proxy_protocol,
    })
}

fn read_tls(section: &Section<'_>) -> Option<Tls> {
    if !section.has("listen")
        && let Some(key) = ["certificate", "private_key", "client_ca"].into_iter().find(|key| section.has(key))
    {
        section.missing("listen", format!("is missing: {key} is for an address of the instance's own"));
    }
    tls::read(section)
}

fn read_proxy_protocol(section: &Section<'_>, trusts_proxies: bool) -> Option<bool> {
    let proxy_protocol = section.take("proxy_protocol", boolean)?;
    if proxy_protocol && !trusts_proxies {
        section.error("proxy_protocol", NOBODY_MAY_SPEAK_IT);
    } else if !section.has("listen") {
        section.context.warn(&section.place("proxy_protocol"), "has no effect without listen");
    }
    Some(proxy_protocol)
}

fn read_allow_from(section: &Section<'_>) -> Option<Vec<IpNet>> {
    if section.is_empty_list("allow_from") {
        section.error("allow_from", "lets nobody in: name addresses or networks, or remove it to let senders be anywhere");
    }
    let networks = section.take_list("allow_from", network)?;
    Some(networks.into_iter().map(|(_, network)| network).collect())
}

fn read_name(section: &Section<'_>, seen: &mut HashMap<String, Place>) -> Option<String> {
    if !section.has("name") {
        section.missing("name", "is missing");
    }
    let name = section.take("name", |value| {
        let name = string(value)?;
        if is_name(name) {
            return Ok(name.to_owned());
        }
        Err(format!("{name:?} is not a name: letters, digits, _ . and - only, a letter or digit first, at most {MAX_NAME}"))
    })?;
    if let Some(first) = seen.get(&name) {
        let line = first.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        section.error("name", format!("{name:?} is already the name of {}{line}", first.key));
        return None;
    }
    seen.insert(name.clone(), section.whole().clone());
    Some(name)
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn read_access(section: &Section<'_>) -> Option<Access> {
    let is_open = section.take("allow_unauthenticated", boolean).unwrap_or(false);
    let written = ["username", "password", "password_next"].map(|key| section.has(key));
    let credentials = read_credentials(section);
    match (is_open, written) {
        (true, [false, false, false]) => {
            section.context.warn(&section.place("allow_unauthenticated"), "everybody who can reach this instance may post to it");
            return Some(Access::Open);
        }
        (true, _) => section.error("allow_unauthenticated", "contradicts the credentials: remove it, or username and password"),
        (false, [false, false, false]) => {
            let advice = "has no credentials: set username and password, or allow_unauthenticated = true to let everybody in";
            section.context.missing(section.whole(), advice);
        }
        (false, [true, true, _]) => {}
        (false, [username, password, _]) => {
            for (key, is_there) in [("username", username), ("password", password)] {
                if !is_there {
                    section.missing(key, "is missing: credentials are a username and a password");
                }
            }
        }
    }
    credentials
}

fn read_credentials(section: &Section<'_>) -> Option<Access> {
    let username = section.take("username", username);
    // With a bad username the kind is unknown; passwords are still resolved, so that their mistakes are found in this run.
    let check = match &username {
        Some(Username::Basic(_)) => check_basic_password,
        Some(Username::Header(_)) => check_header_password,
        None => |_: &str| Ok(()),
    };
    let password = secret::password(section, "password", check);
    let next = secret::password(section, "password_next", check);
    let passwords: Vec<_> = [password?].into_iter().chain(next).collect();
    Some(match username? {
        Username::Basic(username) => Access::Basic { username, passwords },
        Username::Header(name) => Access::Header { name, passwords },
    })
}

enum Username {
    Basic(String),
    Header(HeaderName),
}

fn username(value: &DeValue<'_>) -> Result<Username, String> {
    let text = string(value)?;
    if let Some(name) = text.strip_prefix(HEADER_PREFIX) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("names no valid header: write {HEADER_PREFIX}X-Api-Key"))?;
        if UNFIT_HEADERS.contains(&name.as_str()) {
            return Err(format!("the header {name} cannot hold a secret: HTTP or the gateway uses it; write {HEADER_PREFIX}X-Api-Key"));
        }
        return Ok(Username::Header(name));
    }
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.contains(':') {
        return Err(format!("must not contain a colon (RFC 7617); for a header write {HEADER_PREFIX}X-Api-Key"));
    }
    if text.contains(char::is_control) {
        return Err("must not contain a control character (RFC 7617)".into());
    }
    Ok(Username::Basic(text.to_owned()))
}

fn check_basic_password(password: &str) -> Result<(), String> {
    if password.contains(char::is_control) {
        return Err("must not contain a control character, such as a line break (RFC 7617)".into());
    }
    Ok(())
}

/// RFC 9110, 5.5: what a field value may hold; the whitespace around it never arrives.
fn check_header_password(password: &str) -> Result<(), String> {
    if password.trim_matches([' ', '\t']).len() != password.len() {
        return Err("begins or ends with a space, which HTTP strips from a header: it could never match".into());
    }
    HeaderValue::from_bytes(password.as_bytes()).map(drop).map_err(|_| "contains a character that no header can carry".into())
}

fn key_path(value: &DeValue<'_>) -> Result<String, String> {
    let path = string(value)?;
    if path.split('.').any(str::is_empty) {
        return Err(format!("{path:?} is not a path: write keys joined with dots, such as \"alert.id\""));
    }
    if path.starts_with("headers.") && path.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(format!("header names are lower-case in rawJson: write {:?}", path.to_ascii_lowercase()));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for good in ["a", "9", "my_instance_01", "a.b-c_d", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "_a", ".a", "-a", "a b", "a/b", "ä", "aä", "a\n", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_of_the_pattern_is_good(name in "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}") {
            prop_assert!(is_name(&name));
        }
    }
}

//! `[[instance]]`: one named entrance, its credentials and its rules.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::access::{self, Access};
use super::address::{listen_address, network};
use super::preset::Presets;
use super::reader::{Section, boolean, nearest, string};
use super::report::Place;
use super::sender::{self, Sender};
use super::server::{NOBODY_MAY_SPEAK_IT, Server};
use super::tls::{self, Tls};
use super::units;
use crate::intake::{Accept, Unwrap};
use crate::mapping::MapSpec;

/// The keys of `[[instance]]`.
pub(super) const KEYS: &[&str] = &[
    "name",
    "username",
    "password",
    "password_next",
    "allow_unauthenticated",
    "allow_from",
    "sender",
    "secrets",
    "public_url",
    "path_token",
    "verify_token",
    "confirm_subscriptions",
    "keys",
    "audience",
    "service_accounts",
    "handshake",
    "accept",
    "unwrap",
    "cloudevents",
    "incident_type",
    "store_samples",
    "duplication_key",
    "duplication_window",
    "shares_duplicates_with",
    "expect_every",
    "listen",
    "proxy_protocol",
    "certificate",
    "private_key",
    "client_ca",
    "signature",
    "map",
];

/// Names are path segments, labels and file names elsewhere; 64 characters fit them all.
const MAX_NAME: usize = 64;
/// Senders repeat an event for days at most.
const DEFAULT_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// The watch looks once a second. Nobody waits a hundred years.
const EXPECTATION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

/// One named entrance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`, unlike any other instance's.
    pub name: String,
    /// Who may come in.
    pub access: Access,
    /// Who sends, and what else proves it.
    pub sender: Sender,
    /// Where senders may be; none: anywhere.
    pub allow_from: Option<Vec<IpNet>>,
    /// What is understood besides JSON and forms.
    pub accept: Accept,
    /// Strings of an event whose JSON takes their place.
    pub unwrap: Vec<Unwrap>,
    /// Whether `ce-` headers make an event of the body.
    pub cloudevents: bool,
    /// The type of incidents whose sender gives none.
    pub incident_type: Option<String>,
    /// Keep the last incidents as samples.
    pub store_samples: bool,
    /// Dotted paths into rawJson; the first that is present counts. None: no duplicates.
    pub duplication_key: Vec<String>,
    /// How long an event is remembered.
    pub duplication_window: Duration,
    /// The instance whose memory of events is this one's too.
    pub shares_duplicates_with: Option<String>,
    /// Filters over its events.
    pub map: MapSpec,
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
    /// Whether its senders send, or sign with, something that no stranger may know.
    pub(super) fn has_secrets(&self) -> bool {
        !matches!(self.access, Access::Open) || self.sender.has_secrets()
    }

    /// Whether an event can be a duplicate here.
    pub(super) fn recognises_duplicates(&self) -> bool {
        !self.duplication_key.is_empty() || self.map.duplication_key.is_some()
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

/// What of the rest of the file an instance depends on.
pub(super) struct Surroundings<'a> {
    pub(super) server: &'a Server,
    /// Whether `[server]` names any proxies, right or wrong.
    pub(super) trusts_proxies: bool,
    pub(super) presets: &'a Presets,
}

/// Reads every `[[instance]]`.
pub(super) fn read_all(sections: &[Section<'_>], surroundings: &Surroundings<'_>) -> Instances {
    let mut seen = HashMap::new();
    let mut instances = Instances::default();
    for section in sections {
        let name = read_name(section, &mut seen);
        let own = section.take("listen", listen_address).map(|address| (section.place("listen"), address));
        let is_shared = name.is_some() && sections.iter().any(|other| other.text("shares_duplicates_with") == name.as_deref());
        let instance = read(section, name, is_shared, own.as_ref().map(|(_, address)| *address), surroundings);
        let is_plain = instance.as_ref().is_some_and(|instance| instance.has_secrets() && instance.tls.is_none());
        instances.plain.extend(own.clone().filter(|_| is_plain));
        instances.addresses.extend(own);
        instances.all.extend(instance);
    }
    for section in sections {
        check_sharing(section, &seen, sections);
    }
    share_windows(&mut instances.all);
    instances
}

/// One memory has one window: under two, an event would be new or not by who asked last.
fn share_windows(instances: &mut [Instance]) {
    let windows: HashMap<_, _> = instances.iter().map(|instance| (instance.name.clone(), instance.duplication_window)).collect();
    for instance in instances {
        let owner = instance.shares_duplicates_with.as_ref();
        instance.duplication_window = owner.and_then(|name| windows.get(name)).copied().unwrap_or(instance.duplication_window);
    }
}

/// `is_shared`: whether another instance goes by the memory of this one.
fn read(
    section: &Section<'_>,
    name: Option<String>,
    is_shared: bool,
    listen: Option<SocketAddr>,
    surroundings: &Surroundings<'_>,
) -> Option<Instance> {
    let (layer, preset) = sender::read_layers(section, surroundings.presets);
    let access = access::read(section, sender::otherwise(section, &layer, preset.as_ref()));
    let sender = sender::read(section, &layer, preset, name.as_deref(), surroundings.server.public_url.as_deref());
    let duplication_key = layer.duplication_key.unwrap_or_default();
    let has_key = !duplication_key.is_empty() || layer.map.duplication_key.is_some();
    if !has_key && !is_shared && section.has("duplication_window") {
        section.context.warn(&section.place("duplication_window"), "has no effect without duplication_key");
    }
    let allow_from = read_allow_from(section);
    let proxy_protocol = read_proxy_protocol(section, surroundings.trusts_proxies);
    let store_samples = section.take("store_samples", boolean).unwrap_or(false);
    let shares_duplicates_with = section.take("shares_duplicates_with", |value| string(value).map(str::to_owned));
    let tls = read_tls(section);
    Some(Instance {
        name: name?,
        access: access?,
        sender,
        allow_from,
        accept: layer.accept.unwrap_or_default(),
        unwrap: layer.unwrap.unwrap_or_default(),
        cloudevents: layer.cloudevents.unwrap_or(false),
        incident_type: layer.incident_type,
        store_samples,
        duplication_key,
        duplication_window: layer.duplication_window.unwrap_or(DEFAULT_WINDOW),
        shares_duplicates_with,
        map: layer.map,
        expect_every: section.take("expect_every", |value| units::duration(value, EXPECTATION)),
        listen,
        tls,
        proxy_protocol,
    })
}

/// The memory is another instance's own: were that one's yet another's, nobody could tell whose window counts.
fn check_sharing(section: &Section<'_>, names: &HashMap<String, Place>, sections: &[Section<'_>]) {
    let Some(other) = section.text("shares_duplicates_with") else { return };
    let Some(place) = names.get(other) else {
        let hint = nearest(other, names.keys().map(String::as_str)).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
        return section.error("shares_duplicates_with", format!("no instance is named {other:?}{hint}"));
    };
    if place.key == section.whole().key {
        return section.error("shares_duplicates_with", "is the instance itself: name another one, or remove it");
    }
    let is_chained = sections.iter().any(|section| section.whole().key == place.key && section.has("shares_duplicates_with"));
    if is_chained {
        section.error("shares_duplicates_with", format!("{other:?} shares another instance's itself: name that one"));
    }
    if section.has("duplication_window") {
        section
            .context
            .warn(&section.place("duplication_window"), format!("has no effect: the memory is {other:?}'s, and so is the window"));
    }
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

//! What a sender's preset and an instance may both say. The preset lies below; what the instance says itself counts.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::map;
use super::reader::{OneOrAll, Section, boolean, choice, non_empty, string};
use super::signature::{self, SignatureKeys};
use super::units;
use crate::intake::{Accept, InvalidUnwrap, Unwrap};
use crate::mapping::MapSpec;
use crate::senders::handshake::Handshake;
use crate::senders::signature::SignatureSpec;

/// Zero would find no duplicate. A hundred years keep the arithmetic of timestamps safe.
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

/// One of the two.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) accept: Option<Accept>,
    pub(super) unwrap: Option<Vec<Unwrap>>,
    pub(super) cloudevents: Option<bool>,
    pub(super) handshake: Option<Vec<Handshake>>,
    pub(super) incident_type: Option<String>,
    pub(super) duplication_key: Option<Vec<String>>,
    pub(super) duplication_window: Option<Duration>,
    signature: OneOrAll<SignatureKeys>,
    pub(super) map: MapSpec,
}

impl Layer {
    /// `map` reads `[map]`.
    pub(super) fn read(section: &Section<'_>, map: fn(&Section<'_>) -> MapSpec) -> Self {
        let values = |list: Vec<(_, String)>| list.into_iter().map(|(_, value)| value).collect();
        Self {
            accept: section.take("accept", |value| choice(value, Accept::WORDS)),
            unwrap: section.take_list("unwrap", unwrapped).map(|list| list.into_iter().map(|(_, unwrap)| unwrap).collect()),
            cloudevents: section.take("cloudevents", boolean),
            handshake: section
                .take_list("handshake", |value| choice(value, Handshake::WORDS))
                .map(|list| list.into_iter().map(|(_, handshake)| handshake).collect()),
            incident_type: section.take("incident_type", non_empty),
            duplication_key: section.take_list("duplication_key", key_path).map(values),
            duplication_window: section.take("duplication_window", |value| units::duration(value, WINDOW)),
            signature: section.one_or_all("signature", signature::KEYS).map(|table| SignatureKeys::read(&table)),
            map: map(&section.table("map", map::KEYS)),
        }
    }

    /// This one, with what it leaves open as in `below`.
    pub(super) fn over(self, below: &Self) -> Self {
        // A way of finding duplicates replaces the other layer's, whichever of the two it is written as.
        let own_key = self.map.duplication_key.clone();
        let has_own_key = self.duplication_key.is_some() || own_key.is_some();
        let mut map = self.map.over(below.map.clone());
        if has_own_key {
            map.duplication_key = own_key;
        }
        Self {
            accept: self.accept.or(below.accept),
            unwrap: self.unwrap.or_else(|| below.unwrap.clone()),
            cloudevents: self.cloudevents.or(below.cloudevents),
            handshake: self.handshake.or_else(|| below.handshake.clone()),
            incident_type: self.incident_type.or_else(|| below.incident_type.clone()),
            duplication_key: self.duplication_key.or_else(|| below.duplication_key.clone().filter(|_| !has_own_key)),
            duplication_window: self.duplication_window.or(below.duplication_window),
            signature: match (self.signature, &below.signature) {
                (OneOrAll::None, below) => below.clone(),
                // One table changes what is below, a list replaces it.
                (OneOrAll::One(own), OneOrAll::One(below)) => OneOrAll::One(own.over(below)),
                (OneOrAll::One(own), OneOrAll::All(below)) => OneOrAll::All(below.iter().map(|below| own.clone().over(below)).collect()),
                (own, _) => own,
            },
            map,
        }
    }

    /// The alternatives, with defaults where nothing is said.
    pub(super) fn signatures(&self) -> Vec<SignatureSpec> {
        match &self.signature {
            OneOrAll::None => Vec::new(),
            OneOrAll::One(one) => vec![one.resolve()],
            OneOrAll::All(all) => all.iter().map(SignatureKeys::resolve).collect(),
        }
    }
}

fn unwrapped(value: &DeValue<'_>) -> Result<Unwrap, String> {
    string(value)?.parse().map_err(|error: InvalidUnwrap| error.to_string())
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

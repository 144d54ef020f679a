//! `[instance.map]`: jq filters that say what a sender's events are, as a preset or an instance has them.

use std::collections::HashMap;

use super::reader::{Section, non_empty};
use super::report::Place;
use crate::mapping::{MapSpec, Mapping};

/// The keys of `[instance.map]`.
pub(super) const KEYS: &[&str] = &["items", "name", "type", "occurred", "duplication_key", "drop", "fields"];

/// Reads the filters of `section`. Each one that is no jq is a mistake at its own line.
pub(super) fn read(section: &Section<'_>) -> MapSpec {
    let (spec, places) = as_written(section);
    let errors = if spec.is_empty() { Vec::new() } else { Mapping::compile(&spec).err().unwrap_or_default() };
    for error in errors {
        let place = places.get(error.key()).cloned().unwrap_or_else(|| section.place(error.key()));
        section.context.error(&place, error.to_string());
    }
    spec
}

/// Likewise of a built-in preset, whose filters are known to be right.
pub(super) fn read_known(section: &Section<'_>) -> MapSpec {
    as_written(section).0
}

/// Also where each field is.
fn as_written(section: &Section<'_>) -> (MapSpec, HashMap<String, Place>) {
    let filter = |key| section.take(key, non_empty);
    let mut spec = MapSpec {
        items: filter("items"),
        name: filter("name"),
        kind: filter("type"),
        occurred: filter("occurred"),
        duplication_key: filter("duplication_key"),
        drop: filter("drop"),
        ..MapSpec::default()
    };
    let mut places: HashMap<String, Place> = HashMap::new();
    for (name, place, value) in section.free_table("fields") {
        match non_empty(value) {
            Ok(filter) => {
                spec.fields.insert(name.to_owned(), filter);
                places.insert(format!("fields.{name}"), place);
            }
            Err(message) => section.context.error(&place, message),
        }
    }
    (spec, places)
}

//! `[instance.map]`: jq filters that say what an instance's events are.

use std::collections::HashMap;

use super::reader::{Section, non_empty};
use super::report::Place;
use crate::mapping::{MapSpec, Mapping};

/// The keys of `[instance.map]`.
pub(super) const KEYS: &[&str] = &["items", "name", "type", "occurred", "duplication_key", "drop", "fields"];

/// Reads the filters of `section`. Each one that is no jq is a mistake at its own line.
pub(super) fn read(section: &Section<'_>) -> MapSpec {
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
    for error in Mapping::compile(&spec).err().unwrap_or_default() {
        let place = places.get(error.key()).cloned().unwrap_or_else(|| section.place(error.key()));
        section.context.error(&place, error.to_string());
    }
    spec
}

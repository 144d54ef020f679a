//! `[instance.map]`: filters over a sender's events, as a preset or an instance has them.

use super::reader::{Section, non_empty};
use crate::mapping::{MapSpec, Mapping};

/// The keys of `[instance.map]`.
pub(super) const KEYS: &[&str] = &["items", "name", "type", "occurred", "duplication_key", "drop", "fields"];

/// Reads the filters of a table, and compiles them to see whether they are filters.
pub(super) fn read(section: &Section<'_>) -> MapSpec {
    let spec = read_known(section);
    if !spec.is_empty()
        && let Err(errors) = Mapping::compile(&spec)
    {
        for error in errors {
            let place = match error.key().split_once('.') {
                Some(("fields", name)) => section.place_within("fields", name),
                _ => section.place(error.key()),
            };
            section.context.error(&place, error.to_string());
        }
    }
    spec
}

/// Likewise of a table whose filters are known to be right.
pub(super) fn read_known(section: &Section<'_>) -> MapSpec {
    let filter = |key| section.take(key, non_empty);
    MapSpec {
        items: filter("items"),
        name: filter("name"),
        kind: filter("type"),
        occurred: filter("occurred"),
        duplication_key: filter("duplication_key"),
        drop: filter("drop"),
        fields: section.take_named("fields", non_empty).into_iter().collect(),
    }
}

//! What an operator writes under `[instance.map]`.

use std::collections::BTreeMap;

/// Own fields of one instance: each is a row of its own in the store.
const MAX_FIELDS: usize = 32;
/// Characters of a field's name, which is also a key of JSON and part of a query.
const MAX_FIELD_NAME: usize = 64;

/// The filters of an instance as written: jq, one for each thing that a map can decide. None: the default rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapSpec {
    /// The events in a body.
    pub items: Option<String>,
    /// An event's name.
    pub name: Option<String>,
    /// An event's `type`.
    pub kind: Option<String>,
    /// When an event happened.
    pub occurred: Option<String>,
    /// What makes two events the same.
    pub duplication_key: Option<String>,
    /// Whether an event is left out.
    pub drop: Option<String>,
    /// Own fields, by name.
    pub fields: BTreeMap<String, String>,
}

impl MapSpec {
    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These filters laid over others: key by key, fields name by name.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        let mut fields = base.fields;
        fields.extend(self.fields);
        Self {
            items: self.items.or(base.items),
            name: self.name.or(base.name),
            kind: self.kind.or(base.kind),
            occurred: self.occurred.or(base.occurred),
            duplication_key: self.duplication_key.or(base.duplication_key),
            drop: self.drop.or(base.drop),
            fields,
        }
    }

    /// What is wrong with the names of fields, by name.
    pub(super) fn wrong_fields(&self) -> impl Iterator<Item = (&str, String)> {
        let too_many = self.fields.keys().skip(MAX_FIELDS).take(1);
        let too_many = too_many.map(|name| (name.as_str(), format!("is one too many: at most {MAX_FIELDS} fields are kept of an event")));
        let misnamed = self.fields.keys().filter(|name| !is_field_name(name)).map(|name| {
            let text = "is no name for a field: letters, digits and _ only, no digit first, at most 64 characters";
            (name.as_str(), text.to_owned())
        });
        too_many.chain(misnamed)
    }
}

/// Whether a field may be called so: `[A-Za-z_][A-Za-z0-9_]{0,63}`.
pub fn is_field_name(text: &str) -> bool {
    text.len() <= MAX_FIELD_NAME
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: Option<&str>, fields: &[(&str, &str)]) -> MapSpec {
        let fields = fields.iter().map(|(name, filter)| (name.to_string(), filter.to_string())).collect();
        MapSpec { name: name.map(str::to_owned), fields, ..MapSpec::default() }
    }

    #[test]
    fn filters_are_laid_over_others_key_by_key() {
        let base = MapSpec { items: Some(".alerts[]".into()), ..spec(Some(".a"), &[("x", "1"), ("y", "2")]) };
        let laid = spec(Some(".b"), &[("y", "3"), ("z", "4")]).over(base.clone());
        assert_eq!(laid, MapSpec { items: base.items.clone(), ..spec(Some(".b"), &[("x", "1"), ("y", "3"), ("z", "4")]) });
        assert_eq!(MapSpec::default().over(base.clone()), base);
    }

    #[test]
    fn fields_have_plain_names_and_are_few() {
        for good in ["a", "_", "src_ip", "A9", &"x".repeat(64)] {
            assert!(is_field_name(good), "{good}");
        }
        for bad in ["", "9a", "a-b", "a.b", "ä", "a ", &"x".repeat(65)] {
            assert!(!is_field_name(bad), "{bad}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("f{n:02}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(spec(None, &many[..32]).wrong_fields().count(), 0);
        assert_eq!(spec(None, &many).wrong_fields().next().unwrap().0, "f32");
    }
}

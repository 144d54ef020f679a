//! Reads tables key by key and goes on after a mistake, so that one run finds them all.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::TABLES;
use super::report::{Context, Place};

/// One table of the file and the keys it may have.
pub(super) struct Section<'a> {
    /// For what the values need around them: folder, environment, reports.
    pub(super) context: &'a Context<'a>,
    place: Place,
    table: Option<&'a DeTable<'a>>,
    keys: &'static [&'static str],
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(context: &'a Context<'a>, table: &'a DeTable<'a>, keys: &'static [&'static str]) -> Self {
        Self::open(context, Place { key: String::new(), line: None }, table, keys)
    }

    fn open(context: &'a Context<'a>, place: Place, table: &'a DeTable<'a>, keys: &'static [&'static str]) -> Self {
        let section = Self { context, place, table: Some(table), keys };
        for key in table.keys() {
            let place = section.place(key.get_ref());
            if !keys.contains(&key.get_ref().as_ref()) {
                context.error(&place, unknown_key(key.get_ref(), keys));
            }
            context.remember(&place);
        }
        section
    }

    /// The table `[key]`, or an empty one.
    pub(super) fn table(&self, key: &'static str, keys: &'static [&'static str]) -> Self {
        let place = self.place(key);
        match self.value(key) {
            Some(DeValue::Table(table)) => Self::open(self.context, place, table, keys),
            other => {
                if let Some(value) = other {
                    self.context.error(&place, wrong_type("a table", value));
                }
                Self { context: self.context, place, table: None, keys }
            }
        }
    }

    /// The tables `[[key]]`.
    pub(super) fn tables(&self, key: &'static str, keys: &'static [&'static str]) -> Vec<Self> {
        let items = match self.value(key) {
            Some(DeValue::Array(items)) => items,
            Some(_) => {
                self.error(key, format!("write [[{key}]] with double brackets: there may be several"));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = self.item_place(key, index, item);
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Self::open(self.context, place, table, keys)),
                other => self.context.error(&place, wrong_type("a table", other)),
            }
        }
        sections
    }

    /// The table `[key]`, or the tables `[[key]]`: one by itself means something else than a list of one.
    pub(super) fn one_or_all(&self, key: &'static str, keys: &'static [&'static str]) -> OneOrAll<Self> {
        match self.value(key) {
            None => OneOrAll::None,
            Some(DeValue::Array(_)) => OneOrAll::All(self.tables(key, keys)),
            Some(_) => OneOrAll::One(self.table(key, keys)),
        }
    }

    /// The keys of the table `[key]`, whatever they are called, with their places and values.
    pub(super) fn free_table(&self, key: &'static str) -> Vec<(&'a str, Place, &'a DeValue<'a>)> {
        let table = match self.value(key) {
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                self.error(key, wrong_type("a table", other));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let of_table = Self { context: self.context, place: self.place(key), table: Some(table), keys: &[] };
        table.iter().map(|(name, value)| (name.get_ref().as_ref(), of_table.place(name.get_ref()), value.get_ref())).collect()
    }

    /// Whether something is written for `key`, right or wrong.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The value as it is written, if it is a string; nothing is reported.
    pub(super) fn text(&self, key: &'static str) -> Option<&'a str> {
        self.value(key)?.as_str()
    }

    /// What `parse` makes of the value; none if there is none or it is wrong, which is then reported.
    pub(super) fn take<T>(&self, key: &'static str, parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>) -> Option<T> {
        let result = parse(self.value(key)?);
        result.map_err(|message| self.error(key, message)).ok()
    }

    /// Like [`Self::take`], with a default where nothing is written. None is left for what is wrong, so that nothing else is
    /// compared with a value that nobody wrote.
    pub(super) fn take_or<T>(&self, key: &'static str, default: T, parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>) -> Option<T> {
        if self.has(key) { self.take(key, parse) } else { Some(default) }
    }

    /// What `parse` makes of each item of a list, with its place; a single value counts as a list of one.
    pub(super) fn take_list<T>(&self, key: &'static str, parse: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Option<Vec<(Place, T)>> {
        let values: Vec<_> = match self.value(key)? {
            DeValue::Array(items) => self.places(key, items).zip(items.iter().map(Spanned::get_ref)).collect(),
            single => vec![(self.place(key), single)],
        };
        let mut taken = Vec::with_capacity(values.len());
        for (place, value) in values {
            match parse(value) {
                Ok(item) => taken.push((place, item)),
                Err(message) => self.context.error(&place, message),
            }
        }
        Some(taken)
    }

    /// Whether the value is a list of nothing.
    pub(super) fn is_empty_list(&self, key: &'static str) -> bool {
        matches!(self.value(key), Some(DeValue::Array(items)) if items.is_empty())
    }

    /// Where `key` is written, or else the table that it would stand in.
    pub(super) fn place(&self, key: &str) -> Place {
        let written = self.table.and_then(|table| table.get_key_value(key));
        let dot = if self.place.key.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", self.place.key, bare_or_quoted(key));
        match written {
            Some((key, _)) => self.context.place(path, key.span().start),
            None => Place { key: path, line: self.place.line },
        }
    }

    /// Where the table itself stands.
    pub(super) fn whole(&self) -> &Place {
        &self.place
    }

    /// Reports a mistake in the value of `key`.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) {
        self.context.error(&self.place(key), message);
    }

    /// Reports that `key` must be there and is not.
    pub(super) fn missing(&self, key: &str, message: impl Into<String>) {
        self.context.missing(&self.place(key), message);
    }

    fn value(&self, key: &'static str) -> Option<&'a DeValue<'a>> {
        debug_assert!(self.keys.contains(&key), "{key} is read but would be refused as unknown");
        self.table?.get(key).map(Spanned::get_ref)
    }

    fn places<'s>(&'s self, key: &'static str, items: &'s DeArray<'a>) -> impl Iterator<Item = Place> + 's {
        items.iter().enumerate().map(move |(index, item)| self.item_place(key, index, item))
    }

    fn item_place(&self, key: &'static str, index: usize, item: &Spanned<DeValue<'_>>) -> Place {
        self.context.place(format!("{}[{index}]", self.place(key).key), item.span().start)
    }
}

/// What is written as one table, or as a list of tables.
#[derive(Clone, Debug, Default)]
pub(super) enum OneOrAll<T> {
    /// Nothing.
    #[default]
    None,
    /// `[key]`
    One(T),
    /// `[[key]]`, or `key = []`.
    All(Vec<T>),
}

impl<T> OneOrAll<T> {
    pub(super) fn map<U>(self, change: impl Fn(T) -> U) -> OneOrAll<U> {
        match self {
            Self::None => OneOrAll::None,
            Self::One(one) => OneOrAll::One(change(one)),
            Self::All(all) => OneOrAll::All(all.into_iter().map(change).collect()),
        }
    }
}

/// The text of a string.
pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| wrong_type("a string", value))
}

/// The text of a string that says something.
pub(super) fn non_empty(value: &DeValue<'_>) -> Result<String, String> {
    match string(value)? {
        text if text.trim().is_empty() => Err("must not be empty".into()),
        text => Ok(text.to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| wrong_type("true or false", value))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, String> {
    let text = string(value)?;
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        format!("must be one of {}", words.join(", "))
    })
}

/// Says the type only: the value may be a secret.
pub(super) fn wrong_type(expected: &str, found: &DeValue<'_>) -> String {
    format!("must be {expected}, not a value of type {}", found.type_str())
}

fn unknown_key(key: &str, keys: &[&str]) -> String {
    if let Some((table, _)) = TABLES.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("unknown key here; it belongs in {table}");
    }
    match nearest(key, keys.iter().copied()) {
        Some(known) => format!("unknown key; did you mean {known}?"),
        None => format!("unknown key; known are {}", keys.join(", ")),
    }
}

/// The known word that somebody may have meant. A letter or two swapped, lost or doubled are a slip; a quarter of the word apart
/// is another word.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::osa_distance(word, known);
    known.filter(|known| distance(known) <= known.len().div_ceil(4).min(3)).min_by_key(|known| distance(known))
}

/// As TOML would have it written.
fn bare_or_quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { key.to_owned() } else { format!("{key:?}") }
}

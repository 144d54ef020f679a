//! What is known about a sender: a file with the keys of an instance that describe one, and `[sender]` about itself.
//!
//! The built-in ones are part of the program; `[server] senders_dir` may hold others. A user's one of the same name replaces
//! a built-in one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::Method;
use toml::de::{DeTable, DeValue};

use super::errors::{ConfigError, ConfigErrors};
use super::layer::Layer;
use super::map;
use super::reader::{Section, boolean, choice, nearest, non_empty, string};
use super::report::Context;
use crate::mapping::MapSpec;
use crate::senders::presets::BUILT_IN;

/// The keys of a preset's file.
pub(super) const KEYS: &[&str] = &[
    "sender",
    "accept",
    "unwrap",
    "cloudevents",
    "handshake",
    "needs_path_token",
    "incident_type",
    "duplication_key",
    "duplication_window",
    "signature",
    "map",
];
/// The keys of its `[sender]`.
pub(super) const SENDER_KEYS: &[&str] = &["title", "page", "verifies", "dedups", "confidence", "methods"];

/// The longest is a few KiB.
const MAX_FILE: u64 = 1 << 20;
/// A preset's file is called like the sender, with this behind.
const EXTENSION: &str = "toml";

/// What is known about a sender.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What `sender = "…"` names.
    pub name: String,
    /// The product.
    pub title: String,
    /// The vendor's page.
    pub page: String,
    /// What proves that a request is the sender's, in one line.
    pub verifies: String,
    /// What tells that an event came before, in one line.
    pub dedups: String,
    /// How surely its weakest fact is known.
    pub confidence: Confidence,
    /// The methods that bring events.
    pub methods: Vec<Method>,
    /// Whether the sender can send no credentials.
    pub needs_path_token: bool,
    /// The file.
    pub text: Cow<'static, str>,
    pub(super) layer: Layer,
}

/// How surely something is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidence {
    /// Read in the vendor's own text or code.
    Vendor,
    /// Read in somebody else's.
    ThirdParty,
    /// Not looked up.
    #[default]
    Memory,
}

impl Confidence {
    const WORDS: &[(&str, Self)] = &[("vendor", Self::Vendor), ("third-party", Self::ThirdParty), ("memory", Self::Memory)];

    /// As a preset has it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, meaning)| *meaning == self).map_or("memory", |(word, _)| word)
    }
}

impl Preset {
    /// Reads a preset's file; `map` reads its `[map]`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub(super) fn parse(name: &str, text: Cow<'static, str>, path: &Path, map: fn(&Section<'_>) -> MapSpec) -> Result<Self, ConfigErrors> {
        let (document, syntax) = DeTable::parse_recoverable(&text);
        let context = Context::new(&text, path, &|_| None);
        let root = Section::root(&context, document.get_ref(), KEYS);
        let about = root.table("sender", SENDER_KEYS);
        // An empty file would take the place of a built-in preset, and of its signature.
        if !about.has("title") {
            about.missing("title", "is missing: a preset says under [sender] whose it is, as `hookgate senders show github` does");
        }
        let line = |key| about.take(key, non_empty).unwrap_or_default();
        let preset = Self {
            name: name.to_owned(),
            title: line("title"),
            page: line("page"),
            verifies: line("verifies"),
            dedups: line("dedups"),
            confidence: about.take("confidence", |value| choice(value, Confidence::WORDS)).unwrap_or_default(),
            methods: about
                .take_list("methods", method)
                .map_or_else(|| vec![Method::POST], |list| list.into_iter().map(|(_, m)| m).collect()),
            needs_path_token: root.take("needs_path_token", boolean).unwrap_or(false),
            layer: Layer::read(&root, map),
            text: Cow::default(),
        };
        context.finish(&syntax)?;
        Ok(Self { text, ..preset })
    }
}

/// Those that bring events; GET and HEAD are probes everywhere.
fn method(value: &DeValue<'_>) -> Result<Method, String> {
    let text = string(value)?;
    match text.parse() {
        Ok(method) if [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&method) => Ok(method),
        _ => Err(format!("{text:?} brings no events: write POST, PUT, PATCH or DELETE")),
    }
}

/// All presets that a configuration may name.
#[derive(Debug, Default)]
pub(super) struct Presets {
    own: BTreeMap<String, Preset>,
    /// Those that are there but have mistakes, which were reported.
    broken: Vec<String>,
}

impl Presets {
    /// Those of the folder that `[server] senders_dir` names, if it does; mistakes are reported.
    pub(super) fn of(server: &Section<'_>, folder: Option<&Path>) -> Self {
        let mut presets = Self::default();
        let Some(folder) = folder else { return presets };
        let files = match files(folder) {
            Ok(files) => files,
            Err(error) => {
                server.error("senders_dir", format!("cannot read the folder {folder:?}: {error}"));
                return presets;
            }
        };
        for path in files {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match read(&name, &path) {
                Ok(preset) => {
                    presets.own.insert(name, preset);
                }
                Err(found) => {
                    server.context.adopt(found);
                    presets.broken.push(name);
                }
            }
        }
        presets
    }

    /// The preset that `sender` names. None if there is none, or one with mistakes; what is wrong is reported.
    pub(super) fn named_by(&self, section: &Section<'_>) -> Option<Preset> {
        let name = section.take("sender", |value| {
            let name = string(value)?;
            if self.broken.iter().any(|broken| broken == name) || self.find(name).is_some() {
                Ok(name.to_owned())
            } else {
                Err(self.unknown(name))
            }
        })?;
        self.find(&name)
    }

    fn find(&self, name: &str) -> Option<Preset> {
        self.own.get(name).cloned().or_else(|| built_in(BUILT_IN.iter().find(|(known, _)| *known == name)?).into())
    }

    fn unknown(&self, name: &str) -> String {
        let known = BUILT_IN.iter().map(|(known, _)| *known).chain(self.own.keys().map(String::as_str));
        let hint = nearest(name, known).map(|known| format!("did you mean {known:?}? ")).unwrap_or_default();
        format!("{name:?} is no known sender: {hint}`hookgate senders` lists those there are")
    }

    /// All of them, by name.
    pub(super) fn into_all(self) -> Vec<Preset> {
        let mut all: BTreeMap<String, Preset> = BUILT_IN.iter().map(built_in).map(|preset| (preset.name.clone(), preset)).collect();
        all.extend(self.own);
        all.into_values().collect()
    }
}

fn built_in((name, text): &(&str, &'static str)) -> Preset {
    let path = PathBuf::from(format!("{name}.{EXTENSION}"));
    Preset::parse(name, Cow::Borrowed(text), &path, map::read_known).expect("a test reads every preset")
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == EXTENSION) && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(name: &str, path: &Path) -> Result<Preset, ConfigErrors> {
    let broken = |message: String| ConfigErrors { path: path.to_path_buf(), errors: vec![ConfigError::of_file(message)] };
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err(broken("is not named like a sender: lower-case letters, digits and - only".into()));
    }
    let metadata = fs::metadata(path).map_err(|error| broken(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(broken("is not a file".into()));
    }
    if metadata.len() > MAX_FILE {
        return Err(broken("is larger than 1 MiB: not a preset".into()));
    }
    let text = fs::read_to_string(path).map_err(|error| broken(format!("cannot be read: {error}")))?;
    Preset::parse(name, Cow::Owned(text), path, map::read)
}

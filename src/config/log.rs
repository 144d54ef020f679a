//! `[log]`: what the log looks like.

use super::reader::{Section, choice};

/// The keys of `[log]`.
pub(super) const KEYS: &[&str] = &["format", "level"];

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Reads `[log]`.
pub(super) fn read(section: &Section<'_>) -> Log {
    const FORMATS: [(&str, LogFormat); 3] = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let level = section.take("level", |value| choice(value, &LEVELS.map(|level| (level, level))));
    Log {
        format: section.take("format", |value| choice(value, &FORMATS)).unwrap_or(LogFormat::Auto),
        level: level.unwrap_or("info").to_owned(),
    }
}

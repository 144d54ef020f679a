//! Collects mistakes and warnings while a file is read, and turns positions into lines.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::Error as TomlError;

use super::errors::{ConfigError, ConfigErrors};

/// A key in the file, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Such as `server.listen[1]`; empty for the file itself.
    pub(super) key: String,
    /// Counted from 1; none where nothing is written.
    pub(super) line: Option<usize>,
}

/// What all tables of one file share. Cells, so that any number of tables may report at the same time.
pub(super) struct Context<'a> {
    /// Relative paths count from here.
    pub(super) folder: PathBuf,
    /// Looks up an environment variable.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// A password, its hash or a token stands in the file itself.
    pub(super) has_literal_secret: Cell<bool>,
    path: &'a Path,
    text: &'a str,
    newlines: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<ConfigError>>,
    lines: RefCell<BTreeMap<String, usize>>,
}

/// What was learnt besides the values.
pub(super) struct Findings {
    pub(super) warnings: Vec<String>,
    pub(super) has_literal_secret: bool,
}

struct Mistake {
    error: ConfigError,
    /// About what is not there, rather than about what is.
    is_absence: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, path: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            folder: std::path::absolute(path).map_or_else(|_| folder(path), |path| folder(&path)),
            env,
            has_literal_secret: Cell::new(false),
            path,
            text,
            newlines: text.match_indices('\n').map(|(at, _)| at).collect(),
            mistakes: RefCell::default(),
            warnings: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    /// Reports a mistake in what is written at `place`.
    pub(super) fn error(&self, place: &Place, message: impl Into<String>) {
        self.report(place, message.into(), false);
    }

    /// Reports that something must be at `place` and is not.
    pub(super) fn missing(&self, place: &Place, message: impl Into<String>) {
        self.report(place, message.into(), true);
    }

    /// Takes over the mistakes of another file.
    pub(super) fn adopt(&self, found: ConfigErrors) {
        let mistakes = found.errors.into_iter().map(|error| Mistake {
            error: ConfigError { file: error.file.or_else(|| Some(found.path.clone())), ..error },
            is_absence: false,
        });
        self.mistakes.borrow_mut().extend(mistakes);
    }

    /// Reports what is allowed but deserves a look.
    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        let warning = ConfigError { key: place.key.clone(), line: place.line, message: message.into(), file: None };
        self.warnings.borrow_mut().push(warning);
    }

    /// Reports a file that deserves a look, once however often it is named.
    pub(super) fn warn_of_file(&self, message: String) {
        let warning = ConfigError::of_file(message);
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn report(&self, place: &Place, message: String, is_absence: bool) {
        let error = ConfigError { key: place.key.clone(), line: place.line, message, file: None };
        self.mistakes.borrow_mut().push(Mistake { error, is_absence });
    }

    /// Where `offset` is, for a message about `key`.
    pub(super) fn place(&self, key: String, offset: usize) -> Place {
        Place { key, line: Some(self.line(offset)) }
    }

    /// Remembers where a key is written.
    pub(super) fn remember(&self, place: &Place) {
        if let Some(line) = place.line {
            self.lines.borrow_mut().insert(place.key.clone(), line);
        }
    }

    /// Where the keys are written that were read.
    pub(super) fn lines(&self) -> BTreeMap<String, usize> {
        self.lines.borrow().clone()
    }

    /// All errors in the order of their lines, or what was learnt.
    ///
    /// Where the file is not TOML, the parser recovers what it can. Then only mistakes in what is written count: what looks
    /// absent may be in the part that could not be read.
    pub(super) fn finish(self, syntax: &[TomlError]) -> Result<Findings, ConfigErrors> {
        let mut errors = self.syntax_errors(syntax);
        let unreadable: BTreeSet<_> = errors.iter().map(|error| error.line).collect();
        for mistake in self.mistakes.into_inner() {
            let is_readable = mistake.error.file.is_some() || !unreadable.contains(&mistake.error.line);
            let is_certain = unreadable.is_empty() || !mistake.is_absence && is_readable;
            if is_certain {
                errors.push(mistake.error);
            }
        }
        if !errors.is_empty() {
            errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(ConfigErrors { path: self.path.to_path_buf(), errors });
        }
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.line);
        Ok(Findings {
            warnings: warnings.iter().map(|warning| warning.in_file(self.path)).collect(),
            has_literal_secret: self.has_literal_secret.get(),
        })
    }

    /// The first of each line: what follows is mostly its echo. Only the bare message is used, since the rest of a
    /// [`TomlError`] quotes the line, and a secret may stand in it.
    fn syntax_errors(&self, syntax: &[TomlError]) -> Vec<ConfigError> {
        let mut found: Vec<_> = syntax.iter().map(|error| (error.span().map_or(0, |span| span.start), error.message())).collect();
        found.sort_by_key(|(offset, _)| *offset);
        found.dedup_by_key(|(offset, _)| self.line(*offset));
        let to_error = |(offset, message)| ConfigError {
            key: String::new(),
            line: Some(self.line(offset)),
            message: format!("not valid TOML at column {}: {message}", self.column(offset)),
            file: None,
        };
        found.into_iter().map(to_error).collect()
    }

    fn line(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }

    /// In characters, counted from 1.
    fn column(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.chars().rev().take_while(|c| *c != '\n').count() + 1
    }
}

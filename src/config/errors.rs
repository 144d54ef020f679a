//! What is wrong with a configuration: every mistake, with its key and line, and never with a secret's value.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigError {
    /// The file that it stands in, where that is another than the configuration's own: a sender's preset.
    pub file: Option<PathBuf>,
    /// The path of the key, such as `instance[0].password` (counted from 0). Empty where no key is concerned.
    pub key: String,
    /// Counted from 1; none where the file has no line for it, as with a missing table.
    pub line: Option<usize>,
    /// What is wrong and what to write instead; one line.
    pub message: String,
}

impl ConfigError {
    /// A mistake of the file as a whole.
    pub(super) fn of_file(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// `hookgate.toml:12: instance[1].password: …`, as compilers do, so that editors can jump there.
    pub(crate) fn in_file(&self, path: &Path) -> String {
        let mut text = self.file.as_deref().unwrap_or(path).display().to_string();
        if let Some(line) = self.line {
            text.push_str(&format!(":{line}"));
        }
        if !self.key.is_empty() {
            text.push_str(&format!(": {}", self.key));
        }
        format!("{text}: {}", self.message)
    }
}

/// Every mistake of one file, in the order of its lines; those without a line come first. `Display` prints one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Never empty.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&error.in_file(&self.path))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_with_file_line_and_key() {
        let errors = ConfigErrors {
            path: "etc/hookgate.toml".into(),
            errors: vec![
                ConfigError::of_file("cannot be read"),
                ConfigError { key: "instance".into(), message: "is missing".into(), ..ConfigError::default() },
                ConfigError { key: "instance[1].password".into(), line: Some(12), message: "is empty".into(), file: None },
                ConfigError { file: Some("etc/senders/own.toml".into()), key: "map.name".into(), line: Some(3), message: "is bad".into() },
            ],
        };
        let want = "etc/hookgate.toml: cannot be read\n\
                    etc/hookgate.toml: instance: is missing\n\
                    etc/hookgate.toml:12: instance[1].password: is empty\n\
                    etc/senders/own.toml:3: map.name: is bad";
        assert_eq!(errors.to_string(), want);
    }
}

//! `[store]`: where incidents are kept, and for how long.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Section;
use super::units;

/// The keys of `[store]`.
pub(super) const KEYS: &[&str] = &["url", "retention", "samples"];

/// Beside the configuration.
const DEFAULT_FILE: &str = "hookgate.db";
/// Enough to see what a sender's events have in common.
const DEFAULT_SAMPLES: u32 = 20;
/// All samples of an instance are read at once.
const SAMPLES: RangeInclusive<u64> = 0..=1000;
/// A second is for trying it out. A hundred years keep the arithmetic of timestamps safe.
const RETENTION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    /// The database file; absolute.
    pub path: PathBuf,
    /// None: kept for ever.
    pub retention: Option<Duration>,
    /// Samples kept for each instance that keeps any.
    pub samples: u32,
}

/// Reads `[store]`.
pub(super) fn read(section: &Section<'_>) -> Store {
    let folder = &section.context.folder;
    let samples = section.take("samples", |value| units::number(value, SAMPLES));
    Store {
        path: section.take("url", |value| sqlite_path(super::reader::string(value)?, folder)).unwrap_or_else(|| folder.join(DEFAULT_FILE)),
        retention: section.take("retention", |value| units::duration(value, RETENTION)),
        samples: samples.map_or(DEFAULT_SAMPLES, |samples| u32::try_from(samples).expect("the upper bound fits")),
    }
}

/// The file of `sqlite:relative.db`, `sqlite:/absolute.db` or `sqlite:///absolute.db`. Another URL is not repeated in the
/// error: it might hold a password.
fn sqlite_path(url: &str, folder: &Path) -> Result<PathBuf, String> {
    const USAGE: &str = "write \"sqlite:hookgate.db\" or \"sqlite:/var/lib/hookgate/hookgate.db\"";
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(format!("only SQLite is supported: {USAGE}"));
    };
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(format!("names a host, and SQLite has none: {USAGE}")),
        None => path,
    };
    if path.is_empty() || path.ends_with('/') || path.starts_with(':') {
        return Err(format!("must name a file: {USAGE}"));
    }
    if path.contains(['?', '#', '\0']) {
        return Err(format!("options are not supported: {USAGE}"));
    }
    Ok(folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_from_the_folder_of_the_configuration() {
        for (url, want) in [
            ("sqlite:hookgate.db", "/etc/hookgate/hookgate.db"),
            ("sqlite:../data/h.db", "/etc/hookgate/../data/h.db"),
            ("sqlite:/var/lib/h.db", "/var/lib/h.db"),
            ("sqlite:///var/lib/h.db", "/var/lib/h.db"),
        ] {
            assert_eq!(sqlite_path(url, Path::new("/etc/hookgate")).unwrap(), Path::new(want), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for url in [
            "",
            "hookgate.db",
            "SQLITE:x",
            "postgres://user:s3cret@host/db",
            "sqlite:",
            "sqlite:dir/",
            "sqlite::memory:",
            "sqlite://host/x.db",
            "sqlite:x.db?mode=ro&key=s3cret",
            "sqlite:x\0.db",
        ] {
            let error = sqlite_path(url, Path::new("/")).unwrap_err();
            assert!(error.contains("sqlite:hookgate.db") && !error.contains("s3cret"), "{url}: {error}");
        }
    }
}

//! `check`: would the gateway start with this configuration?

use std::io::Write;
use std::path::Path;

use super::output::{self, note};
use crate::config::{self, Access, Config, ConfigError, ConfigErrors, Instance};
use crate::store::Reader;

/// Check the configuration and what it points to; starts and changes nothing
///
/// Prints every error with its key and line and exits with 78 if there is one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookgate check --config /etc/hookgate/hookgate.toml && systemctl reload hookgate")]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self, path: &Path) -> anyhow::Result<()> {
        let config = Config::load(path)?;
        for warning in &config.warnings {
            note(&format!("warning: {warning}"));
        }
        let mut errors = config::check_files(&config);
        if let Err(message) = check_store(&config.store.path) {
            errors.push(ConfigError { key: STORE.into(), line: config.line(STORE), message });
        }
        if !errors.is_empty() {
            return Err(ConfigErrors { path: config.path, errors }.into());
        }
        let mut out = output::stdout();
        summarise(&mut out, &config)?;
        Ok(out.flush()?)
    }
}

/// The key of the store's file.
const STORE: &str = "store.url";

/// Whether a store that exists is one, without creating, migrating or locking it: a gateway may be running.
/// Whether its file can be written is [`config::check_files`]'s to say.
fn check_store(file: &Path) -> Result<(), String> {
    if !file.is_file() {
        return Ok(());
    }
    Reader::open(file).map(drop).map_err(|error| format!("{} cannot be opened as a store: {error}", file.display()))
}

fn summarise(out: &mut impl Write, config: &Config) -> std::io::Result<()> {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    writeln!(out, "{}: the configuration is valid", config.path.display())?;
    for address in &config.server.listen {
        writeln!(out, "  entrance  {scheme}://{address}/instance/execute/<name>")?;
    }
    for instance in &config.instances {
        writeln!(out, "  instance  {}: {}", instance.name, describe(instance))?;
    }
    if let Some(admin) = &config.admin {
        writeln!(out, "  admin     http://{}/", admin.listen)?;
    }
    writeln!(out, "  store     {}", config.store.path.display())
}

fn describe(instance: &Instance) -> String {
    let access = match &instance.access {
        Access::Open => "NO credentials".to_owned(),
        Access::Basic { .. } => "Basic credentials".to_owned(),
        Access::Header { name, .. } => format!("header {name}"),
    };
    match instance.listen {
        Some(address) => format!("{access}, also POST / on {address}"),
        None => access,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_there_yet_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hookgate.db");
        assert_eq!(check_store(&file), Ok(()));
        assert!(!file.exists(), "checking creates nothing");
    }

    #[test]
    fn another_file_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "not a database, and long enough to be asked what it is".repeat(100)).unwrap();
        assert!(check_store(&text).unwrap_err().contains("cannot be opened"));
    }
}

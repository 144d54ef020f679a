//! `backup`: a consistent copy of the store.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{output, store};

/// Copy the store to a new file, consistent while the gateway runs
///
/// The copy is a complete store of its own: to restore it, stop the gateway and put the file in the store's place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookgate backup /var/backups/hookgate-$(date +%F).db")]
pub(super) struct Args {
    /// The new file; one that exists is never overwritten
    file: PathBuf,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let reader = store::open(config)?;
        let file = self.file.display();
        reserve(&self.file)?;
        let copied = reader.backup(&self.file);
        if copied.is_err() {
            // Half a copy must not be taken for one. It is ours: `reserve` made it.
            let _ = fs::remove_file(&self.file);
        }
        copied.with_context(|| format!("cannot copy the store to {file}"))?;
        let bytes = fs::metadata(&self.file).with_context(|| format!("cannot look at {file}"))?.len();
        let mut out = output::stdout();
        writeln!(out, "{file}: {bytes} bytes")?;
        Ok(out.flush()?)
    }
}

/// Creates the file, empty and for the owner alone; SQLite takes an empty file for an empty database.
fn reserve(file: &Path) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists and is not overwritten: choose another name", file.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot create {}", file.display())),
    }
}

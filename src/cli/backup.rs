//! `backup`: a consistent copy of the store.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{background, output, store};

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
        background::step_back();
        store::open(config)?.backup(&self.file)?;
        let file = self.file.display();
        let bytes = fs::metadata(&self.file).with_context(|| format!("cannot look at {file}"))?.len();
        let mut out = output::stdout();
        writeln!(out, "{file}: {bytes} bytes")?;
        Ok(out.flush()?)
    }
}

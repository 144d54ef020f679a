//! `verify`: is what is stored what was stored?

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::{background, output, store};
use crate::store::{Reader, Verification};

/// Read the whole store and check that it is undamaged
///
/// Checks the database's structure, the checksum of every incident and what refers to it. Changes nothing, and may run beside the
/// gateway. Prints what is wrong and exits with 1 if anything is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate verify\n  hookgate verify /var/backups/hookgate-2026-02-11.db")]
pub(super) struct Args {
    /// Another store, such as a backup, in place of the configured one
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        background::step_back();
        let reader = match &self.file {
            Some(file) => Reader::open(file)?,
            None => store::open(config)?,
        };
        let found = reader.verify()?;
        let mut out = output::stdout();
        report(&mut out, &found)?;
        out.flush()?;
        if !found.is_clean() {
            bail!("the store is damaged: restore a backup; `hookgate incidents export` writes out what comes before the damage");
        }
        Ok(())
    }
}

fn report(out: &mut impl Write, found: &Verification) -> std::io::Result<()> {
    writeln!(out, "incidents whole    {} ({} bytes)", found.whole, found.bytes)?;
    writeln!(out, "incidents damaged  {}", found.damaged)?;
    found.faults.iter().try_for_each(|fault| writeln!(out, "fault: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_one_a_line() {
        let mut out = Vec::new();
        let found = Verification { whole: 2, bytes: 10, damaged: 1, faults: vec!["incident x is damaged".into(), "a page".into()] };
        report(&mut out, &found).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "incidents whole    2 (10 bytes)\nincidents damaged  1\nfault: incident x is damaged\nfault: a page\n");
    }
}

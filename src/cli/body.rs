//! A body that a person hands to a command.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use anyhow::Context;

use super::output::note;

/// Reads the file, or standard input when it is absent or `-`.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    match file {
        Some(file) if file != Path::new("-") => {
            let read = File::open(file).and_then(|mut file| file.read_to_end(&mut body));
            read.with_context(|| format!("cannot read {}", file.display()))?;
        }
        _ => {
            if io::stdin().is_terminal() {
                note("reading the body from the terminal; Ctrl-D ends it");
            }
            io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
        }
    }
    Ok(body)
}

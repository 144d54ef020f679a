//! `completions`: what a shell needs to complete commands and flags.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, output};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate completions bash > /etc/bash_completion.d/hookgate\n  \
                        hookgate completions zsh > ~/.zfunc/_hookgate")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        // Into memory first: clap_complete panics where it cannot write, and a pipe may be closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hookgate", &mut script);
        let mut out = output::stdout();
        out.write_all(&script)?;
        Ok(out.flush()?)
    }
}

//! The command line: one file a command.
//!
//! Commands print their result on standard output, everything else on standard error, and return an error that says what to
//! do next. What a sender chose is escaped before it reaches a terminal.

mod background;
mod backup;
mod body;
mod cert;
mod check;
mod client;
mod completions;
mod entrance;
mod hash_password;
mod incidents;
mod live;
mod map;
mod output;
mod pretty;
mod quickstart;
mod samples;
mod send;
mod senders;
mod serve;
mod store;
mod table;
mod terminal;
mod times;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::config::ConfigErrors;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Could not be done.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong: `EX_CONFIG` of sysexits.h.
    BadConfiguration = 78,
}

/// A self-hosted webhook receiver: what got a 200 is on stable storage, and nobody gets in who does not belong.
#[derive(Debug, Parser)]
#[command(
    name = "hookgate",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:\n  hookgate quickstart                     a first gateway in this directory\n  \
                  hookgate serve --config /etc/hookgate/hookgate.toml\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration."
)]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "hookgate.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Serve(serve::Args),
    Check(check::Args),
    Send(send::Args),
    Incidents(incidents::Args),
    Samples(samples::Args),
    Senders(senders::Args),
    Map(map::Args),
    HashPassword(hash_password::Args),
    Cert(cert::Args),
    Backup(backup::Args),
    Verify(verify::Args),
    Completions(completions::Args),
}

impl Command {
    fn run(self, config: &Path) -> anyhow::Result<()> {
        match self {
            Self::Quickstart(args) => args.run(config),
            Self::Serve(args) => args.run(config),
            Self::Check(args) => args.run(config),
            Self::Send(args) => args.run(config),
            Self::Incidents(args) => args.run(config),
            Self::Samples(args) => args.run(config),
            Self::Senders(args) => args.run(config),
            Self::Map(args) => args.run(config),
            Self::HashPassword(args) => args.run(),
            Self::Cert(args) => args.run(config),
            Self::Backup(args) => args.run(config),
            Self::Verify(args) => args.run(config),
            Self::Completions(args) => args.run(),
        }
    }
}

/// Runs the command that the process was started with; what went wrong is on standard error when it returns.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that go to standard output; a closed one is nobody's loss.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match cli.command.run(&cli.config) {
        Ok(()) => Exit::Done,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        // `hookgate incidents export | head`: the reader has what it wanted.
        return Exit::Done;
    }
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        output::note(&errors.to_string());
        return Exit::BadConfiguration;
    }
    output::note(&format!("error: {}", with_causes(error)));
    Exit::Failed
}

/// The error and its causes, each once: some errors already repeat their cause in their own text.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("disk on fire");
        let error = anyhow::Error::new(cause()).context("cannot read a");
        assert_eq!(with_causes(&error), "cannot read a: disk on fire");
        let error = anyhow::Error::new(cause()).context("cannot read a: disk on fire");
        assert_eq!(with_causes(&error), "cannot read a: disk on fire");
    }

    #[test]
    fn every_command_shows_an_example() {
        fn visit(command: &clap::Command) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
            command.get_subcommands().for_each(visit);
        }
        visit(&Cli::command());
    }
}

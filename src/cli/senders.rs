//! `senders`: what is known about third-party products.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::output::stdout;
use super::table;
use super::terminal;
use crate::config::{Config, Preset};

/// List the senders whose signature, handshake and events are known: what `sender = "…"` may name
///
/// With a configuration file, those of its `senders_dir` as well.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  hookgate senders\n  hookgate senders --json | jq -r '.[].name'\n  hookgate senders show github"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a preset: the starting point for one of your own
    ///
    /// Kept in the folder that `senders_dir` names, a file of the same name takes the place of the built-in one.
    #[command(after_help = "Example:\n  hookgate senders show github > senders/github.toml")]
    Show {
        /// The preset
        name: String,
    },
}

/// A preset as programs read it.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    title: &'a str,
    verifies: &'a str,
    dedups: &'a str,
    confidence: &'a str,
    page: &'a str,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let presets = Config::load_presets(config)?;
        match self.command {
            Some(Command::Show { name }) => show(&presets, &name),
            None if self.json => print_json(&presets),
            None => print_table(&presets),
        }
    }
}

fn show(presets: &[Preset], name: &str) -> anyhow::Result<()> {
    let preset = presets.iter().find(|preset| preset.name == name).with_context(|| {
        let names: Vec<_> = presets.iter().map(|preset| preset.name.as_str()).collect();
        format!("no sender is named {name:?}; there are: {}", names.join(", "))
    })?;
    let mut out = stdout();
    write!(
        out,
        "# The preset {name:?}. An instance uses it with `sender = {name:?}`, and every key of its own overrides it. Kept as {name}.toml in\n\
         # the folder that `senders_dir` under [server] names, this file takes the place of the built-in one.\n\n"
    )?;
    out.write_all(preset.text.as_bytes())?;
    Ok(out.flush()?)
}

fn print_json(presets: &[Preset]) -> anyhow::Result<()> {
    let mut out = stdout();
    serde_json::to_writer_pretty(&mut out, &presets.iter().map(line).collect::<Vec<_>>())?;
    writeln!(out)?;
    Ok(out.flush()?)
}

fn print_table(presets: &[Preset]) -> anyhow::Result<()> {
    let row = |preset: &Preset| [&preset.name, &preset.verifies, &preset.dedups, &preset.page].map(String::clone);
    let rows: Vec<_> = presets.iter().map(row).collect();
    let mut out = stdout();
    out.write_all(table::render(["sender", "verifies", "dedups", "vendor page"], &rows, terminal::width(), &[]).as_bytes())?;
    Ok(out.flush()?)
}

fn line(preset: &Preset) -> Line<'_> {
    Line {
        name: &preset.name,
        title: &preset.title,
        verifies: &preset.verifies,
        dedups: &preset.dedups,
        confidence: preset.confidence.word(),
        page: &preset.page,
    }
}

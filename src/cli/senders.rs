//! `senders`: what is known about third-party products.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::output::{note, stdout};
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
        if let Some(Command::Show { name }) = self.command {
            // A shell that is to put the preset into its own file has emptied that before we look.
            let (presets, found) = Config::survey_presets(config)?;
            found.iter().for_each(|found| note(&format!("warning: {found}")));
            return show(&presets, &name);
        }
        let presets = Config::load_presets(config)?;
        if self.json { print_json(&presets) } else { print_table(&presets) }
    }
}

/// How the comment on top of what is shown begins and ends.
const SHOWN_BEGINS: &str = "# The preset ";
const SHOWN_ENDS: &str = "takes the place of the built-in one.\n\n";

/// A preset that was shown once has that comment already.
fn without_top(text: &str) -> &str {
    let rest = text.strip_prefix(SHOWN_BEGINS).and_then(|text| text.split_once(SHOWN_ENDS));
    rest.map_or(text, |(_, rest)| rest)
}

fn show(presets: &[Preset], name: &str) -> anyhow::Result<()> {
    let preset = presets.iter().find(|preset| preset.name == name).with_context(|| {
        let names: Vec<_> = presets.iter().map(|preset| preset.name.as_str()).collect();
        format!("no sender is named {name:?}; there are: {}", names.join(", "))
    })?;
    let mut out = stdout();
    write!(
        out,
        "{SHOWN_BEGINS}{name:?}. An instance uses it with `sender = {name:?}`, and every key of its own overrides it. Kept as {name}.toml in\n\
         # the folder that `senders_dir` under [server] names, this file {SHOWN_ENDS}"
    )?;
    out.write_all(without_top(&preset.text).as_bytes())?;
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

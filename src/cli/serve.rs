//! `serve`: the gateway, until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::anyhow;
use clap::ValueEnum;
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::app::{BoundAddress, Gateway, StartError};
use crate::config::{self, Config};
use crate::log;

/// Run the gateway until SIGTERM or SIGINT
///
/// Prints every address that is listened on. The log goes to standard error. SIGHUP reloads the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookgate serve --config /etc/hookgate/hookgate.toml --log-format json")]
pub(super) struct Args {
    #[command(flatten)]
    log: LogOptions,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        serve(&Config::load(config)?, &self.log, |_| String::new())
    }
}

/// What stands above the configuration's `[log]`.
#[derive(Debug, clap::Args)]
pub(super) struct LogOptions {
    /// How log lines look [default: `format` under [log]]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// The least severe lines to log: error, warn, info, debug or trace [default: `level` under [log]]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Text on a terminal, else JSON
    Auto,
    Text,
    Json,
}

impl LogOptions {
    fn start(&self, config: &config::Log) {
        let format = match (self.log_format, config.format) {
            (Some(Format::Text), _) | (None, config::LogFormat::Text) => log::Format::Text,
            (Some(Format::Json), _) | (None, config::LogFormat::Json) => log::Format::Json,
            (Some(Format::Auto), _) | (None, config::LogFormat::Auto) if io::stderr().is_terminal() => log::Format::Text,
            _ => log::Format::Json,
        };
        let level = self.log_level.map_or_else(|| config.level.parse().unwrap_or(LevelFilter::INFO), LevelFilter::from_level);
        log::init(format, level);
    }
}

/// Binds, prints the addresses and what `greeting` makes of them, and serves.
pub(super) fn serve(config: &Config, log: &LogOptions, greeting: impl FnOnce(&[BoundAddress]) -> String) -> anyhow::Result<()> {
    log.start(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let gateway = Gateway::bind(config).map_err(|error| explain(error, config))?;
    let signals = gateway.catch_signals()?;
    let addresses = gateway.addresses();
    announce(&addresses, &greeting(&addresses));
    Ok(gateway.run_until_signal(signals)?)
}

/// A gateway does not end because nobody reads its standard output: errors here are let go.
fn announce(addresses: &[BoundAddress], greeting: &str) {
    let mut text = String::new();
    for BoundAddress { what, url, .. } in addresses {
        text.push_str(&format!("listening on {url} ({what})\n"));
    }
    text.push_str(greeting);
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Adds what to do about an address that cannot be had.
fn explain(error: StartError, config: &Config) -> anyhow::Error {
    let (what, source) = match &error {
        StartError::Bind { what, source, .. } => (what, source),
        // As the mistakes in the file itself, with the same exit code.
        StartError::Certificates(errors) => return errors.clone().into(),
        _ => return error.into(),
    };
    let file = config.path.display();
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program, or another gateway, listens there: change {what} in {file}, or stop that program (`ss -ltnp` shows it)"
            )
        }
        io::ErrorKind::AddrNotAvailable => format!("this machine has no such address: change {what} in {file}"),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): grant it, or change {what} in {file}")
        }
        _ => format!("change {what} in {file}"),
    };
    anyhow!("{error}\n{advice}")
}

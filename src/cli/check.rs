//! `check`: would the gateway start with this configuration?

use std::io::Write;
use std::path::Path;

use super::live;
use super::output::{self, note};
use crate::app;
use crate::config::{self, Access, Config, ConfigError, ConfigErrors, Instance};
use crate::store;

/// Check the configuration and what it points to; starts and changes nothing
///
/// Prints every error with its key and line and exits with 78 if there is one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hookgate check --config /etc/hookgate/hookgate.toml && systemctl reload hookgate\n  hookgate check --live"
)]
pub(super) struct Args {
    /// Ask the running gateway instead whether it could store an event now; for health checks
    #[arg(long)]
    live: bool,
}

impl Args {
    pub(super) fn run(self, path: &Path) -> anyhow::Result<()> {
        if self.live {
            return live::check(&Config::load(path)?);
        }
        let (config, mut errors) = match Config::load(path) {
            Ok(config) => (config, Vec::new()),
            // What is right of it is looked at all the same, so that one run says everything.
            Err(_) => Config::survey(path)?,
        };
        for warning in &config.warnings {
            note(&format!("warning: {warning}"));
        }
        let certificates = app::inspect_certificates(&config, chrono::Utc::now());
        for warning in &certificates.doubtful {
            note(&format!("warning: {}", warning.in_file(path)));
        }
        errors.extend(config::check_files(&config));
        errors.extend(certificates.unusable);
        errors.extend(certificates.invalid);
        let is_usable = errors.iter().all(|error| !error.key.is_empty() && error.key != STORE);
        if is_usable && let Err(error) = store::check(&config.store.path) {
            errors.push(ConfigError { key: STORE.into(), line: config.line(STORE), message: error.to_string(), file: None });
        }
        if !errors.is_empty() {
            errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(ConfigErrors { path: config.path, errors }.into());
        }
        let mut out = output::stdout();
        summarise(&mut out, &config)?;
        Ok(out.flush()?)
    }
}

/// The key of the store's file.
const STORE: &str = "store.url";

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
        Access::Open => None,
        Access::Basic { .. } => Some("Basic credentials".to_owned()),
        Access::Header { name, .. } => Some(format!("header {name}")),
    };
    let sender = &instance.sender;
    let signature = (!sender.signing.signatures.is_empty()).then(|| "signature".to_owned());
    let token = sender.path_token.as_ref().map(|_| "path token".to_owned());
    let proofs: Vec<_> = [access, signature, token].into_iter().flatten().collect();
    let access = if proofs.is_empty() { "NO credentials".to_owned() } else { proofs.join(" and ") };
    let access = sender.preset.iter().fold(access, |access, preset| format!("{preset}, {access}"));
    let Some(address) = instance.listen else { return access };
    let path = match &sender.path_token {
        Some(_) => format!("/instance/execute/{}/<path token>", instance.name),
        None => "/".to_owned(),
    };
    let certificate = if instance.tls.is_some() { " with a certificate of its own" } else { "" };
    format!("{access}, also POST {path} on {address}{certificate}")
}

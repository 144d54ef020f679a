//! `check --live`: could the running gateway store an event now?

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::client::{self, Introduction, Question};
use super::entrance::reachable;
use super::output;
use crate::config::Config;

/// A probe that gets no answer for so long has one: no. Container health checks give up after 5 s or later.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks `/readyz` of the configured admin listener; needs no token and changes nothing.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let admin = config.admin.as_ref().context("the admin listener is what is asked, and there is none: add a table [admin]")?;
    if admin.listen.port() == 0 {
        bail!("the port of admin.listen is 0, so only the running gateway knows it: configure one");
    }
    let address = SocketAddr::new(reachable(admin.listen.ip()), admin.listen.port());
    let url: Uri = format!("http://{address}/readyz").parse().context("admin.listen")?;
    let question = Question { method: Method::GET, headers: HeaderMap::new(), body: Vec::new() };
    let answer = client::ask(&url, question, Introduction::default(), PATIENCE)?;
    if answer.status != StatusCode::OK {
        bail!("{url} answered {}: {}", answer.status, answer.body.trim());
    }
    let mut out = output::stdout();
    writeln!(out, "ready")?;
    Ok(out.flush()?)
}

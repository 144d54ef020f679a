//! The second listener: health, metrics and the read API.
//!
//! It has a thread and a runtime of its own, so that it answers while the entrance is saturated. Everything but the two health
//! checks needs the bearer token. `server` accepts and drains, `guard` asks for the token, `api` has the routes, `query` reads
//! what is asked for, `answer` writes what is told. The API is described by `openapi.json`, which a test compares with what is
//! served.

mod answer;
mod api;
mod guard;
mod query;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use crate::metrics::Metrics;
use crate::rejections::Rejection;
use crate::secret::Secret;
use crate::senders::handshake::Pending;
use crate::store::Reader;

pub use server::Admin;

/// What the admin listener needs.
pub struct Options {
    /// Where to listen; port 0 takes any that is free, see [`Admin::address`].
    pub listen: SocketAddr,
    /// The bearer token.
    pub token: Secret,
    /// Where incidents and samples come from.
    pub reader: Reader,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// The running gateway.
    pub gateway: Arc<dyn Gateway>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// What the admin listener asks the running gateway. Called on the admin runtime: must not block.
pub trait Gateway: Send + Sync + 'static {
    /// Every instance, in the order of the configuration.
    fn instances(&self) -> Vec<InstanceInfo>;
    /// The last refused requests of an instance, newest first; none if there is no such instance.
    fn rejections(&self, instance: &str) -> Option<Vec<Rejection>>;
    /// Whether an event could be stored now, or the reason why not, for the log.
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// An instance as the admin API shows it: its rules, and nothing that lets anybody in.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceInfo {
    /// As configured.
    pub name: String,
    /// Where senders reach it.
    pub urls: Vec<String>,
    /// The headers by which senders prove who they are: `basic`, `header` or `none`.
    pub auth: &'static str,
    /// The preset.
    pub sender: Option<String>,
    /// Whether bodies are signed.
    pub signature: bool,
    /// Whether the address ends with a token.
    pub path_token: bool,
    /// The `type` of incidents whose sender gives none.
    pub incident_type: Option<String>,
    /// Whether samples are kept.
    pub store_samples: bool,
    /// Paths whose first present value makes two events the same.
    pub duplication_key: Vec<String>,
    /// For how long.
    pub duplication_window_seconds: u64,
    /// Longer silence than this is worth a warning.
    pub expect_every_seconds: Option<u64>,
    /// Whether it has been silent for longer than that; none where it may be.
    pub silent: Option<bool>,
    /// When an event was last accepted; like all times here, RFC 3339 in UTC.
    pub last_event: Option<String>,
    /// When a request was last refused.
    pub last_refusal: Option<String>,
    /// When `password` last let somebody in.
    pub password_last_used: Option<String>,
    /// When `password_next` last let somebody in.
    pub password_next_last_used: Option<String>,
    /// What the sender waits for a person to do.
    pub pending: Option<Pending>,
}

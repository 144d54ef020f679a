//! The entrance: everything between a connection and an answer.
//!
//! [`Entrance::serve`] takes one accepted connection; `ingest` is the order of checks, readable top to bottom; `error` is the
//! one place that picks a status.

mod answer;
mod body;
mod connection;
mod early;
mod error;
mod framing;
mod ingest;
mod request_id;
mod route;
mod shares;
mod stall;
mod timer;
mod traffic;
mod vouched;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::activity::{Activity, Moment, Tally};
use crate::auth::{Access, Throttle, Verifier};
use crate::incident::Timestamp;
use crate::intake::Rules;
use crate::log::Quota;
use crate::metrics::{InstanceLabel, Metrics, RequestLabels};
use crate::rejections::Rejections;
use body::Budget;
pub use connection::{Protocol, Serving, Visit};
use request_id::RequestIds;
pub use route::Door;
use shares::Shares;
pub use timer::CoarseTimer;
pub use traffic::Traffic;

/// Limits of the entrance as a whole.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one body, before and after unpacking.
    pub max_body: u64,
    /// Bytes of all bodies that are not answered yet.
    pub max_body_in_flight: u64,
    /// For a request's head to arrive, and for an idle connection to send another.
    pub header_timeout: Duration,
    /// For a body to arrive.
    pub body_timeout: Duration,
    /// Requests of one client that are answered at once, where it comes by a trusted proxy and connections are not its own.
    pub max_requests_per_client: usize,
    /// Failed logins a minute, per address and instance; 0 switches the throttle off.
    pub failed_logins_per_minute: u32,
    /// Who may say in X-Forwarded-For whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
}

/// One named entrance, ready to serve.
#[derive(Debug)]
pub struct Instance {
    name: Arc<str>,
    access: Access,
    asks_for_basic: bool,
    allow_from: Option<Vec<IpNet>>,
    secret_header: Option<HeaderName>,
    rules: Rules,
    keep_samples: bool,
    duplication_window: Duration,
    /// Answers of 200; looked up once.
    ok: Counter,
    dropped: Counter,
    filter_failures: Counter,
    tally: Arc<Tally>,
    password_uses: PasswordUses,
}

/// When `password` and when `password_next` last let somebody in.
pub type PasswordUses = [Arc<Moment>; 2];

/// What an [`Instance`] is made of.
#[derive(Debug)]
pub struct InstanceOptions {
    /// As in the URL.
    pub name: Arc<str>,
    /// Made by the same [`Verifier`] that the [`Entrance`] uses.
    pub access: Access,
    /// Whether a 401 carries `WWW-Authenticate: Basic`.
    pub asks_for_basic: bool,
    /// Where senders may be; none: anywhere.
    pub allow_from: Option<Vec<IpNet>>,
    /// The header that holds the secret, kept out of incidents and rejections.
    pub secret_header: Option<HeaderName>,
    /// From bytes to incidents.
    pub rules: Rules,
    /// Whether stored incidents are kept as samples.
    pub keep_samples: bool,
    /// How long a duplication key is remembered.
    pub duplication_window: Duration,
    /// Where its use is noted; the same again after a reload.
    pub activity: Arc<Activity>,
    /// Likewise for each password, as long as it is the same password.
    pub password_uses: PasswordUses,
}

impl Instance {
    /// An instance whose counters live in `metrics`.
    pub fn new(options: InstanceOptions, metrics: &Metrics) -> Self {
        let label = InstanceLabel { instance: options.name.to_string() };
        let ok = RequestLabels { instance: label.instance.clone(), status: 200 };
        Self {
            ok: metrics.requests.get_or_create(&ok).clone(),
            dropped: metrics.dropped.get_or_create(&label).clone(),
            filter_failures: metrics.filter_failures.get_or_create(&label).clone(),
            tally: Arc::new(Tally {
                incidents: metrics.incidents.get_or_create(&label).clone(),
                duplicates: metrics.duplicates.get_or_create(&label).clone(),
                activity: options.activity,
            }),
            name: options.name,
            access: options.access,
            asks_for_basic: options.asks_for_basic,
            allow_from: options.allow_from,
            secret_header: options.secret_header,
            rules: options.rules,
            keep_samples: options.keep_samples,
            duplication_window: options.duplication_window,
            password_uses: options.password_uses,
        }
    }

    /// What is known of its use.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.tally.activity
    }

    /// When its passwords were last used.
    pub fn password_uses(&self) -> &PasswordUses {
        &self.password_uses
    }

    /// Whether a sender may be at this address.
    fn allows(&self, peer: IpAddr) -> bool {
        self.allow_from.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(&peer)))
    }
}

/// What the configuration says about the entrance; replaced as a whole.
#[derive(Debug)]
pub struct Site {
    /// By name.
    pub instances: HashMap<Arc<str>, Arc<Instance>>,
    /// For all of them.
    pub limits: Limits,
}

/// The entrance: shared by all connections.
pub struct Entrance {
    site: ArcSwap<Site>,
    verifier: Arc<Verifier>,
    throttle: Throttle,
    budget: Arc<Budget>,
    shares: Shares,
    last_call: watch::Sender<bool>,
    log_quota: Quota,
    metrics: Arc<Metrics>,
    rejections: Arc<Rejections>,
    request_ids: RequestIds,
}

impl Entrance {
    /// An entrance that lets nobody in yet but those of `site`.
    pub fn new(site: Site, verifier: Arc<Verifier>, metrics: Arc<Metrics>, rejections: Arc<Rejections>) -> Self {
        Self {
            throttle: Throttle::new(site.limits.failed_logins_per_minute),
            budget: Budget::new(site.limits.max_body_in_flight, metrics.body_in_flight.clone()),
            shares: Shares::default(),
            last_call: watch::Sender::new(false),
            log_quota: Quota::default(),
            site: ArcSwap::from_pointee(site),
            verifier,
            metrics,
            rejections,
            request_ids: RequestIds::new(Timestamp::now()),
        }
    }

    /// What the configuration says now.
    pub fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// From here on new requests go by `site`. Those in flight end as they began; connections stay open.
    pub fn set_site(&self, site: Site) {
        self.throttle.set_rate(site.limits.failed_logins_per_minute);
        self.budget.set_limit(site.limits.max_body_in_flight);
        self.site.store(Arc::new(site));
    }

    /// The gateway is about to end: whose body is not there yet is told to come back.
    pub fn make_last_call(&self) {
        self.last_call.send_replace(true);
    }
}

impl Entrance {
    /// Whether this is a proxy whose word on its clients counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.site.load().limits.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").finish_non_exhaustive()
    }
}

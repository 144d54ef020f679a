//! The entrance: everything between a connection and an answer.
//!
//! [`Entrance::serve`] takes one accepted connection; `ingest` is the order of checks, readable top to bottom; `error` is the
//! one place that picks a status.

mod admit;
mod answer;
mod attempt;
mod body;
mod budget;
mod connection;
mod early;
mod error;
mod framing;
mod greet;
mod ingest;
mod instance;
mod reading;
mod request_id;
mod route;
mod sending;
mod shares;
mod stall;
mod timer;
mod traffic;
mod turns;
mod vouched;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Method;
use ipnet::IpNet;
use tokio::sync::watch;

use crate::auth::{Throttle, Verifier};
use crate::incident::Timestamp;
use crate::log::Quota;
use crate::metrics::Metrics;
use crate::rejections::Rejections;
use crate::senders::fetch::{Fetcher, is_sns_host};
use budget::Budgets;
pub use connection::{Protocol, Serving, Visit};
pub use instance::{Instance, InstanceOptions, PasswordUses, Proof, Waiting};
use request_id::RequestIds;
pub use route::Door;
use shares::Shares;
pub use timer::CoarseTimer;
pub use traffic::Traffic;
use turns::Turns;

/// Of one address, at one instance. A new certificate is one; the fetcher asks for four a minute in all, after a burst.
const UNSEEN_KEYS_PER_MINUTE: u32 = 1;

/// Limits of the entrance as a whole.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one body, before and after unpacking.
    pub max_body: u64,
    /// Bytes of all bodies that are not answered yet; callers who are not verified yet have a quarter of it beside.
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

/// What the configuration says about the entrance; replaced as a whole.
#[derive(Debug)]
pub struct Site {
    /// By name.
    pub instances: HashMap<Arc<str>, Arc<Instance>>,
    /// For all of them.
    pub limits: Limits,
    /// Methods beside GET, HEAD and POST that mean something to one of the instances.
    methods: Vec<Method>,
}

impl Site {
    /// These instances under these limits.
    pub fn new(instances: HashMap<Arc<str>, Arc<Instance>>, limits: Limits) -> Self {
        let mut methods = Vec::new();
        for method in instances.values().flat_map(|instance| instance.further_methods()) {
            if !methods.contains(method) {
                methods.push(method.clone());
            }
        }
        Self { instances, limits, methods }
    }

    /// Whether a request of this method goes on to its credentials. For what is no instance it does as for those that are, so
    /// that the answer does not tell which there are.
    fn knows(&self, method: &Method) -> bool {
        [Method::POST, Method::GET, Method::HEAD].contains(method) || self.methods.contains(method)
    }
}

/// The entrance: shared by all connections.
pub struct Entrance {
    site: ArcSwap<Site>,
    verifier: Arc<Verifier>,
    throttle: Throttle,
    /// Keys never seen before that callers make us ask their owners for.
    unseen_keys: Throttle,
    budgets: Budgets,
    /// For those who have shown who they are before their body is read, and for the others.
    turns: [Turns; 2],
    shares: Shares,
    last_call: watch::Sender<bool>,
    log_quota: Quota,
    metrics: Arc<Metrics>,
    rejections: Arc<Rejections>,
    /// Visits what confirms a subscription, at Amazon and nowhere else.
    confirmations: Arc<Fetcher>,
    request_ids: RequestIds,
}

impl Entrance {
    /// An entrance that lets nobody in yet but those of `site`.
    pub fn new(site: Site, verifier: Arc<Verifier>, metrics: Arc<Metrics>, rejections: Arc<Rejections>) -> Self {
        Self {
            unseen_keys: Throttle::new(UNSEEN_KEYS_PER_MINUTE),
            throttle: Throttle::new(site.limits.failed_logins_per_minute),
            budgets: Budgets::new(&site.limits, &metrics.body_in_flight),
            turns: [Turns::of_proven(), Turns::of_unproven()],
            shares: Shares::default(),
            last_call: watch::Sender::new(false),
            log_quota: Quota::default(),
            site: ArcSwap::from_pointee(site),
            verifier,
            metrics,
            rejections,
            confirmations: Arc::new(Fetcher::new(is_sns_host)),
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
        self.budgets.set_limits(&site.limits);
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

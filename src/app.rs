//! The gateway as a whole: the only place, with `cli`, that knows all the parts and reads the configuration.
//!
//! Threads: the caller's thread accepts connections and waits for signals; one thread a core, each with a runtime of its
//! own, serves them; the store has its writer; the admin listener has its own thread, so that it answers when the others
//! cannot.

mod build;
mod certificates;
mod overview;
mod reception;
mod reload;
mod renewal;
mod silence;
mod systemd;
mod workers;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::admin::{self, Admin};
use crate::auth::Verifier;
use crate::config::{self, Config, ConfigErrors};
use crate::http::{Entrance, Site};
use crate::listener::{Permits, TlsError};
use crate::metrics::Metrics;
use crate::rejections::Rejections;
use crate::store::{self, OpenError, Store};
use build::Builder;
pub(crate) use build::rules;
pub use certificates::{CertificateReport, inspect_certificates};
use overview::Overview;
use reception::House;
use reload::{Keeper, Shown};
pub use reload::{ReloadError, Reloader};
use silence::Silence;
use systemd::Inherited;
use workers::Workers;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("{what}: cannot listen on {address}: {source}")]
    Bind {
        /// The configuration's key.
        what: String,
        /// As configured.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// What the service manager passed does not fit the configuration.
    #[error(transparent)]
    Inherit(#[from] systemd::InheritError),
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Certificates(ConfigErrors),
    /// A certificate or key changed under our hands.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An instance cannot be built from its configuration.
    #[error(transparent)]
    Build(#[from] build::BuildError),
    /// The system refused threads, descriptors or the like.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Why the gateway ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Going on could acknowledge what is not durable.
    #[error("the store failed and the gateway stops: {0}")]
    Store(Arc<str>),
}

/// One address that is listened on.
#[derive(Clone, Debug)]
pub struct BoundAddress {
    /// What answers there, such as `entrance`, `instance my_instance_01` or `admin`.
    pub what: String,
    /// The one instance that answers there, on a port of its own.
    pub instance: Option<String>,
    /// With the real port.
    pub address: SocketAddr,
    /// Where to post or look, with `<name>` where it differs by instance.
    pub url: String,
}

impl BoundAddress {
    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        let host = self.url.find("://").map_or(0, |scheme| scheme + 3);
        let end = self.url[host..].find('/').map_or(self.url.len(), |path| host + path);
        &self.url[..end]
    }
}

/// A gateway that listens but does not answer yet.
#[derive(Debug)]
pub struct Gateway {
    runtime: Runtime,
    workers: Workers,
    keeper: Keeper,
    stop: watch::Sender<bool>,
    store: Store,
}

impl Gateway {
    /// Opens the store and every listener. Nothing is left behind when a part fails.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let mut inherited = Inherited::take()?;
        raise_descriptor_limit();
        check_certificates(config)?;
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(store::Options {
            path: config.store.path.clone(),
            retention: config.store.retention,
            samples: config.store.samples,
            metrics: Arc::clone(&metrics),
        })?;
        let verifier = Arc::new(Verifier::new());
        let builder = Builder { verifier: Arc::clone(&verifier), metrics: Arc::clone(&metrics), reader: store.reader() };
        let loaded = reload::load(&builder, config.clone(), None)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let workers = Workers::start(&store)?;
        let rejections = Arc::new(Rejections::default());
        let overview = Arc::new(Overview::new(Arc::clone(&rejections), store.readiness()));
        let (stop, stopped) = watch::channel(false);
        let nobody = Site::new(HashMap::new(), loaded.limits().clone());
        let house = House {
            entrance: Arc::new(Entrance::new(nobody, verifier, Arc::clone(&metrics), Arc::clone(&rejections))),
            workers: Arc::new(workers.handles()),
            permits: Permits::new(build::permit_limits(&config.server), metrics.connections.clone()),
            stop: stopped,
        };
        let silence = Silence::new(Arc::clone(&metrics));
        let mut keeper = Keeper::new(config, builder, house, Shown { rejections, overview: Arc::clone(&overview), silence });
        runtime.block_on(async { keeper.take_over(loaded, &mut inherited) })?;
        inherited.finish()?;
        keeper.admin = config.admin.as_ref().map(|options| start_admin(options, &store, &metrics, overview)).transpose()?;
        Ok(Self { runtime, workers, keeper, stop, store })
    }

    /// Every address, the admin listener last.
    pub fn addresses(&self) -> Vec<BoundAddress> {
        let mut addresses = self.keeper.receptions.describe();
        if let Some(admin) = &self.keeper.admin {
            let address = admin.address();
            addresses.push(BoundAddress { what: "admin".into(), instance: None, address, url: format!("http://{address}/") });
        }
        addresses
    }

    /// Asks the gateway, once it runs, to read its configuration again.
    pub fn reloader(&self) -> Reloader {
        self.keeper.reloader()
    }

    /// From here on SIGTERM and SIGINT end [`Gateway::run_until_signal`] instead of the process, and SIGHUP reloads the
    /// configuration. To be called before anybody is told that the gateway is there, so that the first signal finds it ready.
    pub fn catch_signals(&self) -> io::Result<Signals> {
        self.runtime.block_on(async { Signals::new() })
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is in flight within `shutdown_grace`.
    pub fn run_until_signal(self, mut signals: Signals) -> Result<(), RunError> {
        let reloader = self.reloader();
        self.run_until(async move {
            while signals.recv().await == Signal::Hangup {
                reloader.request();
            }
        })
    }

    /// Serves until `end` is ready or the store fails for good.
    pub fn run_until(self, end: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self { runtime, workers, mut keeper, stop, store } = self;
        let failure = runtime.block_on(async {
            keeper.open();
            tokio::spawn(systemd::watchdog(Arc::clone(&keeper.house.workers)));
            systemd::ready();
            let failure = tokio::select! {
                () = end => None,
                message = store.fatal() => Some(message),
                never = keeper.keep() => match never {},
            };
            tracing::info!("stopping: finishing what is in flight");
            let shutdown_grace = keeper.config.server.shutdown_grace;
            systemd::stopping(shutdown_grace);
            stop.send_replace(true);
            keeper.house.drain(shutdown_grace).await;
            failure
        });
        workers.stop();
        if let Some(admin) = keeper.admin {
            admin.stop();
        }
        store.close();
        tracing::info!("stopped");
        failure.map_or(Ok(()), |message| Err(RunError::Store(message)))
    }
}

/// SIGTERM (service managers), SIGINT (Ctrl-C) and SIGHUP.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    has_terminal: bool,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    End,
    Hangup,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: io::stderr().is_terminal(),
        })
    }

    async fn recv(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            // From a terminal that was closed it means what it always meant: nobody is there any more.
            _ = self.hangup.recv() => if self.has_terminal && !io::stderr().is_terminal() { Signal::End } else { Signal::Hangup },
        }
    }
}

fn start_admin(options: &config::Admin, store: &Store, metrics: &Arc<Metrics>, overview: Arc<Overview>) -> Result<Admin, StartError> {
    let started = Admin::start(admin::Options {
        listen: options.listen,
        token: options.token.clone(),
        reader: store.reader(),
        metrics: Arc::clone(metrics),
        gateway: overview,
    });
    started.map_err(|source| StartError::Bind { what: "admin.listen".into(), address: options.listen, source })
}

/// Refuses certificates that no connection could be served with, and says what else is wrong with them. One that has expired
/// is no reason to stay down: some senders do not look at it, and the next one is picked up as soon as it is there.
fn check_certificates(config: &Config) -> Result<(), StartError> {
    let report = inspect_certificates(config, chrono::Utc::now());
    for error in report.invalid {
        tracing::error!("{}", error.in_file(&config.path));
    }
    for warning in report.doubtful {
        tracing::warn!("{}", warning.in_file(&config.path));
    }
    if report.unusable.is_empty() {
        return Ok(());
    }
    Err(StartError::Certificates(ConfigErrors { path: config.path.clone(), errors: report.unusable }))
}

/// A connection is a descriptor: the soft limit is often 1,024 where the hard one is far higher.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

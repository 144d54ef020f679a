//! Changing a running gateway: a new configuration, new certificates, without dropping a connection or a request.
//!
//! Everything that can fail is done first and changes nothing: reading, checking, building, binding. What follows cannot fail.
//! Requests that are in flight end by the rules they began with; connections that are open go on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::StartError;
use super::build::{self, Before, Builder};
use super::overview::Overview;
use super::reception::{House, Receptions};
use super::renewal::{Certificates, Renewal};
use super::silence::{Silence, Source};
use super::systemd::{self, Inherited};
use crate::admin::Admin;
use crate::config::{Config, ConfigErrors};
use crate::http::{Limits, Site};
use crate::incident::Timestamp;
use crate::metrics::{Metrics, ReloadLabel};
use crate::rejections::Rejections;

/// Between two looks at the files of certificates. New ones are in use after two looks.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(2);
/// Between two looks for quiet sources, and the exactness of `expect_every`.
const SILENCE_EVERY: Duration = Duration::from_secs(1);

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The file is right, but what it asks for cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A defect.
    #[error("reading the configuration failed: {0}")]
    Panicked(#[from] JoinError),
    /// The gateway does not run.
    #[error("the gateway does not run")]
    Stopped,
}

type Reply = oneshot::Sender<Result<(), ReloadError>>;

/// Asks a running gateway to read its configuration again.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Option<Reply>>);

impl Reloader {
    /// Asks without waiting. A request that finds another one waiting is the same request.
    pub fn request(&self) {
        // Full: somebody else's request is still to be looked at, and will find the newest file.
        let _ = self.0.try_send(None);
    }

    /// Asks, and waits for the outcome, which is in the log as well.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let (reply, outcome) = oneshot::channel();
        self.0.send(Some(reply)).await.map_err(|_| ReloadError::Stopped)?;
        outcome.await.unwrap_or(Err(ReloadError::Stopped))
    }
}

/// Everything that a reload changes, and what it takes to do so.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) config: Arc<Config>,
    pub(super) receptions: Receptions,
    pub(super) house: House,
    pub(super) admin: Option<Admin>,
    certificates: Certificates,
    builder: Builder,
    shown: Shown,
    orders: Orders,
}

/// What people are told of the instances.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) rejections: Arc<Rejections>,
    pub(super) overview: Arc<Overview>,
    pub(super) silence: Silence,
}

/// Both ends of the way from a [`Reloader`] to the [`Keeper`].
#[derive(Debug)]
struct Orders {
    sender: mpsc::Sender<Option<Reply>>,
    receiver: mpsc::Receiver<Option<Reply>>,
}

impl Default for Orders {
    fn default() -> Self {
        // One that waits is enough: it stands for all that come before it is looked at.
        let (sender, receiver) = mpsc::channel(1);
        Self { sender, receiver }
    }
}

/// A configuration and what was made of it.
#[derive(Debug)]
pub(super) struct Loaded {
    config: Config,
    site: Site,
    certificates: Certificates,
}

impl Loaded {
    pub(super) fn limits(&self) -> &Limits {
        &self.site.limits
    }
}

impl Keeper {
    /// A keeper of a house without instances and listeners; [`Keeper::take_over`] gives it some.
    pub(super) fn new(config: &Config, builder: Builder, house: House, shown: Shown) -> Self {
        Self {
            config: Arc::new(config.clone()),
            receptions: Receptions::default(),
            house,
            admin: None,
            certificates: Certificates::default(),
            builder,
            shown,
            orders: Orders::default(),
        }
    }

    pub(super) fn reloader(&self) -> Reloader {
        Reloader(self.orders.sender.clone())
    }

    /// Begins to accept connections. Must be called inside the runtime that the listeners were bound in.
    pub(super) fn open(&mut self) {
        self.receptions.open(&self.house);
    }

    /// Looks after the running gateway for as long as it is polled.
    pub(super) async fn keep(&mut self) -> Infallible {
        let (mut certificates, mut silence) = (interval(CERTIFICATES_EVERY), interval(SILENCE_EVERY));
        // After a pause of the whole machine one look is as good as many.
        certificates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(reply) = self.orders.receiver.recv() => {
                    let outcome = self.reload().await;
                    // Whoever asked may not have waited.
                    let _ = reply.map(|reply| reply.send(outcome));
                }
                _ = certificates.tick() => self.look_at_certificates().await,
                _ = silence.tick() => self.shown.silence.look(Instant::now()),
            }
        }
    }

    async fn reload(&mut self) -> Result<(), ReloadError> {
        systemd::reloading();
        let outcome = self.try_reload().await;
        systemd::ready();
        self.count(outcome.is_ok());
        if let Err(error) = &outcome {
            for line in error.to_string().lines() {
                tracing::error!("{line}");
            }
            tracing::error!(file = %self.config.path.display(), "not reloaded: the gateway goes on as before");
        }
        outcome
    }

    async fn try_reload(&mut self) -> Result<(), ReloadError> {
        let (builder, old, site) = (self.builder.clone(), Arc::clone(&self.config), self.house.entrance.site());
        let load = move || -> Result<Loaded, ReloadError> {
            let config = Config::load(&old.path)?;
            Ok(load(&builder, config, Some(Before { config: &old, site: &site }))?)
        };
        let mut loaded = spawn_blocking(load).await??;
        let waiting = keep_until_restart(&self.config, &mut loaded.config);
        self.take_over(loaded, &mut Inherited::default())?;
        self.open();
        self.say_what_changed(&waiting);
        Ok(())
    }

    /// Puts a configuration in force, or changes nothing.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub(super) fn take_over(&mut self, loaded: Loaded, inherited: &mut Inherited) -> Result<(), StartError> {
        let Loaded { config, site, certificates } = loaded;
        let plan = self.receptions.plan(&config, &certificates, inherited)?;
        // Nothing fails from here on.
        self.receptions.adopt(plan);
        self.house.permits.set_limits(build::permit_limits(&config.server));
        if let (Some(admin), Some(options)) = (&self.admin, &config.admin) {
            admin.set_token(&options.token);
        }
        let Shown { rejections, overview, silence } = &mut self.shown;
        rejections.set_instances(config.instances.iter().map(|instance| instance.name.as_str()));
        silence.watch(sources(&config, &site), Instant::now());
        overview.show(&config, &site, &self.receptions.describe());
        self.house.entrance.set_site(site);
        self.certificates = certificates;
        self.config = Arc::new(config);
        self.metrics().last_reload.set(Timestamp::now().0 / 1000);
        Ok(())
    }

    fn say_what_changed(&self, waiting: &[&str]) {
        for warning in &self.config.warnings {
            tracing::warn!("{warning}");
        }
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "changed in the configuration, and needs a restart to take effect");
        }
        tracing::info!(instances = self.config.instances.len(), file = %self.config.path.display(), "configuration reloaded");
    }

    async fn look_at_certificates(&mut self) {
        let mut certificates = std::mem::take(&mut self.certificates);
        // Off this thread: the files may be on a disk that hangs.
        let looking = spawn_blocking(move || {
            let news = certificates.look();
            (certificates, news)
        });
        let Ok((certificates, news)) = looking.await else {
            return tracing::error!("looking at the certificates failed; from here on they are reloaded with the configuration only");
        };
        self.certificates = certificates;
        for renewal in news {
            match renewal {
                Renewal::Loaded(file) => {
                    self.count(true);
                    tracing::info!(file = %file.display(), "certificates reloaded");
                }
                Renewal::Failed(reason) => {
                    self.count(false);
                    tracing::error!(reason, "new certificates cannot be used: the old ones stay, and the new ones are tried again");
                }
            }
        }
    }

    fn count(&self, is_ok: bool) {
        self.metrics().reloads.get_or_create(&ReloadLabel { result: if is_ok { "ok" } else { "failed" } }).inc();
    }

    fn metrics(&self) -> &Metrics {
        &self.builder.metrics
    }
}

/// Makes all of a configuration that can be made beside a running gateway. Blocks.
pub(super) fn load(builder: &Builder, config: Config, before: Option<Before<'_>>) -> Result<Loaded, StartError> {
    let certificates = Certificates::load(config.certificates().map(|(_, tls)| tls))?;
    let site = builder.site(&config, before)?;
    Ok(Loaded { config, site, certificates })
}

/// What the watch over quiet sources is to know.
fn sources<'a>(config: &'a Config, site: &'a Site) -> impl Iterator<Item = Source<'a>> {
    config.instances.iter().filter_map(|instance| {
        let running = site.instances.get(instance.name.as_str())?;
        Some(Source { name: &instance.name, expect_every: instance.expect_every, activity: running.activity() })
    })
}

/// Puts back what only a restart can change, and names the keys that were changed all the same.
fn keep_until_restart(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let admin = |config: &Config| config.admin.as_ref().map(|admin| admin.listen);
    let checks = [
        ("admin.listen", admin(old) != admin(new)),
        ("store.url", old.store.path != new.store.path),
        ("store.retention", old.store.retention != new.store.retention),
        ("store.samples", old.store.samples != new.store.samples),
        ("log.format", old.log.format != new.log.format),
        ("log.level", old.log.level != new.log.level),
    ];
    match (&mut new.admin, &old.admin) {
        // A new token is in force at once, wherever the listener is to be.
        (Some(new), Some(old)) => new.listen = old.listen,
        (new, old) => new.clone_from(old),
    }
    new.store = old.store.clone();
    new.log = old.log.clone();
    checks.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(server: &str, rest: &str) -> Config {
        let instance = "[[instance]]\nname = \"a\"\nallow_unauthenticated = true\n";
        Config::parse(&format!("[server]\n{server}\n{rest}\n{instance}"), Path::new("/etc/hookgate.toml"), &|_| None).unwrap()
    }

    #[test]
    fn only_what_needs_a_restart_is_put_back() {
        let old = config("", "");
        let mut new = config(
            "listen = \"127.0.0.1:9999\"\nmax_body = \"1MiB\"",
            "[admin]\ntoken = \"t\"\n[store]\nurl = \"sqlite:x.db\"\nretention = \"1d\"\nsamples = 3\n[log]\nformat = \"json\"\nlevel = \"warn\"",
        );
        let keys = keep_until_restart(&old, &mut new);
        assert_eq!(keys, ["admin.listen", "store.url", "store.retention", "store.samples", "log.format", "log.level"]);
        assert_eq!(format!("{:?} {:?} {:?}", new.store, new.log, new.admin), format!("{:?} {:?} {:?}", old.store, old.log, old.admin));
        assert_eq!((new.server.listen[0].port(), new.server.max_body), (9999, 1 << 20));
        assert_eq!(keep_until_restart(&old, &mut new), [""; 0]);
    }

    #[test]
    fn a_new_token_is_no_new_listener() {
        let mut new = config("", "[admin]\ntoken = \"new\"");
        assert_eq!(keep_until_restart(&config("", "[admin]\ntoken = \"old\""), &mut new), [""; 0]);
        assert_eq!(new.admin.unwrap().token.expose(), "new");
        let mut moved = config("", "[admin]\nlisten = \"127.0.0.1:9999\"\ntoken = \"new\"");
        assert_eq!(keep_until_restart(&config("", "[admin]\ntoken = \"old\""), &mut moved), ["admin.listen"]);
        let admin = moved.admin.unwrap();
        assert_eq!((admin.token.expose(), admin.listen.port()), ("new", 8081), "an old token that leaked is good for nothing");
    }

    #[test]
    fn requests_that_wait_are_one() {
        let mut orders = Orders::default();
        let reloader = Reloader(orders.sender.clone());
        reloader.request();
        reloader.request();
        assert!(orders.receiver.try_recv().is_ok());
        assert!(orders.receiver.try_recv().is_err());
        reloader.request();
        assert!(orders.receiver.try_recv().is_ok());
    }
}

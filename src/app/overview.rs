//! What the admin listener asks the running gateway.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;

use super::BoundAddress;
use crate::activity::Moment;
use crate::admin::{self, InstanceInfo};
use crate::config::{self, Access, Config};
use crate::http::{Instance, Site};
use crate::rejections::{Rejection, Rejections};
use crate::store::Readiness;

/// The gateway as the admin API shows it.
pub(super) struct Overview {
    instances: ArcSwap<Vec<Shown>>,
    rejections: Arc<Rejections>,
    readiness: Readiness,
}

/// An instance with what is known of its use.
struct Shown {
    rules: InstanceInfo,
    passwords: usize,
    running: Arc<Instance>,
}

impl Overview {
    /// An overview of no instances yet.
    pub(super) fn new(rejections: Arc<Rejections>, readiness: Readiness) -> Self {
        Self { instances: ArcSwap::default(), rejections, readiness }
    }

    /// From here on shows the instances of `site`, which was made from `config`.
    pub(super) fn show(&self, config: &Config, site: &Site, addresses: &[BoundAddress]) {
        let shown = config.instances.iter().filter_map(|instance| {
            let running = site.instances.get(instance.name.as_str())?;
            let passwords = instance.access.passwords().len();
            Some(Shown { rules: describe(instance, config, addresses), passwords, running: Arc::clone(running) })
        });
        self.instances.store(Arc::new(shown.collect()));
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overview").finish_non_exhaustive()
    }
}

impl admin::Gateway for Overview {
    fn instances(&self) -> Vec<InstanceInfo> {
        self.instances.load().iter().map(Shown::now).collect()
    }

    fn rejections(&self, instance: &str) -> Option<Vec<Rejection>> {
        self.rejections.of(instance)
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async { self.readiness.check().await.map_err(|error| error.to_string()) })
    }
}

impl Shown {
    fn now(&self) -> InstanceInfo {
        let activity = self.running.activity();
        let [password, next] = self.running.password_uses();
        let written = |moment: &Moment| moment.get().map(|time| time.to_string());
        InstanceInfo {
            silent: self.rules.expect_every_seconds.map(|_| activity.is_silent.load(Ordering::Relaxed)),
            last_event: written(&activity.last_event),
            last_refusal: written(&activity.last_refusal),
            // Whoever is let in without a password has used none.
            password_last_used: written(password).filter(|_| self.passwords > 0),
            password_next_last_used: written(next).filter(|_| self.passwords > 1),
            pending: self.running.waiting().lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..self.rules.clone()
        }
    }
}

/// What stays the same until the next reload.
fn describe(instance: &config::Instance, config: &Config, addresses: &[BoundAddress]) -> InstanceInfo {
    let sender = &instance.sender;
    // The token itself would let somebody in.
    let token = if sender.path_token.is_some() { "/<path_token>" } else { "" };
    let path = format!("/instance/execute/{}{token}", instance.name);
    let own = sender.public_url.clone();
    let outside = own.or_else(|| config.server.public_url.as_ref().map(|url| format!("{url}{path}")));
    let inside = addresses.iter().filter_map(|bound| match &bound.instance {
        None => Some(format!("{}{path}", bound.origin())),
        Some(own) if *own == instance.name && sender.path_token.is_none() => Some(format!("{}/", bound.origin())),
        Some(own) => (*own == instance.name).then(|| format!("{}{path}", bound.origin())),
    });
    InstanceInfo {
        name: instance.name.clone(),
        urls: outside.into_iter().chain(inside).collect(),
        auth: match instance.access {
            Access::Open => "none",
            Access::Basic { .. } => "basic",
            Access::Header { .. } => "header",
        },
        sender: sender.preset.clone(),
        signature: !sender.signing.signatures.is_empty(),
        path_token: sender.path_token.is_some(),
        incident_type: instance.incident_type.clone(),
        store_samples: instance.store_samples,
        duplication_key: instance.duplication_key.clone(),
        duplication_window_seconds: instance.duplication_window.as_secs(),
        expect_every_seconds: instance.expect_every.map(|time| time.as_secs()),
        silent: None,
        last_event: None,
        last_refusal: None,
        password_last_used: None,
        password_next_last_used: None,
        pending: None,
    }
}

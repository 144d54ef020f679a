//! From the configuration to the parts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::activity::Activity;
use crate::auth::{Access, AccessSpec, Argon2Hash, PasswordSpec, Verifier};
use crate::config::{self, Config};
use crate::http::{Instance, InstanceOptions, Limits, PasswordUses, Proof, Site};
use crate::intake::{KeyPath, Rules};
use crate::listener::PermitLimits;
use crate::mapping::{MapSpec, Mapping};
use crate::metrics::Metrics;
use crate::senders::handshake::Handshakes;
use crate::store::Reader;

/// The configuration passed its own checks, yet a part of it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance:?}: {message}")]
pub struct BuildError {
    instance: String,
    message: String,
}

/// How many connections may be open.
pub(super) fn permit_limits(server: &config::Server) -> PermitLimits {
    PermitLimits { all: server.max_connections, per_address: server.max_connections_per_address, exempt: server.trusted_proxies.clone() }
}

/// Makes the parts that a configuration describes, at the start and for each reload.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    /// The one that the entrance uses.
    pub(super) verifier: Arc<Verifier>,
    pub(super) metrics: Arc<Metrics>,
    /// Knows when an instance was last heard of in an earlier run.
    pub(super) reader: Reader,
}

/// What was in force before a reload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before<'a> {
    pub(super) config: &'a Config,
    pub(super) site: &'a Site,
}

impl Builder {
    /// All instances and their limits. Those that were there before keep what is known of their use.
    pub(super) fn site(&self, config: &Config, before: Option<Before<'_>>) -> Result<Site, BuildError> {
        let known = before.map(|before| before.config.instances.iter().map(|old| (old.name.as_str(), old)).collect::<HashMap<_, _>>());
        let mut instances = HashMap::new();
        for instance in &config.instances {
            let predecessor = before.zip(known.as_ref()).and_then(|(before, known)| {
                Some(Predecessor {
                    config: known.get(instance.name.as_str())?,
                    running: before.site.instances.get(instance.name.as_str())?,
                })
            });
            let options = self.options(instance, config, predecessor);
            let options = options.map_err(|message| BuildError { instance: instance.name.clone(), message })?;
            instances.insert(Arc::clone(&options.name), Arc::new(Instance::new(options, &self.metrics)));
        }
        Ok(Site::new(instances, limits(&config.server)))
    }

    fn options(&self, instance: &config::Instance, config: &Config, before: Option<Predecessor<'_>>) -> Result<InstanceOptions, String> {
        let (secret_header, asks_for_basic) = match &instance.access {
            config::Access::Header { name, .. } => (Some(name.clone()), false),
            config::Access::Basic { .. } => (None, true),
            // A 401 is for those without a signature or the token of the address, or whom `allow_from` leaves out. They are told
            // what anybody is told who guesses a name.
            config::Access::Open => (None, true),
        };
        Ok(InstanceOptions {
            name: instance.name.as_str().into(),
            access: access(&instance.access, &self.verifier)?,
            asks_for_basic,
            allow_from: instance.allow_from.clone(),
            secret_header,
            proof: self.proof(instance)?,
            rules: rules(instance, &config.server)?,
            keep_samples: instance.store_samples,
            duplicates_of: instance.shares_duplicates_with.as_deref().unwrap_or(&instance.name).into(),
            duplication_window: instance.duplication_window,
            activity: before.map_or_else(|| self.activity(&instance.name), |before| Arc::clone(before.running.activity())),
            password_uses: before.map(|before| before.password_uses(instance)).unwrap_or_default(),
            waiting: before.map(|before| Arc::clone(before.running.waiting())).unwrap_or_default(),
        })
    }

    fn proof(&self, instance: &config::Instance) -> Result<Proof, String> {
        let sender = &instance.sender;
        let handshakes = Handshakes::new(sender.handshake.clone(), sender.signing.secrets.clone(), sender.verify_token.clone());
        let is_guarded = !matches!(instance.access, config::Access::Open) || sender.path_token.is_some();
        Ok(Proof {
            path_token: sender.path_token.as_ref().map(|token| self.verifier.path_token(token)),
            signatures: sender.signing.verifier().map_err(|error| error.to_string())?,
            awaits_secret: sender.signing.awaits_secret,
            handshakes: if is_guarded { handshakes } else { handshakes.signed_only() },
            confirms_subscriptions: sender.confirm_subscriptions,
            methods: sender.methods.clone(),
        })
    }

    /// What an earlier run left behind of a new instance.
    fn activity(&self, instance: &str) -> Arc<Activity> {
        let last_event = self.reader.last_stored(instance).unwrap_or_else(|error| {
            tracing::warn!(%error, instance, "cannot tell when the last event was stored");
            None
        });
        Arc::new(Activity::resumed(last_event))
    }
}

/// What an instance makes of bodies.
pub(crate) fn rules(instance: &config::Instance, server: &config::Server) -> Result<Rules, String> {
    let paths: Result<Vec<KeyPath>, _> = instance.duplication_key.iter().map(|path| path.parse()).collect();
    Ok(Rules {
        incident_type: instance.incident_type.as_deref().map(Into::into),
        duplication_key: paths.map_err(|error| format!("duplication_key: {error}"))?,
        max_incidents: server.max_incidents,
        max_body: usize::try_from(server.max_body).unwrap_or(usize::MAX),
        mapping: mapping(&instance.map)?,
        accept: instance.accept,
        unwrap: instance.unwrap.clone(),
        cloudevents: instance.cloudevents,
    })
}

/// The configuration found no mistake in it before.
fn mapping(spec: &MapSpec) -> Result<Option<Arc<Mapping>>, String> {
    if spec.is_empty() {
        return Ok(None);
    }
    let mapping = Mapping::compile(spec)
        .map_err(|errors| errors.iter().map(|error| format!("map.{}: {error}", error.key())).collect::<Vec<_>>().join("; "))?;
    Ok(Some(Arc::new(mapping)))
}

/// An instance before a reload.
#[derive(Clone, Copy, Debug)]
struct Predecessor<'a> {
    config: &'a config::Instance,
    running: &'a Instance,
}

impl Predecessor<'_> {
    /// What is known of each password that was there before, perhaps in the other place: the next one becomes the first.
    fn password_uses(self, instance: &config::Instance) -> PasswordUses {
        let (old, new) = (self.config.access.passwords(), instance.access.passwords());
        std::array::from_fn(|place| {
            let password = new.get(place)?;
            let before = old.iter().position(|old| is_same(old, password))?;
            self.running.password_uses().get(before).cloned()
        })
        .map(Option::unwrap_or_default)
    }
}

/// Both come from the operator's own files, so the time this takes tells nobody anything.
fn is_same(one: &config::Password, other: &config::Password) -> bool {
    match (one, other) {
        (config::Password::Plain(one), config::Password::Plain(other)) => one.expose() == other.expose(),
        (config::Password::Argon2(one), config::Password::Argon2(other)) => one == other,
        _ => false,
    }
}

fn limits(server: &config::Server) -> Limits {
    Limits {
        max_body: server.max_body,
        max_body_in_flight: server.max_body_in_flight,
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        max_requests_per_client: server.max_connections_per_address,
        failed_logins_per_minute: server.failed_logins_per_minute,
        trusted_proxies: server.trusted_proxies.clone(),
    }
}

fn access(configured: &config::Access, verifier: &Verifier) -> Result<Access, String> {
    let specs = |passwords: &[config::Password]| passwords.iter().map(password).collect::<Result<Vec<_>, _>>();
    Ok(verifier.access(match configured {
        config::Access::Open => AccessSpec::Open,
        config::Access::Basic { username, passwords } => AccessSpec::Basic { username: username.clone(), passwords: specs(passwords)? },
        config::Access::Header { name, passwords } => AccessSpec::Header { name: name.clone(), passwords: specs(passwords)? },
    }))
}

fn password(configured: &config::Password) -> Result<PasswordSpec, String> {
    Ok(match configured {
        config::Password::Plain(secret) => PasswordSpec::Plain(secret.clone()),
        config::Password::Argon2(hash) => PasswordSpec::Argon2(hash.parse::<Argon2Hash>().map_err(|error| format!("password: {error}"))?),
    })
}

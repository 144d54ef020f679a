//! From the configuration to the parts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::{Access, AccessSpec, Argon2Hash, PasswordSpec, Verifier};
use crate::config::{self, Config};
use crate::http::{Instance, InstanceOptions, Limits, Site};
use crate::intake::{KeyPath, Rules};
use crate::metrics::Metrics;

/// The configuration passed its own checks, yet a part of it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance:?}: {message}")]
pub struct BuildError {
    instance: String,
    message: String,
}

/// All instances and their limits.
pub(super) fn site(config: &Config, verifier: &Verifier, metrics: &Metrics) -> Result<Site, BuildError> {
    let mut instances = HashMap::new();
    for instance in &config.instances {
        let options = options(instance, config, verifier).map_err(|message| BuildError { instance: instance.name.clone(), message })?;
        instances.insert(Arc::clone(&options.name), Arc::new(Instance::new(options, metrics)));
    }
    let server = &config.server;
    let limits = Limits {
        max_body: server.max_body,
        max_body_in_flight: server.max_body_in_flight,
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        failed_logins_per_minute: server.failed_logins_per_minute,
        trusted_proxies: server.trusted_proxies.clone(),
    };
    Ok(Site { instances, limits })
}

fn options(instance: &config::Instance, config: &Config, verifier: &Verifier) -> Result<InstanceOptions, String> {
    let (secret_header, asks_for_basic) = match &instance.access {
        config::Access::Header { name, .. } => (Some(name.clone()), false),
        config::Access::Basic { .. } => (None, true),
        config::Access::Open => (None, false),
    };
    let paths: Result<Vec<KeyPath>, _> = instance.duplication_key.iter().map(|path| path.parse()).collect();
    Ok(InstanceOptions {
        name: instance.name.as_str().into(),
        access: access(&instance.access, verifier)?,
        asks_for_basic,
        secret_header,
        rules: Rules {
            incident_type: instance.incident_type.as_deref().map(Into::into),
            duplication_key: paths.map_err(|error| format!("duplication_key: {error}"))?,
            max_incidents: config.server.max_incidents,
            max_body: usize::try_from(config.server.max_body).unwrap_or(usize::MAX),
        },
        keep_samples: instance.store_samples,
        duplication_window: instance.duplication_window,
    })
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

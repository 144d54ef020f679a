//! How a client on this machine reaches an instance: its address and its credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{Access, Config, Instance, Password, Tls};
use crate::secret::Secret;

/// Where an instance is reached from this machine, its path token included, by its own port or the server's first. None while the port is 0, that is,
/// known to the running gateway alone.
pub(super) fn url(config: &Config, instance: &Instance) -> Option<String> {
    let listen = instance.listen.or_else(|| config.server.listen.first().copied())?;
    (listen.port() != 0).then(|| url_at(config, instance, listen))
}

/// The same for an address that is bound.
pub(super) fn url_at(config: &Config, instance: &Instance, bound: SocketAddr) -> String {
    let scheme = if tls(config, instance).is_some() { "https" } else { "http" };
    let address = SocketAddr::new(reachable(bound.ip()), bound.port());
    match (instance.listen, &instance.sender.path_token) {
        (Some(_), None) => format!("{scheme}://{address}/"),
        (None, None) => format!("{scheme}://{address}/instance/execute/{}", instance.name),
        (_, Some(token)) => format!("{scheme}://{address}/instance/execute/{}/{}", instance.name, token.expose()),
    }
}

/// The certificate at that address, if it is encrypted: the instance's own port may have its own.
pub(super) fn tls<'a>(config: &'a Config, instance: &'a Instance) -> Option<&'a Tls> {
    instance.listen.and(instance.tls.as_ref()).or(config.server.tls.as_ref())
}

/// Whether a connection to that address begins with a PROXY protocol header, and whether one from this machine may send it:
/// only `trusted_proxies` may, and what connects to an address of this machine comes from there.
pub(super) fn proxy_protocol(config: &Config, instance: &Instance) -> Option<MaySpeak> {
    let listen = instance.listen.or_else(|| config.server.listen.first().copied())?;
    let is_spoken = instance.listen.and(instance.proxy_protocol).unwrap_or(config.server.proxy_protocol);
    let source = reachable(listen.ip());
    let is_trusted = config.server.trusted_proxies.iter().any(|network| network.contains(&source));
    is_spoken.then_some(if is_trusted { MaySpeak::Yes } else { MaySpeak::No { source } })
}

/// Whether this machine may speak the PROXY protocol to the gateway on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaySpeak {
    Yes,
    /// It connects from here, which is no trusted proxy.
    No {
        source: IpAddr,
    },
}

/// "All addresses" is one to listen on, not one to connect to.
pub(super) fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// What an instance's credentials look like to a client.
pub(super) enum Credentials<'a> {
    Open,
    Basic { username: &'a str, password: Option<&'a Secret> },
    Header { name: &'a http::HeaderName, password: Option<&'a Secret> },
}

impl<'a> Credentials<'a> {
    /// The password is missing where only its hash is configured.
    pub(super) fn of(instance: &'a Instance) -> Self {
        match &instance.access {
            Access::Open => Self::Open,
            Access::Basic { username, passwords } => Self::Basic { username, password: plain(passwords) },
            Access::Header { name, passwords } => Self::Header { name, password: plain(passwords) },
        }
    }

    /// Whether there is a password and only its hash is known.
    pub(super) fn lack_password(&self) -> bool {
        matches!(self, Self::Basic { password: None, .. } | Self::Header { password: None, .. })
    }

    /// The same with a password that the person gave.
    pub(super) fn with_password(self, given: &'a Secret) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Basic { username, .. } => Self::Basic { username, password: Some(given) },
            Self::Header { name, .. } => Self::Header { name, password: Some(given) },
        }
    }
}

fn plain(passwords: &[Password]) -> Option<&Secret> {
    passwords.iter().find_map(|password| match password {
        Password::Plain(secret) => Some(secret),
        Password::Argon2(_) => None,
    })
}

/// The instance of that name, or an error that lists those there are.
pub(super) fn find<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a Instance> {
    config.instances.iter().find(|instance| instance.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.instances.iter().map(|instance| instance.name.as_str()).collect();
        anyhow::anyhow!("no instance is named {name:?} in {}; there are: {}", config.path.display(), known.join(", "))
    })
}

//! `[server]`: the entrance.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::address::{listen_address, network, public_url};
use super::reader::{Section, boolean, non_empty};
use super::report::Place;
use super::tls::{self, Tls};
use super::units::{self, format_size};

/// The keys of `[server]`.
pub(super) const KEYS: &[&str] = &[
    "listen",
    "certificate",
    "private_key",
    "client_ca",
    "public_url",
    "senders_dir",
    "max_body",
    "max_incidents",
    "max_connections",
    "max_connections_per_address",
    "max_body_in_flight",
    "trusted_proxies",
    "proxy_protocol",
    "failed_logins_per_minute",
    "header_timeout",
    "body_timeout",
    "handshake_timeout",
    "shutdown_grace",
];

/// This machine only, until somebody says otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Ample for events; the few senders of more (GitHub: up to 25 MB) are worth a deliberate setting.
const DEFAULT_MAX_BODY: u64 = 10 << 20;
/// A batch that a person could still read about; more in one request is a mistake or an attack.
const DEFAULT_MAX_INCIDENTS: u64 = 10_000;
/// Far more than senders open, far less than the file descriptors that systemd or a container allows.
const DEFAULT_MAX_CONNECTIONS: u64 = 10_000;
/// A tenth of all: ten hostile addresses are needed to fill the gateway, and no sender behind one address opens that many.
const DEFAULT_MAX_CONNECTIONS_PER_ADDRESS: u64 = 1_000;
/// A dozen of the largest bodies at once, which a machine of 1 GB can take.
const DEFAULT_MAX_BODY_IN_FLIGHT: u64 = 128 << 20;
/// One a second: more than a person mistypes, less than a guesser needs.
const DEFAULT_FAILED_LOGINS: u64 = 60;
/// Also how long an idle connection is kept: longer than the pauses of a busy sender.
const DEFAULT_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// 10 MiB at 3 Mbit/s.
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Two round trips, with many to spare.
const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// As long as `docker stop` waits before it kills; Kubernetes and systemd wait longer.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Below 1 KiB hardly any sender fits; SQLite holds at most 1 GB in a row, of which headers take a part.
const MAX_BODY: RangeInclusive<u64> = 1 << 10..=512 << 20;
/// All of one request go into one transaction, and through memory.
const MAX_INCIDENTS: RangeInclusive<u64> = 1..=1_000_000;
/// Linux gives a process at most 1,048,576 file descriptors by default.
const MAX_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// 1 TiB: more than the memory of any machine this runs on.
const MAX_BODY_IN_FLIGHT_LIMIT: u64 = 1 << 40;
/// Beyond it nothing is held back any more; 0 says so clearly.
const FAILED_LOGINS: RangeInclusive<u64> = 0..=1_000_000;
/// Zero would refuse everybody; past an hour a timeout protects nothing.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// Zero ends at once; nobody waits longer than an hour for a stop.
const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// A header that names the client is believed of proxies alone.
pub(super) const NOBODY_MAY_SPEAK_IT: &str = "needs server.trusted_proxies: only they may connect to such a listener";

/// The entrance: where it listens and how much it takes.
#[derive(Clone, Debug)]
pub struct Server {
    /// At least one; port 0 is chosen by the system.
    pub listen: Vec<SocketAddr>,
    /// None: plain HTTP.
    pub tls: Option<Tls>,
    /// What senders see in front of the path; no trailing slash.
    pub public_url: Option<String>,
    /// A folder of presets beside the built-in ones.
    pub senders_dir: Option<PathBuf>,
    /// Bytes of one body, after unpacking.
    pub max_body: u64,
    /// Incidents in one request.
    pub max_incidents: usize,
    /// Open connections, over all addresses.
    pub max_connections: usize,
    /// Open connections of one address (IPv4) or /64 (IPv6); trusted proxies are exempt.
    pub max_connections_per_address: usize,
    /// Bytes of all bodies that are not answered yet; at least `max_body`.
    pub max_body_in_flight: u64,
    /// Who may set X-Forwarded-For.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections begin with a PROXY protocol header, and come from `trusted_proxies` alone.
    pub proxy_protocol: bool,
    /// For each address and instance; 0: not limited.
    pub failed_logins_per_minute: u32,
    /// For a request's headers, and for the next request on an idle connection.
    pub header_timeout: Duration,
    /// For a request's whole body.
    pub body_timeout: Duration,
    /// For a TLS handshake.
    pub handshake_timeout: Duration,
    /// For what is in flight when the gateway stops; may be zero.
    pub shutdown_grace: Duration,
}

/// Reads `[server]`; its addresses are returned with their places, so that they can be compared with others'.
pub(super) fn read(section: &Section<'_>) -> (Server, Vec<(Place, SocketAddr)>) {
    let listen = read_listen(section);
    let max_body = section.take_or("max_body", DEFAULT_MAX_BODY, |value| units::size(value, MAX_BODY));
    let number = |key, bounds: RangeInclusive<u64>, default| section.take(key, |value| units::number(value, bounds)).unwrap_or(default);
    let timeout = |key, default| section.take(key, |value| units::duration(value, TIMEOUT)).unwrap_or(default);
    let server = Server {
        listen: listen.iter().map(|(_, address)| *address).collect(),
        tls: tls::read(section),
        public_url: section.take("public_url", public_url),
        senders_dir: senders_dir(section),
        max_body: max_body.unwrap_or(DEFAULT_MAX_BODY),
        max_incidents: to_usize(number("max_incidents", MAX_INCIDENTS, DEFAULT_MAX_INCIDENTS)),
        max_connections: to_usize(number("max_connections", MAX_CONNECTIONS, DEFAULT_MAX_CONNECTIONS)),
        max_connections_per_address: to_usize(number("max_connections_per_address", MAX_CONNECTIONS, DEFAULT_MAX_CONNECTIONS_PER_ADDRESS)),
        max_body_in_flight: read_max_body_in_flight(section, max_body),
        trusted_proxies: read_trusted_proxies(section),
        proxy_protocol: section.take("proxy_protocol", boolean).unwrap_or(false),
        failed_logins_per_minute: u32::try_from(number("failed_logins_per_minute", FAILED_LOGINS, DEFAULT_FAILED_LOGINS))
            .expect("the upper bound fits"),
        header_timeout: timeout("header_timeout", DEFAULT_HEADER_TIMEOUT),
        body_timeout: timeout("body_timeout", DEFAULT_BODY_TIMEOUT),
        handshake_timeout: timeout("handshake_timeout", DEFAULT_HANDSHAKE_TIMEOUT),
        shutdown_grace: section.take("shutdown_grace", |value| units::duration(value, GRACE)).unwrap_or(DEFAULT_SHUTDOWN_GRACE),
    };
    if server.proxy_protocol && !trusts_proxies(section) {
        section.error("proxy_protocol", NOBODY_MAY_SPEAK_IT);
    }
    (server, listen)
}

/// The folder at `senders_dir`.
pub(super) fn senders_dir(section: &Section<'_>) -> Option<PathBuf> {
    section.take("senders_dir", non_empty).map(|folder| section.context.folder.join(folder))
}

/// Whether there is somebody who may speak the PROXY protocol; not whether what is written is right.
pub(super) fn trusts_proxies(section: &Section<'_>) -> bool {
    section.has("trusted_proxies") && !section.is_empty_list("trusted_proxies")
}

fn read_listen(section: &Section<'_>) -> Vec<(Place, SocketAddr)> {
    let Some(listen) = section.take_list("listen", listen_address) else {
        return vec![(section.place("listen"), DEFAULT_LISTEN)];
    };
    if section.is_empty_list("listen") {
        section.error("listen", "must name at least one address");
    }
    listen
}

/// A body that exceeds the budget alone would never be let in, so the default grows with `max_body`.
fn read_max_body_in_flight(section: &Section<'_>, max_body: Option<u64>) -> u64 {
    let bounds = 1..=MAX_BODY_IN_FLIGHT_LIMIT;
    let Some(budget) = section.take("max_body_in_flight", |value| units::size(value, bounds)) else {
        return DEFAULT_MAX_BODY_IN_FLIGHT.max(max_body.unwrap_or(0));
    };
    if let Some(max_body) = max_body
        && budget < max_body
    {
        section.error("max_body_in_flight", format!("must be at least max_body ({})", format_size(max_body)));
    }
    budget
}

fn read_trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    let proxies = section.take_list("trusted_proxies", network).unwrap_or_default();
    for (place, proxy) in &proxies {
        if proxy.prefix_len() == 0 {
            section.context.warn(place, "trusts everybody: any caller can choose the address it is throttled by; name your proxies");
        }
    }
    proxies.into_iter().map(|(_, proxy)| proxy).collect()
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("the upper bound fits")
}

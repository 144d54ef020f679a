//! `[admin]`: the second listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::address::listen_address;
use super::reader::Section;
use super::report::Place;
use super::secret;
use crate::secret::Secret;

/// The keys of `[admin]`.
pub(super) const KEYS: &[&str] = &["listen", "token"];

/// This machine only, next to the entrance.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Plain HTTP.
    pub listen: SocketAddr,
    /// What a caller sends as `Authorization: Bearer …`; visible ASCII.
    pub token: Secret,
}

/// Reads `[admin]`; its address is returned with its place even if the token is wrong.
pub(super) fn read(section: &Section<'_>) -> (Option<Admin>, Option<(Place, SocketAddr)>) {
    let listen = section.take_or("listen", DEFAULT_LISTEN, listen_address);
    let token = secret::token(section, "token");
    if !section.has("token") {
        section.missing("token", "is missing: whoever reads incidents must show a token");
    }
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        let advice = "tokens and incidents cross the network unencrypted; listen on 127.0.0.1 or put a TLS proxy in front";
        section.context.warn(&section.place("listen"), advice);
    }
    let address = listen.map(|listen| (section.place("listen"), listen));
    (listen.zip(token).map(|(listen, token)| Admin { listen, token }), address)
}

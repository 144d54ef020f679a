//! One listener: its socket, its certificate, and what is done with its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::systemd::Inherited;
use super::workers::{Handles, Seat};
use super::{BoundAddress, StartError};
use crate::config::{self, Config};
use crate::http::{Door, Entrance, Protocol, Traffic, Visit};
use crate::listener::{Bound, Host, Permit, Tls, TlsFiles};

/// A listening socket with all that belongs to it.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) bound: Bound,
    pub(super) desk: Desk,
}

/// How the connections of a listener are received.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    door: Door,
    tls: Option<Arc<Tls>>,
    handshake_timeout: Duration,
}

/// A desk at work.
pub(super) struct Clerk {
    pub(super) desk: Desk,
    pub(super) entrance: Arc<Entrance>,
    pub(super) workers: Arc<Handles>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Listens on every configured address, by the sockets that the service manager has passed where there are. Must be called inside a tokio runtime.
pub(super) fn bind_all(config: &Config, inherited: &mut Inherited) -> Result<Vec<Reception>, StartError> {
    let tls = config.server.tls.as_ref().map(load).transpose()?;
    let shared = config.server.listen.iter().map(|address| ("server.listen".to_owned(), *address, Door::Shared));
    let own = config.instances.iter().filter_map(|instance| {
        let address = instance.listen?;
        Some((format!("instance {:?}: listen", instance.name), address, Door::Own(instance.name.as_str().into())))
    });
    let bind = |(what, address, door)| match inherited.claim(address).map_or_else(|| Bound::new(address), Bound::from_std) {
        Ok(bound) => Ok(Reception { bound, desk: Desk { door, tls: tls.clone(), handshake_timeout: config.server.handshake_timeout } }),
        Err(source) => Err(StartError::Bind { what, address, source }),
    };
    shared.chain(own).map(bind).collect()
}

fn load(tls: &config::Tls) -> Result<Arc<Tls>, StartError> {
    let files = TlsFiles { certificate: tls.certificate.clone(), private_key: tls.private_key.clone(), client_ca: tls.client_ca.clone() };
    Ok(Arc::new(Tls::load(files)?))
}

impl Reception {
    pub(super) fn describe(&self) -> BoundAddress {
        let scheme = if self.desk.tls.is_some() { "https" } else { "http" };
        let address = self.bound.address;
        let (what, instance, path) = match &self.desk.door {
            Door::Shared => ("entrance".to_owned(), None, "/instance/execute/<name>"),
            Door::Own(name) => (format!("instance {name}"), Some(name.to_string()), "/"),
        };
        BoundAddress { what, instance, address, url: format!("{scheme}://{address}{path}") }
    }
}

impl Host for Clerk {
    fn serve(&self, stream: TcpStream, remote: SocketAddr, permit: Permit) {
        let (desk, entrance, stop) = (self.desk.clone(), Arc::clone(&self.entrance), self.stop.clone());
        self.workers.spawn(stream, permit, move |stream, seat| desk.receive(stream, remote, seat, entrance, stop));
    }

    fn refusal(&self, remote: SocketAddr) -> Option<Vec<u8>> {
        // Without a handshake there is no way to say anything on a TLS connection, and a handshake is what costs.
        self.desk.tls.is_none().then(|| self.entrance.answer_crowd(remote.ip()))
    }
}

impl Desk {
    async fn receive(self, stream: TcpStream, remote: SocketAddr, seat: Seat, entrance: Arc<Entrance>, stop: watch::Receiver<bool>) {
        let Seat { lane, timer } = seat;
        let traffic = Arc::new(Traffic::default());
        let mut visit = Visit { remote: remote.ip(), door: self.door, lane, timer, client: None, traffic };
        let Some(tls) = self.tls else {
            return entrance.serve(TokioIo::new(stream), Protocol::Http1, visit, stop).await;
        };
        let stream = match tls.accept(stream, self.handshake_timeout).await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, %remote, "TLS handshake failed"),
        };
        let (_, session) = stream.get_ref();
        visit.client = Tls::client_subject(session).map(Into::into);
        let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
        entrance.serve(TokioIo::new(stream), protocol, visit, stop).await;
    }
}

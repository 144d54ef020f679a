//! The entrance's listeners: their sockets, their certificates, and what is done with their connections.
//!
//! A reload keeps the socket of every address that is still wanted, whatever else about it changes, so that no connection is
//! refused meanwhile; an address may even pass from one instance to another. Open connections go on as they began.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::renewal::Certificates;
use super::systemd::Inherited;
use super::workers::{Handles, Seat};
use super::{BoundAddress, StartError};
use crate::config::Config;
use crate::http::{Door, Entrance, Protocol, Traffic, Visit};
use crate::listener::{self, Bound, Crowded, Host, Permit, Permits, Refusals, Tls, is_client_refused, proxy};

/// Of the grace period, what is kept for telling those who cannot be waited for.
const LAST_WORDS_SHARE: u32 = 10;
/// Also where there is no grace at all: an answer on its way takes that long.
const LAST_WORDS_MIN: Duration = Duration::from_millis(100);
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// How the connections of a listener are received.
#[derive(Clone, Debug)]
struct Desk {
    door: Door,
    tls: Option<Arc<Tls>>,
    handshake_timeout: Duration,
    /// Connections begin with a header that names the client, and come from trusted proxies.
    proxy_protocol: bool,
    refusals: Refusals,
}

/// A listening socket with all that belongs to it. Dropping it closes the socket, not the connections.
#[derive(Debug)]
struct Reception {
    configured: SocketAddr,
    address: SocketAddr,
    desk: Arc<ArcSwap<Desk>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Connections wait in the kernel's queue.
    Closed(Option<Bound>),
    Open(AbortHandle),
}

/// What connections are handed to.
#[derive(Clone, Debug)]
pub(super) struct House {
    pub(super) entrance: Arc<Entrance>,
    pub(super) workers: Arc<Handles>,
    pub(super) permits: Arc<Permits>,
    pub(super) stop: watch::Receiver<bool>,
}

impl House {
    /// Lets what is in flight end within `grace`. Shortly before its end, whose body is still on its way is told to come back, so
    /// that nobody but the unreachable is cut without an answer.
    pub(super) async fn drain(&self, grace: Duration) {
        let last_words = (grace / LAST_WORDS_SHARE).clamp(LAST_WORDS_MIN, LAST_WORDS_MAX);
        if tokio::time::timeout(grace.saturating_sub(last_words), self.permits.all_closed()).await.is_ok() {
            return;
        }
        self.entrance.make_last_call();
        if tokio::time::timeout(last_words, self.permits.all_closed()).await.is_err() {
            tracing::warn!(shutdown_grace = ?grace, "connections were still open after the grace period and are cut");
        }
    }
}

/// A reception at work.
struct Clerk {
    desk: Arc<ArcSwap<Desk>>,
    house: House,
}

/// All listeners of the entrance.
#[derive(Debug, Default)]
pub(super) struct Receptions(Vec<Reception>);

/// New listeners that are bound already, and what the others are for from now on.
#[derive(Debug)]
pub(super) struct Plan(Vec<Step>);

#[derive(Debug)]
enum Step {
    Keep(usize, Desk),
    Add(Reception),
}

impl Receptions {
    /// Binds what a configuration wants and is not there yet, or takes the sockets that the service manager has passed. Changes
    /// nothing until [`Receptions::adopt`]. Must be called inside a tokio runtime.
    pub(super) fn plan(&self, config: &Config, certificates: &Certificates, inherited: &mut Inherited) -> Result<Plan, StartError> {
        let server = &config.server;
        let of_server = server.tls.as_ref();
        let shared =
            server.listen.iter().map(|address| ("server.listen".to_owned(), *address, Door::Shared, of_server, server.proxy_protocol));
        let own = config.instances.iter().filter_map(|instance| {
            let address = instance.listen?;
            let door = Door::Own(instance.name.as_str().into());
            let proxy_protocol = instance.proxy_protocol.unwrap_or(server.proxy_protocol);
            Some((format!("instance {:?}: listen", instance.name), address, door, instance.tls.as_ref().or(of_server), proxy_protocol))
        });
        let mut taken = vec![false; self.0.len()];
        let steps = shared.chain(own).map(|(what, address, door, tls, proxy_protocol)| {
            let tls = tls.and_then(|tls| certificates.of(tls)).cloned();
            let desk = Desk { door, tls, handshake_timeout: server.handshake_timeout, proxy_protocol, refusals: Refusals::default() };
            let found = self.0.iter().zip(&taken).position(|(reception, taken)| !taken && reception.serves(address, &desk.door));
            if let Some(index) = found {
                taken[index] = true;
                return Ok(Step::Keep(index, desk));
            }
            let bound = inherited.claim(address).map_or_else(|| Bound::new(address), Bound::from_std);
            let bound = bound.map_err(|source| StartError::Bind { what, address, source })?;
            Ok(Step::Add(Reception::new(address, bound, desk)))
        });
        steps.collect::<Result<_, _>>().map(Plan)
    }

    /// Carries out a plan: what is in it serves by it, what is not is closed.
    pub(super) fn adopt(&mut self, plan: Plan) {
        let mut old: Vec<_> = std::mem::take(&mut self.0).into_iter().map(Some).collect();
        self.0 = plan
            .0
            .into_iter()
            .map(|step| match step {
                Step::Add(reception) => reception,
                Step::Keep(index, desk) => {
                    let reception = old[index].take().expect("a plan is carried out once, on the receptions it was made for");
                    reception.desk.store(Arc::new(desk));
                    reception
                }
            })
            .collect();
    }

    /// Begins to accept on every listener that does not yet. Must be called inside the runtime that they were bound in.
    pub(super) fn open(&mut self, house: &House) {
        for reception in &mut self.0 {
            let State::Closed(bound) = &mut reception.state else { continue };
            let Some(bound) = bound.take() else { continue };
            let clerk = Clerk { desk: Arc::clone(&reception.desk), house: house.clone() };
            let accepting = tokio::spawn(listener::accept(bound, Arc::clone(&house.permits), house.stop.clone(), clerk));
            reception.state = State::Open(accepting.abort_handle());
        }
    }

    pub(super) fn describe(&self) -> Vec<BoundAddress> {
        self.0.iter().map(Reception::describe).collect()
    }
}

impl Reception {
    fn new(configured: SocketAddr, bound: Bound, desk: Desk) -> Self {
        Self { configured, address: bound.address, desk: Arc::new(ArcSwap::from_pointee(desk)), state: State::Closed(Some(bound)) }
    }

    /// Whether this is the socket for `address`. Port 0 stands for as many ports as it is written: there the door must be the same.
    fn serves(&self, address: SocketAddr, door: &Door) -> bool {
        match address.port() {
            0 => self.configured == address && self.desk.load().door == *door,
            _ => self.address == address,
        }
    }

    fn describe(&self) -> BoundAddress {
        let (desk, address) = (self.desk.load(), self.address);
        let scheme = if desk.tls.is_some() { "https" } else { "http" };
        let (what, instance, path) = match &desk.door {
            Door::Shared => ("entrance".to_owned(), None, "/instance/execute/<name>"),
            Door::Own(name) => (format!("instance {name}"), Some(name.to_string()), "/"),
        };
        BoundAddress { what, instance, address, url: format!("{scheme}://{address}{path}") }
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        if let State::Open(accepting) = &self.state {
            accepting.abort();
        }
    }
}

impl Host for Clerk {
    fn serve(&self, stream: TcpStream, remote: SocketAddr, mut permit: Permit) {
        let desk = self.desk.load_full();
        // Behind a proxy it is not known yet whose connection this is.
        if !desk.proxy_protocol
            && let Err(why) = permit.count_for(remote.ip())
        {
            return desk.turn_away(stream, remote.ip(), why, &self.house.entrance);
        }
        let (entrance, stop) = (Arc::clone(&self.house.entrance), self.house.stop.clone());
        self.house.workers.spawn(stream, permit, move |stream, permit, seat| {
            let deadline = Instant::now() + desk.handshake_timeout;
            Desk::receive(desk, Arrival { stream, remote: remote.ip(), permit, deadline }, seat, entrance, stop)
        });
    }

    fn turn_away(&self, stream: TcpStream, remote: SocketAddr, why: Crowded) {
        self.desk.load().turn_away(stream, remote.ip(), why, &self.house.entrance);
    }
}

/// A connection that nothing was read from yet.
struct Arrival {
    stream: TcpStream,
    /// The other end; once the proxy has introduced its client, that client.
    remote: IpAddr,
    permit: Permit,
    /// By when all that precedes HTTP is done.
    deadline: Instant,
}

impl Desk {
    async fn receive(self: Arc<Self>, mut arrival: Arrival, seat: Seat, entrance: Arc<Entrance>, stop: watch::Receiver<bool>) {
        if self.proxy_protocol {
            // Boxed: what a header needs is given back when it is over.
            if let Err(error) = Box::pin(introduce(&mut arrival, &entrance)).await {
                return entrance.note_turned_away(arrival.remote, "proxy_protocol", &error);
            }
            if let Err(why) = arrival.permit.count_for(arrival.remote) {
                return self.turn_away(arrival.stream, arrival.remote, why, &entrance);
            }
        }
        let Arrival { stream, remote, permit: _permit, deadline } = arrival;
        let Seat { lane, timer } = seat;
        let traffic = Arc::new(Traffic::default());
        let visit = Visit { remote, door: self.door.clone(), lane, timer, client: None, traffic };
        let serving = match &self.tls {
            None => entrance.serve(TokioIo::new(stream), Protocol::Http1, visit, stop),
            Some(tls) => {
                // Boxed for the same reason.
                let handshake = Box::pin(shake_hands(Arc::clone(tls), stream, deadline.saturating_duration_since(Instant::now())));
                match handshake.await {
                    Ok(stream) => {
                        let (protocol, client) = identify(&stream);
                        entrance.serve(TokioIo::new(*stream), protocol, Visit { client, ..visit }, stop)
                    }
                    // Who is kept out by `client_ca` may be a sender that somebody misses; the rest is the noise of an open network.
                    Err(error) if is_client_refused(&error) => return entrance.note_turned_away(remote, "client_certificate", &error),
                    Err(error) => return tracing::debug!(%error, %remote, "TLS handshake failed"),
                }
            }
        };
        serving.await;
    }

    fn turn_away(&self, stream: TcpStream, client: IpAddr, why: Crowded, entrance: &Entrance) {
        let answer = entrance.answer_crowd(client, why);
        // Without a handshake there is no way to say anything on a TLS connection, and a handshake is what costs.
        if self.tls.is_none() {
            self.refusals.tell(stream, answer);
        }
    }
}

/// Has a trusted proxy say who its client is.
async fn introduce(arrival: &mut Arrival, entrance: &Entrance) -> io::Result<()> {
    if !entrance.trusts(arrival.remote) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not one of trusted_proxies, which alone may connect here"));
    }
    let introduced = tokio::time::timeout_at(arrival.deadline, proxy::read(&mut arrival.stream));
    if let Some(client) = introduced.await?? {
        arrival.remote = client.ip();
    }
    Ok(())
}

async fn shake_hands(tls: Arc<Tls>, stream: TcpStream, time: Duration) -> io::Result<Box<TlsStream<TcpStream>>> {
    tls.accept(stream, time).await.map(Box::new)
}

/// The protocol agreed on, and whom the client's certificate names.
fn identify(stream: &TlsStream<TcpStream>) -> (Protocol, Option<Arc<str>>) {
    let (_, session) = stream.get_ref();
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    (protocol, Tls::client_subject(session).map(Into::into))
}

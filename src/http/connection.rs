//! One connection from its first byte to its last, with a bound on everything.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::early::NamedErrors;
use super::sending::Outgoing;
use super::stall::Unstalled;
use super::traffic::{Guarded, Traffic};
use super::{CoarseTimer, Door, Entrance};
use crate::store::Lane;

/// The most header fields of a request; senders use a dozen, proxies add some.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head: twice what common proxies let through.
const MAX_HEAD: usize = 16 * 1024;
/// hyper's buffer a connection; large bodies are read through it piece by piece.
const MAX_BUFFER: usize = 64 * 1024;
/// After this a connection is closed at the next quiet moment, so that load spreads again and nothing lives for ever.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// For the first request of a connection that was accepted just before the gateway began to stop.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// What is in flight then may take as long as a slow body on a slow disk.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// For an answer to what is no request here, and for the rest of that to arrive.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// For the last answers and frames of an HTTP/2 connection with nothing in flight; two seconds are many round trips, the rest
/// is for a large answer on a slow line.
const GOODBYE: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection; more wait at the client.
const MAX_STREAMS: u32 = 32;
/// HTTP/2 flow control: what a client may send of one body, and of all on a connection, before it is read.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A peer that does not answer a PING is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known about a connection besides its bytes.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The other end of the connection; perhaps a proxy.
    pub remote: IpAddr,
    /// Which listener it came in by.
    pub door: Door,
    /// The way to the store from the runtime that serves the connection.
    pub lane: Lane,
    /// The timers of that runtime.
    pub timer: CoarseTimer,
    /// The subject of the verified client certificate.
    pub client: Option<Arc<str>>,
    /// What is known of its use; one a connection.
    pub traffic: Arc<Traffic>,
}

/// As agreed on in the TLS handshake; without TLS it is always HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9112
    Http1,
    /// RFC 9113
    Http2,
}

/// A connection that is being served.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Entrance {
    /// Serves one connection until it ends, times out, or `stop` turns true and what is in flight is answered.
    ///
    /// Boxed, each protocol by itself: an idle connection takes the room of its own protocol's state and nobody else's.
    pub fn serve<IO>(self: Arc<Self>, io: IO, protocol: Protocol, visit: Visit, stop: watch::Receiver<bool>) -> Serving
    where
        IO: Read + Write + Unpin + Send + 'static,
    {
        match protocol {
            Protocol::Http1 => Box::pin(self.serve_http1(io, visit, stop)),
            Protocol::Http2 => Box::pin(self.serve_http2(io, visit, stop)),
        }
    }

    async fn serve_http1<IO>(self: Arc<Self>, io: IO, visit: Visit, mut stop: watch::Receiver<bool>)
    where
        IO: Read + Write + Unpin + Send + 'static,
    {
        let header_timeout = self.site.load().limits.header_timeout;
        let timer = visit.timer.clone();
        let traffic = Arc::clone(&visit.traffic);
        let visit = Arc::new(visit);
        let io = Unstalled::new(io, timer.clone(), header_timeout);
        let io = NamedErrors::new(io, Arc::clone(&self), visit.remote);
        let (entrance, remote) = (Arc::clone(&self), visit.remote);
        let service = service_fn(move |request| {
            let (entrance, visit) = (Arc::clone(&self), Arc::clone(&visit));
            // Boxed, because it is large, and between two requests there is none.
            Box::pin(async move {
                let _in_flight = visit.traffic.begin();
                Ok::<_, Infallible>(entrance.answer(request, &visit).await)
            })
        });
        let connection = http1::Builder::new()
            .timer(timer)
            .header_read_timeout(header_timeout)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_BUFFER)
            .half_close(false)
            .serve_connection(io, service);
        let mut connection = connection;
        let age = tokio::time::sleep(MAX_AGE);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = age => None,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        match ended {
            Some(Err(error)) if error.is_parse_version_h2() => {
                let answer = entrance.answer_plain_http2(remote);
                // Boxed: hardly any connection needs the room.
                return Box::pin(say(connection.into_parts().io, answer)).await;
            }
            Some(ended) => return log_end(ended),
            None => {}
        }
        if traffic.is_unused() {
            // Closed now, its client would see no answer at all; so a restart would lose what is on its way.
            tokio::select! {
                ended = &mut connection => return log_end(ended),
                () = tokio::time::sleep(FIRST_REQUEST) => {}
            }
        }
        let mut connection = std::pin::pin!(connection);
        connection.as_mut().graceful_shutdown();
        finish(connection, LAST_WORDS).await;
    }

    async fn serve_http2<IO>(self: Arc<Self>, io: IO, visit: Visit, mut stop: watch::Receiver<bool>)
    where
        IO: Read + Write + Unpin + Send + 'static,
    {
        let patience = self.site.load().limits.header_timeout;
        let traffic = Arc::clone(&visit.traffic);
        let visit = Arc::new(visit);
        let io = Unstalled::new(io, visit.timer.clone(), patience);
        let io = Guarded::new(io, Arc::clone(&traffic), patience);
        let service = service_fn(move |request| {
            let (entrance, visit) = (Arc::clone(&self), Arc::clone(&visit));
            async move {
                let in_flight = visit.traffic.begin();
                let method = request.method().clone();
                let answer = entrance.answer(request, &visit).await;
                Ok::<_, Infallible>(Outgoing::answer(&method, answer, in_flight.answered()))
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buf_size(MAX_BUFFER)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let mut age = std::pin::pin!(tokio::time::sleep(MAX_AGE));
        let mut seen = 0;
        loop {
            tokio::select! {
                ended = connection.as_mut() => return log_end(ended),
                () = age.as_mut() => break,
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(patience) => if traffic.is_idle_since(&mut seen, patience) || traffic.untaken(patience) > 0 { break },
            }
        }
        connection.as_mut().graceful_shutdown();
        say_goodbye(connection, &traffic, patience).await;
    }
}

/// After GOAWAY, which lets streams finish. The peer is then expected to close; one that does not is left. One that does not take
/// what it asked for might never stop asking.
async fn say_goodbye(connection: Pin<&mut impl Future<Output = hyper::Result<()>>>, traffic: &Traffic, patience: Duration) {
    let time = if traffic.untaken(patience) > 0 { GOODBYE } else { LAST_WORDS };
    tokio::select! {
        () = finish(connection, time) => {}
        () = traffic.quiet(GOODBYE, patience) => {}
    }
}

/// Sends an answer that no request was understood for, and closes. Whoever does not take it in time goes without.
async fn say(io: impl Read + Write + Unpin, answer: Vec<u8>) {
    let mut io = TokioIo::new(io);
    let said = async {
        io.write_all(&answer).await?;
        io.shutdown().await?;
        // Closing with unread bytes would reset the connection before the peer has read the answer.
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LAST_ANSWER, said).await;
}

/// Waits for the last answers; a peer that does not read them in time is cut off.
async fn finish(connection: Pin<&mut impl Future<Output = hyper::Result<()>>>, time: Duration) {
    if let Ok(ended) = tokio::time::timeout(time, connection).await {
        log_end(ended);
    }
}

/// How a connection ended is the peer's affair: resets and timeouts are daily business on an open network.
fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

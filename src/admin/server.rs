//! The admin thread: accepting, serving and ending.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::guard::{Guard, Peer};
use super::{Options, api};
use crate::secret::Secret;

/// Headers of a request: a browser behind a proxy sends 30.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head: a `q` or a cursor is short.
const MAX_HEAD: usize = 16 * 1024;
/// For an answer that is under way to go out, once the connection or the gateway is to end.
const GRACE: Duration = Duration::from_secs(2);
/// For reads of the store that are under way at the very end; a page takes a quarter of a second at most.
const LAST_READS: Duration = Duration::from_secs(1);
/// Between two tries when accepting fails, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What bounds the connections; tests make it smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// At the same time; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// For a request's head to arrive, and for an idle connection to send the next one.
    pub(super) header_timeout: Duration,
    /// After this long a connection ends at the next quiet moment, so that nobody holds one for ever by not reading the answers.
    pub(super) age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // A monitor, a consumer and some people need a dozen connections; 10 s as at the entrance; 10 minutes let Prometheus
        // use a connection for some 40 scrapes.
        Self { connections: 64, header_timeout: Duration::from_secs(10), age: Duration::from_secs(600) }
    }
}

/// The running admin listener. Dropping it ends it too, without waiting.
pub struct Admin {
    address: SocketAddr,
    guard: Arc<Guard>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Listens, and serves from a thread of its own.
    ///
    /// # Errors
    /// When the address cannot be had, or there is no thread or runtime to be had.
    pub fn start(options: Options) -> io::Result<Self> {
        Self::start_within(options, Limits::default())
    }

    pub(super) fn start_within(options: Options, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_name("admin-read").build()?;
        let (stop, stopped) = watch::channel(false);
        let guard = Arc::new(Guard::new(&options.token));
        let server = Server { router: api::router(options, Arc::clone(&guard)), limits, stopped };
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(server.serve(listener));
            runtime.shutdown_timeout(LAST_READS);
        })?;
        Ok(Self { address, guard, stop, thread })
    }

    /// From here on callers must show this token.
    pub fn set_token(&self, token: &Secret) {
        self.guard.set_token(token);
    }

    /// Where it listens, the port being the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets answers that are under way go out, and ends the thread. Blocks for 3 seconds at most.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had panicked");
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Server {
    router: Router,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl Server {
    async fn serve(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the admin listener cannot be used"),
        };
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        tokio::select! {
            () = self.accept(&listener, &permits) => {}
            () = self.stopped() => {}
        }
        drop(listener);
        // All permits are back once the last connection has ended.
        let _ = timeout(GRACE, permits.acquire_many(self.limits.connections as u32)).await;
    }

    async fn accept(&self, listener: &tokio::net::TcpListener, permits: &Arc<Semaphore>) {
        while let Ok(permit) = Arc::clone(permits).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        server.connection(stream, peer).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            router.call(request)
        });
        let connection = http1::Builder::new()
            // Without a timer the header timeout would be silently off.
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        // Errors are the peer's own (hung up, no HTTP, too slow), and nobody is left to be told.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = sleep(self.limits.age) => {}
            () = self.stopped() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }

    /// Resolves when the gateway ends, or has gone.
    async fn stopped(&self) {
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }
}

//! The threads that serve connections: one a core, each with a single-threaded runtime and a lane to the store.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::http::CoarseTimer;
use crate::listener::Permit;
use crate::store::{Lane, Store};

/// Threads of one worker for what may not hold up its connections: large bodies and Argon2id, both bounded elsewhere too.
const BLOCKING_THREADS: usize = 8;

/// A peer that takes nothing of an answer for so long (in milliseconds) is gone, or means harm.
const UNREAD_TIMEOUT_MS: u32 = 30_000;

/// What belongs to one serving runtime.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) lane: Lane,
    pub(super) timer: CoarseTimer,
}

/// One serving thread.
#[derive(Debug)]
struct Worker {
    handle: Handle,
    seat: Seat,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// All serving threads.
#[derive(Debug)]
pub(super) struct Workers(Vec<Worker>);

/// Hands connections to the workers in turn.
#[derive(Debug)]
pub(super) struct Handles {
    workers: Vec<(Handle, Seat)>,
    next: AtomicUsize,
}

impl Workers {
    pub(super) fn start(store: &Store) -> io::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        (0..cores).map(|number| Worker::start(number, store)).collect::<io::Result<_>>().map(Self)
    }

    pub(super) fn handles(&self) -> Handles {
        let workers = self.0.iter().map(|worker| (worker.handle.clone(), worker.seat.clone())).collect();
        Handles { workers, next: AtomicUsize::new(0) }
    }

    /// Cuts what is still open and waits for the threads to end.
    pub(super) fn stop(self) {
        let (stops, threads): (Vec<_>, Vec<_>) = self.0.into_iter().map(|worker| (worker.stop, worker.thread)).unzip();
        drop(stops);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }
}

impl Worker {
    fn start(number: usize, store: &Store) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let handle = runtime.handle().clone();
        let seat = {
            let _entered = handle.enter();
            Seat { lane: store.lane(), timer: CoarseTimer::start() }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("entrance-{number}")).spawn(move || {
            // Ends when the sender is dropped; there is nothing to receive.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, seat, stop, thread })
    }
}

impl Handles {
    /// Waits until every worker has done something new; false if one has ended.
    pub(super) async fn all_respond(&self) -> bool {
        for (handle, _) in &self.workers {
            if handle.spawn(async {}).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Serves `stream` on the next worker, its socket registered with that worker's own poller.
    /// Who serves holds the permit until the end.
    pub(super) fn spawn<F>(&self, stream: TcpStream, permit: Permit, serve: impl FnOnce(TcpStream, Permit, Seat) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let (handle, seat) = &self.workers[turn];
        let seat = seat.clone();
        handle.spawn(async move {
            match adopt(stream) {
                Ok(stream) => serve(stream, permit, seat).await,
                Err(error) => tracing::error!(%error, "cannot serve a connection"),
            }
        });
    }
}

/// Moves a stream to the current runtime.
fn adopt(stream: TcpStream) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(stream.into_std()?)?;
    // Answers are small and complete: nothing is won by waiting for more to send.
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD_TIMEOUT_MS)?;
    Ok(stream)
}

//! What a connection does besides sending requests.
//!
//! HTTP/2 lets a client send frames that cost an answer or a lookup and belong to no request: PING, SETTINGS, PRIORITY,
//! WINDOW_UPDATE, empty DATA. They are not limited by the protocol, so bytes that lead to nothing are counted, and a
//! connection that sends too many of them is closed. The wait for a connection's first bytes is bounded here as well, because
//! no timer of the HTTP/2 implementation runs before them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use slab::Slab;
use tokio::time::{Sleep, sleep};

/// Bytes without a request or body in between. Twice the connection's flow-control window: that much body may be read
/// ahead of whoever consumes it.
const MOST_UNEXPLAINED: u64 = 2 * 1024 * 1024;
/// The HTTP/2 preface (RFC 9113 section 3.4); HTTP/2 timers run once it is complete.
const PREFACE: u64 = 24;

/// The use that a connection has been of.
#[derive(Debug, Default)]
pub struct Traffic {
    unexplained: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Of each answer that is being sent over HTTP/2, when it last got on.
    sending: Mutex<Slab<Instant>>,
}

impl Traffic {
    /// A request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.explain();
        InFlight(Arc::clone(self))
    }

    /// What was read was of use.
    pub(super) fn explain(&self) {
        self.unexplained.store(0, Ordering::Relaxed);
    }

    /// Whether no request has come yet.
    pub(super) fn is_unused(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == 0
    }

    /// Waits until nothing was in flight for as long as `time`; see [`Self::is_idle_since`].
    pub(super) async fn quiet(&self, time: Duration, patience: Duration) {
        let mut seen = self.begun.load(Ordering::Relaxed);
        loop {
            sleep(time).await;
            if self.is_idle_since(&mut seen, patience) {
                return;
            }
        }
    }

    /// Whether nothing is in flight and nothing was since `seen`, which is brought up to date. Answers that did not get on within
    /// `patience` are nothing.
    pub(super) fn is_idle_since(&self, seen: &mut u64, patience: Duration) -> bool {
        let (begun, ended) = (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        let is_idle = begun == ended + self.untaken(patience) && begun == *seen;
        *seen = begun;
        is_idle
    }

    /// How many answers did not get on within `patience`.
    pub(super) fn untaken(&self, patience: Duration) -> u64 {
        self.sending().iter().filter(|(_, progress)| progress.elapsed() > patience).count() as u64
    }

    /// The slab is whole between any two statements here, so a poisoned lock is no reason to stop.
    fn sending(&self) -> MutexGuard<'_, Slab<Instant>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Traffic>);

impl InFlight {
    /// There is an answer, which is to be sent.
    pub(super) fn answered(self) -> Sending {
        let place = self.0.sending().insert(Instant::now());
        Sending { in_flight: self, place }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer that is being sent; its request is in flight until then.
#[derive(Debug)]
pub(super) struct Sending {
    in_flight: InFlight,
    place: usize,
}

impl Sending {
    /// A part of it is gone.
    pub(super) fn progress(&self) {
        self.in_flight.0.sending()[self.place] = Instant::now();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.in_flight.0.sending().remove(self.place);
    }
}

/// A connection that ends when it is of no use.
pub(super) struct Guarded<IO> {
    io: IO,
    traffic: Arc<Traffic>,
    received: u64,
    patience: Pin<Box<Sleep>>,
}

impl<IO> Guarded<IO> {
    /// The preface must be complete within `patience`.
    pub(super) fn new(io: IO, traffic: Arc<Traffic>, patience: Duration) -> Self {
        Self { io, traffic, received: 0, patience: Box::pin(sleep(patience)) }
    }

    fn account(&mut self, read: u64) -> io::Result<()> {
        self.received += read;
        let unexplained = self.traffic.unexplained.fetch_add(read, Ordering::Relaxed) + read;
        if unexplained > MOST_UNEXPLAINED {
            return Err(io::Error::other("too many HTTP/2 frames that belong to no request"));
        }
        Ok(())
    }
}

impl<IO: Read + Unpin> Read for Guarded<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.received < PREFACE && this.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // Read by way of a buffer of our own, because a cursor does not say how much was put behind it.
        let mut part = [0; 8 * 1024];
        let room = part.len().min(buf.remaining());
        let mut own = ReadBuf::new(&mut part[..room]);
        match Pin::new(&mut this.io).poll_read(cx, own.unfilled()) {
            Poll::Ready(Ok(())) => {
                let read = own.filled();
                buf.put_slice(read);
                let read = read.len() as u64;
                Poll::Ready(this.account(read))
            }
            other => other,
        }
    }
}

impl<IO: Write + Unpin> Write for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_nothing_happened_between_two_looks() {
        let traffic = Arc::new(Traffic::default());
        let (mut seen, patience) = (0, Duration::from_secs(60));
        let request = traffic.begin();
        assert!(!traffic.is_idle_since(&mut seen, patience));
        assert!(!traffic.is_idle_since(&mut seen, patience), "still in flight");
        let sending = request.answered();
        assert!(!traffic.is_idle_since(&mut seen, patience), "still being sent");
        assert!(traffic.is_idle_since(&mut seen, Duration::ZERO), "for too long");
        assert_eq!(traffic.untaken(Duration::ZERO), 1);
        drop(sending);
        assert!(traffic.is_idle_since(&mut seen, patience));
        assert_eq!(traffic.untaken(Duration::ZERO), 0);
    }
}

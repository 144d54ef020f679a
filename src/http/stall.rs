//! A deadline for peers that ask and do not take the answer.
//!
//! Such a peer holds a place for as long as it likes: its kernel acknowledges everything, so that no timer of TCP runs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};

use super::CoarseTimer;

/// Bytes that have to be taken in the time allowed, if there are so many: a peer that takes one now and then takes nothing.
const SHARE: usize = 16 * 1024;

/// A connection that ends when too little could be written for too long.
pub(super) struct Unstalled<IO> {
    io: IO,
    timer: CoarseTimer,
    patience: Duration,
    stalled: Option<Stalled>,
}

/// There is more to write than the peer takes.
struct Stalled {
    deadline: Pin<Box<dyn Sleep>>,
    written: usize,
}

impl<IO> Unstalled<IO> {
    /// What is written has to be taken within `patience`, or as much as [`SHARE`] of it.
    pub(super) fn new(io: IO, timer: CoarseTimer, patience: Duration) -> Self {
        Self { io, timer, patience, stalled: None }
    }

    fn watch_write(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(written)), Some(stalled)) = (&written, &mut self.stalled) {
            stalled.written += written;
            if stalled.written >= SHARE {
                self.stalled = None;
            }
        }
        if written.is_ready() { written } else { self.watch(cx).map(Err) }
    }

    /// All that there was is written, or not yet.
    fn watch_flush(&mut self, cx: &mut Context<'_>, flushed: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if flushed.is_pending() {
            return self.watch(cx).map(Err);
        }
        self.stalled = None;
        flushed
    }

    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let start = || Stalled { deadline: self.timer.sleep(self.patience), written: 0 };
        let stalled = self.stalled.get_or_insert_with(start);
        stalled.deadline.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<IO: Read + Unpin> Read for Unstalled<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: Write + Unpin> Write for Unstalled<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_flush(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch_flush(cx, ended)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch_write(cx, written)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use super::*;

    /// Takes so many bytes every other time.
    struct Peer {
        takes: usize,
        is_ready: bool,
    }

    impl Write for Peer {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.is_ready = !self.is_ready;
            if self.is_ready {
                return Poll::Ready(Ok(buf.len().min(self.takes)));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes for `time`, flushing now and then or not.
    async fn write(takes: usize, flushes: bool, time: Duration) -> io::Result<()> {
        let mut io = Unstalled::new(Peer { takes, is_ready: false }, CoarseTimer::start(), Duration::from_millis(100));
        let start = Instant::now();
        while start.elapsed() < time {
            poll_fn(|cx| Pin::new(&mut io).poll_write(cx, &[0; SHARE])).await?;
            if flushes {
                poll_fn(|cx| Pin::new(&mut io).poll_flush(cx)).await?;
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_peer_that_takes_a_byte_now_and_then_takes_nothing() {
        // The deadline is counted in time, and so many bytes do not come together in it.
        let stalled = Stalled { deadline: CoarseTimer::start().sleep(Duration::ZERO), written: SHARE - 2 };
        let mut io = Unstalled::new(Peer { takes: 1, is_ready: false }, CoarseTimer::start(), Duration::from_secs(60));
        io.stalled = Some(stalled);
        let mut write = async || poll_fn(|cx| Pin::new(&mut io).poll_write(cx, b"xx")).await;
        assert!(write().await.is_ok(), "taken at once");
        let ended = write().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut, "one byte is no progress");
    }

    #[tokio::test]
    async fn a_peer_that_takes_its_share_or_all_there_is_may_be_slow() {
        let time = Duration::from_millis(400);
        assert!(write(SHARE, false, time).await.is_ok());
        assert!(write(1, true, time).await.is_ok());
    }
}

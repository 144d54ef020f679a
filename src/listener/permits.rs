//! How many connections may be open, over all listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// Counts open connections against a limit.
#[derive(Debug)]
pub struct Permits {
    limit: AtomicUsize,
    open: AtomicUsize,
    gauge: Gauge,
    closed: Notify,
}

/// One open connection; gives its place back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Permits>);

impl Permits {
    /// At most `limit` at once; `gauge` follows the count.
    pub fn new(limit: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), open: AtomicUsize::new(0), gauge, closed: Notify::new() })
    }

    /// Changes the limit. Whoever has a place keeps it, also beyond a lower limit.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A place, if there is one.
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        // Made first, so that a place that was not to be had is given back like any other.
        let permit = Permit(Arc::clone(self));
        (open < self.limit.load(Ordering::Relaxed)).then_some(permit)
    }

    /// Waits until no connection is open.
    pub async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.gauge.dec();
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let permits = Permits::new(1, Gauge::default());
        let held = permits.take().unwrap();
        assert!(permits.take().is_none());
        drop(held);
        permits.all_closed().await;
        assert_eq!(permits.gauge.get(), 0);
        assert!(permits.take().is_some());
    }

    #[test]
    fn a_new_limit_holds_for_the_next() {
        let permits = Permits::new(1, Gauge::default());
        let _held = permits.take().unwrap();
        permits.set_limit(2);
        let _also_held = permits.take().unwrap();
        permits.set_limit(1);
        assert!(permits.take().is_none());
    }
}

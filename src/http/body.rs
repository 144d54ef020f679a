//! Reading a body within its limits: size, time, and a budget over all requests.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::error::Refused;
use super::traffic::Traffic;
use crate::buffer::Buffer;
use crate::incident::Draft;
use crate::store::Outcome;

/// How much of a refused body is still read, so that the caller, who may write it all before reading, sees the answer.
const DRAIN_BYTES: u64 = 1 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// A third of the total time without a single byte means that nobody is there any more.
const IDLE_SHARE: u32 = 3;

/// A budget of body bytes over all requests in flight.
#[derive(Debug)]
pub(super) struct Budget {
    limit: AtomicU64,
    used: AtomicU64,
    gauge: Gauge,
}

impl Budget {
    pub(super) fn new(limit: u64, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0), gauge })
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { budget: Arc::clone(self), bytes: 0 }
    }
}

/// One request's part of the [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reserved {
    /// Takes `bytes` more, or says that there is no room.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Refused> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        self.budget.gauge.inc_by(bytes as i64);
        if before + bytes > self.budget.limit.load(Ordering::Relaxed) { Err(Refused::OverBudget) } else { Ok(()) }
    }

    /// What became of a body takes more room than it took on the way: it may have been packed, or hold very many tiny events.
    pub(super) fn account_for(&mut self, drafts: &[Draft]) -> Result<(), Refused> {
        let unpacked = drafts.iter().map(|draft| draft.raw.len() as u64).sum::<u64>();
        self.grow(unpacked.saturating_sub(self.bytes))?;
        let beside = overhead(drafts);
        let others = self.budget.used.load(Ordering::Relaxed) - self.bytes;
        match self.grow(beside) {
            // The budget may be as small as the largest body, and that is not to be refused for ever.
            Err(_) if others == 0 => Ok(()),
            grown => grown,
        }
    }

    /// How much it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is more than `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        drop(Self { budget: Arc::clone(&self.budget), bytes: self.bytes.saturating_sub(bytes) });
        self.bytes = self.bytes.min(bytes);
    }
}

/// Bytes that drafts and their outcomes take beside the body that they are parts of.
pub(super) fn overhead(drafts: &[Draft]) -> u64 {
    drafts.iter().map(|draft| (draft.overhead() + size_of::<Outcome>()) as u64).sum()
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.gauge.dec_by(self.bytes as i64);
    }
}

/// What ends the reading of a body before its own end.
#[derive(Debug)]
pub(super) struct Bounds<'a> {
    /// Bytes.
    pub(super) max: u64,
    /// For all of it; a third of that without a byte is enough as well.
    pub(super) time: Duration,
    /// Turns true when the gateway is about to end: no body is waited for any more.
    pub(super) last_call: &'a watch::Sender<bool>,
}

/// Reads the whole body within its bounds.
pub(super) async fn collect(
    body: &mut Incoming,
    bounds: &Bounds<'_>,
    reserved: &mut Reserved,
    traffic: &Traffic,
) -> Result<Bytes, Refused> {
    let max = bounds.max;
    let announced = body.size_hint().exact();
    if body.size_hint().lower() > max {
        return Err(Refused::BodyTooLarge { limit: max });
    }
    let start = Instant::now();
    let mut first = Bytes::new();
    let mut all = Buffer::new(usize::try_from(announced.unwrap_or(max)).unwrap_or(usize::MAX));
    loop {
        let received = (first.len() + all.len()) as u64;
        let Some(frame) = next_frame(body, start, bounds, received).await? else { break };
        // Trailers are not headers: what they say is not looked at.
        let Ok(data) = frame.into_data() else { continue };
        if received + data.len() as u64 > max {
            return Err(Refused::BodyTooLarge { limit: max });
        }
        reserved.grow(data.len() as u64)?;
        if !data.is_empty() {
            traffic.explain();
        }
        if received == 0 {
            first = data;
            if announced == Some(first.len() as u64) {
                break;
            }
            continue;
        }
        if all.is_empty() {
            all.append(&std::mem::take(&mut first));
        }
        all.append(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

async fn next_frame(body: &mut Incoming, start: Instant, bounds: &Bounds<'_>, received: u64) -> Result<Option<Frame<Bytes>>, Refused> {
    // Most bodies arrive together with their head: then no timer is needed.
    let mut frame = std::pin::pin!(body.frame());
    let at_once = std::future::poll_fn(|cx| std::task::Poll::Ready(frame.as_mut().poll(cx))).await;
    let frame = match at_once {
        std::task::Poll::Ready(frame) => frame,
        std::task::Poll::Pending => {
            let deadline = (start + bounds.time).min(Instant::now() + bounds.time / IDLE_SHARE);
            let mut last_call = bounds.last_call.subscribe();
            tokio::select! {
                frame = timeout_at(deadline, frame) => frame.map_err(|_| Refused::BodyTooSlow { received, after: start.elapsed() })?,
                _ = last_call.wait_for(|is_made| *is_made) => return Err(Refused::Stopping { received }),
            }
        }
    };
    frame.transpose().map_err(|source| Refused::BodyBroken { received, source })
}

/// Reads on after a refusal, in the background and within bounds, then drops the body (hyper closes what is not read).
pub(super) fn drain(mut body: Incoming, traffic: Arc<Traffic>) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let deadline = Instant::now() + DRAIN_TIME;
        let mut drained = 0;
        while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
            let more = frame.data_ref().map_or(0, |data| data.len() as u64);
            if more > 0 {
                // It belongs to a request, and there is an end to it.
                traffic.explain();
            }
            drained += more;
            if drained > DRAIN_BYTES {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(10, Gauge::default());
        let mut one = budget.reserve();
        assert!(one.grow(10).is_ok());
        let mut two = budget.reserve();
        assert!(matches!(two.grow(1), Err(Refused::OverBudget)));
        drop((one, two));
        assert_eq!(budget.gauge.get(), 0);
        assert!(budget.reserve().grow(10).is_ok());
        budget.set_limit(9);
        assert!(matches!(budget.reserve().grow(10), Err(Refused::OverBudget)));
    }

    #[test]
    fn a_part_of_it_can_be_given_back() {
        let budget = Budget::new(10, Gauge::default());
        let mut one = budget.reserve();
        one.grow(10).unwrap();
        one.shrink_to(12);
        assert_eq!((one.bytes(), budget.gauge.get()), (10, 10));
        one.shrink_to(4);
        assert_eq!((one.bytes(), budget.gauge.get()), (4, 4));
        assert!(budget.reserve().grow(6).is_ok());
        drop(one);
        assert_eq!((budget.gauge.get(), budget.used.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn tiny_events_count_as_what_they_take() {
        let raw = Bytes::from_static(b"{}");
        let one = Draft { name: "a".into(), kind: None, occurred: None, raw, key: None, fields: Vec::new(), warnings: Vec::new() };
        let drafts = vec![one; 1000];
        let budget = Budget::new(100_000, Gauge::default());
        let mut alone = budget.reserve();
        alone.grow(10).unwrap();
        assert!(alone.account_for(&drafts).is_ok(), "nobody else needs the budget");
        assert!(alone.bytes() > 100_000, "{}", alone.bytes());
        let mut second = budget.reserve();
        assert!(matches!(second.account_for(&drafts), Err(Refused::OverBudget)));
    }
}

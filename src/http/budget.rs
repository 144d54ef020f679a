//! Budgets of body bytes over all requests in flight.
//!
//! There are two: one for callers who have shown who they are before their body is read, and a smaller one for those whose
//! signature is still to come. So whoever can only claim to be a sender takes nothing from those who are one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

use super::Limits;
use super::error::Refused;
use crate::incident::Draft;
use crate::party::party;
use crate::store::Outcome;

/// What callers who are not verified yet may take together, as a part of `max_body_in_flight` beside it; and the same part of
/// that again is what one of them may take.
const UNVERIFIED_PART: u64 = 4;

/// Both budgets.
#[derive(Debug)]
pub(super) struct Budgets {
    common: Arc<Budget>,
    unverified: Arc<Unverified>,
}

impl Budgets {
    pub(super) fn new(limits: &Limits, gauge: &Gauge) -> Self {
        let unverified = Unverified { budget: Budget::new(0, gauge.clone()), most_each: AtomicU64::new(0), shares: Mutex::default() };
        let budgets = Self { common: Budget::new(0, gauge.clone()), unverified: Arc::new(unverified) };
        budgets.set_limits(limits);
        budgets
    }

    /// A single body as large as may be always has room.
    pub(super) fn set_limits(&self, limits: &Limits) {
        let all = limits.max_body_in_flight / UNVERIFIED_PART;
        self.common.set_limit(limits.max_body_in_flight);
        self.unverified.budget.set_limit(all.max(limits.max_body));
        self.unverified.most_each.store((all / UNVERIFIED_PART).max(limits.max_body), Ordering::Relaxed);
    }

    /// For somebody who has shown who they are.
    pub(super) fn reserve(&self) -> Reserved {
        self.common.reserve()
    }

    /// For somebody whose signature is still to come.
    pub(super) fn reserve_unverified(&self, client: IpAddr) -> Reserved {
        let share = Share { unverified: Arc::clone(&self.unverified), party: party(client), bytes: 0 };
        Reserved { budget: Arc::clone(&self.unverified.budget), bytes: 0, share: Some(share) }
    }

    /// The signature came and is right: from here on it is a body like others.
    pub(super) fn verified(&self, reserved: &mut Reserved) -> Result<(), Refused> {
        if reserved.share.is_some() {
            let mut moved = self.reserve();
            moved.grow(reserved.bytes)?;
            *reserved = moved;
        }
        Ok(())
    }
}

/// What callers who are not verified yet hold.
#[derive(Debug)]
struct Unverified {
    budget: Arc<Budget>,
    most_each: AtomicU64,
    /// Bytes by client; whoever holds none is not in it.
    shares: Mutex<HashMap<IpAddr, u64>>,
}

impl Unverified {
    /// The numbers are whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request has of its client's share.
#[derive(Debug)]
struct Share {
    unverified: Arc<Unverified>,
    party: IpAddr,
    bytes: u64,
}

impl Share {
    fn grow(&mut self, bytes: u64) -> Result<(), Refused> {
        let mut shares = self.unverified.lock();
        let held = shares.entry(self.party).or_insert(0);
        *held += bytes;
        self.bytes += bytes;
        if *held > self.unverified.most_each.load(Ordering::Relaxed) { Err(Refused::OverUnverifiedBudget) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.unverified.lock();
        if let Some(held) = shares.get_mut(&self.party) {
            *held -= self.bytes;
            if *held == 0 {
                shares.remove(&self.party);
            }
        }
    }
}

/// So many bytes, and how many of them are taken.
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

    fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { budget: Arc::clone(self), bytes: 0, share: None }
    }
}

/// One request's part of the [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Arc<Budget>,
    bytes: u64,
    /// Of somebody who is not verified yet.
    share: Option<Share>,
}

impl Reserved {
    /// Takes `bytes` more, or says that there is no room.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Refused> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        self.budget.gauge.inc_by(bytes as i64);
        let is_over = before + bytes > self.budget.limit.load(Ordering::Relaxed);
        match &mut self.share {
            Some(share) => share.grow(bytes).and(if is_over { Err(Refused::OverUnverifiedBudget) } else { Ok(()) }),
            None if is_over => Err(Refused::OverBudget),
            None => Ok(()),
        }
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
        drop(Self { budget: Arc::clone(&self.budget), bytes: self.bytes.saturating_sub(bytes), share: None });
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn limits(max_body: u64, max_body_in_flight: u64) -> Limits {
        let second = std::time::Duration::from_secs(1);
        Limits {
            max_body,
            max_body_in_flight,
            header_timeout: second,
            body_timeout: second,
            max_requests_per_client: 1,
            failed_logins_per_minute: 0,
            trusted_proxies: Vec::new(),
        }
    }

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_not_verified_takes_nothing_from_those_who_are() {
        let budgets = Budgets::new(&limits(10, 160), &Gauge::default());
        let clients = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
        let mut held: Vec<_> = clients.map(|one| budgets.reserve_unverified(client(one))).into();
        assert!(held.iter_mut().all(|one| one.grow(10).is_ok()));
        let grows = |one: &str, bytes| budgets.reserve_unverified(client(one)).grow(bytes);
        assert!(matches!(grows("192.0.2.1", 1), Err(Refused::OverUnverifiedBudget)), "its share is used up");
        assert!(matches!(grows("192.0.2.5", 1), Err(Refused::OverUnverifiedBudget)), "all shares are");
        assert!(budgets.reserve().grow(160).is_ok());
        budgets.verified(&mut held[0]).unwrap();
        assert!(grows("192.0.2.1", 10).is_ok());
        assert!(matches!(budgets.reserve().grow(151), Err(Refused::OverBudget)), "what is verified counts with the rest");
        drop(held);
        assert_eq!((budgets.common.gauge.get(), budgets.unverified.lock().len()), (0, 0));
    }

    #[test]
    fn the_largest_body_has_room_however_small_the_parts_are() {
        let budgets = Budgets::new(&limits(100, 100), &Gauge::default());
        assert!(budgets.reserve_unverified(client("192.0.2.1")).grow(100).is_ok());
        assert!(budgets.reserve_unverified(client("192.0.2.1")).grow(101).is_err());
    }

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

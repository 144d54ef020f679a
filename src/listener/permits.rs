//! How many connections may be open: over all listeners, and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::party::party;

/// How many, and for whom not.
#[derive(Clone, Debug)]
pub struct PermitLimits {
    /// Over all addresses.
    pub all: usize,
    /// Of one IPv4 address or one IPv6 /64.
    pub per_address: usize,
    /// Proxies: many clients come by the address of one.
    pub exempt: Vec<IpNet>,
}

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The gateway has as many connections as it may have.
    Everywhere,
    /// The address has.
    Address,
}

/// Counts open connections against the limits.
#[derive(Debug)]
pub struct Permits {
    limits: ArcSwap<PermitLimits>,
    open: AtomicUsize,
    /// Bounded by the number of connections: whoever has none open is not in it.
    by_party: Mutex<HashMap<IpAddr, usize>>,
    gauge: Gauge,
    closed: Notify,
}

/// One open connection; gives its places back when dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    /// Against whose share it counts; none: against nobody's.
    party: Option<IpAddr>,
}

impl Permits {
    /// `gauge` follows the number of open connections.
    pub fn new(limits: PermitLimits, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            open: AtomicUsize::new(0),
            by_party: Mutex::default(),
            gauge,
            closed: Notify::new(),
        })
    }

    /// Changes the limits. Whoever has a place keeps it, also beyond a lower limit.
    pub fn set_limits(&self, limits: PermitLimits) {
        self.limits.store(Arc::new(limits));
    }

    /// A place, if there is one; yet without regard to whose it is.
    pub fn take(self: &Arc<Self>) -> Result<Permit, Crowded> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        // Made first, so that a place that was not to be had is given back like any other.
        let permit = Permit { permits: Arc::clone(self), party: None };
        if open < self.limits.load().all { Ok(permit) } else { Err(Crowded::Everywhere) }
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

    /// The counts are whole between any two statements here, so a poisoned lock is no reason to stop.
    fn parties(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_party.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, party: IpAddr) {
        let mut parties = self.parties();
        if let Some(open) = parties.get_mut(&party) {
            *open -= 1;
            if *open == 0 {
                parties.remove(&party);
            }
        }
    }
}

impl Permit {
    /// Counts the connection as one of `client`, once it is known who that is.
    pub fn count_for(&mut self, client: IpAddr) -> Result<(), Crowded> {
        let client = client.to_canonical();
        let limits = self.permits.limits.load();
        if limits.exempt.iter().any(|net| net.contains(&client)) {
            return Ok(());
        }
        let party = party(client);
        let mut parties = self.permits.parties();
        let open = parties.get(&party).copied().unwrap_or(0);
        if open >= limits.per_address {
            return Err(Crowded::Address);
        }
        parties.insert(party, open + 1);
        drop(parties);
        let before = self.party.replace(party);
        before.into_iter().for_each(|before| self.permits.leave(before));
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(party) = self.party {
            self.permits.leave(party);
        }
        self.permits.gauge.dec();
        if self.permits.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.permits.closed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(all: usize, per_address: usize) -> Arc<Permits> {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        Permits::new(PermitLimits { all, per_address, exempt }, Gauge::default())
    }

    fn take(permits: &Arc<Permits>, client: &str) -> Result<Permit, Crowded> {
        let mut permit = permits.take()?;
        permit.count_for(client.parse().unwrap())?;
        Ok(permit)
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let permits = permits(1, 9);
        let held = permits.take().unwrap();
        assert_eq!(permits.take().unwrap_err(), Crowded::Everywhere);
        drop(held);
        permits.all_closed().await;
        assert_eq!(permits.gauge.get(), 0);
        assert!(permits.take().is_ok());
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let permits = permits(99, 2);
        for [one, same, other] in [["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"]] {
            let first = take(&permits, one).unwrap();
            let second = take(&permits, same).unwrap();
            assert_eq!(take(&permits, one).unwrap_err(), Crowded::Address);
            assert!(take(&permits, other).is_ok());
            drop(first);
            let third = take(&permits, same).unwrap();
            assert_eq!(take(&permits, one).unwrap_err(), Crowded::Address);
            drop((second, third));
        }
        assert!(permits.parties().is_empty(), "nothing is kept of those who are gone");
        assert_eq!(permits.gauge.get(), 0, "nor of those who were refused");
    }

    #[test]
    fn proxies_are_exempt() {
        let permits = permits(99, 1);
        let _held: Vec<_> = (0..50).map(|_| take(&permits, "::ffff:10.0.0.1").unwrap()).collect();
        assert!(permits.parties().is_empty());
    }

    #[test]
    fn a_connection_counts_once_however_often_it_is_counted() {
        let permits = permits(99, 1);
        let mut permit = take(&permits, "192.0.2.1").unwrap();
        permit.count_for("192.0.2.2".parse().unwrap()).unwrap();
        assert!(take(&permits, "192.0.2.1").is_ok());
        drop(permit);
        assert!(permits.parties().is_empty());
    }

    #[test]
    fn new_limits_hold_for_the_next() {
        let permits = permits(1, 1);
        let _held = permits.take().unwrap();
        let limits = |all| PermitLimits { all, per_address: 1, exempt: Vec::new() };
        permits.set_limits(limits(2));
        let _also_held = permits.take().unwrap();
        permits.set_limits(limits(1));
        assert!(permits.take().is_err());
    }
}

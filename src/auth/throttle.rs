//! Failed logins beyond a rate are turned away before anything is looked at.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::party::party;

/// Pairs of address and instance on record at once: about 2 MiB. At the default rate a pair with one failure is forgotten
/// after a second, so only an attack of this many failures a second fills it.
const CAPACITY: usize = 65_536;
/// The share of the records that is dropped when there is no room: large enough that searching for them is rare.
const DROPPED_AT_ONCE: usize = CAPACITY / 8;
/// How often forgotten failures are removed, so that the quick way through [`Throttle::check`] opens again.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// In nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// Too many failures: when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins from this address")]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// For a `Retry-After` header (RFC 9110, section 10.2.3): whole seconds, rounded up, never 0.
    pub fn seconds(self) -> u64 {
        (self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)).max(1)
    }
}

/// Counts failed logins of each address (an IPv4 address, or a /64 of IPv6, which is what one customer gets) against each
/// instance name, whether or not there is such an instance.
///
/// A generic cell rate algorithm (GCRA): a minute's failures may come at once, then one every `60 s / per_minute`. Successes
/// cost nothing. Failures that were already under way when the rate was reached are counted on, so that opening many
/// connections at once gains nothing over time.
///
/// At most 65,536 pairs are on record. Where there is no room, those closest to being forgotten go first: to get rid of their
/// own record, whoever is turned away would have to put as many failures on record for most of the other pairs, which takes
/// longer than waiting.
pub struct Throttle {
    /// Failures a minute; 0 if there is no limit.
    per_minute: AtomicU32,
    start: Instant,
    hasher: RandomState,
    /// `records` has this many; read without its lock.
    len: AtomicUsize,
    records: Mutex<Records>,
}

/// What so many failures a minute mean, in nanoseconds.
struct Rate {
    /// Between two failures at the steady rate.
    interval: u64,
    /// What a minute allows at once.
    burst: u64,
}

#[derive(Default)]
struct Records {
    /// For each pair (its keyed hash: among so few, a chance collision of 64 bits will not be met) when its failures are
    /// forgotten, in nanoseconds since `start`. GCRA calls it the theoretical arrival time.
    forgotten_at: HashMap<u64, u64>,
    swept_at: u64,
}

impl Throttle {
    /// A throttle for this many failures a minute from one address against one instance; 0 stands for no limit.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: AtomicU32::new(per_minute),
            start: Instant::now(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            records: Mutex::default(),
        }
    }

    /// Changes the rate. What is on record stays: each failure holds for as long as it did when it was counted.
    pub fn set_rate(&self, per_minute: u32) {
        self.per_minute.store(per_minute, Ordering::Relaxed);
    }

    /// Whether `peer` may try to log in to `instance`. Costs next to nothing as long as no failure is on record.
    ///
    /// # Errors
    /// When the failures allowed are used up: after what time the next one is allowed.
    pub fn check(&self, peer: IpAddr, instance: &str) -> Result<(), RetryAfter> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.check_at(peer, instance, Instant::now())
    }

    /// Counts a failed login.
    pub fn failed(&self, peer: IpAddr, instance: &str) {
        self.failed_at(peer, instance, Instant::now());
    }

    fn check_at(&self, peer: IpAddr, instance: &str, now: Instant) -> Result<(), RetryAfter> {
        let Some(Rate { interval, burst }) = self.rate() else { return Ok(()) };
        let (pair, now) = (self.pair(peer, instance), self.nanos(now));
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(records.swept_at) >= SWEEP_EVERY.as_nanos() as u64 {
            records.sweep(now);
            self.len.store(records.forgotten_at.len(), Ordering::Relaxed);
        }
        let owed = records.forgotten_at.get(&pair).map_or(0, |at| at.saturating_sub(now));
        match (owed + interval).saturating_sub(burst) {
            0 => Ok(()),
            excess => Err(RetryAfter(Duration::from_nanos(excess))),
        }
    }

    fn failed_at(&self, peer: IpAddr, instance: &str, now: Instant) {
        let Some(Rate { interval, .. }) = self.rate() else { return };
        let (pair, now) = (self.pair(peer, instance), self.nanos(now));
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.forgotten_at.len() >= CAPACITY && !records.forgotten_at.contains_key(&pair) {
            records.make_room(now);
        }
        let at = records.forgotten_at.entry(pair).or_insert(now);
        *at = now.max(*at) + interval;
        self.len.store(records.forgotten_at.len(), Ordering::Relaxed);
    }

    fn rate(&self) -> Option<Rate> {
        let per_minute = u64::from(self.per_minute.load(Ordering::Relaxed));
        let interval = MINUTE.checked_div(per_minute)?;
        Some(Rate { interval, burst: interval * per_minute })
    }

    fn pair(&self, peer: IpAddr, instance: &str) -> u64 {
        self.hasher.hash_one((party(peer), instance))
    }

    fn nanos(&self, now: Instant) -> u64 {
        // 64 bits of nanoseconds last 584 years.
        now.saturating_duration_since(self.start).as_nanos() as u64
    }
}

impl Records {
    fn sweep(&mut self, now: u64) {
        self.forgotten_at.retain(|_, at| *at > now);
        self.swept_at = now;
    }

    fn make_room(&mut self, now: u64) {
        self.sweep(now);
        if self.forgotten_at.len() < CAPACITY {
            return;
        }
        let mut times: Vec<u64> = self.forgotten_at.values().copied().collect();
        let (_, &mut last, _) = times.select_nth_unstable(DROPPED_AT_ONCE);
        self.forgotten_at.retain(|_, at| *at > last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1";

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails until turned away; returns the number of failures.
    fn exhaust(throttle: &Throttle, who: IpAddr, instance: &str, now: Instant) -> usize {
        let mut count = 0;
        while throttle.check_at(who, instance, now).is_ok() {
            throttle.failed_at(who, instance, now);
            count += 1;
            assert!(count <= 1000, "never turned away");
        }
        count
    }

    #[test]
    fn a_minutes_failures_at_once_then_one_by_one() {
        let throttle = Throttle::new(60);
        let now = throttle.start;
        assert_eq!(exhaust(&throttle, peer(PEER), "a", now), 60);
        assert_eq!(throttle.check_at(peer(PEER), "a", now), Err(RetryAfter(Duration::from_secs(1))));
        let later = now + Duration::from_millis(999);
        assert_eq!(throttle.check_at(peer(PEER), "a", later), Err(RetryAfter(Duration::from_millis(1))));
        assert_eq!(exhaust(&throttle, peer(PEER), "a", now + Duration::from_secs(1)), 1);
        assert_eq!(exhaust(&throttle, peer(PEER), "a", now + Duration::from_secs(61)), 60);
    }

    #[test]
    fn odd_rates_allow_exactly_their_number() {
        for rate in [1, 7, 59, 90] {
            let throttle = Throttle::new(rate);
            assert_eq!(exhaust(&throttle, peer(PEER), "a", throttle.start), rate as usize);
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let throttle = Throttle::new(0);
        for _ in 0..1000 {
            throttle.failed(peer(PEER), "a");
        }
        assert_eq!(throttle.check(peer(PEER), "a"), Ok(()));
        assert_eq!(throttle.len.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_new_rate_keeps_what_is_on_record() {
        let throttle = Throttle::new(60);
        let now = throttle.start;
        exhaust(&throttle, peer(PEER), "a", now);
        throttle.set_rate(30);
        assert_eq!(throttle.check_at(peer(PEER), "a", now), Err(RetryAfter(Duration::from_secs(2))));
        throttle.set_rate(0);
        assert_eq!(throttle.check_at(peer(PEER), "a", now), Ok(()));
        throttle.set_rate(60);
        assert_eq!(throttle.check_at(peer(PEER), "a", now), Err(RetryAfter(Duration::from_secs(1))));
    }

    #[test]
    fn others_are_not_affected() {
        let throttle = Throttle::new(3);
        let now = throttle.start;
        exhaust(&throttle, peer(PEER), "a", now);
        assert!(throttle.check_at(peer(PEER), "b", now).is_ok());
        assert!(throttle.check_at(peer("192.0.2.2"), "a", now).is_ok());
        assert!(throttle.check_at(peer("::ffff:192.0.2.1"), "a", now).is_err());
        exhaust(&throttle, peer("2001:db8::1"), "a", now);
        assert!(throttle.check_at(peer("2001:db8::ffff:0:0:2"), "a", now).is_err());
        assert!(throttle.check_at(peer("2001:db8:0:1::1"), "a", now).is_ok());
    }

    #[test]
    fn failures_already_under_way_are_paid_for() {
        let throttle = Throttle::new(60);
        for _ in 0..600 {
            throttle.failed_at(peer(PEER), "a", throttle.start);
        }
        let wait = throttle.check_at(peer(PEER), "a", throttle.start).unwrap_err();
        assert_eq!(wait, RetryAfter(Duration::from_secs(541)));
    }

    #[test]
    fn forgotten_failures_leave_no_trace() {
        let throttle = Throttle::new(60);
        throttle.failed_at(peer(PEER), "a", throttle.start);
        assert_eq!(throttle.len.load(Ordering::Relaxed), 1);
        assert!(throttle.check_at(peer("192.0.2.2"), "b", throttle.start + SWEEP_EVERY).is_ok());
        assert_eq!(throttle.len.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_flood_of_other_pairs_does_not_unblock() {
        let throttle = Throttle::new(60);
        let now = throttle.start;
        exhaust(&throttle, peer(PEER), "a", now);
        for number in 0..CAPACITY * 2 {
            throttle.failed_at(peer(PEER), &number.to_string(), now + Duration::from_nanos(number as u64));
            assert!(throttle.len.load(Ordering::Relaxed) <= CAPACITY);
        }
        assert!(throttle.check_at(peer(PEER), "a", now + Duration::from_millis(500)).is_err());
    }

    #[test]
    fn retry_after_is_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_500, 60)] {
            assert_eq!(RetryAfter(Duration::from_millis(millis)).seconds(), seconds);
        }
    }
}

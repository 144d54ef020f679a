//! Keys of others, fetched when they are needed and kept for a while.
//!
//! One fetch at a time. What could not be had is remembered too, so that the same made-up name does not make us ask again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Uri;

use super::refusal::KeyFault;
use crate::senders::fetch::{FetchError, Fetcher, Standing};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const QUARTER_OF_A_DAY: Duration = Duration::from_secs(6 * 3_600);
/// However old they may be by rule: key sets that cannot be renewed are used as long as this.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// After a fault on the way, which may pass; senders come again after a few seconds at the earliest.
const PAUSE: Duration = Duration::from_secs(10);
/// After the owner's word that there is nothing.
const LONG_PAUSE: Duration = Duration::from_secs(300);
/// Amazon has some thirty regions, each with a certificate or two. The rest is room for names that are made up.
const CAPACITY: usize = 128;

/// Whether somebody may have us ask for something that may be made up; it is counted.
pub(super) type MayAsk<'a> = &'a (dyn Fn() -> bool + Sync);

/// Things of one kind by their address.
pub(super) struct Remote<T> {
    fetcher: Box<Fetcher>,
    parse: fn(&[u8]) -> Option<T>,
    /// Whether an address that a message names looks as its owner's do.
    is_likely: fn(&Uri) -> bool,
    /// What was found serves so long if it cannot be renewed.
    longest: Duration,
    entries: Mutex<HashMap<String, Entry<T>>>,
    flight: tokio::sync::Mutex<()>,
}

struct Entry<T> {
    found: Option<(Arc<T>, Instant)>,
    failed: Option<(KeyFault, Instant)>,
}

impl<T> Remote<T> {
    pub(super) fn new(fetcher: Fetcher, parse: fn(&[u8]) -> Option<T>) -> Self {
        let (entries, flight) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { fetcher: Box::new(fetcher), parse, is_likely: |_| true, longest: DAY, entries, flight }
    }

    /// For addresses that messages name: those that do not look as they should use up no tries of those that do.
    pub(super) fn named_by_messages(self, is_likely: fn(&Uri) -> bool) -> Self {
        Self { is_likely, ..self }
    }

    /// For things that say themselves how long they are good.
    pub(super) fn kept_while_valid(self) -> Self {
        Self { longest: Duration::MAX, ..self }
    }

    /// What is known about the thing without asking; none if its owner should be asked.
    pub(super) fn known(&self, address: &Uri, max_age: Duration) -> Option<Result<Arc<T>, KeyFault>> {
        self.known_at(address, max_age, Instant::now())
    }

    /// The thing, asked for if need be.
    pub(super) async fn obtain(&self, address: &Uri, max_age: Duration) -> Result<Arc<T>, KeyFault> {
        self.obtain_for(address, max_age, &|| true).await
    }

    /// Likewise for somebody who may have made the address up: `may_ask` says whether to ask for it, if nothing was there before.
    pub(super) async fn obtain_for(&self, address: &Uri, max_age: Duration, may_ask: MayAsk<'_>) -> Result<Arc<T>, KeyFault> {
        if let Some(known) = self.known(address, max_age) {
            return known;
        }
        let _flight = self.flight.lock().await;
        // Whoever held the lock may have asked for the same.
        if let Some(known) = self.known(address, max_age) {
            return known;
        }
        let standing = self.standing(address);
        if !matches!(standing, Standing::Known) && !may_ask() {
            return Err(KeyFault::Busy);
        }
        let fetched = self.fetcher.get(address, standing).await.map_err(fault);
        let found = fetched.and_then(|bytes| (self.parse)(&bytes).map(Arc::new).ok_or(KeyFault::Unusable));
        // Nobody was asked, so nothing is known.
        if found.as_ref().err() == Some(&KeyFault::Busy) && !matches!(standing, Standing::Known) {
            return found;
        }
        self.remember(address, found, Instant::now());
        self.known(address, max_age).unwrap_or(Err(KeyFault::NotFetched))
    }

    fn standing(&self, address: &Uri) -> Standing {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.get(&address.to_string()) {
            Some(Entry { found: Some(_), .. }) => Standing::Known,
            _ if (self.is_likely)(address) => Standing::Likely,
            _ => Standing::Any,
        }
    }

    fn known_at(&self, address: &Uri, max_age: Duration, now: Instant) -> Option<Result<Arc<T>, KeyFault>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&address.to_string())?;
        let younger = |max: Duration| entry.found.as_ref().filter(|(_, at)| now.saturating_duration_since(*at) < max);
        if let Some((found, _)) = younger(max_age) {
            return Some(Ok(Arc::clone(found)));
        }
        let (fault, at) = entry.failed?;
        let pause = if matches!(fault, KeyFault::Unreachable(_) | KeyFault::Busy) { PAUSE } else { LONG_PAUSE };
        if now.saturating_duration_since(at) >= pause {
            return None;
        }
        Some(younger(self.longest).map(|(found, _)| Arc::clone(found)).ok_or(fault))
    }

    fn remember(&self, address: &Uri, outcome: Result<Arc<T>, KeyFault>, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.to_string();
        if entries.len() >= CAPACITY && !entries.contains_key(&address) {
            let last = |entry: &Entry<T>| entry.found.as_ref().map(|(_, at)| *at).max(entry.failed.map(|(_, at)| at));
            // What was never found goes first.
            let oldest = entries.iter().min_by_key(|(_, entry)| (entry.found.is_some(), last(entry)));
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                entries.remove(&oldest);
            }
        }
        let entry = entries.entry(address).or_insert(Entry { found: None, failed: None });
        match outcome {
            Ok(found) => *entry = Entry { found: Some((found, now)), failed: None },
            Err(fault) => entry.failed = Some((fault, now)),
        }
    }
}

fn fault(error: FetchError) -> KeyFault {
    match error {
        FetchError::Foreign => KeyFault::ForeignAddress,
        FetchError::Busy => KeyFault::Busy,
        FetchError::NotFound => KeyFault::Absent,
        FetchError::TooLarge => KeyFault::Unusable,
        FetchError::Resolve => KeyFault::Unreachable("its owner's name leads nowhere"),
        FetchError::NotPublic => KeyFault::Unreachable("its owner's name leads to an address that is not public"),
        FetchError::Connect => KeyFault::Unreachable("there is no connection to its owner"),
        FetchError::Tls => KeyFault::Unreachable("there is no TLS connection to its owner"),
        FetchError::Answer | FetchError::Status => KeyFault::Unreachable("its owner does not answer as it should"),
        FetchError::Timeout => KeyFault::Unreachable("its owner takes too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Remote<u32> {
        Remote::new(Fetcher::new(|_| false), |_| None)
    }

    fn uri(number: usize) -> Uri {
        format!("https://keys.example/{number}").parse().unwrap()
    }

    #[test]
    fn what_was_found_is_used_while_it_is_young_enough() {
        let (remote, start) = (remote(), Instant::now());
        assert!(remote.known_at(&uri(1), DAY, start).is_none());
        remote.remember(&uri(1), Ok(Arc::new(7)), start);
        let at = |after, max_age| remote.known_at(&uri(1), max_age, start + after).map(|known| known.map(|value| *value));
        assert_eq!(at(MINUTE, QUARTER_OF_A_DAY), Some(Ok(7)));
        assert_eq!(at(MINUTE, MINUTE), None);
        assert_eq!(at(QUARTER_OF_A_DAY, QUARTER_OF_A_DAY), None);
    }

    #[test]
    fn a_fault_is_remembered_and_old_keys_serve_meanwhile() {
        let (remote, start) = (remote(), Instant::now());
        let at = |after| remote.known_at(&uri(1), MINUTE, start + after).map(|known| known.map(|value| *value));
        remote.remember(&uri(1), Err(KeyFault::Unreachable("x")), start);
        assert_eq!(at(Duration::ZERO), Some(Err(KeyFault::Unreachable("x"))));
        assert_eq!(at(PAUSE), None);
        remote.remember(&uri(1), Err(KeyFault::Absent), start);
        assert_eq!(at(PAUSE), Some(Err(KeyFault::Absent)));
        assert_eq!(at(LONG_PAUSE), None);
        remote.remember(&uri(1), Ok(Arc::new(7)), start);
        remote.remember(&uri(1), Err(KeyFault::Unreachable("x")), start + QUARTER_OF_A_DAY);
        assert_eq!(at(QUARTER_OF_A_DAY), Some(Ok(7)));
        remote.remember(&uri(1), Err(KeyFault::Unreachable("x")), start + DAY);
        assert_eq!(at(DAY), Some(Err(KeyFault::Unreachable("x"))));
    }

    #[test]
    fn what_says_itself_how_long_it_is_good_serves_until_it_is_renewed() {
        let (remote, start) = (remote().kept_while_valid(), Instant::now());
        let at = |after| remote.known_at(&uri(1), DAY, start + after).map(|known| known.map(|value| *value));
        remote.remember(&uri(1), Ok(Arc::new(7)), start);
        assert_eq!(at(DAY), None, "its owner is asked");
        for fault in [KeyFault::Unreachable("x"), KeyFault::Busy, KeyFault::Absent] {
            remote.remember(&uri(1), Err(fault), start + 9 * DAY);
            assert_eq!(at(9 * DAY), Some(Ok(7)), "{fault}");
        }
        assert_eq!(at(9 * DAY + LONG_PAUSE), None, "and asked again");
    }

    #[test]
    fn what_was_found_is_renewed_from_tries_of_its_own() {
        let remote = remote().named_by_messages(|address| address.path() == "/2");
        remote.remember(&uri(1), Ok(Arc::new(7)), Instant::now());
        assert!(matches!(remote.standing(&uri(1)), Standing::Known));
        assert!(matches!(remote.standing(&uri(2)), Standing::Likely));
        assert!(matches!(remote.standing(&uri(3)), Standing::Any));
    }

    #[test]
    fn made_up_names_do_not_push_out_what_was_found() {
        let (remote, start) = (remote(), Instant::now());
        remote.remember(&uri(0), Ok(Arc::new(7)), start);
        for number in 1..CAPACITY * 2 {
            remote.remember(&uri(number), Err(KeyFault::Absent), start + Duration::from_millis(number as u64));
        }
        assert_eq!(remote.entries.lock().unwrap().len(), CAPACITY);
        assert!(remote.known_at(&uri(0), DAY, start).is_some());
    }

    #[tokio::test]
    async fn an_address_that_is_not_the_owners_is_not_asked() {
        assert_eq!(remote().obtain(&uri(1), DAY).await, Err(KeyFault::ForeignAddress));
    }
}

//! Which credentials were verified a short while ago, so that an Argon2 password costs nothing in the steady state.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::keyed::Tag;

/// How long a credential is remembered after it was last used. Long enough that a sender with an event a minute is verified
/// once; counted from the last use, so that a flood of wrong passwords, which keeps the verifiers busy, does not reach a
/// sender that is already known.
const LIFETIME: Duration = Duration::from_secs(300);
/// Only right credentials get in, two at most an instance: this many serve 512 instances at once, in about 64 KiB.
const CAPACITY: usize = 1024;

/// Verified credentials. Failures are never kept.
///
/// The key is a keyed hash over the access object's own number, user and password: when an access object is replaced, what
/// was remembered for the old one cannot be found any more.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Tag, Entry>>);

struct Entry {
    password: usize,
    expires: Instant,
}

impl Cache {
    /// The index of the password that was verified for this key, if it was.
    pub(super) fn find(&self, key: &Tag, now: Instant) -> Option<usize> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(key).filter(|entry| now < entry.expires)?;
        entry.expires = now + LIFETIME;
        Some(entry.password)
    }

    /// Remembers a success.
    pub(super) fn insert(&self, key: Tag, password: usize, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| now < entry.expires);
        }
        if entries.len() >= CAPACITY
            && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.expires).map(|(key, _)| *key)
        {
            entries.remove(&oldest);
        }
        entries.insert(key, Entry { password, expires: now + LIFETIME });
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyed::Key;
    use super::*;

    #[test]
    fn an_entry_lives_from_its_last_use() {
        let (cache, key, start) = (Cache::default(), Key::random().tag(b"x"), Instant::now());
        assert_eq!(cache.find(&key, start), None);
        cache.insert(key, 1, start);
        let almost = LIFETIME - Duration::from_millis(1);
        assert_eq!(cache.find(&key, start + almost), Some(1));
        assert_eq!(cache.find(&key, start + almost * 2), Some(1));
        assert_eq!(cache.find(&key, start + almost * 2 + LIFETIME), None);
    }

    #[test]
    fn a_full_cache_forgets_the_longest_unused() {
        let (cache, key, start) = (Cache::default(), Key::random(), Instant::now());
        let tag = |number: usize| key.tag(&number.to_be_bytes());
        for number in 0..CAPACITY {
            cache.insert(tag(number), 0, start + Duration::from_millis(number as u64));
        }
        let now = start + Duration::from_secs(60);
        assert_eq!(cache.find(&tag(0), now), Some(0));
        cache.insert(tag(CAPACITY), 0, now);
        assert_eq!(cache.0.lock().unwrap().len(), CAPACITY);
        assert_eq!(cache.find(&tag(1), now), None);
        assert_eq!(cache.find(&tag(0), now), Some(0));
        assert_eq!(cache.find(&tag(CAPACITY), now), Some(0));
    }
}

//! Where Argon2 verifications run: off the async threads, few at a time, and so that a failure takes the same time whatever
//! was wrong.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use argon2::Params;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Refusal;
use super::argon::{Argon2Hash, spend};
use super::cache::Cache;
use super::keyed::Tag;

/// Requests that may wait for a verification at the same time: what two verifiers get through in [`PATIENCE`] at 16 ms each.
const SEATS: usize = 256;
/// How long a request waits for its verification to begin. Senders give up after 5 to 10 seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Passwords that must be right, and one that is claimed.
pub(super) struct Claim {
    /// With the index of each among the access object's passwords.
    pub(super) hashes: Arc<[(usize, Argon2Hash)]>,
    pub(super) password: Zeroizing<Vec<u8>>,
    /// Whether all else (the user name) is right; the verification runs all the same.
    pub(super) otherwise_right: bool,
    /// Under which a success is remembered.
    pub(super) key: Tag,
}

impl Claim {
    /// Compares with every hash, the first right one not ending it.
    fn verify(&self) -> Result<Option<usize>, argon2::Error> {
        let mut found = None;
        for (index, hash) in self.hashes.iter() {
            if hash.verify(&self.password)? {
                found = found.or(Some(*index));
            }
        }
        Ok(found.filter(|_| self.otherwise_right))
    }
}

/// The verifiers, the queue in front of them, and the cache of what they found right.
///
/// As long as no Argon2 password is configured, [`Pool::settle`] does nothing. From then on every failure on the gateway, for
/// an instance with Argon2 passwords, with plain ones, or for one that does not exist, costs the same *toll* of Argon2 work,
/// and waits in the same queue for it. So the time of an answer tells nobody what kind of instance it came from.
pub(super) struct Pool {
    verifiers: Arc<Semaphore>,
    seats: Semaphore,
    patience: Duration,
    cache: Arc<Cache>,
    is_used: AtomicBool,
    /// One entry a verification. Holds for every access object at least the parameters of its hashes.
    toll: Mutex<Vec<Params>>,
}

impl Pool {
    /// A pool with half of the cores: a flood of wrong passwords leaves the other half to those who are let in.
    pub(super) fn new() -> Self {
        Self::with_verifiers(available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)))
    }

    fn with_verifiers(count: usize) -> Self {
        Self {
            verifiers: Arc::new(Semaphore::new(count)),
            seats: Semaphore::new(SEATS),
            patience: PATIENCE,
            cache: Arc::default(),
            is_used: AtomicBool::new(false),
            toll: Mutex::default(),
        }
    }

    /// Raises the toll so that it covers the hashes of one more access object.
    pub(super) fn cover(&self, hashes: &[(usize, Argon2Hash)]) {
        let mut toll = self.toll.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = without(hashes.iter().map(|(_, hash)| hash.params().clone()).collect(), toll.iter());
        toll.extend(missing);
        self.is_used.store(!toll.is_empty(), Ordering::Relaxed);
    }

    /// The password remembered under `key`.
    pub(super) fn remembered(&self, key: &Tag) -> Option<usize> {
        self.cache.find(key, Instant::now())
    }

    /// Verifies a claim, or with none only pays the toll of a failure. Returns the index of the right password.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the queue is full or too slow, or there is no memory: then nothing is known of the claim.
    pub(super) async fn settle(&self, claim: Option<Claim>) -> Result<Option<usize>, Refusal> {
        if !self.is_used.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let permit = self.enter().await?;
        // Somebody with the same credentials may have been before us in the queue.
        if let Some(claim) = &claim
            && let Some(password) = self.remembered(&claim.key)
        {
            return Ok(Some(password));
        }
        let toll = self.toll.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cache = Arc::clone(&self.cache);
        // If the caller hangs up, this future is dropped while the work goes on: the permit goes with the work.
        let work = spawn_blocking(move || {
            let result = verify_or_pay(claim, toll, &cache);
            drop(permit);
            result
        });
        match work.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(unable(&error)),
            Err(error) => Err(unable(&error)),
        }
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let _seat = self.seats.try_acquire().map_err(|_| Refusal::Busy)?;
        match timeout(self.patience, Arc::clone(&self.verifiers).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
        }
    }
}

fn unable(error: &dyn Display) -> Refusal {
    tracing::error!(%error, "an Argon2 verification could not run");
    Refusal::Busy
}

fn verify_or_pay(claim: Option<Claim>, toll: Vec<Params>, cache: &Cache) -> Result<Option<usize>, argon2::Error> {
    let mut due = toll;
    if let Some(claim) = &claim {
        if let Some(password) = claim.verify()? {
            cache.insert(claim.key, password, Instant::now());
            return Ok(Some(password));
        }
        due = without(due, claim.hashes.iter().map(|(_, hash)| hash.params()));
    }
    due.iter().try_for_each(spend)?;
    Ok(None)
}

/// `from` less one element for each of `taken`.
fn without<'a>(mut from: Vec<Params>, taken: impl Iterator<Item = &'a Params>) -> Vec<Params> {
    for params in taken {
        if let Some(at) = from.iter().position(|other| other == params) {
            from.swap_remove(at);
        }
    }
    from
}

#[cfg(test)]
impl Pool {
    /// Lets nobody in any more, as if every verifier were taken for ever.
    pub(super) fn close(&mut self) {
        self.verifiers.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::argon::hash_password;
    use super::super::keyed::Key;
    use super::*;
    use crate::secret::Secret;

    fn hashes(memory: &[u32]) -> Arc<[(usize, Argon2Hash)]> {
        let text = |m: &u32| format!("$argon2id$v=19$m={m},t=1,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ");
        memory.iter().map(|m| (0, text(m).parse().unwrap())).collect()
    }

    fn toll(pool: &Pool) -> Vec<u32> {
        let mut memory: Vec<u32> = pool.toll.lock().unwrap().iter().map(Params::m_cost).collect();
        memory.sort_unstable();
        memory
    }

    #[test]
    fn the_toll_covers_every_access_object_and_no_more() {
        let pool = Pool::with_verifiers(1);
        pool.cover(&[]);
        assert!(!pool.is_used.load(Ordering::Relaxed));
        for (memory, want) in [(&[8][..], &[8][..]), (&[8], &[8]), (&[16, 8], &[8, 16]), (&[8, 8], &[8, 8, 16])] {
            pool.cover(&hashes(memory));
            assert_eq!(toll(&pool), want);
        }
    }

    #[tokio::test]
    async fn an_unused_pool_has_no_queue() {
        let pool = Pool::with_verifiers(0);
        assert_eq!(pool.settle(None).await, Ok(None));
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_so() {
        let pool = Pool { patience: Duration::ZERO, ..Pool::with_verifiers(0) };
        pool.cover(&hashes(&[8]));
        assert_eq!(pool.settle(None).await, Err(Refusal::Busy));
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let pool = Pool::with_verifiers(1);
        pool.cover(&hashes(&[8]));
        let seats = pool.seats.acquire_many(SEATS as u32).await.unwrap();
        assert_eq!(pool.settle(None).await, Err(Refusal::Busy));
        drop(seats);
        assert_eq!(pool.settle(None).await, Ok(None));
    }

    fn claim(hashes: &Arc<[(usize, Argon2Hash)]>, password: &str, key: Tag) -> Claim {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        Claim { hashes: Arc::clone(hashes), password, otherwise_right: true, key }
    }

    #[tokio::test]
    async fn failures_are_not_remembered() {
        let pool = Pool::with_verifiers(1);
        let hashes = hashes(&[8]);
        pool.cover(&hashes);
        let key = Key::random().tag(b"x");
        assert_eq!(pool.settle(Some(claim(&hashes, "wrong", key))).await, Ok(None));
        assert_eq!(pool.remembered(&key), None);
    }

    #[tokio::test]
    async fn whoever_waited_for_the_same_credentials_is_not_verified_again() {
        let pool = Pool::with_verifiers(1);
        let hash = hash_password(&Secret::new("right".to_owned())).unwrap().parse().unwrap();
        let hashes = Arc::from([(1, hash)]);
        pool.cover(&hashes);
        let key = Key::random().tag(b"x");
        // Would fail if it were verified: only what the first left behind lets the second in.
        let (first, second) =
            tokio::join!(pool.settle(Some(claim(&hashes, "right", key))), pool.settle(Some(claim(&hashes, "wrong", key))));
        assert_eq!((first, second), (Ok(Some(1)), Ok(Some(1))));
    }
}

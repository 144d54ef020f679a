//! Who may come in: from headers to [`Verified`] or a reason why not.
//!
//! Nothing here looks at a body. An instance's [`Access`] is made once from what was configured; [`Verifier::verify`]
//! compares a request's headers with it. The order, and what it is good for:
//!
//! 1. `basic` or the one secret header gives the credentials as shown;
//! 2. `keyed` compares them with every plain password, in the same time whatever differs;
//! 3. `cache` knows which Argon2 credentials were right a moment ago;
//! 4. `pool` verifies Argon2 passwords, few at a time, and makes all failures take the same time.
//!
//! A name without an instance is compared with a decoy, so that it takes the way of a wrong password. [`Throttle`] stands in
//! front of all this and is asked first.

mod access;
mod argon;
mod basic;
mod cache;
pub(crate) mod keyed;
mod pool;
mod refusal;
#[cfg(test)]
mod tests;
mod throttle;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};

use crate::secret::Secret;

pub use access::Access;
use access::{Guard, Kind};
pub use argon::{Argon2Hash, HashError, InvalidHash, hash_password};
pub use basic::{Credentials, InvalidBasic, parse_basic};
use keyed::{Key, Tag};
use pool::{Claim, Pool};
pub use refusal::Refusal;
pub use throttle::{RetryAfter, Throttle};

/// What an instance asks for, as configured.
#[derive(Debug)]
pub enum AccessSpec {
    /// Nothing: everybody may come in.
    Open,
    /// Basic credentials (RFC 7617).
    Basic {
        /// Without a colon: the scheme has no way to send one.
        username: String,
        /// The password, and the next one while they are being rotated.
        passwords: Vec<PasswordSpec>,
    },
    /// A header of this name whose value is the password.
    Header {
        /// Any, `Authorization` included.
        name: HeaderName,
        /// The password, and the next one while they are being rotated.
        passwords: Vec<PasswordSpec>,
    },
}

/// One configured password.
#[derive(Debug)]
pub enum PasswordSpec {
    /// The password itself.
    Plain(Secret),
    /// Its hash.
    Argon2(Argon2Hash),
}

/// A request that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which of the configured passwords it was: 0 for `password`, 1 for `password_next`. 0 where none is asked for.
    pub password: usize,
}

/// The last part of an instance's address, which no stranger knows. Made by [`Verifier::path_token`].
pub struct PathToken {
    tag: Tag,
    /// To be recognised in headers.
    text: Secret,
}

impl PathToken {
    /// Whether it stands in a header's value, plain or with `%XX` in it: proxies repeat the address there.
    pub fn is_in(&self, value: &[u8]) -> bool {
        let token = self.text.expose().as_bytes();
        let is_there = |value: &[u8]| memchr::memmem::find(value, token).is_some();
        is_there(value) || value.contains(&b'%') && is_there(&percent_decoded(value))
    }
}

/// `%XX` as the byte it stands for; all else as it is.
fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%').and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    decoded
}

impl fmt::Debug for PathToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathToken").finish_non_exhaustive()
    }
}

/// Decides who may come in. One a process: its key, cache and queue are shared by all instances.
pub struct Verifier {
    key: Key,
    decoy: Guard,
    pool: Pool,
    next_number: AtomicU64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// A verifier with a random key of its own.
    pub fn new() -> Self {
        let key = Key::random();
        let nobody = || Secret::new(format!("{:032x}", fastrand::u128(..)));
        let spec = AccessSpec::Basic { username: "nobody".to_owned(), passwords: vec![PasswordSpec::Plain(nobody())] };
        let decoy = Guard::new(spec, 0, &key).expect("the decoy is not open");
        Self { key, decoy, pool: Pool::new(), next_number: AtomicU64::new(1) }
    }

    /// Makes what was configured ready for [`Verifier::verify`].
    ///
    /// After a reload make new ones: what was remembered for the old ones no longer counts. The first Argon2 password makes
    /// every failure on the gateway cost an Argon2 verification, for as long as the verifier lives.
    pub fn access(&self, spec: AccessSpec) -> Access {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let Some(guard) = Guard::new(spec, number, &self.key) else { return Access(Kind::Open) };
        self.pool.cover(guard.hashes());
        Access(Kind::Guarded(guard))
    }

    /// Makes what was configured ready for [`Verifier::is_token`].
    pub fn path_token(&self, secret: &Secret) -> PathToken {
        PathToken { tag: self.key.tag(secret.expose().as_bytes()), text: secret.clone() }
    }

    /// Whether an address that ends with the token `shown` is the one `expected`; an instance that expects none has none, and one
    /// that does not exist costs the same.
    pub fn is_token(&self, expected: Option<&PathToken>, shown: Option<&str>) -> bool {
        let tag = shown.map(|shown| self.key.tag(shown.as_bytes()));
        match (expected, tag) {
            (Some(expected), Some(shown)) => shown.matches(&expected.tag).into(),
            (expected, shown) => expected.is_none() && shown.is_none(),
        }
    }

    /// Whether the headers of a request satisfy `access`; `None` stands for an instance that does not exist.
    ///
    /// Plain passwords and remembered ones are decided without waiting. Must be called inside a tokio runtime with time.
    ///
    /// # Errors
    /// The true [`Refusal`], for the operator. The caller must not be able to tell one from the other, except
    /// [`Refusal::Busy`], which says nothing about the credentials.
    pub async fn verify(&self, access: Option<&Access>, headers: &HeaderMap) -> Result<Verified, Refusal> {
        match access {
            Some(Access(Kind::Open)) => Ok(Verified { password: 0 }),
            Some(Access(Kind::Guarded(guard))) => self.check(guard, headers).await,
            None => match self.check(&self.decoy, headers).await {
                Err(Refusal::Busy) => Err(Refusal::Busy),
                Ok(_) | Err(_) => Err(Refusal::UnknownInstance),
            },
        }
    }

    async fn check(&self, guard: &Guard, headers: &HeaderMap) -> Result<Verified, Refusal> {
        let (claim, refusal) = match self.decide(guard, headers) {
            Decision::Verified(password) => return Ok(Verified { password }),
            Decision::Open { claim, refusal } => (claim, refusal),
        };
        self.pool.settle(claim).await?.map(|password| Verified { password }).ok_or(refusal)
    }

    /// All that can be decided without Argon2.
    fn decide(&self, guard: &Guard, headers: &HeaderMap) -> Decision {
        let shown = match guard.shown(headers) {
            Ok(shown) => shown,
            Err(refusal) => return Decision::Open { claim: None, refusal },
        };
        if let Some(password) = guard.plain_match(&shown, &self.key) {
            return Decision::Verified(password);
        }
        let memory_key = guard.memory_key(&shown, &self.key);
        if let Some(password) = memory_key.and_then(|key| self.pool.remembered(&key)) {
            return Decision::Verified(password);
        }
        let claim = memory_key.map(|memory_key| guard.claim(&shown, memory_key, &self.key));
        Decision::Open { claim, refusal: guard.refusal(&shown, &self.key) }
    }
}

/// How far the quick comparisons got.
enum Decision {
    /// With the index of the password.
    Verified(usize),
    /// Refused, unless the claim turns out right.
    Open { claim: Option<Claim>, refusal: Refusal },
}

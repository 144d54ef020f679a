//! What an instance asks for, made ready for quick comparison, and what a request has to show for it.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::argon::Argon2Hash;
use super::basic::{Credentials, parse_basic};
use super::keyed::{Key, Tag};
use super::pool::Claim;
use super::{AccessSpec, PasswordSpec, Refusal};

/// What an instance asks for. Made by [`Verifier::access`](super::Verifier::access); holds no plain secret.
pub struct Access(pub(super) Kind);

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Open => "Access(open)",
            Kind::Guarded(_) => "Access(guarded)",
        })
    }
}

pub(super) enum Kind {
    Open,
    Guarded(Guard),
}

impl Access {
    /// Whether no header is asked for.
    pub fn is_open(&self) -> bool {
        matches!(self.0, Kind::Open)
    }
}

/// One or two passwords and how they are sent.
pub(super) struct Guard {
    /// Unlike any other guard's, so that what is remembered for one never serves another.
    number: u64,
    scheme: Scheme,
    /// Each with its index among all passwords; the tag is over what [`Shown::whole`] must be.
    plain: Vec<(usize, Tag)>,
    argon2: Arc<[(usize, Argon2Hash)]>,
}

enum Scheme {
    /// The tag of the user name.
    Basic(Tag),
    Header(HeaderName),
}

impl Guard {
    /// Makes a guard of `spec`, or none of an open one.
    pub(super) fn new(spec: AccessSpec, number: u64, key: &Key) -> Option<Self> {
        let (scheme, passwords, prefix) = match spec {
            AccessSpec::Open => return None,
            AccessSpec::Basic { username, passwords } => (Scheme::Basic(key.tag(username.as_bytes())), passwords, username + ":"),
            AccessSpec::Header { name, passwords } => (Scheme::Header(name), passwords, String::new()),
        };
        let (mut plain, mut argon2) = (Vec::new(), Vec::new());
        for (index, password) in passwords.into_iter().enumerate() {
            match password {
                PasswordSpec::Plain(secret) => {
                    let whole = Zeroizing::new([prefix.as_bytes(), secret.expose().as_bytes()].concat());
                    plain.push((index, key.tag(&whole)));
                }
                PasswordSpec::Argon2(hash) => argon2.push((index, hash)),
            }
        }
        Some(Self { number, scheme, plain, argon2: argon2.into() })
    }

    pub(super) fn hashes(&self) -> &[(usize, Argon2Hash)] {
        &self.argon2
    }

    /// Takes the credentials out of a request's headers, whatever they are worth.
    pub(super) fn shown<'a>(&self, headers: &'a HeaderMap) -> Result<Shown<'a>, Refusal> {
        match &self.scheme {
            Scheme::Basic(_) => Ok(Shown::Basic(parse_basic(only(headers, &AUTHORIZATION)?.as_bytes())?)),
            Scheme::Header(name) => Ok(Shown::Header(only(headers, name)?.as_bytes())),
        }
    }

    /// The index of the plain password that was shown. Every password is compared, at the same cost whatever differs.
    pub(super) fn plain_match(&self, shown: &Shown<'_>, key: &Key) -> Option<usize> {
        if self.plain.is_empty() {
            return None;
        }
        let tag = key.tag(shown.whole());
        let (mut found, mut index) = (Choice::from(0), 0);
        for (at, expected) in &self.plain {
            let is_equal = tag.matches(expected);
            index.conditional_assign(&(*at as u64), is_equal);
            found |= is_equal;
        }
        bool::from(found).then_some(index as usize)
    }

    /// Under which an Argon2 verification of these credentials is remembered; none without Argon2 passwords.
    pub(super) fn memory_key(&self, shown: &Shown<'_>, key: &Key) -> Option<Tag> {
        (!self.argon2.is_empty()).then(|| key.tag_of(self.number, shown.whole()))
    }

    /// What is left to verify once nothing quicker decided.
    pub(super) fn claim(&self, shown: &Shown<'_>, memory_key: Tag, key: &Key) -> Claim {
        Claim {
            hashes: Arc::clone(&self.argon2),
            password: Zeroizing::new(shown.password().to_vec()),
            otherwise_right: self.knows_user(shown, key),
            key: memory_key,
        }
    }

    /// Why `shown` is refused, once nothing matched.
    pub(super) fn refusal(&self, shown: &Shown<'_>, key: &Key) -> Refusal {
        match &self.scheme {
            Scheme::Header(name) => Refusal::WrongValue(name.clone()),
            Scheme::Basic(_) if self.knows_user(shown, key) => Refusal::WrongPassword,
            Scheme::Basic(_) => Refusal::UnknownUser,
        }
    }

    fn knows_user(&self, shown: &Shown<'_>, key: &Key) -> bool {
        match (&self.scheme, shown) {
            (Scheme::Basic(expected), Shown::Basic(credentials)) => key.tag(credentials.user().as_bytes()).matches(expected).into(),
            _ => true,
        }
    }
}

/// Credentials as a request shows them.
pub(super) enum Shown<'a> {
    Basic(Credentials),
    Header(&'a [u8]),
}

impl Shown<'_> {
    /// User name and password together, or the header's value: one comparison decides over both.
    fn whole(&self) -> &[u8] {
        match self {
            Self::Basic(credentials) => credentials.pair().as_bytes(),
            Self::Header(value) => value,
        }
    }

    fn password(&self) -> &[u8] {
        match self {
            Self::Basic(credentials) => credentials.password().as_bytes(),
            Self::Header(value) => value,
        }
    }
}

/// The one header of this name.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Refusal::Missing(name.clone())),
        (Some(_), Some(_)) => Err(Refusal::Repeated(name.clone())),
    }
}

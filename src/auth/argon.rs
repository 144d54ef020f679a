//! Argon2id passwords (RFC 9106), which take milliseconds and megabytes each: what a stored hash is, and how to check
//! a password against some of them.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::PasswordHasher;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHash, Version};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// More memory than this for one password is a slip of the pen, and would end the process at the first request: 1 GiB, in KiB.
const MAX_MEMORY: u32 = 1 << 20;
/// Likewise for passes: RFC 9106 recommends 1 to 3.
const MAX_PASSES: u32 = 64;

/// An Argon2id hash in the PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
#[derive(Clone)]
pub struct Argon2Hash {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// Why a PHC string cannot be used. Never holds any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Cut off, mistyped, or not a hash at all.
    #[error("not a complete Argon2id hash: expected $argon2id$v=19$m=…,t=…,p=…$salt$hash, as hash-password prints it")]
    Syntax,
    /// Argon2i, Argon2d, bcrypt and so on.
    #[error("only Argon2id (version 19) hashes are accepted: make one with hash-password")]
    Algorithm,
    /// Parameters out of bounds.
    #[error("the hash asks for too much: at most m=1048576 (1 GiB) and t=64")]
    TooCostly,
}

impl FromStr for Argon2Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let hash = PasswordHash::new(text).map_err(|_| InvalidHash::Syntax)?;
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(u32::from(Version::V0x13)) {
            return Err(InvalidHash::Algorithm);
        }
        let params = Params::try_from(&hash).map_err(|_| InvalidHash::Syntax)?;
        if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES {
            return Err(InvalidHash::TooCostly);
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(InvalidHash::Syntax) };
        Ok(Self { params, salt: salt.to_vec(), output: output.as_bytes().to_vec() })
    }
}

impl Argon2Hash {
    /// What one verification costs; equal parameters take equal time.
    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// Whether `password` is the hashed one. Blocks for as long as the parameters demand.
    ///
    /// # Errors
    /// When there is no memory for it; that says nothing about the password.
    pub(super) fn verify(&self, password: &[u8]) -> Result<bool, argon2::Error> {
        let mut computed = vec![0; self.output.len()];
        argon2id(&self.params).hash_password_into(password, &self.salt, &mut computed)?;
        Ok(computed.ct_eq(&self.output).into())
    }
}

impl fmt::Debug for Argon2Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Spends the time of one verification on nothing.
pub(super) fn spend(params: &Params) -> Result<(), argon2::Error> {
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    argon2id(params).hash_password_into(b"", b"nobody's salt", &mut output)?;
    // Keeps the compiler from leaving out work whose result nobody uses.
    std::hint::black_box(output);
    Ok(())
}

fn argon2id(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

/// The operating system gave no random salt or no memory.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(#[from] argon2::password_hash::Error);

/// Hashes a password with a fresh random salt, as a PHC string.
///
/// Argon2id with 19 MiB, 2 passes and 1 lane: OWASP's first choice, and what the time of one verification (about 16 ms) is
/// planned for.
///
/// # Errors
/// When the operating system has no random bytes or no memory.
pub fn hash_password(password: &Secret) -> Result<String, HashError> {
    Ok(argon2id(&Params::DEFAULT).hash_password(password.expose().as_bytes())?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest parameters there are.
    const CHEAP: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ";

    fn parse(text: &str) -> Result<Argon2Hash, InvalidHash> {
        text.parse()
    }

    #[test]
    fn a_hash_verifies_its_password_only() {
        let text = hash_password(&Secret::new("pässword".into())).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = parse(&text).unwrap();
        assert!(hash.verify("pässword".as_bytes()).unwrap());
        assert!(!hash.verify(b"password").unwrap());
        assert!(!hash.verify(b"").unwrap());
    }

    #[test]
    fn the_reference_implementation_agrees() {
        // argon2 0.15.0 (the C implementation's test suite): version 19, t=2, m=65536, p=1, "password", "somesalt".
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(parse(text).unwrap().verify(b"password").unwrap());
    }

    #[test]
    fn unusable_hashes_are_refused() {
        for (text, why) in [
            ("", InvalidHash::Syntax),
            ("$argon2id$", InvalidHash::Syntax),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", InvalidHash::Syntax),
            ("$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ", InvalidHash::Syntax),
            ("$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ", InvalidHash::Algorithm),
            ("$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ", InvalidHash::Algorithm),
            ("$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ", InvalidHash::TooCostly),
            ("$argon2id$v=19$m=8,t=65,p=1$c29tZXNhbHQ$CGVgl7jWs6Vmd0zVqPbRhVQqbLJqpWXbRg1RM/Ql1aQ", InvalidHash::TooCostly),
        ] {
            assert_eq!(parse(text).unwrap_err(), why, "{text}");
        }
        assert!(parse(CHEAP).is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", parse(CHEAP).unwrap()), "[redacted]");
    }
}

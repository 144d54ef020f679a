//! Comparing secrets through keyed hashes.
//!
//! Comparing raw bytes, even with a constant-time function, gives away their length. So both sides go through
//! HMAC-SHA256 under a key that lives and dies with the process, and the 32-byte tags are compared: whatever differs,
//! and wherever, takes the same time, and the tag of a configured secret is of no use outside this process.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A random key, made once and never stored.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    /// A fresh key from the operating system.
    pub(crate) fn random() -> Self {
        // 32 bytes: the output size of SHA-256; a longer key adds nothing (RFC 2104, section 3).
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).expect("a booted operating system has random bytes");
        Self(Hmac::new_from_slice(bytes.as_slice()).expect("HMAC takes a key of any length"))
    }

    /// The tag of `bytes`.
    pub(crate) fn tag(&self, bytes: &[u8]) -> Tag {
        Tag(self.0.clone().chain_update(bytes).finalize().into_bytes().into())
    }

    /// The tag of `bytes` in the space of `owner`: no owner's tag is ever another's, nor one of [`Key::tag`] over fewer bytes.
    pub(crate) fn tag_of(&self, owner: u64, bytes: &[u8]) -> Tag {
        Tag(self.0.clone().chain_update(owner.to_be_bytes()).chain_update(bytes).finalize().into_bytes().into())
    }
}

/// What stands for a secret inside the process.
///
/// `Eq` and `Hash` serve as a map's key, which is safe because nobody outside can compute a tag; secrets are compared
/// with [`Tag::matches`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tag([u8; 32]);

impl Tag {
    /// Whether both stand for the same bytes, in constant time.
    pub(crate) fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_match() {
        let key = Key::random();
        let tag = key.tag(b"alice:secret");
        assert!(bool::from(tag.matches(&key.tag(b"alice:secret"))));
        for other in [&b"alice:secreT"[..], b"alice:secret ", b"alice:secre", b""] {
            assert!(!bool::from(tag.matches(&key.tag(other))), "{other:?}");
        }
    }

    #[test]
    fn another_process_has_other_tags() {
        assert!(Key::random().tag(b"x") != Key::random().tag(b"x"));
    }

    #[test]
    fn owners_do_not_share_tags() {
        let key = Key::random();
        assert!(key.tag_of(1, b"x") != key.tag_of(2, b"x"));
    }
}

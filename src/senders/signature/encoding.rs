//! Bytes as text: hexadecimal digits and base64.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::spec::{Encoding, SecretEncoding};

/// Standard base64; senders and those who copy secrets lose the padding now and then.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// What Standard Webhooks puts before the secret of an HMAC.
const SYMMETRIC_PREFIX: &str = "whsec_";
/// What Standard Webhooks puts before an Ed25519 public key.
pub(super) const PUBLIC_PREFIX: &str = "whpk_";

impl Encoding {
    /// The bytes, if `text` is in this encoding.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => decode_hex(text),
            Self::Base64 => decode_base64(text),
        }
    }

    /// The text that senders write.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => encode_hex(bytes),
            Self::Base64 => LENIENT.encode(bytes),
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Hex => Self::Base64,
            Self::Base64 => Self::Hex,
        }
    }
}

impl SecretEncoding {
    /// The key, if the secret is written so and there is something in it.
    pub(super) fn key(self, secret: &str) -> Option<Zeroizing<Vec<u8>>> {
        let key = match self {
            Self::Utf8 => secret.as_bytes().to_vec(),
            Self::Base64 => decode_base64(secret.trim())?,
            Self::Whsec => {
                let text = secret.trim();
                decode_base64(text.strip_prefix(SYMMETRIC_PREFIX).unwrap_or(text))?
            }
        };
        (!key.is_empty()).then(|| Zeroizing::new(key))
    }

    /// For the one who configured a secret that is not.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Base64 => "base64, which secret_encoding = \"base64\" demands",
            Self::Whsec => "a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64 of 32 bytes",
        }
    }
}

pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

pub(super) fn encode_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("half a byte is one digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    // Two digits are below 256.
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_padding_do_not_matter() {
        assert_eq!(Encoding::Hex.decode("00fFAb"), Some(vec![0, 0xFF, 0xAB]));
        assert_eq!(Encoding::Base64.decode("YQ=="), Some(b"a".to_vec()));
        assert_eq!(Encoding::Base64.decode("YQ"), Some(b"a".to_vec()));
        for text in ["0", "0x", "g0", "é", " 00"] {
            assert_eq!(Encoding::Hex.decode(text), None, "{text}");
        }
        for text in ["YR==", "Y", "YQ= =", " YQ==", "_-8="] {
            assert_eq!(Encoding::Base64.decode(text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_read_as_configured() {
        let key = |encoding: SecretEncoding, secret| encoding.key(secret).map(|key| key.to_vec());
        assert_eq!(key(SecretEncoding::Utf8, "whsec_YQ"), Some(b"whsec_YQ".to_vec()));
        assert_eq!(key(SecretEncoding::Base64, "YQ=="), Some(b"a".to_vec()));
        assert_eq!(key(SecretEncoding::Base64, "whsec_YQ"), None);
        assert_eq!(key(SecretEncoding::Whsec, "whsec_YQ"), Some(b"a".to_vec()));
        assert_eq!(key(SecretEncoding::Whsec, "YQ=="), Some(b"a".to_vec()));
        assert_eq!(key(SecretEncoding::Whsec, "whsec_"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            for (_, encoding) in Encoding::WORDS {
                prop_assert_eq!(encoding.decode(&encoding.encode(&bytes)), Some(bytes.clone()));
            }
        }
    }
}

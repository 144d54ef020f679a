//! The Basic scheme (RFC 7617): from the value of `Authorization` to a user name and a password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What a caller claims: a user name and a password. Wiped when dropped.
pub struct Credentials {
    pair: Zeroizing<String>,
    colon: usize,
}

impl Credentials {
    /// Everything before the first colon.
    pub fn user(&self) -> &str {
        &self.pair[..self.colon]
    }

    /// Everything after the first colon.
    pub fn password(&self) -> &str {
        &self.pair[self.colon + 1..]
    }

    /// User name, colon and password: as a user name has no colon, no two pairs are written alike.
    pub(super) fn pair(&self) -> &str {
        &self.pair
    }
}

/// Why a value of `Authorization` is not Basic credentials. None of these holds any part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBasic {
    /// Another scheme, or no scheme at all.
    #[error("the Authorization header is not of the Basic scheme: the sender is set to another kind of authentication")]
    Scheme,
    /// What follows the scheme is not padded standard base64 (RFC 4648, section 4) in its one canonical spelling.
    #[error("the Basic credentials are not valid base64: they were put together by hand, or cut off on the way")]
    Base64,
    /// RFC 7617 leaves the character set open; this gateway takes UTF-8 only.
    #[error("the Basic credentials are not UTF-8: the sender encodes special characters in an older character set")]
    Utf8,
    /// No colon between user name and password.
    #[error("the Basic credentials have no colon between user name and password: the sender may have encoded only one of them")]
    Colon,
}

/// Reads the value of one `Authorization` header.
///
/// The scheme's name may be in any case and be followed by one or more spaces; the credentials are split at the first colon.
///
/// # Errors
/// Whatever RFC 7617 does not allow; see [`InvalidBasic`].
pub fn parse_basic(value: &[u8]) -> Result<Credentials, InvalidBasic> {
    let (scheme, rest) = value.split_at_checked(b"Basic".len()).ok_or(InvalidBasic::Scheme)?;
    if !scheme.eq_ignore_ascii_case(b"Basic") || !(rest.is_empty() || rest.starts_with(b" ")) {
        return Err(InvalidBasic::Scheme);
    }
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let decoded = STANDARD.decode(&rest[spaces..]).map_err(|_| InvalidBasic::Base64)?;
    let pair = Zeroizing::new(String::from_utf8(decoded).map_err(|_| InvalidBasic::Utf8)?);
    let colon = pair.find(':').ok_or(InvalidBasic::Colon)?;
    Ok(Credentials { pair, colon })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(value: &str) -> Result<(String, String), InvalidBasic> {
        parse_basic(value.as_bytes()).map(|found| (found.user().to_owned(), found.password().to_owned()))
    }

    fn ok(user: &str, password: &str) -> Result<(String, String), InvalidBasic> {
        Ok((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn accepts_what_rfc_7617_allows() {
        assert_eq!(pair("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ok("Aladdin", "open sesame"));
        assert_eq!(pair("Basic dGVzdDoxMjPCow=="), ok("test", "123£"));
        assert_eq!(pair("bAsIc YTpi"), ok("a", "b"));
        assert_eq!(pair("Basic    YTpi"), ok("a", "b"));
        assert_eq!(pair("Basic YTpiOmM="), ok("a", "b:c"));
        assert_eq!(pair("Basic Og=="), ok("", ""));
        assert_eq!(pair("Basic OnB3"), ok("", "pw"));
    }

    #[test]
    fn refuses_the_rest_by_name() {
        for (value, why) in [
            ("", InvalidBasic::Scheme),
            ("Basi", InvalidBasic::Scheme),
            ("Bearer YTpi", InvalidBasic::Scheme),
            ("BasicYTpi", InvalidBasic::Scheme),
            ("Basic\tYTpi", InvalidBasic::Scheme),
            (" Basic YTpi", InvalidBasic::Scheme),
            ("Basic", InvalidBasic::Colon),
            ("Basic ", InvalidBasic::Colon),
            ("Basic a:b", InvalidBasic::Base64),
            ("Basic YTpiOmM", InvalidBasic::Base64),
            ("Basic YTpiOmM==", InvalidBasic::Base64),
            ("Basic YTpiOmN=", InvalidBasic::Base64),
            ("Basic YTpi ", InvalidBasic::Base64),
            ("Basic YTpi YTpi", InvalidBasic::Base64),
            ("Basic YTpi,", InvalidBasic::Base64),
            ("Basic YTo_", InvalidBasic::Base64),
            ("Basic YTr/", InvalidBasic::Utf8),
            ("Basic YWI=", InvalidBasic::Colon),
        ] {
            assert_eq!(pair(value), Err(why), "{value:?}");
        }
    }

    #[test]
    fn long_credentials_are_read_too() {
        let password = "p".repeat(5000);
        assert_eq!(pair(&format!("Basic {}", STANDARD.encode(format!("u:{password}")))), ok("u", &password));
        let broken = format!("Basic {}", "YTpi".repeat(500) + "!");
        assert_eq!(pair(&broken), Err(InvalidBasic::Base64));
    }

    proptest! {
        #[test]
        fn never_panics(value: Vec<u8>) {
            let _ = parse_basic(&value);
        }

        #[test]
        fn never_panics_past_the_scheme(rest: Vec<u8>) {
            let _ = parse_basic(&[b"Basic ", rest.as_slice()].concat());
        }

        #[test]
        fn any_pair_round_trips(user in "[^:]{0,80}", password in ".{0,200}", spaces in 1usize..4) {
            let value = format!("Basic{}{}", " ".repeat(spaces), STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(pair(&value), ok(&user, &password));
        }

        #[test]
        fn accepted_bytes_have_one_spelling(user in "[^:]{0,20}", password in ".{0,20}", at: usize, byte: u8) {
            let mut token = STANDARD.encode(format!("{user}:{password}")).into_bytes();
            let at = at % token.len();
            prop_assume!(token[at] != byte && byte != b' ');
            token[at] = byte;
            if let Ok(found) = parse_basic(&[b"Basic ", token.as_slice()].concat()) {
                prop_assert_ne!(found.pair(), format!("{user}:{password}"));
            }
        }
    }
}

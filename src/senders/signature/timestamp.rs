//! When a request was signed.

use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;

use super::json::JsonPath;
use super::notation::InvalidNotation;
use super::template::header_name;
use crate::incident::Timestamp;
use crate::intake::dates;

/// Where the time of signing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimestampPlace {
    /// `header:X-Slack-Request-Timestamp`: in a header of its own.
    Header(HeaderName),
    /// `sig:t`: in a named part of the signature's header.
    Sig(String),
    /// `json:.timestamp`: in the body.
    Json(JsonPath),
}

impl FromStr for TimestampPlace {
    type Err = InvalidNotation;

    fn from_str(text: &str) -> Result<Self, InvalidNotation> {
        match text.split_once(':') {
            Some(("header", name)) => header_name(name).map(Self::Header),
            Some(("sig", name)) if !name.is_empty() => Ok(Self::Sig(name.to_owned())),
            Some(("json", path)) => path.parse().map(Self::Json),
            _ => Err(InvalidNotation::TimestampPlace(text.to_owned())),
        }
    }
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// Seconds since 1970, with a fraction or without.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// RFC 3339 and the spellings around it.
    Rfc3339,
}

impl TimestampFormat {
    /// As configured.
    pub const WORDS: &[(&str, Self)] = &[("unix", Self::Unix), ("unix_ms", Self::UnixMs), ("rfc3339", Self::Rfc3339)];

    /// The moment, if `text` is one in this format.
    pub(super) fn read(self, text: &str) -> Option<Timestamp> {
        match self {
            Self::Unix => unix_millis(text),
            Self::UnixMs => digits(text)?.parse().ok(),
            Self::Rfc3339 => chrono::DateTime::parse_from_rfc3339(&dates::to_utc(text)?).ok().map(|date| date.timestamp_millis()),
        }
        .map(Timestamp)
    }

    /// The moment as `read` reads it.
    pub(super) fn write(self, moment: Timestamp) -> String {
        match self {
            Self::Unix => (moment.0 / 1000).to_string(),
            Self::UnixMs => moment.0.to_string(),
            Self::Rfc3339 => moment.to_string(),
        }
    }
}

/// How much older than allowed (or newer: negative) the moment is, in seconds; none if it is near enough.
pub(super) fn distance(moment: Timestamp, now: Timestamp, tolerance: Duration) -> Option<i64> {
    let tolerance = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
    let age = now.0.saturating_sub(moment.0);
    // Whole seconds, away from zero: "0 s off" would say nothing.
    (age.saturating_abs() > tolerance).then(|| age.signum() * (age.saturating_abs() / 1000).max(1))
}

/// Digits alone; more than 18 do not fit.
fn digits(text: &str) -> Option<&str> {
    ((1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn unix_millis(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = digits(seconds)?.parse().ok()?;
    let fraction = digits(fraction.get(..3).unwrap_or(fraction)).filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))?;
    let millis: i64 = format!("{fraction:0<3}").parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_spellings_of_senders() {
        use TimestampFormat::{Rfc3339, Unix, UnixMs};
        for (format, text, want) in [
            (Unix, "1700000000", 1_700_000_000_000),
            (Unix, "1700000000.25", 1_700_000_000_250),
            (Unix, "1700000000.123456789012345678901", 1_700_000_000_123),
            (UnixMs, "1700000000123", 1_700_000_000_123),
            (Rfc3339, "2023-11-14T22:13:20Z", 1_700_000_000_000),
            (Rfc3339, "2023-11-14T23:13:20.1234567+01:00", 1_700_000_000_123),
            (Rfc3339, "2023-11-14 22:13:20 UTC", 1_700_000_000_000),
            (Rfc3339, "2023-11-14T22:13:20+0000", 1_700_000_000_000),
        ] {
            assert_eq!(format.read(text), Some(Timestamp(want)), "{text}");
        }
        for (format, text) in [
            (Unix, ""),
            (Unix, "-1"),
            (Unix, "+1"),
            (Unix, " 1"),
            (Unix, "1."),
            (Unix, ".5"),
            (Unix, "1e9"),
            (Unix, "1.5x"),
            (Unix, "999999999999999999"),
            (Unix, "9999999999999999999"),
            (Unix, "2023-11-14T22:13:20Z"),
            (UnixMs, "1700000000.5"),
            (UnixMs, "x"),
            (Rfc3339, "1700000000"),
            (Rfc3339, "now"),
        ] {
            assert_eq!(format.read(text), None, "{text}");
        }
    }

    #[test]
    fn the_tolerance_holds_in_both_directions() {
        let off = |moment, now| distance(Timestamp(moment), Timestamp(now), Duration::from_secs(300));
        assert_eq!(off(1_000_000, 1_300_000), None);
        assert_eq!(off(1_300_000, 1_000_000), None);
        assert_eq!(off(1_000_000, 1_300_001), Some(300));
        assert_eq!(off(1_412_000, 1_000_000), Some(-412));
        assert_eq!(off(i64::MIN, i64::MAX), Some(i64::MAX / 1000));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..200_000_000_000_i64) {
            for (_, format) in TimestampFormat::WORDS {
                let moment = Timestamp(seconds * 1000);
                prop_assert_eq!(format.read(&format.write(moment)), Some(moment));
            }
        }

        #[test]
        fn arbitrary_text_does_no_harm(text in "([0-9.]|\\PC){0,24}") {
            for (_, format) in TimestampFormat::WORDS {
                let _ = format.read(&text);
            }
            let _ = text.parse::<TimestampPlace>();
        }
    }
}

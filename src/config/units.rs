//! Numbers with bounds, durations such as `1h30m`, sizes such as `10MiB`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::reader::{string, wrong_type};

/// Largest first, as they must be written; in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Matched whatever the case; decimal and binary, as their names say (IEC 80000-13).
const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// A whole number within bounds.
pub(super) fn number(value: &DeValue<'_>, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let DeValue::Integer(integer) = value else {
        return Err(wrong_type("a whole number", value));
    };
    within(to_u64(integer), &bounds, u64::to_string)
}

/// A duration within bounds: a string such as `"250ms"`, `"10s"`, `"7d"` or `"1h30m"`.
pub(super) fn duration(value: &DeValue<'_>, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    if matches!(value, DeValue::Integer(_)) {
        return Err("a duration needs a unit: write it as a string such as \"10s\"".into());
    }
    within(Some(parse_duration(string(value)?)?), &bounds, |bound| format_duration(*bound))
}

/// A size in bytes within bounds: a string such as `"10MiB"`, or a plain number of bytes.
pub(super) fn size(value: &DeValue<'_>, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let bytes = match value {
        DeValue::Integer(integer) => to_u64(integer),
        DeValue::String(text) => Some(parse_size(text)?),
        other => return Err(wrong_type("a size such as \"10MiB\"", other)),
    };
    within(bytes, &bounds, |bound| format_size(*bound))
}

/// None for what is negative or too large for a u64, and so out of any bounds.
fn to_u64(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn within<T: PartialOrd + Copy, D: Display>(value: Option<T>, bounds: &RangeInclusive<T>, show: impl Fn(&T) -> D) -> Result<T, String> {
    let inside = value.filter(|value| bounds.contains(value));
    inside.ok_or_else(|| format!("must be between {} and {}", show(bounds.start()), show(bounds.end())))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{text:?} is not a duration: write \"250ms\", \"10s\", \"5m\", \"1h30m\" or \"7d\"");
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let (amount, after) = leading_number(rest).ok_or_else(malformed)?;
        let name_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(name_end);
        // The iterator goes on from the last unit, so that units only get smaller and none comes twice.
        let (_, unit) = units.find(|(unit, _)| *unit == name).ok_or_else(malformed)?;
        let part = amount.checked_mul(*unit).ok_or_else(malformed)?;
        millis = millis.checked_add(part).ok_or_else(malformed)?;
        rest = after;
    }
    if text.is_empty() { Err(malformed()) } else { Ok(Duration::from_millis(millis)) }
}

/// The shortest text that [`duration`] reads as the same; what is below a millisecond is cut off.
pub(super) fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in DURATION_UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let malformed = || format!("{text:?} is not a size: write \"512KiB\", \"10MiB\", \"1GiB\", \"10MB\" or a number of bytes");
    let (amount, unit) = leading_number(text).ok_or_else(malformed)?;
    let unit = unit.trim_start_matches(' ');
    if unit.is_empty() {
        return Ok(amount);
    }
    let known = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    known.and_then(|(_, bytes)| amount.checked_mul(*bytes)).ok_or_else(malformed)
}

/// In the largest unit that divides it.
pub(super) fn format_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().filter(|(name, _)| name.contains('i'));
    let fits = binary.clone().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// The digits at the beginning, and what follows them.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1m1ms", 60_001),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "10 s", "1.5s", "-1s", "+1s", "10S", "1w", "1m1h", "1s1s", "1s ", "99999999999999999999s", "٣s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration(&format!("{}d", u64::MAX)).is_err());
        assert!(parse_duration(&format!("1s{}ms", u64::MAX)).is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("7B", 7),
            ("1KiB", 1024),
            ("10MiB", 10 << 20),
            ("10 MiB", 10 << 20),
            ("1GiB", 1 << 30),
            ("10kB", 10_000),
            ("10KB", 10_000),
            ("3mb", 3_000_000),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "10M", "10Mib/s", "1.5MiB", "-1", "1_000", "10\tMiB", "99999999999999999999"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_size(&format!("{}GiB", u64::MAX)).is_err());
    }

    #[test]
    fn bounds_are_named_in_the_units_they_are_written_in() {
        fn parse(text: &str) -> DeValue<'_> {
            DeValue::parse(text).unwrap().into_inner()
        }
        let second = Duration::from_secs(1);
        assert_eq!(duration(&parse("\"2h\""), second..=second * 3600).unwrap_err(), "must be between 1s and 1h");
        assert!(duration(&parse("10"), second..=second).unwrap_err().contains("needs a unit"));
        assert_eq!(size(&parse("\"2GiB\""), 1024..=1 << 20).unwrap_err(), "must be between 1KiB and 1MiB");
        assert_eq!(size(&parse("0x400"), 1024..=1 << 20), Ok(1024));
        assert_eq!(number(&parse("-1"), 0..=5).unwrap_err(), "must be between 0 and 5");
        assert_eq!(number(&parse("99999999999999999999999"), 0..=5).unwrap_err(), "must be between 0 and 5");
        assert_eq!(number(&parse("1.0"), 0..=5).unwrap_err(), "must be a whole number, not a value of type float");
    }

    proptest! {
        #[test]
        fn durations_round_trip(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_round_trip(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}

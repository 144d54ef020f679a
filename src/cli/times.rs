//! Moments as people type them: `--since 2h`, `--until 2026-01-31`.

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::incident::Timestamp;

/// What every message about an unreadable moment ends with.
const EXPECTED: &str =
    "expected RFC 3339 such as 2026-01-31T08:00:00Z, a date (its midnight in UTC), or a time ago such as 90s, 30m, 2h, 7d, 4w";

/// Reads a moment for clap, relative to the system clock.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    parse(text, Timestamp::now()).ok_or_else(|| EXPECTED.to_owned())
}

fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp(time.timestamp_millis()));
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(Timestamp(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()));
    }
    Some(Timestamp(now.0.checked_sub(age_millis(text)?)?))
}

/// A whole number and one unit: seconds, minutes, hours, days, weeks.
fn age_millis(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    // `parse` alone would also take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-31T08:00:00Z.
    const NOW: Timestamp = Timestamp(1_769_846_400_000);

    fn shown(text: &str) -> Option<String> {
        parse(text, NOW).map(|time| time.to_string())
    }

    #[test]
    fn absolute_moments() {
        for (text, want) in [
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00.000Z"),
            ("2026-01-31T08:00:00.5+02:00", "2026-01-31T06:00:00.500Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn moments_ago() {
        for (text, want) in [
            ("0s", "2026-01-31T08:00:00.000Z"),
            ("90s", "2026-01-31T07:58:30.000Z"),
            ("30m", "2026-01-31T07:30:00.000Z"),
            ("2h", "2026-01-31T06:00:00.000Z"),
            ("7d", "2026-01-24T08:00:00.000Z"),
            ("4w", "2026-01-03T08:00:00.000Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "h", "2", "-2h", "+2h", "2 h", "2H", "1.5h", "2x", "2h30m", "2026-02-30", "31.01.2026", "99999999999999999w", "é"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
        let refusal = Err(EXPECTED.to_owned());
        assert_eq!(moment("yesterday"), refusal);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,24}") {
            let _ = parse(&text, NOW);
        }

        #[test]
        fn what_is_printed_can_be_typed(millis in 0..4_102_444_800_000_i64) {
            let time = Timestamp(millis);
            prop_assert_eq!(parse(&time.to_string(), NOW), Some(time));
        }

        #[test]
        fn an_age_is_that_long(number in 0..100_000_i64, (unit, seconds) in prop::sample::select(vec![
            ('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800),
        ])) {
            let time = parse(&format!("{number}{unit}"), NOW).expect("a number and a unit");
            prop_assert_eq!(NOW.0 - time.0, number * seconds * 1_000);
        }
    }
}

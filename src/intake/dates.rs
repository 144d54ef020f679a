//! Dates in the spellings of ISO 8601 that senders use.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

/// What some languages write where there is no date: the first moment there is, which nothing ever happened at.
pub(super) const UNSET: &str = "0001-01-01T00:00:00Z";

/// The moment as UTC in RFC 3339 with `Z` and as many digits of a second as it needs, none beyond nanoseconds.
///
/// None if `text` is no such date, or one outside the years 1 to 9999. Accepted, in any mixture and with any whitespace
/// around:
/// - `2026-01-31` or `20260131`, alone (midnight UTC) or followed by `T`, `t` or a space and a time
/// - `08`, `08:00`, `0800`, `08:00:00`, `080000`; after seconds `.` or `,` and any number of digits; `24:00` ends the day;
///   a leap second `:60` counts as the first of the next minute, as Unix time has it
/// - `Z`, `z`, `UTC`, `GMT`, `+02:00`, `+0200`, `+02` (`-` or U+2212 alike), a space before it or not; none is UTC
pub fn to_utc(text: &str) -> Option<String> {
    let mut rest = Rest(text.trim());
    let date = rest.date()?;
    let mut since_midnight = TimeDelta::zero();
    if !rest.0.is_empty() {
        rest.take(&["T", "t", " "])?;
        since_midnight = rest.time()? - rest.offset()?;
    }
    if !rest.0.is_empty() {
        return None;
    }
    let moment: DateTime<Utc> = date.and_time(NaiveTime::MIN).checked_add_signed(since_midnight)?.and_utc();
    (1..=9999).contains(&moment.year()).then(|| moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The moment that a number stands for, written like that of [`to_utc`]: seconds since 1970, or milliseconds, microseconds or
/// nanoseconds, whichever lies within some thousand years of it.
///
/// None if `text` is no number in decimal spelling, or a moment outside the years 1 to 9999.
pub fn from_number(text: &str) -> Option<String> {
    let plain = if text.contains(['e', 'E']) { format!("{:.9}", text.parse::<f64>().ok()?) } else { text.to_owned() };
    let (digits, is_negative) = plain.strip_prefix('-').map_or((plain.as_str(), false), |digits| (digits, true));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Larger than any number that is a moment.
    if !are_digits(whole) || !are_digits(fraction) || whole.len() > 20 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9.9}").parse().ok()?;
    let billionths = whole * 1_000_000_000 + fraction;
    let per_second = UNITS.iter().find(|(below, _)| whole < *below).map(|(_, per_second)| per_second)?;
    let nanoseconds = i64::try_from(billionths / per_second % 1_000_000_000).ok()?;
    let seconds = i64::try_from(billionths / per_second / 1_000_000_000).ok()?;
    let sign = if is_negative { -1 } else { 1 };
    let since = TimeDelta::try_seconds(sign * seconds)? + TimeDelta::nanoseconds(sign * nanoseconds);
    let moment = DateTime::UNIX_EPOCH.checked_add_signed(since)?;
    (1..=9999).contains(&moment.year()).then(|| moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Below which number how many units a second has: seconds up to the year 5138, milliseconds from 1973 on, and so on.
const UNITS: [(i128, i128); 4] = [
    (100_000_000_000, 1),
    (100_000_000_000_000, 1_000),
    (100_000_000_000_000_000, 1_000_000),
    (100_000_000_000_000_000_000, 1_000_000_000),
];

/// What is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn date(&mut self) -> Option<NaiveDate> {
        let year = self.number(4)?;
        let is_extended = self.take(&["-"]).is_some();
        let month = self.number(2)?;
        if is_extended {
            self.take(&["-"])?;
        }
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, self.number(2)?)
    }

    /// Since midnight.
    fn time(&mut self) -> Option<TimeDelta> {
        let hours = self.number(2)?;
        let minutes = self.sexagesimal()?;
        let seconds = self.sexagesimal()?;
        let nanoseconds = if seconds.is_some() && self.take(&[".", ","]).is_some() { self.nanoseconds()? } else { 0 };
        let (minutes, seconds) = (minutes.unwrap_or(0), seconds.unwrap_or(0));
        let is_end_of_day = (hours, minutes, seconds, nanoseconds) == (24, 0, 0, 0);
        if (hours > 23 && !is_end_of_day) || minutes > 59 || seconds > 60 {
            return None;
        }
        let seconds = i64::from(hours * 3_600 + minutes * 60 + seconds);
        Some(TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanoseconds))
    }

    /// East of UTC.
    fn offset(&mut self) -> Option<TimeDelta> {
        if self.0.is_empty() {
            return Some(TimeDelta::zero());
        }
        let _ = self.take(&[" "]);
        if ["Z", "UTC", "GMT"].iter().any(|name| self.0.eq_ignore_ascii_case(name)) {
            self.0 = "";
            return Some(TimeDelta::zero());
        }
        let sign = if self.take(&["+"]).is_some() { 1 } else { self.take(&["-", "\u{2212}"]).map(|()| -1)? };
        let hours = self.number(2)?;
        let minutes = self.sexagesimal()?.unwrap_or(0);
        (hours < 24 && minutes < 60).then(|| TimeDelta::minutes(sign * i64::from(hours * 60 + minutes)))
    }

    /// Two more digits, with a colon or without; `Some(None)` if nothing of the kind follows.
    fn sexagesimal(&mut self) -> Option<Option<u32>> {
        if self.take(&[":"]).is_some() || self.0.starts_with(|char: char| char.is_ascii_digit()) {
            return self.number(2).map(Some);
        }
        Some(None)
    }

    /// At least one digit; digits after the ninth are dropped.
    fn nanoseconds(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let kept = count.min(9);
        let value: i64 = self.0[..kept].parse().ok()?;
        self.0 = &self.0[count..];
        Some(value * 10_i64.pow(9 - kept as u32))
    }

    /// Exactly that many digits; further ones are left.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        number.parse().ok()
    }

    fn take(&mut self, choices: &[&str]) -> Option<()> {
        self.0 = choices.iter().find_map(|choice| self.0.strip_prefix(choice))?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, NaiveDateTime, TimeZone};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_senders() {
        for (text, want) in [
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31t08:00:00z", "2026-01-31T08:00:00Z"),
            ("  2026-01-31T08:00:00Z\n", "2026-01-31T08:00:00Z"),
            ("2026-01-31T08:00:00", "2026-01-31T08:00:00Z"),
            ("2026-01-31 08:00:00", "2026-01-31T08:00:00Z"),
            ("2015-05-17 18:08:09 UTC", "2015-05-17T18:08:09Z"),
            ("2015-05-17 18:08:09 gmt", "2015-05-17T18:08:09Z"),
            ("2009-12-16T23:46:10.612-0600", "2009-12-17T05:46:10.612Z"),
            ("2026-01-31T08:00:00+02:00", "2026-01-31T06:00:00Z"),
            ("2026-01-31 08:00:00 +0200", "2026-01-31T06:00:00Z"),
            ("2026-01-31T08:00:00+02", "2026-01-31T06:00:00Z"),
            ("2026-01-31T08:00:00\u{2212}05:30", "2026-01-31T13:30:00Z"),
            ("2026-01-31T08:00:00-00:00", "2026-01-31T08:00:00Z"),
            ("20260131T080000Z", "2026-01-31T08:00:00Z"),
            ("20260131T0800", "2026-01-31T08:00:00Z"),
            ("20260131T08", "2026-01-31T08:00:00Z"),
            ("20260131", "2026-01-31T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T08:00", "2026-01-31T08:00:00Z"),
            ("2026-01-31T08:00+01:00", "2026-01-31T07:00:00Z"),
            ("2026-01-31T08+01", "2026-01-31T07:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(to_utc(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn fractions_of_any_length() {
        for (fraction, want) in [
            (".0", ""),
            (".1", ".100"),
            (",25", ".250"),
            (".1234", ".123400"),
            (".1234567", ".123456700"),
            (".123456789", ".123456789"),
            (".12345678999999999999999999999999999999", ".123456789"),
        ] {
            assert_eq!(to_utc(&format!("2026-01-31T08:00:00{fraction}Z")), Some(format!("2026-01-31T08:00:00{want}Z")), "{fraction}");
        }
    }

    #[test]
    fn the_end_of_a_day_and_leap_seconds_are_the_next_moment() {
        for (text, want) in [
            ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-12-31T24:00", "2027-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
            ("2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(to_utc(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn all_else_is_unreadable() {
        for text in [
            "",
            "yesterday",
            "1700000000",
            "1700000000000",
            "2026",
            "2026-01",
            "2026-1-31",
            "26-01-31",
            "2026-13-01",
            "2026-00-10",
            "2026-02-29",
            "2026-01-32",
            "2026-0131",
            "202601-31",
            "2026-01-31T",
            "2026-01-31T8:00",
            "2026-01-31T08:00:00ZZ",
            "2026-01-31T25:00:00Z",
            "2026-01-31T24:00:01Z",
            "2026-01-31T24:00:00.1Z",
            "2026-01-31T08:60:00Z",
            "2026-01-31T08:00:61Z",
            "2026-01-31T08:00:00.Z",
            "2026-01-31T08:00.5Z",
            "2026-01-31T08:00:00+24:00",
            "2026-01-31T08:00:00+02:60",
            "2026-01-31T08:00:00+2",
            "2026-01-31T08:00:00 CET",
            "2026-01-31T08:00:00+02:00Z",
            "2026-01-31  08:00",
            "2026-W05-6",
            "2026-031",
            "31/01/2026",
            "01-31-2026",
            "+002026-01-31",
            "-2026-01-31",
            "0000-01-01",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T24:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "２０２６-01-31",
            "2026-01-31T08:00:00\u{0}",
            "2026-01-31é",
            "Sat, 31 Jan 2026 08:00:00 GMT",
        ] {
            assert_eq!(to_utc(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_parts_of_them() {
        for (text, want) in [
            ("1769846400", "2026-01-31T08:00:00Z"),
            ("1769846400.25", "2026-01-31T08:00:00.250Z"),
            ("1769846400.1234567899", "2026-01-31T08:00:00.123456789Z"),
            ("1769846400123", "2026-01-31T08:00:00.123Z"),
            ("1769846400123.5", "2026-01-31T08:00:00.123500Z"),
            ("1769846400123456", "2026-01-31T08:00:00.123456Z"),
            ("1769846400123456789", "2026-01-31T08:00:00.123456789Z"),
            ("1.7698464e9", "2026-01-31T08:00:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("-0.5", "1969-12-31T23:59:59.500Z"),
        ] {
            assert_eq!(from_number(text).as_deref(), Some(want), "{text}");
        }
        let long = "9".repeat(1_000);
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1e400",
            "1e30",
            "-1e300",
            "NaN",
            "inf",
            "+1",
            "1_0",
            " 1",
            "0x10",
            "99999999999999999999999",
            "-99999999999",
            &long,
        ] {
            assert_eq!(from_number(text), None, "{text}");
        }
    }

    prop_compose! {
        fn moments()(seconds in -62_135_510_400_i64..253_402_214_400, nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_u32]) -> NaiveDateTime {
            DateTime::from_timestamp(seconds, nanoseconds).unwrap().naive_utc()
        }
    }

    proptest! {
        #[test]
        fn what_chrono_writes_is_read(utc in moments(), minutes in -1_439..1_440, format in 0..5_usize) {
            let local = FixedOffset::east_opt(minutes * 60).unwrap().from_utc_datetime(&utc);
            let format = ["%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.9f %z", "%Y%m%dT%H%M%S%.f%z", "%Y-%m-%dt%H:%M:%S%.f%:z", "%+"][format];
            prop_assert_eq!(to_utc(&local.format(format).to_string()), Some(utc.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)));
        }

        #[test]
        fn a_moment_in_any_unit_is_the_moment(seconds in -9_999_999_999_i64..99_999_999_999, fraction in 0..1_000_000_000_u32) {
            let moment = DateTime::from_timestamp(seconds, fraction).unwrap();
            prop_assume!(moment.year() <= 9999);
            let want = Some(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            if seconds >= 0 {
                prop_assert_eq!(&from_number(&format!("{seconds}.{fraction:09}")), &want);
                // Before 1973, milliseconds look like seconds.
                if seconds > 100_000_000 {
                    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(fraction);
                    prop_assert_eq!(&from_number(&nanoseconds.to_string()), &want);
                    prop_assert_eq!(&from_number(&format!("{}.{:06}", nanoseconds / 1_000_000, nanoseconds % 1_000_000)), &want);
                }
            }
            let whole = DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339_opts(SecondsFormat::AutoSi, true);
            prop_assert_eq!(from_number(&seconds.to_string()), Some(whole));
        }

        #[test]
        fn the_result_is_its_own_result(text in "[0-9]{4}-?[0-9]{2}-?[0-9]{2}([Tt ][0-9:]{2,8}([.,][0-9]{1,12})?( ?([Zz]|UTC|[+-][0-9:]{2,5}))?)?") {
            if let Some(utc) = to_utc(&text) {
                prop_assert_eq!(DateTime::parse_from_rfc3339(&utc).unwrap().with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::AutoSi, true), utc.clone());
                prop_assert_eq!(to_utc(&utc), Some(utc));
            }
        }

        #[test]
        fn arbitrary_text_does_no_harm(text in "\\PC{0,40}") {
            let _ = to_utc(&text);
            let _ = from_number(&text);
        }
    }
}

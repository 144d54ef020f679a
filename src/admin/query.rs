//! What is asked of `/api/v1/incidents`: query parameters to a [`Filter`], each read or refused by name.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::answer::Problem;
use crate::incident::Timestamp;
use crate::mapping::is_field_name;
use crate::store::{Filter, Order};

/// Incidents a page unless asked otherwise: what fits a screen or two.
const DEFAULT_LIMIT: usize = 50;
/// Incidents a page at most, so that an answer of ordinary incidents stays within a few MiB.
const MAX_LIMIT: usize = 1000;

/// Reads a URL's query. An empty value is no condition, as if the parameter were not there.
pub(super) fn filter(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter { limit: DEFAULT_LIMIT, order: Order::NewestFirst, ..Filter::default() };
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) && name != "field" {
            return Err(wrong(name, "is given twice"));
        }
        if let Err(detail) = set(&mut filter, &name, &value) {
            return Err(wrong(name, detail));
        }
        seen.push(name);
    }
    Ok(filter)
}

/// An endpoint without parameters: any is a mistake that should not go unnoticed.
pub(super) fn nothing(query: &str) -> Result<(), Problem> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((name, _)) => Err(wrong(name, "is not a parameter of this address")),
        None => Ok(()),
    }
}

/// A parameter, and a sentence about it that begins with its name.
pub(super) fn wrong(name: Cow<'_, str>, detail: &str) -> Problem {
    Problem::Parameter { detail: format!("{name} {detail}."), name: Cow::Owned(name.into_owned()) }
}

fn set(filter: &mut Filter, name: &str, value: &str) -> Result<(), &'static str> {
    let text = || (!value.is_empty()).then(|| value.to_owned());
    match name {
        "instance" => filter.instance = text(),
        "type" => filter.kind = text(),
        "field" => filter.fields.extend(field(value)?),
        "q" => filter.q = text(),
        "since" => filter.since = moment(value)?,
        "until" => filter.until = moment(value)?,
        "order" => filter.order = order(value)?,
        "limit" => filter.limit = limit(value)?,
        "cursor" if value.is_empty() => filter.cursor = None,
        "cursor" => filter.cursor = Some(value.parse().map_err(|_| "is not a cursor: take `next` of an earlier answer as it is")?),
        _ => return Err("is not a parameter: there are instance, type, field, since, until, q, order, limit and cursor"),
    }
    Ok(())
}

/// `severity:high`, or `severity=high` as on the command line: no name has either sign. Several hold together.
fn field(text: &str) -> Result<Option<(String, String)>, &'static str> {
    const WRONG: &str = "is the name of a field, a colon and its value, such as severity:high";
    if text.is_empty() {
        return Ok(None);
    }
    let (name, value) = text.split_once([':', '=']).ok_or(WRONG)?;
    if is_field_name(name) { Ok(Some((name.to_owned(), value.to_owned()))) } else { Err(WRONG) }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "" | "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err("is asc or desc"),
    }
}

fn limit(text: &str) -> Result<usize, &'static str> {
    match text {
        "" => Ok(DEFAULT_LIMIT),
        // `parse` alone would also take a sign.
        _ if !text.bytes().all(|byte| byte.is_ascii_digit()) => Err("is a whole number from 1 to 1000"),
        _ => text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or("is a whole number from 1 to 1000"),
    }
}

/// RFC 3339, or a date, which stands for its first moment in UTC.
fn moment(text: &str) -> Result<Option<Timestamp>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(Some(Timestamp(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis())));
    }
    // In a query `+` stands for a blank, so an offset whose plus was not escaped arrives as one.
    let text = text.rsplit_once(' ').map_or(Cow::Borrowed(text), |(time, offset)| Cow::Owned(format!("{time}+{offset}")));
    let time = DateTime::parse_from_rfc3339(&text).map_err(|_| "is RFC 3339 such as 2026-01-31T08:00:00Z, or a date such as 2026-01-31")?;
    Ok(Some(Timestamp(time.timestamp_millis())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(query: &str) -> String {
        match filter(query).unwrap_err() {
            Problem::Parameter { name, .. } => name.into_owned(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn fields_may_be_several() {
        let read = filter("field=severity:high&field=url=https://a:1&field=sum:a=b&field=").unwrap().fields;
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("severity", "high"), ("url", "https://a:1"), ("sum", "a=b")]);
    }

    #[test]
    fn every_parameter_is_read() {
        let read =
            filter("instance=a&type=Phish+ing&since=2026-01-31&until=2026-01-31T08:00:00.5%2B02:00&q=%C3%A9&order=asc&limit=7").unwrap();
        assert_eq!((read.instance.as_deref(), read.kind.as_deref(), read.q.as_deref()), (Some("a"), Some("Phish ing"), Some("é")));
        assert_eq!(read.since.unwrap().to_string(), "2026-01-31T00:00:00.000Z");
        assert_eq!(read.until.unwrap().to_string(), "2026-01-31T06:00:00.500Z");
        assert_eq!((read.order, read.limit), (Order::OldestFirst, 7));
    }

    #[test]
    fn what_is_left_out_or_empty_is_no_condition() {
        for query in ["", "instance=&type=&since=&until=&q=&order=&limit=&cursor="] {
            let read = filter(query).unwrap();
            assert!(read.instance.is_none() && read.kind.is_none() && read.q.is_none() && read.cursor.is_none(), "{query}");
            assert!(read.since.is_none() && read.until.is_none(), "{query}");
            assert_eq!((read.order, read.limit), (Order::NewestFirst, DEFAULT_LIMIT));
        }
    }

    #[test]
    fn an_unescaped_plus_in_an_offset_is_understood() {
        assert_eq!(filter("since=2026-01-31T08:00:00+02:00").unwrap().since.unwrap().to_string(), "2026-01-31T06:00:00.000Z");
    }

    #[test]
    fn mistakes_are_named() {
        for (query, name) in [
            ("instnace=a", "instnace"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("limit=%2B1", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("order=up", "order"),
            ("since=yesterday", "since"),
            ("until=2026-02-30", "until"),
            ("cursor=x", "cursor"),
            ("q=a&q=b", "q"),
            ("field=severity", "field"),
            ("field=a-b:c", "field"),
            ("field=:c", "field"),
        ] {
            assert_eq!(refused(query), name, "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_crashes(query: String, value: String) {
            let _ = filter(&query);
            let _ = moment(&value);
            let _ = filter(&format!("cursor={value}&limit={query}"));
        }
    }
}

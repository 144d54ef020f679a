//! A page of incidents: a bounded walk along one index, in one snapshot.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::filter::{Cursor, Filter, Order, Page};
use super::{MAX_SKEW, Marks, meta, row};
use crate::incident::{Incident, Seq, Timestamp};
use crate::store::error::ReadError;

/// Incidents looked at for one page. With a rare `q` the caller gets few or none and goes on with the cursor, so that one
/// question never keeps the write-ahead log from being reset for long.
const PAGE_SCANS: usize = 20_000;
/// The same in time, for large incidents and slow disks.
const PAGE_TIME: Duration = Duration::from_millis(250);
/// Bytes after which a page ends: one largest body (10 MiB) and some more.
const PAGE_BYTES: usize = 16 << 20;

/// Reads one page.
pub(super) fn read(db: &Connection, filter: &Filter) -> Result<Page, ReadError> {
    let Some(walk) = Walk::new(db, filter)? else { return Ok(Page { incidents: Vec::new(), next: None }) };
    let needle = filter.q.as_deref().map(|q| q.as_bytes().to_ascii_lowercase());
    let limit = filter.limit.max(1);
    let started = Instant::now();
    let mut incidents = Vec::new();
    let (mut scanned, mut bytes, mut last) = (0, 0, None);
    let mut is_through = true;

    let mut statement = db.prepare_cached(&walk.sql())?;
    let mut rows = match walk.field {
        Some((name, value)) => statement.query(params![walk.lower.0, walk.upper.0, name, value])?,
        None => statement.query(params![walk.lower.0, walk.upper.0, walk.key()])?,
    };
    while let Some(row) = rows.next()? {
        if incidents.len() == limit || scanned == PAGE_SCANS || bytes >= PAGE_BYTES || started.elapsed() >= PAGE_TIME && scanned > 0 {
            is_through = false;
            break;
        }
        let seq = Seq(row.get(0)?);
        scanned += 1;
        last = Some(seq);
        if !walk.wants(row.get(1)?, Timestamp(row.get(2)?)) {
            continue;
        }
        let Some(incident) = row::load(db, seq)? else { continue };
        if has_all(&incident, filter) && needle.as_deref().is_none_or(|needle| contains(&incident, needle)) {
            bytes += incident.raw.len() + incident.headers.len();
            incidents.push(incident);
        }
    }
    let goes_on = !is_through || filter.order == Order::OldestFirst;
    Ok(Page { incidents, next: last.filter(|_| goes_on).map(|seq| Cursor { order: filter.order, seq }) })
}

/// When the newest incident of an instance was stored: the end of its part of the index.
pub(super) fn newest(db: &Connection, instance: &str) -> Result<Option<Timestamp>, ReadError> {
    let mut statement = db.prepare_cached(
        "SELECT created FROM incident INDEXED BY incident_by_instance
         WHERE instance = (SELECT id FROM instance WHERE name = ?1) ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row([instance], |row| row.get(0).map(Timestamp)).optional()?)
}

/// A range of one index, and what the index does not tell.
struct Walk<'f> {
    order: Order,
    /// Row id of the wanted instance.
    instance: Option<i64>,
    kind: Option<&'f str>,
    /// Name and value.
    field: Option<(&'f str, &'f str)>,
    /// Both exclusive.
    lower: Seq,
    upper: Seq,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'f> Walk<'f> {
    /// None if nothing can match: the instance never stored anything.
    fn new(db: &Connection, filter: &'f Filter) -> Result<Option<Self>, ReadError> {
        if filter.cursor.is_some_and(|cursor| cursor.order != filter.order) {
            return Err(ReadError::WrongOrder);
        }
        let mut instance = None;
        if let Some(name) = &filter.instance {
            instance = db.query_row("SELECT id FROM instance WHERE name = ?1", [name], |row| row.get(0)).optional()?;
            if instance.is_none() {
                return Ok(None);
            }
        }
        let skew = meta(db, MAX_SKEW)?.unwrap_or(0);
        let mut lower = filter.since.map_or(Seq(-1), |since| Seq(Seq::first_of(since).0 - 1));
        let mut upper = filter.until.map_or(Seq(i64::MAX), |until| Marks { last: Seq(0), skew }.end_of(until));
        match filter.cursor {
            Some(Cursor { order: Order::OldestFirst, seq }) => lower = lower.max(seq),
            Some(Cursor { order: Order::NewestFirst, seq }) => upper = upper.min(seq),
            None => {}
        }
        let kind = filter.kind.as_deref();
        let field = filter.fields.first().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Some(Self { order: filter.order, instance, kind, field, lower, upper, since: filter.since, until: filter.until }))
    }

    /// The index is chosen here and not by SQLite, which knows nothing of how the rows are spread. Where both an instance and a
    /// type are wanted, the type is usually the rarer; own fields are there to be looked for.
    fn sql(&self) -> String {
        let direction = match self.order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        if self.field.is_some() {
            return format!(
                "SELECT f.seq, i.instance, i.created FROM field f INDEXED BY field_by_value CROSS JOIN incident i NOT INDEXED ON i.seq = f.seq
                 WHERE f.name = ?3 AND f.value = ?4 AND f.seq > ?1 AND f.seq < ?2 ORDER BY f.seq {direction}"
            );
        }
        let (index, condition) = match (self.kind, self.instance) {
            (Some(_), _) => ("INDEXED BY incident_by_type", "type = ?3 AND"),
            (None, Some(_)) => ("INDEXED BY incident_by_instance", "instance = ?3 AND"),
            (None, None) => ("NOT INDEXED", "?3 IS NULL AND"),
        };
        format!("SELECT seq, instance, created FROM incident {index} WHERE {condition} seq > ?1 AND seq < ?2 ORDER BY seq {direction}")
    }

    /// What [`Self::sql`] compares with.
    fn key(&self) -> rusqlite::types::Value {
        match (self.kind, self.instance) {
            (Some(kind), _) => kind.to_owned().into(),
            (None, instance) => instance.into(),
        }
    }

    fn wants(&self, instance: i64, created: Timestamp) -> bool {
        self.instance.is_none_or(|wanted| wanted == instance)
            && self.since.is_none_or(|since| created >= since)
            && self.until.is_none_or(|until| created < until)
    }
}

/// What the index that was walked along may not tell.
fn has_all(incident: &Incident, filter: &Filter) -> bool {
    let has = |(name, value): &(String, String)| incident.fields.iter().any(|field| *field.name == **name && field.value == *value);
    filter.fields.iter().all(has) && filter.kind.as_ref().is_none_or(|kind| incident.kind.as_ref() == Some(kind))
}

/// Whether people would find the incident by this text, which is in ASCII lower case.
fn contains(incident: &Incident, needle: &[u8]) -> bool {
    let id = incident.id.to_string();
    [&incident.raw, incident.name.as_bytes(), incident.kind.as_deref().unwrap_or_default().as_bytes(), id.as_bytes()]
        .into_iter()
        .any(|hay| find_ignore_case(hay, needle))
}

/// `needle` is in ASCII lower case already.
fn find_ignore_case(hay: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let Some(starts) = hay.len().checked_sub(rest.len()) else { return false };
    (0..starts).any(|at| hay[at].to_ascii_lowercase() == *first && hay[at + 1..][..rest.len()].eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::incident::{Draft, IncidentId};
    use crate::store::sqlite::{Database, Prepared};
    use crate::store::testing::{Bench, draft, read_all, stored, with_fields, write};
    use crate::store::{Reader, Write};

    fn store(database: &mut Database, instance: &str, drafts: Vec<Draft>) -> Vec<IncidentId> {
        let write = Write { instance: instance.into(), ..write(drafts) };
        stored(&database.store([&Prepared::new(Arc::new(write))].into_iter()).unwrap()[0])
    }

    fn kind(kind: &'static str) -> Draft {
        Draft { kind: Some(kind.into()), ..draft("{}") }
    }

    fn ids(incidents: &[Incident]) -> Vec<IncidentId> {
        incidents.iter().map(|incident| incident.id).collect()
    }

    fn all(reader: &Reader, filter: Filter) -> Vec<IncidentId> {
        ids(&read_all(reader, &filter))
    }

    fn oldest() -> Filter {
        Filter { order: Order::OldestFirst, ..Filter::default() }
    }

    #[test]
    fn filters_hold_together() {
        let bench = Bench::new();
        let mut database = bench.open();
        let a = store(&mut database, "a", vec![kind("X"), kind("Y"), draft("{}")]);
        let b = store(&mut database, "b", vec![kind("X")]);
        let reader = bench.reader();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(all(&reader, Filter { instance: named("a"), ..oldest() }), a);
        assert_eq!(all(&reader, Filter { kind: named("X"), ..oldest() }), [a[0], b[0]]);
        assert_eq!(all(&reader, Filter { kind: named("X"), instance: named("b"), ..oldest() }), b);
        assert_eq!(all(&reader, Filter { kind: named("x"), ..oldest() }), [], "compared exactly");
        assert_eq!(all(&reader, Filter { instance: named("c"), ..oldest() }), []);
        assert_eq!(all(&reader, Filter::default()), [b[0], a[2], a[1], a[0]], "newest first unless told otherwise");
    }

    #[test]
    fn fields_are_looked_up_and_hold_together_with_all_else() {
        let bench = Bench::new();
        let mut database = bench.open();
        let high = with_fields(&[("host", "x"), ("severity", "high")]);
        let low = with_fields(&[("host", "x"), ("severity", "low")]);
        let a = store(&mut database, "a", vec![high.clone(), low, draft("{}"), Draft { kind: Some("T".into()), ..high.clone() }]);
        let b = store(&mut database, "b", vec![high]);
        let reader = bench.reader();
        let with = |fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Filter { fields, limit: 1, ..oldest() }
        };
        assert_eq!(all(&reader, with(&[("severity", "high")])), [a[0], a[3], b[0]]);
        assert_eq!(all(&reader, Filter { order: Order::NewestFirst, ..with(&[("host", "x")]) }), [b[0], a[3], a[1], a[0]]);
        assert_eq!(all(&reader, with(&[("host", "x"), ("severity", "low")])), [a[1]]);
        assert_eq!(all(&reader, with(&[("severity", "x")])), []);
        assert_eq!(all(&reader, Filter { instance: Some("a".into()), ..with(&[("severity", "high")]) }), [a[0], a[3]]);
        assert_eq!(all(&reader, Filter { kind: Some("T".into()), ..with(&[("severity", "high")]) }), [a[3]]);
        let found = reader.incident(a[1]).unwrap().unwrap();
        assert_eq!(found.fields, with_fields(&[("host", "x"), ("severity", "low")]).fields);
    }

    #[test]
    fn a_field_is_a_range_of_its_index() {
        let bench = Bench::new();
        let database = bench.open();
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let filter = Filter { fields: vec![("a".into(), "b".into())], order, ..Filter::default() };
            let sql = Walk::new(&database.db, &filter).unwrap().unwrap().sql();
            let mut statement = database.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> =
                statement.query_map(params![0, 0, "a", "b"], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(
                plan,
                [
                    "SEARCH f USING COVERING INDEX field_by_value (name=? AND value=? AND seq>? AND seq<?)",
                    "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)",
                ]
            );
        }
    }

    #[test]
    fn the_newest_of_an_instance_is_found_by_its_index() {
        let bench = Bench::new();
        let mut database = bench.open();
        store(&mut database, "a", vec![draft("{}")]);
        let last = store(&mut database, "a", vec![draft("{}"), draft("{}")])[1];
        store(&mut database, "b", vec![draft("{}")]);
        let reader = bench.reader();
        assert_eq!(reader.last_stored("a").unwrap(), Some(reader.incident(last).unwrap().unwrap().created));
        assert_eq!(reader.last_stored("nobody").unwrap(), None);
    }

    #[test]
    fn q_looks_into_name_type_id_and_json() {
        let bench = Bench::new();
        let mut database = bench.open();
        let named = Draft { name: "Phishing REPORT".into(), ..draft("{}") };
        let stored = store(&mut database, "a", vec![named, kind("Malware"), draft("{\"user\":\"Zoë@x.com\"}")]);
        let reader = bench.reader();
        let found = |q: &str| all(&reader, Filter { q: Some(q.into()), ..oldest() });
        assert_eq!(found("phishing rep"), stored[..1]);
        assert_eq!(found("MALWARE"), stored[1..2]);
        assert_eq!(found("zoë@X"), stored[2..]);
        assert_eq!(found(&stored[1].to_string().to_uppercase()), stored[1..2]);
        assert_eq!(found("host"), [], "headers are not searched");
        assert_eq!(found(""), stored);
    }

    #[test]
    fn each_filter_is_a_range_of_an_index() {
        let bench = Bench::new();
        let mut database = bench.open();
        store(&mut database, "a", vec![kind("X")]);
        for (instance, kind, plan_begins) in [
            (None, None, "SEARCH incident USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (Some("a"), None, "SEARCH incident USING INDEX incident_by_instance (instance=? AND rowid>? AND rowid<?)"),
            (Some("a"), Some("X"), "SEARCH incident USING INDEX incident_by_type (type=? AND rowid>? AND rowid<?)"),
        ] {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                let filter = Filter { instance: instance.map(str::to_owned), kind: kind.map(str::to_owned), order, ..Filter::default() };
                let sql = Walk::new(&database.db, &filter).unwrap().unwrap().sql();
                let mut statement = database.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let plan: Vec<String> =
                    statement.query_map(params![0, 0, "x"], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
                assert_eq!(plan, [plan_begins], "{sql}");
            }
        }
    }

    #[test]
    fn the_stream_can_be_followed_for_ever() {
        let bench = Bench::new();
        let mut database = bench.open();
        let mut wanted = store(&mut database, "a", vec![draft("{}"); 5]);
        let reader = bench.reader();
        let mut filter = Filter { limit: 3, ..oldest() };
        let mut seen = Vec::new();
        let mut follow = |filter: &mut Filter| {
            while let Page { incidents, next: Some(next) } = reader.page(filter).unwrap() {
                seen.extend(ids(&incidents));
                filter.cursor = Some(next);
            }
            seen.clone()
        };
        assert_eq!(follow(&mut filter), wanted);
        store(&mut database, "b", vec![draft("{}")]);
        wanted = all(&bench.reader(), oldest());
        assert_eq!(follow(&mut filter), wanted, "the kept cursor goes on where it was");
    }

    #[test]
    fn newest_first_ends_and_does_not_see_what_came_meanwhile() {
        let bench = Bench::new();
        let mut database = bench.open();
        let wanted = store(&mut database, "a", vec![draft("{}"); 4]);
        let reader = bench.reader();
        let first = reader.page(&Filter { limit: 2, ..Filter::default() }).unwrap();
        store(&mut database, "a", vec![draft("{}"); 4]);
        let second = reader.page(&Filter { limit: 2, cursor: first.next, ..Filter::default() }).unwrap();
        let mut seen = [ids(&first.incidents), ids(&second.incidents)].concat();
        seen.reverse();
        assert_eq!((seen, second.next), (wanted, None));
    }

    #[test]
    fn one_page_is_bounded_in_scans_and_bytes() {
        let bench = Bench::new();
        let mut database = bench.open();
        store(&mut database, "a", vec![draft("{}"); PAGE_SCANS + 1]);
        let reader = bench.reader();
        let filter = Filter { q: Some("nowhere".into()), ..Filter::default() };
        let page = reader.page(&filter).unwrap();
        assert!(page.incidents.is_empty() && page.next.is_some());
        assert_eq!(all(&reader, filter), []);

        let large = "x".repeat(PAGE_BYTES / 2);
        let stored = store(&mut database, "b", vec![draft(&large), draft(&large), draft(&large)]);
        let filter = Filter { instance: Some("b".into()), ..oldest() };
        let page = reader.page(&filter).unwrap();
        assert_eq!((page.incidents.len(), page.next.is_some()), (2, true));
        assert_eq!(all(&reader, filter), stored);
    }

    #[test]
    fn a_cursor_belongs_to_its_order() {
        let bench = Bench::new();
        store(&mut bench.open(), "a", vec![draft("{}")]);
        let next = bench.reader().page(&oldest()).unwrap().next;
        let error = bench.reader().page(&Filter { cursor: next, ..Filter::default() }).unwrap_err();
        assert!(matches!(error, ReadError::WrongOrder));
    }

    proptest! {
        #[test]
        fn finding_agrees_with_the_plain_way(hay in "[aAbB]{0,12}", needle in "[ab]{0,4}") {
            prop_assert_eq!(find_ignore_case(hay.as_bytes(), needle.as_bytes()), hay.to_ascii_lowercase().contains(&needle));
        }
    }
}

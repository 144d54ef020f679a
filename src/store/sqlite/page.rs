//! A page of incidents: a bounded walk along one index, in one snapshot.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::filter::{Cursor, Filter, Order, Page};
use super::row;
use super::search::Search;
use super::walk::Walk;
use crate::incident::{Incident, Seq, Timestamp};
use crate::store::error::ReadError;

/// What ends a page before its limit. With a rare `q` the caller gets few or none and goes on with the cursor, so that one
/// question never keeps the write-ahead log from being reset for long.
struct Bounds {
    time: Duration,
    /// Incidents looked at: more than are in `time`, whatever the clock does.
    scans: usize,
    /// Of the incidents on the page: one largest body (10 MiB) and some more.
    bytes: usize,
}

const BOUNDS: Bounds = Bounds { time: Duration::from_millis(250), scans: 10_000_000, bytes: 16 << 20 };

/// Reads one page.
pub(super) fn read(db: &Connection, filter: &Filter) -> Result<Page, ReadError> {
    read_within(&BOUNDS, db, filter)
}

fn read_within(bounds: &Bounds, db: &Connection, filter: &Filter) -> Result<Page, ReadError> {
    let Some(walk) = Walk::new(db, filter)? else { return Ok(Page { incidents: Vec::new(), next: None }) };
    let mut search = filter.q.as_deref().map(Search::new);
    let limit = filter.limit.max(1);
    let started = Instant::now();
    let mut incidents = Vec::new();
    let (mut scanned, mut bytes, mut last) = (0, 0, None);
    let mut is_through = true;

    let mut statement = db.prepare_cached(&walk.sql(search.is_some()))?;
    let mut rows = match walk.field {
        Some((name, value)) => statement.query(params![walk.lower.0, walk.upper.0, name, value])?,
        None => statement.query(params![walk.lower.0, walk.upper.0, walk.key()])?,
    };
    while let Some(row) = rows.next()? {
        let is_at_bound = scanned == bounds.scans || bytes >= bounds.bytes || started.elapsed() >= bounds.time;
        if incidents.len() == limit || is_at_bound && scanned > 0 {
            is_through = false;
            break;
        }
        let seq = Seq(row.get(0)?);
        scanned += 1;
        last = Some(seq);
        if !walk.wants(row.get(1)?, Timestamp(row.get(2)?)) {
            continue;
        }
        if let Some(search) = &mut search
            && !search.finds(seq, row)?
        {
            continue;
        }
        // Of the same snapshot, and verified: a damaged row is an error once it is found.
        let Some(incident) = row::load(db, seq)? else { continue };
        if has_all(&incident, filter) {
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

/// What the index that was walked along may not tell.
fn has_all(incident: &Incident, filter: &Filter) -> bool {
    let has = |(name, value): &(String, String)| incident.fields.iter().any(|field| *field.name == **name && field.value == *value);
    filter.fields.iter().all(has) && filter.kind.as_ref().is_none_or(|kind| incident.kind.as_ref() == Some(kind))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
    fn one_page_is_bounded_in_scans_time_and_bytes() {
        let bench = Bench::new();
        let mut database = bench.open();
        let large = "x".repeat(1000);
        let stored = store(&mut database, "a", vec![draft(&large); 5]);
        let looked_at = |bounds: Bounds, q: Option<&str>| {
            let filter = Filter { q: q.map(str::to_owned), ..oldest() };
            let page = read_within(&bounds, &database.db, &filter).unwrap();
            let until = page.next.unwrap().seq();
            (stored.iter().filter(|id| id.seq() <= until).count(), page.incidents.len())
        };
        assert_eq!(looked_at(BOUNDS, Some("nowhere")), (5, 0));
        assert_eq!(looked_at(Bounds { scans: 3, ..BOUNDS }, Some("nowhere")), (3, 0));
        assert_eq!(looked_at(Bounds { time: Duration::ZERO, ..BOUNDS }, Some("nowhere")), (1, 0), "it gets on in any case");
        assert_eq!(looked_at(Bounds { bytes: 1500, ..BOUNDS }, None), (2, 2));
    }

    #[test]
    fn a_search_is_followed_to_its_end() {
        let bench = Bench::new();
        let mut database = bench.open();
        let mut drafts = vec![draft("{}"); 10];
        drafts[4] = draft("{\"k\":\"Needle\"}");
        let stored = store(&mut database, "a", drafts);
        let mut filter = Filter { q: Some("needle".into()), ..Filter::default() };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = read_within(&Bounds { scans: 3, ..BOUNDS }, &database.db, &filter).unwrap();
            found.extend(ids(&page.incidents));
            pages += 1;
            filter.cursor = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!((found, pages), (stored[4..5].to_vec(), 4));
    }

    #[test]
    fn what_a_search_finds_is_verified() {
        let bench = Bench::new();
        let mut database = bench.open();
        let stored = store(&mut database, "a", vec![draft("{\"k\":\"one\"}"), draft("{\"k\":\"two\"}")]);
        bench
            .shell()
            .execute("UPDATE incident SET raw = CAST(replace(raw, 'two', 'six') AS BLOB) WHERE seq = ?1", [stored[1].seq().0])
            .unwrap();
        let page = |q: &str| bench.reader().page(&Filter { q: Some(q.into()), ..oldest() });
        assert!(matches!(page("six"), Err(ReadError::Damaged { id }) if id == stored[1]));
        assert_eq!(ids(&page("one").unwrap().incidents), stored[..1], "what was not looked for is not in the way");
    }

    #[test]
    fn a_cursor_belongs_to_its_order() {
        let bench = Bench::new();
        store(&mut bench.open(), "a", vec![draft("{}")]);
        let next = bench.reader().page(&oldest()).unwrap().next;
        let error = bench.reader().page(&Filter { cursor: next, ..Filter::default() }).unwrap_err();
        assert!(matches!(error, ReadError::WrongOrder));
    }
}

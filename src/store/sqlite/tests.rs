//! The database itself, on real files, with a clock in the tests' hands.

mod files;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::limits::Limit;

use super::{Database, Filter, Order, Prepared, Reader};
use crate::incident::{Draft, IncidentId, Repeats, Timestamp};
use crate::store::error::{Consequence, Failure, OpenError, ReadError, WriteError};
use crate::store::testing::{Bench, DAY, NOON, draft, keyed, read_all, stored, write};
use crate::store::{Outcome, Receipt, SchemaError, Write};

fn store(database: &mut Database, writes: Vec<Write>) -> Result<Vec<Receipt>, Failure> {
    let prepared: Vec<_> = writes.into_iter().map(|write| Prepared::new(Arc::new(write))).collect();
    database.store(prepared.iter())
}

fn store_one(database: &mut Database, write: Write) -> Receipt {
    store(database, vec![write]).unwrap().remove(0)
}

#[test]
fn everything_is_read_back_as_it_was_stored() {
    let bench = Bench::new();
    let full = Draft {
        name: "Größe \0 x".into(),
        kind: Some("Phishing".into()),
        occurred: Some("2020-01-01T00:00:00Z".into()),
        ..draft("{\"n\":1e400, \"s\":\"\\u0000\"}")
    };
    let receipt = store_one(&mut bench.open(), write(vec![full.clone(), draft("{}")]));

    assert_eq!(receipt.created, Timestamp(NOON));
    let all = bench.all();
    assert_eq!(all.iter().map(|incident| incident.id).collect::<Vec<_>>(), stored(&receipt));
    let first = &all[0];
    assert_eq!((&*first.name, first.kind.as_deref(), &*first.occurred), (&*full.name, full.kind.as_deref(), "2020-01-01T00:00:00Z"));
    assert_eq!((&first.raw[..], &*first.headers, &*first.instance), (&full.raw[..], r#"{"host":"h"}"#, "a"));
    assert_eq!((first.created, first.repeats), (Timestamp(NOON), None));
    assert_eq!(all[1].occurred, Timestamp(NOON).to_string(), "no moment of its own: when it came");
    assert_eq!(bench.reader().incident(first.id).unwrap().unwrap().raw, first.raw);
    let other = IncidentId::new(first.id.seq(), first.id.tail() ^ 1);
    assert!(bench.reader().incident(other).unwrap().is_none(), "the random part counts too");
}

#[test]
fn headers_are_stored_once_a_request() {
    let bench = Bench::new();
    let drafts = [keyed(1)].into_iter().chain((0..9_999).map(|_| draft("{}"))).collect();
    let mut database = bench.open();
    store_one(&mut database, write(vec![keyed(1)]));
    // The first event of this one is a duplicate, so the second one has the headers.
    store_one(&mut database, write(drafts));
    assert_eq!(bench.count("SELECT count(headers) FROM incident"), 2);
    let all = bench.all();
    assert_eq!(all.len(), 10_000);
    assert!(all.iter().all(|incident| incident.headers == r#"{"host":"h"}"#));
}

#[test]
fn large_values_are_streamed_and_come_back_whole() {
    let bench = Bench::new();
    let large = format!("{{\"x\":\"{}\"}}", "0123456789".repeat(1 << 18));
    store_one(&mut bench.open(), write(vec![draft("{}"), draft(&large), draft("{\"y\":1}")]));
    let raws: Vec<_> = bench.all().into_iter().map(|incident| incident.raw).collect();
    assert_eq!(raws, [b"{}".to_vec(), large.into_bytes(), b"{\"y\":1}".to_vec()]);
}

#[test]
fn ids_rise_while_the_clock_runs_back_and_time_filters_stay_exact() {
    let bench = Bench::new();
    let mut database = bench.open();
    let mut ids = Vec::new();
    for time in [NOON, NOON - DAY, NOON - DAY, NOON + 5] {
        bench.set_time(time);
        ids.extend(stored(&store_one(&mut database, write(vec![draft("{}")]))));
    }
    assert!(ids.windows(2).all(|pair| pair[0].seq() < pair[1].seq()));

    let found = |since: Option<i64>, until: Option<i64>| {
        let filter = Filter { since: since.map(Timestamp), until: until.map(Timestamp), order: Order::OldestFirst, ..Filter::default() };
        read_all(&bench.reader(), &filter).into_iter().map(|incident| incident.id).collect::<Vec<_>>()
    };
    assert_eq!(found(None, Some(NOON)), ids[1..3], "created is what counts, though their numbers are later");
    assert_eq!(found(Some(NOON), Some(NOON + 5)), ids[..1], "from inclusive, to exclusive");
    assert_eq!(found(Some(NOON), None), [ids[0], ids[3]]);
}

#[test]
fn numbers_go_on_after_a_restart() {
    let bench = Bench::new();
    let before = stored(&store_one(&mut bench.open(), write(vec![draft("{}")])))[0];
    bench.set_time(NOON - DAY);
    let after = stored(&store_one(&mut bench.open(), write(vec![draft("{}")])))[0];
    assert!(before.seq() < after.seq());
}

#[test]
fn duplicates_are_found_in_one_request_in_one_batch_and_later() {
    let bench = Bench::new();
    let mut database = bench.open();
    let receipts = store(&mut database, vec![write(vec![keyed(1), keyed(1), keyed(2)]), write(vec![keyed(2)])]).unwrap();
    let first = stored(&receipts[0]);
    let duplicate = |first| Outcome::Duplicate { first, created: Timestamp(NOON) };
    assert_eq!(receipts[0].outcomes, [Outcome::Stored(first[0]), duplicate(first[0]), Outcome::Stored(first[1])]);
    assert_eq!(receipts[1].outcomes, [duplicate(first[1])]);

    bench.set_time(NOON + DAY - 1);
    assert_eq!(store_one(&mut database, write(vec![keyed(1)])).outcomes, [duplicate(first[0])]);
    let repeats = bench.reader().incident(first[0]).unwrap().unwrap().repeats;
    assert_eq!(repeats, Some(Repeats { count: 2, last_seen: Timestamp(NOON + DAY - 1) }));

    let elsewhere = Write { instance: "b".into(), duplicates_of: "b".into(), ..write(vec![keyed(1)]) };
    assert_eq!(stored(&store_one(&mut database, elsewhere)).len(), 1, "keys belong to an instance");
}

#[test]
fn two_instances_may_share_what_they_remember() {
    let bench = Bench::new();
    let mut database = bench.open();
    let other = |drafts| Write { instance: "b".into(), ..write(drafts) };
    let first = stored(&store_one(&mut database, other(vec![keyed(1)])))[0];
    assert_eq!(store_one(&mut database, write(vec![keyed(1)])).outcomes, [Outcome::Duplicate { first, created: Timestamp(NOON) }]);
    let second = stored(&store_one(&mut database, write(vec![keyed(2)])))[0];
    assert_eq!(store_one(&mut database, other(vec![keyed(2)])).outcomes, [Outcome::Duplicate { first: second, created: Timestamp(NOON) }]);
    let instances: Vec<_> = bench.all().into_iter().map(|incident| incident.instance).collect();
    assert_eq!(instances, ["b", "a"]);
    assert_eq!(bench.reader().verify().unwrap().faults, [""; 0]);
}

#[test]
fn after_the_window_an_event_is_new_and_the_old_one_keeps_its_count() {
    let bench = Bench::new();
    let mut database = bench.open();
    let old = stored(&store_one(&mut database, write(vec![keyed(1), keyed(1)])))[0];
    bench.set_time(NOON + DAY);
    let new = stored(&store_one(&mut database, write(vec![keyed(1)])))[0];
    let again = store_one(&mut database, write(vec![keyed(1)]));
    assert_eq!(again.outcomes, [Outcome::Duplicate { first: new, created: Timestamp(NOON + DAY) }]);
    let count = |id| bench.reader().incident(id).unwrap().unwrap().repeats.map(|repeats| repeats.count);
    assert_eq!((count(old), count(new)), (Some(1), Some(1)));
}

#[test]
fn a_clock_that_was_ahead_makes_nothing_a_duplicate_for_years() {
    let bench = Bench::new();
    let mut database = bench.open();
    bench.set_time(NOON + 365 * DAY);
    store_one(&mut database, write(vec![keyed(1)]));
    bench.set_time(NOON);
    let new = stored(&store_one(&mut database, write(vec![keyed(1)])))[0];
    let again = store_one(&mut database, write(vec![keyed(1)]));
    assert_eq!(again.outcomes, [Outcome::Duplicate { first: new, created: Timestamp(NOON) }]);
    // A little is no reason: clocks are put right by seconds every day.
    bench.set_time(NOON - DAY + 1);
    assert_eq!(store_one(&mut database, write(vec![keyed(1)])).outcomes, again.outcomes);
}

#[test]
fn a_failed_batch_leaves_no_trace() {
    let bench = Bench::new();
    let mut database = bench.open();
    database.db.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1000).unwrap();
    let poison = draft(&format!("{{\"x\":\"{}\"}}", "x".repeat(1000)));
    let samples = |drafts| Write { keep_samples: true, ..write(drafts) };
    let failure = store(&mut database, vec![samples(vec![keyed(1)]), samples(vec![poison])]).unwrap_err();
    assert_eq!(failure.consequence, Consequence::OneRow);
    for table in ["incident", "instance", "duplicate", "sample", "repeat"] {
        assert_eq!(bench.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    let receipt = store_one(&mut database, samples(vec![keyed(1)]));
    assert_eq!(stored(&receipt).len(), 1, "the event of the failed batch does not count as its first");
    assert_eq!(bench.all()[0].instance, "a");
}

#[test]
fn samples_are_the_last_of_an_instance_in_order() {
    let mut bench = Bench::new();
    bench.samples = 3;
    let mut database = bench.open();
    let keep = |instance: &str, drafts| Write { keep_samples: true, instance: instance.into(), ..write(drafts) };
    store_one(&mut database, write(vec![draft("{\"off\":1}")]));
    assert_eq!(bench.count("SELECT count(*) FROM sample"), 0, "nothing is written when they are off");
    let a1 = stored(&store_one(&mut database, keep("a", vec![draft("{}"), draft("{}")])));
    let b = stored(&store_one(&mut database, keep("b", vec![keyed(1), keyed(1)])));
    let a2 = stored(&store_one(&mut database, keep("a", vec![draft("{}"), draft("{}")])));
    drop(database);

    let samples = |instance| bench.reader().samples(instance).unwrap().into_iter().map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(samples("a"), [a1[1], a2[0], a2[1]]);
    assert_eq!(samples("b"), b, "a duplicate is no second sample");
    assert_eq!(samples("c"), []);

    let many = stored(&store_one(&mut bench.open(), keep("a", vec![draft("{}"); 5])));
    assert_eq!(samples("a"), many[2..]);
}

#[test]
fn a_full_disk_refuses_and_heals_by_itself() {
    let bench = Bench::new();
    let mut database = bench.open();
    let id = stored(&store_one(&mut database, write(vec![draft(&"x".repeat(100_000))])))[0];
    let pages: i64 = database.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    database.db.pragma_update(None, "max_page_count", pages).unwrap();

    let large = || write(vec![draft(&"y".repeat(90_000))]);
    let failure = store(&mut database, vec![large()]).unwrap_err();
    assert_eq!((failure.error, failure.consequence), (WriteError::DiskFull, Consequence::TryAgain));
    assert_eq!(bench.all().len(), 1);
    bench.shell().execute("DELETE FROM incident WHERE seq = ?1", [id.seq().0]).unwrap();
    store_one(&mut database, large());
    assert_eq!(bench.all().len(), 1);
}

#[test]
fn changed_bits_are_noticed() {
    let bench = Bench::new();
    let receipt = store_one(&mut bench.open(), write(vec![draft("{\"a\":1}"), draft("{\"b\":1}")]));
    let (head, member) = (stored(&receipt)[0], stored(&receipt)[1]);
    let undo = |column: &str, change: &str, id: IncidentId| {
        let shell = bench.shell();
        let seq = id.seq().0;
        shell.execute_batch(&format!("CREATE TABLE old AS SELECT {column} AS x FROM incident WHERE seq = {seq}")).unwrap();
        shell.execute(&format!("UPDATE incident SET {column} = {change} WHERE seq = {seq}"), ()).unwrap();
        let results = [bench.reader().incident(head), bench.reader().incident(member)];
        shell.execute(&format!("UPDATE incident SET {column} = (SELECT x FROM old) WHERE seq = {seq}"), ()).unwrap();
        shell.execute_batch("DROP TABLE old").unwrap();
        results.map(|result| matches!(result, Err(ReadError::Damaged { .. })))
    };
    assert_eq!(undo("raw", "CAST('{\"a\":2}' AS BLOB)", head), [true, false]);
    assert_eq!(undo("name", "'m'", member), [false, true]);
    assert_eq!(undo("created", "created + 1", member), [false, true]);
    assert_eq!(undo("occurred", "'x'", head), [true, false]);
    assert_eq!(undo("request", "NULL", member), [false, true], "its headers are gone");
    assert_eq!(undo("headers", "'{\"host\":\"i\"}'", head), [true, true], "both share them");
    assert_eq!(undo("checksum", "checksum + 1", head), [true, false]);
    assert_eq!(bench.all().len(), 2, "all of it was put back");
    bench.shell().execute("UPDATE incident SET raw = CAST('{}' AS BLOB) WHERE seq = ?1", [head.seq().0]).unwrap();
    let message = bench.reader().page(&Filter::default()).unwrap_err().to_string();
    assert!(message.contains(&head.to_string()), "{message}");
}

#[test]
fn the_view_for_people_shows_ids_as_the_program_does() {
    let bench = Bench::new();
    let receipt = store_one(&mut bench.open(), write(vec![keyed(1), keyed(1), draft("{\"b\":2}")]));
    let shell = bench.shell();
    let mut statement = shell.prepare("SELECT id, instance, created, raw, headers, repeats FROM incidents ORDER BY seq").unwrap();
    let rows: Vec<(String, String, String, String, String, i64)> = statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let headers = r#"{"host":"h"}"#;
    let created = Timestamp(NOON).to_string();
    let row =
        |id: IncidentId, raw: &str, repeats| (id.to_string(), "a".to_owned(), created.clone(), raw.to_owned(), headers.to_owned(), repeats);
    let ids = stored(&receipt);
    assert_eq!(rows, [row(ids[0], "{\"key\":1}", 1), row(ids[1], "{\"b\":2}", 0)]);
}

#[test]
fn nothing_expires_without_a_retention() {
    let bench = Bench::new();
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft("{}")]));
    bench.set_time(NOON + 10_000 * DAY);
    assert_eq!(database.expire_incidents().unwrap().deleted, 0);
    let mut bench = Bench::new();
    bench.retention = Some(Duration::MAX);
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft("{}")]));
    assert_eq!(database.expire_incidents().unwrap().deleted, 0, "a retention beyond all time is for ever");
}

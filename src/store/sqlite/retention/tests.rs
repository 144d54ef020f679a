//! What goes, when, and in which steps.

use std::sync::Arc;

use super::*;
use crate::incident::IncidentId;
use crate::store::Write;
use crate::store::sqlite::Prepared;
use crate::store::testing::{Bench, DAY, NOON, draft, keyed, stored, with_fields, write};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.retention = Some(Duration::from_millis(DAY as u64));
    bench
}

fn store(database: &mut Database, write: Write) -> Vec<IncidentId> {
    stored(&database.store([&Prepared::new(Arc::new(write))].into_iter()).unwrap()[0])
}

/// All steps of one walk; what is left after each of them must be readable.
fn expire(bench: &Bench, database: &mut Database) -> (u64, usize) {
    let (mut deleted, mut steps) = (0, 0);
    loop {
        let progress = database.expire_incidents().unwrap();
        deleted += progress.deleted;
        steps += 1;
        bench.all();
        if !progress.more {
            return (deleted, steps);
        }
    }
}

#[test]
fn what_is_older_than_the_retention_goes_with_all_that_refers_to_it() {
    let bench = bench();
    let mut database = bench.open();
    let samples = |drafts| Write { keep_samples: true, ..write(drafts) };
    store(&mut database, samples(vec![keyed(1), keyed(1), with_fields(&[("a", "1"), ("b", "2")])]));
    bench.set_time(NOON + 1);
    let kept = store(&mut database, samples(vec![with_fields(&[("a", "1")])]));

    bench.set_time(NOON + DAY);
    assert_eq!(expire(&bench, &mut database).0, 0, "exactly as old as the retention is kept");
    bench.set_time(NOON + DAY + 1);
    assert_eq!(expire(&bench, &mut database), (2, 1));
    assert_eq!(bench.all().iter().map(|incident| incident.id).collect::<Vec<_>>(), kept);
    assert_eq!(bench.count("SELECT count(*) FROM sample"), 1);
    assert_eq!(bench.count("SELECT count(*) FROM repeat"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM field"), 1);
}

#[test]
fn a_repeat_of_an_incident_that_expired_is_still_a_duplicate() {
    let bench = bench();
    let mut database = bench.open();
    let long = |drafts| Write { duplication_window: Duration::from_millis(3 * DAY as u64), ..write(drafts) };
    store(&mut database, long(vec![keyed(1)]));
    bench.set_time(NOON + 2 * DAY);
    assert_eq!(expire(&bench, &mut database).0, 1);
    assert_eq!(store(&mut database, long(vec![keyed(1)])), []);
    assert_eq!(bench.count("SELECT count(*) FROM repeat"), 0, "there is nothing to count it on");
}

#[test]
fn steps_are_small_and_never_take_the_headers_before_the_rest() {
    let bench = bench();
    let mut database = bench.open();
    // Small ones before and after one that is larger than a step.
    for rows in [1, 150, 150, 3 * STEP_ROWS + 1, 2] {
        store(&mut database, write(vec![draft("{}"); rows]));
    }
    bench.set_time(NOON + 2 * DAY);
    store(&mut database, write(vec![draft("{}")]));
    let total = 1 + 150 + 150 + 3 * STEP_ROWS + 1 + 2;
    let (deleted, steps) = expire(&bench, &mut database);
    assert_eq!((deleted, bench.all().len()), (total as u64, 1));
    assert!(steps >= total / STEP_ROWS, "{steps}");
}

#[test]
fn what_goes_with_one_statement_is_whole_requests_and_not_too_much() {
    let row = |number: i64, head: i64, age: i64, bytes: i64| Light {
        seq: Seq(number),
        head: Seq(head),
        instance: 1,
        created: Timestamp(-age),
        bytes,
    };
    let ones = |count: i64, bytes: i64| (0..count).map(|number| row(number, number, 1, bytes)).collect::<Vec<_>>();
    let first = |rows: &[Light]| run_length(rows, Timestamp(0));
    assert_eq!((first(&ones(99, 1)), first(&ones(250, 1))), (99, RUN_ROWS));
    assert_eq!((first(&ones(99, RUN_BYTES / 2)), first(&ones(99, 2 * RUN_BYTES))), (2, 1));
    let request: Vec<_> = (0..150).map(|number| row(number, 0, 1, 1)).collect();
    assert_eq!(first(&request), 150, "a request is whole");
    assert_eq!(first(&[&ones(1, 1), &request[1..]].concat()), 150);
    let mut mixed = ones(9, 1);
    mixed[4].created = Timestamp(1);
    assert_eq!([first(&mixed), first(&mixed[4..]), first(&mixed[5..])], [4, 1, 4], "what stays is passed by");
}

#[test]
fn rows_from_a_time_when_the_clock_ran_ahead_do_not_keep_the_others() {
    let bench = bench();
    let mut database = bench.open();
    bench.set_time(NOON + 1000 * DAY);
    let ahead = [store(&mut database, write(vec![draft("{}")])), store(&mut database, write(vec![draft("{}"); 2 * STEP_ROWS]))];
    bench.set_time(NOON);
    store(&mut database, write(vec![draft("{}"); 2]));
    bench.set_time(NOON + 2 * DAY);
    assert_eq!(expire(&bench, &mut database).0, 2);
    assert_eq!(bench.all().len(), ahead.concat().len());
}

#[test]
fn numbers_are_not_used_again_when_all_rows_are_gone() {
    let bench = bench();
    bench.set_time(NOON + 10 * DAY);
    let mut database = bench.open();
    let last = store(&mut database, write(vec![draft("{}")]))[0];
    bench.set_time(NOON + 20 * DAY);
    assert_eq!(expire(&bench, &mut database).0, 1);
    drop(database);
    bench.set_time(NOON);
    assert!(store(&mut bench.open(), write(vec![draft("{}")]))[0].seq() > last.seq());
}

#[test]
fn keys_go_when_their_window_ended() {
    let bench = bench();
    let mut database = bench.open();
    let key = |n: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&n.to_be_bytes());
        crate::incident::Draft { key: Some(key), ..draft("{}") }
    };
    let count = 2 * STEP_KEYS as u64 + 1;
    store(&mut database, write((0..count).map(key).collect()));
    bench.set_time(NOON + DAY - 1);
    store(&mut database, write(vec![key(count)]));
    bench.set_time(NOON + DAY);
    let steps: Vec<_> = (0..3).map(|_| database.expire_keys().unwrap()).collect();
    assert_eq!(steps.iter().map(|step| step.deleted).sum::<u64>(), count);
    assert_eq!(steps.iter().map(|step| step.more).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(bench.count("SELECT count(*) FROM duplicate"), 1);
}

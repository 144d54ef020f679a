use super::*;
use crate::store::testing::{Bench, draft, write};

fn store(database: &mut Database, upkeep: &mut Upkeep, bytes: usize) {
    let prepared = crate::store::sqlite::Prepared::new(Arc::new(write(vec![draft(&"x".repeat(bytes))])));
    database.store([&prepared].into_iter()).unwrap();
    upkeep.committed(1);
}

#[test]
fn the_ballast_is_not_made_again_at_once() {
    let bench = Bench::new();
    let mut database = bench.open();
    let mut upkeep = Upkeep::new(Arc::default(), Instant::now());
    let ballast = bench.folder().join("x.db.ballast");
    assert!(upkeep.has_room(&mut database, 1) && ballast.exists(), "the disk that tests run on has some room");
    for _ in 0..3 {
        upkeep.disk_is_full(&mut database);
        assert!(upkeep.has_room(&mut database, 1) && !ballast.exists());
        store(&mut database, &mut upkeep, 10);
    }
    // A second later.
    upkeep.surveyed = Some(Instant::now() - SURVEY_EVERY);
    assert!(upkeep.has_room(&mut database, 1) && ballast.exists());
}

#[test]
fn the_disk_is_asked_again_only_when_the_estimate_says_no() {
    let bench = Bench::new();
    let mut database = bench.open();
    let mut upkeep = Upkeep::new(Arc::default(), Instant::now());
    assert!(upkeep.has_room(&mut database, 1));
    let looked = upkeep.surveyed;
    for _ in 0..3 {
        store(&mut database, &mut upkeep, 100_000);
        assert!(upkeep.has_room(&mut database, 1));
        upkeep.step(&mut database, false).unwrap();
    }
    assert_eq!(upkeep.surveyed, looked);
    assert!(!upkeep.has_room(&mut database, u64::MAX));
    let again = upkeep.surveyed;
    assert_ne!(again, looked, "it was an estimate");
    assert!(!upkeep.has_room(&mut database, u64::MAX) && upkeep.surveyed == again, "now it is known");
}

#[test]
fn at_least_as_many_go_as_come_and_never_many_at_once() {
    let mut bench = Bench::new();
    bench.retention = Some(Duration::from_secs(1));
    let mut database = bench.open();
    let mut upkeep = Upkeep::new(Arc::default(), Instant::now());
    upkeep.keys_due += KEYS_EVERY;
    let array = |count| crate::store::sqlite::Prepared::new(Arc::new(write(vec![draft("{}"); count])));
    let come = |database: &mut Database, upkeep: &mut Upkeep, requests: usize, count| {
        let requests: Vec<_> = (0..requests).map(|_| array(count)).collect();
        database.store(requests.iter()).unwrap();
        upkeep.committed(requests.len() * count);
    };
    let left = || bench.count("SELECT count(*) FROM incident");
    come(&mut database, &mut upkeep, 100, 100);
    bench.set_time(crate::store::testing::NOON + 2000);
    upkeep.step(&mut database, true).unwrap();
    let after_first = left();
    assert!((9_000..10_000).contains(&after_first), "what came before the walk began is no hurry: {after_first}");
    come(&mut database, &mut upkeep, 30, 100);
    upkeep.incidents_due = Instant::now();
    upkeep.step(&mut database, true).unwrap();
    assert!(left() <= after_first, "{}", left());
    upkeep.incidents_due = Instant::now();
    upkeep.step(&mut database, true).unwrap();
    assert!(left() > after_first - 3_000, "nothing came since: one step is enough");
}

/// How many incidents a store has that was killed now.
fn after_a_crash(bench: &Bench) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.db", "x.db-wal"] {
        std::fs::copy(bench.folder().join(name), folder.path().join(name)).unwrap();
    }
    let database = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
    let answer: String = database.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
    database.query_row("SELECT count(*) FROM incident", (), |row| row.get(0)).unwrap()
}

#[test]
fn a_long_log_is_cut_piece_by_piece_once_it_is_not_in_use() {
    let bench = Bench::new();
    let mut database = bench.open();
    let mut upkeep = Upkeep::new(Arc::default(), Instant::now());
    store(&mut database, &mut upkeep, 10);
    let reader = bench.shell();
    let snapshot = reader.unchecked_transaction().unwrap();
    let count = |db: &rusqlite::Connection| db.query_row("SELECT count(*) FROM incident", (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(&snapshot), 1);
    (0..17).for_each(|_| store(&mut database, &mut upkeep, 4 << 20));
    let log = || std::fs::metadata(bench.folder().join("x.db-wal")).unwrap().len();
    let mut step_later = |database: &mut Database| {
        upkeep.surveyed = None;
        upkeep.step(database, true).unwrap();
        store(database, &mut upkeep, 10);
    };
    step_later(&mut database);
    step_later(&mut database);
    let long = log();
    assert!(long > 68 << 20, "somebody reads from it: {long}");
    drop(snapshot);
    // Copied, then begun anew; what has more to go is due again after a pause.
    step_later(&mut database);
    step_later(&mut database);
    assert_eq!(log(), long - (1 << 20));
    upkeep.surveyed = Some(Instant::now());
    let mut last = log();
    while upkeep.cut_due.is_some() {
        upkeep.cut_due = Some(Instant::now());
        upkeep.step(&mut database, false).unwrap();
        assert!(last - log() <= 1 << 20);
        last = log();
        assert_eq!(after_a_crash(&bench), count(&bench.shell()));
        store(&mut database, &mut upkeep, 10);
    }
    assert_eq!(last, 64 << 20, "what is worth keeping");
    assert_eq!(count(&bench.shell()), bench.all().len() as i64);
}

#[test]
fn refusals_hurry_the_retention_and_do_not_put_it_off() {
    let bench = Bench::new();
    let mut database = bench.open();
    let mut upkeep = Upkeep::new(Arc::default(), Instant::now());
    upkeep.step(&mut database, false).unwrap();
    assert!(upkeep.incidents_due > Instant::now() + INCIDENTS_EVERY / 2);
    assert!(!upkeep.has_room(&mut database, u64::MAX));
    let due = upkeep.incidents_due;
    assert!(due <= Instant::now() + SURVEY_EVERY);
    assert!(!upkeep.has_room(&mut database, u64::MAX));
    assert_eq!(upkeep.incidents_due, due);
}

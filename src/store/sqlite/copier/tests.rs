use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::incident::Draft;
use crate::store::Write;
use crate::store::sqlite::{Database, Prepared, connection, schema, verify};
use crate::store::testing::{Bench, DAY, NOON, draft, keyed, with_fields, write};

fn store(database: &mut Database, write: Write) {
    database.store([&Prepared::new(Arc::new(write))].into_iter()).unwrap();
}

fn copy_of(from: &Connection, after_flush: impl Fn()) -> Connection {
    let mut copy = Connection::open_in_memory().unwrap();
    schema::migrate(&mut copy, 0).unwrap();
    let flush = || {
        after_flush();
        Ok(())
    };
    Copier::begin(from, &copy, flush).unwrap().run().unwrap();
    assert!(verify::verify(&copy).unwrap().is_clean());
    copy
}

/// All rows of all tables, as text.
fn dump(db: &Connection) -> Vec<String> {
    let tables = ["instance", "incident", "field", "repeat", "duplicate", "sample", "meta"];
    let rows = |table: &&str| {
        let rows = rows_of(db, &format!("SELECT * FROM {table}"), (), usize::MAX).unwrap();
        rows.into_iter().map(|row| format!("{table} {row:?}")).collect::<Vec<_>>()
    };
    tables.iter().flat_map(rows).collect()
}

#[test]
fn every_table_is_copied_whole() {
    let bench = Bench::new();
    let mut database = bench.open();
    let field = with_fields(&[("a", "b"), ("c", "d")]);
    let large = draft(&"x".repeat(2 * STEP_BYTES));
    for number in 0..200 {
        let drafts = vec![Draft { key: Some([number; 16]), ..field.clone() }, draft("{}"), keyed(number / 2), large.clone()];
        let drafts = drafts.into_iter().take(if number % 50 == 0 { 4 } else { 3 }).collect();
        let instance = if number % 2 == 0 { "a" } else { "b" };
        store(&mut database, Write { instance: instance.into(), keep_samples: true, ..write(drafts) });
    }
    let from = connection::open_reader(&bench.path()).unwrap();
    let flushes = Cell::new(0);
    let copy = copy_of(&from, || flushes.set(flushes.get() + 1));
    assert_eq!(dump(&copy), dump(&from));
    assert!(bench.count("SELECT count(*) FROM repeat") > 0 && flushes.get() > 1);
    let columns = |db: &Connection| db.query_row("SELECT group_concat(sql) FROM sqlite_schema", (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(columns(&copy), columns(&from));
    let tables = bench.count("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    assert_eq!(tables, 7, "a new table must be copied, too");
}

#[test]
fn it_is_of_one_moment_and_holds_no_snapshot_for_long() {
    let mut bench = Bench::new();
    bench.retention = Some(Duration::from_millis(DAY as u64));
    let mut database = bench.open();
    let large = || vec![draft(&"x".repeat(FLUSH_BYTES))];
    store(&mut database, Write { keep_samples: true, ..write(vec![keyed(1), keyed(2)]) });
    bench.set_time(NOON + 2 * DAY);
    (0..4).for_each(|_| store(&mut database, Write { keep_samples: true, ..write(large()) }));
    store(&mut database, write(vec![keyed(2), keyed(3)]));
    let from = connection::open_reader(&bench.path()).unwrap();
    let (database, steps) = (RefCell::new(database), Cell::new(0));
    let copy = copy_of(&from, || {
        let mut database = database.borrow_mut();
        steps.set(steps.get() + 1);
        assert!(steps.get() < 20, "it has an end");
        database.expire_incidents().unwrap();
        store(&mut database, Write { instance: "later".into(), keep_samples: true, ..write(vec![keyed(4), keyed(1), draft("{}")]) });
        // Nobody has a snapshot, so all of the log can be copied, and the next one begins it anew.
        let (frames, copied) = database.wal(crate::store::sqlite::COPY).unwrap().unwrap();
        assert_eq!(frames, copied);
    });
    assert!(steps.get() >= 4, "{steps:?}");
    let count = |sql: &str| copy.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM incident"), 8, "what expired was copied before");
    assert_eq!(count("SELECT count(*) FROM duplicate"), 2, "of what came later nothing, the key that it replaced included");
    assert_eq!(count("SELECT count(*) FROM instance"), 1);
    assert!(from.is_autocommit());
}

#[test]
fn samples_that_expired_before_they_were_copied_are_left_out() {
    let mut bench = Bench::new();
    bench.retention = Some(Duration::from_millis(DAY as u64));
    let mut database = bench.open();
    store(&mut database, Write { keep_samples: true, ..write(vec![draft("{}"), draft("{}")]) });
    bench.set_time(NOON + 2 * DAY);
    store(&mut database, Write { keep_samples: true, ..write(vec![draft("{}")]) });
    let from = connection::open_reader(&bench.path()).unwrap();
    let mut copy = Connection::open_in_memory().unwrap();
    schema::migrate(&mut copy, 0).unwrap();
    let copier = Copier::begin(&from, &copy, || Ok(())).unwrap();
    assert_eq!(database.expire_incidents().unwrap().deleted, 2);
    copier.run().unwrap();
    assert_eq!(copy.query_row("SELECT count(*) FROM sample", (), |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert!(verify::verify(&copy).unwrap().is_clean());
}

#[test]
fn an_empty_store_is_copied() {
    let bench = Bench::new();
    let _database = bench.open();
    let from = connection::open_reader(&bench.path()).unwrap();
    assert_eq!(dump(&copy_of(&from, || {})), dump(&from));
}

#[test]
fn a_damaged_row_is_copied_as_it_is() {
    let bench = Bench::new();
    let mut database = bench.open();
    store(&mut database, write(vec![draft("{}"), draft("{}"), draft("{}")]));
    bench.shell().execute("UPDATE incident SET name = CAST(x'ff' AS TEXT) WHERE seq = (SELECT min(seq) FROM incident)", ()).unwrap();
    let from = connection::open_reader(&bench.path()).unwrap();
    let mut copy = Connection::open_in_memory().unwrap();
    schema::migrate(&mut copy, 0).unwrap();
    Copier::begin(&from, &copy, || Ok(())).unwrap().run().unwrap();
    assert_eq!(dump(&copy), dump(&from));
    let found = verify::verify(&copy).unwrap();
    assert_eq!((found.whole, found.damaged), (2, 1));
}

/// As when the number of a row rots: SQLite passes by it, and by others maybe, without an error.
#[test]
fn a_store_that_hides_incidents_is_found_out() {
    for hidden in ["min(seq)", "max(seq)"] {
        let bench = Bench::new();
        let mut database = bench.open();
        store(&mut database, write(vec![draft("{}"), draft("{}"), draft("{}")]));
        drop(database);
        let index = "name = 'incident_by_instance'";
        let by_hand = |sql: &str| {
            let shell = bench.shell();
            shell.pragma_update(None, "writable_schema", true).unwrap();
            shell.execute_batch(sql).unwrap();
        };
        by_hand(&format!("CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE {index}; DELETE FROM sqlite_schema WHERE {index}"));
        by_hand(&format!("DELETE FROM incident WHERE seq = (SELECT {hidden} FROM incident)"));
        by_hand("INSERT INTO sqlite_schema SELECT * FROM kept");
        by_hand("DROP TABLE kept");
        let from = connection::open_reader(&bench.path()).unwrap();
        let mut copy = Connection::open_in_memory().unwrap();
        schema::migrate(&mut copy, 0).unwrap();
        let copied = Copier::begin(&from, &copy, || Ok(())).and_then(Copier::run);
        assert!(matches!(copied, Err(CopyError::Contradiction(_))), "{hidden}: {copied:?}");
        let to = bench.folder().join("copy.db");
        let error = bench.reader().backup(&to).unwrap_err();
        assert!(error.to_string().contains("do not have the same"), "{error}");
        assert!(!to.exists());
    }
}

#[test]
fn a_rotten_key_hides_no_others() {
    let bench = Bench::new();
    let mut database = bench.open();
    store(&mut database, write((1..=250).map(keyed).collect()));
    database.close().unwrap();
    let mut bytes = std::fs::read(bench.path()).unwrap();
    // The last one of the first step.
    let rotten = [STEP_ROWS as u8; 16];
    let at = bytes.windows(16).position(|window| window == rotten).unwrap();
    bytes[at] = 255;
    std::fs::write(bench.path(), bytes).unwrap();
    let error = bench.reader().backup(&bench.folder().join("copy.db")).unwrap_err();
    assert!(error.to_string().contains("the rows of table duplicate are not in order"), "{error}");
}

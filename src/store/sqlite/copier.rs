//! The rows of a store, copied while the gateway goes on.

use rusqlite::types::Value;
use rusqlite::{Connection, Params, params_from_iter};

use crate::incident::Seq;
use crate::store::error::ReadError;

/// Rows read in one snapshot: some 0.2 ms when they are small.
const STEP_ROWS: usize = 100;
/// Bytes of them: with a few large ones it is enough.
const STEP_BYTES: usize = 256 << 10;
/// Bytes written before they are forced to the disk: had a whole copy to be written at its end, the gateway's commits would wait
/// behind it.
const FLUSH_BYTES: usize = 1 << 20;
/// Before every row.
const START: Seq = Seq(-1);

const INCIDENT: &str = "seq, tail, checksum, instance, created, request, type, occurred, name, headers, raw";
const FIELD: &str = "seq, name, value";
const DUPLICATE: &str = "instance, key, seq, tail, created, expires";

type Row = Vec<Value>;

/// Copies row by row what was there when it began, in many short snapshots.
///
/// One snapshot for all of it would be simpler, and SQLite could copy whole pages; but as long as it is open nothing of the
/// write-ahead log is used again, which a busy gateway then grows by 100 MB a second. Incidents come in only at the end and are
/// never changed, so the newest one at the beginning says where to stop. What expires meanwhile may be missing in the copy.
pub(super) struct Copier<'c, F> {
    from: &'c Connection,
    copy: &'c Connection,
    flush: F,
    newest: Seq,
    /// Written since the last flush.
    bytes: usize,
}

impl<'c, F: Fn() -> Result<(), ReadError>> Copier<'c, F> {
    /// Fixes the moment, and copies what is small and changes with every event.
    pub(super) fn begin(from: &'c Connection, copy: &'c Connection, flush: F) -> Result<Self, ReadError> {
        let snapshot = from.unchecked_transaction()?;
        let newest = snapshot.query_row("SELECT coalesce(max(seq), -1) FROM incident", (), |row| row.get(0).map(Seq))?;
        let mut copier = Self { from, copy, flush, newest, bytes: 0 };
        for (table, columns) in [("instance", "id, name"), ("meta", "name, value"), ("sample", "instance, seq")] {
            let rows = rows_of(&snapshot, &format!("SELECT {columns} FROM {table}"), (), usize::MAX)?;
            copier.insert(table, columns, rows)?;
        }
        Ok(copier)
    }

    pub(super) fn run(mut self) -> Result<(), ReadError> {
        self.incidents()?;
        self.duplicates()?;
        self.by_seq("repeat", "seq, count, last_seen")?;
        // Of one that had expired when its turn came.
        self.copy.execute("DELETE FROM sample WHERE seq NOT IN (SELECT seq FROM incident)", ())?;
        (self.flush)()
    }

    /// With their fields, of the same snapshot.
    fn incidents(&mut self) -> Result<(), ReadError> {
        let select = format!("SELECT {INCIDENT} FROM incident WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT {STEP_ROWS}");
        let select_fields = format!("SELECT {FIELD} FROM field WHERE seq > ?1 AND seq <= ?2 ORDER BY seq, name");
        let mut after = START;
        loop {
            let snapshot = self.from.unchecked_transaction()?;
            let rows = rows_of(&snapshot, &select, (after.0, self.newest.0), STEP_BYTES)?;
            let Some(last) = seq_of_last(&rows) else { return Ok(()) };
            let fields = rows_of(&snapshot, &select_fields, (after.0, last.0), usize::MAX)?;
            drop(snapshot);
            self.insert("incident", INCIDENT, rows)?;
            self.insert("field", FIELD, fields)?;
            after = last;
        }
    }

    /// A table whose first column is the number of an incident.
    fn by_seq(&mut self, table: &str, columns: &str) -> Result<(), ReadError> {
        let select = format!("SELECT {columns} FROM {table} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT {STEP_ROWS}");
        let mut after = START;
        loop {
            let rows = rows_of(self.from, &select, (after.0, self.newest.0), STEP_BYTES)?;
            let Some(last) = seq_of_last(&rows) else { return Ok(()) };
            self.insert(table, columns, rows)?;
            after = last;
        }
    }

    fn duplicates(&mut self) -> Result<(), ReadError> {
        let select = format!("SELECT {DUPLICATE} FROM duplicate WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT {STEP_ROWS}");
        let mut after = (Value::Integer(i64::MIN), Value::Blob(Vec::new()));
        loop {
            let mut rows = rows_of(self.from, &select, (&after.0, &after.1), STEP_BYTES)?;
            match rows.last().map(Vec::as_slice) {
                Some([instance, key, ..]) => after = (instance.clone(), key.clone()),
                _ => return Ok(()),
            }
            // Of an event that came later. Left to SQLite, many of these in a row would make one long snapshot.
            rows.retain(|row| matches!(row[..], [_, _, Value::Integer(seq), ..] if seq <= self.newest.0));
            self.insert("duplicate", DUPLICATE, rows)?;
        }
    }

    fn insert(&mut self, table: &str, columns: &str, rows: Vec<Row>) -> Result<(), ReadError> {
        let Some(width) = rows.first().map(Vec::len) else { return Ok(()) };
        let values = vec!["?"; width].join(", ");
        let transaction = self.copy.unchecked_transaction()?;
        let mut insert = transaction.prepare_cached(&format!("INSERT INTO {table} ({columns}) VALUES ({values})"))?;
        for row in &rows {
            self.bytes += bytes_of(row);
            insert.execute(params_from_iter(row))?;
        }
        drop(insert);
        transaction.commit()?;
        if self.bytes >= FLUSH_BYTES {
            self.bytes = 0;
            (self.flush)()?;
        }
        Ok(())
    }
}

/// Reads rows, no more of them than have about so many bytes.
fn rows_of(db: &Connection, select: &str, params: impl Params, most: usize) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare_cached(select)?;
    let width = statement.column_count();
    let mut found = statement.query(params)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = (0..width).map(|column| row.get(column)).collect::<rusqlite::Result<Row>>()?;
        bytes += bytes_of(&row);
        rows.push(row);
        if bytes >= most {
            break;
        }
    }
    Ok(rows)
}

fn bytes_of(row: &Row) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(blob) => blob.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => size_of::<i64>(),
    };
    row.iter().map(bytes).sum()
}

/// The first column of the last row.
fn seq_of_last(rows: &[Row]) -> Option<Seq> {
    match rows.last()?[..] {
        [Value::Integer(seq), ..] => Some(Seq(seq)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
        let columns =
            |db: &Connection| db.query_row("SELECT group_concat(sql) FROM sqlite_schema", (), |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(columns(&copy), columns(&from));
        let tables = bench.count("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
        assert_eq!(tables, 7, "a new table must be copied, too");
    }

    #[test]
    fn it_is_of_one_moment_and_holds_no_snapshot_for_long() {
        let mut bench = Bench::new();
        bench.retention = Some(Duration::from_millis(DAY as u64));
        let mut database = bench.open();
        let large = || keyed(0).key.map(|_| draft(&"x".repeat(FLUSH_BYTES))).into_iter().collect();
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
}

//! The rows of a store, copied while the gateway goes on.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, ToSql, Transaction, params_from_iter};

use crate::incident::Seq;
use crate::store::error::ReadError;

/// Rows read in one snapshot: some 0.2 ms when they are small.
const STEP_ROWS: usize = 100;
/// Bytes of them: with a few large ones it is enough.
const STEP_BYTES: usize = 256 << 10;
/// Entries of an index that are compared in one snapshot: some 1 ms.
const STEP_ENTRIES: usize = 5000;
/// Bytes of rows that are written and forced to the disk at a time: had a whole copy to be written at its end, the gateway's commits
/// would wait behind it.
const FLUSH_BYTES: usize = 1 << 20;
/// Before every row.
const START: Seq = Seq(-1);

const INCIDENT: &str = "seq, tail, checksum, instance, created, request, type, occurred, name, headers, raw";
const FIELD: &str = "seq, name, value";
const REPEAT: &str = "seq, count, last_seen";
const DUPLICATE: &str = "instance, key, seq, tail, created, expires";

/// Copies row by row what was there when it began, in many short snapshots.
///
/// One snapshot for all of it would be simpler, and SQLite could copy whole pages; but as long as it is open nothing of the
/// write-ahead log is used again, which a busy gateway then grows by 100 MB a second. Incidents come in only at the end and are
/// never changed, so the newest one at the beginning says where to stop. What expires meanwhile may be missing in the copy.
///
/// A row is copied as it is, damaged or not: its checksum goes along. Numbers and keys that rot are another matter, as SQLite ends
/// a walk early there and says nothing: rows must rise, and in the end the copy must have every incident that an index has.
pub(super) struct Copier<'c, F> {
    from: &'c Connection,
    copy: &'c Connection,
    /// Open from one flush to the next, so that a page that many rows go to is written once.
    transaction: Option<Transaction<'c>>,
    flush: F,
    newest: Seq,
    /// Written since the last flush.
    bytes: usize,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("the table of incidents and its index do not have the same ones (seq {})", .0.0)]
    Contradiction(Seq),
    #[error("the rows of table {0} are not in order")]
    Disorder(&'static str),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.into())
    }
}

impl<'c, F: Fn() -> Result<(), ReadError>> Copier<'c, F> {
    /// Fixes the moment, and copies what is small and changes with every event.
    pub(super) fn begin(from: &'c Connection, copy: &'c Connection, flush: F) -> Result<Self, CopyError> {
        let snapshot = from.unchecked_transaction()?;
        let newest = snapshot.query_row("SELECT coalesce(max(seq), -1) FROM incident", (), |row| row.get(0).map(Seq))?;
        let newest_indexed = newest_indexed(&snapshot)?;
        // Either of them, rotten, would end the copy too early or never.
        if newest != newest_indexed {
            return Err(CopyError::Contradiction(newest.min(newest_indexed)));
        }
        let mut copier = Self { from, copy, transaction: None, flush, newest, bytes: 0 };
        for (table, columns) in [("instance", "id, name"), ("meta", "name, value"), ("sample", "instance, seq")] {
            let rows = rows_of(&snapshot, &format!("SELECT {columns} FROM {table}"), (), usize::MAX)?;
            copier.insert(table, columns, rows)?;
        }
        Ok(copier)
    }

    pub(super) fn run(mut self) -> Result<(), CopyError> {
        self.incidents()?;
        self.duplicates()?;
        self.repeats()?;
        self.flush()?;
        self.compare()?;
        // Of one that had expired when its turn came.
        self.copy.execute("DELETE FROM sample WHERE seq NOT IN (SELECT seq FROM incident)", ())?;
        Ok((self.flush)()?)
    }

    /// With their fields, of the same snapshot.
    fn incidents(&mut self) -> Result<(), CopyError> {
        let select = format!("SELECT {INCIDENT} FROM incident WHERE seq > ?1 ORDER BY seq LIMIT {STEP_ROWS}");
        let select_fields = format!("SELECT {FIELD} FROM field WHERE seq > ?1 AND seq <= ?2 ORDER BY seq, name");
        let mut after = START.0;
        loop {
            let snapshot = self.from.unchecked_transaction()?;
            let Step { mut rows, goes_on } = step(&snapshot, "incident", 1, &select, [after])?;
            rows.retain(|row| !self.is_later(&row[0]));
            let Some(&Cell::Integer(last)) = rows.last().map(|row| &row[0]) else { return Ok(()) };
            let fields = rows_of(&snapshot, &select_fields, (after, last), usize::MAX)?;
            drop(snapshot);
            self.insert("incident", INCIDENT, rows)?;
            self.insert("field", FIELD, fields)?;
            if !goes_on {
                return Ok(());
            }
            after = last;
        }
    }

    /// They change meanwhile, so they may tell of later duplicates, too.
    fn repeats(&mut self) -> Result<(), CopyError> {
        let select = format!("SELECT {REPEAT} FROM repeat WHERE seq > ?1 ORDER BY seq LIMIT {STEP_ROWS}");
        let mut after = Cell::Integer(START.0);
        loop {
            let Step { mut rows, goes_on } = step(self.from, "repeat", 1, &select, [&after])?;
            if let Some(last) = rows.last() {
                after = last[0].clone();
            }
            rows.retain(|row| !self.is_later(&row[0]));
            self.insert("repeat", REPEAT, rows)?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn duplicates(&mut self) -> Result<(), CopyError> {
        let select = format!("SELECT {DUPLICATE} FROM duplicate WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT {STEP_ROWS}");
        let mut after = (Cell::Integer(i64::MIN), Cell::Blob(Vec::new()));
        loop {
            let Step { mut rows, goes_on } = step(self.from, "duplicate", 2, &select, (&after.0, &after.1))?;
            if let Some(last) = rows.last() {
                after = (last[0].clone(), last[1].clone());
            }
            rows.retain(|row| !self.is_later(&row[2]));
            self.insert("duplicate", DUPLICATE, rows)?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Whether that is the number of an incident that came after the beginning. Left to SQLite, many of these in a row would make
    /// one long snapshot.
    fn is_later(&self, seq: &Cell) -> bool {
        matches!(seq, Cell::Integer(seq) if *seq > self.newest.0)
    }

    /// Whether the copy has every incident that the index has. One that is still there now was there all the time.
    fn compare(&self) -> Result<(), CopyError> {
        let select = format!(
            "SELECT seq FROM incident INDEXED BY incident_by_instance WHERE instance = ?1 AND seq > ?2 AND seq <= ?3
             ORDER BY seq LIMIT {STEP_ENTRIES}"
        );
        let mut entries = self.from.prepare_cached(&select)?;
        // Without it every question would lock the file anew, which takes ten times as long as the answer.
        let copy = self.copy.unchecked_transaction()?;
        let mut is_copied = copy.prepare_cached("SELECT 1 FROM incident WHERE seq = ?1")?;
        let mut instance = next_instance(self.from, i64::MIN)?;
        while let Some(id) = instance {
            let mut after = START.0;
            loop {
                let found = entries.query_map([id, after, self.newest.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
                let Some(last) = found.last() else { break };
                after = *last;
                for seq in found {
                    if !is_copied.exists([seq])? {
                        return Err(CopyError::Contradiction(Seq(seq)));
                    }
                }
            }
            instance = next_instance(self.from, id)?;
        }
        Ok(())
    }

    fn insert(&mut self, table: &str, columns: &str, rows: Vec<Row>) -> Result<(), CopyError> {
        let Some(width) = rows.first().map(Vec::len) else { return Ok(()) };
        if self.transaction.is_none() {
            self.transaction = Some(self.copy.unchecked_transaction()?);
        }
        let values = vec!["?"; width].join(", ");
        let mut insert = self.copy.prepare_cached(&format!("INSERT INTO {table} ({columns}) VALUES ({values})"))?;
        for row in &rows {
            self.bytes += bytes_of(row);
            insert.execute(params_from_iter(row))?;
        }
        if self.bytes >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CopyError> {
        if let Some(transaction) = self.transaction.take() {
            transaction.commit()?;
        }
        self.bytes = 0;
        Ok((self.flush)()?)
    }
}

type Row = Vec<Cell>;

/// A value as it is in the store, be it valid or not; in the order that SQLite has.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.into()),
            ValueRef::Blob(blob) => Self::Blob(blob.into()),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

/// Some rows of a walk.
struct Step {
    rows: Vec<Row>,
    /// There are more.
    goes_on: bool,
}

/// Reads the next rows of a table, which its first `keys` columns put in order. Each one's successor was looked at, too: a rotten key
/// is not what the next step begins with.
fn step(db: &Connection, table: &'static str, keys: usize, select: &str, params: impl Params) -> Result<Step, CopyError> {
    let mut rows = rows_of(db, select, params, STEP_BYTES)?;
    if !rows.is_sorted_by(|a, b| a[..keys] < b[..keys]) {
        return Err(CopyError::Disorder(table));
    }
    // A lone one was the last.
    let goes_on = rows.len() == STEP_ROWS || rows.len() > 1 && rows.iter().map(bytes_of).sum::<usize>() >= STEP_BYTES;
    if goes_on {
        rows.pop();
    }
    Ok(Step { rows, goes_on })
}

/// Reads rows: no more than have about so many bytes, and two in any case.
fn rows_of(db: &Connection, select: &str, params: impl Params, most: usize) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare_cached(select)?;
    let width = statement.column_count();
    let mut found = statement.query(params)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = (0..width).map(|column| row.get_ref(column).map(Cell::from)).collect::<rusqlite::Result<Row>>()?;
        bytes += bytes_of(&row);
        rows.push(row);
        if bytes >= most && rows.len() > 1 {
            break;
        }
    }
    Ok(rows)
}

/// The newest incident that the index by instance has.
fn newest_indexed(db: &Connection) -> rusqlite::Result<Seq> {
    let mut newest = START;
    let mut last = db.prepare_cached("SELECT max(seq) FROM incident INDEXED BY incident_by_instance WHERE instance = ?1")?;
    let mut instance = next_instance(db, i64::MIN)?;
    while let Some(id) = instance {
        newest = newest.max(last.query_row([id], |row| row.get(0).map(Seq))?);
        instance = next_instance(db, id)?;
    }
    Ok(newest)
}

/// The next instance that has incidents, as the index knows.
fn next_instance(db: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    let select = "SELECT instance FROM incident INDEXED BY incident_by_instance WHERE instance > ?1 ORDER BY instance LIMIT 1";
    db.prepare_cached(select)?.query_row([after], |row| row.get(0)).optional()
}

fn bytes_of(row: &Row) -> usize {
    let bytes = |cell: &Cell| match cell {
        Cell::Text(bytes) | Cell::Blob(bytes) => bytes.len(),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => size_of::<i64>(),
    };
    row.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests;

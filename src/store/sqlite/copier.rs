//! The rows of a store, copied while the gateway goes on.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, ToSql, Transaction, params, params_from_iter};

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
const DUPLICATE: &str = "instance, key, seq, tail, created, expires";

/// Copies row by row what was there when it began, in many short snapshots.
///
/// One snapshot for all of it would be simpler, and SQLite could copy whole pages; but as long as it is open nothing of the
/// write-ahead log is used again, which a busy gateway then grows by 100 MB a second. Incidents come in only at the end and are
/// never changed, so the newest one at the beginning says where to stop. What expires meanwhile may be missing in the copy.
///
/// A row is copied as it is, damaged or not: its checksum goes along. Incidents that a damaged structure hides are missed.
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

/// What the structure of the store contradicts.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// An index has it, the table has not.
    #[error("an index has an incident (seq {}) that the table does not have", .0.0)]
    Hidden(Seq),
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
        // Of a table whose last page is damaged, the index may know better.
        let newest = snapshot.query_row(
            "SELECT max((SELECT coalesce(max(seq), -1) FROM incident),
                        (SELECT coalesce(max((SELECT max(seq) FROM incident INDEXED BY incident_by_instance WHERE instance = n.id)), -1) FROM instance n))",
            (),
            |row| row.get(0).map(Seq),
        )?;
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

    /// They change meanwhile, so they may tell of later duplicates, too.
    fn repeats(&mut self) -> Result<(), CopyError> {
        let columns = "seq, count, last_seen";
        let select = format!("SELECT {columns} FROM repeat WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT {STEP_ROWS}");
        let mut after = START;
        loop {
            let rows = rows_of(self.from, &select, (after.0, self.newest.0), STEP_BYTES)?;
            let Some(last) = seq_of_last(&rows) else { return Ok(()) };
            self.insert("repeat", columns, rows)?;
            after = last;
        }
    }

    fn duplicates(&mut self) -> Result<(), CopyError> {
        let select = format!("SELECT {DUPLICATE} FROM duplicate WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT {STEP_ROWS}");
        let mut after = (Cell::Integer(i64::MIN), Cell::Blob(Vec::new()));
        loop {
            let mut rows = rows_of(self.from, &select, (&after.0, &after.1), STEP_BYTES)?;
            match rows.last().map(Vec::as_slice) {
                Some([instance, key, ..]) => after = (instance.clone(), key.clone()),
                _ => return Ok(()),
            }
            // Of an event that came later. Left to SQLite, many of these in a row would make one long snapshot.
            rows.retain(|row| !matches!(row[2], Cell::Integer(seq) if seq > self.newest.0));
            self.insert("duplicate", DUPLICATE, rows)?;
        }
    }

    /// Whether the copy has every incident that an index of the store has, so that none was passed by.
    fn compare(&self) -> Result<(), CopyError> {
        let select = format!(
            "SELECT seq FROM incident INDEXED BY incident_by_instance WHERE instance = ?1 AND seq > ?2 AND seq <= ?3
             ORDER BY seq LIMIT {STEP_ENTRIES}"
        );
        let mut entries = self.from.prepare_cached(&select)?;
        let mut is_there =
            self.from.prepare_cached("SELECT 1 FROM incident INDEXED BY incident_by_instance WHERE instance = ?1 AND seq = ?2")?;
        // Without it every question would lock the file anew, which takes ten times as long as the answer.
        let copy = self.copy.unchecked_transaction()?;
        let mut is_copied = copy.prepare_cached("SELECT 1 FROM incident WHERE seq = ?1")?;
        for row in rows_of(&copy, "SELECT id FROM instance", (), usize::MAX)? {
            let (instance, mut after) = (&row[0], START.0);
            loop {
                let params = params![instance, after, self.newest.0];
                let found = entries.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
                let Some(last) = found.last() else { break };
                after = *last;
                for seq in found {
                    // What is not there any more has expired.
                    if !is_copied.exists([seq])? && is_there.exists(params![instance, seq])? {
                        return Err(CopyError::Hidden(Seq(seq)));
                    }
                }
            }
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

/// A value as it is in the store, be it valid or not.
#[derive(Clone, Debug, PartialEq)]
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

/// Reads rows, no more of them than have about so many bytes.
fn rows_of(db: &Connection, select: &str, params: impl Params, most: usize) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare_cached(select)?;
    let width = statement.column_count();
    let mut found = statement.query(params)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = (0..width).map(|column| row.get_ref(column).map(Cell::from)).collect::<rusqlite::Result<Row>>()?;
        bytes += bytes_of(&row);
        rows.push(row);
        if bytes >= most {
            break;
        }
    }
    Ok(rows)
}

fn bytes_of(row: &Row) -> usize {
    let bytes = |cell: &Cell| match cell {
        Cell::Text(bytes) | Cell::Blob(bytes) => bytes.len(),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => size_of::<i64>(),
    };
    row.iter().map(bytes).sum()
}

/// The first column of the last row.
fn seq_of_last(rows: &[Row]) -> Option<Seq> {
    match rows.last()?[..] {
        [Cell::Integer(seq), ..] => Some(Seq(seq)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

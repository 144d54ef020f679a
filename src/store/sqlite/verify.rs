//! Whether what is stored is what was stored: SQLite's own checks, and the checksum of every row.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::{file, row};
use crate::incident::Seq;
use crate::store::error::{OpenError, ReadError};

/// Up to this size the structure of the database is walked at every start, which takes some 100 ms; a larger one would keep the
/// entrance closed for too long.
const WALKED_AT_START: u64 = 64 << 20;
/// Faults that are told one by one; after so many, more of them help nobody.
const FAULTS: usize = 100;
/// Rows read in one snapshot, so that the write-ahead log of a running gateway can be reset in between.
const CHUNK: i64 = 1000;

/// What has no checksum of its own but must agree with an incident that has.
const REFERENCES: [(&str, &str); 4] = [
    (
        "duplication keys contradict their incident",
        "SELECT count(*) FROM duplicate d JOIN incident i ON i.seq = d.seq
         WHERE i.tail <> d.tail OR i.created <> d.created",
    ),
    ("repeat counts belong to no incident", "SELECT count(*) FROM repeat WHERE seq NOT IN (SELECT seq FROM incident)"),
    ("fields belong to no incident", "SELECT count(*) FROM field WHERE seq NOT IN (SELECT seq FROM incident)"),
    ("samples belong to no incident", "SELECT count(*) FROM sample WHERE seq NOT IN (SELECT seq FROM incident)"),
];

/// What [`super::Reader::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Incidents that are as they were stored.
    pub whole: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// Incidents that can be found but do not match their checksum.
    pub damaged: u64,
    /// What is wrong, in words; at most 100 of them.
    pub faults: Vec<String>,
}

impl Verification {
    /// Whether nothing at all is wrong.
    pub fn is_clean(&self) -> bool {
        self.damaged == 0 && self.faults.is_empty()
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(text);
        }
    }

    /// Takes damage down as a fault, and hands on what merely hinders reading.
    fn unless_damaged<T>(&mut self, what: &str, result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::Sqlite(error)) if is_damage(&error) => {
                self.fault(format!("{what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads everything and compares it with itself.
pub(super) fn verify(db: &Connection) -> Result<Verification, ReadError> {
    let mut found = Verification::default();
    let structure = integrity_check(db).map_err(ReadError::from);
    for fault in found.unless_damaged("structure", structure)?.unwrap_or_default() {
        found.fault(fault);
    }
    let rows = read_rows(db, &mut found);
    found.unless_damaged("incidents", rows)?;
    for (what, sql) in REFERENCES {
        let count = db.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(ReadError::from);
        if let Some(count @ 1..) = found.unless_damaged(what, count)? {
            found.fault(format!("{count} {what}"));
        }
    }
    Ok(found)
}

fn integrity_check(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    let lines = statement.query_map((), |row| row.get(0))?;
    lines.filter(|line| !matches!(line, Ok(line) if line == "ok")).collect()
}

fn read_rows(db: &Connection, found: &mut Verification) -> Result<(), ReadError> {
    let mut last = -1;
    loop {
        let mut statement = db.prepare_cached("SELECT seq FROM incident NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let seqs = statement.query_map((last, CHUNK), |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        let Some(newest) = seqs.last() else { return Ok(()) };
        last = *newest;
        for seq in seqs {
            match row::load(db, Seq(seq)) {
                // It expired meanwhile.
                Ok(None) => {}
                Ok(Some(incident)) => {
                    found.whole += 1;
                    found.bytes += incident.raw.len() as u64;
                }
                Err(error) if matches!(&error, ReadError::Damaged { .. }) || is_damage_of(&error) => {
                    found.damaged += 1;
                    found.fault(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Refuses a database whose structure is broken, as far as that is found quickly: writing into it could break more.
pub(super) fn look(db: &Connection, path: &Path) -> Result<(), OpenError> {
    if file::size(path) > WALKED_AT_START {
        return Ok(());
    }
    match quick_check(db) {
        Ok(None) => Ok(()),
        Ok(Some(found)) => Err(OpenError::Damaged { path: path.into(), found }),
        Err(error) => Err(OpenError::from_sqlite(path.into(), error)),
    }
}

/// The first thing wrong with the structure; indexes are not compared with their tables.
pub(super) fn quick_check(db: &Connection) -> rusqlite::Result<Option<String>> {
    match db.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0)).optional() {
        Ok(answer) => Ok(answer.filter(|answer| answer != "ok")),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn is_damage_of(error: &ReadError) -> bool {
    matches!(error, ReadError::Sqlite(error) if is_damage(error))
}

#[cfg(test)]
mod tests;

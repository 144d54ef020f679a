//! SQLite set up so that a committed row is on stable storage, and so that a damaged or hostile file does no harm.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{file, schema, verify};
use crate::store::error::{OpenError, ReadError};

/// Older ones have the WAL-reset bug, which can lose committed rows.
const OLDEST_SQLITE: i32 = 3_051_003;
/// The writer is alone, and readers only wait for a recovery after a crash: longer than any of these takes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// `synchronous=FULL`, as it is read back.
const FULL: i64 = 2;
/// Pages the writer keeps in memory, in KiB: the tops of the indexes of some million rows. A large body goes through it to the disk.
const WRITER_CACHE_KIB: i64 = 4096;
/// A page of incidents is read once and forgotten.
const READER_CACHE_KIB: i64 = 1024;
/// Statements of one writer or reader, all of which stay prepared.
const STATEMENTS: usize = 32;

/// The one connection that writes. The file exists already; the schema is up to date when this returns.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite { found: rusqlite::version() });
    }
    let failed = |error| OpenError::from_sqlite(path.into(), error);
    // Neither CREATE (the file must have our mode) nor URI.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    harden(&db, WRITER_CACHE_KIB).map_err(failed)?;
    // Before anything is changed in it.
    let version = schema::version(&db).map_err(failed)?.map_err(|reason| OpenError::Schema { path: path.into(), reason })?;
    verify::look(&db, path)?;
    make_durable(&db, path)?;
    schema::migrate(&mut db, version).map_err(failed)?;
    Ok(db)
}

/// Sets what durability rests on, and believes only what SQLite reads back.
fn make_durable(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::from_sqlite(path.into(), error);
    let not_durable = |setting, found| OpenError::NotDurable { path: path.into(), setting, found };

    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(not_durable("journal_mode=WAL", mode));
    }
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let level: i64 = db.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(failed)?;
    if level != FULL {
        return Err(not_durable("synchronous=FULL", level.to_string()));
    }
    // Checkpoints are ours to start: SQLite's own ignores what goes wrong in it, a failed fsync included.
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
    // The same goes for the one on closing: after a failed fsync nothing more is written.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    // Shortening the log's file is ours, too: see `log`.
    db.pragma_update(None, "journal_size_limit", -1).map_err(failed)
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, ReadError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    harden(&db, READER_CACHE_KIB)?;
    db.pragma_update(None, "query_only", true)?;
    // Only the writer checkpoints.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    match schema::check_readable(&db)? {
        Ok(()) => Ok(db),
        Err(reason) => Err(ReadError::Schema { path: path.into(), reason }),
    }
}

/// What every connection gets.
pub(super) fn harden(db: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    // An I/O error in mapped memory is a signal that kills the process; this way it is an error code.
    db.pragma_update(None, "mmap_size", 0)?;
    // Negative: KiB.
    db.pragma_update(None, "cache_size", -cache_kib)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Checks a path for [`super::super::check`] without changing anything.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    let resolved = file::resolve(path).map_err(|error| OpenError::from_io(path.into(), error))?;
    let failed = |error| OpenError::from_sqlite(path.into(), error);
    if !resolved.exists() {
        let access = rustix::fs::access(file::folder(&resolved), rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
        return access.map_err(|error| OpenError::from_io(path.into(), error.into()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&resolved, flags).map_err(failed)?;
    harden(&db, READER_CACHE_KIB).map_err(failed)?;
    schema::version(&db).map_err(failed)?.map_err(|reason| OpenError::Schema { path: path.into(), reason })?;
    verify::look(&db, &resolved)
}

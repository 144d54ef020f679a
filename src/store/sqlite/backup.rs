//! A copy of the store, made while the gateway runs.

use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, File};

use super::copier::{Copier, CopyError};
use super::{connection, file, schema, verify};
use crate::store::error::ReadError;

/// Pages of the copy that are kept in memory, in KiB: an index whose entries come in any order goes to the same ones again and again.
const CACHE_KIB: i64 = 16 << 10;

/// Copies the database of `from` into the new file `to`, checks the copy and makes it durable.
///
/// The name `to` is reserved first, so that nothing is overwritten, and gets its content only when that is complete.
pub(super) fn make(from: &Connection, to: &Path) -> Result<(), ReadError> {
    let to = file::resolve(to).map_err(|source| ReadError::Io { path: to.into(), source })?;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => ReadError::BackupExists { path: to.clone() },
        _ => ReadError::Io { path: to.clone(), source },
    };
    file::create_private(&to).map_err(failed)?;
    let partial = file::with_suffix(&to, ".partial");
    let made = file::create_private(&partial).map_err(failed).and_then(|()| {
        let filled = fill(from, &partial, &to).and_then(|()| persist(&partial, &to).map_err(failed));
        filled.inspect_err(|_| remove(&partial))
    });
    made.inspect_err(|_| remove(&to))
}

/// What is left of a failed backup; the failure itself is what is reported.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn persist(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, to)?;
    file::sync_folder(to)
}

fn fill(from: &Connection, partial: &Path, to: &Path) -> Result<(), ReadError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Opened first and dropped last: closing it takes SQLite's locks on the file along.
    let file = File::open(partial).map_err(|source| ReadError::Io { path: to.into(), source })?;
    let mut copy = Connection::open_with_flags(partial, flags)?;
    connection::harden(&copy, CACHE_KIB)?;
    // Nothing has to survive here before all of it does. This makes one file that can be carried away as it is; a gateway that
    // opens it switches back.
    copy.pragma_update_and_check(None, "journal_mode", "MEMORY", |row| row.get::<_, String>(0))?;
    copy.pragma_update(None, "synchronous", "OFF")?;
    schema::migrate(&mut copy, 0)?;
    let flush = || file.sync_data().map_err(|source| ReadError::Io { path: to.into(), source });
    let damaged = |found: String| ReadError::BackupDamaged { path: to.into(), found };
    Copier::begin(from, &copy, flush).and_then(Copier::run).map_err(|error| match error {
        CopyError::Read(ReadError::Sqlite(error)) if is_damage(&error) => damaged(error.to_string()),
        CopyError::Read(error) => error,
        CopyError::Contradiction(_) | CopyError::Disorder(_) => damaged(error.to_string()),
    })?;
    check(&copy, to)
}

/// Whether SQLite says of the store that it contradicts itself, or holds what its tables do not take.
fn is_damage(error: &rusqlite::Error) -> bool {
    verify::is_damage(error) || error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn check(copy: &Connection, to: &Path) -> Result<(), ReadError> {
    let damaged = |found: String| ReadError::BackupDamaged { path: to.into(), found };
    schema::check_readable(copy)?.map_err(|reason| damaged(reason.to_string()))?;
    verify::quick_check(copy)?.map_or(Ok(()), |found| Err(damaged(found)))
}

//! A copy of the store, made while the gateway runs.

use std::io;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};
use std::fs::{self, File};

use super::{connection, file, schema, verify};
use crate::store::error::ReadError;

/// Pages in the copier's memory, in KiB; they go straight on to the disk.
const CACHE_KIB: i64 = 1024;
/// Pages copied before they are forced to the disk, 4 MiB: had a whole copy to be written at its end, the gateway's commits would
/// wait behind it.
const STEP: i32 = 1024;

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
    copy_pages(from, &mut copy, || file.sync_data().map_err(|source| ReadError::Io { path: to.into(), source }))?;
    // One file that can be carried away as it is. A gateway that opens it switches back.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
    check(&copy, to)
}

/// Copies all pages as of one moment: without a transaction around it, every commit of the gateway would have the copy begin again.
fn copy_pages(from: &Connection, copy: &mut Connection, after_step: impl Fn() -> Result<(), ReadError>) -> Result<(), ReadError> {
    let snapshot = from.unchecked_transaction()?;
    // It begins with the first thing that is read.
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    let backup = Backup::new(&snapshot, copy)?;
    loop {
        match backup.step(STEP)? {
            StepResult::Done => return Ok(()),
            StepResult::More => after_step()?,
            _ => return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None).into()),
        }
    }
}

fn check(copy: &Connection, to: &Path) -> Result<(), ReadError> {
    let damaged = |found: String| ReadError::BackupDamaged { path: to.into(), found };
    schema::check_readable(copy)?.map_err(|reason| damaged(reason.to_string()))?;
    verify::quick_check(copy)?.map_or(Ok(()), |found| Err(damaged(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::Prepared;
    use crate::store::testing::{Bench, draft, write};

    #[test]
    fn a_copy_in_steps_is_of_one_moment_and_does_not_begin_again() {
        let bench = Bench::new();
        let mut database = bench.open();
        let mut store_one = |raw: &str| {
            let prepared = Prepared::new(std::sync::Arc::new(write(vec![draft(raw)])));
            database.store([&prepared].into_iter()).unwrap();
            database.checkpoint().unwrap();
        };
        (0..4).for_each(|_| store_one(&"x".repeat(4 << 20)));
        let from = connection::open_reader(&bench.path()).unwrap();
        let mut copy = Connection::open_in_memory().unwrap();
        let (steps, store_one) = (std::cell::Cell::new(0), std::cell::RefCell::new(store_one));
        copy_pages(&from, &mut copy, || {
            steps.set(steps.get() + 1);
            assert!(steps.get() < 20, "begins again and again");
            store_one.borrow_mut()("{}");
            Ok(())
        })
        .unwrap();
        assert!(steps.get() >= 4, "{steps:?}");
        let count = |db: &Connection| db.query_row("SELECT count(*) FROM incident", (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(&copy), 4, "what was there when it began");
        assert_eq!(count(&from), 4 + steps.get(), "the snapshot is given back");
        assert_eq!(verify::quick_check(&copy).unwrap(), None);
    }
}

//! What can go wrong, by who has to act: [`OpenError`] the operator before start, [`WriteError`] the sender (try again),
//! [`ReadError`] whoever reads.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::sqlite::schema::SchemaError;
use crate::incident::IncidentId;

/// The store cannot be opened. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the database is not there.
    #[error("the folder of the store {path} does not exist: create it, or correct [store] url")]
    NoFolder {
        /// The database.
        path: PathBuf,
    },
    /// The operating system refuses the file.
    #[error(
        "no permission to write the store {path}: it, its -wal and -shm files and its folder must belong to the user that runs the gateway"
    )]
    Permission {
        /// The database.
        path: PathBuf,
    },
    /// Another process holds the lock file.
    #[error("the store {path} is in use by another gateway: stop that one first, or give this one a [store] url of its own")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// No room for the tables or the write-ahead log.
    #[error("no room on the disk of the store {path}: make some, then start again")]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// Not an SQLite file, or one whose pages contradict each other.
    #[error(
        "the store {path} is damaged or not a database (SQLite says: {found}): move it and its -wal and -shm files away, then restore a backup or \
         start with a new file; `hookgate verify` tells what can still be read"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found first.
        found: String,
    },
    /// Another program's database, or another version of ours.
    #[error("the store {path}: {reason}")]
    Schema {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: SchemaError,
    },
    /// The SQLite in this program has the WAL-reset bug, which loses committed rows.
    #[error("this program was built with SQLite {found}, and 3.51.3 or newer is needed: build it again with the bundled SQLite")]
    OldSqlite {
        /// The version built in.
        found: &'static str,
    },
    /// A setting on which durability rests did not take.
    #[error("the store {path} cannot be made durable: SQLite answered `{found}` to {setting}; use a local disk, not a network share")]
    NotDurable {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        setting: &'static str,
        /// What SQLite made of it.
        found: String,
    },
    /// Anything else the operating system says.
    #[error("the store {path} cannot be opened: {source}")]
    Io {
        /// The database.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Anything else SQLite says.
    #[error("the store {path} cannot be opened: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

impl OpenError {
    pub(super) fn from_io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoFolder { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }

    pub(super) fn from_sqlite(path: PathBuf, source: rusqlite::Error) -> Self {
        // The file of the shared memory could not grow.
        if source.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::DiskFull { path };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged { path, found: source.to_string() },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::Permission { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Nothing of this request was stored; the sender should try again later. Every one becomes a 503.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// As many requests wait for the writer as may wait, or the first of them has waited for too long.
    #[error("too many requests wait for the store")]
    QueueFull,
    /// Its commit did not begin in time, and will not any more.
    #[error("the store was too slow: the commit did not begin in time and was called off")]
    Overdue,
    /// No room on the disk, or so little that it is kept for deleting and checkpointing.
    #[error("no room on the disk of the store")]
    DiskFull,
    /// The disk or the database failed. For the log, never for the caller.
    #[error("the store failed: {0}")]
    Io(Arc<str>),
    /// The gateway is shutting down.
    #[error("the store is closing")]
    Closing,
}

/// Nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no database file.
    #[error("there is no store at {path}: start the gateway once (`hookgate serve`), or correct [store] url")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there, but SQLite cannot read it.
    #[error("the store {path} cannot be read: {source}; run this as the gateway's user, or restore a backup if the file is damaged")]
    Unusable {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// Another program's database, or another version of ours.
    #[error("the store {path}: {reason}")]
    Schema {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: SchemaError,
    },
    /// A cursor that belongs to the other order.
    #[error("the cursor belongs to the other order: leave it out, or ask in the order it came from")]
    WrongOrder,
    /// What is stored does not match its checksum.
    #[error("incident {id} is damaged on disk: what is stored does not match its checksum; restore a backup")]
    Damaged {
        /// The incident, as far as its row still says so.
        id: IncidentId,
    },
    /// A backup never overwrites.
    #[error("{path} exists already: a backup never overwrites a file")]
    BackupExists {
        /// The wanted file.
        path: PathBuf,
    },
    /// The store contradicts itself, or the copy does not pass SQLite's own check. The copy was deleted again.
    #[error(
        "no backup at {path}: the store, or the disk that the copy was on, is damaged ({found}); `hookgate verify` tells what can still be read"
    )]
    BackupDamaged {
        /// The wanted file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The operating system's reason.
    #[error("{path}: {source}")]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// SQLite's reason.
    #[error("the store cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// What an operator has to know.
const AFTER_FSYNC: &str = "what is on it is unknown, so nothing more is written: look at the disk and the kernel's log, then start again";

/// A failed transaction: what the requests in it are told, and what follows for the writer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: WriteError,
    pub(super) consequence: Consequence,
}

/// What a failed transaction means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The disk or the file: the next transaction may go better.
    TryAgain,
    /// Something in one of the rows: the others would be stored without it.
    OneRow,
    /// What is on disk is unknown from here on: nothing may be written any more.
    Fatal,
}

impl Failure {
    pub(super) fn fatal(message: &str) -> Self {
        Self { error: WriteError::Io(message.into()), consequence: Consequence::Fatal }
    }
}

/// Of something other than a transaction, so that it leaves none in doubt.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { error: WriteError::Io(error.to_string().into()), consequence: Consequence::TryAgain }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let (code, extended) = error.sqlite_error().map_or((ErrorCode::Unknown, 0), |e| (e.code, e.extended_code));
        let consequence = match (code, extended) {
            // After a failed fsync the kernel may have dropped the pages, and a second fsync would "succeed".
            (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Consequence::Fatal,
            (ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::OutOfMemory, _) => {
                Consequence::OneRow
            }
            _ => Consequence::TryAgain,
        };
        let error = match (code, consequence) {
            (ErrorCode::DiskFull, _) => WriteError::DiskFull,
            (_, Consequence::Fatal) => WriteError::Io(format!("{error} while forcing data to the disk; {AFTER_FSYNC}").into()),
            _ => WriteError::Io(error.to_string().into()),
        };
        Self { error, consequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Failure {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_failed_fsync_is_fatal_and_other_errors_are_not() {
        assert_eq!(failure(ffi::SQLITE_IOERR_FSYNC).consequence, Consequence::Fatal);
        assert_eq!(failure(ffi::SQLITE_IOERR_DIR_FSYNC).consequence, Consequence::Fatal);
        assert_eq!(failure(ffi::SQLITE_IOERR_WRITE).consequence, Consequence::TryAgain);
        assert_eq!(failure(ffi::SQLITE_TOOBIG).consequence, Consequence::OneRow);
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let failure = failure(ffi::SQLITE_FULL);
        assert_eq!((failure.error, failure.consequence), (WriteError::DiskFull, Consequence::TryAgain));
    }
}

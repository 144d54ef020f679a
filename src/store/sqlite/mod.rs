//! The store in SQLite: one [`Database`] that writes, any number of readers.

mod backup;
mod budget;
mod checksum;
mod connection;
mod copier;
mod fields;
mod file;
mod filter;
mod insert;
mod log;
mod page;
mod reader;
mod retention;
mod room;
mod row;
mod samples;
pub(super) mod schema;
mod search;
mod verify;
mod walk;
mod write_transaction;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use self::budget::Files;
pub use self::filter::{Cursor, Filter, InvalidCursor, Order, Page};
use self::insert::Insert;
pub(super) use self::insert::Prepared;
use self::log::Log;
pub use self::reader::Reader;
use self::room::Room;
pub use self::verify::Verification;
use self::write_transaction::WriteTransaction;
use super::error::{Failure, OpenError};
use super::{Options, Receipt};
use crate::incident::{Seq, Timestamp};

/// Frames of the write-ahead log that are copied into the database at once, as SQLite has it by default: with ten times as many
/// the slowest hundredth of requests took four times as long.
const CHECKPOINT_FRAMES: u64 = 1000;
/// Frames from which on the log is long. It begins anew only where nobody was reading what had not been copied yet, and beside an
/// export somebody nearly always is: copied as rarely as usual, it would grow for as long as the export takes.
const LONG_LOG: u64 = 4 * CHECKPOINT_FRAMES;
const CHECKPOINT_FRAMES_OF_LONG_LOG: u64 = CHECKPOINT_FRAMES / 8;
/// How long closing waits for readers before it leaves the write-ahead log to the next start.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// What can be done with the write-ahead log; each answers with its frames, and how many of them are copied.
const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const COPY_AND_EMPTY: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Names in the table `meta`.
const LAST_SEQ: &str = "last_seq";
const MAX_SKEW: &str = "max_skew";
const PROBED: &str = "probed";

/// Where the time comes from; tests bring their own.
pub(super) type Clock = Box<dyn Fn() -> Timestamp + Send>;

/// Checks that a store at `path` could be opened, changing nothing: the file is a store of ours, or its folder takes a new one.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    connection::check(path)
}

/// The database as its one writer has it.
pub(super) struct Database {
    pub(super) db: Connection,
    path: PathBuf,
    clock: Clock,
    retention: Option<Duration>,
    samples: u32,
    marks: Marks,
    /// Row ids of instances. Cleared by a rollback, which may have taken back one of them.
    instances: HashMap<Arc<str>, i64>,
    sweep: retention::Sweep,
    room: Room,
    log: Log,
    /// Held for as long as this is the one gateway on the database.
    _lock: File,
}

/// What has to be remembered from one transaction to the next. Changed only once a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    /// The highest number ever given out.
    last: Seq,
    /// The most that a number's time was ever ahead of `created`, in milliseconds, rounded up; more than 0 after the clock ran back.
    skew: i64,
}

impl Database {
    /// Opens the database, makes it where there is none, and brings its schema up to date.
    pub(super) fn open(options: &Options, clock: Clock) -> Result<Self, OpenError> {
        let io_failed = |error| OpenError::from_io(options.path.clone(), error);
        let path = file::resolve(&options.path).map_err(io_failed)?;
        let lock = file::lock(&path).map_err(io_failed)?.ok_or_else(|| OpenError::InUse { path: path.clone() })?;
        file::create_or_tighten(&path).map_err(io_failed)?;
        let room = Room::before_opening(&path);
        let mut db = connection::open_writer(&path)?;
        let failed = |error| OpenError::from_sqlite(path.clone(), error);
        let marks = Marks::read(&db).map_err(failed)?;
        let log = Log::watch(&mut db).map_err(failed)?;
        Ok(Self {
            db,
            path,
            clock,
            retention: options.retention,
            samples: options.samples,
            marks,
            instances: HashMap::new(),
            sweep: retention::Sweep::default(),
            room,
            log,
            _lock: lock,
        })
    }

    /// Stores all requests in one transaction. When this returns receipts, they are on stable storage; otherwise nothing is.
    pub(super) fn store<'p>(&mut self, requests: impl Iterator<Item = &'p Prepared>) -> Result<Vec<Receipt>, Failure> {
        let now = (self.clock)();
        match self.insert(requests, now) {
            Ok((receipts, marks)) => {
                self.marks = marks;
                Ok(receipts)
            }
            Err(error) => {
                self.instances.clear();
                Err(self.after_rollback(error))
            }
        }
    }

    fn insert<'p>(&mut self, requests: impl Iterator<Item = &'p Prepared>, now: Timestamp) -> rusqlite::Result<(Vec<Receipt>, Marks)> {
        let tx = WriteTransaction::begin(&self.db)?;
        let mut insert = Insert::new(&tx, &mut self.instances, self.marks, now)?;
        let receipts = requests.map(|request| insert.request(request)).collect::<Result<_, _>>()?;
        let marks = insert.finish(self.samples)?;
        marks.save_skew(&tx, self.marks)?;
        tx.commit()?;
        Ok((receipts, marks))
    }

    /// One real commit of next to nothing: whether the disk takes it now.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        let now = (self.clock)().0;
        set_meta(&self.db, PROBED, now).map_err(|error| self.after_rollback(error))
    }

    /// Copies the write-ahead log into the database once enough of it waits.
    pub(super) fn checkpoint(&mut self) -> Result<(), Failure> {
        let (frames, copied) = self.look_at_log()?;
        let usual = if frames >= LONG_LOG { CHECKPOINT_FRAMES_OF_LONG_LOG } else { CHECKPOINT_FRAMES };
        if frames.saturating_sub(copied) >= self.room.copy_after(usual) {
            // Somebody else may be at it, and then says nothing.
            if let Some((frames, copied)) = self.wal(COPY)? {
                self.note_log(frames, copied);
            }
        }
        Ok(())
    }

    /// Takes note of what was written since the last look.
    pub(super) fn look_at_log(&mut self) -> Result<(u64, u64), Failure> {
        let (frames, copied) = match self.log.known() {
            Some(known) => known,
            None => self.wal(LOOK)?.unwrap_or_default(),
        };
        self.note_log(frames, copied);
        Ok((frames, copied))
    }

    fn note_log(&mut self, frames: u64, copied: u64) {
        self.log.note(frames, copied);
        self.room.note_log(frames, copied);
    }

    /// Frames in the write-ahead log, and how many of them are copied. None where there is no log yet, and where another process
    /// copies just now.
    fn wal(&self, pragma: &str) -> rusqlite::Result<Option<(u64, u64)>> {
        let count = |row: &rusqlite::Row<'_>, at| row.get(at).map(|count: i64| u64::try_from(count).ok());
        let counts = self.db.prepare_cached(pragma)?.query_row((), |row| Ok((count(row, 1)?, count(row, 2)?)))?;
        Ok(counts.0.zip(counts.1))
    }

    /// Bytes of the database and its write-ahead log.
    pub(super) fn size(&self) -> u64 {
        file::size(&self.path)
    }

    /// Looks at the room on the disk and in the files. Makes the ballast where it is missing and fits.
    pub(super) fn survey(&mut self) {
        let files = self.files();
        self.room.survey(files);
    }

    /// Cuts a piece off the write-ahead log's file if that is longer than it is worth. Whether there is more to cut, now or later.
    pub(super) fn shorten_log(&mut self) -> Result<bool, Failure> {
        let version = self.data_version()?;
        let (frames, _) = self.wal(LOOK)?.unwrap_or_default();
        let (_, log) = file::sizes(&self.path);
        let files = Files { page: self.page_size()?, frames, log, ..Files::default() };
        // Without a frame it may be begun anew in memory and not yet on the disk, where the old one is still valid.
        let Some(bytes) = log::next_cut(&files).filter(|_| frames > 0) else { return Ok(false) };
        // From here on nobody else writes, a shell of the operator's included; what one wrote before shows in the version.
        self.db.busy_timeout(Duration::ZERO)?;
        let begun = WriteTransaction::begin(&self.db);
        self.db.busy_timeout(connection::BUSY_TIMEOUT)?;
        match begun {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Ok(true),
            Err(error) => return Err(error.into()),
            Ok(tx) if self.data_version()? == version => {
                log::cut(&file::log(&self.path), bytes)?;
                drop(tx);
            }
            Ok(_) => return Ok(true),
        }
        Ok(log::next_cut(&Files { log: bytes, ..files }).is_some())
    }

    /// Another one after a commit of somebody else's.
    fn data_version(&self) -> rusqlite::Result<i64> {
        self.number("PRAGMA data_version")
    }

    fn page_size(&self) -> rusqlite::Result<u64> {
        self.number("PRAGMA page_size").map(i64::unsigned_abs)
    }

    fn number(&self, pragma: &str) -> rusqlite::Result<i64> {
        self.db.prepare_cached(pragma)?.query_row((), |row| row.get(0))
    }

    /// A database that cannot even be asked has no room of its own.
    fn files(&mut self) -> Files {
        let files = self.ask_files().unwrap_or_default();
        self.log.note(files.frames, files.copied);
        files
    }

    fn ask_files(&self) -> rusqlite::Result<Files> {
        let (frames, copied) = self.wal(LOOK)?.unwrap_or_default();
        let (database, log) = file::sizes(&self.path);
        let number = |pragma| self.number(pragma).map(i64::unsigned_abs);
        let (pages, free_pages) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
        Ok(Files { page: self.page_size()?, pages, free_pages, database, log, frames, copied })
    }

    /// Whether there is room for so many bytes, as far as is known from the last [`Self::survey`] and what was written since. If
    /// not, what room is left is kept for expiring and checkpointing.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.room.takes(bytes)
    }

    /// A write found no room: deletes the ballast, so that expiring and checkpointing have some.
    pub(super) fn make_room(&mut self) {
        self.room.drop_ballast();
        let files = self.files();
        self.room.look(files);
    }

    /// Whether the ballast waits for room.
    pub(super) fn wants_room(&self) -> bool {
        !self.room.has_ballast()
    }

    /// Leaves one file behind, as far as readers let it.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.db.busy_timeout(CLOSE_PATIENCE)?;
        self.wal(COPY_AND_EMPTY)?;
        // Now that nothing is in it, SQLite may delete the log with the last connection.
        self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }

    /// Dropping the transaction rolled it back, or did not.
    fn after_rollback(&self, error: rusqlite::Error) -> Failure {
        if self.db.is_autocommit() { error.into() } else { Failure::fatal(&format!("cannot roll back after: {error}")) }
    }
}

impl Marks {
    fn read(db: &Connection) -> rusqlite::Result<Self> {
        let newest: Option<i64> = db.query_row("SELECT max(seq) FROM incident", (), |row| row.get(0))?;
        // Expiring may have taken the newest row.
        let last = newest.max(meta(db, LAST_SEQ)?).unwrap_or(0);
        Ok(Self { last: Seq(last), skew: meta(db, MAX_SKEW)?.unwrap_or(0) })
    }

    /// The next number, at `now`.
    fn next(&mut self, now: Timestamp) -> Seq {
        self.last = Seq::after(self.last, now);
        let skew = self.last.time().0 - now.0.max(0);
        if skew > self.skew {
            // Rounded up, so that a clock that runs back slowly does not cost a write each time.
            self.skew = skew.unsigned_abs().next_power_of_two().try_into().unwrap_or(i64::MAX);
        }
        self.last
    }

    fn save_skew(self, db: &Connection, before: Self) -> rusqlite::Result<()> {
        if self.skew == before.skew { Ok(()) } else { set_meta(db, MAX_SKEW, self.skew) }
    }

    /// Above every number of an incident created before `time`.
    fn end_of(self, time: Timestamp) -> Seq {
        Seq::first_of(Timestamp(time.0.saturating_add(self.skew)))
    }
}

fn meta(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn set_meta(db: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
    statement.execute(params![name, value]).map(drop)
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

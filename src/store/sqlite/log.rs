//! How long the write-ahead log is, without asking at each commit: a commit tells it, and only checkpoints copy.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::budget::Files;

/// What stays of the log's file after it was long, so that the usual case never has to grow it again.
const KEEP_BYTES: u64 = 64 << 20;
/// Cut off at once: some 0.5 ms. SQLite itself cuts all of it off in a commit, for which 600 MiB had everybody wait for 140 ms.
const CUT_BYTES: u64 = 1 << 20;

/// How long the log's file is to be after the next cut. None if it is short enough, or in use.
pub(super) fn next_cut(files: &Files) -> Option<u64> {
    let end = KEEP_BYTES.max(files.log_in_use());
    (files.log > end).then(|| end.max(files.log - CUT_BYTES))
}

/// Shortens the file of the log. To be called while nobody else can write to it.
pub(super) fn cut(log: &Path, bytes: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(log)?.set_len(bytes)
}

/// What is known of the write-ahead log.
#[derive(Debug)]
pub(super) struct Log {
    /// Frames after the last commit, as SQLite said then.
    told: Arc<AtomicU64>,
    /// When the log was last asked about: its frames, and how many of them were copied into the database.
    frames: u64,
    copied: u64,
}

impl Log {
    /// Has the connection tell of its commits. To be called when checkpoints are off: turning them off takes the hook away.
    pub(super) fn watch(db: &mut Connection) -> rusqlite::Result<Self> {
        let told = Arc::new(AtomicU64::new(0));
        let hook = {
            let told = Arc::clone(&told);
            move |_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
                told.store(frames.unsigned_abs().into(), Ordering::Relaxed);
                Ok(())
            }
        };
        db.wal_hook(Some(hook))?;
        Ok(Self { told, frames: 0, copied: 0 })
    }

    /// The log's frames, and how many of them are copied. None if it has to be asked: once all was copied, the next commit may
    /// have begun the log anew.
    pub(super) fn known(&self) -> Option<(u64, u64)> {
        let frames = self.told.load(Ordering::Relaxed);
        (self.copied < self.frames && self.frames <= frames).then_some((frames, self.copied))
    }

    /// Takes note of an answer.
    pub(super) fn note(&mut self, frames: u64, copied: u64) {
        (self.frames, self.copied) = (frames, copied);
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sqlite::{COPY, LOOK};
    use crate::store::testing::{Bench, draft, write};

    #[test]
    fn what_is_known_is_what_the_log_would_say() {
        let bench = Bench::new();
        let mut database = bench.open();
        let (mut asked, mut fresh) = (0, 0);
        for round in 0..400 {
            let bytes = if round % 7 == 0 { 300_000 } else { 100 };
            let prepared = crate::store::sqlite::Prepared::new(std::sync::Arc::new(write(vec![draft(&"x".repeat(bytes))])));
            database.store([&prepared].into_iter()).unwrap();
            asked += usize::from(database.log.known().is_none());
            let truth = database.wal(LOOK).unwrap().unwrap();
            assert_eq!(database.look_at_log().unwrap(), truth);
            if round % 50 == 49 {
                let (frames, copied) = database.wal(COPY).unwrap().unwrap();
                database.note_log(frames, copied);
                fresh += 1;
            }
        }
        assert_eq!(asked, fresh, "once at first and after each copy, the last of which nothing followed");
    }

    #[test]
    fn somebody_else_may_copy() {
        let bench = Bench::new();
        let mut database = bench.open();
        let mut store = |bytes| {
            let prepared = crate::store::sqlite::Prepared::new(std::sync::Arc::new(write(vec![draft(&"x".repeat(bytes))])));
            database.store([&prepared].into_iter()).unwrap();
            let known = database.look_at_log().unwrap();
            let truth = database.wal(LOOK).unwrap().unwrap();
            assert_eq!(known.0, truth.0, "frames are always those that are there");
            database.survey();
            assert_eq!(database.look_at_log().unwrap(), truth, "whatever others did is known a second later");
        };
        store(100_000);
        let other = rusqlite::Connection::open(bench.folder().join("x.db")).unwrap();
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
        // Less than was in the log, and more.
        for bytes in [10_000, 400_000, 100_000] {
            store(bytes);
            other.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())).unwrap();
        }
    }
}

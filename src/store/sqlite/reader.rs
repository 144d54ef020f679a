//! Reading beside the writer, in this process or another one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::filter::{Filter, Page};
use super::{Verification, backup, connection, file, page, row, samples, verify};
use crate::incident::{Incident, IncidentId, Timestamp};
use crate::store::error::ReadError;

/// Connections kept open while nobody reads. More than two readers at once are rare, and opening costs some 100 µs.
const IDLE: usize = 2;

/// After a page that took so long, nobody is answered for a while: without such a pause, whoever follows a search has a snapshot
/// open at nearly all times, and the write-ahead log, which begins anew only when nobody has, grows for as long as he does.
const LONG: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(50);

/// A read-only view of a store. Calls block on the disk: on an async runtime they belong into `spawn_blocking`.
///
/// Every call sees what was committed when it began. None keeps a snapshot for longer than it runs, as that would keep the
/// write-ahead log growing; [`Self::verify`] is the one that may keep it for long.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Reader {
    /// Opens a store that exists, whether or not a gateway runs on it.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let resolved = match file::resolve(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ReadError::Io { path: path.into(), source: error }),
            Ok(resolved) if resolved.exists() => resolved,
            _ => return Err(ReadError::Missing { path: path.into() }),
        };
        let reader = Self { idle: Arc::default(), path: resolved };
        reader.with(|_| Ok(())).map_err(|error| match error {
            ReadError::Sqlite(source) => ReadError::Unusable { path: path.into(), source },
            other => other,
        })?;
        Ok(reader)
    }

    /// Reads some incidents; bounded in time and memory whatever is asked.
    #[expect(clippy::disallowed_methods, reason = "that time passes is all that is wanted")]
    pub fn page(&self, filter: &Filter) -> Result<Page, ReadError> {
        let began = Instant::now();
        let page = self.with(|db| page::read(db, filter))?;
        if began.elapsed() >= LONG {
            thread::sleep(PAUSE);
        }
        Ok(page)
    }

    /// Reads one incident, if there is one with exactly this id.
    pub fn incident(&self, id: IncidentId) -> Result<Option<Incident>, ReadError> {
        let found = self.with(|db| row::load(db, id.seq()))?;
        Ok(found.filter(|incident| incident.id == id))
    }

    /// When the newest incident of an instance was stored. Looks at one row.
    pub fn last_stored(&self, instance: &str) -> Result<Option<Timestamp>, ReadError> {
        self.with(|db| page::newest(db, instance))
    }

    /// Reads the samples of an instance, oldest first; none for an instance that keeps none.
    pub fn samples(&self, instance: &str) -> Result<Vec<Incident>, ReadError> {
        self.with(|db| {
            let seqs = samples::of_instance(db, instance)?;
            // One that expires meanwhile is left out.
            seqs.into_iter().filter_map(|seq| row::load(db, seq).transpose()).collect()
        })
    }

    /// Makes a consistent, checked copy in a new file of mode 0600, while the gateway runs. Never overwrites.
    pub fn backup(&self, to: &Path) -> Result<(), ReadError> {
        self.with(|db| backup::make(db, to))
    }

    /// Reads everything and checks it: SQLite's structures, the checksum of every incident, what refers to it. Takes as long as
    /// reading the whole file does, and a gateway's write-ahead log grows meanwhile.
    pub fn verify(&self) -> Result<Verification, ReadError> {
        self.with(verify::verify)
    }

    /// Bytes of the database and its write-ahead log.
    pub fn size_bytes(&self) -> u64 {
        file::size(&self.path)
    }

    /// Closes what is open and unused: the last connection to a database clears away the files beside it.
    pub(in crate::store) fn rest(&self) {
        self.idle().clear();
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let kept = self.idle().pop();
        let db = match kept {
            Some(db) => db,
            None => connection::open_reader(&self.path)?,
        };
        let result = read(&db);
        // One that failed may be at fault itself; the next call opens a new one.
        if result.is_ok() {
            let mut idle = self.idle();
            if idle.len() < IDLE {
                idle.push(db);
            }
        }
        result
    }

    /// A list of connections is whole between any two statements here, so a poisoned lock is no reason to stop.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

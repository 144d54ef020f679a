//! Durable storage: one writer that commits whatever waits in one transaction, any number of readers beside it.
//!
//! ```text
//! serving runtimes ─ Lane ─▶ queue ─▶ writer thread ─▶ SQLite (WAL, synchronous=FULL) ◀─ Reader ─ admin, CLI
//!                    Lane ◀─ inbox ◀─ after COMMIT returned
//! ```
//!
//! [`Lane::commit`] answers strictly after COMMIT returned, so what it names in a [`Receipt`] is on stable storage. The writer
//! never waits for company: it takes what is there and commits, and the next batch grows while it does. Between two commits it
//! deletes what has expired and copies the write-ahead log into the database, in small steps.
//!
//! When a transaction fails, nothing in it is acknowledged, and the next one is tried as if nothing had happened; so a full disk
//! heals by itself. After a failed fsync it is unknown what is on the disk: the writer stops and [`Store::fatal`] says why.
//!
//! This module knows nobody but the leaves.

mod error;
mod lane;
mod queue;
mod sqlite;
mod upkeep;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use self::error::{OpenError, ReadError, WriteError};
pub use self::lane::Lane;
use self::queue::Queue;
use self::sqlite::Database;
pub use self::sqlite::schema::SchemaError;
pub use self::sqlite::{Cursor, Filter, InvalidCursor, Order, Page, Reader, Verification};
use self::writer::{Health, Writer};
use crate::activity::Tally;
use crate::incident::{Draft, IncidentId, Timestamp};
use crate::metrics::Metrics;

/// For how long the outcome of a commit speaks for the store; also bounds the commits that [`Store::ready`] causes.
const HEALTH_LASTS: Duration = Duration::from_secs(1);
/// After this long without an answer the store counts as not writable. Senders time out at 5 to 30 s.
const HEALTH_PATIENCE: Duration = Duration::from_secs(2);

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file. Its folder must exist.
    pub path: PathBuf,
    /// Incidents older than this are deleted; none: kept for ever.
    pub retention: Option<Duration>,
    /// Samples kept for each instance that keeps any.
    pub samples: u32,
    /// Where to count.
    pub metrics: Arc<Metrics>,
}

/// What one request brings; stored whole or not at all.
#[derive(Clone, Debug)]
pub struct Write {
    /// The instance's name.
    pub instance: Arc<str>,
    /// The request's headers: a JSON object, stored once for all its incidents.
    pub headers: String,
    /// What intake made of the body.
    pub drafts: Vec<Draft>,
    /// Whether the new incidents are kept as samples.
    pub keep_samples: bool,
    /// Whose memory of duplication keys counts and is added to: the instance's own, or another's that it shares.
    pub duplicates_of: Arc<str>,
    /// For how long after the first event with a key another one is its duplicate.
    pub duplication_window: Duration,
    /// Where to count what was stored.
    pub tally: Arc<Tally>,
}

/// On stable storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// When the new incidents were stored.
    pub created: Timestamp,
    /// One for each draft, in the same order.
    pub outcomes: Vec<Outcome>,
}

impl Receipt {
    /// New incidents, and duplicates.
    fn counts(&self) -> (u64, u64) {
        let stored = self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count() as u64;
        (stored, self.outcomes.len() as u64 - stored)
    }
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a new incident.
    Stored(IncidentId),
    /// It was counted as a repeat.
    Duplicate {
        /// The first event with the same key.
        first: IncidentId,
        /// When that was stored.
        created: Timestamp,
    },
}

type Answer = Result<Receipt, WriteError>;

/// The open store. Owns the writer thread.
pub struct Store {
    queue: Arc<Queue>,
    reader: Reader,
    health: watch::Receiver<Health>,
    fatal: watch::Receiver<Option<Arc<str>>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store, making or migrating it as needed, and starts the writer.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let database = Database::open(&options, Box::new(Timestamp::now))?;
        Self::start(database, options)
    }

    fn start(database: Database, options: Options) -> Result<Self, OpenError> {
        let reader = Reader::open(&options.path).map_err(|error| unreadable(&options.path, error))?;
        let queue = Arc::new(Queue::new(options.metrics.queue_requests.clone()));
        let (health, health_seen) = watch::channel(Health::unknown());
        let (fatal, fatal_seen) = watch::channel(None);
        let writer = Writer::new(database, Arc::clone(&queue), health, fatal, options.metrics);
        let thread = writer::spawn(writer).map_err(|source| OpenError::Io { path: options.path, source })?;
        Ok(Self { queue, reader, health: health_seen, fatal: fatal_seen, writer: Some(thread) })
    }

    /// A way to the writer; every serving runtime should have one of its own, as answers to a lane come back with one wake-up.
    pub fn lane(&self) -> Lane {
        Lane::new(Arc::clone(&self.queue))
    }

    /// A view of what is committed.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Resolves with the reason when nothing can be written any more and the process must end; otherwise never.
    pub fn fatal(&self) -> impl Future<Output = Arc<str>> + Send + 'static + use<> {
        let mut fatal = self.fatal.clone();
        async move {
            let reason = match fatal.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone(),
                // The writer ended in peace.
                Err(_) => None,
            };
            match reason {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        }
    }

    /// Tells whether the store is writable, for as long as anybody wants to know.
    pub fn readiness(&self) -> Readiness {
        Readiness { queue: Arc::clone(&self.queue), health: self.health.clone() }
    }

    /// Refuses new commits, finishes those that wait, and leaves the database in one file. Blocks until then. Dropping does the same.
    pub fn close(self) {}
}

/// Whether the store is writable; see [`Store::readiness`].
#[derive(Clone)]
pub struct Readiness {
    queue: Arc<Queue>,
    health: watch::Receiver<Health>,
}

impl Readiness {
    /// Whether the store takes a commit now: from the outcome of a commit less than a second ago, otherwise from a commit made for
    /// this question, however many ask. Fails after 2 s without an answer. Must be awaited on a tokio runtime with time enabled.
    pub async fn check(&self) -> Result<(), WriteError> {
        self.queue.check()?;
        let mut health = self.health.clone();
        let asked = Instant::now();
        if let Some(outcome) = health.borrow().since(asked.checked_sub(HEALTH_LASTS)) {
            return outcome;
        }
        self.queue.probe()?;
        let answer = health.wait_for(|health| health.since(Some(asked)).is_some());
        match tokio::time::timeout(HEALTH_PATIENCE, answer).await {
            Ok(Ok(health)) => health.since(None).unwrap_or(Ok(())),
            Ok(Err(_)) => Err(WriteError::Closing),
            Err(_) => Err(WriteError::Io(format!("no commit within {} s", HEALTH_PATIENCE.as_secs()).into())),
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.reader.rest();
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // Its panics were caught and reported.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Checks that [`Store::open`] would probably succeed, changing nothing and whether or not a gateway runs: the file is a store that
/// this program can use, or there is none yet and its folder takes one.
pub fn check(path: &Path) -> Result<(), OpenError> {
    sqlite::check(path)
}

/// The writer could open it a moment ago.
fn unreadable(path: &Path, error: ReadError) -> OpenError {
    let path = path.to_owned();
    match error {
        ReadError::Schema { reason, .. } => OpenError::Schema { path, reason },
        ReadError::Sqlite(source) | ReadError::Unusable { source, .. } => OpenError::from_sqlite(path, source),
        other => OpenError::Io { path, source: std::io::Error::other(other) },
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

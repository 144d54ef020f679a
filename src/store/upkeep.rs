//! What the writer does between commits, and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Consequence, Failure, WriteError};
use super::sqlite::{Database, Progress};
use crate::metrics::Metrics;

/// How often to look for incidents past the retention, which is counted in days. Looking finds nothing in microseconds.
const INCIDENTS_EVERY: Duration = Duration::from_secs(60);
/// How often to walk through all duplication keys: a walk through a million takes some 0.5 s, and keys are small.
const KEYS_EVERY: Duration = Duration::from_secs(3600);
/// Between two steps while requests wait: with steps of some 5 ms, a fifth of the time.
const PAUSE_WHEN_BUSY: Duration = Duration::from_millis(20);
/// How often to look at the size of the files and the room on the disk.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// After a step failed, most likely for want of room.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The writer's diary.
pub(super) struct Upkeep {
    metrics: Arc<Metrics>,
    incidents_due: Instant,
    keys_due: Instant,
    surveyed: Option<Instant>,
    is_nearly_full: bool,
    /// A commit has grown the write-ahead log since the last checkpoint was looked at.
    has_grown: bool,
    /// The last step failed, and the log says so; from when on to try again.
    failing: Option<Instant>,
}

impl Upkeep {
    pub(super) fn new(metrics: Arc<Metrics>, now: Instant) -> Self {
        Self {
            metrics,
            incidents_due: now,
            keys_due: now,
            surveyed: None,
            is_nearly_full: false,
            // What a crash left in the write-ahead log.
            has_grown: true,
            failing: None,
        }
    }

    /// When [`Self::step`] has something to do at the latest.
    pub(super) fn due(&self, database: &Database) -> Instant {
        let next = self.incidents_due.min(self.keys_due);
        let next = self.failing.map_or(next, |until| next.max(until));
        match self.surveyed {
            // Space may come back while nobody sends.
            Some(surveyed) if database.wants_room() => next.min(surveyed + SURVEY_EVERY),
            _ => next,
        }
    }

    /// Takes note of a commit.
    pub(super) fn committed(&mut self) {
        self.has_grown = true;
    }

    /// Whether the room that is left is kept for expiring and checkpointing; looked up at most once a second.
    pub(super) fn is_nearly_full(&mut self, database: &mut Database) -> bool {
        self.survey(database);
        self.is_nearly_full
    }

    /// Takes note of a write that found no room.
    pub(super) fn disk_is_full(&mut self, database: &mut Database) {
        self.is_nearly_full = database.make_room();
    }

    /// Does a little of what is due. Fails if nothing may be written any more.
    pub(super) fn step(&mut self, database: &mut Database, is_busy: bool) -> Result<(), Arc<str>> {
        self.survey(database);
        let now = Instant::now();
        if self.failing.is_some_and(|until| now < until) {
            return Ok(());
        }
        let outcome = self.checkpoint(database).and_then(|()| self.expire(database, now, is_busy));
        match outcome {
            Ok(()) => self.failing = None,
            Err(failure) if failure.consequence == Consequence::Fatal => return Err(failure.error.to_string().into()),
            Err(failure) => {
                if self.failing.is_none() {
                    tracing::warn!(error = %failure.error, "upkeep of the store failed; commits go on, and it is tried again");
                }
                self.failing = Some(now + TRY_AGAIN_AFTER);
                if failure.error == WriteError::DiskFull {
                    self.disk_is_full(database);
                }
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, database: &mut Database) -> Result<(), Failure> {
        if self.has_grown {
            database.checkpoint()?;
            self.has_grown = false;
        }
        Ok(())
    }

    fn expire(&mut self, database: &mut Database, now: Instant, is_busy: bool) -> Result<(), Failure> {
        if now >= self.incidents_due {
            let progress = database.expire_incidents()?;
            self.metrics.expired.inc_by(progress.deleted);
            self.has_grown |= progress.deleted > 0;
            self.incidents_due = next(progress, now, INCIDENTS_EVERY, is_busy);
        } else if now >= self.keys_due {
            let progress = database.expire_keys()?;
            self.has_grown |= progress.deleted > 0;
            self.keys_due = next(progress, now, KEYS_EVERY, is_busy);
        }
        Ok(())
    }

    fn survey(&mut self, database: &mut Database) {
        let now = Instant::now();
        if self.surveyed.is_some_and(|at| now.duration_since(at) < SURVEY_EVERY) {
            return;
        }
        self.surveyed = Some(now);
        self.metrics.store_size.set(database.size().try_into().unwrap_or(i64::MAX));
        self.is_nearly_full = database.is_nearly_full();
    }
}

fn next(progress: Progress, now: Instant, every: Duration, is_busy: bool) -> Instant {
    match (progress.more, is_busy) {
        (false, _) => now + every,
        (true, false) => now,
        (true, true) => now + PAUSE_WHEN_BUSY,
    }
}

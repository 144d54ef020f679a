//! What the writer does between commits, and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Consequence, Failure, WriteError};
use super::sqlite::Database;
use crate::metrics::Metrics;

/// How often to look for incidents past the retention. Looking finds nothing in microseconds, and what gathers meanwhile is a burst.
const INCIDENTS_EVERY: Duration = Duration::from_secs(5);
/// And after some were found: what comes in all the time goes all the time, and not in bursts.
const INCIDENTS_AGAIN: Duration = Duration::from_secs(1);
/// How often to walk through all duplication keys: a walk through a million takes some 0.5 s, and keys are small.
const KEYS_EVERY: Duration = Duration::from_secs(3600);
/// Between two steps while requests come in: with steps of some 2 ms, a sixth of the time. Half of that had a paced load of 70 % of
/// the capacity fall behind by seconds while much was to go.
const PAUSE_WHEN_BUSY: Duration = Duration::from_millis(10);
/// Between two cuts off a long write-ahead log.
const CUT_EVERY: Duration = Duration::from_millis(10);
/// After a cut that failed.
const CUT_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How often to look at the size of the files and the room on the disk.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// With less room than for this the store counts as full.
const LITTLE: u64 = 64 << 10;
/// After a step failed, most likely for want of room.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The writer's diary.
pub(super) struct Upkeep {
    metrics: Arc<Metrics>,
    incidents_due: Instant,
    /// The present look has found some.
    has_expired: bool,
    /// The present look is not through.
    has_more: bool,
    /// Incidents stored since its last step. At least as many go, so that a store under constant load does not grow.
    stored: u64,
    keys_due: Instant,
    /// Where both are due, they take turns.
    is_turn_of_keys: bool,
    /// When to cut off more of a long write-ahead log, if there was more the last time.
    cut_due: Option<Instant>,
    surveyed: Option<Instant>,
    /// Something was written since then, so that what is known of the room is an estimate, and a cautious one.
    is_estimate: bool,
    /// There was not even room for a small request then.
    is_full: bool,
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
            has_expired: false,
            has_more: false,
            stored: 0,
            keys_due: now,
            is_turn_of_keys: false,
            cut_due: None,
            surveyed: None,
            is_estimate: false,
            is_full: false,
            // What a crash left in the write-ahead log.
            has_grown: true,
            failing: None,
        }
    }

    /// When [`Self::step`] has something to do at the latest.
    pub(super) fn due(&self, database: &Database) -> Instant {
        let next = self.incidents_due.min(self.keys_due);
        let next = self.cut_due.map_or(next, |due| next.min(due));
        let next = self.failing.map_or(next, |until| next.max(until));
        match self.surveyed {
            // Space may come back while nobody sends.
            Some(surveyed) if self.is_full || database.wants_room() => next.min(surveyed + SURVEY_EVERY),
            _ => next,
        }
    }

    /// Takes note of a commit of so many incidents.
    pub(super) fn committed(&mut self, incidents: usize) {
        self.stored += incidents as u64;
        self.has_grown = true;
        self.is_estimate = true;
    }

    /// Whether there is room for so many bytes above what is kept for expiring and checkpointing. Costs nothing as long as there
    /// is plenty.
    pub(super) fn has_room(&mut self, database: &mut Database, bytes: u64) -> bool {
        self.survey_if_due(database);
        // Two commits without a step between them. A log that cannot be looked at fails the next commit, which then says why.
        if self.has_grown {
            let _ = database.look_at_log();
        }
        if !database.takes(bytes) && self.is_estimate {
            self.survey(database);
        }
        let has_room = database.takes(bytes);
        if !has_room {
            self.expire_soon();
        }
        has_room
    }

    /// Whether there is not even room for a small request.
    pub(super) fn is_full(&mut self, database: &mut Database) -> bool {
        !self.has_room(database, LITTLE)
    }

    /// Takes note of a write that found no room.
    pub(super) fn disk_is_full(&mut self, database: &mut Database) {
        // The ballast is not made again at once: where the disk promises what it does not hold, it would be at each commit.
        database.make_room();
        self.has_looked(database);
    }

    /// Does a little of what is due. Fails if nothing may be written any more.
    pub(super) fn step(&mut self, database: &mut Database, is_busy: bool) -> Result<(), Arc<str>> {
        self.survey_if_due(database);
        let now = Instant::now();
        if self.failing.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.shorten_log(database);
        match self.checkpoint_and_expire(database, now, is_busy) {
            Ok(()) => self.failing = None,
            Err(failure) if failure.consequence == Consequence::Fatal => return Err(failure.error.to_string().into()),
            Err(failure) => {
                if self.failing.is_none() {
                    tracing::warn!(error = %failure.error, "upkeep of the store failed; commits go on, and it is tried again");
                }
                self.failing = Some(now + TRY_AGAIN_AFTER);
            }
        }
        Ok(())
    }

    /// Where one of the two finds no room, the other may make some.
    fn checkpoint_and_expire(&mut self, database: &mut Database, now: Instant, is_busy: bool) -> Result<(), Failure> {
        let mut copied = self.checkpoint(database);
        if let Err(failure) = copied {
            self.make_room_after(database, failure)?;
            // With the room of the ballast it may work.
            copied = self.checkpoint(database);
        }
        match self.expire(database, now, is_busy) {
            // The next step copies it, and may then go better.
            Ok(deleted) if deleted > 0 => Ok(()),
            Ok(_) => copied,
            Err(failure) => self.make_room_after(database, failure.clone()).and(Err(failure)),
        }
    }

    /// Throws off the ballast if that was what failed.
    fn make_room_after(&mut self, database: &mut Database, failure: Failure) -> Result<(), Failure> {
        if failure.error != WriteError::DiskFull {
            return Err(failure);
        }
        self.disk_is_full(database);
        Ok(())
    }

    fn checkpoint(&mut self, database: &mut Database) -> Result<(), Failure> {
        if self.has_grown {
            database.checkpoint()?;
            self.has_grown = false;
        }
        Ok(())
    }

    /// Returns how much is gone.
    fn expire(&mut self, database: &mut Database, now: Instant, is_busy: bool) -> Result<u64, Failure> {
        let (incidents, keys) = (now >= self.incidents_due, now >= self.keys_due);
        let deleted = match (incidents, keys) {
            (false, false) => return Ok(0),
            (true, true) if self.is_turn_of_keys => self.expire_keys(database, is_busy)?,
            (true, _) => self.expire_incidents(database, is_busy)?,
            (false, true) => self.expire_keys(database, is_busy)?,
        };
        self.is_turn_of_keys = incidents && !self.is_turn_of_keys;
        if deleted > 0 {
            self.committed(0);
        }
        Ok(deleted)
    }

    fn expire_incidents(&mut self, database: &mut Database, is_busy: bool) -> Result<u64, Failure> {
        let to_go = if self.has_more { self.stored } else { 0 };
        let mut deleted = 0;
        loop {
            let progress = database.expire_incidents()?;
            self.metrics.expired.inc_by(progress.deleted);
            deleted += progress.deleted;
            self.has_more = progress.more;
            // A step that passes by what stays deletes nothing, and is one all the same.
            if !progress.more || progress.deleted == 0 || deleted >= to_go {
                break;
            }
        }
        self.stored = 0;
        self.has_expired |= deleted > 0;
        let every = if self.has_expired { INCIDENTS_AGAIN } else { INCIDENTS_EVERY };
        self.has_expired &= self.has_more;
        self.incidents_due = next(self.has_more, every, is_busy);
        Ok(deleted)
    }

    fn expire_keys(&mut self, database: &mut Database, is_busy: bool) -> Result<u64, Failure> {
        let progress = database.expire_keys()?;
        self.keys_due = next(progress.more, KEYS_EVERY, is_busy);
        Ok(progress.deleted)
    }

    /// What cannot be cut does no harm, so nothing else waits for it.
    fn shorten_log(&mut self, database: &mut Database) {
        let now = Instant::now();
        if self.cut_due.is_some_and(|due| due <= now) {
            self.cut_due = match database.shorten_log() {
                Ok(has_more) => has_more.then(|| now + CUT_EVERY),
                Err(failure) => {
                    tracing::warn!(error = %failure.error, "the write-ahead log's file cannot be shortened; it is tried again in a minute");
                    Some(now + CUT_AGAIN_AFTER)
                }
            };
        }
    }

    /// Where room is wanted, what has expired since the last look makes some.
    fn expire_soon(&mut self) {
        self.incidents_due = self.incidents_due.min(Instant::now() + SURVEY_EVERY);
    }

    fn survey_if_due(&mut self, database: &mut Database) {
        if self.surveyed.is_none_or(|at| at.elapsed() >= SURVEY_EVERY) {
            self.survey(database);
            self.metrics.store_size.set(database.size().try_into().unwrap_or(i64::MAX));
        }
    }

    fn survey(&mut self, database: &mut Database) {
        database.survey();
        self.has_looked(database);
    }

    fn has_looked(&mut self, database: &Database) {
        let now = Instant::now();
        self.surveyed = Some(now);
        self.cut_due.get_or_insert(now);
        self.is_estimate = false;
        self.is_full = !database.takes(LITTLE);
        if self.is_full {
            self.expire_soon();
            // What waits in the log would take room.
            self.has_grown = true;
        }
    }
}

/// When the next step is due.
fn next(more: bool, every: Duration, is_busy: bool) -> Instant {
    let now = Instant::now();
    match (more, is_busy) {
        (false, _) => now + every,
        (true, false) => now,
        (true, true) => now + PAUSE_WHEN_BUSY,
    }
}

#[cfg(test)]
mod tests;

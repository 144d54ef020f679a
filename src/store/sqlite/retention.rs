//! Deleting what is past its time, in steps so small that nobody at the entrance notices.
//!
//! The rows of a request stand together, share the headers of the first one and were created at the same moment. So they
//! expire together, and the first one goes last. Freed pages are used again by later incidents; the file does not shrink.

use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Database, LAST_SEQ, Marks, set_meta};
use crate::incident::{DuplicationKey, Seq, Timestamp};
use crate::store::error::{Failure, WriteError};

/// Incidents looked at in one step.
const STEP_ROWS: usize = 200;
/// Time after which a step ends, at the next request: about as long as a commit on a slow disk.
const STEP_TIME: Duration = Duration::from_millis(5);
/// Duplication keys looked at in one step: some 200 µs when none has expired.
const STEP_KEYS: usize = 500;
/// Before every row.
const START: Seq = Seq(-1);

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Progress {
    /// Rows deleted.
    pub(in crate::store) deleted: u64,
    /// Another step has something to look at.
    pub(in crate::store) more: bool,
}

/// How far the current walks came; none where the next step begins a new one. A restart begins them again.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    incidents: Option<Seq>,
    /// Into how many parts a step is divided, because a whole one found no room.
    parts: usize,
    keys: Option<Key>,
}

/// The primary key of `duplicate`.
type Key = (i64, DuplicationKey);

/// What a step has to know of an incident.
#[derive(Clone, Copy, Debug)]
struct Light {
    seq: Seq,
    /// The first row of its request, maybe itself.
    head: Seq,
    instance: i64,
    created: Timestamp,
}

impl Database {
    /// One step through the incidents that may be older than the retention.
    pub(in crate::store) fn expire_incidents(&mut self) -> Result<Progress, Failure> {
        let Some(retention) = self.retention else { return Ok(Progress { deleted: 0, more: false }) };
        let retention = retention.as_millis().try_into().unwrap_or(i64::MAX);
        let cutoff = Timestamp((self.clock)().0.saturating_sub(retention));
        let from = self.sweep.incidents.unwrap_or(START);
        let step = (STEP_ROWS / self.sweep.parts.max(1)).max(1);
        match expire_incidents(&mut self.db, self.marks, from, cutoff, step) {
            Ok((deleted, reached)) => {
                self.sweep.incidents = reached;
                self.sweep.parts /= 2;
                Ok(Progress { deleted, more: reached.is_some() })
            }
            Err(error) => {
                let failure = self.after_rollback(error);
                if failure.error == WriteError::DiskFull {
                    self.sweep.parts = (self.sweep.parts.max(1) * 2).min(STEP_ROWS);
                }
                Err(failure)
            }
        }
    }

    /// One step through the duplication keys whose window may have ended.
    pub(in crate::store) fn expire_keys(&mut self) -> Result<Progress, Failure> {
        let now = (self.clock)();
        match expire_keys(&mut self.db, self.sweep.keys, now) {
            Ok((deleted, reached)) => {
                self.sweep.keys = reached;
                Ok(Progress { deleted, more: reached.is_some() })
            }
            Err(error) => Err(self.after_rollback(error)),
        }
    }
}

/// Deletes after `from` what was created before `cutoff`, about `step` rows. Returns how many rows went, and how far it came unless it is through.
fn expire_incidents(db: &mut Connection, marks: Marks, from: Seq, cutoff: Timestamp, step: usize) -> rusqlite::Result<(u64, Option<Seq>)> {
    // Takes the write lock only if there is something to delete.
    let tx = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let rows = candidates(&tx, from, marks.end_of(cutoff), step)?;
    let (deleted, reached) = match whole_requests(&rows, step) {
        Some(requests) => {
            let (deleted, last) = delete_expired(&tx, requests, cutoff)?;
            (deleted, last.filter(|seq| rows.last().is_some_and(|row| row.seq > *seq)))
        }
        None => {
            let (deleted, reached) = shorten(&tx, rows[0], cutoff, step)?;
            (deleted, Some(reached.max(from)))
        }
    };
    if deleted > 0 {
        // The newest of all may be among them, and its number must not be given out again.
        set_meta(&tx, LAST_SEQ, marks.last.0)?;
        tx.commit()?;
    }
    Ok((deleted, reached))
}

/// One row more than a step takes, to see whether it is the last step.
fn candidates(tx: &Transaction<'_>, from: Seq, end: Seq, step: usize) -> rusqlite::Result<Vec<Light>> {
    let mut statement = tx.prepare_cached(
        "SELECT seq, coalesce(request, seq), instance, created FROM incident WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![from.0, end.0, step as i64 + 1], |row| {
        Ok(Light { seq: Seq(row.get(0)?), head: Seq(row.get(1)?), instance: row.get(2)?, created: Timestamp(row.get(3)?) })
    })?;
    rows.collect()
}

/// The requests that are whole in `rows`; none if the first one alone is larger than a step.
fn whole_requests(rows: &[Light], step: usize) -> Option<&[Light]> {
    if rows.len() <= step {
        return Some(rows);
    }
    let last_request = rows.chunk_by(|a, b| a.head == b.head).next_back()?;
    Some(&rows[..rows.len() - last_request.len()]).filter(|whole| !whole.is_empty())
}

/// Deletes the expired ones of some requests while there is time. Returns the last row looked at.
fn delete_expired(tx: &Transaction<'_>, rows: &[Light], cutoff: Timestamp) -> rusqlite::Result<(u64, Option<Seq>)> {
    let started = Instant::now();
    let mut delete = Delete::new(tx)?;
    let (mut deleted, mut last) = (0, None);
    for request in rows.chunk_by(|a, b| a.head == b.head) {
        if last.is_some() && started.elapsed() > STEP_TIME {
            break;
        }
        for row in request.iter().filter(|row| row.created < cutoff) {
            delete.row(row.seq, row.instance)?;
            deleted += 1;
        }
        last = request.last().map(|row| row.seq);
    }
    Ok((deleted, last))
}

/// Deletes the last rows of a request that is larger than a step, or passes it by. Returns how far the walk has come: just
/// before the request while there is more of it.
fn shorten(tx: &Transaction<'_>, first: Light, cutoff: Timestamp, step: usize) -> rusqlite::Result<(u64, Seq)> {
    let end: Option<i64> = tx
        .prepare_cached("SELECT seq FROM incident WHERE seq > ?1 AND coalesce(request, seq) <> ?2 ORDER BY seq LIMIT 1")?
        .query_row(params![first.seq.0, first.head.0], |row| row.get(0))
        .optional()?;
    let end = end.unwrap_or(i64::MAX);
    if first.created >= cutoff {
        return Ok((0, Seq(end - 1)));
    }
    let mut statement = tx.prepare_cached("SELECT seq, instance FROM incident WHERE seq >= ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3")?;
    let last: Vec<(Seq, i64)> = statement
        .query_map(params![first.seq.0, end, step as i64], |row| Ok((Seq(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = Delete::new(tx)?;
    for (seq, instance) in &last {
        delete.row(*seq, *instance)?;
    }
    Ok((last.len() as u64, Seq(first.seq.0 - 1)))
}

/// Deletes incidents with all that refers to them.
struct Delete<'t> {
    incident: CachedStatement<'t>,
    repeat: CachedStatement<'t>,
    sample: CachedStatement<'t>,
    fields: CachedStatement<'t>,
}

impl<'t> Delete<'t> {
    fn new(tx: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            incident: tx.prepare_cached("DELETE FROM incident WHERE seq = ?1")?,
            repeat: tx.prepare_cached("DELETE FROM repeat WHERE seq = ?1")?,
            sample: tx.prepare_cached("DELETE FROM sample WHERE instance = ?1 AND seq = ?2")?,
            fields: tx.prepare_cached("DELETE FROM field WHERE seq = ?1")?,
        })
    }

    fn row(&mut self, seq: Seq, instance: i64) -> rusqlite::Result<()> {
        self.incident.execute([seq.0])?;
        self.repeat.execute([seq.0])?;
        self.fields.execute([seq.0])?;
        self.sample.execute([instance, seq.0]).map(drop)
    }
}

/// Deletes after `from` the keys whose window has ended. Returns how many went, and how far it came unless it is through.
///
/// The window is the one under which the key was stored, so one that is made longer later counts for new events only.
fn expire_keys(db: &mut Connection, from: Option<Key>, now: Timestamp) -> rusqlite::Result<(u64, Option<Key>)> {
    let (instance, key) = from.unwrap_or((i64::MIN, [0; 16]));
    let tx = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let mut statement =
        tx.prepare_cached("SELECT instance, key, expires FROM duplicate WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT ?3")?;
    let keys: Vec<(Key, i64)> = statement
        .query_map(params![instance, key, STEP_KEYS as i64], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    drop(statement);
    let mut deleted = 0;
    for ((instance, key), _) in keys.iter().filter(|(_, expires)| *expires <= now.0) {
        deleted += tx.prepare_cached("DELETE FROM duplicate WHERE instance = ?1 AND key = ?2")?.execute(params![instance, key])?;
    }
    if deleted > 0 {
        tx.commit()?;
    }
    let reached = keys.last().filter(|_| keys.len() == STEP_KEYS).map(|(key, _)| *key);
    Ok((deleted as u64, reached))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incident::IncidentId;
    use crate::store::Write;
    use crate::store::sqlite::Prepared;
    use crate::store::testing::{Bench, DAY, NOON, draft, keyed, stored, with_fields, write};

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.retention = Some(Duration::from_millis(DAY as u64));
        bench
    }

    fn store(database: &mut Database, write: Write) -> Vec<IncidentId> {
        stored(&database.store([&Prepared::new(Arc::new(write))].into_iter()).unwrap()[0])
    }

    /// All steps of one walk; what is left after each of them must be readable.
    fn expire(bench: &Bench, database: &mut Database) -> (u64, usize) {
        let (mut deleted, mut steps) = (0, 0);
        loop {
            let progress = database.expire_incidents().unwrap();
            deleted += progress.deleted;
            steps += 1;
            bench.all();
            if !progress.more {
                return (deleted, steps);
            }
        }
    }

    #[test]
    fn what_is_older_than_the_retention_goes_with_all_that_refers_to_it() {
        let bench = bench();
        let mut database = bench.open();
        let samples = |drafts| Write { keep_samples: true, ..write(drafts) };
        store(&mut database, samples(vec![keyed(1), keyed(1), with_fields(&[("a", "1"), ("b", "2")])]));
        bench.set_time(NOON + 1);
        let kept = store(&mut database, samples(vec![with_fields(&[("a", "1")])]));

        bench.set_time(NOON + DAY);
        assert_eq!(expire(&bench, &mut database).0, 0, "exactly as old as the retention is kept");
        bench.set_time(NOON + DAY + 1);
        assert_eq!(expire(&bench, &mut database), (2, 1));
        assert_eq!(bench.all().iter().map(|incident| incident.id).collect::<Vec<_>>(), kept);
        assert_eq!(bench.count("SELECT count(*) FROM sample"), 1);
        assert_eq!(bench.count("SELECT count(*) FROM repeat"), 0);
        assert_eq!(bench.count("SELECT count(*) FROM field"), 1);
    }

    #[test]
    fn a_repeat_of_an_incident_that_expired_is_still_a_duplicate() {
        let bench = bench();
        let mut database = bench.open();
        let long = |drafts| Write { duplication_window: Duration::from_millis(3 * DAY as u64), ..write(drafts) };
        store(&mut database, long(vec![keyed(1)]));
        bench.set_time(NOON + 2 * DAY);
        assert_eq!(expire(&bench, &mut database).0, 1);
        assert_eq!(store(&mut database, long(vec![keyed(1)])), []);
        assert_eq!(bench.count("SELECT count(*) FROM repeat"), 0, "there is nothing to count it on");
    }

    #[test]
    fn steps_are_small_and_never_take_the_headers_before_the_rest() {
        let bench = bench();
        let mut database = bench.open();
        // Small ones before and after one that is larger than a step.
        for rows in [1, 150, 150, 3 * STEP_ROWS + 1, 2] {
            store(&mut database, write(vec![draft("{}"); rows]));
        }
        bench.set_time(NOON + 2 * DAY);
        store(&mut database, write(vec![draft("{}")]));
        let total = 1 + 150 + 150 + 3 * STEP_ROWS + 1 + 2;
        let (deleted, steps) = expire(&bench, &mut database);
        assert_eq!((deleted, bench.all().len()), (total as u64, 1));
        assert!(steps >= total / STEP_ROWS, "{steps}");
    }

    #[test]
    fn rows_from_a_time_when_the_clock_ran_ahead_do_not_keep_the_others() {
        let bench = bench();
        let mut database = bench.open();
        bench.set_time(NOON + 1000 * DAY);
        let ahead = [store(&mut database, write(vec![draft("{}")])), store(&mut database, write(vec![draft("{}"); 2 * STEP_ROWS]))];
        bench.set_time(NOON);
        store(&mut database, write(vec![draft("{}"); 2]));
        bench.set_time(NOON + 2 * DAY);
        assert_eq!(expire(&bench, &mut database).0, 2);
        assert_eq!(bench.all().len(), ahead.concat().len());
    }

    #[test]
    fn numbers_are_not_used_again_when_all_rows_are_gone() {
        let bench = bench();
        bench.set_time(NOON + 10 * DAY);
        let mut database = bench.open();
        let last = store(&mut database, write(vec![draft("{}")]))[0];
        bench.set_time(NOON + 20 * DAY);
        assert_eq!(expire(&bench, &mut database).0, 1);
        drop(database);
        bench.set_time(NOON);
        assert!(store(&mut bench.open(), write(vec![draft("{}")]))[0].seq() > last.seq());
    }

    #[test]
    fn keys_go_when_their_window_ended() {
        let bench = bench();
        let mut database = bench.open();
        let key = |n: u64| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&n.to_be_bytes());
            crate::incident::Draft { key: Some(key), ..draft("{}") }
        };
        let count = 2 * STEP_KEYS as u64 + 1;
        store(&mut database, write((0..count).map(key).collect()));
        bench.set_time(NOON + DAY - 1);
        store(&mut database, write(vec![key(count)]));
        bench.set_time(NOON + DAY);
        let steps: Vec<_> = (0..3).map(|_| database.expire_keys().unwrap()).collect();
        assert_eq!(steps.iter().map(|step| step.deleted).sum::<u64>(), count);
        assert_eq!(steps.iter().map(|step| step.more).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(bench.count("SELECT count(*) FROM duplicate"), 1);
    }
}

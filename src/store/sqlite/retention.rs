//! Deleting what is past its time, in steps so small that nobody at the entrance notices.
//!
//! The rows of a request stand together, share the headers of the first one and were created at the same moment. So they
//! expire together, and the first one goes last. Freed pages are used again by later incidents; the file does not shrink.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Database, LAST_SEQ, Marks, set_meta};
use crate::incident::{DuplicationKey, Seq, Timestamp};
use crate::store::error::{Failure, WriteError};

/// Incidents looked at in one step: some 2 ms when they are small.
const STEP_ROWS: usize = 500;
/// Time after which a step ends, at the next run: a commit that waits for it hardly notices.
const STEP_TIME: Duration = Duration::from_millis(2);
/// Incidents that go with one statement, which costs a fifth of a statement for each of them.
const RUN_ROWS: usize = 100;
/// Bytes of them: large ones are many pages to be freed.
const RUN_BYTES: i64 = 1 << 20;
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
    bytes: i64,
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
        "SELECT seq, coalesce(request, seq), instance, created, length(raw) FROM incident WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![from.0, end.0, step as i64 + 1], |row| {
        let (instance, created) = (row.get(2)?, Timestamp(row.get(3)?));
        Ok(Light { seq: Seq(row.get(0)?), head: Seq(row.get(1)?), instance, created, bytes: row.get(4)? })
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
    let (mut deleted, mut last, mut rest) = (0, None, rows);
    while let Some(first) = rest.first() {
        if last.is_some() && started.elapsed() > STEP_TIME {
            break;
        }
        let (run, after) = rest.split_at(run_length(rest, cutoff));
        if first.created < cutoff {
            deleted += delete.rows(run.iter().map(|row| (row.seq, row.instance)))?;
        }
        last = run.last().map(|row| row.seq);
        rest = after;
    }
    Ok((deleted, last))
}

/// How many of the first rows go, or stay, together: whole requests, at least one.
fn run_length(rows: &[Light], cutoff: Timestamp) -> usize {
    let (mut count, mut bytes) = (0, 0);
    for request in rows.chunk_by(|a, b| a.head == b.head) {
        let more = request.iter().map(|row| row.bytes).sum::<i64>();
        let fits = count + request.len() <= RUN_ROWS && bytes + more <= RUN_BYTES;
        if count > 0 && !(fits && (request[0].created < cutoff) == (rows[0].created < cutoff)) {
            break;
        }
        count += request.len();
        bytes += more;
    }
    count
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
    let deleted = Delete::new(tx)?.rows(last.iter().rev().copied())?;
    Ok((deleted, Seq(first.seq.0 - 1)))
}

/// Deletes runs of incidents, with all that refers to them.
struct Delete<'t> {
    incident: CachedStatement<'t>,
    repeat: CachedStatement<'t>,
    sample: CachedStatement<'t>,
    fields: CachedStatement<'t>,
}

impl<'t> Delete<'t> {
    fn new(tx: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            incident: tx.prepare_cached("DELETE FROM incident WHERE seq BETWEEN ?1 AND ?2")?,
            repeat: tx.prepare_cached("DELETE FROM repeat WHERE seq BETWEEN ?1 AND ?2")?,
            sample: tx.prepare_cached("DELETE FROM sample WHERE instance = ?1 AND seq BETWEEN ?2 AND ?3")?,
            fields: tx.prepare_cached("DELETE FROM field WHERE seq BETWEEN ?1 AND ?2")?,
        })
    }

    /// In their order, with their instances; no other row stands between the first and the last.
    fn rows(&mut self, rows: impl Iterator<Item = (Seq, i64)>) -> rusqlite::Result<u64> {
        let (seqs, instances): (Vec<_>, BTreeSet<_>) = rows.unzip();
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(0) };
        self.repeat.execute([first.0, last.0])?;
        self.fields.execute([first.0, last.0])?;
        for instance in instances {
            self.sample.execute([instance, first.0, last.0])?;
        }
        Ok(self.incident.execute([first.0, last.0])? as u64)
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
mod tests;

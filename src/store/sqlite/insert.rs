//! What happens to the requests of one transaction, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::blob::ZeroBlob;
use rusqlite::{CachedStatement, Connection, MAIN_DB, OptionalExtension, ToSql, params};

use super::checksum::{Content, Place};
use super::{Marks, fields, samples};
use crate::incident::{Draft, DuplicationKey, IncidentId, Seq, Timestamp};
use crate::store::{Outcome, Receipt, Write};

/// Binding a value makes two copies of it, in the statement and in the row. From here on that costs more than a second pass
/// over the pages, which needs none.
const STREAMED_BYTES: usize = 256 << 10;

/// What a row takes beside its content: itself, its duplication key, its places in the indexes.
const ROW_BYTES: usize = 1024;

const INCIDENT: &str = "INSERT INTO incident (seq, tail, checksum, instance, created, request, type, occurred, name, headers, raw)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const FIRST: &str = "SELECT seq, tail, created FROM duplicate WHERE instance = ?1 AND key = ?2";
const REMEMBER: &str = "INSERT OR REPLACE INTO duplicate (instance, key, seq, tail, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// The incident itself may have expired before the window of its key ended.
const REPEAT: &str = "INSERT INTO repeat (seq, count, last_seen)
    SELECT ?1, 1, ?2 WHERE EXISTS (SELECT 1 FROM incident WHERE seq = ?1)
    ON CONFLICT (seq) DO UPDATE SET count = count + 1, last_seen = excluded.last_seen";

/// A write with what the serving thread can compute for the writer.
#[derive(Debug)]
pub(in crate::store) struct Prepared {
    write: Arc<Write>,
    contents: Vec<Content>,
    bytes: usize,
}

impl Prepared {
    pub(in crate::store) fn new(write: Arc<Write>) -> Self {
        let request = Content::of_request(&write.instance, &write.headers);
        let content = |draft: &Draft| {
            let content = request.clone().of_incident(draft.kind.as_deref(), draft.occurred.as_deref(), &draft.name, &draft.raw);
            content.with_fields(&draft.fields)
        };
        let contents = write.drafts.iter().map(content).collect();
        let fields = |draft: &Draft| draft.fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>();
        let bytes = |draft: &Draft| draft.raw.len() + draft.name.len() + fields(draft);
        let bytes = write.headers.len() + write.drafts.iter().map(bytes).sum::<usize>();
        Self { write, contents, bytes }
    }

    pub(in crate::store) fn rows(&self) -> usize {
        self.contents.len()
    }

    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    /// About what it takes in the files.
    pub(in crate::store) fn room(&self) -> u64 {
        (self.bytes + self.bytes / 8 + self.rows() * ROW_BYTES) as u64
    }

    /// Counts what was committed.
    pub(in crate::store) fn count(&self, receipt: &Receipt) {
        let (incidents, duplicates) = receipt.counts();
        self.write.tally.add(receipt.created, incidents, duplicates);
    }
}

/// One transaction being filled.
pub(super) struct Insert<'t> {
    tx: &'t Connection,
    instances: &'t mut HashMap<Arc<str>, i64>,
    marks: Marks,
    now: Timestamp,
    incident: CachedStatement<'t>,
    // Not every batch needs them, and to have them at hand is not free.
    field: Option<CachedStatement<'t>>,
    first: Option<CachedStatement<'t>>,
    remember: Option<CachedStatement<'t>>,
    repeat: Option<CachedStatement<'t>>,
    /// By instance: what was stored and is to be kept as samples, in order.
    samples: HashMap<i64, Vec<Seq>>,
}

impl<'t> Insert<'t> {
    pub(super) fn new(
        tx: &'t Connection,
        instances: &'t mut HashMap<Arc<str>, i64>,
        marks: Marks,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            tx,
            instances,
            marks,
            now,
            incident: tx.prepare_cached(INCIDENT)?,
            field: None,
            first: None,
            remember: None,
            repeat: None,
            samples: HashMap::new(),
        })
    }

    /// Stores what of one request is new.
    pub(super) fn request(&mut self, prepared: &Prepared) -> rusqlite::Result<Receipt> {
        let write = &*prepared.write;
        let instance = self.instance(&write.instance)?;
        let memory = if write.duplicates_of == write.instance { instance } else { self.instance(&write.duplicates_of)? };
        let mut outcomes = Vec::with_capacity(write.drafts.len());
        let mut head = None;
        for (draft, content) in write.drafts.iter().zip(&prepared.contents) {
            if let Some(duplicate) = self.duplicate(memory, draft, write)? {
                outcomes.push(duplicate);
                continue;
            }
            let id = self.row(instance, write, draft, content, head)?;
            let seq = id.seq();
            head = head.or(Some(seq));
            if let Some(key) = &draft.key {
                self.remember(memory, key, id, write)?;
            }
            if write.keep_samples {
                self.samples.entry(instance).or_default().push(seq);
            }
            outcomes.push(Outcome::Stored(id));
        }
        Ok(Receipt { created: self.now, outcomes })
    }

    /// Writes what is written once a transaction.
    pub(super) fn finish(self, samples: u32) -> rusqlite::Result<Marks> {
        for (instance, seqs) in &self.samples {
            samples::keep(self.tx, *instance, seqs, samples)?;
        }
        Ok(self.marks)
    }

    /// The first event with the same key, if it is inside the window; counts the repeat.
    fn duplicate(&mut self, memory: i64, draft: &Draft, write: &Write) -> rusqlite::Result<Option<Outcome>> {
        let Some(key) = &draft.key else { return Ok(None) };
        let found = at_hand(&mut self.first, self.tx, FIRST)?
            .query_row(params![memory, key], |row| Ok((Seq(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned(), Timestamp(row.get(2)?))));
        let Some((seq, tail, created)) = found.optional()? else { return Ok(None) };
        // Stored more than a window ahead of now: the clock was wrong then, and the event is no reason to drop others until that day.
        if end_of_window(created, write) <= self.now.0 || end_of_window(self.now, write) <= created.0 {
            return Ok(None);
        }
        at_hand(&mut self.repeat, self.tx, REPEAT)?.execute(params![seq.0, self.now.0])?;
        Ok(Some(Outcome::Duplicate { first: IncidentId::new(seq, tail), created }))
    }

    fn remember(&mut self, memory: i64, key: &DuplicationKey, id: IncidentId, write: &Write) -> rusqlite::Result<()> {
        let expires = end_of_window(self.now, write);
        let remember = at_hand(&mut self.remember, self.tx, REMEMBER)?;
        remember.execute(params![memory, key, id.seq().0, id.tail().cast_signed(), self.now.0, expires]).map(drop)
    }

    /// Stores one incident; `head` is the row that has the request's headers already.
    fn row(&mut self, instance: i64, write: &Write, draft: &Draft, content: &Content, head: Option<Seq>) -> rusqlite::Result<IncidentId> {
        let id = IncidentId::new(self.marks.next(self.now), IncidentId::random_tail());
        let place = Place { seq: id.seq(), tail: id.tail().cast_signed(), created: self.now.0, request: head };
        let is_streamed = draft.raw.len() > STREAMED_BYTES;
        let zeros = ZeroBlob(draft.raw.len() as u64);
        let bytes = &*draft.raw;
        let raw: &dyn ToSql = if is_streamed { &zeros } else { &bytes };
        self.incident.execute(params![
            place.seq.0,
            place.tail,
            content.clone().stored_at(place),
            instance,
            place.created,
            head.map(|seq| seq.0),
            draft.kind.as_deref(),
            draft.occurred,
            &*draft.name,
            head.is_none().then_some(&write.headers),
            raw
        ])?;
        if is_streamed {
            self.stream(id.seq(), &draft.raw)?;
        }
        if !draft.fields.is_empty() {
            fields::insert(at_hand(&mut self.field, self.tx, fields::INSERT)?, id.seq(), &draft.fields)?;
        }
        Ok(id)
    }

    /// Fills the zeros of a large value, page by page.
    fn stream(&self, seq: Seq, raw: &[u8]) -> rusqlite::Result<()> {
        let mut blob = self.tx.blob_open(MAIN_DB, c"incident", c"raw", seq.0, false)?;
        blob.write_at(raw, 0)?;
        blob.close()
    }

    fn instance(&mut self, name: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some(id) = self.instances.get(name) {
            return Ok(*id);
        }
        self.tx.execute("INSERT OR IGNORE INTO instance (name) VALUES (?1)", [name])?;
        let id = self.tx.query_row("SELECT id FROM instance WHERE name = ?1", [name], |row| row.get(0))?;
        self.instances.insert(Arc::clone(name), id);
        Ok(id)
    }
}

/// The statement in `slot`, taken from the connection's cache the first time.
fn at_hand<'s, 't>(
    slot: &'s mut Option<CachedStatement<'t>>,
    tx: &'t Connection,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'t>> {
    if slot.is_none() {
        *slot = Some(tx.prepare_cached(sql)?);
    }
    Ok(slot.as_mut().expect("it was just put there"))
}

/// From this millisecond on, an event with the same key as one of `created` is a new one.
fn end_of_window(created: Timestamp, write: &Write) -> i64 {
    created.0.saturating_add(write.duplication_window.as_millis().try_into().unwrap_or(i64::MAX))
}

//! What the store's tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::sqlite::{Clock, Database};
use super::{Filter, Options, Order, Outcome, Reader, Receipt, Write};
use crate::incident::{Draft, Field, Incident, IncidentId, Timestamp};
use crate::metrics::Metrics;

/// Any moment.
pub(super) const NOON: i64 = 1_700_000_000_000;
pub(super) const DAY: i64 = 86_400_000;

/// A folder with room for one store, whose clock stands still until it is set.
pub(super) struct Bench {
    folder: TempDir,
    time: Arc<AtomicI64>,
    pub(super) retention: Option<Duration>,
    pub(super) samples: u32,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), time: Arc::new(AtomicI64::new(NOON)), retention: None, samples: 20 }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("x.db")
    }

    pub(super) fn options(&self) -> Options {
        Options { path: self.path(), retention: self.retention, samples: self.samples, metrics: Arc::new(Metrics::new()) }
    }

    pub(super) fn set_time(&self, millis: i64) {
        self.time.store(millis, Ordering::SeqCst);
    }

    pub(super) fn clock(&self) -> Clock {
        let time = Arc::clone(&self.time);
        Box::new(move || Timestamp(time.load(Ordering::SeqCst)))
    }

    pub(super) fn open(&self) -> Database {
        Database::open(&self.options(), self.clock()).unwrap()
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap()
    }

    /// A connection as the sqlite3 shell would have it.
    pub(super) fn shell(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// The first number of a query.
    pub(super) fn count(&self, sql: &str) -> i64 {
        self.shell().query_row(sql, (), |row| row.get(0)).unwrap()
    }

    /// Everything, oldest first.
    pub(super) fn all(&self) -> Vec<Incident> {
        read_all(&self.reader(), &Filter { order: Order::OldestFirst, ..Filter::default() })
    }
}

/// All pages of a filter.
pub(super) fn read_all(reader: &Reader, filter: &Filter) -> Vec<Incident> {
    let mut filter = filter.clone();
    let mut all = Vec::new();
    loop {
        let page = reader.page(&filter).unwrap();
        all.extend(page.incidents);
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            return all;
        }
    }
}

pub(super) fn draft(raw: &str) -> Draft {
    Draft {
        name: "n".into(),
        kind: None,
        occurred: None,
        raw: Bytes::copy_from_slice(raw.as_bytes()),
        key: None,
        fields: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A draft with own fields.
pub(super) fn with_fields(fields: &[(&str, &str)]) -> Draft {
    let field = |(name, value): &(&str, &str)| Field { name: (*name).into(), value: (*value).into() };
    Draft { fields: fields.iter().map(field).collect(), ..draft("{}") }
}

/// A draft with a duplication key.
pub(super) fn keyed(key: u8) -> Draft {
    Draft { key: Some([key; 16]), ..draft(&format!("{{\"key\":{key}}}")) }
}

/// Of instance `a`, without samples, with a window of a day.
pub(super) fn write(drafts: Vec<Draft>) -> Write {
    Write {
        tally: Arc::default(),
        instance: "a".into(),
        headers: r#"{"host":"h"}"#.into(),
        drafts,
        keep_samples: false,
        duplicates_of: "a".into(),
        duplication_window: Duration::from_millis(DAY as u64),
    }
}

pub(super) fn stored(receipt: &Receipt) -> Vec<IncidentId> {
    receipt
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Stored(id) => Some(*id),
            Outcome::Duplicate { .. } => None,
        })
        .collect()
}

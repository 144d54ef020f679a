//! The thread that writes. Nobody else does.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::watch;

use super::Receipt;
use super::error::{Consequence, Failure, WriteError};
use super::lane::Inbox;
use super::queue::{Queue, Request};
use super::sqlite::Database;
use super::upkeep::Upkeep;
use crate::metrics::Metrics;

/// The outcome of the latest commit.
#[derive(Clone, Debug)]
pub(super) struct Health(Option<(Instant, Result<(), WriteError>)>);

impl Health {
    pub(super) fn unknown() -> Self {
        Self(None)
    }

    /// The outcome, if it is not older than `moment`.
    pub(super) fn since(&self, moment: Option<Instant>) -> Option<Result<(), WriteError>> {
        let (at, outcome) = self.0.as_ref()?;
        moment.is_none_or(|moment| *at >= moment).then(|| outcome.clone())
    }
}

pub(super) struct Writer {
    database: Database,
    queue: Arc<Queue>,
    health: watch::Sender<Health>,
    fatal: watch::Sender<Option<Arc<str>>>,
    metrics: Arc<Metrics>,
    upkeep: Upkeep,
}

/// Runs the writer on its thread until the queue is closed.
pub(super) fn spawn(writer: Writer) -> io::Result<JoinHandle<()>> {
    let queue = Arc::clone(&writer.queue);
    let fatal = writer.fatal.clone();
    // Linux shows 15 bytes of a thread's name.
    thread::Builder::new().name("hookgate-writer".into()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
            // What it had in hand is answered by the dropping of the reply channels.
            stop(&queue, &fatal, "the writer panicked");
        }
    })
}

/// Nothing may be written any more: whoever waits is refused, whoever comes too, and the process is told to end.
fn stop(queue: &Queue, fatal: &watch::Sender<Option<Arc<str>>>, reason: &str) {
    let reason: Arc<str> = reason.into();
    tracing::error!(%reason, "the store stops writing");
    let error = WriteError::Io(Arc::clone(&reason));
    refuse(queue.fail(error.clone()), &error);
    fatal.send_replace(Some(reason));
}

/// Answers everybody with the same error.
pub(super) fn refuse(requests: Vec<Request>, error: &WriteError) {
    answer(requests.into_iter().map(|request| (request, Err(error.clone()))));
}

/// Answers everybody, waking each lane once.
fn answer(answers: impl Iterator<Item = (Request, Result<Receipt, WriteError>)>) {
    let mut inboxes: Vec<Arc<Inbox>> = Vec::new();
    for (request, answer) in answers {
        request.inbox.put(request.reply, answer);
        // There are as many lanes as cores, so looking through them is quick.
        if !inboxes.iter().any(|known| Arc::ptr_eq(known, &request.inbox)) {
            inboxes.push(request.inbox);
        }
    }
    for inbox in inboxes {
        inbox.flush();
    }
}

impl Writer {
    pub(super) fn new(
        database: Database,
        queue: Arc<Queue>,
        health: watch::Sender<Health>,
        fatal: watch::Sender<Option<Arc<str>>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let upkeep = Upkeep::new(Arc::clone(&metrics), Instant::now());
        Self { database, queue, health, fatal, metrics, upkeep }
    }

    fn run(mut self) {
        loop {
            let work = self.queue.take(self.upkeep.due(&self.database));
            let has_requests = !work.requests.is_empty();
            let outcome = if has_requests {
                self.commit(work.requests)
            } else if work.probe {
                self.probe()
            } else if work.closing {
                break;
            } else {
                Ok(())
            };
            // Whoever was answered just now may well be about to send again.
            let is_busy = has_requests || !self.queue.is_empty();
            if let Err(fatal) = outcome.and_then(|()| self.upkeep.step(&mut self.database, is_busy)) {
                // The lock on the database is let go of only now.
                return stop(&self.queue, &self.fatal, &fatal);
            }
        }
        if let Err(failure) = self.database.close() {
            // Nothing is lost: what is in the write-ahead log is read from there at the next start.
            tracing::warn!(error = %failure.error, "the write-ahead log stays behind");
        }
    }

    /// Commits all of `requests` in one transaction and answers them. Fails if nothing may be written any more.
    fn commit(&mut self, requests: Vec<Request>) -> Result<(), Arc<str>> {
        let bytes = requests.iter().map(|request| request.prepared.room()).sum();
        if !self.upkeep.has_room(&mut self.database, bytes) {
            return self.commit_what_fits(requests);
        }
        let started = Instant::now();
        match self.database.store(requests.iter().map(|request| &request.prepared)) {
            Ok(receipts) => {
                self.metrics.commit_duration.observe(started.elapsed().as_secs_f64());
                let rows = requests.iter().map(|request| request.prepared.rows()).sum::<usize>();
                self.metrics.commit_incidents.observe(rows as f64);
                self.note(Ok(()));
                requests.iter().zip(&receipts).for_each(|(request, receipt)| request.prepared.count(receipt));
                answer(requests.into_iter().zip(receipts.into_iter().map(Ok)));
                self.upkeep.committed(rows);
                Ok(())
            }
            Err(failure) if failure.consequence == Consequence::OneRow && requests.len() > 1 => {
                requests.into_iter().try_for_each(|request| self.commit(vec![request]))
            }
            Err(failure) => self.failed(requests, &failure),
        }
    }

    /// There is no room for all of them. The smaller ones of a batch may fit where the disk is full only for the whole of it.
    fn commit_what_fits(&mut self, mut requests: Vec<Request>) -> Result<(), Arc<str>> {
        let is_full = self.upkeep.is_full(&mut self.database);
        if requests.len() > 1 && !is_full {
            let second = requests.split_off(requests.len() / 2);
            return self.commit(requests).and_then(|()| self.commit(second));
        }
        if is_full {
            self.note(Err(&WriteError::DiskFull));
        }
        refuse(requests, &WriteError::DiskFull);
        Ok(())
    }

    fn probe(&mut self) -> Result<(), Arc<str>> {
        if self.upkeep.is_full(&mut self.database) {
            self.note(Err(&WriteError::DiskFull));
            return Ok(());
        }
        match self.database.probe() {
            Ok(()) => {
                self.note(Ok(()));
                self.upkeep.committed(0);
                Ok(())
            }
            Err(failure) => self.failed(Vec::new(), &failure),
        }
    }

    fn failed(&mut self, requests: Vec<Request>, failure: &Failure) -> Result<(), Arc<str>> {
        match failure.consequence {
            // The store is well; it is this request that it cannot take.
            Consequence::OneRow => tracing::error!(error = %failure.error, "a request cannot be stored"),
            Consequence::TryAgain | Consequence::Fatal => self.note(Err(&failure.error)),
        }
        refuse(requests, &failure.error);
        if failure.error == WriteError::DiskFull {
            self.upkeep.disk_is_full(&mut self.database);
        }
        if failure.consequence == Consequence::Fatal { Err(failure.error.to_string().into()) } else { Ok(()) }
    }

    /// Remembers the outcome of a commit; logs when it is another than before, not each of thousands a second.
    fn note(&self, outcome: Result<(), &WriteError>) {
        if outcome.is_err() {
            self.metrics.commit_failures.inc();
        }
        let health = Health(Some((Instant::now(), outcome.map_err(WriteError::clone))));
        let before = self.health.send_replace(health);
        match (before.since(None), outcome) {
            (Some(Err(_)), Ok(())) => tracing::info!("the store takes commits again"),
            (Some(Err(before)), Err(now)) if before == *now => {}
            (_, Err(error)) => tracing::error!(%error, "a commit failed"),
            (_, Ok(())) => {}
        }
    }
}

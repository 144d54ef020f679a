//! The bounded queue in front of the writer.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use super::Answer;
use super::error::WriteError;
use super::lane::Inbox;
use super::sqlite::Prepared;

/// Requests that may wait: at 30,000 a second more than half a second's worth. A sender that waits longer is better told to come back.
pub(super) const CAPACITY: usize = 16_384;
/// Bytes that may wait, for memory's sake: requests whose sender hung up wait as well, and count in no other budget.
const CAPACITY_BYTES: usize = 256 << 20;
/// Rows in one transaction, so that nobody stands behind a commit of more than some 20 ms.
const BATCH_ROWS: usize = 4096;
/// Bytes in one transaction, for the same reason: some 10 ms of writing.
const BATCH_BYTES: usize = 8 << 20;

/// One request on its way to the writer.
pub(super) struct Request {
    pub(super) prepared: Prepared,
    pub(super) inbox: Arc<Inbox>,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// What the writer finds when it looks.
#[derive(Default)]
pub(super) struct Work {
    /// In the order of arrival; as many as one transaction takes.
    pub(super) requests: Vec<Request>,
    /// Somebody wants to know whether a commit succeeds now.
    pub(super) probe: bool,
    /// Nothing more will come.
    pub(super) closing: bool,
}

/// Many serving threads push, the writer takes.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    waiting: Gauge,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    bytes: usize,
    probe: bool,
    /// Why nothing is taken any more.
    refusal: Option<WriteError>,
    /// The writer waits on the condition variable. Notifying costs a system call, so it is done only then.
    is_asleep: bool,
}

impl Queue {
    pub(super) fn new(waiting: Gauge) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), waiting }
    }

    /// Hands a request to the writer, which from here on commits it whether or not anybody still waits for the answer.
    pub(super) fn push(&self, request: Request) -> Result<(), WriteError> {
        let mut state = self.open()?;
        let bytes = request.prepared.bytes();
        // An empty queue takes any request: what may be in one is bounded at the entrance.
        let is_full = state.requests.len() >= CAPACITY || state.bytes + bytes > CAPACITY_BYTES;
        if is_full && !state.requests.is_empty() {
            return Err(WriteError::QueueFull);
        }
        state.bytes += bytes;
        state.requests.push_back(request);
        self.waiting.inc();
        self.wake(state);
        Ok(())
    }

    /// Why nothing is taken any more, if so.
    pub(super) fn check(&self) -> Result<(), WriteError> {
        self.open().map(drop)
    }

    /// Asks for one commit attempt, even of nothing.
    pub(super) fn probe(&self) -> Result<(), WriteError> {
        let mut state = self.open()?;
        state.probe = true;
        self.wake(state);
        Ok(())
    }

    /// Takes nothing more in; what waits is still the writer's to take.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.refusal.get_or_insert(WriteError::Closing);
        self.wake(state);
    }

    /// Takes nothing more in and hands back what waits, to be refused.
    pub(super) fn fail(&self, error: WriteError) -> Vec<Request> {
        let mut state = self.lock();
        state.refusal = Some(error);
        let requests = Vec::from(mem::take(&mut state.requests));
        state.bytes = 0;
        self.waiting.dec_by(requests.len() as i64);
        requests
    }

    /// Whether a request waits right now.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().requests.is_empty()
    }

    /// Waits until there is something to do, but not beyond `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Work {
        let mut state = self.lock();
        loop {
            if !state.requests.is_empty() || state.probe || state.refusal.is_some() {
                break;
            }
            let Some(patience) = deadline.checked_duration_since(Instant::now()) else { break };
            state.is_asleep = true;
            state = self.arrived.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
            state.is_asleep = false;
        }
        let requests = take_batch(&mut state.requests);
        state.bytes -= requests.iter().map(|request| request.prepared.bytes()).sum::<usize>();
        self.waiting.dec_by(requests.len() as i64);
        Work { requests, probe: mem::take(&mut state.probe), closing: state.refusal.is_some() }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, WriteError> {
        let state = self.lock();
        match &state.refusal {
            None => Ok(state),
            Some(refusal) => Err(refusal.clone()),
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.is_asleep) {
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// The state is whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At least one request, however large; then as many as keep the batch within its bounds.
fn take_batch(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let (mut count, mut rows, mut bytes) = (0, 0, 0);
    for request in waiting.iter() {
        rows += request.prepared.rows();
        bytes += request.prepared.bytes();
        if count > 0 && (rows > BATCH_ROWS || bytes > BATCH_BYTES) {
            break;
        }
        count += 1;
    }
    waiting.drain(..count).collect()
}

//! The bounded queue in front of the writer.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
/// Rows that may wait: the writer stores 100,000 and more a second, so hardly a second's worth on a disk ten times as slow.
const CAPACITY_ROWS: usize = 65_536;
/// Who came first has waited so long: the writer is stuck, and whoever comes now would wait as long or longer.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// A commit that has not begun by then is not begun any more: senders that wait for 5 s must not be answered later.
pub(super) const MOST_WAIT: Duration = Duration::from_secs(4);
/// Rows in one transaction, so that nobody stands behind a commit of more than some 20 ms.
const BATCH_ROWS: usize = 4096;
/// Bytes in one transaction, for the same reason: some 10 ms of writing.
const BATCH_BYTES: usize = 8 << 20;

/// One request on its way to the writer.
pub(super) struct Request {
    pub(super) since: Instant,
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
    rows: usize,
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

    /// Hands a request to the writer, which from here on commits it whether or not anybody still waits for the answer, unless it
    /// waits for too [long](Self::take_overdue).
    pub(super) fn push(&self, request: Request) -> Result<(), WriteError> {
        let mut state = self.open()?;
        // An empty queue takes any request: what may be in one is bounded at the entrance.
        if let Some(oldest) = state.requests.front()
            && (request.since.saturating_duration_since(oldest.since) > STUCK_AFTER || state.would_overflow(&request))
        {
            return Err(WriteError::QueueFull);
        }
        state.bytes += request.prepared.bytes();
        state.rows += request.prepared.rows();
        state.requests.push_back(request);
        self.waiting.inc();
        self.wake(state);
        Ok(())
    }

    /// Takes out those whose commit has not begun after [`MOST_WAIT`], to be refused: nothing of them is or will be stored.
    pub(super) fn take_overdue(&self) -> Vec<Request> {
        let mut state = self.lock();
        let now = Instant::now();
        let is_overdue = |request: &Request| now.saturating_duration_since(request.since) >= MOST_WAIT;
        // They stand in the order of arrival.
        let count = state.requests.iter().take_while(|request| is_overdue(request)).count();
        let overdue: Vec<_> = state.requests.drain(..count).collect();
        overdue.iter().for_each(|request| state.forget(request));
        self.waiting.dec_by(overdue.len() as i64);
        overdue
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
        (state.bytes, state.rows) = (0, 0);
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
        requests.iter().for_each(|request| state.forget(request));
        self.waiting.dec_by(requests.len() as i64);
        Work { requests, probe: mem::take(&mut state.probe), closing: state.refusal.is_some() }
    }

    /// As if everything had waited for so much longer.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        self.lock().requests.iter_mut().for_each(|request| request.since -= by);
    }

    /// What the gauge says.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> i64 {
        self.waiting.get()
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

impl State {
    fn would_overflow(&self, request: &Request) -> bool {
        self.requests.len() >= CAPACITY
            || self.bytes + request.prepared.bytes() > CAPACITY_BYTES
            || self.rows + request.prepared.rows() > CAPACITY_ROWS
    }

    fn forget(&mut self, request: &Request) {
        self.bytes -= request.prepared.bytes();
        self.rows -= request.prepared.rows();
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

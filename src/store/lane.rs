//! The way from one serving runtime to the writer and back.
//!
//! Waking a task of another thread costs a system call. So the writer puts all answers for a runtime into that lane's inbox
//! and wakes one task there, the pump, which hands them out at home, where waking is cheap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, mem};

use tokio::sync::{Notify, oneshot};

use super::error::WriteError;
use super::queue::{MOST_WAIT, Queue, Request};
use super::sqlite::Prepared;
use super::writer::refuse;
use super::{Answer, Receipt, Write};
use crate::incident::Timestamp;

/// One serving runtime's way to the writer; see [`super::Store::lane`].
#[derive(Clone)]
pub struct Lane {
    queue: Arc<Queue>,
    inbox: Arc<Inbox>,
}

impl Lane {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, inbox: Arc::default() }
    }

    /// Stores everything in `write` or nothing of it, and comes back when it is on stable storage.
    ///
    /// Once this future was polled, dropping it does not cancel the commit. A write without drafts is done at once. When the
    /// commit has not begun after 4 s, it is not begun any more and the write is refused; once begun, its true outcome is
    /// waited for. Must be awaited on a tokio runtime with time enabled.
    pub async fn commit(&self, write: Arc<Write>) -> Result<Receipt, WriteError> {
        if write.drafts.is_empty() {
            return Ok(Receipt { created: Timestamp::now(), outcomes: Vec::new() });
        }
        Inbox::ensure_pump(&self.inbox);
        let (reply, mut answer) = oneshot::channel();
        self.queue.push(Request { since: Instant::now(), prepared: Prepared::new(write), inbox: Arc::clone(&self.inbox), reply })?;
        let answer = match tokio::time::timeout(MOST_WAIT, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                refuse(self.queue.take_overdue(), &WriteError::Overdue);
                answer.await
            }
        };
        // The sender is dropped unused only if the writer panicked.
        answer.unwrap_or_else(|_| Err(WriteError::Io("the writer ended while this request was with it".into())))
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// Answers on their way home.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

type Answered = (oneshot::Sender<Answer>, Answer);

#[derive(Default)]
struct State {
    answers: Vec<Answered>,
    has_pump: bool,
}

impl Inbox {
    /// Leaves an answer; [`Self::flush`] must follow.
    pub(super) fn put(&self, reply: oneshot::Sender<Answer>, answer: Answer) {
        self.lock().answers.push((reply, answer));
    }

    /// Has the answers handed out.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        if state.has_pump {
            drop(state);
            self.arrived.notify_one();
        } else {
            // The runtime is gone and its pump with it; whoever still waits, waits elsewhere.
            let answers = mem::take(&mut state.answers);
            drop(state);
            hand_out(answers);
        }
    }

    /// Starts the pump on the current runtime unless one runs.
    fn ensure_pump(inbox: &Arc<Self>) {
        let mut state = inbox.lock();
        if !mem::replace(&mut state.has_pump, true) {
            drop(state);
            tokio::spawn(pump(PumpGuard(Arc::clone(inbox))));
        }
    }

    fn take(&self) -> Vec<Answered> {
        mem::take(&mut self.lock().answers)
    }

    /// The state is whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out what comes in, for as long as the runtime lives.
async fn pump(inbox: PumpGuard) {
    loop {
        inbox.0.arrived.notified().await;
        hand_out(inbox.0.take());
    }
}

/// Takes note when the pump goes down with its runtime.
struct PumpGuard(Arc<Inbox>);

impl Drop for PumpGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_pump = false;
        let answers = mem::take(&mut state.answers);
        drop(state);
        hand_out(answers);
    }
}

fn hand_out(answers: Vec<Answered>) {
    for (reply, answer) in answers {
        // Nobody waits any more: the client hung up. What was stored stays stored.
        let _ = reply.send(answer);
    }
}

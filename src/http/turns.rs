//! Turns for what would hold up everybody else on a serving thread: reading large and packed bodies.
//!
//! It is done on a worker's threads for blocking work, which Argon2id needs too. So few are at it at the same time, and who has to
//! wait for a turn waits here, on no thread. A map makes values of a body, many times as large as its JSON; those whose body is
//! for one wait for memory before they wait for a thread, so that those who need none do not wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::Refused;
use crate::mapping::MOST_MEMORY;

/// Of those who have shown who they are, on all workers at the same time. Without a map a body takes some milliseconds at most, so few are
/// enough; and with the others they are fewer than a single worker has threads, so that Argon2id always finds one.
const PROVEN: usize = 4;
/// Of the others.
const UNPROVEN: usize = 3;
/// Bytes that memory is counted in.
const UNIT: usize = 1 << 20;
/// How long a request waits for its turn: it may have to wait for its commit, too, and senders give up after 5 to 10 seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may read a large body now.
#[derive(Debug)]
pub(super) struct Turns {
    threads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    patience: Duration,
}

/// Given back when dropped. It goes with the work: a caller that hangs up does not end that.
#[derive(Debug)]
pub(super) struct Turn {
    _memory: OwnedSemaphorePermit,
    _thread: OwnedSemaphorePermit,
}

impl Turns {
    /// For callers who have shown who they are.
    pub(super) fn of_proven() -> Self {
        Self::new(PROVEN, 2 * MOST_MEMORY)
    }

    /// For callers whose body is still to show it.
    pub(super) fn of_unproven() -> Self {
        Self::new(UNPROVEN, MOST_MEMORY)
    }

    /// For so many at the same time, whose values take so many bytes together.
    fn new(threads: usize, memory: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { threads: semaphore(threads), memory: semaphore(memory / UNIT), patience: PATIENCE }
    }

    /// Waits for a turn; `memory` is what values take, in bytes, at most [`MOST_MEMORY`].
    pub(super) async fn take(&self, memory: usize) -> Result<Turn, Refused> {
        let units = u32::try_from(memory.min(MOST_MEMORY).div_ceil(UNIT)).expect("it is a small number");
        let turn = async {
            let memory = Arc::clone(&self.memory).acquire_many_owned(units).await;
            let thread = Arc::clone(&self.threads).acquire_owned().await;
            let never = "it is never closed";
            Turn { _memory: memory.expect(never), _thread: thread.expect(never) }
        };
        timeout(self.patience, turn).await.map_err(|_| Refused::NoTurn { after: self.patience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_is_told_so() {
        let turns = Turns { patience: Duration::ZERO, ..Turns::of_proven() };
        let held = take(&turns, PROVEN, 0).await;
        assert!(matches!(turns.take(0).await, Err(Refused::NoTurn { .. })));
        drop(held);
        assert!(turns.take(0).await.is_ok());
    }

    #[tokio::test]
    async fn who_needs_no_memory_does_not_wait_for_it() {
        let turns = Turns { patience: Duration::ZERO, ..Turns::of_proven() };
        let _held = take(&turns, 2, MOST_MEMORY).await;
        assert!(matches!(turns.take(1).await, Err(Refused::NoTurn { .. })), "the memory is used up");
        assert!(turns.take(0).await.is_ok());
    }

    async fn take(turns: &Turns, count: usize, memory: usize) -> Vec<Turn> {
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(turns.take(memory).await.unwrap());
        }
        held
    }
}

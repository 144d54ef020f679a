//! A filter that runs away again and again is left alone for a while: it costs all it may each time, and gives nothing.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::incident::Timestamp;

/// Runaways in a row, no event between them that the filter could cope with. One odd event does not switch a filter off.
const PATIENCE: u32 = 10;
/// Milliseconds until it is tried again.
const REST: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Breaker {
    in_a_row: AtomicU32,
    /// Milliseconds since 1970.
    resting_until: AtomicI64,
}

impl Breaker {
    /// Whether the filter is to be left alone now.
    pub(super) fn is_open(&self) -> bool {
        let until = self.resting_until.load(Ordering::Relaxed);
        // The clock is looked at only by who rests.
        until != 0 && Timestamp::coarse().0 < until
    }

    pub(super) fn went_well(&self) {
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
            self.resting_until.store(0, Ordering::Relaxed);
        }
    }

    /// Says whether that was once too often.
    pub(super) fn ran_away(&self) -> bool {
        let is_enough = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE;
        if is_enough {
            self.resting_until.store(Timestamp::coarse().0 + REST, Ordering::Relaxed);
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runaways_in_a_row_switch_a_filter_off() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..PATIENCE {
                assert!(!breaker.ran_away());
            }
            breaker.went_well();
        }
        assert!(!breaker.is_open());
        assert!((0..PATIENCE).any(|_| breaker.ran_away()));
        assert!(breaker.is_open());
        breaker.resting_until.store(1, Ordering::Relaxed);
        assert!(!breaker.is_open(), "it is tried again");
        assert!(breaker.ran_away(), "and once is enough now");
        breaker.resting_until.store(1, Ordering::Relaxed);
        breaker.went_well();
        assert!(!breaker.ran_away());
    }
}

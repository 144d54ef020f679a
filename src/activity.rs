//! When an instance was last heard of. A leaf: the entrance writes on its hot path, the admin API and the watch over quiet
//! sources read.
//!
//! Every moment is one atomic number. Nothing is decided by comparing two of them, so no ordering between them is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use prometheus_client::metrics::counter::Counter;

use crate::incident::Timestamp;

/// Stands for a moment that has not come: 292 million years ago.
const NEVER: i64 = i64::MIN;

/// The last time that something happened.
#[derive(Debug)]
pub struct Moment(AtomicI64);

impl Default for Moment {
    /// It has not happened yet.
    fn default() -> Self {
        Self(AtomicI64::new(NEVER))
    }
}

impl Moment {
    /// It happened at `time`.
    pub fn set(&self, time: Timestamp) {
        // Most requests of a busy instance share their millisecond with another: reading leaves the cache line with all cores.
        if self.0.load(Ordering::Relaxed) != time.0 {
            self.0.store(time.0, Ordering::Relaxed);
        }
    }

    /// When it last happened; none: never.
    pub fn get(&self) -> Option<Timestamp> {
        let time = self.0.load(Ordering::Relaxed);
        (time != NEVER).then_some(Timestamp(time))
    }
}

/// What is known of an instance's use. Survives a reload.
#[derive(Debug, Default)]
pub struct Activity {
    /// An event was accepted: stored, or found to be a duplicate.
    pub last_event: Moment,
    /// A request was refused.
    pub last_refusal: Moment,
    /// Nothing arrived for longer than expected.
    pub is_silent: AtomicBool,
}

/// What becomes of an instance's events. Whoever stores them counts them here, so that those whose sender has hung up count too.
#[derive(Debug, Default)]
pub struct Tally {
    /// New incidents.
    pub incidents: Counter,
    /// Events that were already stored.
    pub duplicates: Counter,
    /// When the latest came.
    pub activity: Arc<Activity>,
}

impl Tally {
    /// At `created` so many events were stored or found to be duplicates.
    pub fn add(&self, created: Timestamp, incidents: u64, duplicates: u64) {
        self.activity.last_event.set(created);
        self.incidents.inc_by(incidents);
        self.duplicates.inc_by(duplicates);
    }
}

impl Activity {
    /// An instance whose last event is known from an earlier run.
    pub fn resumed(last_event: Option<Timestamp>) -> Self {
        let activity = Self::default();
        if let Some(time) = last_event {
            activity.last_event.set(time);
        }
        activity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_never_until_it_comes() {
        let moment = Moment::default();
        assert_eq!(moment.get(), None);
        for time in [Timestamp(0), Timestamp(-1), Timestamp(7), Timestamp(5)] {
            moment.set(time);
            assert_eq!(moment.get(), Some(time), "the clock may run back");
        }
    }

    #[test]
    fn an_earlier_run_is_remembered() {
        assert_eq!(Activity::resumed(Some(Timestamp(3))).last_event.get(), Some(Timestamp(3)));
        assert_eq!(Activity::resumed(None).last_event.get(), None);
    }
}

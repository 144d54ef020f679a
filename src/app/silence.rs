//! The watch over quiet sources: silence is the failure that nobody reports.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::activity::Activity;
use crate::incident::Timestamp;
use crate::metrics::{InstanceLabel, Metrics};

/// Notes when instances fall silent and when they speak again.
///
/// Goes by a clock that cannot jump: a time that was set wrong makes no source silent. So an instance counts as heard of
/// when the watch saw that it was, and at the start, whatever an earlier run knew: nobody could have reached it in between.
#[derive(Debug)]
pub(super) struct Silence {
    metrics: Arc<Metrics>,
    watched: HashMap<String, Watched>,
}

/// An instance that may be quiet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    /// None: it may be silent for ever.
    pub(super) expect_every: Option<Duration>,
    pub(super) activity: &'a Arc<Activity>,
}

#[derive(Debug)]
struct Watched {
    activity: Arc<Activity>,
    expect_every: Option<Duration>,
    last_event: Option<Timestamp>,
    /// Nothing arrived since.
    quiet_since: Instant,
}

impl Silence {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, watched: HashMap::new() }
    }

    /// From here on watches these and no others. The patience with those that go on is counted on.
    pub(super) fn watch<'a>(&mut self, sources: impl IntoIterator<Item = Source<'a>>, now: Instant) {
        let mut before = std::mem::take(&mut self.watched);
        for Source { name, expect_every, activity } in sources {
            let watched = match before.remove(name) {
                Some(watched) => Watched { expect_every, ..watched },
                None => self.begin(name, expect_every, activity, now),
            };
            if expect_every.is_none() {
                watched.activity.is_silent.store(false, Ordering::Relaxed);
                self.metrics.silent.remove(&label(name));
            }
            self.watched.insert(name.to_owned(), watched);
        }
        for name in before.keys() {
            self.metrics.silent.remove(&label(name));
            self.metrics.last_event.remove(&label(name));
        }
    }

    fn begin(&self, name: &str, expect_every: Option<Duration>, activity: &Arc<Activity>, now: Instant) -> Watched {
        let last_event = activity.last_event.get();
        if let Some(time) = last_event {
            self.note_event(name, time);
        }
        Watched { activity: Arc::clone(activity), expect_every, last_event, quiet_since: now }
    }

    /// Looks at every instance; to be called about once a second.
    pub(super) fn look(&mut self, now: Instant) {
        let mut watched = std::mem::take(&mut self.watched);
        for (name, instance) in &mut watched {
            let last_event = instance.activity.last_event.get();
            if let Some(time) = last_event.filter(|_| last_event != instance.last_event) {
                instance.quiet_since = now;
                instance.last_event = last_event;
                self.note_event(name, time);
            }
            if let Some(expect_every) = instance.expect_every {
                self.judge(name, instance, expect_every, now);
            }
        }
        self.watched = watched;
    }

    fn judge(&self, name: &str, instance: &Watched, expect_every: Duration, now: Instant) {
        let is_silent = now.saturating_duration_since(instance.quiet_since) >= expect_every;
        self.metrics.silent.get_or_create(&label(name)).set(i64::from(is_silent));
        let was_silent = instance.activity.is_silent.swap(is_silent, Ordering::Relaxed);
        let last_event = instance.last_event.map(|time| time.to_string());
        match (was_silent, is_silent) {
            (false, true) => tracing::warn!(instance = name, ?expect_every, last_event, "nothing has arrived for longer than expected"),
            (true, false) => tracing::info!(instance = name, last_event, "events arrive again"),
            _ => {}
        }
    }

    fn note_event(&self, name: &str, time: Timestamp) {
        self.metrics.last_event.get_or_create(&label(name)).set(time.0 / 1000);
    }
}

fn label(instance: &str) -> InstanceLabel {
    InstanceLabel { instance: instance.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_secs(3600);
    const MOMENT: Duration = Duration::from_secs(1);

    struct Bench {
        silence: Silence,
        activity: Arc<Activity>,
        start: Instant,
    }

    impl Bench {
        fn new(last_event: Option<Timestamp>) -> Self {
            let (silence, start) = (Silence::new(Arc::new(Metrics::new())), Instant::now());
            let mut bench = Self { silence, activity: Arc::new(Activity::resumed(last_event)), start };
            bench.watch(Some(EXPECTED));
            bench
        }

        fn watch(&mut self, expect_every: Option<Duration>) {
            self.silence.watch([Source { name: "a", expect_every, activity: &self.activity }], self.start);
        }

        /// Looks after `time`; whether the instance is silent, which the metric must say too.
        fn is_silent(&mut self, time: Duration) -> bool {
            self.silence.look(self.start + time);
            let is_silent = self.activity.is_silent.load(Ordering::Relaxed);
            assert_eq!(self.silent_line(), Some(format!("hookgate_instance_silent{{instance=\"a\"}} {}", i32::from(is_silent))));
            is_silent
        }

        fn silent_line(&self) -> Option<String> {
            self.silence.metrics.encode().lines().find(|line| line.starts_with("hookgate_instance_silent{")).map(str::to_owned)
        }

        fn knows_last_event(&self, seconds: i64) -> bool {
            let line = format!("hookgate_instance_last_event_timestamp_seconds{{instance=\"a\"}} {seconds}\n");
            self.silence.metrics.encode().contains(&line)
        }
    }

    #[test]
    fn an_instance_that_never_spoke_is_silent_after_its_time() {
        let mut bench = Bench::new(None);
        assert!(!bench.is_silent(EXPECTED - MOMENT));
        assert!(bench.is_silent(EXPECTED));
    }

    #[test]
    fn an_event_ends_the_silence_and_the_time_begins_again() {
        let mut bench = Bench::new(None);
        assert!(bench.is_silent(2 * EXPECTED));
        bench.activity.last_event.set(Timestamp(9_999));
        assert!(!bench.is_silent(2 * EXPECTED + MOMENT));
        assert!(bench.knows_last_event(9));
        assert!(!bench.is_silent(3 * EXPECTED));
        assert!(bench.is_silent(3 * EXPECTED + MOMENT));
    }

    #[test]
    fn a_clock_that_runs_back_makes_nobody_silent() {
        let mut bench = Bench::new(Some(Timestamp(5_000)));
        bench.activity.last_event.set(Timestamp(1_000));
        assert!(!bench.is_silent(EXPECTED));
        assert!(bench.knows_last_event(1));
    }

    #[test]
    fn a_restart_begins_anew_and_knows_the_last_event() {
        let mut bench = Bench::new(Some(Timestamp(5_000)));
        assert!(bench.knows_last_event(5));
        assert!(!bench.is_silent(EXPECTED - MOMENT));
        assert!(bench.is_silent(EXPECTED));
    }

    #[test]
    fn a_reload_is_no_event() {
        let mut bench = Bench::new(None);
        assert!(!bench.is_silent(EXPECTED - MOMENT));
        bench.watch(Some(EXPECTED));
        assert!(bench.is_silent(EXPECTED));
        bench.watch(Some(2 * EXPECTED));
        assert!(!bench.is_silent(EXPECTED + MOMENT));
    }

    #[test]
    fn where_nothing_is_expected_any_more_nothing_is_said() {
        let mut bench = Bench::new(Some(Timestamp(5_000)));
        assert!(bench.is_silent(EXPECTED));
        bench.watch(None);
        bench.silence.look(bench.start + 2 * EXPECTED);
        assert!(!bench.activity.is_silent.load(Ordering::Relaxed));
        assert_eq!(bench.silent_line(), None);
        bench.silence.watch([], bench.start);
        assert!(!bench.knows_last_event(5));
    }
}

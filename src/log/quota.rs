//! How many lines of one kind a second gets: whoever floods the gateway with refusals or handshakes must not fill the disk with its log.
//!
//! Only lines are left out, never counts, and how many were is itself a line.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// Lines of one kind in a window: far more than anybody reads, and a few megabytes a minute at most.
const LINES: u32 = 200;
const WINDOW: Duration = Duration::from_secs(1);

/// Of which instance, and of which word of a fixed list; so there are not many.
type Kind = (String, &'static str);

/// A share of the log for each kind of line.
#[derive(Clone, Default)]
pub struct Quota(Arc<Mutex<HashMap<Kind, Window>>>);

/// What one kind has had.
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What is to be done about one more line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Log,
    /// The first that is left out: when this window is over, somebody must say how many were.
    LeaveOutAndReport,
    LeaveOut,
}

impl Quota {
    /// Whether one more line about `instance`, for this `reason`, is due. If not, a later line will say how many were not.
    pub fn admits(&self, instance: &str, reason: &'static str) -> bool {
        let kind = (instance.to_owned(), reason);
        let (verdict, left_out) = self.next(&kind, Instant::now());
        report(&kind, left_out);
        if verdict == Verdict::LeaveOutAndReport
            && let Ok(runtime) = Handle::try_current()
        {
            let quota = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(WINDOW).await;
                report(&kind, quota.end(&kind, Instant::now()));
            });
        }
        verdict == Verdict::Log
    }

    fn next(&self, kind: &Kind, now: Instant) -> (Verdict, u64) {
        self.lock().entry(kind.clone()).or_insert_with(|| Window::new(now)).next(now)
    }

    /// Forgets a window that is over; says how many were left out in it. One that has begun since has a report of its own to come.
    fn end(&self, kind: &Kind, now: Instant) -> u64 {
        let mut windows = self.lock();
        if windows.get(kind).is_none_or(|window| !window.is_over(now)) {
            return 0;
        }
        windows.remove(kind).map_or(0, |window| window.left_out)
    }

    /// The windows are whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").finish_non_exhaustive()
    }
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, lines: 0, left_out: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }

    /// The verdict on one more line at `now`, and how many were left out in a window that is over and that nobody reported.
    fn next(&mut self, now: Instant) -> (Verdict, u64) {
        let mut unreported = 0;
        if self.is_over(now) {
            unreported = self.left_out;
            *self = Self::new(now);
        }
        if self.lines < LINES {
            self.lines += 1;
            return (Verdict::Log, unreported);
        }
        self.left_out += 1;
        (if self.left_out == 1 { Verdict::LeaveOutAndReport } else { Verdict::LeaveOut }, unreported)
    }
}

fn report((instance, reason): &Kind, left_out: u64) {
    if left_out > 0 {
        tracing::warn!(instance, kind = reason, left_out, "lines left out of the log: more than {LINES} of this kind in a second");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_so_many_lines_and_nothing_left_out_is_forgotten() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut verdicts = Vec::new();
        let (mut logged, mut reported) = (0, 0);
        let total = 1000;
        for step in 0..total {
            let (verdict, unreported) = window.next(start + WINDOW * step / 400);
            logged += u64::from(verdict == Verdict::Log);
            reported += unreported;
            verdicts.push(verdict);
        }
        assert_eq!(verdicts[199..202], [Verdict::Log, Verdict::LeaveOutAndReport, Verdict::LeaveOut]);
        assert_eq!(verdicts[400], Verdict::Log, "the next window");
        assert_eq!(logged + reported + window.left_out, u64::from(total));
        assert_eq!(logged, 3 * u64::from(LINES));
    }

    #[test]
    fn the_end_of_a_window_is_not_that_of_the_next() {
        let (quota, kind, start) = (Quota::default(), ("a".to_owned(), "path"), Instant::now());
        let flood = |at: Instant| (0..LINES + 10).filter(|_| quota.next(&kind, at).0 == Verdict::Log).count();
        assert_eq!(flood(start), LINES as usize);
        assert_eq!(flood(start + WINDOW), LINES as usize, "the next window");
        assert_eq!(quota.end(&kind, start + WINDOW * 3 / 2), 0, "it is not over");
        assert_eq!(flood(start + WINDOW * 3 / 2), 0, "and still full");
        assert_eq!(quota.end(&kind, start + WINDOW * 2), 20 + u64::from(LINES));
        assert!(quota.lock().is_empty());
    }

    #[tokio::test]
    async fn kinds_do_not_share() {
        let quota = Quota::default();
        let flood = (0..2 * LINES).filter(|_| quota.admits("a", "path")).count();
        assert!(flood >= LINES as usize && flood < 2 * LINES as usize, "{flood}");
        assert!(quota.admits("b", "path") && quota.admits("a", "method"));
    }
}

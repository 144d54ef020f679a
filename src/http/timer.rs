//! Timers for request heads that cost next to nothing.
//!
//! Every request starts and drops a timer for its head. The runtime's timers are exact to the millisecond, and pay for that
//! with a wake-up of their driver for each one, as much CPU as parsing the request. A deadline of seconds need not be that
//! exact: these are looked at four times a second by one task a runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use slab::Slab;

/// How late a deadline may be noticed.
const TICK: Duration = Duration::from_millis(250);

/// The timers of one serving runtime.
#[derive(Clone)]
pub struct CoarseTimer(Arc<Sleepers>);

#[derive(Default)]
struct Sleepers(Mutex<Slab<Sleeper>>);

struct Sleeper {
    deadline: Instant,
    waker: Waker,
}

impl CoarseTimer {
    /// Starts the task that looks after the timers, on the current tokio runtime; it ends with the last clone.
    pub fn start() -> Self {
        let sleepers = Arc::new(Sleepers::default());
        tokio::spawn(tick(Arc::downgrade(&sleepers)));
        Self(sleepers)
    }
}

impl fmt::Debug for CoarseTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseTimer").finish_non_exhaustive()
    }
}

async fn tick(sleepers: Weak<Sleepers>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(sleepers) = sleepers.upgrade() else { return };
        sleepers.wake_until(Instant::now());
    }
}

impl Sleepers {
    /// Wakes those whose deadline has come. They stay here until they are dropped.
    fn wake_until(&self, now: Instant) {
        let due: Vec<Waker> = self.lock().iter().filter(|(_, one)| one.deadline <= now).map(|(_, one)| one.waker.clone()).collect();
        due.into_iter().for_each(Waker::wake);
    }

    /// The slab is whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Slab<Sleeper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer for CoarseTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(CoarseSleep { sleepers: Arc::clone(&self.0), deadline, place: None })
    }
}

/// Ends at the first tick after its deadline.
struct CoarseSleep {
    sleepers: Arc<Sleepers>,
    deadline: Instant,
    place: Option<usize>,
}

impl Sleep for CoarseSleep {}

impl Future for CoarseSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut sleepers = this.sleepers.lock();
        match this.place {
            Some(place) => sleepers[place].waker.clone_from(cx.waker()),
            None => this.place = Some(sleepers.insert(Sleeper { deadline: this.deadline, waker: cx.waker().clone() })),
        }
        Poll::Pending
    }
}

impl Drop for CoarseSleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.sleepers.lock().remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_after_its_deadline_and_leaves_nothing_behind() {
        let timer = CoarseTimer::start();
        let (start, time) = (Instant::now(), Duration::from_millis(30));
        timer.sleep(time).await;
        assert!(start.elapsed() >= time);
        assert!(timer.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_forgotten() {
        let timer = CoarseTimer::start();
        let mut sleep = timer.sleep(Duration::from_secs(3600));
        std::future::poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
        assert_eq!(timer.0.lock().len(), 1);
        drop(sleep);
        assert!(timer.0.lock().is_empty());
    }
}

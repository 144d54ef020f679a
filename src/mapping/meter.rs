//! What one evaluation may spend: steps and bytes as fuel, and room on the stack.
//!
//! jaq asks for its lookup table at every step it takes, and every value it makes is one of ours; both come by here. An
//! evaluation that spends more than it has is unwound from where it is, to where it was started. Filters cannot catch that.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

/// Stack below the start of an evaluation. Threads have 2 MiB, of which serving a request takes little before; the rest is for
/// dropping what was built, and for the natives.
const STACK: usize = 512 << 10;
/// Bytes that cost as much as a step, some 50 ns either way.
const BYTES: u64 = 64;

struct Meter {
    fuel: Cell<u64>,
    /// The lowest address that the stack may reach; 0 outside an evaluation.
    floor: Cell<usize>,
}

thread_local! {
    static METER: Meter = const { Meter { fuel: Cell::new(u64::MAX), floor: Cell::new(0) } };
}

/// Why an evaluation gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was about to spend more than it has.
    RanAway,
    /// The interpreter itself failed.
    Panicked,
}

/// Thrown through the interpreter.
struct RanAway;

/// Runs `work` with so much fuel. Says how much it used, too.
pub(super) fn run<T>(fuel: u64, work: impl FnOnce() -> T) -> (Result<T, Stop>, u64) {
    let here = stack_pointer();
    METER.with(|meter| {
        meter.fuel.set(fuel);
        meter.floor.set(here.saturating_sub(STACK));
        let outcome = panic::catch_unwind(AssertUnwindSafe(work));
        let used = fuel - meter.fuel.replace(u64::MAX).min(fuel);
        meter.floor.set(0);
        match outcome {
            Ok(value) => (Ok(value), used),
            Err(thrown) if thrown.is::<RanAway>() => (Err(Stop::RanAway), fuel),
            Err(_) => (Err(Stop::Panicked), used),
        }
    })
}

/// One step of the interpreter.
pub(super) fn step() {
    METER.with(|meter| {
        if stack_pointer() < meter.floor.get() {
            run_away();
        }
        take(meter, 1);
    });
}

/// So many steps at once.
pub(super) fn steps(count: usize) {
    METER.with(|meter| take(meter, count as u64));
}

/// As many bytes copied, compared or written.
pub(super) fn bytes(count: usize) {
    METER.with(|meter| take(meter, count as u64 / BYTES));
}

fn take(meter: &Meter, amount: u64) {
    match meter.fuel.get().checked_sub(amount) {
        Some(rest) => meter.fuel.set(rest),
        None => run_away(),
    }
}

/// Nothing is thrown while something is being thrown: that would end the process.
#[cold]
pub(super) fn run_away() {
    if !thread::panicking() {
        // Without the panic hook: this is no bug to be reported.
        panic::resume_unwind(Box::new(RanAway));
    }
}

/// About where the stack is.
#[inline(never)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_is_used_up_and_counted() {
        assert_eq!(run(10, || steps(4)), (Ok(()), 4));
        assert_eq!(run(10, || bytes(640)), (Ok(()), 10));
        assert_eq!(run(10, || steps(11)), (Err(Stop::RanAway), 10));
        assert_eq!(run(10, || (0..u64::MAX).for_each(|_| step())), (Err(Stop::RanAway), 10));
        steps(1 << 40);
    }

    #[test]
    fn the_stack_is_bounded() {
        fn descend(depth: usize) -> usize {
            step();
            if depth == usize::MAX { 0 } else { std::hint::black_box(descend(depth + 1)) + 1 }
        }
        assert_eq!(run(u64::MAX / 2, || descend(0)).0, Err(Stop::RanAway));
        // Outside an evaluation nothing is bounded.
        step();
    }

    #[test]
    fn a_panic_is_no_runaway() {
        assert_eq!(run(10, || panic::resume_unwind(Box::new("boom"))), (Err::<(), _>(Stop::Panicked), 0));
    }
}

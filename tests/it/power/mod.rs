//! Power fails at any moment of a run of the built program: whatever it had answered by then is there.
//!
//! `kill -9` leaves the kernel's memory alone, so it shows nothing about flushes. Here a run is recorded, system call by system
//! call, and disks are made up as a failure could have left them: all that was flushed, and of the rest any sectors, names and
//! sizes. The store opens each of them. Two controls show that this would find a gateway that answers too early.

mod disk;
mod trace;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hookgate::metrics::Metrics;
use hookgate::store::{Filter, Options, Order, Store};
use tempfile::TempDir;

use self::disk::Disk;
use self::trace::Event;
use crate::process::{PROGRAM, Process};
use crate::sender::{CONFIG, Told, post};
use crate::strace;

const SENDERS: u64 = 3;
/// Enough for two checkpoints, with [`PAD`].
const REQUESTS_EACH: u64 = 100;
/// Bytes of an event.
const PAD: usize = 6000;

/// Disks to make up, in ordinary runs and with `HOOKGATE_FULL=1`.
const IMAGES: [u64; 2] = [1_000, 100_000];
/// The same for each control: what must be found is found among few.
const CONTROL_IMAGES: [u64; 2] = [100, 1_000];

fn images([ordinary, full]: [u64; 2]) -> u64 {
    let wanted = std::env::var("HOOKGATE_IMAGES").ok().map(|text| text.parse().unwrap());
    wanted.unwrap_or_else(|| if std::env::var_os("HOOKGATE_FULL").is_some() { full } else { ordinary })
}

/// A run of the gateway under load, from its first start to its end. Keeps the trace, for looking into what failed.
fn record(name: &str, inject: &[&str]) -> Vec<Event> {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (trace, place) = (kept.with_extension("strace"), kept.with_extension("folder"));
    if std::env::var_os("HOOKGATE_SEED").is_none() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().canonicalize().unwrap();
        std::fs::write(path.join("hookgate.toml"), CONFIG).unwrap();
        std::fs::write(&place, path.to_str().unwrap()).unwrap();
        let mut command = Command::new("strace");
        command.args(trace::OPTIONS).arg(&trace).args(inject).args([PROGRAM, "serve"]).current_dir(&path).stderr(Stdio::null());
        let process = Process::start(&mut command);
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let address = process.address;
                scope.spawn(move || load(address, sender));
            }
        });
        process.signal("TERM");
        assert_eq!(process.exit_code(), Some(0));
    }
    let folder = std::fs::read_to_string(&place).unwrap();
    trace::parse(&std::fs::read_to_string(&trace).unwrap(), Path::new(&folder))
}

/// Single events, arrays, and some that come again.
fn load(address: SocketAddr, sender: u64) {
    let event = |key: u64| format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(PAD));
    for n in 0..REQUESTS_EACH {
        let key = sender * 1000 + n;
        let body = if n % 10 == 0 { format!("[{},{}]", event(key), event(key.saturating_sub(5))) } else { event(key) };
        assert!(matches!(post(address, &body), Told::Stored(_)));
    }
}

/// Makes up disks and returns what was wrong with them.
fn failures(events: &[Event], images: u64) -> Vec<String> {
    let seeds = match std::env::var("HOOKGATE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..images).collect(),
    };
    let mut crashes: Vec<_> = seeds
        .into_iter()
        .map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            Crash { step: random.usize(..=events.len()), seed, random }
        })
        .collect();
    crashes.sort_by_key(|crash| crash.step);
    let share = crashes.len().div_ceil(std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        let parts: Vec<_> = crashes.chunks(share).map(|crashes| scope.spawn(|| failures_of(crashes, events))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// Power fails before a step.
struct Crash {
    step: usize,
    seed: u64,
    random: fastrand::Rng,
}

/// In the order of their steps.
fn failures_of(crashes: &[Crash], events: &[Event]) -> Vec<String> {
    let (mut disk, mut answered, mut done) = (Disk::default(), HashSet::new(), 0);
    let mut failures = Vec::new();
    for Crash { step, seed, random } in crashes {
        for event in &events[done..*step] {
            disk.apply(event);
            if let Event::Answer(ids) = event {
                answered.extend(ids.iter().cloned());
            }
        }
        done = *step;
        let folder = in_memory();
        disk.crash(&mut random.clone(), folder.path());
        if let Err(wrong) = check(folder.path(), &answered) {
            failures.push(format!("seed {seed}, before step {step} of {}: {wrong}", events.len()));
        }
    }
    failures
}

/// What the store does with a made-up disk needs no real one, which would take ten times as long.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Opens a disk with the store's own code and looks for what was answered.
fn check(folder: &Path, answered: &HashSet<String>) -> Result<(), String> {
    let options = Options { path: folder.join("hookgate.db"), retention: None, samples: 20, metrics: Arc::new(Metrics::new()) };
    let store = Store::open(options).map_err(|error| error.to_string())?;
    let reader = store.reader();
    let found = reader.verify().map_err(|error| error.to_string())?;
    if !found.is_clean() {
        return Err(format!("{found:?}"));
    }
    let mut filter = Filter { order: Order::OldestFirst, limit: 1000, ..Filter::default() };
    let mut missing = answered.clone();
    loop {
        let page = reader.page(&filter).map_err(|error| error.to_string())?;
        for incident in &page.incidents {
            missing.remove(&incident.id.to_string());
        }
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("{} of {} answered incidents are missing", missing.len(), answered.len())) }
}

fn answers(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Answer(_))).count()
}

#[test]
fn what_was_answered_survives_a_power_failure_at_any_moment() {
    if !strace::is_usable() {
        return;
    }
    let events = record("power", &[]);
    let copied = events.iter().filter(|event| matches!(event, Event::Sync(file) if file == "hookgate.db")).count();
    assert!(answers(&events) as u64 == SENDERS * REQUESTS_EACH && copied >= 3, "{} answers, {copied} checkpoints", answers(&events));
    let disks = images(IMAGES);
    let failures = failures(&events, disks);
    println!("{disks} disks from {} steps with {} answers", events.len(), answers(&events));
    assert!(failures.is_empty(), "HOOKGATE_SEED=<seed> looks at one of these alone:\n{}", failures.join("\n"));

    // The control: had each answer left before its commit, this would have been noticed.
    let disks = images(CONTROL_IMAGES);
    let failures = self::failures(&answered_early(&events), disks);
    println!("{} of {disks} disks would have shown answers before the commit", failures.len());
    assert!(!failures.is_empty() || std::env::var_os("HOOKGATE_SEED").is_some(), "the harness is void");
}

/// The same steps, but for the answers: each stands where the transaction that it waited for begins.
fn answered_early(events: &[Event]) -> Vec<Event> {
    let mut early: Vec<Event> = Vec::new();
    // After the flush before the last one, and after the last one.
    let (mut begun, mut flushed) = (0, 0);
    for event in events {
        if matches!(event, Event::Answer(_)) {
            early.insert(begun, event.clone());
            flushed += 1;
            continue;
        }
        early.push(event.clone());
        if matches!(event, Event::Sync(file) if file == "hookgate.db-wal") {
            (begun, flushed) = (flushed, early.len());
        }
    }
    early
}

/// The other control: flushes that do nothing, as with `synchronous=OFF`. strace answers them itself.
#[test]
fn a_gateway_whose_flushes_do_nothing_is_found_out() {
    if !strace::is_usable() || std::env::var_os("HOOKGATE_SEED").is_some() {
        return;
    }
    let events = record("power-without-flushes", &["-e", "inject=fdatasync:retval=0"]);
    assert_eq!(answers(&events) as u64, SENDERS * REQUESTS_EACH);
    let disks = images(CONTROL_IMAGES);
    let failures = failures(&events, disks);
    println!("{} of {disks} disks showed the missing flushes", failures.len());
    assert!(!failures.is_empty(), "the harness is void");
}

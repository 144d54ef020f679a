//! SIGKILL at one system call after the other: at whichever step the gateway dies, what it acknowledged is there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hookgate::metrics::Metrics;
use hookgate::store::{Filter, Options, Order, Store};
use tempfile::TempDir;

use crate::process::Process;
use crate::sender::{CONFIG, Told, post};
use crate::strace::{self, Strace};

/// The calls that change a file.
const CALLS: [&str; 4] = ["pwrite64", "fdatasync", "ftruncate", "unlink"];
/// An ordinary run looks at a step and next at one so much further on, as a share; `HOOKGATE_FULL=1` looks at all of them.
const STRIDE: usize = 4;
/// Keys of the array in the run, and of the large event.
const ARRAY: [u64; 3] = [100, 1, 101];
const LARGE: u64 = 200;
/// Different keys in the run.
const KEYS: usize = 12;

/// Every body of a short run: single ones, an array with a duplicate, and one so large that a checkpoint follows.
fn bodies() -> Vec<(Vec<u64>, String)> {
    let one = |key: u64, size: usize| format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(size));
    let mut bodies: Vec<_> = (0..6).map(|key| (vec![key], one(key, 600))).collect();
    bodies.push((ARRAY.to_vec(), format!("[{}]", ARRAY.map(|key| one(key, 50)).join(","))));
    bodies.push((vec![LARGE], one(LARGE, 4 << 20)));
    bodies.extend((6..9).map(|key| (vec![key], one(key, 600))));
    bodies
}

/// Sends everything until the gateway is gone. Ids by key, as they were acknowledged.
fn send_all(address: SocketAddr) -> HashMap<u64, String> {
    let mut acknowledged = HashMap::new();
    for (keys, body) in bodies() {
        match post(address, &body) {
            Told::Stored(ids) => acknowledged.extend(keys.into_iter().zip(ids)),
            Told::Refused(status) => panic!("a dead gateway answers nothing, and a living one {status}"),
            Told::Nothing => break,
        }
    }
    acknowledged
}

/// Opens the store as a restart would and compares.
fn check(folder: &Path, acknowledged: &HashMap<u64, String>, step: &str) {
    let options = Options { path: folder.join("hookgate.db"), retention: None, samples: 20, metrics: Arc::new(Metrics::new()) };
    let store = Store::open(options).unwrap_or_else(|error| panic!("{step}: {error}"));
    let reader = store.reader();
    let found = reader.verify().unwrap();
    assert!(found.is_clean(), "{step}: {found:?}");
    let page = reader.page(&Filter { order: Order::OldestFirst, limit: 1000, ..Filter::default() }).unwrap();
    let key = |raw: &[u8]| serde_json::from_slice::<serde_json::Value>(raw).unwrap()["key"].as_u64().unwrap();
    let stored: HashMap<_, _> = page.incidents.iter().map(|one| (key(&one.raw), one.id.to_string())).collect();
    assert_eq!(stored.len(), page.incidents.len(), "{step}: a key is there twice");
    for (key, id) in acknowledged {
        assert_eq!(stored.get(key), Some(id), "{step}: key {key} was acknowledged");
    }
    assert!(stored.contains_key(&ARRAY[0]) == stored.contains_key(&ARRAY[2]), "{step}: half a request");
}

/// Runs with a kill at this step of the writer; false if the run has fewer steps.
fn kill_writer_at(call: &str, step: usize) -> bool {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    let process = Process::serve(folder.path());
    let strace = Strace::on_writer(&process, &format!("{call}:signal=KILL:when={step}"));
    let acknowledged = send_all(process.address);
    // Closing has steps of its own.
    process.signal("TERM");
    let is_through = process.exit_code() == Some(0);
    drop(strace);
    assert!(!is_through || acknowledged.len() == KEYS, "{call} {step}: {acknowledged:?}");
    check(folder.path(), &acknowledged, &format!("{call} {step} of the writer"));
    !is_through
}

#[test]
fn nothing_acknowledged_is_lost_at_whichever_step_the_writer_dies() {
    if !strace::is_usable() {
        return;
    }
    let is_full = std::env::var_os("HOOKGATE_FULL").is_some();
    for call in CALLS {
        let mut steps = 0;
        let mut step = 1;
        while kill_writer_at(call, step) {
            steps += 1;
            // Dense where commits are, sparse in the thousands of writes of one large event and its checkpoint.
            step += if is_full { 1 } else { 1 + step / STRIDE };
        }
        println!("{call}: died at {steps} steps, the last before {step}");
        assert!(steps > 0, "{call}: no step at all");
    }
}

/// The steps of a first start, and of a start after a crash.
#[test]
fn a_start_that_dies_at_any_step_can_be_repeated() {
    if !strace::is_usable() {
        return;
    }
    let crashed = TempDir::new().unwrap();
    std::fs::write(crashed.path().join("hookgate.toml"), CONFIG).unwrap();
    let process = Process::serve(crashed.path());
    let acknowledged = send_all(process.address);
    process.kill();
    for call in CALLS {
        for is_first in [true, false] {
            let mut step = 1;
            loop {
                let folder = TempDir::new().unwrap();
                let names: &[&str] = if is_first { &["hookgate.toml"] } else { &["hookgate.toml", "hookgate.db", "hookgate.db-wal"] };
                for name in names {
                    std::fs::copy(crashed.path().join(name), folder.path().join(name)).unwrap();
                }
                let mut command = strace::serve(folder.path(), &format!("{call}:signal=KILL:when={step}"));
                let Some(process) = Process::try_start(&mut command) else {
                    let nothing = HashMap::new();
                    check(folder.path(), if is_first { &nothing } else { &acknowledged }, &format!("{call} {step} of a start"));
                    step += 1;
                    continue;
                };
                process.kill();
                break;
            }
            println!("{call}: {} steps of a {} start", step - 1, if is_first { "first" } else { "second" });
        }
    }
}

//! A backup of a gateway that is busy is a store that holds whatever was acknowledged before it began.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use crate::harness::eventually;
use crate::process::{PROGRAM, Process};
use crate::sender::{CONFIG, Told, post};

const SENDERS: usize = 4;
/// Acknowledged before the first backup, and between two.
const BETWEEN: usize = 150;
const BACKUPS: usize = 3;

type Acknowledged = Mutex<HashMap<u64, Told>>;

fn body(key: u64) -> String {
    format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(2000))
}

fn load(address: SocketAddr, stop: &AtomicBool, next: &AtomicU64, acknowledged: &Acknowledged) {
    while !stop.load(Ordering::Relaxed) {
        let key = next.fetch_add(1, Ordering::Relaxed);
        let told = post(address, &body(key));
        assert!(matches!(told, Told::Stored(_)), "{told:?}");
        acknowledged.lock().unwrap().insert(key, told);
    }
}

#[test]
fn a_backup_under_load_restores_to_all_that_was_acknowledged_before_it_began() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    let process = Process::serve(folder.path());
    let (acknowledged, stop, next) = (Acknowledged::default(), AtomicBool::new(false), AtomicU64::new(0));
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| load(process.address, &stop, &next, &acknowledged));
        }
        for n in 1..=BACKUPS {
            eventually("enough was acknowledged", || acknowledged.lock().unwrap().len() >= n * BETWEEN);
            let copy = folder.path().join(format!("copy-{n}.db"));
            let before: Vec<_> = acknowledged.lock().unwrap().keys().copied().collect();
            let made = Command::new(PROGRAM).arg("backup").arg(&copy).current_dir(folder.path()).stdout(Stdio::null()).status();
            assert!(made.unwrap().success());
            copies.push((copy, before));
        }
        stop.store(true, Ordering::Relaxed);
    });
    process.kill();

    let acknowledged = acknowledged.into_inner().unwrap();
    for (copy, before) in copies {
        let restored = TempDir::new().unwrap();
        std::fs::write(restored.path().join("hookgate.toml"), CONFIG).unwrap();
        std::fs::copy(&copy, restored.path().join("hookgate.db")).unwrap();
        let verified = Command::new(PROGRAM).arg("verify").current_dir(restored.path()).stdout(Stdio::null()).status();
        assert!(verified.unwrap().success());
        let process = Process::serve(restored.path());
        for key in before {
            assert_eq!(post(process.address, &body(key)), acknowledged[&key], "key {key} was acknowledged before {}", copy.display());
        }
    }
}

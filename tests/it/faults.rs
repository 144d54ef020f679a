//! A disk that fails: what is answered, what is stored, and how the gateway goes on or ends.

use std::fs::File;
use std::process::{Command, Stdio};

use hookgate::store::{Filter, Order, Reader};
use tempfile::TempDir;

use crate::harness::{Running, eventually, request};
use crate::process::{PROGRAM, Process};
use crate::sender::{CONFIG, Told, post};
use crate::strace::{self, Strace};

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    folder
}

fn body(key: u32) -> String {
    format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(600))
}

/// The keys in the store, oldest first, all of it verified.
fn stored_keys(folder: &TempDir) -> Vec<u64> {
    let reader = Reader::open(&folder.path().join("hookgate.db")).unwrap();
    assert!(reader.verify().unwrap().is_clean());
    let page = reader.page(&Filter { order: Order::OldestFirst, limit: 1000, ..Filter::default() }).unwrap();
    page.incidents.iter().map(|one| serde_json::from_slice::<serde_json::Value>(&one.raw).unwrap()["key"].as_u64().unwrap()).collect()
}

/// After a failed fsync the kernel may have dropped what it was to write, and says "done" to the next one.
#[test]
fn a_failed_fsync_acknowledges_nothing_and_ends_the_process() {
    if !strace::is_usable() {
        return;
    }
    for nth in 1..=3 {
        let folder = folder();
        let log = folder.path().join("log");
        let mut command = Command::new(PROGRAM);
        command.arg("serve").current_dir(folder.path()).stderr(File::create(&log).unwrap());
        let process = Process::start(&mut command);
        let address = process.address;
        let strace = Strace::on_writer(&process, &format!("fdatasync:error=EIO:when={nth}"));
        let told: Vec<_> = (0..6).map(|key| post(address, &body(key))).collect();
        let stored = told.iter().take_while(|told| matches!(told, Told::Stored(_))).count();
        assert!(stored < nth, "{nth}: {told:?}");
        assert!(told[stored..].iter().all(|told| matches!(told, Told::Refused(503) | Told::Nothing)), "{nth}: {told:?}");
        assert_eq!(process.exit_code(), Some(1), "{nth}");
        drop(strace);
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains("forcing data to the disk") && log.contains("start again"), "{log}");

        // What failed may be there or not; the sender repeats it and it is there once.
        let process = Process::serve(folder.path());
        let again: Vec<_> = (0..6).map(|key| post(process.address, &body(key))).collect();
        assert_eq!(again[..stored], told[..stored], "{nth}: the same ids");
        process.kill();
        assert_eq!(stored_keys(&folder), [0, 1, 2, 3, 4, 5], "{nth}");
    }
}

#[test]
fn a_failed_write_is_a_503_and_heals_by_itself() {
    if !strace::is_usable() {
        return;
    }
    for error in ["EIO", "ENOSPC", "EDQUOT"] {
        for nth in [1, 2, 3, 6] {
            let folder = folder();
            let process = Process::serve(folder.path());
            let last = nth + 4;
            let strace = Strace::on_writer(&process, &format!("pwrite64:error={error}:when={nth}..{last}"));
            let told: Vec<_> = (0..8).map(|key| post(process.address, &body(key))).collect();
            let refused = told.iter().filter(|told| **told == Told::Refused(503)).count();
            assert!(refused > 0, "{error} {nth}: {told:?}");
            assert!(told.iter().all(|told| *told != Told::Nothing), "{error} {nth}: {told:?}");
            eventually("it takes events again", || matches!(post(process.address, &body(8)), Told::Stored(_)));
            for (key, told) in (0..).zip(&told) {
                let again = post(process.address, &body(key));
                assert!(matches!(again, Told::Stored(_)) && (*told == Told::Refused(503) || again == *told), "{error} {nth} {key}");
            }
            drop(strace);
            process.kill();
            let mut keys = stored_keys(&folder);
            keys.sort_unstable();
            assert_eq!(keys, [0, 1, 2, 3, 4, 5, 6, 7, 8], "{error} {nth}");
        }
    }
}

#[test]
fn a_damaged_store_is_refused_by_serve_and_check_with_advice() {
    let folder = folder();
    let process = Process::serve(folder.path());
    for key in 0..50 {
        assert!(matches!(post(process.address, &body(key)), Told::Stored(_)));
    }
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let path = folder.path().join("hookgate.db");
    let good = std::fs::read(&path).unwrap();
    let run = |command: &str| {
        let output = Command::new(PROGRAM).arg(command).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    assert_eq!(run("verify").0, Some(0));
    let garbage_at = |from: usize, to: usize| [&good[..from], &vec![0xa5; to - from], &good[to..]].concat();
    for bytes in [garbage_at(0, 200), garbage_at(8192, good.len()), good[..good.len() / 2].to_vec(), Vec::from(&b"no database"[..])] {
        std::fs::write(&path, &bytes).unwrap();
        for (command, code) in [("serve", 1), ("check", 78)] {
            let (found, text) = run(command);
            assert_eq!(found, Some(code), "{text}");
            assert!(text.contains("damaged") && text.contains("restore a backup"), "{command}: {text}");
        }
        let (found, text) = run("verify");
        assert!(found == Some(1) && text.contains("backup"), "{text}");
        assert!(std::fs::read(&path).unwrap() == bytes, "the evidence is left alone");
    }
}

/// Pages that rot under a running gateway: an error for whoever reads them, and life goes on.
#[test]
fn damage_at_run_time_is_an_error_and_not_a_crash() {
    let running = Running::start(crate::harness::BASIC);
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(100_000));
    let ids: Vec<_> = (0..40).map(|_| running.post(&large).ids().remove(0)).collect();
    // Restarted, so that no page is in memory.
    let folder = running.stop();
    let path = folder.path().join("hookgate.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let running = Running::start_in(folder, "", crate::harness::BASIC);
    let start = bytes.len() / 2;
    bytes[start..start + 400_000].fill(0);
    std::fs::write(&path, &bytes).unwrap();

    let statuses: Vec<_> = ids.iter().map(|id| running.admin(&format!("/api/v1/incidents/{id}")).status).collect();
    assert!(statuses.contains(&500) && statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 500].contains(status)), "{statuses:?}");
    let status = running.post("{}").status;
    assert!([200, 503].contains(&status), "{status}");
    assert_eq!(request(running.admin, "GET", "/healthz", &[], b"").status, 200);
}

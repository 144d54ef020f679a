//! Senders that hang up while their event is being committed, and send it again.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use hookgate::store::{Filter, Order, Reader};
use tempfile::TempDir;

use crate::process::Process;
use crate::sender::{CONFIG, Told, begin, post};
use crate::strace::{self, Strace};

const THREADS: usize = 10;

/// How many; a thousand with `HOOKGATE_FULL=1`.
fn clients() -> usize {
    if std::env::var_os("HOOKGATE_FULL").is_some() { 1000 } else { 100 }
}

#[test]
fn who_hangs_up_in_mid_commit_and_sends_again_has_one_incident_and_one_id() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    let process = Process::serve(folder.path());
    // A slow disk, so that most hang up before the answer. Without it the test shows less, and nothing wrong.
    let _slow = strace::is_usable().then(|| Strace::on_writer(&process, "fdatasync:delay_enter=10000"));
    let answers: Vec<[Told; 2]> = std::thread::scope(|scope| {
        let address = process.address;
        let share = |first| move || (first..clients()).step_by(THREADS).map(|key| send_three_times(address, key)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(share(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for [first, second] in &answers {
        assert!(matches!(first, Told::Stored(ids) if ids.len() == 1) && first == second, "{first:?} {second:?}");
    }
    process.kill();
    let reader = Reader::open(&folder.path().join("hookgate.db")).unwrap();
    let page = reader.page(&Filter { order: Order::OldestFirst, limit: 10_000, ..Filter::default() }).unwrap();
    let mut stored: Vec<_> = page.incidents.iter().map(|incident| incident.id.to_string()).collect();
    let mut told: Vec<_> = answers
        .into_iter()
        .map(|[told, _]| match told {
            Told::Stored(mut ids) => ids.remove(0),
            other => panic!("{other:?}"),
        })
        .collect();
    stored.sort();
    told.sort();
    assert_eq!(stored, told, "one incident each");
}

/// Hangs up on the first answer unless that is there within moments, and takes the next two.
fn send_three_times(address: SocketAddr, key: usize) -> [Told; 2] {
    let body = format!("{{\"key\":{key}}}");
    let mut stream = begin(address, &body).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(3))).unwrap();
    let _ = stream.read(&mut [0]);
    drop(stream);
    [post(address, &body), post(address, &body)]
}

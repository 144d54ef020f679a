//! `kill -9` in the middle of load: whatever got a 200 is there afterwards, and nothing twice.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookgate::store::{Filter, Order, Reader};
use tempfile::TempDir;

use crate::process::Process;

/// From the start of the program until it serves, with the log of a crash to replay. docs/operations.md promises it.
const START: Duration = Duration::from_secs(2);
const CLIENTS: u64 = 4;
const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = \"secret\"\n\
                      store_samples = true\nduplication_key = [\"key\"]\n";

/// 20 in ordinary runs, 200 with `HOOKGATE_FULL=1`.
fn kills() -> u64 {
    if std::env::var_os("HOOKGATE_FULL").is_some() { 200 } else { 20 }
}

/// Acknowledged ids by the duplication key that they were acknowledged for.
type Acknowledged = Mutex<HashMap<u64, String>>;

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    let acknowledged = Acknowledged::default();
    let next_key = AtomicU64::new(0);
    let mut longest = Duration::ZERO;
    for round in 1..=kills() {
        let started = Instant::now();
        let process = Process::serve(folder.path());
        longest = longest.max(started.elapsed());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (address, stop, next_key, acknowledged) = (process.address, &stop, &next_key, &acknowledged);
                scope.spawn(move || load(address, client, stop, next_key, acknowledged));
            }
            // At least some answers, and then a little longer each round, so that every phase is hit.
            let before = acknowledged.lock().unwrap().len();
            let enough = before + 10 + (round as usize * 7) % 40;
            let started = Instant::now();
            while acknowledged.lock().unwrap().len() < enough {
                assert!(started.elapsed() < Duration::from_secs(20), "no answers in round {round}");
                std::thread::yield_now();
            }
            process.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} kills, {} acknowledged, the slowest start took {longest:?}", kills(), acknowledged.len());
    assert!(acknowledged.len() as u64 >= kills() * 10);
    assert!(longest < START, "{longest:?}");
    check(folder.path(), &acknowledged);
}

/// Posts single events, arrays and repetitions until the connection breaks.
fn load(address: SocketAddr, client: u64, stop: &AtomicBool, next_key: &AtomicU64, acknowledged: &Acknowledged) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let first = next_key.fetch_add(3, Ordering::Relaxed);
        // Some keys are sent twice: the older one may be acknowledged or lost, the answer must agree with it.
        let keys = [first, first + 1, first.saturating_sub(30 + client)];
        let body: Vec<String> = keys.iter().map(|key| format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(600))).collect();
        let body = format!("[{}]", body.join(","));
        let Some(ids) = post(&mut stream, &body) else { return };
        let mut acknowledged = acknowledged.lock().unwrap();
        for (key, id) in keys.into_iter().zip(ids) {
            let known = acknowledged.entry(key).or_insert_with(|| id.clone());
            assert_eq!(*known, id, "key {key} was acknowledged with two ids");
        }
    }
}

/// The ids of a 200; none when the connection broke before the whole answer was there.
fn post(stream: &mut TcpStream, body: &str) -> Option<Vec<String>> {
    let head = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).ok()?;
    let mut answer = Vec::new();
    let (start, length) = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&part[..read]);
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse::<usize>().unwrap();
            break (end + 4, length);
        }
    };
    while answer.len() < start + length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&part[..read]);
    }
    let json: serde_json::Value = serde_json::from_slice(&answer[start..]).unwrap();
    Some(json.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect())
}

/// Every acknowledged id is in the store with its own key, and no key is there twice.
fn check(folder: &Path, acknowledged: &HashMap<u64, String>) {
    let reader = Reader::open(&folder.join("hookgate.db")).unwrap();
    let mut filter = Filter { order: Order::OldestFirst, limit: 1000, ..Filter::default() };
    let mut stored = HashMap::new();
    let mut keys = HashSet::new();
    loop {
        let page = reader.page(&filter).unwrap();
        for incident in page.incidents {
            let raw: serde_json::Value = serde_json::from_slice(&incident.raw_json()).unwrap();
            let key = raw["key"].as_u64().unwrap();
            assert_eq!(raw["pad"].as_str().unwrap().len(), 600, "a torn incident");
            assert!(keys.insert(key), "key {key} is stored twice");
            stored.insert(incident.id.to_string(), key);
        }
        if page.next.is_none() {
            break;
        }
        filter.cursor = page.next;
    }
    for (key, id) in acknowledged {
        assert_eq!(stored.get(id), Some(key), "{id} was acknowledged and is not there");
    }
}

#[test]
fn sigterm_ends_with_code_0() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), CONFIG).unwrap();
    let process = Process::serve(folder.path());
    let mut stream = TcpStream::connect(process.address).unwrap();
    assert!(post(&mut stream, "{}").is_some());
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
}

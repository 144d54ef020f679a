//! HTTP/2 floods: each one is cut off or costs no more than requests do, memory stays bounded, and a good client beside it is
//! served. Against the built program, so that its memory can be looked at. `docs/hardening.md` explains the bounds.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::frames::*;
use crate::harness::{BASIC, Running, eventually};
use crate::pki::{Authority, H2, ask, post, shake_hands};
use crate::process::Process;

const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
/// Of one attacking connection, on the whole process (the allocator keeps some of what it once had).
const MOST_GROWTH: u64 = 24 * 1024;
/// For a good client beside an attack on a busy machine; undisturbed it is a few milliseconds.
const AT_ONCE: Duration = Duration::from_secs(5);
/// For a connection that is cut off to be seen closed.
const SOON: Duration = Duration::from_secs(20);

struct Target {
    process: Process,
    config: rustls::ClientConfig,
    _folder: TempDir,
}

/// What became of an attack.
#[derive(Debug)]
struct Fate {
    written: u32,
    frames_back: u64,
    seen: Option<Vec<Seen>>,
}

impl Fate {
    fn is_closed(&self) -> bool {
        self.seen.is_some()
    }
}

impl Target {
    fn start(server: &str) -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
        authority.server(|_| {}).write(folder.path(), "server");
        let head = "[server]\nlisten = \"127.0.0.1:0\"\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\n";
        std::fs::write(folder.path().join("hookgate.toml"), format!("{head}{server}\n{BASIC}")).unwrap();
        Self { process: Process::serve(folder.path()), config: authority.trusting(None, H2), _folder: folder }
    }

    async fn connect(&self) -> (WriteHalf<TlsStream<TcpStream>>, Listener) {
        let stream = shake_hands(self.process.address, &self.config).await.unwrap();
        let (reading, mut writing) = tokio::io::split(stream);
        writing.write_all(&greeting()).await.unwrap();
        writing.flush().await.unwrap();
        (writing, Listener::new(reading))
    }

    async fn serves_a_good_client(&self) -> Duration {
        let start = Instant::now();
        assert_eq!(ask(self.process.address, &self.config, post("{}")).await.unwrap().status, 200);
        let taken = start.elapsed();
        assert!(taken < AT_ONCE, "a good client waited for {taken:?}");
        taken
    }

    /// Sends `first`, then `times` frames, with a good client in the middle; prints the figures.
    async fn attack(&self, name: &str, first: Vec<u8>, times: u32, next: impl FnMut(u32) -> Vec<u8>) -> Fate {
        self.serves_a_good_client().await;
        let before = self.process.memory();
        let (mut writing, listener) = self.connect().await;
        writing.write_all(&first).await.unwrap();
        let start = Instant::now();
        let (written, good) = tokio::join!(flood(&mut writing, times, next), self.serves_a_good_client());
        // A good client after the flood as well: whatever it left behind is still there.
        self.serves_a_good_client().await;
        let growth = self.process.memory().saturating_sub(before);
        let frames_back = listener.frames();
        let seen = listener.until_closed(SOON).await;
        println!(
            "{name}: {written} of {times} written in {:?}, {frames_back} frames came back, closed: {}, memory +{growth} KiB, good client {good:?}",
            start.elapsed(),
            seen.is_some(),
        );
        assert!(growth < MOST_GROWTH, "{name}: memory grew by {growth} KiB");
        Fate { written, frames_back, seen }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_belong_to_no_request_end_the_connection() {
    let target = Target::start("header_timeout = \"1m\"");
    let increment = 1_u32.to_be_bytes();
    let floods: [(&str, Vec<u8>); 5] = [
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &increment)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("unknown", frame(0xee, 0, 0, &[7; 8])),
    ];
    for (name, bytes) in floods {
        // 2 MiB of these are borne, 8 MiB are not.
        let times = (8 << 20) / bytes.len() as u32;
        let fate = target.attack(name, Vec::new(), times, |_| bytes.clone()).await;
        assert!(fate.is_closed() && fate.written < times, "{name}: {fate:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_is_no_body() {
    let target = Target::start("header_timeout = \"1m\"");
    let open = frame(HEADERS, END_HEADERS, 1, &post_block(ALICE));
    let times = (8 << 20) / 9;
    let fate = target.attack("empty DATA", open, times, |_| frame(DATA, 0, 1, &[])).await;
    assert!(fate.is_closed() && fate.written < times, "{fate:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_cost_no_more_than_requests() {
    let target = Target::start("header_timeout = \"2s\"");
    for credentials in ["", ALICE] {
        let block = post_block(credentials);
        let cancel = 8_u32.to_be_bytes();
        let next = |number: u32| {
            let stream = 2 * number + 1;
            [frame(HEADERS, END_HEADERS, stream, &block), frame(RST_STREAM, 0, stream, &cancel)].concat()
        };
        let fate = target.attack("rapid reset", Vec::new(), 10_000, next).await;
        assert!(fate.is_closed(), "{fate:?}");
        assert!(fate.frames_back < 10_000, "{fate:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_end_somewhere() {
    let target = Target::start("header_timeout = \"1m\"");
    let open = frame(HEADERS, END_STREAM, 1, &post_block(ALICE));
    let part = frame(CONTINUATION, 0, 1, &block(&[("x", &"a".repeat(1000))]));
    let fate = target.attack("CONTINUATION", open, 10_000, |_| part.clone()).await;
    assert!(fate.is_closed() && fate.written < 10_000, "{fate:?}");

    let open = frame(HEADERS, END_STREAM, 1, &post_block(ALICE));
    let fate = target.attack("empty CONTINUATION", open, 200_000, |_| frame(CONTINUATION, 0, 1, &[])).await;
    assert!(fate.is_closed() && fate.written < 200_000, "{fate:?}");

    // 60 KB of headers in one request: refused, on a connection that stays usable or is closed, but never stored.
    let large = format!("{{{}}}", "a".repeat(15_000));
    let list = block(&[("x-a", &large)]);
    let mut first = frame(HEADERS, END_STREAM, 1, &post_block(ALICE));
    for number in 0..4 {
        first.extend(frame(CONTINUATION, if number == 3 { END_HEADERS } else { 0 }, 1, &list));
    }
    let (mut writing, listener) = target.connect().await;
    writing.write_all(&first).await.unwrap();
    writing.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &post_block(""))).await.unwrap();
    writing.flush().await.unwrap();
    let answered = tokio::time::timeout(SOON, async {
        while listener.frames() < 3 && !listener.is_closed() {
            tokio::task::yield_now().await;
        }
    });
    answered.await.unwrap();
    target.serves_a_good_client().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_on_every_stream_are_given_up_and_the_connection_is_left() {
    let target = Target::start("header_timeout = \"1s\"\nbody_timeout = \"1s\"\n");
    let mut first = Vec::new();
    for number in 0..32 {
        first.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &post_block(ALICE)));
        first.extend(frame(DATA, 0, 2 * number + 1, b"{"));
    }
    let fate = target.attack("slow bodies", first, 0, |_| Vec::new()).await;
    let seen = fate.seen.expect("an idle connection is closed");
    assert_eq!(seen.iter().filter(|seen| seen.status().is_some()).count(), 32, "each one was answered: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_allowed_are_refused_not_kept() {
    let target = Target::start("header_timeout = \"1s\"\nbody_timeout = \"3s\"\n");
    let block = post_block(ALICE);
    let fate = target.attack("10,000 streams", Vec::new(), 10_000, |number| frame(HEADERS, END_HEADERS, 2 * number + 1, &block)).await;
    assert!(fate.is_closed(), "{fate:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_at_its_deadline_at_every_point() {
    let target = Target::start("header_timeout = \"1s\"\nhandshake_timeout = \"1s\"\n");
    // The last one never acknowledges anything, so it is not waited for longer than it takes to say goodbye.
    for (name, bytes) in
        [("nothing", Vec::new()), ("half a preface", PREFACE[..11].to_vec()), ("a preface", PREFACE.to_vec()), ("settings", greeting())]
    {
        let stream = shake_hands(target.process.address, &target.config).await.unwrap();
        let (reading, mut writing) = tokio::io::split(stream);
        writing.write_all(&bytes).await.unwrap();
        writing.flush().await.unwrap();
        let start = Instant::now();
        assert!(Listener::new(reading).until_closed(SOON).await.is_some(), "{name}: still open");
        println!("{name}: closed after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(12), "{name}: {:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_streams_finish() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
    authority.server(|_| {}).write(folder.path(), "server");
    let server = "certificate = \"server.crt\"\nprivate_key = \"server.key\"\nshutdown_grace = \"15s\"";
    let mut running = Running::start_in(folder, server, BASIC);
    let stream = shake_hands(running.address, &authority.trusting(None, H2)).await.unwrap();
    let (reading, mut writing) = tokio::io::split(stream);
    let open = [greeting(), frame(HEADERS, END_HEADERS, 1, &post_block(ALICE)), frame(DATA, 0, 1, b"{")].concat();
    writing.write_all(&open).await.unwrap();
    writing.flush().await.unwrap();
    let listener = Listener::new(reading);
    eventually("the body is being read", || running.metric("hookgate_body_in_flight_bytes") == 1.0);
    let before = listener.frames();
    running.begin_stop();
    eventually("GOAWAY is there", || listener.frames() > before);
    writing.write_all(&frame(DATA, END_STREAM, 1, b"}")).await.unwrap();
    writing.flush().await.unwrap();
    let seen = listener.until_closed(SOON).await.expect("closed when the last stream ended");
    assert_eq!(seen.iter().find(|seen| seen.kind != DATA).map(|seen| seen.kind), Some(GOAWAY), "{seen:?}");
    assert_eq!(seen.iter().find_map(Seen::status), Some(200), "{seen:?}");
    assert!(seen.iter().any(|seen| seen.kind == DATA && seen.stream == 1 && !seen.payload.is_empty()));
    assert_eq!(Running::start_in(running.stop(), server, BASIC).incidents().len(), 1);
}

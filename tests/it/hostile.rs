//! Slow and silent clients, many at once: all are closed by their deadline, and a good client beside them is served at once.
//!
//! 100 of each here, and 1,000 idle connections; with `HOOKGATE_FULL=1` in the environment 500 and 10,000.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::frames::PREFACE;
use crate::harness::{ALICE, BASIC, request};
use crate::pki::{Authority, H2, HTTP1, ask, post, shake_hands};
use crate::process::Process;

const TIMEOUT: Duration = Duration::from_secs(2);
/// After the deadline: 500 connections are not closed in one instant, and a closing handshake may be waited for.
const SLACK: Duration = Duration::from_secs(8);
/// For a good client on a busy machine; undisturbed it is a few milliseconds.
const AT_ONCE: Duration = Duration::from_secs(2);
const HEAD: &str = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\n";
const TIMEOUTS: &str = "header_timeout = \"2s\"\nbody_timeout = \"2s\"\nhandshake_timeout = \"2s\"\n";

fn is_full() -> bool {
    std::env::var_os("HOOKGATE_FULL").is_some()
}

fn many() -> usize {
    if is_full() { 500 } else { 100 }
}

fn plain(server: &str) -> (Process, TempDir) {
    let folder = TempDir::new().unwrap();
    let text =
        format!("[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 15000\nmax_connections_per_address = 15000\n{server}\n{BASIC}");
    std::fs::write(folder.path().join("hookgate.toml"), text).unwrap();
    (Process::serve(folder.path()), folder)
}

fn encrypted(server: &str, authority: &Authority) -> (Process, TempDir) {
    let folder = TempDir::new().unwrap();
    authority.server(|_| {}).write(folder.path(), "server");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 15000\nmax_connections_per_address = 15000\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\n";
    std::fs::write(folder.path().join("hookgate.toml"), format!("{text}{server}\n{BASIC}")).unwrap();
    (Process::serve(folder.path()), folder)
}

/// Writes `bytes` and waits until the other side closes.
async fn wait_for_the_end(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, bytes: &[u8]) -> Duration {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let start = Instant::now();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    start.elapsed()
}

/// Waits for all, asks as a good client in between, and prints the figures.
async fn all_end(name: &str, mut hostile: JoinSet<Duration>, good: impl AsyncFn() -> u16) {
    let count = hostile.len();
    tokio::time::sleep(TIMEOUT / 4).await;
    let start = Instant::now();
    assert_eq!(good().await, 200);
    let waited = start.elapsed();
    let mut longest = Duration::ZERO;
    let all = async {
        while let Some(ended) = hostile.join_next().await {
            longest = longest.max(ended.unwrap());
        }
    };
    let in_time = tokio::time::timeout(TIMEOUT + SLACK, all).await;
    println!("{name}: {} of {count} closed, the last after {longest:?}; a good client was served in {waited:?}", count - hostile.len());
    assert!(in_time.is_ok(), "{name}: {} of {count} are still open", hostile.len());
    assert!(waited < AT_ONCE, "{name}: a good client waited for {waited:?}");
}

fn good_plain(address: SocketAddr) -> impl AsyncFn() -> u16 {
    async move || {
        let asked = tokio::task::spawn_blocking(move || request(address, "POST", "/instance/execute/in", &[ALICE], b"{}"));
        asked.await.unwrap().status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_in_plain_text() {
    let (process, _folder) = plain(TIMEOUTS);
    let address = process.address;
    for (name, bytes) in [
        ("silent", String::new()),
        ("slow header", HEAD.to_owned()),
        ("slow body", format!("{HEAD}content-length: 100\r\n\r\n{{")),
        ("slow chunk", format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{{")),
        ("idle", format!("{HEAD}content-length: 2\r\n\r\n{{}}")),
    ] {
        let mut hostile = JoinSet::new();
        for _ in 0..many() {
            let bytes = bytes.clone();
            hostile.spawn(async move { wait_for_the_end(TcpStream::connect(address).await.unwrap(), bytes.as_bytes()).await });
        }
        all_end(name, hostile, good_plain(address)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_handshakes() {
    let authority = Authority::new("root");
    let (process, _folder) = encrypted(TIMEOUTS, &authority);
    let (address, config) = (process.address, authority.trusting(None, H2));
    // The first 40 bytes of a ClientHello that says it has 508.
    let half = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 29]].concat();
    for (name, bytes) in [("silent before TLS", Vec::new()), ("half a ClientHello", half)] {
        let mut hostile = JoinSet::new();
        for _ in 0..many() {
            let bytes = bytes.clone();
            hostile.spawn(async move { wait_for_the_end(TcpStream::connect(address).await.unwrap(), &bytes).await });
        }
        all_end(name, hostile, async || ask(address, &config, post("{}")).await.unwrap().status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_behind_tls() {
    let authority = Authority::new("root");
    let (process, _folder) = encrypted(TIMEOUTS, &authority);
    let (address, good) = (process.address, authority.trusting(None, H2));
    for (name, protocol, bytes) in [
        ("silent after TLS, HTTP/1.1", HTTP1, Vec::new()),
        ("silent after TLS, HTTP/2", H2, Vec::new()),
        ("half an HTTP/2 preface", H2, PREFACE[..12].to_vec()),
        ("slow header behind TLS", HTTP1, HEAD.as_bytes().to_vec()),
        ("slow body behind TLS", HTTP1, format!("{HEAD}content-length: 100\r\n\r\n{{").into_bytes()),
    ] {
        let mut hostile = JoinSet::new();
        for _ in 0..many() {
            let (config, bytes) = (authority.trusting(None, protocol), bytes.clone());
            hostile.spawn(async move { wait_for_the_end(shake_hands(address, &config).await.unwrap(), &bytes).await });
        }
        all_end(name, hostile, async || ask(address, &good, post("{}")).await.unwrap().status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_cost_little_memory() {
    let count = if is_full() { 10_000 } else { 1_000 };
    let authority = Authority::new("root");
    let (process, _folder) = plain("header_timeout = \"5m\"");
    let address = process.address;
    let get = HEAD.replace("POST", "GET") + "\r\n";
    let open = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(get.as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 12);
        stream
    };
    let each = held(&process, count, open, "plain text").await;
    assert!(each < 28 * 1024, "{each} bytes a connection");
    let start = Instant::now();
    assert_eq!(good_plain(address)().await, 200);
    assert!(start.elapsed() < AT_ONCE);
    drop(process);

    let (process, _folder) = encrypted("header_timeout = \"5m\"", &authority);
    let (address, config) = (process.address, authority.trusting(None, HTTP1));
    let open = async || {
        let mut stream = shake_hands(address, &config).await.unwrap();
        stream.write_all(get.as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 12);
        stream
    };
    let each = held(&process, count, open, "TLS").await;
    assert!(each < 64 * 1024, "{each} bytes a connection");
    assert_eq!(ask(address, &config, post("{}")).await.unwrap().status, 200);
}

/// Bytes of resident memory for each of `count` connections that have sent a request and are then kept.
async fn held<S>(process: &Process, count: usize, open: impl AsyncFn() -> S, name: &str) -> u64 {
    let warm_up = open().await;
    let before = process.memory();
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        held.push(open().await);
    }
    let grown = process.memory().saturating_sub(before);
    drop((warm_up, held));
    let each = grown * 1024 / count as u64;
    println!("{count} idle connections, {name}: {} MiB, {each} bytes each", grown / 1024);
    each
}

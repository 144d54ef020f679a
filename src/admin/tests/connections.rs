//! Connections that are slow, many or old, and the end.

use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::server::Limits;
use super::Bench;

/// Generous: what is waited for comes much sooner.
const SOON: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n";

async fn connect(bench: &Bench) -> TcpStream {
    TcpStream::connect(bench.admin.address()).await.unwrap()
}

/// Everything until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ = timeout(SOON, stream.read_to_end(&mut text)).await.expect("the connection should have been closed");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn silent_and_slow_connections_are_closed() {
    let bench = Bench::within(Limits { header_timeout: SHORT, ..Limits::default() });
    for start in [&b""[..], b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost:"] {
        let mut stream = connect(&bench).await;
        stream.write_all(start).await.unwrap();
        assert!(!rest(&mut stream).await.contains("200 OK"));
    }
    let mut idle = connect(&bench).await;
    idle.write_all(GET).await.unwrap();
    assert_eq!(rest(&mut idle).await.matches("200 OK").count(), 1);
}

#[tokio::test]
async fn large_heads_are_refused() {
    let bench = Bench::new();
    let many = "x: y\r\n".repeat(100);
    let large = format!("x: {}\r\n", "y".repeat(20_000));
    for headers in [many, large] {
        let mut stream = connect(&bench).await;
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: h\r\n{headers}\r\n").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn more_connections_wait_for_their_turn() {
    let bench = Bench::within(Limits { connections: 1, ..Limits::default() });
    let mut first = connect(&bench).await;
    first.write_all(GET).await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = connect(&bench).await;
    second.write_all(GET).await.unwrap();
    assert!(timeout(SHORT, second.read(&mut byte)).await.is_err(), "served beyond the limit");
    drop(first);
    timeout(SOON, second.read_exact(&mut byte)).await.expect("served once there is room").unwrap();
}

#[tokio::test]
async fn an_old_connection_ends_at_a_quiet_moment() {
    let bench = Bench::within(Limits { age: SHORT, ..Limits::default() });
    let mut stream = connect(&bench).await;
    stream.write_all(GET).await.unwrap();
    assert_eq!(rest(&mut stream).await.matches("200 OK").count(), 1);
}

#[tokio::test]
async fn stopping_closes_everything_soon() {
    let bench = Bench::new();
    assert_eq!(bench.answer(bench.request("GET", "/healthz")).await.status, StatusCode::OK);
    let (mut idle, mut slow) = (connect(&bench).await, connect(&bench).await);
    idle.write_all(GET).await.unwrap();
    idle.read_exact(&mut [0]).await.unwrap();
    slow.write_all(b"GET /heal").await.unwrap();

    let (address, begun) = (bench.admin.address(), Instant::now());
    let Bench { admin, .. } = bench;
    tokio::task::spawn_blocking(move || admin.stop()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    rest(&mut idle).await;
    rest(&mut slow).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let bench = Bench::new();
    let options = super::Options {
        listen: bench.admin.address(),
        token: super::Secret::new("t".to_owned()),
        reader: bench.store.reader(),
        metrics: std::sync::Arc::default(),
        gateway: std::sync::Arc::clone(&bench.gateway) as _,
    };
    let error = super::Admin::start(options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

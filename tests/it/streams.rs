//! What one stream of an HTTP/2 connection does to the others, and to everybody else.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use crate::frames::*;
use crate::harness::{BASIC, PATIENCE, Running, eventually};
use crate::pki::{Authority, H2, shake_hands};

const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
const WRONG: &str = "Basic YWxpY2U6d3Jvbmc=";
const IN_FLIGHT: &str = "hookgate_body_in_flight_bytes";

/// What the gateway may send ahead of the reader of an answer.
const WINDOW: u32 = 64 * 1024;

/// A body that is sent piece by piece, as the test says.
struct Upload(mpsc::Receiver<Bytes>);

impl Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

struct Target {
    running: Running,
    config: rustls::ClientConfig,
}

impl Target {
    fn start(server: &str) -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
        authority.server(|_| {}).write(folder.path(), "server");
        let server = format!("certificate = \"server.crt\"\nprivate_key = \"server.key\"\n{server}");
        Self { running: Running::start_in(folder, &server, BASIC), config: authority.trusting(None, H2) }
    }

    async fn connect(&self) -> SendRequest<Upload> {
        let io = TokioIo::new(shake_hands(self.running.address, &self.config).await.unwrap());
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(WINDOW).handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A connection on which no answer may be sent: its windows are closed.
    async fn connect_shut(&self) -> (WriteHalf<TlsStream<TcpStream>>, Listener) {
        let (reading, mut writing) = tokio::io::split(shake_hands(self.running.address, &self.config).await.unwrap());
        let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        writing.write_all(&[PREFACE, &closed].concat()).await.unwrap();
        (writing, Listener::new(reading))
    }
}

fn begin(sender: &mut SendRequest<Upload>, credentials: &str) -> (mpsc::Sender<Bytes>, impl Future<Output = u16> + use<>) {
    let (pieces, body) = mpsc::channel(1);
    let request = Request::post("https://localhost/instance/execute/in").header("authorization", credentials);
    let answer = sender.send_request(request.body(Upload(body)).unwrap());
    (pieces, async move { answer.await.unwrap().status().as_u16() })
}

/// A post on stream `id`, its body in frames of at most 16 KiB.
fn post_frames(id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_HEADERS, id, &post_block(ALICE));
    body.chunks(16 * 1024).for_each(|part| bytes.extend(frame(DATA, 0, id, part)));
    bytes.extend(frame(DATA, END_STREAM, id, &[]));
    bytes
}

fn events(count: usize, name_length: usize) -> Vec<u8> {
    let event = format!("{{\"name\":\"{}\"}}", "n".repeat(name_length));
    format!("[{}]", vec![event; count].join(",")).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_refused_do_not_end_the_connection_of_others() {
    let target = Target::start("");
    let mut sender = target.connect().await;
    let (good, answer) = begin(&mut sender, ALICE);
    let answer = tokio::spawn(answer);
    good.send(Bytes::from_static(b"{")).await.unwrap();
    let mut refused = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (upload, refusal) = begin(&mut sender, WRONG);
        refused.spawn(async move {
            assert_eq!(refusal.await, 401);
            // As much as the gateway still reads; a piece is taken when the stream's window let the one before go.
            let mut sent = 0_u64;
            while sent < 960 * 1024 && upload.send(vec![b'x'; 16 * 1024].into()).await.is_ok() {
                sent += 16 * 1024;
            }
            sent
        });
    }
    let sent: u64 = refused.join_all().await.iter().sum();
    assert!(sent > 3 << 20, "{sent}");
    good.send(Bytes::from_static(b"}")).await.unwrap();
    drop(good);
    assert_eq!(answer.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up_whatever_other_streams_do() {
    let target = Target::start("header_timeout = \"1s\"");
    let (mut writing, listener) = target.connect_shut().await;
    writing.write_all(&post_frames(1, &events(60, 1000))).await.unwrap();
    writing.flush().await.unwrap();
    eventually("it is stored", || target.running.metric("hookgate_incidents_total{instance=\"in\"}") == 60.0);
    assert!(target.running.metric(IN_FLIGHT) > 60_000.0, "the names are most of the body");
    // Requests whose answers are taken; any of them keeps a connection.
    let head = block(&[
        (":method", "HEAD"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/instance/execute/in"),
        ("authorization", ALICE),
    ]);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let deadline = Instant::now() + PATIENCE;
    let mut stream = 3;
    while !listener.is_closed() {
        assert!(Instant::now() < deadline, "still open");
        // Often enough that the connection is never idle.
        ticks.tick().await;
        let asked = [frame(HEADERS, END_HEADERS | END_STREAM, stream, &head), frame(WINDOW_UPDATE, 0, stream, &65_535_u32.to_be_bytes())];
        let _ = writing.write_all(&asked.concat()).await;
        let _ = writing.flush().await;
        stream += 2;
    }
    let seen = listener.until_closed(Duration::from_secs(1)).await.unwrap();
    assert!(seen.iter().any(|seen| seen.kind == GOAWAY), "{seen:?}");
    assert!(seen.iter().filter(|seen| seen.status() == Some(200)).count() > 1, "others were answered meanwhile");
    eventually("the budget is free again", || target.running.metric(IN_FLIGHT) == 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_waits_holds_no_more_of_the_budget_than_it_needs() {
    let target = Target::start("");
    let (mut writing, _listener) = target.connect_shut().await;
    let event = format!("{{\"name\":\"{}\",\"more\":\"{}\"}}", "n".repeat(200), "x".repeat(2000));
    let large = format!("[{}]", vec![event; 400].join(","));
    // More than the windows hold at once: let them open again in between.
    let mut sent = frame(HEADERS, END_HEADERS, 1, &post_block(ALICE));
    for part in large.as_bytes().chunks(16 * 1024) {
        sent.extend(frame(DATA, 0, 1, part));
        if sent.len() > 48 * 1024 {
            writing.write_all(&std::mem::take(&mut sent)).await.unwrap();
            writing.flush().await.unwrap();
            let read = large.as_bytes().as_ptr_range().start;
            let so_far = (part.as_ptr_range().end as usize - read as usize) as f64;
            eventually("it is read", || target.running.metric(IN_FLIGHT) >= so_far);
        }
    }
    sent.extend(frame(DATA, END_STREAM, 1, &[]));
    writing.write_all(&sent).await.unwrap();
    writing.flush().await.unwrap();
    eventually("it is stored", || target.running.metric("hookgate_incidents_total{instance=\"in\"}") == 400.0);
    // 400 names of 200 bytes, and what the gateway notes of each event.
    eventually("the body is forgotten", || (80_000.0..300_000.0).contains(&target.running.metric(IN_FLIGHT)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_a_long_answer_gets_all_of_it() {
    let target = Target::start("header_timeout = \"1s\"");
    let mut sender = target.connect().await;
    let (pieces, body) = mpsc::channel(1);
    let request = Request::post("https://localhost/instance/execute/in").header("authorization", ALICE);
    let answer = sender.send_request(request.body(Upload(body)).unwrap());
    pieces.send(events(2_000, 1000).into()).await.unwrap();
    drop(pieces);
    let mut body = answer.await.unwrap().into_body();
    let whole = body.size_hint().exact().unwrap();
    // At a steady pace, which is the very thing that is tested: for longer than a connection with nothing in flight is kept and let go.
    let (start, time, mut read) = (tokio::time::Instant::now(), Duration::from_secs(14), 0);
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len() as u64;
        tokio::time::sleep_until(start + time.mul_f64(read as f64 / whole as f64)).await;
    }
    assert_eq!(read, whole);
}

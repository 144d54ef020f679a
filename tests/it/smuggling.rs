//! Requests that a proxy in front might frame differently, in plain text and behind TLS: never two answers to one framed
//! request, and never a body that is taken for the next request.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{BASIC, Running};
use crate::pki::{Authority, HTTP1, shake_hands};

const HEAD: &str = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";

/// Sends the same bytes in plain text and behind TLS.
struct Both {
    plain: Running,
    encrypted: Running,
    authority: Authority,
}

impl Both {
    fn start() -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
        authority.server(|_| {}).write(folder.path(), "server");
        let server = "certificate = \"server.crt\"\nprivate_key = \"server.key\"\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"";
        let encrypted = Running::start_in(folder, server, BASIC);
        let plain = Running::start_with("header_timeout = \"1s\"\nbody_timeout = \"1s\"", BASIC);
        Self { plain, encrypted, authority }
    }

    /// The statuses that came back, the same both ways.
    #[track_caller]
    fn statuses(&self, bytes: &str) -> Vec<u16> {
        let plain = statuses(&self.plain.raw(bytes.as_bytes()));
        let encrypted = statuses(&self.raw_encrypted(bytes.as_bytes()));
        assert_eq!(plain, encrypted, "{bytes:?}");
        plain
    }

    #[tokio::main(flavor = "current_thread")]
    async fn raw_encrypted(&self, bytes: &[u8]) -> Vec<u8> {
        let config = self.authority.trusting(None, HTTP1);
        let mut stream = shake_hands(self.encrypted.address, &config).await.unwrap();
        let mut answer = Vec::new();
        // A peer that has seen enough may close before everything is written.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("closed in time");
        answer
    }
}

fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

/// A request that would be stored, were it taken for one.
fn smuggled() -> String {
    format!("{HEAD}content-length: 20\r\n\r\n{{\"name\":\"smuggled!\"}}")
}

#[test]
fn odd_heads_get_one_400_and_what_follows_is_not_read() {
    let both = Both::start();
    for head in [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding:\u{b}chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding\t: chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "x: y\r\n transfer-encoding: chunked\r\n",
        "content-length: +2\r\n",
        "content-length: 0x2\r\n",
        "content-length: 2 2\r\n",
        "content-length: 2,3\r\n",
        "content-length:\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length : 2\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
        "\rx: a\r\n",
        "x\r\n",
        ": y\r\n",
        "host: other\r\n",
    ] {
        assert_eq!(both.statuses(&format!("{HEAD}{head}\r\n{}", smuggled())), [400], "{head:?}");
    }
    let old = HEAD.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(both.statuses(&format!("{old}{CHUNKED}2\r\n{{}}\r\n0\r\n\r\n{}", smuggled())), [400], "chunked in HTTP/1.0");
    assert!(both.plain.incidents().is_empty() && both.encrypted.incidents().is_empty());
}

#[test]
fn odd_chunks_get_one_400_and_what_follows_is_not_read() {
    let both = Both::start();
    let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(20_000));
    for body in [
        "2\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "3\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "\r\n2\r\n{}\r\n0\r\n\r\n",
        &long,
    ] {
        assert_eq!(both.statuses(&format!("{HEAD}{CHUNKED}{body}{}", smuggled())), [400], "{body:?}");
    }
    assert!(both.plain.incidents().is_empty() && both.encrypted.incidents().is_empty());
}

#[test]
fn both_lengths_make_one_answer() {
    let both = Both::start();
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "x: y\ntransfer-encoding: chunked\r\ncontent-length: 12\r\n",
    ] {
        let told = both.statuses(&format!("{HEAD}{lengths}\r\n2\r\n{{}}\r\n0\r\n\r\n{}", smuggled()));
        assert_eq!(told.len(), 1, "{lengths:?}: {told:?}");
    }
    let names: Vec<_> = both.plain.incidents().into_iter().map(|incident| incident["name"].to_string()).collect();
    assert!(!names.iter().any(|name| name.contains("smuggled")), "{names:?}");
}

/// RFC 9112 section 2.2 lets a recipient take a bare LF for the end of a line, and that is what is done everywhere in a head.
#[test]
fn a_bare_lf_ends_a_line_of_the_head_and_is_one_request() {
    let both = Both::start();
    let bare = format!("{HEAD}content-length: 2\r\n\r\n{{}}").replace("\r\n", "\n");
    assert_eq!(both.statuses(&bare), [200]);
    // A length that hides behind a bare LF is a length: what follows is the body, not the next request.
    let inner = smuggled();
    let hidden = format!("{HEAD}x: y\ncontent-length: {}\r\n\r\n{inner}", inner.len());
    assert_eq!(both.statuses(&hidden), [400]);
    assert_eq!(both.plain.incidents().len(), 1);
}

#[test]
fn ordinary_forms_are_read_as_they_are_meant() {
    let both = Both::start();
    let close = "connection: close\r\n";
    for (rest, want) in [
        (format!("{CHUNKED}2;a=b;c=\"d\"\r\n{{}}\r\n0\r\n\r\n"), 200),
        (format!("{CHUNKED}002\r\n{{}}\r\n0;last\r\nx-trailer: 1\r\n\r\n"), 200),
        ("content-length: 2\r\ncontent-length: 2\r\n\r\n{}".to_owned(), 200),
        ("content-length: 0\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(both.statuses(&format!("{HEAD}{close}{rest}{}", smuggled())), [want], "{rest:?}");
    }
}

//! HTTP/1.1 as hostile clients speak it: what is malformed is refused, what is slow is closed, what is too much is turned away.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::harness::{ALICE, BASIC, PATIENCE, Running, connect, eventually, read_answer};
use crate::senders::TOKEN;

const HEAD: &str = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\n";

fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

#[test]
fn malformed_requests_get_one_named_400_and_the_connection_is_closed() {
    let running = Running::start(BASIC);
    for head in [
        "POST /instance/execute/in HTTP/1.1\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n{}",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\nexpect: 200-ok\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost : a\r\n\r\n",
        "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\r\n\r\n",
    ] {
        // A second request behind it must not be answered.
        let answer = running.raw(format!("{head}{HEAD}content-length: 2\r\n\r\n{{}}").as_bytes());
        assert_eq!(statuses(&answer), [400], "{head:?}: {}", String::from_utf8_lossy(&answer));
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(text.contains("\r\nx-request-id: "), "{text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    }
    assert!(running.incidents().is_empty());
}

#[test]
fn both_lengths_never_make_two_requests() {
    let running = Running::start(BASIC);
    let smuggled = format!("{HEAD}content-length: 2\r\n\r\n{{}}");
    for lengths in ["content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"] {
        let answer = running.raw(format!("{HEAD}{lengths}\r\n2\r\n{{}}\r\n0\r\n\r\n{smuggled}").as_bytes());
        assert_eq!(statuses(&answer).len(), 1, "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn too_many_or_too_large_headers_are_431() {
    let running = Running::start(BASIC);
    let large = format!("{HEAD}x: {}\r\n\r\n", "a".repeat(70_000));
    let many = format!("{HEAD}{}\r\n", "x: 1\r\n".repeat(200));
    for head in [large, many] {
        let answer = running.raw(head.as_bytes());
        assert_eq!(statuses(&answer), [431]);
        assert!(String::from_utf8_lossy(&answer).contains("x-request-id: "));
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let running = Running::start(BASIC);
    let mut stream = connect(running.address);
    let one = |name: &str| {
        let body = format!("{{\"name\":\"{name}\"}}");
        format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len())
    };
    stream.write_all(format!("{}{}{}", one("a"), one("b"), one("c")).as_bytes()).unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(read_answer(&mut stream, "POST").json()[0]["name"], name);
    }
}

#[test]
fn a_chunked_body_with_trailers_is_read_and_the_trailers_are_not_headers() {
    let running = Running::start(BASIC);
    let mut stream = connect(running.address);
    let request = format!("{HEAD}transfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n2\r\n{{}}\r\n0\r\nx-late: 1\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, "POST").status, 200);
    assert!(running.incidents()[0]["rawJson"]["headers"].get("x-late").is_none());
}

#[test]
fn expectations_are_met_only_for_those_who_may_send() {
    let running = Running::start(BASIC);
    let mut stream = connect(running.address);
    stream.write_all(format!("{HEAD}expect: 100-continue\r\ncontent-length: 2\r\n\r\n").as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").unwrap();
    assert_eq!(read_answer(&mut stream, "POST").status, 200);

    let mut stranger = connect(running.address);
    let head = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stranger.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stranger.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 401");
}

#[test]
fn slow_heads_and_idle_connections_are_closed_by_their_deadline() {
    let running = Running::start_with("header_timeout = \"500ms\"", BASIC);
    let mut silent = connect(running.address);
    let mut slow = connect(running.address);
    slow.write_all(b"POST /instance/execute/in HTTP/1.1\r\nhost:").unwrap();
    let mut idle = connect(running.address);
    idle.write_all(format!("{HEAD}content-length: 2\r\n\r\n{{}}").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut idle, "POST").status, 200);
    for stream in [&mut silent, &mut slow, &mut idle] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
}

#[test]
fn a_slow_body_is_408_by_its_deadline_and_others_are_served_meanwhile() {
    let running = Running::start_with("body_timeout = \"600ms\"", BASIC);
    let started = Instant::now();
    let mut slow: Vec<_> = (0..50).map(|_| connect(running.address)).collect();
    for stream in &mut slow {
        stream.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{").as_bytes()).unwrap();
    }
    assert_eq!(running.post("{}").status, 200);
    for stream in &mut slow {
        let answer = read_answer(stream, "POST");
        assert_eq!(answer.status, 408);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(running.incidents().len(), 1);
}

#[test]
fn a_body_that_breaks_off_stores_nothing() {
    let running = Running::start(BASIC);
    let mut stream = connect(running.address);
    stream.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{}}").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(statuses(&rest).iter().all(|status| *status == 400), "{}", String::from_utf8_lossy(&rest));
    assert!(running.incidents().is_empty());
}

#[test]
fn connections_beyond_the_limit_are_told_to_come_back() {
    let running = Running::start_with("max_connections = 2", BASIC);
    let held: Vec<_> = (0..2).map(|_| connect(running.address)).collect();
    eventually("both are counted", || running.metric("hookgate_connections") == 2.0);
    let mut third = connect(running.address);
    let answer = read_answer(&mut third, "GET");
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    drop(held);
    eventually("places come back", || running.metric("hookgate_connections") == 0.0);
    assert_eq!(running.post("{}").status, 200);
}

#[test]
fn bodies_in_flight_are_bounded_together() {
    let running = Running::start_with("max_body = \"1MiB\"\nmax_body_in_flight = \"1MiB\"", BASIC);
    let mut holder = connect(running.address);
    let part = vec![b' '; 900 * 1024];
    holder.write_all(format!("{HEAD}content-length: 1048576\r\n\r\n").as_bytes()).unwrap();
    holder.write_all(&part).unwrap();
    eventually("the first body is in", || running.metric("hookgate_body_in_flight_bytes") >= 900.0 * 1024.0);
    let second = running.request("POST", "/instance/execute/in", &[ALICE], &vec![b' '; 300 * 1024]);
    assert_eq!(second.status, 503);
    drop(holder);
    eventually("the budget comes back", || running.metric("hookgate_body_in_flight_bytes") == 0.0);
    assert_eq!(running.post("{}").status, 200);
}

#[test]
fn stopping_answers_what_is_in_flight_and_takes_no_more() {
    let mut running = Running::start_with("shutdown_grace = \"15s\"", BASIC);
    let mut in_flight = connect(running.address);
    in_flight.write_all(format!("{HEAD}content-length: 2\r\n\r\n{{").as_bytes()).unwrap();
    eventually("the request is being read", || running.metric("hookgate_body_in_flight_bytes") == 1.0);
    let mut idle = connect(running.address);
    eventually("both are accepted", || running.metric("hookgate_connections") == 2.0);
    running.begin_stop();
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).unwrap(), 0, "an idle connection is closed");
    in_flight.write_all(b"}").unwrap();
    assert_eq!(read_answer(&mut in_flight, "POST").status, 200);
    let address = running.address;
    let folder = running.stop();
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
    assert_eq!(Running::start_in(folder, "", BASIC).incidents().len(), 1);
}

#[test]
fn a_body_that_does_not_come_in_time_for_the_end_is_told_to_come_back() {
    for grace in ["0s", "600ms"] {
        let mut running = Running::start_with(&format!("shutdown_grace = \"{grace}\""), BASIC);
        let mut plain = connect(running.address);
        plain.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{").as_bytes()).unwrap();
        let mut chunked = connect(running.address);
        chunked.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n").as_bytes()).unwrap();
        eventually("both are being read", || running.metric("hookgate_body_in_flight_bytes") == 2.0);
        running.begin_stop();
        for stream in [&mut plain, &mut chunked] {
            let answer = read_answer(stream, "POST");
            answer.check_what_every_answer_has();
            assert_eq!((answer.status, answer.header("connection")), (503, Some("close")), "{grace}");
        }
        let folder = running.stop();
        assert!(Running::start_in(folder, "", BASIC).incidents().is_empty());
    }
}

#[test]
fn ambiguous_framing_is_told_as_what_it_is() {
    let running = Running::start(BASIC);
    for odd in ["content-length: 2\r\ncontent-length: 3", "transfer-encoding: identity, chunked"] {
        let mut client = connect(running.address);
        client.write_all(format!("POST /instance/execute/in HTTP/1.1\r\nhost: x\r\n{odd}\r\n\r\n{{}}").as_bytes()).unwrap();
        let answer = read_answer(&mut client, "POST");
        assert_eq!(answer.status, 400);
        let text = answer.text();
        assert!(text.starts_with("malformed request: ") && (text.contains("framing") || text.contains("Transfer-Encoding")), "{text}");
    }
}

#[test]
fn http2_without_tls_is_told_what_to_do() {
    let running = Running::start(BASIC);
    // The preface and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5), as a client with prior knowledge begins; and what is
    // there of it when a packet ends in its first line.
    for begun in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0"] {
        let mut client = connect(running.address);
        client.write_all(begun).unwrap();
        let answer = read_answer(&mut client, "GET");
        answer.check_what_every_answer_has();
        assert_eq!(answer.status, 400);
        assert!(answer.text().starts_with("malformed request: ") && answer.text().contains("HTTP/2"), "{}", answer.text());
    }
    assert_eq!(running.metric("hookgate_rejections_total{instance=\"\",reason=\"framing\"}"), 3.0);
    eventually("their places are free again", || running.metric("hookgate_connections") == 0.0);
}

#[test]
fn no_answer_of_any_kind_may_be_taken_for_something_else() {
    let running =
        Running::start_with("max_connections_per_address = 3\nmax_body = \"1KiB\"\nmax_incidents = 1\nheader_timeout = \"500ms\"", BASIC);
    let json = ("accept", "application/json");
    let long = vec![b' '; 2048];
    for (status, method, path, headers, body) in [
        (200, "POST", "in", &[ALICE][..], &b"{}"[..]),
        (200, "POST", "in", &[ALICE], b"[]"),
        (200, "GET", "in", &[ALICE], b""),
        (200, "HEAD", "in", &[ALICE], b""),
        (400, "POST", "in", &[ALICE], b"<script>"),
        (400, "POST", "in", &[ALICE, json], b"<script>"),
        (401, "POST", "in", &[], b"{}"),
        (401, "POST", "nobody", &[json], b"{}"),
        (404, "POST", "a/b/c", &[], b"{}"),
        (405, "PUT", "in", &[ALICE], b"{}"),
        (413, "POST", "in", &[ALICE], &long),
        (413, "POST", "in", &[ALICE], b"[{},{}]"),
        (415, "POST", "in", &[ALICE, ("content-encoding", "br")], b"{}"),
    ] {
        // The client of these tests looks for the header in every answer.
        assert_eq!(running.request(method, &format!("/instance/execute/{path}"), headers, body).status, status, "{method} {path}");
    }
    let raw = |bytes: &[u8]| {
        let mut stream = connect(running.address);
        let _ = stream.write_all(bytes);
        let answer = read_answer(&mut stream, "GET");
        answer.check_what_every_answer_has();
        answer.status
    };
    assert_eq!(raw(b"nonsense\r\n\r\n"), 400);
    assert_eq!(raw(format!("{HEAD}x: {}\r\n\r\n", "a".repeat(70_000)).as_bytes()), 431);
    eventually("all are gone", || running.metric("hookgate_connections") == 0.0);
    let held: Vec<_> = (0..3).map(|_| connect(running.address)).collect();
    eventually("they are counted", || running.metric("hookgate_connections") == 3.0);
    assert_eq!(raw(b""), 503);
    drop(held);
    for path in ["/healthz", "/metrics", "/nowhere", "/api/v1/incidents?limit=0"] {
        running.admin(path);
    }
}

#[test]
fn a_peer_that_does_not_read_its_answers_loses_its_place() {
    let running = Running::start_with("header_timeout = \"500ms\"", BASIC);
    let mut greedy = connect(running.address);
    greedy.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // Questions until neither side takes any more.
    let question = b"GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n".repeat(100);
    while greedy.write_all(&question).is_ok() {}
    eventually("its place is free again", || running.metric("hookgate_connections") == 0.0);
    drop(greedy);
    assert_eq!(running.post("{}").status, 200);
}

#[test]
fn a_path_token_that_a_proxy_repeats_in_headers_is_not_kept() {
    let running = Running::start(&format!("[[instance]]\nname = \"path\"\npath_token = \"{TOKEN}\"\n"));
    let address = format!("/instance/execute/path/{TOKEN}");
    let encoded = format!("https%3A%2F%2Fhost%2F{}", TOKEN.replace('-', "%2d"));
    let referer = format!("https://host{address}");
    let headers = [("x-forwarded-uri", address.as_str()), ("x-rewrite", &encoded), ("referer", &referer), ("x-other", "100% /instance")];
    assert_eq!(running.request("POST", &address, &headers, b"{}").status, 200);
    assert_eq!(running.request("POST", "/instance/execute/path", &headers, b"{}").status, 401);
    assert_eq!(running.request("POST", &address, &headers, b"nonsense").status, 400);
    let (kept, refused) = (running.incidents(), running.admin("/api/v1/instances/path/rejections").json());
    assert_eq!((kept.len(), refused["rejections"].as_array().unwrap().len()), (1, 2));
    assert_eq!(kept[0]["rawJson"]["headers"]["x-other"], "100% /instance");
    for shown in [kept[0].to_string(), refused.to_string()] {
        assert!(!shown.contains(TOKEN) && !shown.contains(&encoded), "{shown}");
    }
}

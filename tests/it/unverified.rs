//! Callers whose signature is still to come: what their bodies may take, and what becomes of those that never end.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::{BASIC, Running, connect, eventually, read_answer};
use crate::senders::{SECRET, hex, hmac};

const SMALL: &str = "max_body = \"100KiB\"\nmax_body_in_flight = \"400KiB\"\n";

fn instances() -> String {
    format!("[[instance]]\nname = \"gh\"\nsender = \"github\"\nsecrets = \"{SECRET}\"\n{BASIC}")
}

/// A body of 100 KiB with a made-up signature, all but its last byte.
fn hang(running: &Running) -> TcpStream {
    let mut stream = connect(running.address);
    let head = "POST /instance/execute/gh HTTP/1.1\r\nhost: a\r\nx-hub-signature-256: sha256=00\r\ncontent-length: 102400\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // Whoever has no room is answered before all of it is written.
    let _ = stream.write_all(&vec![b' '; 102_399]);
    stream
}

fn signed(running: &Running, body: &str) -> u16 {
    let signature = format!("sha256={}", hex(&hmac(body)));
    running.request("POST", "/instance/execute/gh", &[("x-hub-signature-256", &signature)], body.as_bytes()).status
}

fn in_flight(running: &Running) -> f64 {
    running.metric("hookgate_body_in_flight_bytes")
}

#[test]
fn bodies_that_nobody_vouches_for_take_nothing_from_others() {
    let running = Running::start_with(SMALL, &instances());
    let first = hang(&running);
    eventually("the first body is held", || in_flight(&running) == 102_399.0);
    for mut stream in (0..8).map(|_| hang(&running)).collect::<Vec<_>>() {
        assert_eq!(read_answer(&mut stream, "POST").status, 503);
    }
    assert_eq!(in_flight(&running), 102_399.0);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    assert_eq!(running.post(&large).status, 200);
    drop(first);
    eventually("the first body is given up", || in_flight(&running) == 0.0);
    assert_eq!(signed(&running, &large), 200);
}

#[test]
fn a_body_that_does_not_arrive_is_a_failed_login() {
    let server = format!("{SMALL}failed_logins_per_minute = 3\nbody_timeout = \"300ms\"");
    let running = Running::start_with(&server, &instances());
    assert_eq!(read_answer(&mut hang(&running), "POST").status, 408);
    let huge = [("x-hub-signature-256", "sha256=00")];
    assert_eq!(running.request("POST", "/instance/execute/gh", &huge, &vec![b' '; 110_000]).status, 413);
    let stream = hang(&running);
    eventually("the body is held", || in_flight(&running) == 102_399.0);
    drop(stream);
    eventually("the body is given up", || in_flight(&running) == 0.0);
    assert_eq!(running.request("POST", "/instance/execute/gh", &huge, b"{}").status, 429);
    assert_eq!(signed(&running, "{}"), 200, "who signs is let in all the same");
}

#[test]
fn a_secret_that_could_be_guessed_is_not_looked_at_beyond_the_rate() {
    let guessable = "[[instance]]\nname = \"gl\"\nsender = \"gitlab\"\nsecrets = \"s3cret-of-the-sender\"\n";
    let running = Running::start_with("failed_logins_per_minute = 2", guessable);
    let post = |token| running.request("POST", "/instance/execute/gl", &[("x-gitlab-token", token)], b"{}").status;
    assert_eq!((post("a"), post("b"), post(SECRET)), (401, 401, 429));
}

#[test]
fn made_up_certificates_are_failed_logins() {
    let running = Running::start_with("failed_logins_per_minute = 3", "[[instance]]\nname = \"sns\"\nsender = \"aws-sns\"\n");
    let post = |host: &str| {
        let body = format!(
            r#"{{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:1:t","Message":"m","Timestamp":"2024-01-01T00:00:00.000Z","SignatureVersion":"2","Signature":"AAAA","SigningCertURL":"https://{host}/a.pem"}}"#
        );
        running.request("POST", "/instance/execute/sns", &[], body.as_bytes()).status
    };
    // A bucket is nobody's to be asked.
    assert_eq!([0; 4].map(|_| post("sns.s3-us-west-2.amazonaws.com")), [401, 401, 401, 429]);
}

//! What a program reads in the log: who is behind an answer, and no more than is good for the disk.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{BASIC, connect, eventually, read_answer, request};
use crate::process::PROGRAM;

/// `hookgate serve` with its log in a file; killed when dropped.
struct Logged {
    child: Child,
    folder: TempDir,
}

/// A sender that waits to be confirmed, as often as anybody who knows its address says so.
const WAITING: &str = "[[instance]]\nname = \"ens\"\nsender = \"salesforce-ens\"\npath_token = \"t0ken-of-the-address-4711\"\n";

impl Logged {
    fn serve() -> Self {
        let folder = TempDir::new().unwrap();
        let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"t\"\n{BASIC}{WAITING}");
        std::fs::write(folder.path().join("hookgate.toml"), config).unwrap();
        let create = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        let child = Command::new(PROGRAM)
            .args(["serve", "--log-format", "json"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(create("addresses"))
            .stderr(create("log"))
            .spawn()
            .unwrap();
        let logged = Self { child, folder };
        eventually("it listens", || logged.read("addresses").contains("(admin)\n"));
        logged
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::read_to_string(path).unwrap()
    }

    /// What listens there.
    fn address(&self, what: &str) -> SocketAddr {
        let addresses = self.read("addresses");
        let line = addresses.lines().find(|line| line.ends_with(&format!("({what})"))).unwrap();
        line.split("://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
    }

    /// Complete lines of the log that say `message`.
    fn lines(&self, message: &str) -> Vec<Value> {
        let log = self.read("log");
        let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let lines = complete.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        lines.filter(|line| line["message"].as_str().is_some_and(|found| found.starts_with(message))).collect()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_refused_request_is_found_by_its_id_on_both_listeners() {
    let gateway = Logged::serve();
    for (what, message) in [("entrance", "request refused"), ("admin", "admin request refused")] {
        let answer = request(gateway.address(what), "GET", "/instance/execute/in", &[], b"");
        assert_eq!(answer.status, 401);
        let is_logged = || gateway.lines(message).iter().any(|line| line["request_id"].as_str() == answer.header("x-request-id"));
        eventually(message, is_logged);
    }
}

#[test]
fn a_flood_of_refusals_leaves_some_lines_and_the_number_of_the_others() {
    const FLOOD: u64 = 3000;
    let gateway = Logged::serve();
    let mut stream = connect(gateway.address("entrance"));
    let asked = b"GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n".repeat(100);
    for _ in 0..FLOOD / 100 {
        stream.write_all(&asked).unwrap();
        (0..100).for_each(|_| assert_eq!(read_answer(&mut stream, "GET").status, 404));
    }
    let told = || {
        let left_out = gateway.lines("lines left out").iter().map(|line| line["left_out"].as_u64().unwrap()).sum::<u64>();
        (gateway.lines("request refused").len() as u64, left_out)
    };
    eventually("every refusal is accounted for", || told().0 + told().1 == FLOOD);
    let (lines, left_out) = told();
    assert!(lines >= 200 && left_out > 0, "{lines} lines, {left_out} left out");
    let metrics = request(gateway.address("admin"), "GET", "/metrics", &[("authorization", "Bearer t")], b"").text();
    let counted = format!("hookgate_rejections_total{{instance=\"\",reason=\"path\"}} {FLOOD}");
    assert!(metrics.contains(&counted), "{metrics}");
    let other = request(gateway.address("entrance"), "PUT", "/instance/execute/in", &[], b"");
    eventually("other kinds have lines of their own", || {
        gateway.lines("request refused").iter().any(|line| line["request_id"].as_str() == other.header("x-request-id"))
    });
}

#[test]
fn a_flood_of_handshakes_does_not_fill_the_log() {
    const FLOOD: u64 = 3000;
    let gateway = Logged::serve();
    let mut stream = connect(gateway.address("entrance"));
    let body = r#"{"callbackId":"c","verificationKey":"k"}"#;
    let path = "/instance/execute/ens/t0ken-of-the-address-4711";
    let asked = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len()).repeat(100);
    for _ in 0..FLOOD / 100 {
        stream.write_all(asked.as_bytes()).unwrap();
        (0..100).for_each(|_| assert_eq!(read_answer(&mut stream, "POST").status, 200));
    }
    let left_out = || gateway.lines("lines left out").iter().map(|line| line["left_out"].as_u64().unwrap()).sum::<u64>();
    let lines = || gateway.lines("the sender waits to be confirmed").len() as u64;
    eventually("every handshake is accounted for", || lines() + left_out() == FLOOD);
    assert!(left_out() > 0);
}

#[test]
fn what_a_stranger_makes_up_takes_little_room_in_a_line() {
    let gateway = Logged::serve();
    let long = "M".repeat(15_000);
    let refused = request(gateway.address("entrance"), &long, "/instance/execute/in", &[], b"");
    assert_eq!(refused.status, 405);
    assert_eq!(request(gateway.address("admin"), "GET", &format!("/{long}"), &[], b"").status, 401);
    eventually("both are logged", || gateway.lines("request refused").len() + gateway.lines("admin request refused").len() == 2);
    let longest = gateway.read("log").lines().map(str::len).max();
    assert!(longest < Some(1000), "{longest:?}");
    let shown = request(gateway.address("admin"), "GET", "/api/v1/instances/in/rejections", &[("authorization", "Bearer t")], b"").text();
    assert!(shown.len() < 2000 && shown.contains("MMM…"), "{shown}");
}

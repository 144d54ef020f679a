//! A running gateway is changed, and nobody notices but those who should.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use hookgate::app::ReloadError;

use crate::harness::{ALICE, Answer, BASIC, Running, TOKEN, connect, eventually, read_answer, request};
use crate::process::Process;
use crate::tls_client::{Client, Pair};

/// `alice:newer`
const NEWER: (&str, &str) = ("authorization", "Basic YWxpY2U6bmV3ZXI=");
const OTHER: &str = "[[instance]]\nname = \"other\"\nusername = \"alice\"\npassword = \"secret\"\n";
const TLS: &str = "certificate = \"hookgate.crt\"\nprivate_key = \"hookgate.key\"";

fn post_as(running: &Running, who: (&str, &str)) -> Answer {
    running.request("POST", "/instance/execute/in", &[who], b"{}")
}

fn start_with_tls(pair: &Pair) -> Running {
    let folder = tempfile::TempDir::new().unwrap();
    pair.install(folder.path());
    Running::start_in(folder, TLS, BASIC)
}

/// 100 reloads in everyday runs; HOOKGATE_FULL=1 makes it 1,000.
fn rounds() -> usize {
    if std::env::var_os("HOOKGATE_FULL").is_some() { 1000 } else { 100 }
}

#[test]
fn reloads_under_load_lose_nothing() {
    let (one, two) = (Pair::new(), Pair::new());
    let client = Client::trusting(&[&one, &two]);
    let running = start_with_tls(&one);
    let is_over = AtomicBool::new(false);
    let address = running.address;
    let count = |mut post: Box<dyn FnMut() -> Answer + '_>| {
        let mut sent = 0;
        // At least one, so that a run with a starved thread still means something.
        while sent == 0 || !is_over.load(Ordering::Relaxed) {
            assert_eq!(post().ids().len(), 1);
            sent += 1;
        }
        sent
    };
    let sent = std::thread::scope(|scope| {
        let fresh = scope.spawn(|| count(Box::new(|| client.connect(address).post())));
        let kept = scope.spawn(|| {
            let mut connection = client.connect(address);
            count(Box::new(move || connection.post()))
        });
        for round in 0..rounds() {
            if round % 2 == 0 { &two } else { &one }.install(running.folder());
            let next = if round % 3 == 0 { "password_next = \"newer\"\n" } else { "" };
            let other = if round % 2 == 0 { format!("{OTHER}listen = \"127.0.0.1:0\"\n") } else { String::new() };
            running.replace_instances(&format!("{BASIC}{next}{other}"));
        }
        is_over.store(true, Ordering::Relaxed);
        fresh.join().unwrap() + kept.join().unwrap()
    });
    println!("{} reloads, {sent} requests", rounds());
    assert_eq!(running.metric("hookgate_reloads_total{result=\"failed\"}"), 0.0);
    assert!(running.metric("hookgate_reloads_total{result=\"ok\"}") >= rounds() as f64);
    let total = |line| running.metric(line) as usize;
    assert_eq!(total("hookgate_incidents_total{instance=\"in\"}"), sent, "counters go on");
    assert_eq!(total("hookgate_requests_total{instance=\"in\",status=\"200\"}"), sent);
}

#[test]
fn passwords_are_rotated_without_a_gap() {
    let running = Running::start(BASIC);
    assert_eq!(post_as(&running, NEWER).status, 401);
    running.replace_instances(&format!("{BASIC}password_next = \"newer\"\n"));
    assert_eq!((post_as(&running, ALICE).status, post_as(&running, NEWER).status), (200, 200));
    let before = running.about("in");
    assert!(before["passwordLastUsed"].is_string() && before["passwordNextLastUsed"].is_string(), "{before}");

    running.replace_instances(&BASIC.replace("secret", "newer"));
    let after = running.about("in");
    assert_eq!(after["passwordLastUsed"], before["passwordNextLastUsed"], "it is the same password");
    assert!(after["passwordNextLastUsed"].is_null(), "{after}");
    assert_eq!((post_as(&running, ALICE).status, post_as(&running, NEWER).status), (401, 200));
}

#[test]
fn secret_files_are_read_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    let running = Running::start_in(folder, "", &BASIC.replace("\"secret\"", "{ file = \"secret\" }"));
    std::fs::write(&secret, "newer\n").unwrap();
    assert_eq!(post_as(&running, NEWER).status, 401, "not before it is told");
    running.rewrite(|text| text).unwrap();
    assert_eq!((post_as(&running, ALICE).status, post_as(&running, NEWER).status), (401, 200));
}

#[test]
fn a_bad_file_changes_nothing_and_says_all_that_is_wrong() {
    let running = Running::start(BASIC);
    let bad = "max_bdy = 1\nlisten = \"127.0.0.1:0\"";
    let outcome = running.rewrite(|text| text.replacen("listen = \"127.0.0.1:0\"", bad, 1).replace("secret", ""));
    let Err(ReloadError::Config(errors)) = outcome else { panic!("{outcome:?}") };
    let keys: Vec<_> = errors.errors.iter().map(|error| (error.key.as_str(), error.line.is_some())).collect();
    assert_eq!(keys, [("server.max_bdy", true), ("instance[0].password", true)]);
    assert_eq!(running.post("{}").status, 200);
    assert_eq!(running.metric("hookgate_reloads_total{result=\"failed\"}"), 1.0);
    assert_eq!(running.metric("hookgate_reloads_total{result=\"ok\"}"), 0.0);
}

#[test]
fn a_certificate_that_does_not_fit_or_an_address_that_is_taken_changes_nothing() {
    let (one, two) = (Pair::new(), Pair::new());
    let running = start_with_tls(&one);
    let client = Client::trusting(&[&one]);
    let key = std::fs::read(running.folder().join("hookgate.key")).unwrap();
    two.install(running.folder());
    std::fs::write(running.folder().join("hookgate.key"), key).unwrap();
    let password = |text: String| text.replace("\"secret\"", "\"newer\"");
    assert!(matches!(running.rewrite(password), Err(ReloadError::Start(_))));
    assert_eq!(client.connect(running.address).post().status, 200);

    one.install(running.folder());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"\n", taken.local_addr().unwrap());
    assert!(matches!(running.rewrite(|text| text + &listen), Err(ReloadError::Start(_))));
    assert_eq!(client.connect(running.address).post().status, 200);
}

#[test]
fn certificates_are_picked_up_when_their_files_change() {
    let (one, two) = (Pair::new(), Pair::new());
    let running = start_with_tls(&one);
    let client = Client::trusting(&[&one, &two]);
    let mut kept = client.connect(running.address);
    assert_eq!(kept.certificate(), one.certificate());
    two.install(running.folder());
    eventually("the new certificate is shown", || client.connect(running.address).certificate() == two.certificate());
    assert_eq!(kept.post().status, 200, "open connections go on");
    eventually("it is counted", || running.metric("hookgate_reloads_total{result=\"ok\"}") == 1.0);
}

#[test]
fn a_removed_instance_answers_what_it_has_begun_and_nothing_more() {
    let running = Running::start(BASIC);
    assert_eq!(running.post("nonsense").status, 400);
    let mut in_flight = connect(running.address);
    let head = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{";
    in_flight.write_all(head.as_bytes()).unwrap();
    eventually("the request is being read", || running.metric("hookgate_body_in_flight_bytes") == 1.0);
    running.replace_instances(OTHER);
    assert_eq!(running.post("{}").status, 401);
    in_flight.write_all(b"}").unwrap();
    assert_eq!(read_answer(&mut in_flight, "POST").status, 200);
    in_flight.write_all(format!("{head}}}").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut in_flight, "POST").status, 401, "the connection is kept, the instance is not");
    assert_eq!(running.request("POST", "/instance/execute/other", &[ALICE], b"{}").status, 200);
    assert_eq!(running.admin("/api/v1/instances/in/rejections").status, 404);
    assert_eq!(running.incidents().len(), 2);
}

#[test]
fn the_throttle_remembers() {
    let running = Running::start_with("failed_logins_per_minute = 1", BASIC);
    assert_eq!((post_as(&running, NEWER).status, post_as(&running, NEWER).status), (401, 429));
    running.rewrite(|text| text).unwrap();
    assert_eq!(post_as(&running, NEWER).status, 429);
    running.rewrite(|text| text.replace("failed_logins_per_minute = 1", "failed_logins_per_minute = 0")).unwrap();
    assert_eq!(post_as(&running, NEWER).status, 401);
}

#[test]
fn limits_and_the_admin_token_change() {
    let running = Running::start_with("max_body = \"1MiB\"", BASIC);
    let large = vec![b' '; 2048];
    assert_eq!(running.post(&large).status, 400);
    running.rewrite(|text| text.replace("1MiB", "1KiB").replace(TOKEN, "another-token")).unwrap();
    assert_eq!(running.post(&large).status, 413);
    assert_eq!(running.admin("/metrics").status, 401);
    let token = ("authorization", "Bearer another-token");
    assert_eq!(request(running.admin, "GET", "/metrics", &[token], b"").status, 200);
}

/// The instance's own port, as the admin API tells it.
fn own_port(running: &Running, instance: &str) -> Option<SocketAddr> {
    let about = running.about(instance);
    about["urls"].as_array().unwrap().iter().find_map(|url| url.as_str()?.strip_prefix("http://")?.strip_suffix('/')?.parse().ok())
}

#[test]
fn ports_of_instances_come_go_and_change_hands() {
    let running = Running::start(&format!("{BASIC}{OTHER}"));
    assert_eq!(own_port(&running, "in"), None);
    running.replace_instances(&format!("{BASIC}listen = \"127.0.0.1:0\"\n{OTHER}"));
    let port = own_port(&running, "in").unwrap();
    assert_eq!(request(port, "POST", "/", &[ALICE], b"{}").json()[0]["instance"], "in");

    running.replace_instances(&format!("{BASIC}{OTHER}listen = \"{port}\"\n"));
    assert_eq!(request(port, "POST", "/", &[ALICE], b"{}").json()[0]["instance"], "other");

    let mut kept = connect(port);
    let head = "POST / HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{}";
    kept.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut kept, "POST").status, 200);
    running.replace_instances(&format!("{BASIC}{OTHER}"));
    eventually("nobody listens there any more", || TcpStream::connect(port).is_err());
    kept.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut kept, "POST").json()[0]["instance"], "other", "open connections go on");
    assert_eq!(running.post("{}").status, 200);
}

#[test]
fn tls_is_switched_on_at_the_same_port() {
    let running = Running::start(BASIC);
    let pair = Pair::new();
    pair.install(running.folder());
    let mut plain = connect(running.address);
    running.rewrite(|text| text.replacen("[server]", &format!("[server]\n{TLS}"), 1)).unwrap();
    assert_eq!(Client::trusting(&[&pair]).connect(running.address).post().status, 200);
    let head = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{}";
    plain.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut plain, "POST").status, 200, "open connections go on");
}

#[test]
fn sighup_reloads_and_sigterm_still_ends() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |instance: &str| {
        std::fs::write(folder.path().join("hookgate.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{instance}")).unwrap();
    };
    write(BASIC);
    let process = Process::serve(folder.path());
    let post = |who| request(process.address, "POST", "/instance/execute/in", &[who], b"{}").status;
    assert_eq!(post(ALICE), 200);
    write(&BASIC.replace("secret", "newer"));
    process.signal("HUP");
    eventually("the new password is accepted", || post(NEWER) == 200);
    assert_eq!(post(ALICE), 401);
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
}

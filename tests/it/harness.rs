//! A gateway for a test, and a client that checks on every answer what every answer must have.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hookgate::app::{Gateway, ReloadError, Reloader, RunError};
use hookgate::config::Config;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "admin-token";

/// An instance `in` with Basic credentials `alice:secret`.
pub(crate) const BASIC: &str = "[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = \"secret\"\n";

/// A running gateway in this process, in a folder of its own; stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    addresses: Vec<(String, SocketAddr)>,
    reloader: Reloader,
    folder: Option<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Running {
    /// A gateway with `instances` (TOML) and nothing else out of the ordinary.
    pub(crate) fn start(instances: &str) -> Self {
        Self::start_with("", instances)
    }

    /// A gateway with further keys of `[server]`.
    pub(crate) fn start_with(server: &str, instances: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), server, instances)
    }

    /// A gateway on the store that `folder` may already hold.
    pub(crate) fn start_in(folder: TempDir, server: &str, instances: &str) -> Self {
        let path = folder.path().join("hookgate.toml");
        let text =
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n{instances}");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        // On a thread of its own: the caller may be inside a runtime, and the gateway brings another.
        let gateway = std::thread::scope(|scope| scope.spawn(|| Gateway::bind(&config).unwrap()).join().unwrap());
        let addresses: Vec<_> = gateway.addresses().into_iter().map(|bound| (bound.what, bound.address)).collect();
        let find = |what: &str| addresses.iter().find(|(name, _)| name == what).unwrap().1;
        let (stop, stopped) = oneshot::channel();
        let reloader = gateway.reloader();
        Self {
            reloader,
            address: find("entrance"),
            admin: find("admin"),
            addresses,
            folder: Some(folder),
            stop: Some(stop),
            thread: Some(std::thread::spawn(move || {
                gateway.run_until(async {
                    let _ = stopped.await;
                })
            })),
        }
    }

    /// Changes the text of the configuration and reloads it.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) -> Result<(), ReloadError> {
        let path = self.folder().join("hookgate.toml");
        let text = change(std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, text).unwrap();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(self.reloader.reload())
    }

    /// Reloads with these instances in place of those before.
    pub(crate) fn replace_instances(&self, instances: &str) {
        let replaced = self.rewrite(|text| format!("{}{instances}", text.split_once("[[instance]]").unwrap().0));
        replaced.unwrap_or_else(|error| panic!("{error}"));
    }

    /// What the admin API says about an instance.
    pub(crate) fn about(&self, instance: &str) -> Value {
        let answer = self.admin("/api/v1/instances").json();
        let found = answer["instances"].as_array().unwrap().iter().find(|one| one["name"] == instance);
        found.cloned().unwrap_or(Value::Null)
    }

    /// Where an instance with a port of its own listens.
    pub(crate) fn own_address(&self, instance: &str) -> SocketAddr {
        let what = format!("instance {instance}");
        self.addresses.iter().find(|(name, _)| *name == what).unwrap().1
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// Stops as on SIGTERM and gives back the folder.
    pub(crate) fn stop(mut self) -> TempDir {
        self.end();
        self.folder.take().unwrap()
    }

    /// Tells the gateway to stop, without waiting.
    pub(crate) fn begin_stop(&mut self) {
        self.stop.take();
    }

    fn end(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the gateway does not panic").expect("the gateway ends well");
            }
        }
    }

    /// Posts to instance `in` as alice.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", "/instance/execute/in", &[ALICE], body.as_ref())
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.address, method, path, headers, body)
    }

    /// Sends bytes as they are and reads until the other side closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.address);
        // A peer that has seen enough may close before everything is written.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// Asks the admin listener, with its token.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        request(self.admin, "GET", path, &[("authorization", &format!("Bearer {TOKEN}"))], b"")
    }

    /// All incidents that the admin API knows, oldest first.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut path = "/api/v1/incidents?order=asc&limit=1000".to_owned();
        loop {
            let page = self.admin(&path).json();
            all.extend(page["incidents"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { return all };
            path = format!("/api/v1/incidents?order=asc&limit=1000&cursor={next}");
        }
    }

    /// The value of one line of `/metrics`, such as `hookgate_incidents_total{instance="in"}`; 0 where there is none.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.admin("/metrics").text();
        let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or(0.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// `alice:secret`
pub(crate) const ALICE: (&str, &str) = ("authorization", "Basic YWxpY2U6c2VjcmV0");

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The ids of an answer to a POST.
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json().as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn check_what_every_answer_has(&self) {
        assert!(self.header("x-request-id").is_some_and(|id| id.len() == 16), "no request id in {self:?}");
        assert!(self.header("content-type").is_some(), "no content type in {self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        assert!(!(300..400).contains(&self.status), "a redirect: {self:?}");
        assert_eq!(self.status == 503 || self.status == 429, self.header("retry-after").is_some(), "Retry-After: {self:?}");
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection of its own, and its checked answer.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    request_on(connect(address), method, path, headers, body)
}

/// The same on a connection that is there already.
pub(crate) fn request_on(mut stream: TcpStream, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // The other side may answer and close before it has read everything.
    let _ = stream.write_all(body);
    let answer = read_answer(&mut stream, method);
    answer.check_what_every_answer_has();
    answer
}

/// Reads one answer from a stream that may stay open.
pub(crate) fn read_answer(stream: &mut impl Read, method: &str) -> Answer {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        // Signals that other tests send to this process interrupt a plain read.
        let read = stream.read_exact(&mut byte);
        read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)));
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    if status == 100 {
        return read_answer(stream, method);
    }
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
    stream.read_exact(&mut body).unwrap();
    Answer { status, headers, body }
}

/// Waits until `done` says so.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

//! What a service manager sees: readiness, the watchdog, the end, and sockets that outlive the process.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{ALICE, BASIC, PATIENCE, connect, read_answer, request};

/// `hookgate serve` as a service manager starts it; killed when dropped.
struct Service(Child);

impl Service {
    /// With `listener` as the socket that it is passed.
    fn start(folder: &Path, listener: &TcpListener, environment: &[(&str, &str)]) -> Self {
        // The shell becomes the gateway, so that the process id in LISTEN_PID is right.
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve";
        let child = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_hookgate")])
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }

    /// What it said on standard error, having failed.
    fn failed(mut self) -> String {
        let mut told = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut told).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(1), "{told}");
        told
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn folder_for(address: SocketAddr) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), format!("[server]\nlisten = \"{address}\"\n{BASIC}")).unwrap();
    folder
}

/// Where a service manager hears from its service.
struct Ear(UnixDatagram);

impl Ear {
    fn new(folder: &Path) -> (Self, String) {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), path.to_str().unwrap().to_owned())
    }

    /// Waits for a message with this line.
    fn hear(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            let length = match self.0.recv(&mut buffer) {
                Ok(length) => length,
                // By a signal that another test sends to this process.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("{line} was not said: {error}"),
            };
            let message = std::str::from_utf8(&buffer[..length]).unwrap();
            if message.lines().any(|said| said == line) {
                return message.to_owned();
            }
        }
        panic!("{line} was not said in time");
    }
}

#[test]
fn readiness_the_watchdog_and_the_end_are_told() {
    const LIMIT: Duration = Duration::from_secs(3);
    let (listener, address) = listener();
    let folder = folder_for(address);
    let (ear, path) = Ear::new(folder.path());
    let limit = LIMIT.as_micros().to_string();
    let mut service = Service::start(folder.path(), &listener, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", &limit)]);
    ear.hear("READY=1");
    assert_eq!(request(address, "POST", "/instance/execute/in", &[ALICE], b"{}").status, 200, "ready means that events are stored");

    ear.hear("WATCHDOG=1");
    for _ in 0..2 {
        let last = Instant::now();
        ear.hear("WATCHDOG=1");
        assert!(last.elapsed() < LIMIT, "a service manager would have killed it");
    }
    kill_process(Pid::from_child(&service.0), Signal::HUP).unwrap();
    let message = ear.hear("RELOADING=1");
    assert!(message.contains("\nMONOTONIC_USEC="), "what Type=notify-reload asks for: {message}");
    ear.hear("READY=1");
    kill_process(Pid::from_child(&service.0), Signal::TERM).unwrap();
    let message = ear.hear("STOPPING=1");
    assert!(message.contains("\nEXTEND_TIMEOUT_USEC=30000000\n"), "the grace period is asked for: {message}");
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_gateway_that_cannot_start_is_never_ready() {
    let (listener, address) = listener();
    let folder = folder_for(address);
    std::fs::write(folder.path().join("hookgate.db"), "not a database\n".repeat(500)).unwrap();
    let (ear, path) = Ear::new(folder.path());
    let told = Service::start(folder.path(), &listener, &[("NOTIFY_SOCKET", &path)]).failed();
    assert!(told.contains("hookgate.db"), "{told}");
    ear.0.set_nonblocking(true).unwrap();
    assert!(ear.0.recv(&mut [0; 16]).is_err(), "something was said");
}

#[test]
fn connections_wait_while_nobody_serves() {
    let (listener, address) = listener();
    let folder = folder_for(address);
    let post = b"POST /instance/execute/in HTTP/1.1\r\nhost: a\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{}";
    let mut early = connect(address);
    early.write_all(post).unwrap();
    let mut service = Service::start(folder.path(), &listener, &[]);
    assert_eq!(read_answer(&mut early, "POST").status, 200);

    // Connected, accepted perhaps, but nothing sent yet.
    let mut silent = connect(address);
    kill_process(Pid::from_child(&service.0), Signal::TERM).unwrap();
    silent.write_all(post).unwrap();
    let mut between = connect(address);
    between.write_all(post).unwrap();
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
    let _next = Service::start(folder.path(), &listener, &[]);
    assert_eq!(read_answer(&mut silent, "POST").status, 200);
    assert_eq!(read_answer(&mut between, "POST").status, 200);
}

#[test]
fn restarts_under_load_refuse_no_connection_and_lose_no_event() {
    const RESTARTS: usize = 5;
    let (listener, address) = listener();
    let folder = folder_for(address);
    let is_over = AtomicBool::new(false);
    // Every request has a connection of its own and must be answered 200, or `ids` panics.
    let post = || {
        let mut acknowledged = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            acknowledged.extend(request(address, "POST", "/instance/execute/in", &[ALICE], b"{}").ids());
        }
        acknowledged
    };
    let mut service = Service::start(folder.path(), &listener, &[]);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(post)).collect();
        for _ in 0..RESTARTS {
            // Answered: it serves.
            request(address, "GET", "/instance/execute/in", &[ALICE], b"");
            service.terminate();
            service = Service::start(folder.path(), &listener, &[]);
        }
        request(address, "GET", "/instance/execute/in", &[ALICE], b"");
        is_over.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let output = Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["incidents", "export"]).current_dir(folder.path()).output().unwrap();
    let stored = String::from_utf8(output.stdout).unwrap();
    let stored: Vec<String> =
        stored.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()).collect();
    assert!(acknowledged.len() >= RESTARTS, "{} requests", acknowledged.len());
    assert_eq!(stored.len(), acknowledged.len());
    assert!(acknowledged.iter().all(|id| stored.contains(id)));
}

#[test]
fn a_socket_that_nothing_is_configured_for_is_an_error() {
    let (listener, address) = listener();
    let folder = folder_for("127.0.0.1:0".parse().unwrap());
    let told = Service::start(folder.path(), &listener, &[]).failed();
    assert!(told.contains(&address.to_string()) && told.contains("ListenStream="), "{told}");
}

#[test]
fn the_packaged_files_fit_each_other() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let read = |name: &str| std::fs::read_to_string(packaging.join(name)).unwrap();
    let (config, service, socket) = (read("hookgate.toml"), read("hookgate.service"), read("hookgate.socket"));
    // Where the service manager puts the secrets, and where the test does.
    let folder = TempDir::new().unwrap();
    let credentials = "/run/credentials/hookgate.service/secret_";
    assert_eq!(config.matches(&format!("{{ file = \"{credentials}")).count(), 2);
    assert!(service.contains("\nLoadCredential=secret:/etc/hookgate/secrets\n"));
    let postinst = read("debian/postinst");
    for name in ["admin-token", "my_instance_01"] {
        assert!(postinst.contains(&format!("\n  secret {name}\n")));
        let secret = folder.path().join(name);
        std::fs::write(&secret, "a-secret\n").unwrap();
        std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = config.replace(credentials, &format!("{}/", folder.path().display()));
    let config = hookgate::config::Config::parse(&config, Path::new("/etc/hookgate/hookgate.toml"), &|_| None).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.store.path, Path::new("/var/lib/hookgate/hookgate.db"));
    assert!(service.contains("\nStateDirectory=hookgate\n"));
    let passed: Vec<_> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    assert_eq!(passed, config.server.listen.iter().map(ToString::to_string).collect::<Vec<_>>());
}

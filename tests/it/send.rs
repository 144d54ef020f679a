//! `send` at listeners that want to see something before a request.

use std::process::{Command, Output, Stdio};

use rcgen::DnType;
use tempfile::TempDir;

use crate::harness::{BASIC, Running};
use crate::pki::Authority;
use crate::process::PROGRAM;

/// A folder from which `send` knows the gateway by its configured address.
struct Desk(TempDir);

impl Desk {
    /// With these keys of `[server]`, whose files are in the gateway's folder.
    fn beside(gateway: &Running, server: &str) -> Self {
        let folder = TempDir::new().unwrap();
        for file in std::fs::read_dir(gateway.folder()).unwrap().map(Result::unwrap) {
            let name = file.file_name();
            if [".crt", ".key", ".pem"].iter().any(|end| name.to_string_lossy().ends_with(end)) {
                std::fs::copy(file.path(), folder.path().join(name)).unwrap();
            }
        }
        let config = format!("[server]\nlisten = \"{}\"\n{server}\n{BASIC}", gateway.address);
        std::fs::write(folder.path().join("hookgate.toml"), config).unwrap();
        std::fs::write(folder.path().join("event.json"), "{}").unwrap();
        Self(folder)
    }

    fn send(&self, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.0.path()).args(["send", "in", "event.json"]).args(args).stdin(Stdio::null()).output().unwrap()
    }
}

#[track_caller]
fn accepted(output: &Output) {
    assert!(output.status.success() && output.stdout.starts_with(b"200 OK\n["), "{output:?}");
}

#[track_caller]
fn advised(output: &Output, advice: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains(advice), "{output:?}");
}

#[test]
fn a_listener_with_client_ca_is_shown_a_certificate() {
    const SERVER: &str = "certificate = \"server.crt\"\nprivate_key = \"server.key\"\nclient_ca = \"clients.pem\"";
    let folder = TempDir::new().unwrap();
    let clients = Authority::new("clients");
    Authority::new("root").server(|_| {}).write(folder.path(), "server");
    clients.client(&[(DnType::CommonName, "alice")]).write(folder.path(), "alice");
    Authority::new("clients").client(&[(DnType::CommonName, "alice")]).write(folder.path(), "stranger");
    std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
    let gateway = Running::start_in(folder, SERVER, BASIC);
    let desk = Desk::beside(&gateway, SERVER);
    advised(&desk.send(&[]), "--cert FILE --key FILE");
    accepted(&desk.send(&["--cert", "alice.crt", "--key", "alice.key"]));
    assert_eq!(gateway.incidents()[0]["rawJson"]["headers"]["hookgate-client-subject"], "CN=alice");
    advised(&desk.send(&["--cert", "stranger.crt", "--key", "stranger.key"]), "no ");
    advised(&desk.send(&["--cert", "alice.crt", "--key", "stranger.key"]), "is not the key of");
    assert_eq!(desk.send(&["--cert", "alice.crt"]).status.code(), Some(2), "one half is wrong usage");
    assert_eq!(gateway.incidents().len(), 1);
}

#[test]
fn a_listener_that_speaks_the_proxy_protocol_gets_its_header() {
    let server = |proxy: &str| format!("trusted_proxies = [\"{proxy}\"]\nproxy_protocol = true");
    let gateway = Running::start_with(&server("127.0.0.1"), BASIC);
    let desk = Desk::beside(&gateway, &server("127.0.0.1"));
    accepted(&desk.send(&[]));
    let url = format!("http://{}/instance/execute/in", gateway.address);
    accepted(&desk.send(&["--url", &url, "--proxy-protocol"]));
    let elsewhere = Desk::beside(&gateway, &server("192.0.2.1"));
    advised(&elsewhere.send(&[]), "127.0.0.1 is none: add it there");
    assert_eq!(gateway.incidents().len(), 2);
}

//! `cert`, and what its certificate is good for: real TLS, with curl and with `send`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::{BASIC, Running};

fn hookgate(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookgate")).current_dir(folder).args(args).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The two lines that `cert` says to put under `[server]`.
fn keys_to_paste(told: &str) -> String {
    told.lines().filter(|line| line.starts_with("certificate = ") || line.starts_with("private_key = ")).collect::<Vec<_>>().join("\n")
}

/// A certificate for `hosts` in `folder/certs`, and a gateway that has it.
fn gateway_for(folder: &Path, hosts: &[&str]) -> Running {
    let told = done(&hookgate(folder, &[&["cert", "--out", "certs", "--host"], hosts].concat()));
    Running::start_with(&keys_to_paste(&told), BASIC)
}

/// The status that curl is answered with, or its exit code.
fn curl(gateway: &Running, certificate: &Path, host: &str) -> Result<String, i32> {
    let port = gateway.address.port();
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-u", "alice:secret", "-d", "{}", "--noproxy", "*", "--cacert"])
        .arg(certificate)
        .args(["--resolve", &format!("*:{port}:127.0.0.1"), &format!("https://{host}:{port}/instance/execute/in")])
        .output()
        .unwrap();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(output.status.code().unwrap()) }
}

#[test]
fn curl_trusts_the_certificate_by_name_and_by_address_and_by_no_other() {
    const PEER_CERTIFICATE_CANNOT_BE_AUTHENTICATED: i32 = 60;
    let folder = TempDir::new().unwrap();
    let gateway = gateway_for(folder.path(), &["hooks.example.com", "*.wild.example", "127.0.0.1"]);
    let certificate = folder.path().join("certs/hookgate.crt");
    for host in ["hooks.example.com", "any.wild.example", "127.0.0.1"] {
        assert_eq!(curl(&gateway, &certificate, host), Ok("200".into()), "{host}");
    }
    assert_eq!(curl(&gateway, &certificate, "other.example.com"), Err(PEER_CERTIFICATE_CANNOT_BE_AUTHENTICATED));
    done(&hookgate(folder.path(), &["cert", "--host", "127.0.0.1", "--out", "other"]));
    assert_eq!(curl(&gateway, &folder.path().join("other/hookgate.crt"), "127.0.0.1"), Err(PEER_CERTIFICATE_CANNOT_BE_AUTHENTICATED));
    assert_eq!(gateway.incidents().len(), 3);
}

#[test]
fn the_key_is_for_its_owner_alone_and_nothing_is_overwritten() {
    let folder = TempDir::new().unwrap();
    let certs = folder.path().join("new/certs");
    let args = ["cert", "--host", "localhost", "--host", "::1", "--out", "new/certs"];
    done(&hookgate(folder.path(), &args));
    let mode = |name: &str| fs::metadata(certs.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("hookgate.key"), 0o600);
    assert_eq!(mode("hookgate.crt") & 0o400, 0o400);

    let read = || ["hookgate.crt", "hookgate.key"].map(|name| fs::read(certs.join(name)).unwrap());
    let before = read();
    assert!(failed(&hookgate(folder.path(), &args), 1).contains("hookgate.key is there already"));
    assert_eq!(read(), before);
    fs::remove_file(certs.join("hookgate.key")).unwrap();
    assert!(failed(&hookgate(folder.path(), &args), 1).contains("hookgate.crt is there already"));
    assert_eq!(fs::read(certs.join("hookgate.crt")).unwrap(), before[0]);
    assert!(!certs.join("hookgate.key").exists(), "no key is left that belongs to no certificate");
}

#[test]
fn what_is_no_host_is_wrong_usage() {
    let folder = TempDir::new().unwrap();
    for host in ["https://hooks.example.com", "hooks.example.com:8443", "a b", "1.2.3.4.5", ""] {
        assert!(failed(&hookgate(folder.path(), &["cert", "--out", "certs", "--host", host]), 2).contains("--host"), "{host:?}");
    }
    failed(&hookgate(folder.path(), &["cert", "--out", "certs"]), 2);
    failed(&hookgate(folder.path(), &["cert", "--host", "localhost"]), 2);
    assert!(!folder.path().join("certs").exists());
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(failed(&hookgate(folder.path(), &["cert", "--host", "localhost", "--out", "file"]), 1).contains("file"));
}

#[test]
fn send_knows_the_gateway_by_its_certificate() {
    let folder = TempDir::new().unwrap();
    // For another name than the one it is reached by: the certificate itself is what counts.
    let gateway = gateway_for(folder.path(), &["hooks.example.com"]);
    fs::write(gateway.folder().join("event.json"), "{}").unwrap();
    let url = format!("https://{}/instance/execute/in", gateway.address);
    let send = ["send", "in", "event.json", "--url", &url];
    assert!(done(&hookgate(gateway.folder(), &send)).starts_with("200 OK\n["));

    // Another certificate in the configuration than the one that the running gateway has.
    let told = done(&hookgate(folder.path(), &["cert", "--host", "127.0.0.1", "--out", "next"]));
    fs::write(folder.path().join("hookgate.toml"), format!("[server]\n{}\n{BASIC}", keys_to_paste(&told))).unwrap();
    fs::write(folder.path().join("event.json"), "{}").unwrap();
    assert!(failed(&hookgate(folder.path(), &send), 1).contains("configured certificate"));

    // As other clients do it: by authority and name.
    let by_authority = |certificate: &str| hookgate(folder.path(), &[&send[..], &["--cacert", certificate]].concat());
    assert!(failed(&by_authority("certs/hookgate.crt"), 1).contains("not valid for name"));
    assert_eq!(gateway.incidents().len(), 1, "nothing is sent to a gateway that is not known");
}

#[test]
fn send_knows_the_certificate_of_an_instances_own_port() {
    let folder = TempDir::new().unwrap();
    let pair = |name: &str| keys_to_paste(&done(&hookgate(folder.path(), &["cert", "--host", name, "--out", name])));
    let gateway = Running::start_with(&pair("shared"), &format!("{BASIC}listen = \"127.0.0.1:0\"\n{}\n", pair("own")));
    fs::write(gateway.folder().join("event.json"), "{}").unwrap();
    let url = format!("https://{}/", gateway.own_address("in"));
    assert!(done(&hookgate(gateway.folder(), &["send", "in", "event.json", "--url", &url])).starts_with("200 OK\n["));
}

#[test]
fn send_verifies_by_authority_where_told_to() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway_for(folder.path(), &["127.0.0.1"]);
    let config = format!("[server]\nlisten = \"{}\"\n{BASIC}", gateway.address);
    fs::write(folder.path().join("hookgate.toml"), config).unwrap();
    fs::write(folder.path().join("event.json"), "{}").unwrap();
    let url = format!("https://{}/instance/execute/in", gateway.address);
    let send = ["send", "in", "event.json", "--url", &url];
    assert!(failed(&hookgate(folder.path(), &send), 1).contains("--cacert"));
    assert!(done(&hookgate(folder.path(), &[&send[..], &["--cacert", "certs/hookgate.crt"]].concat())).starts_with("200 OK\n["));
}

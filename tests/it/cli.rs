//! The command line, as a person and a script see it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{BASIC, Running};

pub(crate) fn hookgate(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder).args(args).env_remove("HOOKGATE_PASSWORD").stdin(Stdio::null());
    command
}

pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    hookgate(folder, args).output().unwrap()
}

fn run_with_input(folder: &Path, args: &[&str], input: &str) -> Output {
    assert_cmd::Command::from_std(hookgate(folder, args)).write_stdin(input).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What it printed, having succeeded without a word on standard error.
pub(crate) fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stderr(output), "");
    stdout(output)
}

/// What it said on standard error, having ended with this code.
pub(crate) fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    stderr(output)
}

pub(crate) fn with_config(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), text).unwrap();
    folder
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = TempDir::new().unwrap();
    for args in [
        &[][..],
        &["nonsense"],
        &["serve", "--nonsense"],
        &["send"],
        &["incidents"],
        &["incidents", "show", "not-an-id"],
        &["incidents", "list", "--since", "yesterday"],
        &["incidents", "list", "--limit", "0"],
        &["completions", "cobol"],
        &["send", "in", "--password-stdin"],
    ] {
        assert!(!failed(&run(folder.path(), args), 2).is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let folder = TempDir::new().unwrap();
    for args in [&["--help"][..], &["help", "serve"], &["incidents", "export", "--help"], &["hash-password", "-h"]] {
        assert!(done(&run(folder.path(), args)).contains("Example"), "{args:?}");
    }
    assert_eq!(done(&run(folder.path(), &["--version"])), format!("hookgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bad_configuration_ends_with_78_and_every_error() {
    let folder = with_config("[server]\nlisten = \"nowhere\"\ncolour = \"red\"\n\n[[instance]]\nname = \"a b\"\n");
    for args in [&["check"][..], &["serve"], &["quickstart"], &["send", "in"]] {
        let told = failed(&run(folder.path(), args), 78);
        for want in ["hookgate.toml:2: server.listen: ", "hookgate.toml:3: ", "colour", "hookgate.toml:6: instance[0].name: "] {
            assert!(told.contains(want), "{args:?} does not tell {want:?}: {told}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was started");
}

#[test]
fn a_missing_configuration_is_named() {
    let folder = TempDir::new().unwrap();
    let told = failed(&run(folder.path(), &["check", "--config", "else.toml"]), 78);
    assert!(told.contains("else.toml"), "{told}");
}

#[test]
fn check_sums_up_a_good_configuration_and_starts_nothing() {
    let own = "path_token = \"t0ken-of-the-address-4711\"\nlisten = \"127.0.0.1:9\"\n";
    let folder = with_config(&format!("[[instance]]\nname = \"open\"\nallow_unauthenticated = true\n[[instance]]\nname = \"own\"\n{own}"));
    let output = run(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary = stdout(&output);
    assert!(summary.starts_with("hookgate.toml: the configuration is valid\n"), "{summary}");
    assert!(summary.contains("open: NO credentials"), "{summary}");
    assert!(summary.contains("own: path token, also POST /instance/execute/own/<path token> on 127.0.0.1:9\n"), "{summary}");
    assert!(stderr(&output).starts_with("warning: "), "{output:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was created");
}

#[test]
fn check_live_asks_the_running_gateway() {
    let gateway = Running::start(BASIC);
    let config = |listen: std::net::SocketAddr| format!("[admin]\nlisten = \"{listen}\"\ntoken = \"another\"\n{BASIC}");
    let folder = with_config(&config(gateway.admin));
    assert_eq!(done(&run(folder.path(), &["check", "--live"])), "ready\n");
    let address = gateway.admin;
    drop(gateway);
    assert!(failed(&run(folder.path(), &["check", "--live"]), 1).contains(&address.to_string()));
    for (text, want) in [(BASIC.to_owned(), "[admin]"), (config("127.0.0.1:0".parse().unwrap()), "admin.listen")] {
        std::fs::write(folder.path().join("hookgate.toml"), text).unwrap();
        assert!(failed(&run(folder.path(), &["check", "--live"]), 1).contains(want));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was created");
}

#[test]
fn check_tells_of_mistakes_in_the_file_and_beside_it_in_one_run() {
    let folder = with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nno_such_key = 1\ncertificate = \"a.crt\"\nprivate_key = \"a.key\"\n[store]\nurl = \"sqlite:nowhere/x.db\"\n{BASIC}"
    ));
    let told = failed(&run(folder.path(), &["check"]), 78);
    for key in ["server.no_such_key", "server.certificate", "store.url"] {
        assert!(told.contains(key), "{key}: {told}");
    }
}

#[test]
fn check_tells_of_a_store_that_is_none() {
    let folder = with_config(&format!("[store]\nurl = \"sqlite:notes.txt\"\n{BASIC}"));
    std::fs::write(folder.path().join("notes.txt"), "not a database\n".repeat(500)).unwrap();
    let told = failed(&run(folder.path(), &["check"]), 78);
    assert!(told.contains("hookgate.toml:2: store.url: "), "{told}");
}

#[test]
fn completions_of_every_shell() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = done(&run(folder.path(), &["completions", shell]));
        assert!(script.contains("hash-password"), "{shell}");
    }
}

#[test]
fn a_hashed_password_lets_in() {
    let folder = TempDir::new().unwrap();
    let hash = done(&run_with_input(folder.path(), &["hash-password"], "s'esame: öffne\n"));
    assert!(hash.starts_with("$argon2id$v=19$") && hash.ends_with('\n') && hash.lines().count() == 1, "{hash}");
    assert!(failed(&run_with_input(folder.path(), &["hash-password"], "\n"), 1).starts_with("error: the password is empty"));

    let instances = format!("[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = '{}'\n", hash.trim_end());
    let gateway = Running::start(&instances);
    let url = format!("http://{}/instance/execute/in", gateway.address);
    let send = ["send", "in", "--url", &url];
    assert!(failed(&run_with_input(gateway.folder(), &send, "{}"), 1).contains("HOOKGATE_PASSWORD"));
    let mut with_variable = hookgate(gateway.folder(), &send);
    with_variable.env("HOOKGATE_PASSWORD", "s'esame: öffne");
    let output = assert_cmd::Command::from_std(with_variable).write_stdin("{}").output().unwrap();
    assert!(done(&output).starts_with("200 OK\n["));
    std::fs::write(gateway.folder().join("event.json"), "{}").unwrap();
    let from_stdin = ["send", "in", "event.json", "--password-stdin", "--url", &url];
    assert!(done(&run_with_input(gateway.folder(), &from_stdin, "s'esame: öffne\n")).starts_with("200 OK\n["));
}

#[test]
fn send_prints_status_and_answer() {
    let gateway = Running::start(&format!("{BASIC}[[instance]]\nname = \"key\"\nusername = \"_header:X-Api-Key\"\npassword = \"k\"\n"));
    let url = |name: &str| format!("http://{}/instance/execute/{name}", gateway.address);
    let accepted = done(&run_with_input(gateway.folder(), &["send", "in", "--url", &url("in")], r#"{"name":"Test"}"#));
    let answer: Value = serde_json::from_str(accepted.strip_prefix("200 OK\n").unwrap()).unwrap();
    assert_eq!(answer[0]["name"], "Test");
    assert!(done(&run_with_input(gateway.folder(), &["send", "key", "-", "--url", &url("key")], "{}")).starts_with("200 OK\n"));

    let refused = run_with_input(gateway.folder(), &["send", "in", "--url", &url("in")], "not json");
    assert!(stdout(&refused).starts_with("400 Bad Request\nRequest, and rawJson field"), "{refused:?}");
    assert!(failed(&refused, 1).starts_with("error: not accepted (400"));
    let refused = run_with_input(gateway.folder(), &["send", "in", "--url", &url("key")], "{}");
    assert_eq!(stdout(&refused), "401 Unauthorized\nAuthorization failed.\n");
    failed(&refused, 1);

    let unknown = failed(&run(gateway.folder(), &["send", "nobody"]), 1);
    assert!(unknown.contains("nobody") && unknown.contains("in, key"), "{unknown}");
    assert!(failed(&run(gateway.folder(), &["send", "in", "absent.json", "--url", &url("in")]), 1).contains("cannot read absent.json"));
    assert!(failed(&run(gateway.folder(), &["send", "in"]), 1).contains("--url"), "port 0 is known to the gateway alone");
}

/// A gateway in a process of its own; killed when dropped.
struct Process {
    child: Child,
    /// Everything it printed before it served.
    greeting: String,
}

impl Process {
    /// Waits for `last`, a part of the last line of the greeting.
    fn start(folder: &Path, args: &[&str], last: &str) -> Self {
        let mut child = hookgate(folder, args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !greeting.contains(last) {
            assert_ne!(lines.read_line(&mut greeting).unwrap(), 0, "ended after {greeting:?}");
        }
        Self { child, greeting }
    }

    fn terminate(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serve_prints_every_address_and_ends_well() {
    let folder = with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"t\"\n{BASIC}listen = \"127.0.0.1:0\"\n"
    ));
    let process = Process::start(folder.path(), &["serve"], "(admin)");
    let lines: Vec<&str> = process.greeting.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, end) in lines.iter().zip(["/instance/execute/<name> (entrance)", "/ (instance in)", "/ (admin)"]) {
        assert!(line.starts_with("listening on http://127.0.0.1:") && !line.contains(":0/") && line.ends_with(end), "{line}");
    }
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn quickstart_leads_from_nothing_to_a_stored_incident() {
    let folder = TempDir::new().unwrap();
    // Taken by us or by somebody else: in use either way.
    let _holder = TcpListener::bind("127.0.0.1:8080");
    let told = failed(&run(folder.path(), &["quickstart", "--dir", "new"]), 1);
    assert!(told.contains("server.listen") && told.contains("new/hookgate.toml"), "says what to change: {told}");

    // What the message says, with ports that are free for sure.
    let config = folder.path().join("new/hookgate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replacen("#listen = [\"127.0.0.1:8080\"]", "listen = [\"127.0.0.1:0\"]", 1);
    let text = text.replacen("#listen = \"127.0.0.1:8081\"", "listen = \"127.0.0.1:0\"", 1);
    std::fs::write(&config, &text).unwrap();
    let process = Process::start(folder.path(), &["quickstart", "--dir", "new"], "Ctrl-C");
    assert!(process.greeting.contains("used as it is"), "{}", process.greeting);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text, "the file is as it was");

    let answer: Value = serde_json::from_str(&paste(&process.greeting, "curl -u")).unwrap();
    let listed = paste(&process.greeting, "incidents list");
    assert!(listed.contains(answer[0]["id"].as_str().unwrap()), "{listed}");
    let api: Value = serde_json::from_str(&paste(&process.greeting, "curl -H")).unwrap();
    assert_eq!(api["incidents"][0]["id"], answer[0]["id"]);

    let greeting = process.greeting.clone();
    drop(process);
    assert_eq!(paste(&greeting, "incidents list"), listed, "it is there after kill -9");
}

/// Runs the line of a greeting that has `part` in it, in another directory, as a person pastes it.
fn paste(greeting: &str, part: &str) -> String {
    let line = greeting.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in {greeting}"));
    let elsewhere: PathBuf = std::env::temp_dir();
    let output = Command::new("sh").args(["-c", line]).current_dir(elsewhere).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    stdout(&output)
}

//! Faults in system calls, injected by Debian's strace into the gateway as it is shipped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::eventually;
use crate::process::{PROGRAM, Process};

/// The calls that change files.
const CHANGES: &str = "trace=pwrite64,fdatasync,fsync,ftruncate,unlink";

/// Says why a test does nothing here; where all tools were promised, that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("HOOKGATE_ALL_TOOLS").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether strace is there and may attach to a process beside it, which containers and Yama may forbid.
pub(crate) fn is_usable() -> bool {
    let mut victim = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let attached = attach(&victim.id().to_string(), "trace=none");
    let is_usable = attached.is_ok();
    drop(attached);
    drop(victim.stdin.take());
    let _ = victim.wait();
    if !is_usable {
        skip("strace is missing (apt-get install strace), or may not attach to other processes here");
    }
    is_usable
}

/// A running strace on the writer of a gateway; it lets go when dropped.
pub(crate) struct Strace(Child);

impl Strace {
    /// Traces the thread that writes the store, from its next system call on. `inject` is strace's own expression.
    pub(crate) fn on_writer(process: &Process, inject: &str) -> Self {
        let threads = format!("/proc/{}/task", process.id());
        let mut writer = None;
        eventually("the writer is there", || {
            let mut threads = std::fs::read_dir(&threads).unwrap().map(|thread| thread.unwrap().path());
            writer = threads.find(|thread| std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "hookgate-writer"));
            writer.is_some()
        });
        let writer = writer.unwrap().file_name().unwrap().to_owned();
        attach(&writer.to_string_lossy(), &format!("inject={inject}")).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Attaches to one thread; an expression without `trace` traces the calls that change files.
fn attach(thread: &str, expression: &str) -> Result<Strace, String> {
    let mut strace = Command::new("strace");
    strace.args(["-e", CHANGES, "-e", expression, "-p", thread]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut strace = Strace(strace.spawn().map_err(|error| error.to_string())?);
    let mut lines = BufReader::new(strace.0.stderr.take().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    // A full pipe would stop it, and with it the gateway.
    std::thread::spawn(move || lines.for_each(drop));
    if first.contains("attached") { Ok(strace) } else { Err(first) }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // SIGTERM has it let go of the gateway; SIGKILL would take that along on some kernels.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// `hookgate serve` in `folder`, traced from its first system call; strace stands aside, so that the process is the gateway itself.
pub(crate) fn serve(folder: &Path, inject: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", CHANGES, "-e"]);
    command.arg(format!("inject={inject}")).args([PROGRAM, "serve"]).current_dir(folder).stderr(Stdio::null());
    command
}

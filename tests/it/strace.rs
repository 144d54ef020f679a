//! Faults in system calls, injected by Debian's strace into the gateway as it is shipped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::eventually;
use crate::process::{PROGRAM, Process};

/// Says why a test does nothing here; where all tools were promised, that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("HOOKGATE_ALL_TOOLS").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether strace is there and may trace.
pub(crate) fn is_usable() -> bool {
    let tried = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).stderr(Stdio::null()).status();
    let is_usable = tried.is_ok_and(|status| status.success());
    if !is_usable {
        skip("strace is missing (apt-get install strace), or may not trace here");
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
        let mut strace = Command::new("strace");
        strace.args(["-e", "trace=pwrite64,fdatasync,fsync,ftruncate,unlink", "-e", &format!("inject={inject}"), "-p"]).arg(writer);
        let mut child = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(first.contains("attached"), "{first}");
        // A full pipe would stop it, and with it the gateway.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
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
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,unlink", "-e"]);
    command.arg(format!("inject={inject}")).args([PROGRAM, "serve"]).current_dir(folder).stderr(Stdio::null());
    command
}

//! The built program as a process of its own, for what must survive its death.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What was built with these tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_hookgate");

/// `hookgate serve` in `folder`, killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts on the `hookgate.toml` in `folder` and waits until the entrance listens.
    pub(crate) fn serve(folder: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").current_dir(folder);
        Self::start(command.stderr(Stdio::null()))
    }

    /// Starts a command that runs `hookgate serve` in the end, and waits until the entrance listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command).expect("the gateway prints its addresses")
    }

    /// The same; none if it ends before it listens.
    pub(crate) fn try_start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Held from here on, so that a failed start leaves no process behind.
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        process.address = entrance_address(lines)?;
        Some(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The most memory that was resident so far, in MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGKILL, and wait until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// The address of the first entrance that is printed.
fn entrance_address(lines: impl Iterator<Item = std::io::Result<String>>) -> Option<SocketAddr> {
    lines.map_while(Result::ok).find_map(|line| {
        let (origin, _) = line.split_once("://")?.1.split_once("/instance/execute/")?;
        origin.parse().ok()
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

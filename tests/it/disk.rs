//! A small disk that fills up and is freed again, under the gateway as it is shipped.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::process::{PROGRAM, Process};
use crate::sender::{CONFIG, Told, post};
use crate::strace::skip;

/// Size of the disk, in MiB. Floor and ballast are a 64th of it.
const DISK_MIB: u64 = 32;
/// What is promised.
const HEALED_AFTER: Duration = Duration::from_secs(5);

/// A tmpfs in a mount namespace of its own, which goes with the process that holds it. Needs no root where users may have
/// namespaces.
struct Disk {
    holder: Child,
    mount_point: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount_point = folder.path().to_owned();
        let script = format!("mount -t tmpfs -o size={DISK_MIB}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare");
        holder.args(["-rm", "sh", "-c", &script]).arg(&mount_point);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { holder, mount_point, _folder: folder };
        (line == "mounted\n").then_some(disk)
    }

    /// The disk as seen from out here.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.mount_point.join(name).display()))
    }

    /// A command that sees the disk.
    fn hookgate(&self, command: &str) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--preserve-credentials", "-U", "-m", "-t", &self.holder.id().to_string(), PROGRAM, command, "--config"]);
        inside.arg(self.mount_point.join("hookgate.toml")).stderr(Stdio::null());
        inside
    }

    /// Bytes that are free.
    fn room(&self) -> u64 {
        rustix::fs::statvfs(self.path(".")).map(|disk| disk.f_bavail * disk.f_frsize).unwrap()
    }

    /// Takes up all the room there is but `leave` bytes.
    fn fill(&self, leave: u64) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.path("filler")).unwrap();
        while self.room() > leave && file.write_all(&[1; 4096]).is_ok() {}
    }

    fn has_ballast(&self) -> bool {
        self.path("hookgate.db.ballast").exists()
    }

    fn free(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn body(key: usize) -> String {
    format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(20_000))
}

/// Sends new events until one is refused, and remembers what was acknowledged.
fn send_until_refused(process: &Process, acknowledged: &mut Vec<Told>) {
    loop {
        match post(process.address, &body(acknowledged.len())) {
            Told::Stored(ids) => acknowledged.push(Told::Stored(ids)),
            told => return assert_eq!(told, Told::Refused(503)),
        }
        assert!(acknowledged.len() < 10_000, "the disk never fills up");
    }
}

/// Sends one event until it is taken, and tells how long that took.
fn send_until_taken(process: &Process, acknowledged: &mut Vec<Told>) -> Duration {
    let started = Instant::now();
    eventually("events are taken again", || match post(process.address, &body(acknowledged.len())) {
        Told::Stored(ids) => {
            acknowledged.push(Told::Stored(ids));
            true
        }
        told => {
            assert_eq!(told, Told::Refused(503));
            false
        }
    });
    started.elapsed()
}

#[test]
fn a_full_disk_is_a_503_loses_nothing_and_heals_within_five_seconds() {
    let Some(disk) = Disk::mount() else {
        return skip("no tmpfs can be mounted here: it takes root, or user namespaces");
    };
    std::fs::write(disk.path("hookgate.toml"), CONFIG).unwrap();
    let mut acknowledged = Vec::new();
    let process = Process::start(&mut disk.hookgate("serve"));
    send_until_taken(&process, &mut acknowledged);
    assert!(disk.has_ballast());

    // Incidents alone are refused before the disk is really full.
    disk.fill(6 << 20);
    send_until_refused(&process, &mut acknowledged);
    let (count, left) = (acknowledged.len(), disk.room());
    assert!(left > 0);
    disk.free();
    let healed = send_until_taken(&process, &mut acknowledged);
    println!("{count} events, then 503 with {} KiB left; healed after {healed:?}", left >> 10);
    assert!(healed < HEALED_AFTER, "{healed:?}");
    eventually("the ballast is there", || disk.has_ballast());

    // Somebody else takes the rest to the last byte, and the gateway dies. It starts by throwing off its ballast.
    disk.fill(0);
    send_until_refused(&process, &mut acknowledged);
    process.kill();
    disk.fill(0);
    let process = Process::start(&mut disk.hookgate("serve"));
    assert!(!disk.has_ballast());
    assert_eq!(post(process.address, &body(acknowledged.len())), Told::Refused(503));
    disk.free();
    let healed = send_until_taken(&process, &mut acknowledged);
    println!("healed after a restart on the full disk after {healed:?}");
    assert!(healed < HEALED_AFTER, "{healed:?}");
    eventually("the ballast is there", || disk.has_ballast());

    for (key, told) in acknowledged.iter().enumerate() {
        assert_eq!(post(process.address, &body(key)), *told, "key {key} has the id that it was acknowledged with");
    }
    process.signal("TERM");
    process.exit_code();
    let verified = disk.hookgate("verify").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(text.contains(&format!("incidents whole    {} ", acknowledged.len())) && verified.status.success(), "{text}");
}

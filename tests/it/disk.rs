//! A small disk that fills up and is freed again, under the gateway as it is shipped.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::process::{PROGRAM, Process};
use crate::sender::{CONFIG, Told, post};
use crate::strace::skip;

/// Size of the disk, in MiB.
const DISK_MIB: u64 = 32;
/// Of this disk.
const FLOOR: u64 = (DISK_MIB << 20) / 64;
/// How many send at the same time, and how much in one body: the disk is full in a second or two.
const SENDERS: usize = 8;
const LARGE: usize = 200_000;
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
    body_of(key, 20_000)
}

fn body_of(key: usize, bytes: usize) -> String {
    format!("{{\"key\":{key},\"pad\":\"{}\"}}", "x".repeat(bytes))
}

/// The configuration with a retention, or none.
fn configure(disk: &Disk, retention: Option<&str>) {
    let retention = retention.map(|time| format!("[store]\nretention = \"{time}\"\n")).unwrap_or_default();
    std::fs::write(disk.path("hookgate.toml"), format!("{CONFIG}{retention}")).unwrap();
}

/// Has many send large events at the same time until each of them was refused. Returns how many were acknowledged.
fn flood(process: &Process) -> usize {
    let send = |first: usize| {
        // No key that anybody else uses.
        let keys = (first..).step_by(SENDERS).map(|key| key + 1_000_000);
        let told = keys.map(|key| post(process.address, &body_of(key, LARGE)));
        let mut acknowledged = 0;
        let end =
            told.inspect(|told| acknowledged += usize::from(matches!(told, Told::Stored(_)))).find(|told| !matches!(told, Told::Stored(_)));
        assert_eq!(end, Some(Told::Refused(503)));
        acknowledged
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS).map(|first| scope.spawn(move || send(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// Every key has the id that it was acknowledged with.
fn assert_known(process: &Process, acknowledged: &[Told]) {
    for (key, told) in acknowledged.iter().enumerate() {
        assert_eq!(post(process.address, &body(key)), *told, "key {key}");
    }
}

/// Ends the gateway and counts the incidents that are whole.
fn verified(disk: &Disk, process: Process) -> usize {
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let verified = disk.hookgate("verify").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{text}");
    text.split_once("incidents whole").and_then(|(_, rest)| rest.split_whitespace().next()?.replace(',', "").parse().ok()).expect(&text)
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
    send_until_taken_of(20_000, process, acknowledged)
}

fn send_until_taken_of(bytes: usize, process: &Process, acknowledged: &mut Vec<Told>) -> Duration {
    let started = Instant::now();
    eventually("events are taken again", || match post(process.address, &body_of(acknowledged.len(), bytes)) {
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

    assert_known(&process, &acknowledged);
    assert_eq!(verified(&disk, process), acknowledged.len());
}

#[test]
fn the_gateway_itself_never_takes_the_floor_however_fast_events_come() {
    let Some(disk) = Disk::mount() else {
        return skip("no tmpfs can be mounted here: it takes root, or user namespaces");
    };
    configure(&disk, None);
    let process = Process::start(&mut disk.hookgate("serve"));
    send_until_taken(&process, &mut Vec::new());
    let acknowledged = flood(&process);
    // What is committed is copied into the database afterwards, and has its room, too.
    let wal = || disk.path("hookgate.db-wal").metadata().map_or(0, |file| file.len());
    println!("{} events, then 503 with {} KiB left, and {} KiB of log", acknowledged, disk.room() >> 10, wal() >> 10);
    assert!(disk.has_ballast() && disk.room() >= FLOOR / 2, "{} bytes left", disk.room());
    // Closing copies the rest.
    assert_eq!(verified(&disk, process), acknowledged + 1);
    assert!(disk.has_ballast() && disk.room() >= FLOOR / 2, "{} bytes left", disk.room());
}

#[test]
fn a_full_disk_is_healed_by_a_restart_with_a_shorter_retention() {
    let Some(disk) = Disk::mount() else {
        return skip("no tmpfs can be mounted here: it takes root, or user namespaces");
    };
    configure(&disk, None);
    let process = Process::start(&mut disk.hookgate("serve"));
    let before = flood(&process);
    // The last byte, too, with what waits in the log not yet copied.
    disk.fill(0);
    process.kill();
    disk.fill(0);
    configure(&disk, Some("1s"));
    let process = Process::start(&mut disk.hookgate("serve"));
    let mut acknowledged = Vec::new();
    let healed = send_until_taken(&process, &mut acknowledged);
    println!("{before} events, full to the last byte; healed by the retention after {healed:?}");
    assert!(healed < HEALED_AFTER, "{healed:?}");
}

#[test]
fn a_full_disk_is_healed_by_the_retention_under_the_running_gateway() {
    let Some(disk) = Disk::mount() else {
        return skip("no tmpfs can be mounted here: it takes root, or user namespaces");
    };
    configure(&disk, Some("5s"));
    let process = Process::start(&mut disk.hookgate("serve"));
    let before = flood(&process);
    // Smaller ones may still fit.
    let mut acknowledged = Vec::new();
    let healed = send_until_taken_of(LARGE, &process, &mut acknowledged);
    println!("{before} large events within the retention; healed by itself after {healed:?}");
    assert!(healed < Duration::from_secs(5) + HEALED_AFTER, "{healed:?}");

    // What is acknowledged now is far from its end when the gateway dies, and the next one keeps it.
    for _ in 0..20 {
        send_until_taken(&process, &mut acknowledged);
    }
    assert!(disk.has_ballast());
    process.kill();
    configure(&disk, None);
    let process = Process::start(&mut disk.hookgate("serve"));
    assert!(verified(&disk, process) >= 20);
}

#[test]
fn room_for_small_events_alone_does_not_put_off_the_retention() {
    let Some(disk) = Disk::mount() else {
        return skip("no tmpfs can be mounted here: it takes root, or user namespaces");
    };
    configure(&disk, Some("3s"));
    let process = Process::start(&mut disk.hookgate("serve"));
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        send_until_taken_of(LARGE, &process, &mut acknowledged);
    }
    // Nothing waits in the log after this.
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    disk.fill(FLOOR + 300_000);
    let process = Process::start(&mut disk.hookgate("serve"));
    assert_eq!(post(process.address, &body_of(0, LARGE)), Told::Refused(503));
    send_until_taken(&process, &mut acknowledged);
    let healed = send_until_taken_of(LARGE, &process, &mut acknowledged);
    println!("large events are taken again after {healed:?}");
    assert!(healed < Duration::from_secs(3) + HEALED_AFTER, "{healed:?}");
}

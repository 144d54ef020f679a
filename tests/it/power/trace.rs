//! One run of the gateway as an ordered list: what it did to its files, when it forced that to the disk, what it answered.

use std::collections::HashMap;
use std::path::Path;

/// One step of a run. Files are named without their folder.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A name for a new, empty file.
    Create(String),
    Unlink(String),
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate(String, usize),
    /// What was written to the file before is on the disk.
    Sync(String),
    /// The names in the folder are on the disk.
    SyncFolder,
    /// The ids in an answer that is about to leave.
    Answer(Vec<String>),
}

/// The system calls to trace, and the options under which the lines look as expected here.
pub(crate) const OPTIONS: [&str; 10] = [
    "-D",
    "-f",
    "-qq",
    "-y",
    "-xx",
    "-s",
    "1000000",
    "-e",
    "trace=openat,pwrite64,write,writev,sendto,fdatasync,fsync,ftruncate,unlink",
    "-o",
];

/// Reads what strace wrote about the files of the store in `folder`.
pub(crate) fn parse(text: &str, folder: &Path) -> Vec<Event> {
    let parser = Parser { folder: folder.to_str().unwrap() };
    let mut unfinished = HashMap::new();
    let mut events = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        // Signals, ends of threads and of the process.
        if call.starts_with(['-', '+', '?']) || call.ends_with("= ?") {
            continue;
        }
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            // An answer counts from when it may have left, anything else from when it was done.
            match parser.answer(begun) {
                Some(answer) => events.push(answer),
                None => drop(unfinished.insert(thread, begun.to_owned())),
            }
        } else if let Some((_, rest)) = call.split_once(" resumed>") {
            // Nothing is kept of an answer that was counted.
            if let Some(begun) = unfinished.remove(thread) {
                events.extend(parser.event(&(begun + rest)));
            }
        } else {
            events.extend(parser.answer(call).or_else(|| parser.event(call)));
        }
    }
    events
}

struct Parser<'a> {
    folder: &'a str,
}

impl Parser<'_> {
    fn event(&self, call: &str) -> Option<Event> {
        // strace aligns the results.
        let (call, result) = call.rsplit_once(" = ").unwrap_or_else(|| panic!("not a call: {call:.200}"));
        let call = call.trim_end().strip_suffix(')').unwrap_or_else(|| panic!("not a call: {call:.200}"));
        // A call that failed, or that strace itself answered, did nothing.
        if result.starts_with('-') || result.contains("INJECTED") {
            return None;
        }
        let (name, arguments) = call.split_once('(')?;
        match name {
            "openat" => {
                let mut quoted = arguments.split('"').skip(1);
                let file = self.file(&text(quoted.next()?))?;
                quoted.next()?.contains("O_CREAT").then_some(Event::Create(file))
            }
            "unlink" => Some(Event::Unlink(self.file(&text(arguments.split('"').nth(1)?))?)),
            "pwrite64" => {
                let file = self.file(&descriptor(arguments)?)?;
                let written: usize = result.parse().ok()?;
                let mut bytes = unhex(arguments.split('"').nth(1)?);
                assert!(bytes.len() >= written, "strace shortened a write");
                bytes.truncate(written);
                Some(Event::Write { file, at: arguments.rsplit(", ").next()?.parse().ok()?, bytes })
            }
            "ftruncate" => Some(Event::Truncate(self.file(&descriptor(arguments)?)?, arguments.rsplit(", ").next()?.parse().ok()?)),
            "fsync" | "fdatasync" => {
                let path = descriptor(arguments)?;
                if path == self.folder { Some(Event::SyncFolder) } else { Some(Event::Sync(self.file(&path)?)) }
            }
            _ => None,
        }
    }

    /// The ids that are sent to a client.
    fn answer(&self, call: &str) -> Option<Event> {
        let (name, arguments) = call.split_once('(')?;
        if !matches!(name, "write" | "writev" | "sendto") || !descriptor(arguments)?.starts_with("socket:") {
            return None;
        }
        let sent: Vec<u8> = arguments.split('"').skip(1).step_by(2).flat_map(unhex).collect();
        let sent = String::from_utf8_lossy(&sent);
        let ids = sent.split("\"id\":\"").skip(1).map(|rest| rest[..36].to_owned()).collect();
        sent.starts_with("HTTP/1.1 200").then_some(Event::Answer(ids))
    }

    /// The name of a file of the database. The shared memory is none: what it holds is made anew after a crash.
    fn file(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(self.folder)?.strip_prefix('/')?;
        matches!(name, "hookgate.db" | "hookgate.db-wal" | "hookgate.db-journal").then(|| name.to_owned())
    }
}

/// The path behind the first descriptor: `5<path>, …`.
fn descriptor(arguments: &str) -> Option<String> {
    Some(text(arguments.split_once('<')?.1.split_once('>')?.0))
}

fn text(hex: &str) -> String {
    String::from_utf8(unhex(hex)).unwrap()
}

/// `\x48\x69`, as strace prints every string with `-xx`.
fn unhex(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap()).collect()
}

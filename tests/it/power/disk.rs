//! What may be on a disk after power failed: all that was forced to it, and any part of the rest.

use std::collections::HashMap;
use std::path::Path;

use super::trace::Event;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The files of a run, up to some step of it.
#[derive(Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// Names as programs see them.
    names: HashMap<String, usize>,
    durable_names: HashMap<String, usize>,
    /// Changes of names that are not forced to the disk, in order.
    pending_names: Vec<(String, Option<usize>)>,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Disk {
    /// Takes one step.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(name) => {
                if !self.names.contains_key(name) {
                    self.files.push(File::default());
                    self.rename(name, Some(self.files.len() - 1));
                }
            }
            Event::Unlink(name) => self.rename(name, None),
            Event::Write { file, at, bytes } => self.change(file, Change::Write { at: *at, bytes: bytes.clone() }),
            Event::Truncate(file, length) => self.change(file, Change::Truncate(*length)),
            Event::Sync(file) => {
                let file = &mut self.files[self.names[file]];
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.durable, &mut |_| true);
                }
            }
            Event::SyncFolder => {
                self.durable_names = self.names.clone();
                self.pending_names.clear();
            }
            Event::Answer(_) => {}
        }
    }

    fn change(&mut self, file: &str, change: Change) {
        self.files[self.names[file]].pending.push(change);
    }

    fn rename(&mut self, name: &str, file: Option<usize>) {
        set(&mut self.names, name, file);
        self.pending_names.push((name.to_owned(), file));
    }

    /// Writes into `folder` what may be left if power fails now.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng, folder: &Path) {
        // File systems keep the order of names; of the changes that were not forced, any number at the end is lost.
        let mut names = self.durable_names.clone();
        for (name, file) in &self.pending_names[..random.usize(..=self.pending_names.len())] {
            set(&mut names, name, *file);
        }
        // From "nothing got there" to "everything did".
        let share = [0.0, 0.1, 0.5, 0.9, 1.0][random.usize(..5)];
        for (name, file) in names {
            let file = &self.files[file];
            let mut content = file.durable.clone();
            for change in &file.pending {
                change.apply(&mut content, &mut |_| random.f64() < share);
            }
            std::fs::write(folder.join(name), content).unwrap();
        }
    }
}

fn set(names: &mut HashMap<String, usize>, name: &str, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name.to_owned(), file)),
        None => drop(names.remove(name)),
    }
}

impl Change {
    /// Applies those sectors that `arrives`.
    fn apply(&self, content: &mut Vec<u8>, arrives: &mut dyn FnMut(usize) -> bool) {
        match self {
            Self::Truncate(length) => {
                if arrives(*length) {
                    content.resize(*length, 0);
                }
            }
            Self::Write { at, bytes } => {
                let mut from = *at;
                while from < at + bytes.len() {
                    let to = ((from / SECTOR + 1) * SECTOR).min(at + bytes.len());
                    if arrives(from) {
                        content.resize(content.len().max(to), 0);
                        content[from..to].copy_from_slice(&bytes[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }
}

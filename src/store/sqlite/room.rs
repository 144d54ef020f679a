//! Room on the disk: the floor below which no incident is taken, and the ballast that is thrown off when even that is gone.
//!
//! What "full" means is reckoned in [`super::budget`].
//!
//! On a disk that is really full nothing works any more, not even what would make room: expiring and checkpointing write, and a
//! start needs room for the files beside the database. The ballast is a file that holds nothing but room for these. It goes
//! when a write finds none, and comes back once there is room for it above the floor.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::budget::{Budget, Disk, Files};
use super::file::{MODE, folder, with_suffix};

/// The writer's view of the disk.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    ballast: PathBuf,
    has_ballast: bool,
    /// The ballast cannot be made although there is room, and the log says so.
    has_warned: bool,
    /// None where the file system does not say: such a disk has room.
    budget: Option<Budget>,
}

impl Room {
    /// To be called before the database is opened: throws off the ballast if opening might fail for want of room.
    pub(super) fn before_opening(database: &Path) -> Self {
        let ballast = with_suffix(database, ".ballast");
        let mut room = Self { folder: folder(database).into(), has_ballast: ballast.exists(), ballast, has_warned: false, budget: None };
        room.look(Files::default());
        if room.budget.is_some_and(|budget| budget.is_below_floor(room.has_ballast)) {
            room.drop_ballast();
        }
        room
    }

    /// [Looks](Self::look) at the disk. Makes the ballast where it is missing and fits.
    pub(super) fn survey(&mut self, files: Files) {
        self.look(files);
        if !self.has_ballast && self.budget.is_some_and(|budget| !budget.is_below_floor(false)) {
            self.make_ballast();
            self.look(files);
        }
    }

    /// Looks at the disk and nothing else.
    pub(super) fn look(&mut self, files: Files) {
        self.budget = Disk::of(&self.folder).map(|disk| Budget::new(disk, files));
    }

    /// Whether so many bytes can be written; if not, what room is left is kept for other things than incidents.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.budget.is_none_or(|budget| budget.takes(bytes, self.has_ballast))
    }

    /// Takes note of the frames in the write-ahead log, and how many of them are copied into the database.
    pub(super) fn note_log(&mut self, frames: u64, copied: u64) {
        if let Some(budget) = &mut self.budget {
            budget.note_log(frames, copied);
        }
    }

    /// How many frames may wait in the write-ahead log before they are copied, at most `usual`.
    pub(super) fn copy_after(&self, usual: u64) -> u64 {
        self.budget.map_or(usual, |budget| budget.copy_after(usual, self.has_ballast))
    }

    /// Whether there is something to throw off.
    pub(super) fn has_ballast(&self) -> bool {
        self.has_ballast
    }

    /// Makes room where there is none.
    pub(super) fn drop_ballast(&mut self) {
        if !self.has_ballast {
            return;
        }
        match fs::remove_file(&self.ballast) {
            Ok(()) => tracing::warn!(file = %self.ballast.display(), "the disk is full: the ballast was deleted to make room for expiring"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return tracing::warn!(%error, file = %self.ballast.display(), "the ballast cannot be deleted"),
        }
        self.has_ballast = false;
    }

    fn make_ballast(&mut self) {
        let Some(disk) = Disk::of(&self.folder) else { return };
        match fill(&self.ballast, disk.ballast()) {
            Ok(()) => self.has_ballast = true,
            Err(error) => {
                if !self.has_warned {
                    tracing::warn!(%error, file = %self.ballast.display(), "the ballast cannot be made; the store works without");
                }
                self.has_warned = true;
                // Half of it is of no use.
                let _ = fs::remove_file(&self.ballast);
            }
        }
    }
}

impl Disk {
    fn of(folder: &Path) -> Option<Self> {
        let disk = statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some(Self { total: bytes(disk.f_blocks), free: bytes(disk.f_bavail) })
    }
}

/// Makes a file that really holds its blocks. It need not survive a power failure, so it is not synced.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(MODE).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        // NFS before 4.2 and others cannot promise blocks; what is written has some.
        Err(Errno::OPNOTSUPP) => write_noise(&file, bytes),
        result => Ok(result?),
    }
}

/// Not zeros, which a file system may store as a hole.
fn write_noise(mut file: &File, bytes: u64) -> io::Result<()> {
    const BLOCK: u64 = 64 << 10;
    let mut block = vec![0; BLOCK as usize];
    for at in (0..bytes).step_by(BLOCK as usize) {
        fastrand::fill(&mut block);
        file.write_all(&block[..(bytes - at).min(BLOCK) as usize])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_disk_that_does_not_say_has_room() {
        assert!(Room::before_opening(Path::new("/nowhere/at/all.db")).takes(u64::MAX));
    }

    #[test]
    fn the_ballast_holds_its_blocks_is_thrown_off_once_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let ballast = folder.path().join("x.db.ballast");
        let mut room = Room::before_opening(&database);
        room.survey(Files::default());
        assert!(room.takes(0) && room.has_ballast(), "the disk that tests run on has some room");
        let metadata = fs::metadata(&ballast).unwrap();
        assert!(metadata.blocks() * 512 >= metadata.len() && metadata.len() > 0, "{metadata:?}");
        assert_eq!(metadata.mode() & 0o777, MODE);

        room.drop_ballast();
        room.drop_ballast();
        assert!(!ballast.exists() && !room.has_ballast());
        room.survey(Files::default());
        assert!(room.takes(0) && ballast.exists());
        assert!(Room::before_opening(&database).has_ballast(), "it outlives the process");
    }

    #[test]
    fn where_blocks_cannot_be_promised_they_are_written() {
        let file = tempfile::tempfile().unwrap();
        write_noise(&file, 100_000).unwrap();
        let metadata = file.metadata().unwrap();
        assert!(metadata.len() == 100_000 && metadata.blocks() * 512 >= 100_000);
    }

    #[test]
    fn a_ballast_that_cannot_be_made_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        fs::create_dir_all(folder.path().join("x.db.ballast/full")).unwrap();
        let mut room = Room { has_ballast: false, ..Room::before_opening(&database) };
        room.survey(Files::default());
        assert!(room.takes(0) && !room.has_ballast());
    }
}

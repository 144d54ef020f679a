//! What may still be written on a disk, in bytes.
//!
//! A commit takes room twice: in the write-ahead log now, and in the database when the log is copied into it. Both have room of
//! their own that the disk does not count as free: the log's file is overwritten from its beginning once it is copied, and pages
//! of deleted rows are used again. Between two looks at the disk the log's length, which is exact, tells what was written.

/// Room kept free, so that expiring and checkpointing still work when the disk is full for incidents.
const FLOOR_BYTES: u64 = 16 << 20;
/// Room for copying a write-ahead log of usual length (4 MiB) into the database, and for expiring beside it.
const BALLAST_BYTES: u64 = 8 << 20;
/// Both are at most this share of a small disk.
const SHARE: u64 = 64;
/// What stands in the write-ahead log before the first frame, and in a frame before the page.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// Bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) total: u64,
    /// For users without privileges.
    pub(super) free: u64,
}

impl Disk {
    fn floor(self) -> u64 {
        FLOOR_BYTES.min(self.total / SHARE)
    }

    /// How large the ballast is on this disk.
    pub(super) fn ballast(self) -> u64 {
        BALLAST_BYTES.min(self.total / SHARE)
    }
}

/// What the store's files hold and have room for. Everything is 0 as long as they are not open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files {
    /// Bytes of a page.
    pub(super) page: u64,
    /// Pages of the database, those that are in the write-ahead log alone included.
    pub(super) pages: u64,
    /// Those of them that hold nothing.
    pub(super) free_pages: u64,
    /// Bytes of the database's file.
    pub(super) database: u64,
    /// Bytes of the write-ahead log's file.
    pub(super) log: u64,
    /// Frames in the log.
    pub(super) frames: u64,
    /// Those of them that are in the database's file, too.
    pub(super) copied: u64,
}

impl Files {
    /// Bytes of the log's file that somebody may still read, be they copied or not.
    pub(super) fn log_in_use(&self) -> u64 {
        length(self.frames, 0, self.page)
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    disk: Disk,
    page: u64,
    /// By how much the database's file grows at most when the log is copied.
    owed: u64,
    /// Free pages of the database, in bytes.
    own: u64,
    /// Length of the log's file, and how much of that is in use.
    log: u64,
    used: u64,
    /// At the last look: frames in the log, and how many of them are copied.
    frames: u64,
    copied: u64,
}

impl Budget {
    pub(super) fn new(disk: Disk, files: Files) -> Self {
        let Files { page, frames, copied, log, .. } = files;
        Self {
            disk,
            page,
            owed: (files.pages * page).saturating_sub(files.database),
            own: files.free_pages * page,
            log,
            used: length(frames, copied, page),
            frames,
            copied,
        }
    }

    /// Whether so many bytes can be written.
    pub(super) fn takes(&self, bytes: u64, has_ballast: bool) -> bool {
        let owed = self.owed.saturating_add(bytes.saturating_sub(self.own));
        let log = self.used.saturating_add(bytes).saturating_sub(self.log);
        let floor = self.disk.floor();
        let keep = match (owed, log) {
            // Written into the files as they are. What is free in them is kept as on the disk: room for expiring.
            (0, 0) if self.own >= bytes.saturating_add(floor) => return true,
            // The log grows back to its usual length, say after a restart: it is room afterwards, too.
            (0, _) if self.own >= bytes.saturating_add(floor) => floor / 4,
            _ => floor + self.missing_ballast(has_ballast),
        };
        self.disk.free >= keep.saturating_add(owed).saturating_add(log)
    }

    /// Whether less is free than the floor, and the ballast where that is missing.
    pub(super) fn is_below_floor(&self, has_ballast: bool) -> bool {
        self.disk.free < self.disk.floor() + self.missing_ballast(has_ballast) + self.owed
    }

    /// Takes note of the log after something was written, or copied.
    pub(super) fn note_log(&mut self, frames: u64, copied: u64) {
        // Fewer are copied than before: the log was begun again.
        let before = if copied < self.copied { 0 } else { self.frames };
        let written = frames.saturating_sub(before) * self.page;
        (self.frames, self.copied) = (frames, copied);
        self.owed += written.saturating_sub(self.own);
        self.own = self.own.saturating_sub(written);
        self.used = length(frames, copied, self.page);
        self.disk.free = self.disk.free.saturating_sub(self.used.saturating_sub(self.log));
        self.log = self.log.max(self.used);
    }

    /// How many frames may wait in the log: no more than the ballast has room for, and none where room is scarce.
    pub(super) fn copy_after(&self, usual: u64, has_ballast: bool) -> u64 {
        let ballast = self.disk.ballast();
        if self.disk.free < self.disk.floor() + self.missing_ballast(has_ballast) + self.owed + ballast {
            return 1;
        }
        usual.min(ballast / 2 / self.page.max(1)).max(1)
    }

    fn missing_ballast(&self, has_ballast: bool) -> u64 {
        if has_ballast { 0 } else { self.disk.ballast() }
    }
}

/// How much of the log's file is in use: nothing once all of it is copied.
fn length(frames: u64, copied: u64, page: u64) -> u64 {
    if frames <= copied { 0 } else { LOG_HEADER + frames * (page + FRAME_HEADER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const PAGE: u64 = 4096;

    /// A disk of 1 TiB, where the floor is 16 MiB and the ballast is there.
    fn budget(free: u64, files: Files) -> Budget {
        Budget::new(Disk { total: 1 << 40, free }, Files { page: PAGE, ..files })
    }

    #[test]
    fn a_small_disk_keeps_a_small_floor() {
        let small = Disk { total: 8 * MIB, free: 0 };
        assert_eq!((small.floor(), small.ballast()), (MIB / 8, MIB / 8));
        let large = Disk { total: 1 << 40, free: 0 };
        assert_eq!((large.floor(), large.ballast()), (16 * MIB, 8 * MIB));
    }

    #[test]
    fn an_incident_takes_room_in_the_log_and_in_the_database() {
        let budget = budget(18 * MIB, Files::default());
        assert!(budget.takes(MIB, true) && !budget.takes(MIB + 1, true));
        assert!(!budget.takes(0, false), "the ballast comes first");
    }

    #[test]
    fn what_waits_in_the_log_has_its_room_in_the_database() {
        let files = Files { pages: 512, frames: 512, log: 3 * MIB, ..Files::default() };
        assert!(budget(18 * MIB, files).takes(0, true));
        assert!(!budget(18 * MIB - 1, files).takes(0, true));
        assert!(budget(16 * MIB, Files { database: 2 * MIB, copied: 512, ..files }).takes(0, true));
    }

    #[test]
    fn free_pages_and_the_log_as_it_is_are_room_on_a_full_disk() {
        let files = Files { pages: 20_000, free_pages: 17 * MIB / PAGE, database: 20_000 * PAGE, log: 4 * MIB, ..Files::default() };
        assert!(budget(0, files).takes(MIB, false));
        assert!(!budget(0, files).takes(MIB + 1, true), "expiring has its room");
        assert!(!budget(0, Files { frames: 1000, ..files }).takes(MIB, true), "the log is full");
        let short = Files { log: 0, ..files };
        assert!(budget(5 * MIB, short).takes(MIB, true) && !budget(4 * MIB, short).takes(MIB, true), "it grows a little");
        assert!(!budget(5 * MIB, Files { pages: 20_001, ..files }).takes(0, true), "a page that waits to be copied is owed");
    }

    #[test]
    fn between_two_looks_the_log_tells_what_was_written() {
        let mut budget = budget(20 * MIB, Files { log: 400 * (PAGE + FRAME_HEADER), free_pages: 100, ..Files::default() });
        budget.note_log(100, 0);
        assert_eq!((budget.own, budget.owed, budget.disk.free), (0, 0, 20 * MIB));
        budget.note_log(356, 0);
        assert_eq!((budget.owed, budget.disk.free), (MIB, 20 * MIB));
        budget.note_log(656, 0);
        let left = budget.disk.free;
        assert_eq!((budget.owed, left), (MIB + 300 * PAGE, 20 * MIB - 256 * (PAGE + FRAME_HEADER) - LOG_HEADER));
        // Nothing new, then all of it copied, then begun again with as many.
        budget.note_log(656, 0);
        budget.note_log(656, 656);
        assert_eq!((budget.owed, budget.disk.free, budget.used), (MIB + 300 * PAGE, left, 0));
        budget.note_log(656, 0);
        assert_eq!((budget.owed, budget.disk.free), (MIB + 956 * PAGE, left));
    }

    #[test]
    fn where_room_is_scarce_nothing_waits_in_the_log() {
        assert_eq!(budget(1 << 30, Files::default()).copy_after(1000, true), 1000);
        assert_eq!(budget(24 * MIB - 1, Files::default()).copy_after(1000, true), 1);
        let small = Budget::new(Disk { total: 32 * MIB, free: 20 * MIB }, Files { page: PAGE, ..Files::default() });
        assert_eq!(small.copy_after(1000, true), 64, "half the ballast");
    }
}

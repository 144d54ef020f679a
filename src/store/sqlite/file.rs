//! The files of a store: who may read them, who holds them, how large they are.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Incidents may hold anything a sender knows: the owner reads and writes, nobody else.
pub(super) const MODE: u32 = 0o600;

/// The database's own absolute path: one database has one lock file, whatever links lead to it, and a name that begins with
/// `file:` is never taken for a URI.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let absolute = std::path::absolute(path)?;
            let name = absolute.file_name().ok_or(io::ErrorKind::IsADirectory)?;
            Ok(fs::canonicalize(folder(&absolute))?.join(name))
        }
        resolved => resolved,
    }
}

/// Takes the lock that one gateway holds on a database while it runs; none if another one has it. Readers do not need it.
/// The file stays behind: deleting it would let two gateways each lock a file of their own.
pub(super) fn lock(database: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(MODE).open(with_suffix(database, ".lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the empty file before SQLite would, with our mode, which SQLite gives to `-wal` and `-shm` too.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create_new(true).write(true).mode(MODE).open(path)?.sync_all()?;
    sync_folder(path)
}

/// Like [`create_private`], or takes away what others may do with a file that is there.
pub(super) fn create_or_tighten(path: &Path) -> io::Result<()> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return create_private(path),
        metadata => metadata?,
    };
    if !metadata.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.permissions().mode() & 0o777 & !MODE == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(MODE))
}

/// Makes a new, renamed or deleted name in the folder of `path` survive a power failure.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Bytes of the database and its write-ahead log together.
pub(super) fn size(database: &Path) -> u64 {
    let (database, log) = sizes(database);
    database + log
}

/// Bytes of the database and of its write-ahead log. Never opens the files: closing one again would drop SQLite's locks on it.
pub(super) fn sizes(database: &Path) -> (u64, u64) {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    (size(database), size(&log(database)))
}

/// The write-ahead log of a database. On this one SQLite has no locks.
pub(super) fn log(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// Where an absolute path's file is.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// `hookgate.db` and `.lock` make `hookgate.db.lock`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_private_even_when_they_were_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        create_or_tighten(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        create_or_tighten(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(create_private(&path).is_err(), "an existing file is never taken over");
    }

    #[test]
    fn one_database_has_one_lock_through_every_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let before = resolve(&path).unwrap();
        create_private(&path).unwrap();
        std::os::unix::fs::symlink(&path, folder.path().join("link.db")).unwrap();
        assert_eq!(resolve(&path).unwrap(), before);
        assert_eq!(resolve(&folder.path().join("link.db")).unwrap(), before);

        let held = lock(&before).unwrap();
        assert!(held.is_some() && lock(&before).unwrap().is_none());
        drop(held);
        assert!(lock(&before).unwrap().is_some());
    }
}

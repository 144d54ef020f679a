//! What can only be seen on the disk: the store's place, and who can read secrets. Certificates are looked at by those who use
//! them.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags};

use super::Config;
use super::errors::ConfigError;

/// Whether the store can be written where the configuration has it.
///
/// Returns every mistake found; none means that all is well. Nothing is created or changed.
pub fn check_files(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut note = |key: &str, result: Result<(), String>| {
        if let Err(message) = result {
            errors.push(ConfigError { key: key.into(), line: config.line(key), message, file: None });
        }
    };
    note("store.url", check_store(&config.store.path));
    errors.sort_by_key(|error| error.line);
    errors
}

/// Where systemd puts what `LoadCredential=` names, readable for the service alone. It does so by an access list, which shows up
/// as the group's bits.
const CREDENTIALS: &str = "/run/credentials/";

/// A warning if others can read the configuration, which holds secrets.
pub(super) fn mode_warning(path: &Path, file: &File) -> io::Result<Option<String>> {
    let advice = openness(path, &file.metadata()?);
    Ok(advice.map(|advice| format!("holds secrets and {advice}, or move them to {{ file = … }}")))
}

/// A warning if others can read the file of a secret or a private key.
pub(super) fn exposure(path: &Path, metadata: &Metadata) -> Option<String> {
    openness(path, metadata).map(|advice| format!("{path:?} holds a secret and {advice}"))
}

/// How a file is open to others, and what is to be done about it; none where nothing is, or can be.
fn openness(path: &Path, metadata: &Metadata) -> Option<String> {
    let mode = metadata.permissions().mode() & 0o777;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if mode & suspicious(is_own) == 0 || is_inside(path, Path::new(CREDENTIALS)) || is_mounted_read_only(path) {
        return None;
    }
    let advice = if is_own { "chmod 600" } else { "its owner should take that from them (chmod o=)" };
    Some(format!("can be read by others (mode {mode:04o}): {advice}"))
}

/// The permissions that nobody but the owner should have. Where the owner is somebody else, the file was given to the gateway, by
/// its group like as not: a key that several services share.
pub(super) fn suspicious(is_own: bool) -> u32 {
    if is_own { 0o077 } else { 0o007 }
}

/// Whether a file is there in truth: the path may be a link.
pub(super) fn is_inside(path: &Path, folder: &Path) -> bool {
    path.canonicalize().as_deref().unwrap_or(path).starts_with(folder)
}

/// As a container's secrets are: readable for all who are in it, which is for the gateway, and not to be changed from there.
fn is_mounted_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn check_folder(folder: &Path) -> Result<(), String> {
    match fs::metadata(folder) {
        Err(error) => Err(format!("the folder {folder:?} cannot be used: {error}")),
        Ok(metadata) if !metadata.is_dir() => Err(format!("{folder:?} is not a folder")),
        Ok(_) => Ok(()),
    }
}

fn check_store(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    check_folder(folder)?;
    // The journal is created beside the database, so the folder itself must be writable.
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("cannot write to the folder {folder:?}: {error}"))?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot use {path:?}: {error}")),
        Ok(metadata) if !metadata.is_file() => Err(format!("{path:?} is not a file")),
        Ok(_) => rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| format!("cannot write {path:?}: {error}")),
    }
}

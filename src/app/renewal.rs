//! Certificates that are renewed under a running gateway.
//!
//! Looking at the files now and then needs nothing of the system and works for every way of replacing them: writing in place,
//! renaming, swapping a symbolic link (as Kubernetes does). A pair that is half written does not fit; the old one stays in use
//! and the new one is tried again at the next look.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates::files;
use crate::config;
use crate::listener::{Tls, TlsError, TlsFiles};

/// Every certificate in use, and the state of its files.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    tls: Arc<Tls>,
    /// As they were when they were loaded.
    loaded: Stamps,
    /// As they were at the last look.
    seen: Stamps,
    /// Why the files as they are now cannot be used.
    failure: Option<String>,
}

/// What became of files that have changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The new certificates, from this file and those beside it, are in use.
    Loaded(PathBuf),
    /// The new files cannot be used, for this reason; the old certificates stay in use.
    Failed(String),
}

impl Certificates {
    /// Loads what is configured; the same files once.
    pub(super) fn load<'a>(configured: impl IntoIterator<Item = &'a config::Tls>) -> Result<Self, TlsError> {
        let mut certificates = Self::default();
        for configured in configured {
            if certificates.of(configured).is_none() {
                certificates.0.push(Watched::load(files(configured))?);
            }
        }
        Ok(certificates)
    }

    /// The one that was loaded for `configured`.
    pub(super) fn of(&self, configured: &config::Tls) -> Option<&Arc<Tls>> {
        let files = files(configured);
        self.0.iter().map(|watched| &watched.tls).find(|tls| *tls.files() == files)
    }

    /// Loads files again that have changed and come to rest, that is, are as they were at the last look. Returns what is news.
    pub(super) fn look(&mut self) -> Vec<Renewal> {
        self.0.iter_mut().filter_map(Watched::look).collect()
    }
}

impl Watched {
    fn load(files: TlsFiles) -> Result<Self, TlsError> {
        // Before loading: what changes meanwhile is a change since.
        let stamps = Stamps::of(&files);
        Ok(Self { tls: Arc::new(Tls::load(files)?), loaded: stamps.clone(), seen: stamps, failure: None })
    }

    fn look(&mut self) -> Option<Renewal> {
        let stamps = Stamps::of(self.tls.files());
        let is_at_rest = stamps == self.seen;
        self.seen = stamps.clone();
        if !is_at_rest || (stamps == self.loaded && self.failure.is_none()) {
            return None;
        }
        match self.tls.reload() {
            Ok(()) => {
                self.loaded = stamps;
                self.failure = None;
                Some(Renewal::Loaded(self.tls.files().certificate.clone()))
            }
            Err(error) => {
                let reason = error.to_string();
                // Said once, not at every look.
                let is_news = self.failure.as_ref() != Some(&reason);
                self.failure = Some(reason.clone());
                is_news.then_some(Renewal::Failed(reason))
            }
        }
    }
}

/// Tells one state of some files from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamps(Vec<Option<Stamp>>);

/// Device, inode, length, times of modification and of change in nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Stamps {
    fn of(files: &TlsFiles) -> Self {
        let all = [Some(&files.certificate), Some(&files.private_key), files.client_ca.as_ref()];
        Self(all.into_iter().flatten().map(|path| stamp(path)).collect())
    }
}

/// None where there is no such file, as between two steps of a replacement.
fn stamp(path: &Path) -> Option<Stamp> {
    let it = fs::metadata(path).ok()?;
    Some((it.dev(), it.ino(), it.len(), (it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Bench {
        folder: TempDir,
        certificates: Certificates,
    }

    /// PEM of a certificate and its key.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    impl Bench {
        fn new() -> Self {
            let folder = TempDir::new().unwrap();
            let path = |name: &str| folder.path().join(name);
            let (certificate, key) = pair();
            fs::write(path("crt"), certificate).unwrap();
            fs::write(path("key"), key).unwrap();
            let files = config::Tls { certificate: path("crt"), private_key: path("key"), client_ca: None };
            Self { certificates: Certificates::load([&files, &files]).unwrap(), folder }
        }

        fn loaded(&self) -> Renewal {
            Renewal::Loaded(self.folder.path().join("crt"))
        }

        /// As careful programs do it: readers see the old file or the new one.
        fn replace(&self, name: &str, text: &str) {
            let temporary = self.folder.path().join("new");
            fs::write(&temporary, text).unwrap();
            fs::rename(temporary, self.folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn files_that_stay_are_left_alone() {
        let mut bench = Bench::new();
        assert_eq!(bench.certificates.0.len(), 1);
        assert_eq!([bench.certificates.look(), bench.certificates.look()], [[], []]);
    }

    #[test]
    fn new_files_are_loaded_once_they_are_at_rest() {
        let mut bench = Bench::new();
        let (certificate, key) = pair();
        bench.replace("crt", &certificate);
        assert_eq!(bench.certificates.look(), [], "still moving");
        bench.replace("key", &key);
        assert_eq!(bench.certificates.look(), [], "still moving");
        assert_eq!(bench.certificates.look(), [bench.loaded()]);
        assert_eq!(bench.certificates.look(), []);
    }

    #[test]
    fn half_a_pair_is_said_once_and_heals() {
        let mut bench = Bench::new();
        let (certificate, key) = pair();
        bench.replace("crt", &certificate);
        bench.certificates.look();
        let [Renewal::Failed(reason)] = &bench.certificates.look()[..] else { panic!("a key of another certificate was taken") };
        assert!(reason.contains("key"), "{reason}");
        assert_eq!(bench.certificates.look(), [], "said once");
        bench.replace("key", &key);
        bench.certificates.look();
        assert_eq!(bench.certificates.look(), [bench.loaded()]);
    }

    #[test]
    fn the_old_pair_put_back_ends_the_failure() {
        let mut bench = Bench::new();
        let old = bench.folder.path().join("old");
        fs::rename(bench.folder.path().join("key"), &old).unwrap();
        bench.certificates.look();
        assert!(matches!(bench.certificates.look()[..], [Renewal::Failed(_)]));
        fs::rename(&old, bench.folder.path().join("key")).unwrap();
        bench.certificates.look();
        assert_eq!(bench.certificates.look(), [bench.loaded()]);
    }
}

//! What is looked at on the disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::MINIMAL;
use crate::config::files::{exposure, is_inside, suspicious};
use crate::config::{Config, check_files};

fn write(folder: &TempDir, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join("hookgate.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn problems(folder: &TempDir, text: &str) -> Vec<String> {
    let config = Config::load(&write(folder, text, 0o600)).unwrap();
    let problems = check_files(&config);
    problems.iter().map(|error| format!("{}: {}: {}", error.line.unwrap_or(0), error.key, error.message)).collect()
}

#[test]
fn a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let errors = Config::load(&folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(errors.contains("none.toml: cannot be read: ") && errors.ends_with("`hookgate quickstart` writes one"), "{errors}");
    assert!(Config::load(folder.path()).unwrap_err().to_string().contains("cannot be read"));
    let path = folder.path().join("latin1.toml");
    fs::write(&path, b"# fine\n# caf\xe9\n").unwrap();
    assert_eq!(Config::load(&path).unwrap_err().to_string(), format!("{}:2: is not UTF-8", path.display()));
}

#[test]
fn secrets_that_others_can_read_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o640, 0o604, 0o644] {
        let warnings = Config::load(&write(&folder, MINIMAL, mode)).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("chmod 600"), "{mode:o}: {warnings:?}");
    }
    assert_eq!(Config::load(&write(&folder, MINIMAL, 0o600)).unwrap().warnings, [""; 0]);
    let secret = folder.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let of_secret = |mode| {
        fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let elsewhere = MINIMAL.replace("\"s3cret\"", "{ file = \"secret\" }\npassword_next = { file = \"secret\" }");
        Config::load(&write(&folder, &elsewhere, 0o644)).unwrap().warnings
    };
    assert_eq!(of_secret(0o600), [""; 0], "the configuration itself then holds none");
    assert_eq!(of_secret(0o400), [""; 0]);
    for mode in [0o640, 0o604, 0o620] {
        let warnings = of_secret(mode);
        assert!(warnings.len() == 1 && warnings[0].contains(&format!("{secret:?} holds a secret")), "{mode:o}: {warnings:?}");
    }
}

#[test]
fn private_keys_that_others_can_read_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[server]\ncertificate = \"a.crt\"\nprivate_key = \"a.key\"\n{MINIMAL}");
    let key = folder.path().join("a.key");
    fs::write(&key, "x").unwrap();
    for (mode, count) in [(0o600, 0), (0o640, 1), (0o644, 1)] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let warnings = Config::load(&write(&folder, &text, 0o600)).unwrap().warnings;
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("hookgate.toml:3: server.private_key: ")), "{warnings:?}");
    }
}

#[test]
fn what_systemd_passes_is_no_reason_to_worry() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "x").unwrap();
    // As an access list for the service's user makes it look.
    fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    assert!(exposure(&file, &metadata).is_some());
    assert_eq!(exposure(Path::new("/run/credentials/hookgate.service/secret_edr"), &metadata), None);

    let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
    fs::create_dir_all(&inside).unwrap();
    fs::write(inside.join("real"), "x").unwrap();
    symlink(inside.join("real"), &outside).unwrap();
    symlink(&file, inside.join("link")).unwrap();
    let inside = inside.canonicalize().unwrap();
    assert!(is_inside(&outside, &inside), "a link to it");
    assert!(!is_inside(&inside.join("link"), &inside) && !is_inside(&inside.join("../secret"), &inside), "ways out of it");
}

#[test]
fn a_key_that_another_user_shares_with_the_group_is_no_reason_to_worry() {
    for (mode, is_own, is_open) in
        [(0o640, true, true), (0o644, true, true), (0o600, true, false), (0o640, false, false), (0o644, false, true)]
    {
        assert_eq!(mode & suspicious(is_own) != 0, is_open, "{mode:o} {is_own}");
    }
    // Everywhere root's, and not a secret; so root owns it, and if root runs this test, chmod it is.
    let shared = Path::new("/etc/passwd");
    let warning = exposure(shared, &fs::metadata(shared).unwrap());
    let advice = if rustix::process::geteuid().is_root() { "chmod 600" } else { "its owner" };
    assert!(warning.is_none_or(|warning| warning.contains(advice)), "none on a read-only root");
}

#[test]
fn the_store_needs_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(problems(&folder, MINIMAL), [""; 0]);
    let text = format!("[store]\nurl = \"sqlite:data/h.db\"\n{MINIMAL}");
    let found = problems(&folder, &text);
    assert!(found.len() == 1 && found[0].starts_with("2: store.url: the folder "), "{found:?}");
    fs::create_dir_all(folder.path().join("data/h.db")).unwrap();
    let found = problems(&folder, &text);
    assert!(found.len() == 1 && found[0].ends_with("h.db\" is not a file"), "{found:?}");
    assert!(!folder.path().join("hookgate.db").exists(), "checking creates nothing");
}

#[test]
fn the_store_can_be_found_without_the_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let secretless = MINIMAL.replace("\"s3cret\"", "{ env = \"HOOKGATE_TEST_NEVER_SET\" }");
    let path = write(&folder, &format!("[store]\nurl = \"sqlite:h.db\"\n{secretless}"), 0o600);
    assert!(Config::load(&path).is_err());
    assert_eq!(Config::load_store(&path).unwrap().path, folder.path().join("h.db"));
    for text in ["[store]\nurl = \"mysql:x\"\n", "[store\n", "[stores]\n"] {
        let errors = Config::load_store(&write(&folder, text, 0o600)).unwrap_err();
        assert_eq!((errors.errors.len(), errors.path == path), (1, true), "{errors}");
    }
}

#[test]
fn a_bare_file_name_counts_from_the_working_directory() {
    let config = Config::parse(MINIMAL, Path::new("hookgate.toml"), &|_| None).unwrap();
    assert_eq!(config.store.path, std::env::current_dir().unwrap().join("hookgate.db"));
}

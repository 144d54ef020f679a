//! `hookgate senders`: presets listed, and shown as the start of one's own.

use tempfile::TempDir;

use crate::senders::hookgate;

#[test]
fn senders_are_listed_and_shown() {
    let folder = TempDir::new().unwrap();
    let table = String::from_utf8(hookgate(folder.path(), &["senders"]).stdout).unwrap();
    assert!(
        table.starts_with("SENDER") && table.lines().any(|line| line.starts_with("github ") && line.contains("X-GitHub-Delivery")),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_slice(&hookgate(folder.path(), &["senders", "--json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), table.lines().count() - 1);
    assert!(json.as_array().unwrap().iter().all(|one| one["page"].as_str().unwrap().starts_with("https://")));

    std::fs::create_dir(folder.path().join("senders")).unwrap();
    let shown = hookgate(folder.path(), &["senders", "show", "github"]).stdout;
    std::fs::write(folder.path().join("senders/hubgit.toml"), &shown).unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), "[server]\nsenders_dir = \"senders\"\n").unwrap();
    let own = String::from_utf8(hookgate(folder.path(), &["senders"]).stdout).unwrap();
    assert!(own.lines().any(|line| line.starts_with("hubgit ") && line.contains("X-GitHub-Delivery")), "{own}");
    let unknown = hookgate(folder.path(), &["senders", "show", "nobody"]);
    assert!(unknown.status.code() == Some(1) && String::from_utf8_lossy(&unknown.stderr).contains("github"), "{unknown:?}");
}

/// The shell empties the file before the preset is shown into it.
#[test]
fn a_preset_is_shown_into_its_own_file() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("senders")).unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), "[server]\nsenders_dir = \"senders\"\n").unwrap();
    let file = folder.path().join("senders/github.toml");
    let show = || {
        let shown = hookgate(folder.path(), &["senders", "show", "github"]);
        assert!(shown.status.success(), "{shown:?}");
        shown.stdout
    };
    std::fs::write(&file, "").unwrap();
    assert_eq!(hookgate(folder.path(), &["senders"]).status.code(), Some(78), "an empty file is no preset");
    let first = show();
    assert!(String::from_utf8_lossy(&first).contains("X-Hub-Signature-256"));
    std::fs::write(&file, &first).unwrap();
    assert_eq!(String::from_utf8_lossy(&show()), String::from_utf8_lossy(&first), "the comment on top stands there once");
    std::fs::write(&file, "broken = [").unwrap();
    assert_eq!(show(), first);
}

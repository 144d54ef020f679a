//! What `check` says about certificates, and what `serve` does with them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rcgen::date_time_ymd;
use tempfile::TempDir;

use crate::harness::BASIC;
use crate::pki::Authority;

const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\n";

fn run(folder: &TempDir, command: &str, config: &str) -> Output {
    let path = folder.path().join("hookgate.toml");
    std::fs::write(&path, config).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let mut hookgate = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    hookgate.arg(command).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap()
}

/// Both commands must say the same and end with 78.
#[track_caller]
fn refused(folder: &TempDir, config: &str, wanted: &[&str]) {
    for command in ["check", "serve"] {
        let output = run(folder, command, config);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{command}: {told}");
        for want in wanted {
            assert!(told.contains(want), "{command} does not tell {want:?}: {told}");
        }
    }
    assert!(!folder.path().join("hookgate.db").exists(), "nothing was started");
}

#[test]
fn a_key_that_is_not_the_certificates() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
    authority.server(|_| {}).write(folder.path(), "server");
    authority.server(|_| {}).write(folder.path(), "other");
    std::fs::copy(folder.path().join("other.key"), folder.path().join("server.key")).unwrap();
    refused(
        &folder,
        &format!("{SERVER}{BASIC}"),
        &["hookgate.toml:4: server.private_key: ", "server.key: is not the key of CN=gateway in "],
    );
}

#[test]
fn a_chain_in_the_wrong_order() {
    let (folder, root) = (TempDir::new().unwrap(), Authority::new("root"));
    let middle = root.below("middle");
    let leaf = middle.server(|_| {});
    leaf.write(folder.path(), "server");
    for (chain, want) in [
        (middle.pem() + &leaf.pem, "CN=gateway, whose key it is, must be the first certificate and is number 2"),
        (leaf.pem.clone() + &root.pem() + &middle.pem(), "certificate 2 must be CN=middle, which issued CN=gateway, and is CN=root"),
    ] {
        std::fs::write(folder.path().join("server.crt"), chain).unwrap();
        refused(
            &folder,
            &format!("{SERVER}{BASIC}"),
            &["hookgate.toml:3: server.certificate: ", "the chain is in the wrong order: ", want],
        );
    }
    std::fs::write(folder.path().join("server.crt"), leaf.pem.clone() + &middle.pem() + &root.pem()).unwrap();
    assert_eq!(run(&folder, "check", &format!("{SERVER}{BASIC}")).status.code(), Some(0));
}

#[test]
fn files_that_hold_something_else() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
    authority.server(|_| {}).write(folder.path(), "server");
    let own = "listen = \"127.0.0.1:0\"\ncertificate = \"server.key\"\nprivate_key = \"server.crt\"\nclient_ca = \"none.pem\"\n";
    let wanted = [
        "hookgate.toml:10: instance[0].certificate: ",
        "server.key: holds no certificate in PEM",
        "hookgate.toml:11: instance[0].private_key: ",
        "server.crt: holds no private key in PEM (PKCS#8, PKCS#1 or SEC1; not encrypted)",
        "hookgate.toml:12: instance[0].client_ca: ",
        "none.pem: cannot be read: ",
    ];
    refused(&folder, &format!("{SERVER}{BASIC}{own}"), &wanted);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("ca.pem"), broken).unwrap();
    let config = format!("{SERVER}client_ca = \"ca.pem\"\n{BASIC}");
    refused(&folder, &config, &["hookgate.toml:5: server.client_ca: ", "ca.pem: certificate 1 is malformed: "]);
}

#[test]
fn dates() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
    let config = format!("{SERVER}{BASIC}");
    let check = |from, to| {
        authority.server(|params| (params.not_before, params.not_after) = (from, to)).write(folder.path(), "server");
        let output = run(&folder, "check", &config);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let now = date_time_ymd(1970, 1, 1) + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let (long_ago, far_off) = (date_time_ymd(2000, 1, 1), date_time_ymd(4000, 1, 1));
    let (code, told) = check(long_ago, date_time_ymd(2001, 2, 3));
    assert!(code == Some(78) && told.contains("hookgate.toml:3: server.certificate: "), "{told}");
    assert!(told.contains("CN=gateway has expired on 2001-02-03 00:00:00 UTC: renew it"), "{told}");
    let (code, told) = check(date_time_ymd(3999, 1, 1), far_off);
    assert!(code == Some(78) && told.contains("CN=gateway is not valid before 3999-01-01 00:00:00 UTC: is the clock right?"), "{told}");
    let day = Duration::from_secs(86_400);
    let (code, told) = check(long_ago, now + 29 * day);
    assert!(code == Some(0) && told.contains("warning: hookgate.toml:3: server.certificate: ") && told.contains(" expires on "), "{told}");
    assert_eq!(check(long_ago, now + 31 * day), (Some(0), String::new()));
}

#[test]
fn what_clients_refuse_is_warned_of() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("root"));
    authority.server(|params| params.subject_alt_names.clear()).write(folder.path(), "server");
    let output = run(&folder, "check", &format!("{SERVER}{BASIC}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("names no host (subjectAltName)"), "{told}");
}

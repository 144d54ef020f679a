//! What senders want before everything that proves them is there.

use std::fs;

use hookgate::config::Config;
use tempfile::TempDir;

use crate::harness::{ALICE, Running};

use super::case::Case;
use super::{cases, expect};

const KEY: &str = r#"{"callbackId":"cb-1","verificationKey":"key-1"}"#;
const ADDRESS: &str = "/instance/execute/in";

#[test]
fn salesforce_is_greeted_before_it_has_shown_its_key() {
    let gateway = Running::start("[[instance]]\nname = \"in\"\nsender = \"salesforce-ens\"\nusername = \"alice\"\npassword = \"secret\"\n");
    assert_eq!(gateway.request("POST", ADDRESS, &[], KEY.as_bytes()).status, 401);
    assert_eq!(gateway.request("POST", ADDRESS, &[ALICE], KEY.as_bytes()).status, 200);
    let signed = ("x-sfmc-ens-signature", "c29tZWJvZHkgZWxzZSdzIHNpZ25hdHVyZSwgbWF5YmU=");
    for headers in [&[ALICE, signed][..], &[ALICE], &[signed]] {
        assert_eq!(gateway.request("POST", ADDRESS, headers, b"[{}]").status, 401);
    }
    assert!(gateway.incidents().is_empty());
    // With nothing else to know it by, there must be a secret.
    let alone = folder_with("[[instance]]\nname = \"in\"\nsender = \"salesforce-ens\"\n");
    let errors = Config::load(&alone.path().join("hookgate.toml")).unwrap_err().to_string();
    assert!(errors.contains("instance[0].secrets: a secret is needed"), "{errors}");
}

fn folder_with(config: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("hookgate.toml"), config).unwrap();
    folder
}

#[test]
fn hubspot_without_a_public_url_gets_in_only_with_what_signs_none() {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.sender == "hubspot").collect();
    let cases: Vec<_> = cases.into_iter().map(|case| Case { keys: case.keys.lines().next().unwrap().to_owned() + "\n", ..case }).collect();
    let gateway = super::gateway(&cases);
    for case in &cases {
        let status = if case.instance == "hubspot-v1" { 200 } else { 401 };
        expect(&case.request().post(&gateway), status, case.instance).unwrap();
    }
    let refused = gateway.admin("/api/v1/instances/hubspot/rejections").text();
    assert!(refused.contains("set public_url"), "{refused}");
}

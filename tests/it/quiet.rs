//! When instances were last heard of, and that silence is noticed.

use crate::harness::{ALICE, BASIC, Running, eventually};

const SILENT: &str = "hookgate_instance_silent{instance=\"in\"}";
const LAST_EVENT: &str = "hookgate_instance_last_event_timestamp_seconds{instance=\"in\"}";

#[test]
fn silence_and_its_end_are_noticed() {
    let running = Running::start(&format!("{BASIC}expect_every = \"1s\"\n"));
    eventually("the instance is silent", || running.metric(SILENT) == 1.0);
    let about = running.about("in");
    assert_eq!((&about["silent"], &about["expectEverySeconds"]), (&true.into(), &1.into()));
    assert!(about["lastEvent"].is_null(), "{about}");
    eventually("it has spoken", || {
        assert_eq!(running.post("{}").status, 200);
        running.metric(SILENT) == 0.0
    });
    assert!(running.metric(LAST_EVENT) > 1.7e9);
    eventually("it is silent again", || running.about("in")["silent"] == true);
}

#[test]
fn an_expectation_comes_and_goes_with_a_reload() {
    let running = Running::start(BASIC);
    assert!(running.about("in")["silent"].is_null());
    running.replace_instances(&format!("{BASIC}expect_every = \"1s\"\n"));
    eventually("the instance is silent", || running.about("in")["silent"] == true);
    running.replace_instances(BASIC);
    assert!(running.about("in")["silent"].is_null());
    assert!(!running.admin("/metrics").text().contains(SILENT));
}

#[test]
fn the_last_event_refusal_and_use_of_each_password_are_told() {
    let instances = format!("{BASIC}password_next = \"newer\"\nduplication_key = \"id\"\n");
    let running = Running::start(&instances);
    let keys = ["lastEvent", "lastRefusal", "passwordLastUsed", "passwordNextLastUsed"];
    let known = || keys.map(|key| running.about("in")[key].is_string());
    assert_eq!(known(), [false; 4]);
    assert_eq!(running.request("GET", "/instance/execute/in", &[ALICE], b"").status, 200);
    assert_eq!(known(), [false, false, true, false], "a probe is no event");
    assert_eq!(running.request("POST", "/instance/execute/in", &[], b"{}").status, 401);
    assert_eq!(known(), [false, true, true, false]);
    let newer = ("authorization", "Basic YWxpY2U6bmV3ZXI=");
    let created = running.request("POST", "/instance/execute/in", &[newer], br#"{"id":1}"#).json()[0]["created"].clone();
    assert_eq!(known(), [true; 4]);
    assert_eq!(running.about("in")["lastEvent"], created);

    let before = running.about("in");
    running.replace_instances(&instances);
    assert_eq!(running.about("in"), before, "a reload forgets nothing");
    eventually("a duplicate is an event", || {
        assert_eq!(running.post(r#"{"id":1}"#).json()[0]["duplicate"], true);
        running.about("in")["lastEvent"] != created
    });
}

#[test]
fn a_restart_remembers_the_last_event() {
    let running = Running::start(BASIC);
    let created = running.post("{}").json()[0]["created"].clone();
    let folder = running.stop();
    let running = Running::start_in(folder, "", &format!("{BASIC}expect_every = \"1h\"\n"));
    let about = running.about("in");
    assert_eq!((&about["lastEvent"], &about["silent"]), (&created, &false.into()));
    assert!(about["passwordLastUsed"].is_null());
    assert!(running.metric(LAST_EVENT) > 1.7e9);
}

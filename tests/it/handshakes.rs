//! What senders ask before they send anything, over sockets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::harness::Running;
use crate::senders::{SECRET, Signed, TOKEN, assert_alike, hex, hmac, known, now};

fn with_handshakes(names: &str) -> String {
    format!(
        "[[instance]]\nname = \"in\"\nsecrets = \"{SECRET}\"\nhandshake = [{names}]\nverify_token = \"agreed\"\n\
         [instance.signature]\nheader = \"X-Signature\"\n"
    )
}

#[test]
fn handshakes_of_the_head_are_answered_where_the_instance_has_them() {
    let some = Running::start(&with_handshakes("\"microsoft-graph\", \"dropbox\", \"meta\", \"okta\", \"x\", \"cloudevents\""));
    let none = Running::start(&with_handshakes(""));
    let plain = "text/plain; charset=utf-8";
    let meta = "hub.mode=subscribe&hub.challenge=17&hub.verify_token=agreed";
    let crc = format!(r#"{{"response_token":"sha256={}"}}"#, BASE64_STANDARD.encode(hmac("abc")));
    for (method, query, headers, kind, body) in [
        ("POST", "validationToken=a%3A+b", &[][..], plain, "a: b"),
        ("GET", "challenge=c", &[], plain, "c"),
        ("GET", meta, &[], plain, "17"),
        ("GET", "crc_token=abc", &[], "application/json", crc.as_str()),
        ("GET", "", &[("x-okta-verification-challenge", "o")], "application/json", r#"{"verification":"o"}"#),
        ("OPTIONS", "", &[("webhook-request-origin", "e.example"), ("webhook-request-rate", "60")], plain, ""),
    ] {
        let path = format!("/instance/execute/in?{query}");
        let answer = some.request(method, &path, headers, b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{method} {query}");
        assert_eq!((answer.header("content-type"), answer.header("x-content-type-options")), (Some(kind), Some("nosniff")));
        let stranger = none.request(method, &path, headers, b"");
        assert!([401, 405].contains(&stranger.status), "{method} {query}: {}", stranger.status);
    }
    let allowed = some.request("OPTIONS", "/instance/execute/in", &[("webhook-request-origin", "e.example")], b"");
    assert_eq!((allowed.header("webhook-allowed-origin"), allowed.header("allow")), (Some("e.example"), Some("POST")));
    assert_eq!(some.request("OPTIONS", "/instance/execute/in", &[], b"").status, 405);
    let wrong = some.request("GET", "/instance/execute/in?hub.mode=subscribe&hub.challenge=17&hub.verify_token=guessed", &[], b"");
    assert_alike(&wrong, &some.request("GET", "/instance/execute/nobody", &[], b""));
    assert_eq!(some.request("GET", &format!("/instance/execute/in?challenge={}", "a".repeat(5000)), &[], b"").status, 400);
    assert!(some.incidents().is_empty());
    assert_eq!(some.metric("hookgate_requests_total{instance=\"in\",status=\"200\"}"), 7.0);
}

#[test]
fn a_challenge_that_x_had_signed_is_no_event() {
    let running = Running::start(
        &with_handshakes("\"x\"").replace("X-Signature\"", "X-Signature\"\nencoding = \"base64\"\nformat = \"sha256={sig}\""),
    );
    let answer = running.request("GET", "/instance/execute/in?crc_token=name%3Dforged", &[], b"").json();
    let forged = answer["response_token"].as_str().unwrap();
    let headers = [("x-signature", forged), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(running.request("POST", "/instance/execute/in", &headers, b"name=forged").status, 401);
}

#[test]
fn signed_challenges_are_verified_first() {
    let zoom = format!("[[instance]]\nname = \"zoom\"\nsender = \"zoom\"\nsecrets = [\"another\", \"{SECRET}\"]\n");
    let running = Running::start(&(known() + &zoom));
    let challenge = r#"{"token":"t","challenge":"3eZbrw1a","type":"url_verification"}"#;
    let mut slack = Signed::slack(challenge, now());
    let answer = slack.post(&running);
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-content-type-options")), (200, "3eZbrw1a", Some("nosniff")));
    slack.headers.pop();
    assert_eq!(slack.post(&running).status, 401);

    let validation = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"q9ibPhGeRZ6ayx5WTrXjRw"},"event_ts":1689061099652}"#;
    let signature = Signed::slack(validation, now());
    let renamed = |name| if name == "x-slack-signature" { "x-zm-signature" } else { "x-zm-request-timestamp" };
    let headers = signature.headers.iter().map(|(name, value)| (renamed(*name), value.clone())).collect();
    let answer = Signed { instance: "zoom", headers, body: validation.to_owned() }.post(&running);
    let wanted = serde_json::json!({ "plainToken": "q9ibPhGeRZ6ayx5WTrXjRw", "encryptedToken": hex(&hmac("q9ibPhGeRZ6ayx5WTrXjRw")) });
    assert_eq!((answer.status, answer.json()), (200, wanted), "with the secret that the request was signed with");
    assert!(running.incidents().is_empty());
}

#[test]
fn what_a_person_must_copy_is_in_the_admin_api() {
    let ens = "[[instance]]\nname = \"ens\"\nsender = \"salesforce-ens\"\npath_token = \"t0ken-of-the-address-4711\"\n";
    let running = Running::start(ens);
    assert!(running.about("ens")["pending"].is_null());
    let post = |body: &str| running.request("POST", &format!("/instance/execute/ens/{TOKEN}"), &[], body.as_bytes()).status;
    assert_eq!(post(r#"{"callbackId":"c-1","verificationKey":"k-1"}"#), 200);
    assert_eq!(post(r#"[{"eventCategoryType":"TransactionalSendEvents.EmailSent"}]"#), 401, "there is nothing yet to verify it with");
    let pending = running.about("ens")["pending"].clone();
    assert_eq!((&pending["handshake"], &pending["verificationKey"]), (&"salesforce-ens".into(), &"k-1".into()), "{pending}");
    running.replace_instances(&format!("{ens}secrets = \"{SECRET}\"\n"));
    assert_eq!(running.about("ens")["pending"], pending, "a reload forgets nothing");
    let body = r#"[{"eventCategoryType":"TransactionalSendEvents.EmailSent"}]"#;
    let signature = BASE64_STANDARD.encode(hmac(body));
    let signed =
        running.request("POST", &format!("/instance/execute/ens/{TOKEN}"), &[("x-sfmc-ens-signature", &signature)], body.as_bytes());
    assert_eq!(signed.status, 200, "{}", signed.text());
}

/// Where a signature is all that keeps strangers out, what is unsigned leaves nothing behind.
#[test]
fn strangers_do_not_wait_to_be_confirmed() {
    let ens = format!("[[instance]]\nname = \"ens\"\nsender = \"salesforce-ens\"\nsecrets = \"{SECRET}\"\n");
    let running = Running::start(&ens);
    let key = r#"{"callbackId":"c-1","verificationKey":"k-1"}"#;
    let post = |path: &str, headers: &[(&str, &str)]| running.request("POST", path, headers, key.as_bytes());
    assert_alike(&post("/instance/execute/ens", &[]), &post("/instance/execute/nobody", &[]));
    assert!(running.about("ens")["pending"].is_null());
    let signature = BASE64_STANDARD.encode(hmac(key));
    assert_eq!(post("/instance/execute/ens", &[("x-sfmc-ens-signature", &signature)]).status, 200);
    assert_eq!(running.about("ens")["pending"]["verificationKey"], "k-1");
    running.replace_instances(&format!("{ens}path_token = \"{TOKEN}\"\n"));
    assert_eq!(post(&format!("/instance/execute/ens/{TOKEN}"), &[]).status, 200, "whoever knows the address is no stranger");
}

//! Senders at the entrance: signatures and path tokens.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use crate::harness::{ALICE, Answer, BASIC, Running};
use crate::process::PROGRAM;

pub(crate) const SECRET: &str = "s3cret-of-the-sender";
pub(crate) const TOKEN: &str = "t0ken-of-the-address-4711";

/// GitHub, Slack, Standard Webhooks, and one behind a path token.
pub(crate) fn known() -> String {
    format!(
        "[[instance]]\nname = \"gh\"\nsender = \"github\"\nsecrets = [\"another\", \"{SECRET}\"]\n\
         [[instance]]\nname = \"slack\"\nsender = \"slack\"\nsecrets = \"{SECRET}\"\n\
         [[instance]]\nname = \"std\"\nsender = \"standard-webhooks\"\nsecrets = \"whsec_{}\"\n\
         [[instance]]\nname = \"path\"\npath_token = \"{TOKEN}\"\n{BASIC}",
        BASE64_STANDARD.encode(SECRET)
    )
}

pub(crate) fn hmac(text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// A request as its sender signs it.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) instance: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Signed {
    pub(crate) fn github(body: &str) -> Self {
        let headers = vec![
            ("x-github-event", "issues".to_owned()),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned()),
            ("x-hub-signature-256", format!("sha256={}", hex(&hmac(body)))),
        ];
        Self { instance: "gh", headers, body: body.to_owned() }
    }

    pub(crate) fn slack(body: &str, time: i64) -> Self {
        let signature = format!("v0={}", hex(&hmac(&format!("v0:{time}:{body}"))));
        let headers = vec![("x-slack-request-timestamp", time.to_string()), ("x-slack-signature", signature)];
        Self { instance: "slack", headers, body: body.to_owned() }
    }

    fn standard(body: &str, time: i64) -> Self {
        let signature = BASE64_STANDARD.encode(hmac(&format!("msg_1.{time}.{body}")));
        let list = format!("v1,{} v2,abc v1,{signature}", BASE64_STANDARD.encode("a".repeat(32)));
        let headers = vec![("webhook-id", "msg_1".to_owned()), ("webhook-timestamp", time.to_string()), ("webhook-signature", list)];
        Self { instance: "std", headers, body: body.to_owned() }
    }

    fn all() -> [Self; 3] {
        [
            Self::github(r#"{"action":"opened","repository":{"full_name":"o/r"}}"#),
            Self::slack(r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}"#, now()),
            Self::standard(r#"{"type":"user.created","data":{"id":"1"}}"#, now()),
        ]
    }

    pub(crate) fn post(&self, running: &Running) -> Answer {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        running.request("POST", &format!("/instance/execute/{}", self.instance), &headers, self.body.as_bytes())
    }
}

fn names(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().map(|(name, _)| name.as_str()).collect()
}

/// Status, names of headers and text: what a caller can tell two answers apart by.
#[track_caller]
pub(crate) fn assert_alike(one: &Answer, other: &Answer) {
    assert_eq!((one.status, names(one), &one.body), (other.status, names(other), &other.body));
    assert_eq!(one.header("www-authenticate"), other.header("www-authenticate"));
}

#[test]
fn what_its_sender_signed_gets_in_once() {
    let running = Running::start(&known());
    for request in Signed::all() {
        let first = request.post(&running);
        assert_eq!(first.status, 200, "{}: {}", request.instance, first.text());
        assert!(first.json()[0].get("warnings").is_none(), "{}", first.text());
        let again = request.post(&running);
        assert_eq!((again.ids(), &again.json()[0]["duplicate"]), (first.ids(), &true.into()), "{}", request.instance);
    }
    assert_eq!(running.incidents().len(), 3);
}

#[test]
fn what_was_changed_or_is_old_does_not_and_counts_as_a_failed_login() {
    let running = Running::start_with("failed_logins_per_minute = 3", &known());
    for request in Signed::all() {
        let mut changed = request.clone();
        changed.body.push(' ');
        let mut unsigned = request.clone();
        unsigned.headers.retain(|(name, _)| !name.contains("signature"));
        let old = match request.instance {
            "slack" => Signed::slack(&request.body, now() - 3600),
            "std" => Signed::standard(&request.body, now() - 3600),
            _ => changed.clone(),
        };
        for (what, wrong) in [("changed", changed), ("unsigned", unsigned), ("old", old)] {
            let answer = wrong.post(&running);
            assert_eq!((answer.status, answer.text().as_str()), (401, "Authorization failed.\n"), "{}: {what}", request.instance);
        }
        let mut changed = request.clone();
        changed.body.push(' ');
        assert_eq!(changed.post(&running).status, 429, "{}", request.instance);
        changed.headers.retain(|(name, _)| !name.contains("signature"));
        assert_eq!(changed.post(&running).status, 429, "{}", request.instance);
        assert_eq!(request.post(&running).status, 200, "{}: others at its address are not its fault", request.instance);
    }
    assert_eq!(running.incidents().len(), 3);
    assert_eq!(running.metric("hookgate_rejections_total{instance=\"slack\",reason=\"signature_stale\"}"), 1.0);
}

#[test]
fn a_large_signed_body_is_verified_too() {
    let running = Running::start(&known());
    let large = format!(r#"{{"action":"opened","text":"{}"}}"#, "x".repeat(200_000));
    let mut request = Signed::github(&large);
    assert_eq!(request.post(&running).status, 200);
    request.body = request.body.replace("opened", "closed");
    assert_eq!(request.post(&running).status, 401);
    assert_eq!(running.incidents().len(), 1);
}

#[test]
fn a_secret_in_the_body_is_not_kept() {
    let graph = format!("[[instance]]\nname = \"graph\"\nsender = \"microsoft-graph\"\nsecrets = \"{SECRET}\"\n");
    let running = Running::start(&graph);
    let body = format!(r#"{{"value":[{{"subscriptionId":"1","clientState":"{SECRET}","changeType":"updated","resource":"r"}}]}}"#);
    let post = |body: &str| running.request("POST", "/instance/execute/graph", &[], body.as_bytes()).status;
    assert_eq!(post(&body), 200);
    assert_eq!(post(&body.replace(SECRET, "another")), 401);
    assert_eq!(post(&body.replace("clientState", "client\\u0053tate").replace("updated", "deleted")), 200);
    let kept = running.incidents();
    assert_eq!((kept.len(), &kept[0]["rawJson"]["resource"]), (2, &"r".into()));
    assert!(kept.iter().all(|one| !one.to_string().contains(SECRET)), "{kept:?}");
}

#[test]
fn credentials_beside_a_signature_must_hold_as_well() {
    let both =
        format!("[[instance]]\nname = \"gh\"\nsender = \"github\"\nsecrets = \"{SECRET}\"\nusername = \"alice\"\npassword = \"secret\"\n");
    let running = Running::start(&both);
    let mut request = Signed::github("{}");
    assert_eq!(request.post(&running).status, 401);
    request.headers.push((ALICE.0, ALICE.1.to_owned()));
    assert_eq!(request.post(&running).status, 200);
    request.headers.retain(|(name, _)| *name != "x-hub-signature-256");
    assert_eq!(request.post(&running).status, 401);
    assert_eq!(running.request("GET", "/instance/execute/gh", &[ALICE], b"").status, 200, "a probe has credentials and no body");
}

#[test]
fn a_path_token_is_asked_for_like_a_password() {
    let running = Running::start(&known());
    let ask = |method, path: &str| running.request(method, path, &[], b"{}");
    for prefix in ["", "/xsoar"] {
        assert_eq!(ask("POST", &format!("{prefix}/instance/execute/path/{TOKEN}")).status, 200);
        assert_eq!(ask("GET", &format!("{prefix}/instance/execute/path/{TOKEN}")).status, 200);
        for wrong in ["", &format!("/{}", &TOKEN[1..]), &format!("/{TOKEN}x"), "/x", &format!("?token={TOKEN}")] {
            let answer = ask("POST", &format!("{prefix}/instance/execute/path{wrong}"));
            assert_alike(&answer, &ask("POST", &format!("/instance/execute/nobody{wrong}")));
            assert_eq!((answer.status, answer.text().as_str()), (401, "Authorization failed.\n"), "{wrong}");
        }
    }
    // Where none is asked for, none may be there, right credentials or not.
    let with_token = running.request("POST", &format!("/instance/execute/in/{TOKEN}"), &[ALICE], b"{}");
    assert_alike(&with_token, &running.request("POST", &format!("/instance/execute/nobody/{TOKEN}"), &[ALICE], b"{}"));
    assert_eq!(ask("POST", &format!("/instance/execute/path/{TOKEN}/more")).status, 404);
    assert_eq!(running.incidents().len(), 2);
}

#[test]
fn further_methods_bring_events_only_where_the_sender_has_them() {
    let zendesk = format!("[[instance]]\nname = \"zd\"\nsender = \"zendesk\"\nsecrets = \"{SECRET}\"\n");
    let running = Running::start(&(known() + &zendesk));
    let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let body = r#"{"id":"1"}"#;
    let signature = BASE64_STANDARD.encode(hmac(&format!("{time}{body}")));
    let headers = [("x-zendesk-webhook-signature-timestamp", time.as_str()), ("x-zendesk-webhook-signature", &signature)];
    assert_eq!(running.request("PUT", "/instance/execute/zd", &headers, body.as_bytes()).status, 200);
    assert_eq!(running.request("PUT", "/instance/execute/zd", &[], body.as_bytes()).status, 401);
    // Nobody learns by a method which instances there are.
    let nobody = running.request("PUT", "/instance/execute/nobody", &[], b"");
    assert_alike(&running.request("PUT", "/instance/execute/gh", &[], b""), &nobody);
    assert_alike(&running.request("PUT", "/instance/execute/in", &[], b""), &nobody);
    let known = running.request("PUT", "/instance/execute/in", &[ALICE], b"{}");
    assert_eq!((known.status, known.header("allow")), (405, Some("GET, HEAD, POST")));
    assert_eq!(running.request("TRACE", "/instance/execute/zd", &[], b"").status, 405);
}

#[test]
fn two_entrances_may_share_their_memory_of_events() {
    let two = format!(
        "{BASIC}duplication_key = \"id\"\n[[instance]]\nname = \"other\"\nusername = \"alice\"\npassword = \"secret\"\n\
         duplication_key = \"id\"\nduplication_window = \"1h\"\nshares_duplicates_with = \"in\"\n"
    );
    let running = Running::start(&two);
    let post = |name: &str, body: &str| running.request("POST", &format!("/instance/execute/{name}"), &[ALICE], body.as_bytes());
    let first = post("other", r#"{"id":1}"#);
    let again = post("in", r#"{"id":1}"#);
    assert_eq!((again.ids(), &again.json()[0]["duplicate"]), (first.ids(), &true.into()));
    assert!(post("in", r#"{"id":2}"#).json()[0].get("duplicate").is_none());
    assert_eq!(post("other", r#"{"id":2}"#).json()[0]["duplicate"], true);
    assert_eq!(running.incidents().len(), 2);
    let store = rusqlite::Connection::open(running.folder().join("hookgate.db")).unwrap();
    let window = |by| store.query_row(&format!("SELECT {by}(expires - created) FROM duplicate"), (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((window("min"), window("max")), (7 * 86_400_000, 7 * 86_400_000), "one memory has one window");
}

pub(crate) fn hookgate(folder: &std::path::Path, args: &[&str]) -> std::process::Output {
    assert_cmd::Command::new(PROGRAM).current_dir(folder).args(args).write_stdin("{\"sent\":\"by hookgate\"}").output().unwrap()
}

#[test]
fn send_signs_and_knows_the_token() {
    let running = Running::start(&known());
    let address = running.address.to_string();
    running.rewrite(|text| text.replacen("127.0.0.1:0", &address, 1)).unwrap();
    for name in ["gh", "slack", "std", "path"] {
        let sent = hookgate(running.folder(), &["send", name]);
        assert_eq!(sent.status.code(), Some(0), "{name}: {sent:?}");
    }
    assert_eq!(running.incidents().len(), 4);
    drop(running);
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hookgate.toml"), format!("[server]\nlisten = \"{address}\"\n{}", known())).unwrap();
    let told = hookgate(folder.path(), &["send", "path"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&told.stderr).contains(TOKEN), "{told:?}");
}

//! What strangers learn of an instance that a signature or a path token keeps, and how much of what they send is read.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use crate::harness::{ALICE, Running, connect};
use crate::process::{PROGRAM, Process};
use crate::senders::{SECRET, Signed, TOKEN, assert_alike, hmac, known, now};

#[test]
fn strangers_cannot_tell_a_signed_instance_from_none() {
    let running = Running::start(&known());
    for (method, headers) in [("GET", &[][..]), ("HEAD", &[]), ("GET", &[ALICE]), ("POST", &[]), ("POST", &[ALICE])] {
        let known = running.request(method, "/instance/execute/gh", headers, b"{}");
        let unknown = running.request(method, "/instance/execute/nobody", headers, b"{}");
        assert_eq!(known.status, 401, "{method}");
        assert_alike(&known, &unknown);
    }
    for method in ["PUT", "OPTIONS", "DELETE"] {
        assert_alike(&running.request(method, "/instance/execute/gh", &[], b""), &running.request(method, "/instance/execute/x", &[], b""));
    }
}

/// Of 9 MB that somebody announces, not a byte is asked for where the head alone says that he is nobody.
#[test]
fn what_cannot_be_signed_is_refused_before_its_body_is_read() {
    let running = Running::start(&(known() + &told_by_the_head()));
    for (name, header, reason) in [
        ("gh", "x-nothing: 1", "there is no x-hub-signature-256 header"),
        ("ens", "x-nothing: 1", "there is no x-sfmc-ens-signature header"),
        ("lab", "x-nothing: 1", "there is no x-gitlab-token header"),
        ("lab", "x-gitlab-token: another", "wrong signature: the value is not the secret"),
        ("jwt", "authorization: Bearer a.b.c", "the authorization header holds no JSON Web Token"),
        ("jwt", &format!("authorization: Bearer {}", token("another")), "wrong signature: the secret is another one"),
    ] {
        assert_eq!(asked(&running, name, header), 401, "{name}, {header}");
        let rejections = running.admin(&format!("/api/v1/instances/{name}/rejections")).json();
        let told = rejections["rejections"][0]["reason"].as_str().unwrap();
        assert!(told.starts_with(reason), "{name}, {header}: {told}");
        assert_eq!(asked(&running, "nobody", header), 401, "{header}");
    }
    for (name, header) in
        [("lab", format!("x-gitlab-token: {SECRET}")), ("jwt", format!("authorization: Bearer {}", token(SECRET))), ("ens", ens("{}"))]
    {
        assert_eq!(asked(&running, name, &header), 100, "{name}: the body may be his");
    }
}

/// What is right in the head is not looked at again, and counts.
#[test]
fn what_the_head_proves_gets_in() {
    let running = Running::start(&told_by_the_head());
    let post = |name: &str, header: (&str, &str)| running.request("POST", &format!("/instance/execute/{name}"), &[header], b"{}").status;
    assert_eq!(post("lab", ("x-gitlab-token", SECRET)), 200);
    assert_eq!(post("jwt", ("authorization", &format!("Bearer {}", token(SECRET)))), 200);
    assert_eq!(post("jwt", ("authorization", &format!("Bearer {}", token("another")))), 401);
    assert_eq!(running.incidents().len(), 2);
}

/// Instances whose senders prove themselves by a header alone, and one that also waits for what nobody signs where it is guarded.
fn told_by_the_head() -> String {
    format!(
        "[[instance]]\nname = \"ens\"\nsender = \"salesforce-ens\"\nsecrets = \"{SECRET}\"\n\
         [[instance]]\nname = \"lab\"\nsender = \"gitlab\"\nsecrets = \"{SECRET}\"\n\
         [[instance]]\nname = \"jwt\"\nsecrets = \"{SECRET}\"\n\
         [instance.signature]\nscheme = \"jwt\"\nheader = \"Authorization\"\n"
    )
}

/// A token that is good for a minute.
fn token(secret: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&format!(r#"{{"exp":{}}}"#, now() + 60)));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&signed).finalize().into_bytes();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
}

fn ens(body: &str) -> String {
    format!("x-sfmc-ens-signature: {}", BASE64_STANDARD.encode(hmac(body)))
}

/// The status that somebody gets who has a large body and waits to be asked for it.
fn asked(running: &Running, name: &str, header: &str) -> u16 {
    let mut stream = connect(running.address);
    let head =
        format!("POST /instance/execute/{name} HTTP/1.1\r\nhost: a\r\n{header}\r\nexpect: 100-continue\r\ncontent-length: 9000000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

#[test]
fn nothing_secret_is_shown_to_anybody() {
    let folder = TempDir::new().unwrap();
    let equal = format!("[[instance]]\nname = \"lab\"\nsender = \"gitlab\"\nsecrets = \"{SECRET}\"\n");
    let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{equal}", known());
    std::fs::write(folder.path().join("hookgate.toml"), text).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(PROGRAM);
    let process = Process::start(command.args(["serve"]).current_dir(folder.path()).stderr(Stdio::from(log)));
    let ask = |path: &str, headers: &[(&str, &str)]| crate::harness::request(process.address, "POST", path, headers, b"{}").status;
    assert_eq!(ask(&format!("/instance/execute/path/{TOKEN}"), &[]), 200);
    assert_eq!(ask(&format!("/instance/execute/path/{TOKEN}x"), &[]), 401);
    assert_eq!(ask(&format!("/instance/execute/in/{TOKEN}"), &[ALICE]), 401);
    assert_eq!(ask(&format!("/instance/execute/path/{TOKEN}/x"), &[]), 404);
    assert_eq!(ask("/instance/execute/lab", &[("x-gitlab-token", SECRET)]), 200);
    assert_eq!(ask("/instance/execute/lab", &[("x-gitlab-token", &format!("{SECRET}x"))]), 401);
    assert_eq!(ask("/instance/execute/gh", &[("x-hub-signature-256", SECRET)]), 401);
    drop(process);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("wrong path token") && log.contains("request refused"), "{log}");
    for secret in [SECRET, TOKEN] {
        assert!(!log.contains(secret), "{log}");
    }
    let exported = Command::new(PROGRAM).args(["incidents", "export"]).current_dir(folder.path()).output().unwrap();
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert!(exported.contains("\"lab\"") && !exported.contains(SECRET) && !exported.contains(TOKEN), "{exported}");
}

#[test]
fn rejections_tell_the_true_reason_and_no_secret() {
    let running = Running::start(&known());
    let mut request = Signed::github("{}");
    request.body = "{ }".to_owned();
    request.post(&running);
    running.request("POST", &format!("/instance/execute/path/{TOKEN}x"), &[], b"{}");
    running.request("POST", "/instance/execute/path", &[], b"{}");
    running.request("GET", "/instance/execute/gh", &[], b"");
    let of = |instance: &str| running.admin(&format!("/api/v1/instances/{instance}/rejections")).json()["rejections"].clone();
    let (signed, path) = (of("gh"), of("path"));
    assert!(signed[1]["reason"].as_str().unwrap().starts_with("wrong signature: "), "{signed}");
    assert!(signed[0]["reason"].as_str().unwrap().starts_with("only a signed body tells who sends here"), "{signed}");
    assert!(path[1]["reason"].as_str().unwrap().starts_with("wrong path token: "), "{path}");
    assert!(path[0]["reason"].as_str().unwrap().contains("must go on with a slash and the path_token"), "{path}");
    assert_eq!(path[1]["path"], "/instance/execute/path/…");
    for text in [signed.to_string(), path.to_string(), running.about("path").to_string(), running.about("gh").to_string()] {
        assert!(!text.contains(TOKEN) && !text.contains(SECRET), "{text}");
    }
    assert_eq!(running.about("path")["pathToken"], true);
    assert_eq!((&running.about("gh")["sender"], &running.about("gh")["signature"]), (&"github".into(), &true.into()));
}

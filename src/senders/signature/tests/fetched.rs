//! Keys that come from their owner, over real TLS from a server on the loopback interface.

use super::*;
use crate::senders::fetch::is_sns_host;
use crate::senders::fetch::tests::{Vendor, ok};
use crate::senders::signature::jwt::Jwt;
use crate::senders::signature::sns::Sns;

const HOST: &str = "sns.eu-test-1.amazonaws.com";
const NOTIFICATION: &str = include_str!("data/notification_v2.json");

fn certificates(path: &str) -> Option<Vec<u8>> {
    match path {
        "/SimpleNotificationService-0123.pem" => ok(include_bytes!("data/certificate.pem")),
        "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem" => ok(include_bytes!("data/certificate.pem")),
        "/key.pem" => ok(include_bytes!("data/key.pem")),
        "/broken.pem" => Some(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => Some(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
    }
}

async fn sns() -> (Vendor, Signatures) {
    let vendor = Vendor::start(HOST, certificates).await;
    let check = Check::Sns(Sns::fetching(vendor.fetcher(is_sns_host)));
    let spec = SignatureSpec { scheme: Scheme::Sns, ..SignatureSpec::default() };
    (vendor, Signatures { alternatives: vec![Alternative { spec, check, twin: None }], url: None })
}

fn with_address(address: &str) -> Sent {
    let own = format!("https://{HOST}/SimpleNotificationService-0123.pem");
    Sent::new(NOTIFICATION.replace(&own, address).as_bytes())
}

async fn verify(sent: &Sent, signatures: &Signatures) -> Result<usize, SignatureRefusal> {
    signatures.verify(&sent.signed(), NOW).await
}

#[tokio::test]
async fn a_certificate_is_fetched_once() {
    let (vendor, signatures) = sns().await;
    let sent = Sent::new(NOTIFICATION.as_bytes());
    let refusal = sent.verify(&signatures).unwrap_err();
    assert_eq!(refusal, SignatureRefusal::Key(KeyFault::NotFetched));
    assert!(refusal.is_temporary());
    let together = tokio::join!(verify(&sent, &signatures), verify(&sent, &signatures), verify(&sent, &signatures));
    assert_eq!(together, (Ok(0), Ok(0), Ok(0)));
    assert_eq!(sent.verify(&signatures), Ok(0));
    let changed = Sent::new(NOTIFICATION.replace("line one", "line 1").as_bytes());
    assert_eq!(verify(&changed, &signatures).await, Err(SignatureRefusal::Wrong(Cause::OtherKey)));
    assert_eq!(vendor.requests(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_asked_for_once() {
    let (vendor, signatures) = sns().await;
    for (name, want) in [
        ("gone", KeyFault::Absent),
        ("key", KeyFault::Unusable),
        ("broken", KeyFault::Unreachable("its owner does not answer as it should")),
    ] {
        let sent = with_address(&format!("https://{HOST}/{name}.pem"));
        for _ in 0..3 {
            assert_eq!(verify(&sent, &signatures).await, Err(SignatureRefusal::Key(want)), "{name}");
        }
    }
    assert_eq!(vendor.requests(), 3);
}

#[tokio::test]
async fn made_up_addresses_do_not_make_us_ask_without_end() {
    let (vendor, signatures) = sns().await;
    let mut faults = Vec::new();
    for number in 0..20 {
        faults.push(verify(&with_address(&format!("https://{HOST}/{number}.pem")), &signatures).await.unwrap_err());
    }
    assert!(vendor.requests() < 10, "{}", vendor.requests());
    assert_eq!(faults.last(), Some(&SignatureRefusal::Key(KeyFault::Busy)));
    let likely = with_address(&format!("https://{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"));
    assert_eq!(verify(&likely, &signatures).await, Ok(0), "what looks as Amazon's do has tries of its own");
}

#[tokio::test]
async fn who_named_too_many_does_not_make_us_ask_again() {
    let (vendor, signatures) = sns().await;
    let sent = Sent::new(NOTIFICATION.as_bytes());
    let busy = Err(SignatureRefusal::Key(KeyFault::Busy));
    assert_eq!(signatures.verify_for(&sent.signed(), NOW, &|| false).await, busy);
    assert_eq!(vendor.requests(), 0);
    assert_eq!(verify(&sent, &signatures).await, Ok(0));
    assert_eq!(signatures.verify_for(&sent.signed(), NOW, &|| false).await, Ok(0));
}

#[tokio::test]
async fn only_amazon_is_asked_for_amazons_certificates() {
    let (vendor, signatures) = sns().await;
    for address in [
        "http://sns.eu-test-1.amazonaws.com/a.pem",
        "https://sns.eu-test-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-test-1.amazonaws.com@evil.example/a.pem",
        "https://evil.example/sns.eu-test-1.amazonaws.com/a.pem",
        "https://sns.eu-test-1.amazonaws.com.evil.example/a.pem",
        "https://sns.evil.example.amazonaws.com/a.pem",
        "https://SNS.eu-test-1.amazonaws.com/a.pem",
        "https://sns.eu-test-1.amazonaws.com/a.pem?x=y",
        "https://sns.eu-test-1.amazonaws.com/?Action=x",
        "https://sns.eu-test-1.amazonaws.com/%2e%2e/a.pem",
        "https://sns.eu.amazonaws.com/a.pem",
        "https://s3.amazonaws.com/a.pem",
        "https://sns.s3-us-west-2.amazonaws.com/a.pem",
        "file:///etc/a.pem",
        "",
    ] {
        let refusal = verify(&with_address(address), &signatures).await.unwrap_err();
        assert_eq!(refusal, SignatureRefusal::Key(KeyFault::ForeignAddress), "{address}");
        assert!(!refusal.is_temporary());
    }
    assert_eq!(vendor.requests(), 0);
    assert!(is_sns_host("sns.cn-north-1.amazonaws.com.cn") && is_sns_host("sns.us-gov-west-1.amazonaws.com"));
}

#[tokio::test]
async fn googles_keys_are_fetched_once_and_a_made_up_name_does_not_fetch_them_again() {
    let vendor = Vendor::start("www.googleapis.com", |path| match path {
        "/oauth2/v3/certs" => ok(include_bytes!("data/jwks.json")),
        other => panic!("{other}"),
    })
    .await;
    let fetcher = vendor.fetcher(|host| host == "www.googleapis.com");
    let check = Check::Jwt(Jwt::fetching(fetcher, &["push@project.iam.gserviceaccount.com"], "https://hooks.example.com/push"));
    let spec = SignatureSpec { scheme: Scheme::Jwt, place: Place::Header(http::header::AUTHORIZATION), ..SignatureSpec::default() };
    let signatures = Signatures { alternatives: vec![Alternative { spec, check, twin: None }], url: None };
    let tokens: serde_json::Value = serde_json::from_str(include_str!("data/tokens.json")).unwrap();
    let sent = |name: &str| Sent::new(b"{}").header("authorization", &format!("Bearer {}", tokens[name].as_str().unwrap()));

    assert_eq!(sent("good").verify(&signatures), Err(SignatureRefusal::Key(KeyFault::NotFetched)));
    assert_eq!(verify(&sent("good"), &signatures).await, Ok(0));
    assert_eq!(verify(&sent("unknown_kid"), &signatures).await, Err(SignatureRefusal::Key(KeyFault::Absent)));
    assert_eq!(verify(&sent("none"), &signatures).await, Err(SignatureRefusal::Wrong(Cause::TokenAlgorithm("RS256"))));
    assert_eq!(sent("good").verify(&signatures), Ok(0));
    assert_eq!(vendor.requests(), 1);
}

/// Requests are handled on several threads' runtimes.
#[test]
fn waiting_for_a_key_may_happen_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let signatures = signatures([spec(|_| {})], &[SECRET]);
    let sent = Sent::new(BODY);
    is_send(&signatures.verify(&sent.signed(), NOW));
}

//! Every handshake as the sender has it, and what comes close.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, Method};
use proptest::prelude::*;

use super::{Handshake, HandshakeRefusal, Handshakes, Head, Reply, hmac_sha256};
use crate::secret::Secret;

type Answer = Option<Result<Reply, HandshakeRefusal>>;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn only(kind: Handshake) -> Handshakes {
    Handshakes::new(vec![kind], vec![secret("current"), secret("former")], Some(secret("agreed on")))
}

/// All but `kind`.
fn others(kind: Handshake) -> Handshakes {
    let kinds = Handshake::WORDS.iter().map(|(_, other)| *other).filter(|other| *other != kind);
    Handshakes::new(kinds.collect(), vec![secret("current")], Some(secret("agreed on")))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn of_head(handshakes: &Handshakes, method: &Method, query: Option<&str>, pairs: &[(&'static str, &str)]) -> Answer {
    handshakes.of_head(&Head { method, query, headers: &headers(pairs) })
}

fn of_body(handshakes: &Handshakes, pairs: &[(&'static str, &str)], body: &str, secret: usize) -> Answer {
    handshakes.of_body(&Head { method: &Method::POST, query: None, headers: &headers(pairs) }, body.as_bytes(), secret)
}

#[track_caller]
fn said(answer: Answer) -> (bool, String) {
    let reply = answer.expect("a handshake").expect("an answer");
    (reply.is_json, reply.body)
}

#[test]
fn challenges_in_the_query_are_echoed_decoded() {
    let graph = Some("a=1&validationToken=Validation%3A+abc%2F%22");
    assert_eq!(said(of_head(&only(Handshake::MicrosoftGraph), &Method::POST, graph, &[])), (false, "Validation: abc/\"".into()));
    assert_eq!(said(of_head(&only(Handshake::Dropbox), &Method::GET, Some("challenge=x%2By"), &[])), (false, "x+y".into()));
    for (kind, method, query) in [
        (Handshake::MicrosoftGraph, Method::GET, graph),
        (Handshake::MicrosoftGraph, Method::POST, Some("validationtoken=x")),
        (Handshake::MicrosoftGraph, Method::POST, None),
        (Handshake::Dropbox, Method::POST, Some("challenge=x")),
        (Handshake::Dropbox, Method::HEAD, Some("challenge=x")),
    ] {
        assert_eq!(of_head(&only(kind), &method, query, &[]), None, "{kind:?} {method} {query:?}");
    }
}

#[test]
fn meta_must_show_the_token_that_was_agreed_on() {
    let ask = |handshakes: &Handshakes, token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1234&hub.verify_token={token}");
        of_head(handshakes, &Method::GET, Some(&query), &[])
    };
    let meta = only(Handshake::Meta);
    assert_eq!(said(ask(&meta, "agreed+on")), (false, "1234".into()));
    for token in ["", "agreed", "agreed+on+", "Agreed+on"] {
        assert_eq!(ask(&meta, token), Some(Err(HandshakeRefusal::WrongToken)), "{token:?}");
    }
    let nothing_agreed = Handshakes::new(vec![Handshake::Meta], Vec::new(), None);
    assert_eq!(ask(&nothing_agreed, ""), Some(Err(HandshakeRefusal::NoToken)));
    for query in
        ["hub.mode=subscribe&hub.challenge=1", "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=agreed+on", "hub.challenge=1"]
    {
        assert_eq!(of_head(&meta, &Method::GET, Some(query), &[]), None, "{query}");
    }
}

#[test]
fn okta_hears_its_header() {
    let okta = only(Handshake::Okta);
    let answer = said(of_head(&okta, &Method::GET, None, &[("x-okta-verification-challenge", "a\"b")]));
    assert_eq!(answer, (true, r#"{"verification":"a\"b"}"#.into()));
    assert_eq!(of_head(&okta, &Method::GET, None, &[]), None);
}

#[test]
fn cloud_events_are_allowed_at_the_rate_that_was_asked_for() {
    let events = only(Handshake::CloudEvents);
    let ask = |pairs: &[(&'static str, &str)]| of_head(&events, &Method::OPTIONS, None, pairs);
    let allowed = |pairs: &[(&'static str, &str)]| {
        let reply = ask(pairs).unwrap().unwrap();
        reply.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let origin = ("webhook-request-origin", "events.example");
    assert_eq!(allowed(&[origin]), ["allow: POST", "webhook-allowed-origin: events.example"]);
    for (asked, wanted) in [("120", "120"), ("many", "*"), ("-1", "*")] {
        let rate = ("webhook-request-rate", asked);
        assert_eq!(allowed(&[origin, rate])[2], format!("webhook-allowed-rate: {wanted}"));
    }
    assert_eq!(ask(&[]), None);
}

#[test]
fn x_gets_a_signature_of_what_looks_like_its_challenge_and_of_nothing_else() {
    let x = only(Handshake::X);
    let ask = |query: &str| of_head(&x, &Method::GET, Some(query), &[]);
    let (is_json, body) = said(ask("crc_token=Zm9vYmFy-_%3D"));
    let wanted = format!(r#"{{"response_token":"sha256={}"}}"#, BASE64_STANDARD.encode(hmac_sha256(&secret("current"), "Zm9vYmFy-_=")));
    assert_eq!((is_json, body), (true, wanted));
    for event in ["{}", "%7B%22a%22%3A1%7D", "%5B%5D", "payload%3D%7B%7D", "a+b", "a%26b"] {
        assert_eq!(ask(&format!("crc_token={event}")), Some(Err(HandshakeRefusal::Unfit)), "{event}");
    }
    assert_eq!(ask(&format!("crc_token={}", "a".repeat(257))), Some(Err(HandshakeRefusal::Unfit)));
}

proptest! {
    /// Whatever X's handshake signs for anybody is never taken for an event.
    #[test]
    fn nothing_that_was_signed_as_a_challenge_is_an_event(text in "[a-zA-Z0-9_+/=.{}\"&\\[\\]-]{1,12}") {
        let x = only(Handshake::X);
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("crc_token", &text).finish();
        let is_signed = matches!(of_head(&x, &Method::GET, Some(&query), &[]), Some(Ok(_)));
        prop_assert_eq!(is_signed, x.is_made_up(text.as_bytes()));
        prop_assert!(!others(Handshake::X).is_made_up(text.as_bytes()));
    }

    #[test]
    fn whatever_is_echoed_is_bounded_and_visible(text in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("challenge", &text).finish();
        match of_head(&only(Handshake::Dropbox), &Method::GET, Some(&query), &[]) {
            Some(Ok(reply)) => {
                prop_assert!(!text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
                prop_assert_eq!(reply.body, text);
            }
            other => prop_assert_eq!(other, Some(Err(HandshakeRefusal::Unfit))),
        }
    }

    #[test]
    fn no_body_panics(body: Vec<u8>) {
        let all = Handshakes::new(Handshake::WORDS.iter().map(|(_, kind)| *kind).collect(), Vec::new(), None);
        let headers = headers(&[("aeg-event-type", "SubscriptionValidation")]);
        let _ = all.of_body(&Head { method: &Method::POST, query: None, headers: &headers }, &body, 0);
    }
}

#[test]
fn echoes_are_bounded() {
    let dropbox = only(Handshake::Dropbox);
    let ask = |length: usize| of_head(&dropbox, &Method::GET, Some(&format!("challenge={}", "a".repeat(length))), &[]).unwrap();
    assert!(ask(4096).is_ok());
    assert_eq!(ask(4097), Err(HandshakeRefusal::Unfit));
}

const SLACK: &str = r#"{"token":"t","challenge":"c","type":"url_verification"}"#;
const ZOOM: &str = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"p"},"event_ts":1}"#;
const GRID: &str = r#"[{"id":"1","data":{"validationCode":"v","validationUrl":"https://a/"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]"#;
const SNS: &str = r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:1:t","SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?a=b"}"#;
const ENS: &str = r#"{"callbackId":"c","verificationKey":"k"}"#;

#[test]
fn challenges_in_a_body_are_answered() {
    assert_eq!(said(of_body(&only(Handshake::Slack), &[], SLACK, 0)), (false, "c".into()));
    let grid = [("aeg-event-type", "SubscriptionValidation")];
    assert_eq!(said(of_body(&only(Handshake::EventGrid), &grid, GRID, 0)), (true, r#"{"validationResponse":"v"}"#.into()));
    for (number, name) in ["current", "former"].into_iter().enumerate() {
        let encrypted: String = hmac_sha256(&secret(name), "p").iter().map(|byte| format!("{byte:02x}")).collect();
        let wanted = serde_json::json!({ "plainToken": "p", "encryptedToken": encrypted }).to_string();
        assert_eq!(said(of_body(&only(Handshake::Zoom), &[], ZOOM, number)), (true, wanted), "with the secret it was signed with");
    }
}

#[test]
fn what_a_person_must_copy_is_kept() {
    let reply = of_body(&only(Handshake::Sns), &[], SNS, 0).unwrap().unwrap();
    assert_eq!(reply.body, "");
    let pending = reply.pending.unwrap();
    assert_eq!(pending.subscribe_url.as_deref(), Some("https://sns.eu-west-1.amazonaws.com/?a=b"));
    assert_eq!(pending.to_string(), "topicArn=arn:aws:sns:eu-west-1:1:t, subscribeUrl=https://sns.eu-west-1.amazonaws.com/?a=b");
    let ens = only(Handshake::SalesforceEns);
    let of_unsigned = ens.of_unsigned_body(ENS.as_bytes()).unwrap().unwrap().pending.unwrap();
    assert_eq!(of_unsigned.verification_key.as_deref(), Some("k"));
    assert_eq!(of_body(&ens, &[], ENS, 0).unwrap().unwrap().pending.unwrap().callback_id.as_deref(), Some("c"));
    let unfit = ENS.replace("\"k\"", "\"k\\n\"");
    assert_eq!(ens.of_unsigned_body(unfit.as_bytes()), Some(Err(HandshakeRefusal::Unfit)));
}

#[test]
fn events_that_look_like_handshakes_are_events() {
    for (kind, body) in [
        (Handshake::Slack, r#"{"type":"event_callback","challenge":"c","text":"url_verification"}"#),
        (Handshake::Slack, r#"{"type":"url_verification"}"#),
        (Handshake::Zoom, r#"{"event":"meeting.started","payload":{"plainToken":"p"},"x":"endpoint.url_validation"}"#),
        (Handshake::Sns, r#"{"Type":"Notification","TopicArn":"a","SubscribeURL":"b","x":"SubscriptionConfirmation"}"#),
        (Handshake::SalesforceEns, r#"{"callbackId":"c","verificationKey":"k","more":1}"#),
        (Handshake::SalesforceEns, r#"[{"callbackId":"c","verificationKey":"k"}]"#),
        (Handshake::EventGrid, GRID),
    ] {
        assert_eq!(of_body(&only(kind), &[], body, 0), None, "{body}");
    }
    let grid = [("aeg-event-type", "SubscriptionValidation")];
    let two = format!("[{0},{0}]", &GRID[1..GRID.len() - 1]);
    assert_eq!(of_body(&only(Handshake::EventGrid), &grid, &two, 0), None);
    assert_eq!(of_body(&only(Handshake::EventGrid), &[("aeg-event-type", "Notification")], GRID, 0), None);
}

#[test]
fn no_other_handshake_answers() {
    let grid = [("aeg-event-type", "SubscriptionValidation")];
    for (kind, pairs, body) in [
        (Handshake::Slack, &[][..], SLACK),
        (Handshake::Zoom, &[], ZOOM),
        (Handshake::EventGrid, &grid, GRID),
        (Handshake::Sns, &[], SNS),
        (Handshake::SalesforceEns, &[], ENS),
    ] {
        assert_eq!(of_body(&others(kind), pairs, body, 0), None, "{kind:?}");
    }
    assert_eq!(others(Handshake::SalesforceEns).of_unsigned_body(ENS.as_bytes()), None);
    for (kind, query) in [(Handshake::Dropbox, "challenge=a"), (Handshake::X, "crc_token=a")] {
        assert_eq!(of_head(&others(kind), &Method::GET, Some(query), &[]), None, "{kind:?}");
    }
}

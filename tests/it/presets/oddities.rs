//! Events that are not as their vendor describes them, and senders that post to two addresses.

use super::case::{Again, Case, PASSWORD, Proof, Signature, USER};
use super::{cases, expect, for_each, gateway};

/// Headers that number a delivery, and are not signed along.
const NUMBERS: [&str; 9] = [
    "x-github-delivery",
    "idempotency-key",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "x-atlassian-webhook-identifier",
    "x-shopify-webhook-id",
    "linear-delivery",
    "x-zendesk-webhook-invocation-id",
    "i-twilio-idempotency-token",
];

/// Where the proof is in the body, the body cannot be anything.
fn has_free_body(case: &Case) -> bool {
    match &case.proof {
        Proof::Signature(Signature { header, .. }) => header.is_some() && !matches!(case.sender, "linear" | "twilio"),
        Proof::Equal => case.sender != "microsoft-graph",
        _ => true,
    }
}

#[test]
fn events_of_another_shape_are_stored_and_not_taken_for_each_other() {
    let cases: Vec<_> = cases::all().into_iter().filter(has_free_body).collect();
    assert!(cases.len() > 40, "{}", cases.len());
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let odd = |number: &str, body: String| {
            let mut case = case.clone();
            case.body = Some(body);
            let mut request = case.unnumbered(&NUMBERS, number);
            request.set("content-type", "application/json");
            request
        };
        let mut ids = Vec::new();
        for number in ["1", "2"] {
            let answer = odd(number, format!(r#"{{"something":"else","number":{number}}}"#)).post(&gateway);
            expect(&answer, 200, "an object of other members")?;
            let warnings = answer.json()[0]["warnings"].as_array().cloned().unwrap_or_default();
            if warnings.iter().any(|warning| !warning.as_str().unwrap().contains("items are not in the body")) {
                return Err(answer.text());
            }
            ids.extend(answer.ids());
        }
        if ids[0] == ids[1] { Err("two events are one".into()) } else { Ok(()) }
    });
}

#[test]
fn what_arrives_at_responsys_backup_url_too_is_stored_once() {
    let first = cases::all().into_iter().find(|case| case.instance == "responsys").unwrap();
    let backup = first.clone().called("responsys-backup", |_| {}).with_keys("shares_duplicates_with = \"responsys\"");
    assert_eq!(first.again, Again::Duplicate);
    let gateway = gateway(&[first.clone(), backup.clone()]);
    let (one, other) = (first.request().post(&gateway), backup.request().post(&gateway));
    assert_eq!(one.ids(), other.ids());
    assert_eq!(gateway.incidents().len(), first.incidents.len());
}

#[test]
fn responsys_may_look_whether_anybody_is_there() {
    let case = cases::all().into_iter().find(|case| case.instance == "responsys").unwrap();
    let gateway = gateway(std::slice::from_ref(&case));
    let request = case.request();
    let credentials = ("authorization", request.header("authorization"));
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(gateway.request(method, &request.path, &[credentials], b"").status, 200, "{method} of {USER}:{PASSWORD}");
        assert_eq!(gateway.request(method, &request.path, &[], b"").status, 401, "{method}");
    }
    assert!(gateway.incidents().is_empty());
}

/// What one version of a signature covers is not what another version takes for a body.
#[test]
fn the_text_of_one_signature_is_no_body_of_another() {
    let cases = cases::all();
    let of = |instance: &str| cases.iter().find(|case| case.instance == instance).unwrap().clone();
    let (hubspot, grafana) = (of("hubspot-v2"), of("grafana"));
    let gateway = gateway(&[hubspot.clone(), grafana.clone()]);
    let mut requests = Vec::new();
    for case in [&hubspot, &grafana] {
        let mut request = case.request();
        let Proof::Signature(signature) = &case.proof else { unreachable!() };
        let signed = (signature.signed)(&request, "");
        request.remove("x-grafana-alerting-timestamp");
        request.body = signed;
        for content_type in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/json"] {
            request.set("content-type", content_type);
            requests.push(request.clone());
        }
    }
    for request in requests {
        let status = request.post(&gateway).status;
        assert!(matches!(status, 400 | 401), "{status}: {request:?}");
    }
    assert!(gateway.incidents().is_empty());
    for case in [&hubspot, &grafana] {
        expect(&case.request().post(&gateway), 200, case.instance).unwrap();
    }
}

/// Whoever records a request and adds headers that nothing covers changes neither its number nor its time.
#[test]
fn only_signed_headers_number_and_date_what_is_signed() {
    let cases = cases::all();
    let cases: Vec<_> =
        cases.into_iter().filter(|case| matches!(case.instance, "svix" | "svix-white-label" | "gitlab-signing-token")).collect();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let mut case = case.clone();
        case.body = Some(r#"{"type":"a"}"#.to_owned());
        let request = case.request();
        let mut again = request.clone();
        for (name, value) in
            [("svix-id", "x"), ("svix-timestamp", "1"), ("webhook-id", "x"), ("webhook-timestamp", "1"), ("idempotency-key", "x")]
        {
            if name == "idempotency-key" || !again.headers.iter().any(|(known, _)| known == name) {
                again.set(name, value);
            }
        }
        let (first, second) = (request.post(&gateway), again.post(&gateway));
        expect(&first, 200, "as signed")?;
        expect(&second, 200, "with more headers")?;
        if first.ids() == second.ids() { Ok(()) } else { Err(second.text()) }
    });
    let mut fresh = cases.iter().find(|case| case.instance == "svix-white-label").unwrap().clone();
    fresh.body = Some(r#"{"type":"b"}"#.to_owned());
    let mut request = fresh.unnumbered(&[], "b");
    request.set("svix-timestamp", "1");
    let stored = request.post(&gateway).json();
    assert!(stored[0]["occurred"].as_str().unwrap() > "2020", "{stored}");
}

/// The sender numbers a request, not what is in it.
#[test]
fn the_elements_of_an_array_are_not_each_others_duplicates() {
    let cases: Vec<_> = cases::all().into_iter().filter(has_free_body).collect();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let mut case = case.clone();
        case.body = Some(r#"[{"element":1},{"element":2}]"#.to_owned());
        let mut request = case.request();
        request.set("content-type", "application/json");
        let answer = request.post(&gateway);
        expect(&answer, 200, "an array")?;
        if answer.json().as_array().unwrap().iter().all(|one| one["duplicate"].is_null()) { Ok(()) } else { Err(answer.text()) }
    });
}

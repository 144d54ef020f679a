//! Every sender there is a preset for: its sample gets in with the signature its vendor documents, made here by other means,
//! and nothing else does.

mod beginnings;
mod case;
mod cases;
mod documents;
mod oddities;
mod request;
mod signing;

use std::fs;

use tempfile::TempDir;

use self::case::{Again, Case, Proof, Signature, Spelling, now};
use self::request::Request;
use crate::harness::{Answer, Running};

/// Beyond every preset's tolerance; the widest is SendGrid's day and an hour.
const LONG: i64 = 3 * 86_400;

/// A gateway that knows all of them.
fn gateway(cases: &[Case]) -> Running {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("sns.pem"), include_str!("keys/rsa.crt")).unwrap();
    fs::write(folder.path().join("google.json"), signing::jwk_set()).unwrap();
    let instances: String = cases.iter().map(Case::toml).collect();
    Running::start_in(folder, "failed_logins_per_minute = 0", &instances)
}

/// Looks at each case, and says at the end which ones were not as they should be.
fn for_each(cases: &[Case], mut check: impl FnMut(&Case) -> Result<(), String>) {
    let wrong: Vec<_> = cases.iter().filter_map(|case| check(case).err().map(|error| format!("{}: {error}", case.instance))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn expect(answer: &Answer, status: u16, what: &str) -> Result<(), String> {
    if answer.status == status { Ok(()) } else { Err(format!("{what}: {} instead of {status}: {}", answer.status, answer.text())) }
}

#[test]
fn senders_get_in_and_their_events_read_well() {
    let cases = cases::all();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let answer = case.request().post(&gateway);
        expect(&answer, 200, "posted")?;
        let stored = answer.json();
        let stored = stored.as_array().unwrap();
        let found: Vec<_> = stored.iter().map(|one| (one["name"].as_str(), one["type"].as_str(), time_of(one))).collect();
        let wanted: Vec<_> = case.incidents.iter().map(|(name, kind, occurred)| (Some(*name), *kind, *occurred)).collect();
        if found != wanted {
            return Err(format!("\n  found  {found:?}\n  wanted {wanted:?}"));
        }
        let odd: Vec<_> = stored.iter().filter(|one| !one["warnings"].is_null() || !one["duplicate"].is_null()).collect();
        if odd.is_empty() { Ok(()) } else { Err(format!("{odd:?}")) }
    });
    let all: usize = cases.iter().map(|case| case.incidents.len()).sum();
    assert_eq!(gateway.incidents().len(), all);
}

/// None where it is the time of arrival: that is when it was created.
fn time_of(incident: &serde_json::Value) -> Option<&str> {
    incident["occurred"].as_str().filter(|occurred| Some(*occurred) != incident["created"].as_str())
}

#[test]
fn what_comes_again_is_a_duplicate_with_the_first_ones_id() {
    let cases = cases::all();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let (first, second) = (case.request_at(now() - 2).post(&gateway), case.request().post(&gateway));
        expect(&first, 200, "posted")?;
        expect(&second, 200, "posted again")?;
        let is_duplicate = second.json().as_array().unwrap().iter().all(|one| one["duplicate"] == true);
        let has_same_ids = first.ids() == second.ids();
        let wanted = case.again == Again::Duplicate;
        if (is_duplicate, has_same_ids) == (wanted, wanted) { Ok(()) } else { Err(second.text()) }
    });
}

#[test]
fn what_was_altered_or_is_anothers_does_not_get_in() {
    let cases = cases::all();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let mut problems = Vec::new();
        let mut refused = |what: &str, request: &Request| problems.extend(expect(&request.post(&gateway), 401, what).err());
        refused("another secret", &case.forged());
        for (what, request) in alterations(case) {
            refused(&what, &request);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n  ")) }
    });
    assert!(gateway.incidents().is_empty());
    // The same requests do get in as they were.
    for_each(&cases, |case| expect(&case.request().post(&gateway), 200, "unaltered"));
}

/// A good request with one thing changed in each.
fn alterations(case: &Case) -> Vec<(String, Request)> {
    let request = case.request();
    let mut altered = Vec::new();
    let mut with = |what: &str, change: &dyn Fn(&mut Request)| {
        let mut request = request.clone();
        change(&mut request);
        altered.push((what.to_owned(), request));
    };
    match &case.proof {
        Proof::Basic => with("no credentials", &|request| request.remove("authorization")),
        Proof::Header(name) => with("no header", &|request| request.remove(name)),
        Proof::Path => {
            with("no token", &|request| request.path.truncate(request.path.rfind('/').unwrap()));
            with("the token as a query", &|request| {
                request.path = request.path.replace(&format!("/{}", case::TOKEN), &format!("?token={}", case::TOKEN))
            });
            with("a part of the token", &|request| request.path.truncate(request.path.len() - 1));
        }
        Proof::Equal => {
            with("no secret", &|request| remove_secret(request));
            with("a part of the secret", &|request| request.replace(case::PASSWORD, &case::PASSWORD[1..]));
        }
        Proof::Signature(signature) => alter_signed(signature, &mut with),
    }
    altered
}

fn remove_secret(request: &mut Request) {
    request.headers.retain(|(_, value)| value != case::PASSWORD);
    request.body = request.body.replace(&format!("\"clientState\":\"{}\",", case::PASSWORD), "");
}

/// Takes a copy of the request with one thing changed.
type With<'a> = &'a mut dyn FnMut(&str, &dyn Fn(&mut Request));

fn alter_signed(signature: &Signature, with: With<'_>) {
    if signature.covers_body {
        with("a byte less", &|request| request.body.truncate(request.body.len() - 1));
        with("a byte more", &|request| request.body.push('\n'));
        with("another byte", &|request| request.body = other_digit(&request.body));
    }
    if signature.covers_url {
        with("another query", &|request| request.path.push_str(if request.path.contains('?') { "&a=1" } else { "?a=1" }));
    }
    for name in signature.covers {
        with(&format!("another {name}"), &|request| request.set(name, &other_digit(request.header(name))));
        with(&format!("no {name}"), &|request| request.remove(name));
        with(&format!("two {name}"), &|request| request.headers.push(((*name).to_owned(), request.header(name).to_owned())));
    }
    for text in signature.covers_text {
        with(&format!("another {text}"), &|request| request.body = request.body.replace(text, &format!("1{text}")));
    }
    match signature.header {
        Some(header) => {
            with("no signature", &|request| request.remove(header));
            with("an empty signature", &|request| request.set(header, ""));
            with("another signature", &|request| request.set(header, &other_end(request.header(header))));
            with("half a signature", &|request| {
                let whole = request.header(header).to_owned();
                request.set(header, &whole[..whole.len() / 2]);
            });
            with("two signatures", &|request| request.headers.push((header.to_owned(), request.header(header).to_owned())));
        }
        None => {
            with("no signature", &|request| request.body = request.body.replace("ignature\"", "ig\""));
            with("nothing at all", &|request| request.body = "{}".into());
        }
    }
}

/// Changes a digit in the middle, so that it is still of the same form.
fn other_digit(text: &str) -> String {
    let digits: Vec<_> = text.char_indices().filter(|(_, char)| char.is_ascii_digit()).collect();
    let (at, digit) = digits[digits.len() / 2];
    let other = if digit == '1' { '2' } else { '1' };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Changes a digit or letter of a signature well before its padding.
fn other_end(text: &str) -> String {
    let (at, char) = text.char_indices().rev().filter(|(_, char)| char.is_ascii_alphanumeric()).nth(5).unwrap();
    let other = if char == '1' { '2' } else { '1' };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn what_is_too_old_or_of_the_future_does_not_get_in() {
    let cases: Vec<_> =
        cases::all().into_iter().filter(|case| matches!(&case.proof, Proof::Signature(Signature { timestamp: Some(_), .. }))).collect();
    assert!(cases.len() >= 15, "{}", cases.len());
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        expect(&case.request_at(now() - LONG).post(&gateway), 401, "an old one")?;
        expect(&case.request_at(now() + LONG).post(&gateway), 401, "one of the future")?;
        expect(&case.request_at(now() - 30).post(&gateway), 200, "one on its way for a while")
    });
}

#[test]
fn tolerances_are_as_wide_as_the_senders_retries() {
    // Seconds that a retry may be late if it carries the first attempt's time.
    let late = [("linear", 7 * 3600 + 60), ("mailgun", 8 * 3600), ("sendgrid", 86_400), ("slack", 290)];
    let cases: Vec<_> = cases::all().into_iter().filter(|case| late.iter().any(|(name, _)| *name == case.instance)).collect();
    let gateway = gateway(&cases);
    for_each(&cases, |case| {
        let (_, seconds) = late.iter().find(|(name, _)| *name == case.instance).unwrap();
        expect(&case.request_at(now() - seconds).post(&gateway), 200, "a late one")
    });
}

#[test]
fn a_token_of_googles_for_somebody_else_does_not_get_in() {
    let case = cases::all().into_iter().find(|case| case.instance == "pubsub").unwrap();
    let gateway = gateway(std::slice::from_ref(&case));
    let Proof::Signature(signature) = &case.proof else { panic!("a signature") };
    let with = |signed| Case { proof: Proof::Signature(Signature { signed, ..signature.clone() }), ..case.clone() };
    for (what, case) in [
        ("another audience", with(|_, _| cases::claims("https://example.com/", cases::ACCOUNT, now() + 60))),
        ("another account", with(|_, _| cases::claims(cases::AUDIENCE, "other@example.iam.gserviceaccount.com", now() + 60))),
        ("expired", with(|_, _| cases::claims(cases::AUDIENCE, cases::ACCOUNT, now() - 3600))),
        ("an unverified address", with(|_, _| cases::claims(cases::AUDIENCE, cases::ACCOUNT, now() + 60).replace("true", "false"))),
        (
            "another issuer",
            with(|_, _| cases::claims(cases::AUDIENCE, cases::ACCOUNT, now() + 60).replace("accounts.google", "accounts.example")),
        ),
    ] {
        expect(&case.request().post(&gateway), 401, what).unwrap();
    }
    expect(&case.request().post(&gateway), 200, "as it is").unwrap();
}

#[test]
fn times_are_spelled_as_senders_do() {
    assert_eq!(Spelling::Rfc3339.write(1_770_804_930), "2026-02-11T10:15:30Z");
    assert_eq!(Spelling::Milliseconds.write(1_770_804_930), "1770804930007");
}

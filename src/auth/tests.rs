//! The verifier as a whole.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

fn plain(text: &str) -> PasswordSpec {
    PasswordSpec::Plain(Secret::new(text.to_owned()))
}

fn argon2(text: &str) -> PasswordSpec {
    PasswordSpec::Argon2(hash_password(&Secret::new(text.to_owned())).unwrap().parse().unwrap())
}

fn basic_spec(username: &str, passwords: Vec<PasswordSpec>) -> AccessSpec {
    AccessSpec::Basic { username: username.to_owned(), passwords }
}

fn header_spec(name: HeaderName, passwords: Vec<PasswordSpec>) -> AccessSpec {
    AccessSpec::Header { name, passwords }
}

fn with(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
}

fn basic(user: &str, password: &str) -> HeaderMap {
    with(&AUTHORIZATION, &[format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).as_bytes()])
}

const FIRST: Result<Verified, Refusal> = Ok(Verified { password: 0 });
const SECOND: Result<Verified, Refusal> = Ok(Verified { password: 1 });

#[tokio::test]
async fn an_open_instance_lets_everybody_in() {
    let verifier = Verifier::new();
    let access = verifier.access(AccessSpec::Open);
    assert_eq!(verifier.verify(Some(&access), &HeaderMap::new()).await, FIRST);
}

#[tokio::test]
async fn basic_credentials_of_both_passwords() {
    let verifier = Verifier::new();
    let access = verifier.access(basic_spec("alice", vec![plain("one:1"), plain("twö")]));
    for (headers, want) in [
        (basic("alice", "one:1"), FIRST),
        (basic("alice", "twö"), SECOND),
        (basic("alice", "one"), Err(Refusal::WrongPassword)),
        (basic("alice", ""), Err(Refusal::WrongPassword)),
        (basic("Alice", "one:1"), Err(Refusal::UnknownUser)),
        (basic("alice:one", "1"), FIRST),
        (basic("alice", ":one:1"), Err(Refusal::WrongPassword)),
        (basic("", "one:1"), Err(Refusal::UnknownUser)),
        (HeaderMap::new(), Err(Refusal::Missing(AUTHORIZATION))),
        (with(&X_API_KEY, &[b"one:1"]), Err(Refusal::Missing(AUTHORIZATION))),
        (with(&AUTHORIZATION, &[b"Bearer x"]), Err(Refusal::Malformed(InvalidBasic::Scheme))),
    ] {
        assert_eq!(verifier.verify(Some(&access), &headers).await, want, "{headers:?}");
    }
    let mut twice = basic("alice", "one:1");
    twice.append(AUTHORIZATION, twice[AUTHORIZATION].clone());
    assert_eq!(verifier.verify(Some(&access), &twice).await, Err(Refusal::Repeated(AUTHORIZATION)));
}

#[tokio::test]
async fn a_header_is_compared_as_sent() {
    let verifier = Verifier::new();
    let access = verifier.access(header_spec(X_API_KEY, vec![plain("Kéy 1"), plain("k2")]));
    for (values, want) in [
        (vec!["Kéy 1".as_bytes()], FIRST),
        (vec![b"k2"], SECOND),
        (vec!["kéy 1".as_bytes()], Err(Refusal::WrongValue(X_API_KEY))),
        (vec!["\"Kéy 1\"".as_bytes()], Err(Refusal::WrongValue(X_API_KEY))),
        (vec![b"K\xe9y 1"], Err(Refusal::WrongValue(X_API_KEY))),
        (vec![b""], Err(Refusal::WrongValue(X_API_KEY))),
        (vec![], Err(Refusal::Missing(X_API_KEY))),
        (vec![b"k2", b"k2"], Err(Refusal::Repeated(X_API_KEY))),
    ] {
        assert_eq!(verifier.verify(Some(&access), &with(&X_API_KEY, &values)).await, want, "{values:?}");
    }
}

#[tokio::test]
async fn authorization_may_be_the_secret_header() {
    let verifier = Verifier::new();
    for value in ["Basic MYIvOkEyMw==", "Bearer XXX"] {
        let access = verifier.access(header_spec(AUTHORIZATION, vec![plain(value)]));
        assert_eq!(verifier.verify(Some(&access), &with(&AUTHORIZATION, &[value.as_bytes()])).await, FIRST);
        let lower = value.to_ascii_lowercase();
        let refused = verifier.verify(Some(&access), &with(&AUTHORIZATION, &[lower.as_bytes()])).await;
        assert_eq!(refused, Err(Refusal::WrongValue(AUTHORIZATION)));
    }
}

#[tokio::test]
async fn an_instance_that_does_not_exist_is_refused_whatever_is_shown() {
    let verifier = Verifier::new();
    for headers in [HeaderMap::new(), basic("nobody", ""), with(&AUTHORIZATION, &[b"Basic !"])] {
        assert_eq!(verifier.verify(None, &headers).await, Err(Refusal::UnknownInstance));
    }
}

#[tokio::test]
async fn argon2_beside_a_plain_password() {
    let verifier = Verifier::new();
    let access = verifier.access(basic_spec("alice", vec![argon2("one"), plain("two")]));
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "two")).await, SECOND);
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "one")).await, FIRST);
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "three")).await, Err(Refusal::WrongPassword));
    assert_eq!(verifier.verify(Some(&access), &basic("bob", "one")).await, Err(Refusal::UnknownUser));
    assert_eq!(verifier.verify(Some(&access), &HeaderMap::new()).await, Err(Refusal::Missing(AUTHORIZATION)));

    let header = verifier.access(header_spec(X_API_KEY, vec![argon2("a"), argon2("b")]));
    assert_eq!(verifier.verify(Some(&header), &with(&X_API_KEY, &[b"b"])).await, SECOND);
    assert_eq!(verifier.verify(Some(&header), &with(&X_API_KEY, &[b"c"])).await, Err(Refusal::WrongValue(X_API_KEY)));
}

#[tokio::test]
async fn a_verified_argon2_password_needs_no_verifier_until_it_is_replaced() {
    let mut verifier = Verifier::new();
    let access = verifier.access(basic_spec("alice", vec![argon2("one")]));
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "one")).await, FIRST);
    verifier.pool.close();
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "one")).await, FIRST);
    assert_eq!(verifier.verify(Some(&access), &basic("alice", "two")).await, Err(Refusal::Busy));
    let reloaded = verifier.access(basic_spec("alice", vec![argon2("one")]));
    assert_eq!(verifier.verify(Some(&reloaded), &basic("alice", "one")).await, Err(Refusal::Busy));
}

#[tokio::test]
async fn once_argon2_is_in_use_every_failure_waits_for_a_verifier() {
    let mut verifier = Verifier::new();
    let plain_access = verifier.access(basic_spec("alice", vec![plain("one")]));
    assert_eq!(verifier.verify(None, &basic("alice", "x")).await, Err(Refusal::UnknownInstance));
    verifier.access(basic_spec("bob", vec![argon2("two")]));
    verifier.pool.close();
    for headers in [basic("alice", "x"), HeaderMap::new(), with(&AUTHORIZATION, &[b"Basic !"])] {
        assert_eq!(verifier.verify(Some(&plain_access), &headers).await, Err(Refusal::Busy));
        assert_eq!(verifier.verify(None, &headers).await, Err(Refusal::Busy));
    }
    assert_eq!(verifier.verify(Some(&plain_access), &basic("alice", "one")).await, FIRST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_herd_with_the_same_password_is_let_in() {
    let verifier = Arc::new(Verifier::new());
    let access = Arc::new(verifier.access(basic_spec("alice", vec![argon2("one")])));
    let herd: Vec<_> = (0..100)
        .map(|_| {
            let (verifier, access) = (Arc::clone(&verifier), Arc::clone(&access));
            tokio::spawn(async move { verifier.verify(Some(&access), &basic("alice", "one")).await })
        })
        .collect();
    for request in herd {
        assert_eq!(request.await.unwrap(), FIRST);
    }
}

#[test]
fn no_refusal_repeats_what_was_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verifier = Verifier::new();
    let access = verifier.access(basic_spec("alice", vec![plain("hunter2")]));
    for headers in [basic("alice", "guess77"), basic("mallory", "guess77"), with(&AUTHORIZATION, &[b"guess77"])] {
        let refusal = runtime.block_on(verifier.verify(Some(&access), &headers)).unwrap_err();
        let text = format!("{refusal} {refusal:?} {}", refusal.reason());
        for secret in ["hunter2", "guess77", "mallory", "alice"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn any_one_byte_change_is_refused(user in "[^:\\p{Cc}]{0,20}", password in "[^\\p{Cc}]{1,40}", at: usize, byte in 0x20u8..0x7f) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let verifier = Verifier::new();
        let access = verifier.access(basic_spec(&user, vec![plain(&password)]));
        let right = basic(&user, &password);
        prop_assert_eq!(runtime.block_on(verifier.verify(Some(&access), &right)), FIRST);

        let mut value = right[AUTHORIZATION].as_bytes().to_vec();
        let at = at % value.len();
        prop_assume!(!value[at].eq_ignore_ascii_case(&byte) || at >= 5);
        prop_assume!(value[at] != byte);
        value[at] = byte;
        prop_assert!(runtime.block_on(verifier.verify(Some(&access), &with(&AUTHORIZATION, &[&value]))).is_err());
    }
}

/// A figure rather than a check: run with `--ignored --nocapture` and optimisation.
#[test]
#[ignore = "prints how long a comparison takes"]
fn cost_of_the_quick_way() {
    const ROUNDS: u32 = 200_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let verifier = Verifier::new();
    let report = |what: &str, access: &Access, headers: &HeaderMap| {
        let _ = runtime.block_on(verifier.verify(Some(access), headers));
        let start = Instant::now();
        runtime.block_on(async {
            for _ in 0..ROUNDS {
                let _ = std::hint::black_box(verifier.verify(Some(access), headers).await);
            }
        });
        println!("{what}: {:?}", start.elapsed() / ROUNDS);
    };
    report("plain, right", &verifier.access(basic_spec("alice", vec![plain("one-two-three")])), &basic("alice", "one-two-three"));
    report("plain, wrong", &verifier.access(basic_spec("alice", vec![plain("one-two-three")])), &basic("alice", "one-two-thr33"));
    report("header, right", &verifier.access(header_spec(X_API_KEY, vec![plain("one")])), &with(&X_API_KEY, &[b"one"]));
    report("Argon2, remembered", &verifier.access(basic_spec("alice", vec![argon2("one")])), &basic("alice", "one"));
}

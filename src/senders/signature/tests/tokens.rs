use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::*;

/// Made for the address below by the key `k1` of `jwks.json`, at [`NOW`] for an hour.
fn token(name: &str) -> String {
    let tokens: Value = serde_json::from_str(include_str!("data/tokens.json")).unwrap();
    tokens[name].as_str().unwrap().to_owned()
}

fn spec() -> SignatureSpec {
    SignatureSpec { scheme: Scheme::Jwt, place: Place::Header(http::header::AUTHORIZATION), ..SignatureSpec::default() }
}

fn google(keys: &[u8]) -> Signatures {
    let source = KeySource {
        keys_pem_or_jwks: vec![keys.to_vec()],
        emails: vec!["push@project.iam.gserviceaccount.com".to_owned()],
        ..KeySource::default()
    };
    Signatures::new(vec![spec()], &[], Some("https://hooks.example.com/push".to_owned()), source).unwrap()
}

fn bearer(token: &str) -> Sent {
    Sent::new(b"{}").header("authorization", &format!("Bearer {token}"))
}

#[test]
fn googles_token_holds_with_its_key_however_that_is_written() {
    let files: [&[u8]; 3] = [include_bytes!("data/jwks.json"), include_bytes!("data/key.pem"), include_bytes!("data/certificate.pem")];
    for keys in files {
        let signatures = google(keys);
        assert_eq!(bearer(&token("good")).verify(&signatures), Ok(0));
        assert_eq!(Sent::new(b"").header("authorization", &format!("bearer  {}", token("good"))).verify(&signatures), Ok(0));
        assert_eq!(bearer(&token("good")).verify_later(&signatures, 3_660), Ok(0));
        assert!(matches!(bearer(&token("good")).verify_later(&signatures, 3_661), Err(SignatureRefusal::Stale { seconds: 61, .. })));
        assert!(matches!(bearer(&token("good")).verify_later(&signatures, -61), Err(SignatureRefusal::Stale { seconds: -61, .. })));
    }
}

#[test]
fn a_token_for_or_from_another_does_not() {
    let signatures = google(include_bytes!("data/jwks.json"));
    let refusal = |name| bearer(&token(name)).verify(&signatures).unwrap_err();
    assert!(matches!(refusal("other_audience"), SignatureRefusal::Wrong(Cause::Claim("aud", _))));
    assert!(matches!(refusal("other_email"), SignatureRefusal::Wrong(Cause::Claim("email", _))));
    assert!(matches!(refusal("unverified"), SignatureRefusal::Wrong(Cause::Claim("email", _))));
    assert!(matches!(refusal("other_issuer"), SignatureRefusal::Wrong(Cause::Claim("iss", _))));
    assert!(matches!(refusal("endless"), SignatureRefusal::Wrong(Cause::Claim("exp", _))));
    assert_eq!(refusal("unknown_kid"), SignatureRefusal::Key(KeyFault::Absent));
    assert!(!refusal("unknown_kid").is_temporary());
}

#[test]
fn the_algorithm_is_never_the_tokens_choice() {
    let (google, shared) = (google(include_bytes!("data/key.pem")), signatures([spec()], &[SECRET]));
    let wrong = |name, signatures: &Signatures| bearer(&token(name)).verify(signatures).unwrap_err();
    assert_eq!(wrong("hs256_with_public_key", &google), SignatureRefusal::Wrong(Cause::TokenAlgorithm("RS256")));
    assert_eq!(wrong("none", &google), SignatureRefusal::Wrong(Cause::TokenAlgorithm("RS256")));
    assert_eq!(wrong("none", &shared), SignatureRefusal::Wrong(Cause::TokenAlgorithm("HS256")));
    assert_eq!(wrong("good", &shared), SignatureRefusal::Wrong(Cause::TokenAlgorithm("HS256")));
}

#[test]
fn tokens_with_a_shared_secret() {
    let signatures = signatures([spec()], &["another", SECRET]);
    assert_eq!(bearer(&token("hs256")).verify(&signatures), Ok(1));
    assert_eq!(Sent::new(b"").header("authorization", &format!("JWT {}", token("hs256"))).verify(&signatures), Ok(1));
    assert!(matches!(bearer(&token("hs256")).verify_later(&signatures, 241), Err(SignatureRefusal::Stale { seconds: 61, .. })));
    assert_eq!(bearer(&token("hs256")).verify(&super::signatures([spec()], &["another"])), Err(SignatureRefusal::Wrong(Cause::Unknown)));
    assert_eq!(signatures.secret_headers().collect::<Vec<_>>(), [http::header::AUTHORIZATION]);
}

/// A token of Atlassian's, good for a minute.
fn atlassians(claims: &str) -> Sent {
    let encode = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&format!(r#"{{"exp":1790000060{claims}}}"#)));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&signed).finalize().into_bytes();
    let token = format!("{signed}.{}", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(mac));
    Sent::new(b"{}").header("authorization", &format!("JWT {token}"))
}

#[test]
fn a_token_for_another_request_does_not_hold() {
    let known = signatures_at("https://hooks.example.com/hooks/jira", spec());
    // SHA-256 of `POST&/jira&` and `GET&/hooks/jira&`, made with Python.
    let ours = r#","qsh":"93e68d1d02cc7d26224ffe8ebca364aaaefe0f3b4692bf48355831b1d47d862e""#;
    let of_a_page = r#","qsh":"a39fda6bdc6d30f178b3aca38c9a3b78448d8309e5c5dc2a679fc403fe41a288""#;
    assert_eq!(atlassians(ours).verify(&known), Ok(0));
    assert_eq!(atlassians("").verify(&known), Ok(0), "not every sender says which request");
    let other = Err(SignatureRefusal::Wrong(Cause::OtherRequest));
    for claims in [of_a_page, r#","qsh":"context-qsh""#, r#","qsh":"""#] {
        assert_eq!(atlassians(claims).verify(&known), other, "{claims}");
    }
    assert_eq!(atlassians(ours).query("user_id=1").verify(&known), other);
    let unknown = signatures([spec()], &[SECRET]);
    assert_eq!(atlassians(ours).verify(&unknown), Err(SignatureRefusal::Wrong(Cause::NoUrl)));
    assert_eq!(atlassians("").verify(&unknown), Ok(0));
}

#[test]
fn any_change_of_a_token_is_refused() {
    let signatures = google(include_bytes!("data/jwks.json"));
    let good = token("good");
    for at in (0..good.len()).step_by(7) {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(bearer(&changed).verify(&signatures).is_err(), "{at}");
    }
    for text in ["", ".", "..", "a.b.c", "Basic dTpw", &format!("{good}.x"), &format!("{good}="), &good[..good.len() - 1]] {
        assert!(bearer(text).verify(&signatures).is_err(), "{text}");
    }
    assert_eq!(
        bearer(&good).header("authorization", "Bearer x").verify(&signatures),
        Err(SignatureRefusal::Repeated(http::header::AUTHORIZATION))
    );
}

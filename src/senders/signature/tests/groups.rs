use sha2::{Digest, Sha256};

use super::*;

const SHA256: &str = "b4fb1db726423cc869710cc40d1dd87aa9489e5018a82a64ff9eeb50478e91f8";

fn at(name: &'static str, change: impl FnOnce(&mut SignatureSpec)) -> SignatureSpec {
    let mut spec = SignatureSpec { place: Place::Header(HeaderName::from_static(name)), ..SignatureSpec::default() };
    change(&mut spec);
    spec
}

#[test]
fn the_first_place_where_something_is_decides() {
    let signatures = signatures([at("x-new", |_| {}), at("x-token", |spec| spec.scheme = Scheme::Equal)], &[SECRET]);
    assert_eq!(Sent::new(BODY).header("x-new", SHA256).verify(&signatures), Ok(0));
    assert_eq!(Sent::new(BODY).header("x-token", SECRET).verify(&signatures), Ok(0));
    assert_eq!(Sent::new(BODY).header("x-token", SECRET).header("x-new", SHA256).verify(&signatures), Ok(0));
    let refusal = Sent::new(BODY).header("x-token", SECRET).header("x-new", "00").verify(&signatures).unwrap_err();
    assert_eq!(refusal.word(), "signature_wrong");
    let refusal = Sent::new(BODY).header("x-token", SECRET).header("x-new", "").verify(&signatures).unwrap_err();
    assert_eq!(refusal.word(), "signature_malformed");
    assert_eq!(signatures.secret_headers().collect::<Vec<_>>(), ["x-token"]);
}

#[test]
fn specs_with_one_place_belong_together() {
    let stamped = |spec: &mut SignatureSpec| spec.signed = "{header:x-time}:{body}".parse().unwrap();
    let signatures = signatures([at("x-signature", stamped), at("x-signature", |_| {})], &[SECRET]);
    assert_eq!(Sent::new(BODY).header("x-signature", SHA256).verify(&signatures), Ok(0));
    let wrong = Sent::new(BODY).header("x-signature", &"00".repeat(32)).verify(&signatures).unwrap_err();
    assert_eq!(wrong, SignatureRefusal::Wrong(Cause::Unknown));
}

#[test]
fn nothing_at_all_is_refused_with_what_looks_alike() {
    let signatures = signatures([at("x-hub-signature-256", |_| {}), at("x-token", |spec| spec.scheme = Scheme::Equal)], &[SECRET]);
    let sent = Sent::new(BODY).header("x-hub-signature", "sha1=0123").header("host", "a").header("x-signature-key-id", "v");
    let refusal = sent.verify(&signatures).unwrap_err();
    assert_eq!(refusal.word(), "signature_missing");
    assert_eq!(
        refusal.to_string(),
        "there is no x-hub-signature-256 header or x-token header, but x-hub-signature and x-signature-key-id: \
         check the webhook secret in the sender's settings, or whether a proxy in between removes it"
    );
    assert!(!refusal.to_string().contains("0123"));
}

#[test]
fn a_header_that_is_there_twice_is_refused_wherever_it_counts() {
    let stamped = at("x-signature", |spec| {
        spec.signed = "{header:x-time}{body}".parse().unwrap();
        spec.timestamp = Some("header:x-time".parse().unwrap());
    });
    let signatures = signatures([stamped], &[SECRET]);
    let once = Sent::new(BODY).header("x-signature", SHA256).header("x-time", "1790000000");
    for name in ["x-signature", "x-time"] {
        let twice = once.clone().header(name, once.headers[name].to_str().unwrap());
        assert_eq!(twice.verify(&signatures), Err(SignatureRefusal::Repeated(HeaderName::from_static(name))));
    }
    let without = Sent::new(BODY).header("x-signature", SHA256).verify(&signatures).unwrap_err();
    assert_eq!(without.word(), "signature_missing");
}

#[test]
fn a_secret_that_is_sent_itself() {
    let equal = at("authorization", |spec| {
        spec.scheme = Scheme::Equal;
        spec.format = "Token {sig}".parse().unwrap();
    });
    let with_prefix = signatures([equal], &["old", SECRET]);
    assert_eq!(Sent::new(BODY).header("authorization", &format!("Token {SECRET}")).verify(&with_prefix), Ok(1));
    assert_eq!(Sent::new(BODY).header("authorization", "Token old").verify(&with_prefix), Ok(0));
    for value in [SECRET, "Token correct", "Token ", "token old", ""] {
        assert!(Sent::new(BODY).header("authorization", value).verify(&with_prefix).is_err(), "{value}");
    }
    let whole = signatures([at("x-token", |spec| spec.scheme = Scheme::Equal)], &[SECRET]);
    let refusal = Sent::new(BODY).header("x-token", "correct horse battery stapl").verify(&whole).unwrap_err();
    assert_eq!(refusal, SignatureRefusal::Wrong(Cause::NotEqual));
}

#[test]
fn a_secret_in_every_item_of_the_body() {
    let spec =
        SignatureSpec { scheme: Scheme::Equal, place: Place::Json(".value[].clientState".parse().unwrap()), ..SignatureSpec::default() };
    let signatures = signatures([spec], &["one", "two"]);
    let verify = |body: &str| Sent::new(body.as_bytes()).verify(&signatures);
    assert_eq!(verify(r#"{"value":[{"clientState":"two"},{"clientState":"one"}]}"#), Ok(1));
    assert_eq!(verify(r#"{"value":[{"clientState":"two"},{"clientState":"six"}]}"#), Err(SignatureRefusal::Wrong(Cause::NotAllEqual)));
    assert_eq!(verify(r#"{"value":[{"clientState":"six"}]}"#), Err(SignatureRefusal::Wrong(Cause::NotEqual)));
    for body in [
        r#"{"value":[{"clientState":"two"},{}]}"#,
        r#"{"value":[{"clientState":"six","clientState":"two"}]}"#,
        r#"{"value":[{"clientState":null}]}"#,
    ] {
        assert_eq!(verify(body).unwrap_err().word(), "signature_malformed", "{body}");
    }
    for body in [r#"{"value":[]}"#, "{}"] {
        assert_eq!(verify(body).unwrap_err().word(), "signature_missing", "{body}");
    }
}

/// Whoever sees a plain hash can go on hashing from there without the secret: the text is then the old one, its padding, and more.
#[test]
fn nobody_gets_in_with_another_requests_plain_hash() {
    let url = "https://hooks.example.com/in";
    let of = |signed: &str| {
        spec(|spec| {
            spec.scheme = Scheme::Hash;
            spec.signed = signed.parse().unwrap();
        })
    };
    let specs = vec![of("{secret}{body}"), of("{secret}{method}{url}{body}")];
    let signatures = Signatures::new(specs, &secrets(&[SECRET]), Some(url.to_owned()), KeySource::default()).unwrap();
    let signed = |body: &[u8]| {
        let hash = Sha256::digest([SECRET.as_bytes(), body].concat());
        Sent::new(body).header("x-signature", &Encoding::Hex.encode(&hash)).verify(&signatures)
    };
    let version_2 = [b"POST", url.as_bytes(), b"[{\"eventId\":1}]"].concat();
    let padded = |text: &[u8]| {
        let bits = 8 * (SECRET.len() + text.len()) as u64;
        let zeros = (119 - (SECRET.len() + text.len()) % 64) % 64;
        [text, &[0x80], &vec![0; zeros], &bits.to_be_bytes()].concat()
    };
    let extended = [padded(&version_2), b"&payload=[{}]".to_vec()].concat();
    assert_eq!((SECRET.len() + padded(&version_2).len()) % 64, 0);
    let json = b"[{\"eventId\":1}]";
    assert_eq!(signed(json), Ok(0));
    for body in [&version_2[..], &extended, &[padded(json), b"[{}]".to_vec()].concat(), b"payload=[{}]", b"[{}]\0", b"[\x80]", b""] {
        let refused = signed(body);
        assert!(matches!(refused, Err(SignatureRefusal::Malformed { fault: Fault::NotJson, .. })), "{refused:?}");
    }
    // From a secret at the end nobody can go on.
    let behind = signatures_at(url, of("{body}{secret}"));
    let hash = Encoding::Hex.encode(&Sha256::digest([b"a=1", SECRET.as_bytes()].concat()));
    assert_eq!(Sent::new(b"a=1").header("x-signature", &hash).verify(&behind), Ok(0));
}

use super::*;

fn mistake(spec: SignatureSpec, texts: &[&str], url: Option<&str>) -> InvalidSignatureSpec {
    let made = Signatures::new(vec![spec], &secrets(texts), url.map(str::to_owned), KeySource::default());
    made.err().unwrap()
}

#[test]
fn what_cannot_be_verified_is_told_at_once() {
    use InvalidSignatureSpec as Invalid;
    let signed = |template: &str| spec(|spec| spec.signed = template.parse().unwrap());
    let of = |scheme| spec(|spec| spec.scheme = scheme);
    let encoded = |encoding| spec(|spec| spec.secret_encoding = encoding);
    for (want, got) in [
        (Invalid::NoSecret, mistake(spec(|_| {}), &[], None)),
        (Invalid::EmptySecret(1), mistake(spec(|_| {}), &["a", " "], None)),
        (Invalid::NoPlace, mistake(SignatureSpec::default(), &["a"], None)),
        (Invalid::NoUrl, mistake(signed("{url}{body}"), &["a"], None)),
        (Invalid::NoUrl, mistake(of(Scheme::Twilio), &["a"], None)),
        (Invalid::Url, mistake(spec(|_| {}), &["a"], Some("hooks.example.com"))),
        (Invalid::Url, mistake(spec(|_| {}), &["a"], Some("https://hooks.example.com/?a=b"))),
        (Invalid::UnknownPart("t".into()), mistake(signed("{sig:t}.{body}"), &["a"], None)),
        (Invalid::UnknownPart("t".into()), mistake(spec(|spec| spec.timestamp = Some("sig:t".parse().unwrap())), &["a"], None)),
        (Invalid::Secret, mistake(signed("{secret}{body}"), &["a"], None)),
        (Invalid::Secret, mistake(of(Scheme::Hash), &["a"], None)),
        (Invalid::Prefix, mistake(spec(|spec| spec.format = "{algorithm}={sig}".parse().unwrap()), &["a"], None)),
        (Invalid::PluralPath(".a[].b".into()), mistake(signed("{json:.a[].b}"), &["a"], None)),
        (Invalid::PluralPath(".a[]".into()), mistake(spec(|spec| spec.place = Place::Json(".a[]".parse().unwrap())), &["a"], None)),
        (Invalid::NoKeys, mistake(of(Scheme::Sns), &[], None)),
        (Invalid::NoKeys, mistake(of(Scheme::Jwt), &[], None)),
    ] {
        assert_eq!(got, want);
        assert!(!got.key().is_empty() && !got.to_string().is_empty());
    }
    for (spec, secret) in [
        (encoded(SecretEncoding::Base64), "no base64!"),
        (encoded(SecretEncoding::Whsec), "whsec_!"),
        (encoded(SecretEncoding::Whsec), "whpk_AAAA"),
        (SignatureSpec { scheme: Scheme::Jwt, ..encoded(SecretEncoding::Base64) }, "no base64!"),
        (of(Scheme::Ecdsa), "AAAA"),
        (of(Scheme::Ed25519), "AAAA"),
    ] {
        let got = mistake(spec, &[secret], None);
        assert!(matches!(got, Invalid::SecretEncoding { index: 0, .. }), "{got:?}");
        assert_eq!(got.key(), "secrets");
        assert!(!got.to_string().contains(secret), "{got}");
    }
    assert_eq!(Signatures::new(vec![], &secrets(&["a"]), None, KeySource::default()).err(), Some(Invalid::None));
}

#[test]
fn keys_of_others_need_to_be_keys_and_say_who_is_meant() {
    use InvalidSignatureSpec as Invalid;
    let made =
        |scheme, texts: &[&str], source| Signatures::new(vec![spec(|spec| spec.scheme = scheme)], &secrets(texts), None, source).err();
    let file = |bytes: &[u8]| KeySource { keys_pem_or_jwks: vec![bytes.to_vec()], ..KeySource::default() };
    let jwks = include_bytes!("data/jwks.json");
    assert!(matches!(made(Scheme::Sns, &[], file(b"nothing")), Some(Invalid::Keys(_))));
    assert!(matches!(made(Scheme::Sns, &[], file(jwks)), Some(Invalid::Keys(_))));
    assert!(matches!(made(Scheme::Jwt, &[], file(b"{\"keys\":[]}")), Some(Invalid::Keys(_))));
    assert_eq!(made(Scheme::Jwt, &[], file(jwks)), Some(Invalid::NoEmail));
    let with_email = KeySource { emails: vec!["a@example.com".into()], ..file(jwks) };
    assert_eq!(made(Scheme::Jwt, &[], with_email), Some(Invalid::NoAudience));
    assert_eq!(made(Scheme::Jwt, &["a"], file(jwks)), Some(Invalid::SecretsAndKeys));
}

#[test]
fn a_secret_that_fits_one_alternative_is_enough() {
    let token = spec(|spec| {
        spec.scheme = Scheme::Equal;
        spec.place = Place::Header(HeaderName::from_static("x-token"));
    });
    let signed = spec(|spec| spec.secret_encoding = SecretEncoding::Whsec);
    let signatures = signatures([signed, token], &["no base64!"]);
    assert_eq!(Sent::new(BODY).header("x-token", "no base64!").verify(&signatures), Ok(0));
    // Nothing can be signed, so such a header says nothing.
    assert_eq!(Sent::new(BODY).header("x-token", "no base64!").header("x-signature", "00").verify(&signatures), Ok(0));
}

#[test]
fn where_one_of_several_needs_no_address_the_others_fail_without_one() {
    let other = SignatureSpec { place: Place::Header(HeaderName::from_static("x-other")), ..spec(|_| {}) };
    let covering = spec(|spec| spec.signed = "{url}{body}".parse().unwrap());
    let signatures = Signatures::new(vec![covering, other], &secrets(&["a"]), None, KeySource::default()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", HeaderValue::from_static("00"));
    let request = Signed { method: &Method::POST, query: None, headers: &headers, body: b"" };
    assert_eq!(signatures.verify_now(&request, Timestamp(0)), Err(SignatureRefusal::Wrong(Cause::NoUrl)));
}

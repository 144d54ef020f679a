//! Each mistake is made as a person would make it, and must be named.

use super::*;

const HEX: &str = "b4fb1db726423cc869710cc40d1dd87aa9489e5018a82a64ff9eeb50478e91f8";
const BASE64: &str = "tPsdtyZCPMhpcQzEDR3YeqlInlAYqCpk/57rUEeOkfg=";

fn cause(spec: SignatureSpec, secret: &str, sent: &Sent) -> Cause {
    match sent.verify(&signatures([spec], &[secret])) {
        Err(SignatureRefusal::Wrong(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_writing() {
    let hex = Sent::new(BODY).header("x-signature", HEX);
    assert_eq!(cause(spec(|spec| spec.encoding = Encoding::Base64), SECRET, &hex), Cause::Encoding(Encoding::Hex));
    let base64 = Sent::new(BODY).header("x-signature", BASE64);
    assert_eq!(cause(spec(|_| {}), SECRET, &base64), Cause::Encoding(Encoding::Base64));
    assert_eq!(cause(spec(|spec| spec.algorithm = Algorithm::Sha512), SECRET, &hex), Cause::Algorithm(Algorithm::Sha256));
    assert_eq!(cause(spec(|spec| spec.algorithm = Algorithm::Sha1), SECRET, &base64), Cause::Algorithm(Algorithm::Sha256));
    let of_sha1 = Sent::new(BODY).header("x-signature", &"ab".repeat(20));
    assert_eq!(cause(spec(|_| {}), SECRET, &of_sha1), Cause::Length(Algorithm::Sha1));
}

#[test]
fn another_reading_of_the_secret() {
    // A secret that is text and base64 at once: the sender signs with one of the two.
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    let sent_by = |encoding, secret: &str| {
        let sender = signatures([spec(|spec| spec.secret_encoding = encoding)], &[secret]);
        let mut sent = Sent::new(BODY);
        sent.headers.extend(sender.sign(&sent.signed(), NOW).unwrap());
        sent
    };
    let read_as = |encoding| spec(|spec| spec.secret_encoding = encoding);
    let (utf8, base64, whsec) = (SecretEncoding::Utf8, SecretEncoding::Base64, SecretEncoding::Whsec);
    assert_eq!(cause(read_as(utf8), secret, &sent_by(base64, secret)), Cause::SecretIsBase64);
    assert_eq!(cause(read_as(base64), secret, &sent_by(utf8, secret)), Cause::SecretIsText);
    let prefixed = format!("whsec_{secret}");
    assert_eq!(cause(read_as(utf8), &prefixed, &sent_by(whsec, &prefixed)), Cause::SecretIsWhsec);
    assert_eq!(cause(read_as(whsec), &prefixed, &sent_by(utf8, &prefixed)), Cause::SecretIsText);
    assert_eq!(cause(read_as(utf8), "s3cret\n", &sent_by(utf8, "s3cret")), Cause::SecretHasSpace);
}

#[test]
fn the_end_of_the_last_line() {
    let sent = |body: &[u8]| Sent::new(body).header("x-signature", HEX);
    assert_eq!(cause(spec(|_| {}), SECRET, &sent(&[BODY, b"\n"].concat())), Cause::NewlineAdded);
    assert_eq!(cause(spec(|_| {}), SECRET, &sent(&[BODY, b"\r\n"].concat())), Cause::NewlineAdded);
    assert_eq!(cause(spec(|_| {}), SECRET, &sent(&BODY[..BODY.len() - 1])), Cause::NewlineRemoved);
}

#[test]
fn another_address() {
    let with_url = || spec(|spec| spec.signed = "{method}{url}{body}".parse().unwrap());
    let configured = signatures_at("https://hooks.example.com/in", with_url());
    for (posted_to, host, fault) in [
        ("http://hooks.example.com/in", "x", UrlFault::Scheme("http")),
        ("https://hooks.example.com/in/", "x", UrlFault::NoSlash),
        ("https://hooks.example.com:443/in", "x", UrlFault::Port),
        ("https://tunnel.example/in", "tunnel.example", UrlFault::Host("tunnel.example".to_owned())),
        ("http://tunnel.example:8080/in", "tunnel.example:8080", UrlFault::Host("tunnel.example:8080".to_owned())),
    ] {
        let mut sent = Sent::new(BODY).query("a=b").header("host", host);
        sent.headers.extend(signatures_at(posted_to, with_url()).sign(&sent.signed(), NOW).unwrap());
        let refusal = sent.verify(&configured).unwrap_err();
        assert_eq!(refusal, SignatureRefusal::Wrong(Cause::Url(fault)));
        assert!(!refusal.to_string().contains("/in"), "{refusal}");
    }
    let mut sent = Sent::new(BODY);
    sent.headers.extend(configured.sign(&sent.signed(), NOW).unwrap());
    assert_eq!(sent.query("a=b").verify(&configured), Err(SignatureRefusal::Wrong(Cause::Url(UrlFault::Query))));
    let twilio = |url| signatures_at(url, spec(|spec| spec.scheme = Scheme::Twilio));
    let mut sent = Sent::new(b"a=b").header("content-type", "application/x-www-form-urlencoded");
    sent.headers.extend(twilio("http://hooks.example.com/in").sign(&sent.signed(), NOW).unwrap());
    assert_eq!(sent.verify(&twilio("https://hooks.example.com/in")), Err(SignatureRefusal::Wrong(Cause::Url(UrlFault::Scheme("http")))));
}

#[test]
fn a_large_body_is_not_worth_the_search() {
    let large = vec![b' '; 65 * 1024];
    let mut sent = Sent::new(&large);
    sent.headers.extend(signatures([spec(|_| {})], &[SECRET]).sign(&sent.signed(), NOW).unwrap());
    assert_eq!(sent.verify(&signatures([spec(|_| {})], &[SECRET])), Ok(0));
    assert_eq!(cause(spec(|spec| spec.algorithm = Algorithm::Sha1), SECRET, &sent), Cause::Unknown);
}

#[test]
fn no_sentence_and_no_debug_output_has_a_secret_or_a_signature_in_it() {
    let specs = [spec(|_| {}), spec(|spec| spec.encoding = Encoding::Base64), spec(|spec| spec.format = "v0={sig}".parse().unwrap())];
    for spec in specs {
        let signatures = signatures([spec], &[SECRET]);
        let shown = format!("{signatures:?}");
        assert!(!shown.contains("horse") && !shown.contains("99, 111, 114"), "{shown}");
        for value in [HEX, BASE64, "zz-zz", "v0=zz-zz", ""] {
            let sent = Sent::new(b"another body").header("x-signature", value);
            let refusal = sent.verify(&signatures).unwrap_err();
            let told = format!("{refusal} {refusal:?}");
            assert!(!told.contains("horse") && !told.contains("zz-zz") && !told.contains(HEX) && !told.contains(BASE64), "{told}");
            assert!(!refusal.is_temporary() && !refusal.to_string().contains('\n'), "{told}");
        }
    }
}

#[test]
fn sentences_say_what_to_do() {
    let ahead = SignatureRefusal::Stale { seconds: -412, tolerance: 300 };
    assert_eq!(
        ahead.to_string(),
        "the signature is right, but made 412 s in the future, and 300 s are allowed: one of the two clocks is off"
    );
    let malformed = SignatureRefusal::Malformed { place: "x-signature header".to_owned(), fault: Fault::Encoding(Encoding::Hex) };
    assert_eq!(malformed.to_string(), "the x-signature header is not written in hexadecimal digits (encoding = \"hex\")");
    assert!(SignatureRefusal::Key(KeyFault::Busy).is_temporary());
    assert!(!SignatureRefusal::Key(KeyFault::ForeignAddress).is_temporary());
    assert_eq!(SignatureRefusal::Key(KeyFault::Busy).word(), "signature_key");
}

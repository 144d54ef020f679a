use super::*;

const SHA1: &str = "f8db0dd33c5a18365ce0b132e46132e28b8774e2";
const SHA256: &str = "b4fb1db726423cc869710cc40d1dd87aa9489e5018a82a64ff9eeb50478e91f8";
const SHA512: &str =
    "ac2404df2777617c7124937782e5ea50770c9665e6c3d9e5c479d98aaa303aa9e8a5c550ba55ab342310b79a7ec9bcc1e862577ae07094aab8c5dc721825ccb5";

/// The request holds, and none that differs in the last byte of its body does.
fn holds(sent: &Sent, signatures: &Signatures) {
    assert_eq!(sent.verify(signatures), Ok(0));
    let mut changed = sent.clone();
    *changed.body.last_mut().unwrap() ^= 1;
    let refusal = changed.verify(signatures).unwrap_err();
    assert!(matches!(refusal, SignatureRefusal::Wrong(_) | SignatureRefusal::Malformed { .. }), "{refusal:?}");
}

#[test]
fn hmac_over_the_body() {
    for (algorithm, signature) in [(Algorithm::Sha1, SHA1), (Algorithm::Sha256, SHA256), (Algorithm::Sha512, SHA512)] {
        let signatures = signatures([spec(|spec| spec.algorithm = algorithm)], &[SECRET]);
        holds(&Sent::new(BODY).header("x-signature", signature), &signatures);
        holds(&Sent::new(BODY).header("x-signature", &signature.to_uppercase()), &signatures);
    }
    let signatures = signatures([spec(|spec| spec.encoding = Encoding::Base64)], &[SECRET]);
    holds(&Sent::new(BODY).header("x-signature", "tPsdtyZCPMhpcQzEDR3YeqlInlAYqCpk/57rUEeOkfg="), &signatures);
    holds(&Sent::new(BODY).header("x-signature", "tPsdtyZCPMhpcQzEDR3YeqlInlAYqCpk/57rUEeOkfg"), &signatures);
}

#[test]
fn the_senders_own_word_for_the_hash_function() {
    let by_prefix = signatures([spec(|spec| spec.algorithm = Algorithm::FromPrefix)], &[SECRET]);
    holds(&Sent::new(BODY).header("x-signature", &format!("sha256={SHA256}")), &by_prefix);
    holds(&Sent::new(BODY).header("x-signature", &format!("sha512={SHA512}")), &by_prefix);
    let refusal = Sent::new(BODY).header("x-signature", &format!("sha1={SHA1}")).verify(&by_prefix).unwrap_err();
    assert!(matches!(refusal, SignatureRefusal::Malformed { fault: Fault::Algorithm, .. }), "{refusal:?}");
    for value in [format!("sha512={SHA256}"), format!("sha256={SHA512}"), format!("md5={SHA256}"), SHA256.to_owned()] {
        assert!(Sent::new(BODY).header("x-signature", &value).verify(&by_prefix).is_err(), "{value}");
    }
}

fn stamped() -> SignatureSpec {
    spec(|spec| {
        spec.format = "v0={sig}".parse().unwrap();
        spec.signed = "v0:{header:X-Time}:{body}".parse().unwrap();
        spec.timestamp = Some("header:X-Time".parse().unwrap());
    })
}

#[test]
fn a_time_in_its_own_header_counts_both_ways() {
    let signatures = signatures([stamped()], &[SECRET]);
    let signature = "v0=4e79afad1496972f05a1f8c70ba737b300f26372b654291f73215ab7c6f32b0b";
    let sent = Sent::new(BODY).header("x-time", "1790000000").header("x-signature", signature);
    holds(&sent, &signatures);
    assert_eq!(sent.verify_later(&signatures, 300), Ok(0));
    assert_eq!(sent.verify_later(&signatures, -300), Ok(0));
    assert_eq!(sent.verify_later(&signatures, 301), Err(SignatureRefusal::Stale { seconds: 301, tolerance: 300 }));
    assert_eq!(sent.verify_later(&signatures, -412), Err(SignatureRefusal::Stale { seconds: -412, tolerance: 300 }));
    let other = Sent::new(BODY).header("x-time", "1790000001").header("x-signature", signature);
    assert_eq!(other.verify(&signatures), Err(SignatureRefusal::Wrong(Cause::Unknown)));
}

#[test]
fn no_tolerance_means_no_check() {
    let signatures = signatures([SignatureSpec { tolerance: std::time::Duration::ZERO, ..stamped() }], &[SECRET]);
    let signature = "v0=4e79afad1496972f05a1f8c70ba737b300f26372b654291f73215ab7c6f32b0b";
    let sent = Sent::new(BODY).header("x-time", "1790000000").header("x-signature", signature);
    assert_eq!(sent.verify_later(&signatures, 1_000_000_000), Ok(0));
}

#[test]
fn a_time_beside_the_signature() {
    let spec = spec(|spec| {
        spec.format = "t={t},v1={sig}".parse().unwrap();
        spec.signed = "{sig:t}.{body}".parse().unwrap();
        spec.timestamp = Some("sig:t".parse().unwrap());
    });
    let signatures = signatures([spec], &["an older secret", SECRET]);
    let right = "03cbc4c2879d6c45f9134f280ae095cdcb7a08452107046f31f46bc3954d2495";
    let wrong = "00".repeat(32);
    let verify = |value: &str, later| Sent::new(BODY).header("x-signature", value).verify_later(&signatures, later);
    assert_eq!(verify(&format!("t=1790000000,v1={right}"), 0), Ok(1));
    assert_eq!(verify(&format!("t=1790000000,v1={wrong},v0={wrong},v1={right}"), 0), Ok(1));
    assert!(matches!(verify(&format!("t=1790000000,v1={right}"), 301), Err(SignatureRefusal::Stale { .. })));
    assert!(matches!(verify(&format!("t=1790000000,v0={right}"), 0), Err(SignatureRefusal::Malformed { .. })));
    assert!(matches!(verify(&format!("v1={right}"), 0), Err(SignatureRefusal::Malformed { .. })));
    assert!(matches!(verify(&format!("t=1790000000,t=1790000000,v1={right}"), 0), Err(SignatureRefusal::Malformed { .. })));
}

#[test]
fn a_list_with_a_secret_after_its_prefix() {
    let standard = spec(|spec| {
        spec.format = Format::list(" ", "v1,{sig}").unwrap();
        spec.encoding = Encoding::Base64;
        spec.secret_encoding = SecretEncoding::Whsec;
        spec.signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}".parse().unwrap();
        spec.timestamp = Some("header:webhook-timestamp".parse().unwrap());
    });
    let right = "v1,nq7dkkdJqacq/2sxAAZWJMEtYh58OkypjcW7OxqW8u0=";
    for secret in ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"] {
        let signatures = signatures([standard.clone()], &[secret]);
        for value in [right.to_owned(), format!("v1,AAAA v2,xyz v1a,AAAA {right}")] {
            let sent =
                Sent::new(BODY).header("webhook-id", "msg_01").header("webhook-timestamp", "1790000000").header("x-signature", &value);
            holds(&sent, &signatures);
        }
    }
}

#[test]
fn the_address_comes_from_the_configuration_and_the_query_from_the_request() {
    let spec = spec(|spec| {
        spec.encoding = Encoding::Base64;
        spec.signed = "{method}{url:unescaped}{body}{header:x-time}".parse().unwrap();
        spec.timestamp = Some("header:x-time".parse().unwrap());
        spec.timestamp_format = TimestampFormat::UnixMs;
    });
    let signatures = signatures_at("https://hooks.example.com/hub%3Aspot", spec);
    let sent = Sent::new(BODY).header("x-time", "1790000000123").query("a=%281%29%20b").header("host", "elsewhere.example");
    let sent = sent.header("x-signature", "hfwcWwSElueuV9DDgqVPacF9T64wgDISodcr0y72Q3Q=");
    holds(&sent, &signatures);
    assert!(sent.clone().query("a=%281%29%20c").verify(&signatures).is_err());
    let other_method = Sent { method: Method::PUT, ..sent };
    assert!(other_method.verify(&signatures).is_err());
}

#[test]
fn plain_hashes_with_the_secret_in_them() {
    let of = |signed: &str| {
        spec(|spec| {
            spec.scheme = Scheme::Hash;
            spec.signed = signed.parse().unwrap();
        })
    };
    let (first, second) = (of("{secret}{body}"), of("{secret}{method}{url}{body}"));
    let url = "https://hooks.example.com/hub%3Aspot".to_owned();
    let signatures = Signatures::new(vec![first, second], &secrets(&[SECRET]), Some(url), KeySource::default()).unwrap();
    let sent = Sent::new(BODY).query("a=%281%29%20b");
    holds(&sent.clone().header("x-signature", "22a0fd645a564b2014476d897aab1e0dc9edd28a64b7304cf71260152035d1b8"), &signatures);
    holds(&sent.header("x-signature", "3664846f47db3721f0956ffadee391e659b5891408afe94e58be2dfefe2c55c6"), &signatures);
}

#[test]
fn a_signature_in_the_body() {
    let spec = SignatureSpec {
        place: Place::Json(".signature.signature".parse().unwrap()),
        signed: "{json:.signature.timestamp}{json:.signature.token}".parse().unwrap(),
        timestamp: Some("json:.signature.timestamp".parse().unwrap()),
        ..SignatureSpec::default()
    };
    let signatures = signatures([spec], &[SECRET]);
    let right = "fcd0e4ea0759911a51ca38dd2bd4ef32167d680824549ddbfff623fcdd0b6a33";
    let verify = |body: String| Sent::new(body.as_bytes()).verify(&signatures);
    let whole =
        |time: &str, rest: &str| format!(r#"{{"a":[],"signature":{{"timestamp":{time},"token":"0123abcd","signature":"{right}"{rest}}}}}"#);
    assert_eq!(verify(whole("\"1790000000\"", "")), Ok(0));
    assert_eq!(verify(whole("1790000000", "")), Ok(0));
    assert!(matches!(verify(whole("1790000001", "")), Err(SignatureRefusal::Wrong(_))));
    assert!(matches!(verify(whole("1790000000", r#","token":"0123abcd""#)), Err(SignatureRefusal::Malformed { .. })));
    assert!(matches!(verify(whole("1790000000", "") + "x"), Err(SignatureRefusal::Malformed { .. })));
    assert!(matches!(verify("{}".to_owned()), Err(SignatureRefusal::Missing { .. })));
}

#[test]
fn the_body_may_come_before_its_time() {
    let spec = spec(|spec| {
        spec.encoding = Encoding::Base64;
        spec.signed = "{body}{header:x-time}".parse().unwrap();
        spec.timestamp = Some("header:x-time".parse().unwrap());
        spec.timestamp_format = TimestampFormat::Rfc3339;
    });
    let signatures = signatures([spec], &[SECRET]);
    let signature = "JwfePnM8Mly4Sn0wkclAiSXdZJ0akjLDhKNL9lKxQDg=";
    let sent = Sent::new(BODY).header("x-time", "2026-09-21T14:13:20Z").header("x-signature", signature);
    holds(&sent, &signatures);
    assert_eq!(sent.verify_later(&signatures, 7_200), Err(SignatureRefusal::Stale { seconds: 7_200, tolerance: 300 }));
}

#[test]
fn twilios_forms() {
    let form = b"To=%2B15550100&Body=a+b%26c&Media=z&Media=a&Media=z&From=%2B15550199";
    let with_port = "3Y/tYCboNIUbU89NeKmWKPVcB3k=";
    for url in ["https://hooks.example.com/twilio", "https://hooks.example.com:443/twilio"] {
        let signatures = signatures_at(url, spec(|spec| spec.scheme = Scheme::Twilio));
        for signature in ["wWWv2Bi7q2AOK09lswAEJa4UxSA=", with_port] {
            let sent = Sent::new(form).query("x=1").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
            let sent = sent.header("x-signature", signature);
            holds(&sent, &signatures);
            assert!(sent.clone().query("x=2").verify(&signatures).is_err());
            let reordered = b"From=%2B15550199&Media=a&Media=z&Body=a%20b%26c&To=%2B15550100".to_vec();
            assert_eq!(Sent { body: reordered, ..sent }.verify(&signatures), Ok(0));
        }
    }
}

#[test]
fn twilios_other_bodies() {
    let signatures = signatures_at("https://hooks.example.com/twilio", spec(|spec| spec.scheme = Scheme::Twilio));
    let hash = "01e4254a3cb95f8d488133a320c609cf27c709cd382a4e84a68b3b55a6d42c5e";
    let sent = Sent::new(BODY).header("content-type", "application/json").header("x-signature", "s9JNotA//xuHy06iYA/q8nEAjNw=");
    holds(&sent.clone().query(&format!("bodySHA256={hash}")), &signatures);
    let refusal = sent.clone().verify(&signatures).unwrap_err();
    assert!(matches!(refusal, SignatureRefusal::Malformed { fault: Fault::BodyNotCovered, .. }), "{refusal:?}");
    let mut changed = sent.query(&format!("bodySHA256={hash}"));
    changed.body.push(b' ');
    assert_eq!(changed.verify(&signatures), Err(SignatureRefusal::Wrong(Cause::BodyHash)));
}

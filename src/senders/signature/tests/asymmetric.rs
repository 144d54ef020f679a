use super::*;

const P256: &str =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELep6BaiHEwRg0DSDLw32rdMbW64pKXDxmnzzQjEDSmR2R+IJecRkqzDw2p878wDfCkeMJ7/cocpG4FK8w4wzlg==";
const P256_SIGNATURE: &str = "MEUCIE0qZJ7UznioC55C7w73mCq2GDRlSAxoJmncp+JbSu2iAiEAiVVmOgGamOoyowffYBjgXkiRQVscsn3ZGz8Vh4U+QLc=";
const ED25519: &str = "whpk_zszpzbr5oH8HUnTCdxvKvTP07duQpgMm7dFwX1pepxY=";
const ED25519_SIGNATURE: &str = "mOcXH5hEFUl2cNeb3GN5acFCrqMzjvlKywzadJL2XskBOk74jWf9RYfHocsVKJ34vOz7L2L1BeiF6cuddeLVCQ==";

fn ecdsa() -> SignatureSpec {
    spec(|spec| {
        spec.scheme = Scheme::Ecdsa;
        spec.encoding = Encoding::Base64;
        spec.signed = "{header:x-time}{body}".parse().unwrap();
        spec.timestamp = Some("header:x-time".parse().unwrap());
    })
}

fn standard_webhooks() -> SignatureSpec {
    spec(|spec| {
        spec.format = Format::list(" ", "v1,{sig}").unwrap();
        spec.encoding = Encoding::Base64;
        spec.secret_encoding = SecretEncoding::Whsec;
        spec.signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}".parse().unwrap();
        spec.timestamp = Some("header:webhook-timestamp".parse().unwrap());
    })
}

fn standard(signature: &str) -> Sent {
    Sent::new(BODY).header("webhook-id", "msg_01").header("webhook-timestamp", "1790000000").header("x-signature", signature)
}

#[test]
fn ecdsa_with_the_key_as_senders_show_it() {
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &P256[..64], &P256[64..]);
    for key in [P256, &pem, &format!(" {P256}\n")] {
        let signatures = signatures([ecdsa()], &[key]);
        let sent = Sent::new(BODY).header("x-time", "1790000000").header("x-signature", P256_SIGNATURE);
        assert_eq!(sent.verify(&signatures), Ok(0));
        let later = Sent::new(BODY).header("x-time", "1790000001").header("x-signature", P256_SIGNATURE);
        assert_eq!(later.verify(&signatures), Err(SignatureRefusal::Wrong(Cause::OtherKey)));
    }
    let signatures = signatures([ecdsa()], &[P256]);
    let longer = [BODY, b"\n"].concat();
    let sent = Sent::new(&longer).header("x-time", "1790000000").header("x-signature", P256_SIGNATURE);
    assert_eq!(sent.verify(&signatures), Err(SignatureRefusal::Wrong(Cause::NewlineAdded)));
    let refusal = sent.header("x-signature", P256_SIGNATURE).verify(&signatures).unwrap_err();
    assert_eq!(refusal, SignatureRefusal::Repeated(HeaderName::from_static("x-signature")));
}

#[test]
fn ed25519_however_its_key_is_written() {
    let spki = "MCowBQYDK2VwAyEAzszpzbr5oH8HUnTCdxvKvTP07duQpgMm7dFwX1pepxY=";
    let hex = "cecce9cdbaf9a07f075274c2771bcabd33f4eddb90a60326edd1705f5a5ea716";
    let spec =
        SignatureSpec { scheme: Scheme::Ed25519, format: Format::plain(), secret_encoding: SecretEncoding::Utf8, ..standard_webhooks() };
    for key in [ED25519, &ED25519[5..], spki, hex] {
        let signatures = signatures([spec.clone()], &[key]);
        assert_eq!(standard(ED25519_SIGNATURE).verify(&signatures), Ok(0), "{key}");
        let mut changed = standard(ED25519_SIGNATURE);
        changed.body[0] = b'[';
        assert_eq!(changed.verify(&signatures), Err(SignatureRefusal::Wrong(Cause::OtherKey)));
    }
}

#[test]
fn the_key_says_which_items_of_a_standard_webhook_count() {
    let shared = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    let (v1, v1a) = ("v1,nq7dkkdJqacq/2sxAAZWJMEtYh58OkypjcW7OxqW8u0=", format!("v1a,{ED25519_SIGNATURE}"));
    let verify = |keys: &[&str], value: &str| standard(value).verify(&signatures([standard_webhooks()], keys));
    assert_eq!(verify(&[ED25519], &v1a), Ok(0));
    assert_eq!(verify(&[ED25519], &format!("{v1} {v1a}")), Ok(0));
    assert_eq!(verify(&[shared, ED25519], &v1a), Ok(1));
    assert_eq!(verify(&[ED25519, shared], v1), Ok(1));
    // A public key is no secret of an HMAC, whatever the items are called.
    assert!(matches!(verify(&[ED25519], v1), Err(SignatureRefusal::Malformed { fault: Fault::Symmetric, .. })));
    assert!(matches!(verify(&[shared], &v1a), Err(SignatureRefusal::Malformed { fault: Fault::Asymmetric, .. })));
    assert!(verify(&[ED25519], &format!("v1,{ED25519_SIGNATURE}")).is_err());
}

const NOTIFICATION_1: &str = include_str!("data/notification_v1.json");
const NOTIFICATION_2: &str = include_str!("data/notification_v2.json");
const CONFIRMATION: &str = include_str!("data/confirmation_v1.json");
const CERTIFICATE: &[u8] = include_bytes!("data/certificate.pem");

fn sns(topic: Option<&str>) -> Signatures {
    let spec = SignatureSpec {
        scheme: Scheme::Sns,
        timestamp: Some("json:.Timestamp".parse().unwrap()),
        timestamp_format: TimestampFormat::Rfc3339,
        ..SignatureSpec::default()
    };
    let keys = KeySource { keys_pem_or_jwks: vec![CERTIFICATE.to_vec()], audience: topic.map(str::to_owned), ..KeySource::default() };
    Signatures::new(vec![spec], &[], None, keys).unwrap()
}

#[test]
fn messages_of_amazon_sns() {
    let signatures = sns(Some("arn:aws:sns:eu-test-1:123456789012:doors"));
    for message in [NOTIFICATION_1, NOTIFICATION_2, CONFIRMATION] {
        assert_eq!(Sent::new(message.as_bytes()).verify(&signatures), Ok(0), "{message}");
    }
    let refusal = Sent::new(CONFIRMATION.as_bytes()).verify(&sns(Some("arn:aws:sns:eu-test-1:123456789012:windows"))).unwrap_err();
    assert_eq!(refusal, SignatureRefusal::Wrong(Cause::Topic));
    let later = Sent::new(NOTIFICATION_2.as_bytes()).verify_later(&signatures, 3_600).unwrap_err();
    assert!(matches!(later, SignatureRefusal::Stale { seconds: 3_599, .. }), "{later:?}");
    // The certificate ends with 2026.
    let next_year = Sent::new(NOTIFICATION_2.as_bytes()).verify_later(&signatures, 86_400 * 120).unwrap_err();
    assert_eq!(next_year, SignatureRefusal::Key(KeyFault::Expired));
}

#[test]
fn every_signed_member_of_an_sns_message_counts() {
    let signatures = sns(None);
    for (from, to) in [
        ("line one", "line 1"),
        ("11111111-", "21111111-"),
        ("Door", "Gate"),
        ("14:13:20.123Z", "14:13:20.124Z"),
        (":doors", ":gates"),
        ("\"Notification\"", "\"SubscriptionConfirmation\""),
        ("\"SignatureVersion\": \"1\"", "\"SignatureVersion\": \"2\""),
        ("\"SignatureVersion\": \"1\"", "\"SignatureVersion\": \"3\""),
        ("\"Type\"", "\"Message\": \"other\", \"Type\""),
        ("\"Subject\"", "\"Other\""),
        ("{", ""),
    ] {
        let changed = NOTIFICATION_1.replacen(from, to, 1);
        assert_ne!(changed, NOTIFICATION_1);
        let refusal = Sent::new(changed.as_bytes()).verify(&signatures).unwrap_err();
        assert!(matches!(refusal, SignatureRefusal::Wrong(Cause::OtherKey) | SignatureRefusal::Malformed { .. }), "{from}: {refusal:?}");
    }
}

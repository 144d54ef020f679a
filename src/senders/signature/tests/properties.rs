//! What holds for every request: signed by one implementation, changed in one byte, refused by ours.

use hmac::{Hmac, KeyInit, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

/// RustCrypto's, not ring's.
fn reference(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn everything() -> SignatureSpec {
    spec(|spec| {
        spec.format = "t={t},v1={sig}".parse().unwrap();
        spec.signed = "{method}|{url}|{header:x-id}|{sig:t}|{body}".parse().unwrap();
        spec.timestamp = Some("sig:t".parse().unwrap());
    })
}

prop_compose! {
    fn requests()(
        body in prop::collection::vec(any::<u8>(), 1..200),
        id in "[!-~]{1,20}",
        query in "[a-z0-9=&%]{1,20}",
        secret in "[ -~]{0,30}[!-~]",
    ) -> (Sent, String) {
        let url = format!("https://hooks.example.com/in?{query}");
        let signature = reference(&secret, &[b"POST|", url.as_bytes(), b"|", id.as_bytes(), b"|1790000000|", &body]);
        (Sent::new(&body).query(&query).header("x-id", &id).header("x-signature", &format!("t=1790000000,v1={signature}")), secret)
    }
}

fn of(secret: &str) -> Signatures {
    let url = Some("https://hooks.example.com/in".to_owned());
    Signatures::new(vec![everything()], &secrets(&[secret]), url, KeySource::default()).unwrap()
}

/// The text with the byte at `at`, counted around, turned into another visible one.
fn changed(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    bytes[at] = if bytes[at] == b'~' { b'!' } else { bytes[at] + 1 };
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn what_the_reference_signs_holds_and_any_changed_byte_is_refused((sent, secret) in requests(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let signatures = of(&secret);
        prop_assert_eq!(sent.verify(&signatures), Ok(0));

        let mut body = sent.clone();
        let index = at.index(body.body.len());
        body.body[index] ^= 1 << bit;
        prop_assert!(body.verify(&signatures).is_err());

        let query = sent.query.clone().unwrap();
        prop_assert!(sent.clone().query(&changed(&query, at.index(query.len()))).verify(&signatures).is_err());

        for name in ["x-id", "x-signature"] {
            let mut header = sent.clone();
            let value = header.headers[name].to_str().unwrap();
            let value = HeaderValue::from_str(&changed(value, at.index(value.len()))).unwrap();
            header.headers.insert(name, value);
            prop_assert!(header.verify(&signatures).is_err());
        }

        let mut shorter = sent.clone();
        shorter.body.pop();
        prop_assert!(shorter.verify(&signatures).is_err());
        let method = Sent { method: Method::PUT, ..sent.clone() };
        prop_assert!(method.verify(&signatures).is_err());
        prop_assert!(sent.verify(&of(&changed(&secret, at.index(secret.len())))).is_err());
    }

    #[test]
    fn what_we_sign_holds(body in prop::collection::vec(any::<u8>(), 0..100), which in 0..6_usize, query in prop::option::of("[a-z=&]{0,9}")) {
        let spec = match which {
            0 => everything(),
            1 => spec(|spec| {
                spec.format = Format::list(" ", "v1,{sig}").unwrap();
                spec.encoding = Encoding::Base64;
                spec.signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}".parse().unwrap();
                spec.timestamp = Some("header:webhook-timestamp".parse().unwrap());
            }),
            2 => spec(|spec| spec.algorithm = Algorithm::FromPrefix),
            3 => spec(|spec| { spec.scheme = Scheme::Hash; spec.signed = "{secret}{body}".parse().unwrap(); }),
            4 => spec(|spec| { spec.scheme = Scheme::Equal; spec.format = "Token {sig}".parse().unwrap(); }),
            _ => spec(|spec| spec.scheme = Scheme::Jwt),
        };
        let signatures = signatures_at("https://hooks.example.com/in", spec);
        // A plain hash proves JSON only.
        let body = if which == 3 { format!("{{\"body\":{body:?}}}").into_bytes() } else { body };
        let mut sent = Sent { query, ..Sent::new(&body) };
        for (name, value) in signatures.sign(&sent.signed(), NOW).unwrap() {
            sent.headers.insert(name, value);
        }
        prop_assert_eq!(sent.verify(&signatures), Ok(0));
    }

    #[test]
    fn arbitrary_values_are_refused_without_harm(value in "(t=|v1=|,|v1|[0-9a-f]{64}|1790000000|\\PC){0,9}", body in prop::collection::vec(any::<u8>(), 0..40)) {
        let Ok(value) = HeaderValue::from_str(&value) else { return Ok(()) };
        let mut sent = Sent::new(&body).header("x-id", "a");
        sent.headers.insert("x-signature", value);
        prop_assert!(sent.verify(&of("s")).is_err());
    }
}

//! Any format, separator, template and header value (a line each), and any body behind them: no panic, nobody gets in who
//! does not know the secret, and what is told about it is one line without the value.
#![no_main]

use hookgate::incident::Timestamp;
use hookgate::secret::Secret;
use hookgate::senders::signature::{
    Format, JsonPath, KeySource, Place, SignatureSpec, Signatures, Signed, Template, TimestampFormat, TimestampPlace,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let [format, separator, template, value] = [line(), line(), line(), line()];
    let body = line();
    let [Ok(format), Ok(separator), Ok(template)] = [format, separator, template].map(std::str::from_utf8) else { return };
    let _ = (template.parse::<JsonPath>(), template.parse::<TimestampPlace>());

    let format = if separator.is_empty() { format.parse() } else { Format::list(separator, format) };
    let (Ok(format), Ok(signed)) = (format, template.parse::<Template>()) else { return };
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let spec = SignatureSpec {
        place: Place::Header(HeaderName::from_static("x-signature")),
        format,
        signed,
        timestamp: Some("header:x-time".parse().expect("a place")),
        timestamp_format: TimestampFormat::Unix,
        ..SignatureSpec::default()
    };
    let url = "https://hooks.example.com/in".to_owned();
    let secret = "nobody can guess this: 9f3c7a";
    let Ok(signatures) = Signatures::new(vec![spec], &[Secret::new(secret.to_owned())], Some(url), KeySource::default()) else { return };

    let now = Timestamp(1_790_000_000_000);
    let time = HeaderValue::from_static("1790000000");
    let mut headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-signature"), value.clone()), (HeaderName::from_static("x-time"), time)]);
    let refusal = signatures.verify_now(&request(&headers, body), now).expect_err("the secret is not known").to_string();
    assert!(!refusal.contains('\n') && !refusal.contains("9f3c7a"), "{refusal:?}");
    assert!(value.len() < 40 || !value.to_str().is_ok_and(|value| refusal.contains(value)), "{refusal:?}");

    if let Some(added) = signatures.sign(&request(&headers, body), now) {
        for (name, value) in added {
            headers.insert(name, value);
        }
        // Odd formats may not be readable; if they are, what was signed holds or is refused, and nothing else happens.
        let _ = signatures.verify_now(&request(&headers, body), now);
    }
});

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Signed<'a> {
    Signed { method: &Method::POST, query: Some("a=b"), headers, body }
}

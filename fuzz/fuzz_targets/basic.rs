//! Any value of an Authorization header: no panic, and what is accepted is the text of exactly these bytes.
#![no_main]

use hookgate::auth::parse_basic;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(credentials) = parse_basic(input) else { return };
    assert!(input[..5].eq_ignore_ascii_case(b"basic"));
    assert!(!credentials.user().contains(':'));
    let decoded = credentials.user().len() + 1 + credentials.password().len();
    let digits = input[5..].iter().filter(|byte| !matches!(byte, b' ' | b'=')).count();
    assert_eq!(decoded, digits * 3 / 4, "every digit is in the text");
});

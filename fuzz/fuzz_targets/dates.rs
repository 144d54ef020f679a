//! Any text as a date and as a number: no panic, and what comes out is RFC 3339 in UTC that reads as itself.
#![no_main]

use hookgate::intake::dates::{from_number, to_utc};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for moment in [to_utc(text), from_number(text)].into_iter().flatten() {
        assert!(moment.len() >= 20 && moment.is_ascii() && moment.ends_with('Z'), "{moment}");
        assert_eq!(to_utc(&moment).as_ref(), Some(&moment), "{text:?}");
    }
});

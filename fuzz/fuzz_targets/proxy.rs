//! Anything in front of a connection: no panic, no header longer than it may be, and no part of a header taken for the whole.
#![no_main]

use hookgate::listener::proxy::{Parsed, parse};

/// Fixed part, addresses and extensions.
const MOST: usize = 16 + 536;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    match whole {
        Ok(Parsed::Complete(header)) => {
            assert!(header.length <= input.len() && header.length <= MOST, "{header:?}");
            assert_eq!(parse(&input[..header.length]), whole, "what follows is not looked at");
            assert!(matches!(parse(&input[..header.length - 1]), Ok(Parsed::Needs(all)) if all <= header.length));
        }
        Ok(Parsed::Needs(all)) => assert!(all > input.len() && all <= MOST, "{all}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

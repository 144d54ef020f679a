//! Percent-encoding (RFC 3986, 2.1), as forms and headers use it.

/// The text with its escapes decoded; what only looks like one stays as it is.
pub(super) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| hex_pair(after)).flatten();
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    decoded
}

/// The byte that the first two characters of `digits` spell.
pub(super) fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_others_kept() {
        for (text, want) in [("a%20b", "a b"), ("%E2%82%ac", "€"), ("%2525", "%25"), ("%", "%"), ("%4", "%4"), ("%zz+", "%zz+"), ("", "")]
        {
            assert_eq!(percent_decoded(text.as_bytes()), want.as_bytes(), "{text}");
        }
    }
}

//! JSON that travels inside a string of JSON, as it is or as base64.

use std::fmt;
use std::str::FromStr;

/// A string in every event that holds JSON itself, such as `base64 .message.data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrap {
    is_base64: bool,
    /// Names of members, from the event inwards; at least one.
    path: Vec<String>,
}

/// Not the place of a string that holds JSON.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not say what to unwrap: write \"json .Message\", or \"base64 .message.data\" where the string is base64")]
pub struct InvalidUnwrap(String);

impl FromStr for Unwrap {
    type Err = InvalidUnwrap;

    fn from_str(text: &str) -> Result<Self, InvalidUnwrap> {
        let invalid = || InvalidUnwrap(text.into());
        let (encoding, path) = text.split_once(' ').ok_or_else(invalid)?;
        let is_base64 = match encoding {
            "base64" => true,
            "json" => false,
            _ => return Err(invalid()),
        };
        let path: Vec<String> = path.trim().strip_prefix('.').ok_or_else(invalid)?.split('.').map(str::to_owned).collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains([' ', '[', ']', '"']);
        if path.iter().all(is_name) { Ok(Self { is_base64, path }) } else { Err(invalid()) }
    }
}

/// As configured.
impl fmt::Display for Unwrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} .{}", if self.is_base64 { "base64" } else { "json" }, self.path.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_unwrap_is_an_encoding_and_a_path() {
        for text in ["json .Message", "base64 .message.data", "json .data.attributes.entity", "json .é.0"] {
            assert_eq!(text.parse::<Unwrap>().unwrap().to_string(), text);
        }
        for text in
            ["", "json", ".Message", "json Message", "json .", "json .a.", "json .a..b", "hex .a", "json .a[]", "JSON .a", "json .a .b"]
        {
            let error = text.parse::<Unwrap>().unwrap_err().to_string();
            assert!(error.contains("base64 .message.data"), "{text}: {error}");
        }
    }
}

//! What the small languages of a signature's configuration have in common: text with `{…}` in it, and what can be wrong.

/// A piece of configuration that cannot be read; the message shows how it should look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNotation {
    /// An opening brace without its closing one, or the other way round.
    #[error("a brace stands alone: write placeholders as in {0}, and {{{{ or }}}} for a brace itself")]
    Brace(&'static str),
    /// A placeholder that means nothing here.
    #[error("unknown placeholder {{{found}}}; known are {known}")]
    Placeholder {
        /// As written.
        found: String,
        /// The placeholders that there are.
        known: &'static str,
    },
    /// Not the name of a header.
    #[error("{0:?} is no name of a header, such as X-Hub-Signature-256")]
    HeaderName(String),
    /// Not a path to a member of a JSON body.
    #[error("{0:?} is no path into the body, such as .signature.timestamp or .value[].clientState")]
    JsonPath(String),
    /// A format without the one thing it is for.
    #[error("must hold {{sig}} exactly once in each item it describes, as in sha256={{sig}}")]
    NoSignature,
    /// Placeholders with nothing between them that would tell where one ends.
    #[error("text must stand between two placeholders, as in t={{t}},v1={{sig}}")]
    Adjacent,
    /// A format of several items without a separator between them.
    #[error("items must be divided by one of , ; & or a space, as in t={{t}},v1={{sig}}")]
    NoSeparator,
    /// A placeholder that stands twice.
    #[error("{{{0}}} stands there twice, so it is not clear which one counts")]
    Twice(String),
    /// A place for a timestamp that is none.
    #[error("{0:?} is no place for a timestamp, such as header:X-Request-Timestamp, sig:t or json:.timestamp")]
    TimestampPlace(String),
    /// Nothing at all.
    #[error("must not be empty; an example is {0}")]
    Empty(&'static str),
}

/// A run of text, or the inside of a pair of braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(String),
    Hole(String),
}

/// Splits text with placeholders; `{{` and `}}` stand for braces.
pub(super) fn tokens(text: &str, example: &'static str) -> Result<Vec<Token>, InvalidNotation> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '{' | '}' if chars.next_if_eq(&char).is_some() => literal.push(char),
            '{' => {
                if !literal.is_empty() {
                    tokens.push(Token::Literal(std::mem::take(&mut literal)));
                }
                let mut hole = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        None | Some('{') => return Err(InvalidNotation::Brace(example)),
                        Some(inside) => hole.push(inside),
                    }
                }
                tokens.push(Token::Hole(hole));
            }
            '}' => return Err(InvalidNotation::Brace(example)),
            other => literal.push(other),
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_placeholders_unless_doubled() {
        let read = |text| tokens(text, "{sig}");
        assert_eq!(read("v0={sig}"), Ok(vec![Token::Literal("v0=".into()), Token::Hole("sig".into())]));
        assert_eq!(read("{{{a}}}"), Ok(vec![Token::Literal("{".into()), Token::Hole("a".into()), Token::Literal("}".into())]));
        assert_eq!(read(""), Ok(vec![]));
        for text in ["{", "}", "{sig", "sig}", "{a{b}}", "{{sig}"] {
            assert_eq!(read(text), Err(InvalidNotation::Brace("{sig}")), "{text}");
        }
    }
}

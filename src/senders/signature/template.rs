//! What was signed, as text with placeholders.

use std::str::FromStr;

use http::HeaderName;

use super::json::JsonPath;
use super::notation::{InvalidNotation, Token, tokens};

const EXAMPLE: &str = "{header:X-Request-Timestamp}.{body}";
const KNOWN: &str = "{body}, {method}, {url}, {url:unescaped}, {header:NAME}, {sig:NAME}, {json:.PATH} and {secret}";

/// What the sender signs: `v0:{header:X-Slack-Request-Timestamp}:{body}`.
///
/// `{body}` is the body as received; `{method}` in upper case; `{url}` the public address with the request's query, and
/// `{url:unescaped}` the same with the escapes of `: / ? @ ! $ ' ( ) * , ;` undone, as HubSpot wants it; `{header:NAME}` a
/// header's value; `{sig:NAME}` another part of the signature's own header; `{json:.PATH}` a member of the body; `{secret}` the
/// secret, where a plain hash is taken. `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub(super) Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Body,
    Method,
    Url { is_unescaped: bool },
    Header(HeaderName),
    Sig(String),
    Json(JsonPath),
    Secret,
}

impl Template {
    pub(super) fn body() -> Self {
        Self(vec![Part::Body])
    }

    pub(super) fn has_url(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Url { .. }))
    }

    pub(super) fn has_body(&self) -> bool {
        self.0.contains(&Part::Body)
    }

    pub(super) fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    pub(super) fn ends_with_secret(&self) -> bool {
        self.0.last() == Some(&Part::Secret)
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().filter_map(|part| if let Part::Header(name) = part { Some(name) } else { None })
    }

    /// Names of the parts of the signature's own header.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Sig(name) = part { Some(name.as_str()) } else { None })
    }

    pub(super) fn json_paths(&self) -> impl Iterator<Item = &JsonPath> {
        self.0.iter().filter_map(|part| if let Part::Json(path) = part { Some(path) } else { None })
    }
}

impl FromStr for Template {
    type Err = InvalidNotation;

    fn from_str(text: &str) -> Result<Self, InvalidNotation> {
        let tokens = tokens(text, EXAMPLE)?;
        if tokens.is_empty() {
            return Err(InvalidNotation::Empty(EXAMPLE));
        }
        let parts = tokens.into_iter().map(|token| match token {
            Token::Literal(text) => Ok(Part::Literal(text)),
            Token::Hole(hole) => part(&hole),
        });
        parts.collect::<Result<_, _>>().map(Self)
    }
}

fn part(hole: &str) -> Result<Part, InvalidNotation> {
    let unknown = || InvalidNotation::Placeholder { found: hole.to_owned(), known: KNOWN };
    match hole.split_once(':') {
        None => match hole {
            "body" => Ok(Part::Body),
            "method" => Ok(Part::Method),
            "url" => Ok(Part::Url { is_unescaped: false }),
            "secret" => Ok(Part::Secret),
            _ => Err(unknown()),
        },
        Some(("url", "unescaped")) => Ok(Part::Url { is_unescaped: true }),
        Some(("header", name)) => header_name(name).map(Part::Header),
        Some(("sig", name)) if !name.is_empty() => Ok(Part::Sig(name.to_owned())),
        Some(("json", path)) => path.parse().map(Part::Json),
        Some(_) => Err(unknown()),
    }
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, InvalidNotation> {
    text.parse().map_err(|_| InvalidNotation::HeaderName(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_placeholder_is_known() {
        let template: Template = "{method} {url}{url:unescaped}{header:X-A}{sig:t}{json:.a.b}{secret}{{{body}".parse().unwrap();
        assert_eq!(
            template.0,
            [
                Part::Method,
                Part::Literal(" ".into()),
                Part::Url { is_unescaped: false },
                Part::Url { is_unescaped: true },
                Part::Header(HeaderName::from_static("x-a")),
                Part::Sig("t".into()),
                Part::Json(".a.b".parse().unwrap()),
                Part::Secret,
                Part::Literal("{".into()),
                Part::Body,
            ]
        );
    }

    #[test]
    fn mistakes_show_how_it_is_written() {
        for (text, want) in [
            ("", "an example is {header:X-Request-Timestamp}.{body}"),
            ("{body", "a brace stands alone: write placeholders as in {header:X-Request-Timestamp}.{body}, and {{ or }} for a brace"),
            ("{Body}", "unknown placeholder {Body}; known are {body}, "),
            ("{}", "unknown placeholder {}"),
            ("{sig:}", "unknown placeholder {sig:}"),
            ("{header:a b}", "\"a b\" is no name of a header"),
            ("{json:a}", "\"a\" is no path into the body"),
        ] {
            let message = text.parse::<Template>().unwrap_err().to_string();
            assert!(message.contains(want), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_no_harm(text in "(\\{|\\}|:|body|url|sig|json|\\.a|header|\\PC){0,12}") {
            let _ = text.parse::<Template>();
        }
    }
}

//! How the signature stands in its header: one value, or a list of items.

use std::str::FromStr;

use super::notation::{InvalidNotation, Token, tokens};

const EXAMPLE: &str = "sha256={sig}";
/// What divides the items of a format that shows several.
const SEPARATORS: [char; 4] = [',', ';', '&', ' '];
/// Senders that rotate keys send two or three; each one is compared with each secret.
const MAX_SIGNATURES: usize = 16;

/// `{sig}`, `sha256={sig}`, `t={t},v1={sig}`, or with [`Format::list`] a list of items of one kind.
///
/// `{sig}` is the signature, `{algorithm}` the name of its hash function where the sender writes it, and any other name is a
/// part that the signed text may use as `{sig:NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// None: the whole value is one item.
    separator: Option<String>,
    items: Vec<Item>,
}

/// What one item looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item(Vec<Token>);

/// A signature as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'v> {
    pub(super) signature: &'v str,
    /// The hash function that stands beside it.
    pub(super) algorithm: Option<&'v str>,
}

/// What a value holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading<'v> {
    /// At least one, [`MAX_SIGNATURES`] at most.
    pub(super) found: Vec<Found<'v>>,
    /// Each name once.
    pub(super) named: Vec<(&'v str, &'v str)>,
}

impl Format {
    /// `{sig}`: the value is the signature.
    pub fn plain() -> Self {
        Self { separator: None, items: vec![Item(vec![Token::Hole("sig".to_owned())])] }
    }

    /// A list of items that look like `item`, such as `v1,{sig}`; other items are ignored.
    ///
    /// # Errors
    /// If `item` is no format, or the separator is empty.
    pub fn list(separator: &str, item: &str) -> Result<Self, InvalidNotation> {
        if separator.is_empty() {
            return Err(InvalidNotation::Empty("\",\""));
        }
        let format = Self { separator: Some(separator.to_owned()), items: vec![Item(tokens(item, EXAMPLE)?)] };
        format.checked()
    }

    pub(super) fn is_plain(&self) -> bool {
        *self == Self::plain()
    }

    /// The items of a version `v1` become those of `v1a`, which in Standard Webhooks are the ones of public keys.
    pub(super) fn asymmetric(mut self) -> Self {
        for Item(item) in &mut self.items {
            if let [Token::Literal(version), Token::Hole(_)] = item.as_mut_slice()
                && let Some((last, _)) = version.char_indices().last()
            {
                version.insert(last, 'a');
            }
        }
        self
    }

    /// Whether there is a part of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.items.iter().any(|item| item.holes().any(|hole| hole == name))
    }

    /// What `value` holds; none if it does not look like this.
    pub(super) fn read<'v>(&'v self, value: &'v str) -> Option<Reading<'v>> {
        let mut reading = Reading::default();
        match &self.separator {
            None => self.read_item(value, &mut reading)?,
            Some(separator) => {
                for piece in value.split(separator.as_str()) {
                    self.read_item(piece.trim_matches([' ', '\t']), &mut reading)?;
                }
            }
        }
        // Two values for one name could be told apart differently by whoever checks and whoever uses them.
        let mut names: Vec<_> = reading.named.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let is_ambiguous = names.windows(2).any(|pair| pair[0] == pair[1]);
        let is_complete = self.names().all(|name| reading.named.iter().any(|(found, _)| *found == name));
        let is_sound = (1..=MAX_SIGNATURES).contains(&reading.found.len()) && is_complete && !is_ambiguous;
        is_sound.then_some(reading)
    }

    /// The value with everything in its place; `part` gives what is not the signature.
    pub(super) fn write(&self, signature: &str, algorithm: &str, part: impl Fn(&str) -> String) -> String {
        let items = self.items.iter().map(|Item(tokens)| {
            let texts = tokens.iter().map(|token| match token {
                Token::Literal(text) => text.clone(),
                Token::Hole(hole) if hole == "sig" => signature.to_owned(),
                Token::Hole(hole) if hole == "algorithm" => algorithm.to_owned(),
                Token::Hole(hole) => part(hole),
            });
            texts.collect::<String>()
        });
        items.collect::<Vec<_>>().join(self.separator.as_deref().unwrap_or_default())
    }

    /// Items that look like none of ours are passed over. None if there is more of it than anybody sends.
    fn read_item<'v>(&'v self, piece: &'v str, reading: &mut Reading<'v>) -> Option<()> {
        let Some(parts) = self.items.iter().find_map(|item| item.read(piece)) else { return Some(()) };
        let algorithm = parts.iter().find(|(name, _)| *name == "algorithm").map(|(_, text)| *text);
        for (name, text) in parts {
            match name {
                "sig" => reading.found.push(Found { signature: text, algorithm }),
                "algorithm" => {}
                _ => reading.named.push((name, text)),
            }
        }
        (reading.found.len() + reading.named.len() <= MAX_SIGNATURES + self.items.len()).then_some(())
    }

    /// Of the parts beside the signature.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().flat_map(Item::holes).filter(|hole| !matches!(*hole, "sig" | "algorithm"))
    }

    fn checked(self) -> Result<Self, InvalidNotation> {
        if self.items.iter().flat_map(Item::holes).filter(|hole| *hole == "sig").count() != 1 {
            return Err(InvalidNotation::NoSignature);
        }
        for item in &self.items {
            if item.0.windows(2).any(|pair| matches!(pair, [Token::Hole(_), Token::Hole(_)])) {
                return Err(InvalidNotation::Adjacent);
            }
            let is_name = |hole: &str| !hole.is_empty() && hole.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if let Some(hole) = item.holes().find(|hole| !is_name(hole)) {
                let known = "{sig}, {algorithm}, and names of other parts such as {t}";
                return Err(InvalidNotation::Placeholder { found: hole.to_owned(), known });
            }
        }
        let mut holes: Vec<_> = self.items.iter().flat_map(Item::holes).collect();
        holes.sort_unstable();
        match holes.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(InvalidNotation::Twice(pair[0].to_owned())),
            None => Ok(self),
        }
    }
}

impl Item {
    fn holes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|token| if let Token::Hole(hole) = token { Some(hole.as_str()) } else { None })
    }

    /// The text of each placeholder, none of them empty; none if `piece` looks otherwise.
    fn read<'v>(&'v self, piece: &'v str) -> Option<Vec<(&'v str, &'v str)>> {
        let mut parts = Vec::new();
        let mut rest = piece;
        for (index, token) in self.0.iter().enumerate() {
            match token {
                Token::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Token::Hole(name) => {
                    let end = match self.0.get(index + 1) {
                        // The signature may hold the very signs that follow it: base64 ends in `=`.
                        Some(Token::Literal(text)) if index + 2 == self.0.len() => rest.strip_suffix(text.as_str())?.len(),
                        Some(Token::Literal(text)) => rest.find(text.as_str())?,
                        _ => rest.len(),
                    };
                    if end == 0 {
                        return None;
                    }
                    parts.push((name.as_str(), &rest[..end]));
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(parts)
    }
}

impl FromStr for Format {
    type Err = InvalidNotation;

    /// A format that shows several placeholders beside `{algorithm}` is a list, divided by the first of `, ; &` and space in it.
    fn from_str(text: &str) -> Result<Self, InvalidNotation> {
        let whole = Item(tokens(text, EXAMPLE)?);
        if whole.0.is_empty() {
            return Err(InvalidNotation::Empty(EXAMPLE));
        }
        if whole.holes().filter(|hole| *hole != "algorithm").count() < 2 {
            return Self { separator: None, items: vec![whole] }.checked();
        }
        let literals = |separator: char| whole.0.iter().any(|token| matches!(token, Token::Literal(text) if text.contains(separator)));
        let separator = SEPARATORS.into_iter().find(|separator| literals(*separator)).ok_or(InvalidNotation::NoSeparator)?;
        let items = text.split(separator).map(|item| tokens(item.trim_matches(' '), EXAMPLE).map(Item));
        let items = items.collect::<Result<_, _>>()?;
        Self { separator: Some(separator.to_string()), items }.checked()
    }
}

#[cfg(test)]
mod tests;

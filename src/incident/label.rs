//! Names and types of incidents.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// The text of a name or a type. Ten thousand long ones in one request must not cost as much again as the request: what a sender
/// spelled out is a part of what was sent.
#[derive(Clone)]
pub struct Label(Text);

#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Owned(String),
    Shared(Arc<str>),
    /// UTF-8.
    Part(Bytes),
}

impl Label {
    /// A part of a larger text, which stays in memory as long as this does. None if it is not UTF-8.
    pub fn part(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(Text::Part(bytes)))
    }

    /// Bytes of a larger text that this is.
    pub fn shared_bytes(&self) -> usize {
        if let Text::Part(bytes) = &self.0 { bytes.len() } else { 0 }
    }

    /// Bytes that this keeps for itself alone.
    pub fn own_bytes(&self) -> usize {
        if let Text::Owned(text) = &self.0 { text.capacity() } else { 0 }
    }

    /// Lets go of the larger text that this may be a part of: it becomes a part of what is appended to `texts`.
    pub fn move_to(&mut self, texts: &mut BytesMut) {
        if let Text::Part(bytes) = &mut self.0 {
            texts.extend_from_slice(bytes);
            *bytes = texts.split().freeze();
        }
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Fixed(text) => text,
            Text::Owned(text) => text,
            Text::Shared(text) => text,
            Text::Part(bytes) => std::str::from_utf8(bytes).expect("it was UTF-8 when it was made"),
        }
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Self(Text::Fixed(text))
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self(Text::Owned(text))
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self(Text::Shared(text))
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_text_wherever_that_is_kept() {
        let whole = Bytes::from_static("näme, rest".as_bytes());
        let part = Label::part(whole.slice(..5)).unwrap();
        let shared: Arc<str> = "näme".into();
        for label in [Label::from("näme"), Label::from("näme".to_owned()), Label::from(shared)] {
            assert_eq!(part, label);
        }
        assert_eq!(part, "näme");
        assert_eq!(Label::part(whole.slice(..2)), None);
    }

    #[test]
    fn labels_can_move_out_of_a_large_text_into_one_allocation() {
        let whole = Bytes::from(b"one, two, rest".to_vec());
        let mut labels = [Label::part(whole.slice(..3)).unwrap(), "fixed".into(), Label::part(whole.slice(5..8)).unwrap()];
        let mut texts = BytesMut::with_capacity(labels.iter().map(Label::shared_bytes).sum());
        labels.iter_mut().for_each(|label| label.move_to(&mut texts));
        assert!(whole.is_unique(), "nothing keeps it any more");
        assert_eq!(labels, ["one", "fixed", "two"]);
    }
}

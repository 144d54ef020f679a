//! A text looked for in one row after the other, as cheaply as looking at every byte can be: nothing is made of a row but its lower
//! case.

use memchr::memmem::Finder;
use rusqlite::Row;

use crate::incident::{IncidentId, Seq};

/// What a walk has to select for [`Search::finds`], after three columns of its own.
pub(super) const COLUMNS: &str = ", i.tail, i.type, i.name, i.raw";
/// Bytes brought to lower case at a time: they stay in the processor's cache, and memory stays flat.
const CHUNK: usize = 32 << 10;
/// Digits and dashes of an id.
const ID_LENGTH: usize = 36;

/// A text to be found whatever the case of its ASCII letters.
pub(super) struct Search {
    /// In lower case. Its time is linear whatever senders and people make up.
    finder: Finder<'static>,
    may_be_of_id: bool,
    lower: Vec<u8>,
}

impl Search {
    pub(super) fn new(text: &str) -> Self {
        let needle = text.to_ascii_lowercase().into_bytes();
        let may_be_of_id = needle.len() <= ID_LENGTH && needle.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        Self { finder: Finder::new(&needle).into_owned(), may_be_of_id, lower: Vec::new() }
    }

    /// Whether people would find the incident of this row by the text. Says nothing about whether it is as it was stored.
    pub(super) fn finds(&mut self, seq: Seq, row: &Row<'_>) -> rusqlite::Result<bool> {
        // The largest last.
        for column in 4..=6 {
            let value = row.get_ref(column)?;
            if value.as_bytes().is_ok_and(|text| self.is_in(text)) {
                return Ok(true);
            }
        }
        if !self.may_be_of_id {
            return Ok(false);
        }
        let id = IncidentId::new(seq, row.get::<_, i64>(3)?.cast_unsigned());
        Ok(self.is_in(id.to_string().as_bytes()))
    }

    fn is_in(&mut self, mut hay: &[u8]) -> bool {
        let length = CHUNK + self.finder.needle().len();
        loop {
            self.lower.clear();
            self.lower.extend_from_slice(&hay[..hay.len().min(length)]);
            self.lower.make_ascii_lowercase();
            if self.finder.find(&self.lower).is_some() {
                return true;
            }
            if hay.len() <= length {
                return false;
            }
            // What begins in this chunk was seen whole.
            hay = &hay[CHUNK..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_could_be_of_an_id_is_looked_for_in_ids() {
        for (text, may_be) in [("0190B6C1-", true), ("", true), ("dead", true), ("0190g", false), ("é", false), (&"0".repeat(37), false)] {
            assert_eq!(Search::new(text).may_be_of_id, may_be, "{text}");
        }
    }

    #[test]
    fn what_lies_across_chunks_is_found() {
        let needle = "Over-The-Edge";
        for at in CHUNK - 20..CHUNK + 20 {
            let mut hay = vec![b'e'; 3 * CHUNK];
            hay[at..][..needle.len()].copy_from_slice(needle.as_bytes());
            assert!(Search::new("oVER-tHE-eDGE").is_in(&hay), "{at}");
            hay.truncate(at + needle.len() - 1);
            assert!(!Search::new(needle).is_in(&hay), "{at}, cut off");
        }
    }

    proptest! {
        #[test]
        fn finding_agrees_with_the_plain_way(hay in "[aAbBéÉ\\PC]{0,40}", needle in "[aAbBéÉ]{0,4}", repeated in 0..2000_usize) {
            let hay = hay.repeat(repeated);
            let is_found = hay.to_ascii_lowercase().contains(&needle.to_ascii_lowercase());
            prop_assert_eq!(Search::new(&needle).is_in(hay.as_bytes()), is_found);
        }

        #[test]
        fn part_of_a_text_is_found_in_any_case(hay in "\\PC{1,200}", from: prop::sample::Index, to: prop::sample::Index) {
            let at: Vec<_> = hay.char_indices().map(|(at, _)| at).chain([hay.len()]).collect();
            let (from, to) = (*from.get(&at), *to.get(&at));
            let part = &hay[from.min(to)..from.max(to)];
            prop_assert!(Search::new(part).is_in(hay.to_ascii_uppercase().as_bytes()));
            prop_assert!(Search::new(&part.to_ascii_uppercase()).is_in(hay.as_bytes()));
        }
    }
}

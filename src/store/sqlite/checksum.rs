//! A CRC-32 over everything that is read back as one incident, so that bits that rot are not handed on as what was sent.
//!
//! SQLite itself has no checksums in its pages. Ours also covers the request's headers, which a row may share with another.

use crc32fast::Hasher;

use crate::incident::{Field, Seq};

/// What a serving thread can hash before the writer knows where the incident stands.
#[derive(Clone, Debug)]
pub(super) struct Content(Hasher);

impl Content {
    /// What all incidents of a request have in common.
    pub(super) fn of_request(instance: &str, headers: &str) -> Self {
        let mut content = Self(Hasher::new());
        content.field(Some(instance.as_bytes()));
        content.field(Some(headers.as_bytes()));
        content
    }

    /// Adds what is the incident's own.
    pub(super) fn of_incident(mut self, kind: Option<&str>, occurred: Option<&str>, name: &str, raw: &[u8]) -> Self {
        self.field(kind.map(str::as_bytes));
        self.field(occurred.map(str::as_bytes));
        self.field(Some(name.as_bytes()));
        self.field(Some(raw));
        self
    }

    /// Adds own fields. Without any nothing is added: as it was before there were fields.
    pub(super) fn with_fields(mut self, fields: &[Field]) -> Self {
        for field in fields {
            self.field(Some(field.name.as_bytes()));
            self.field(Some(field.value.as_bytes()));
        }
        self
    }

    /// Adds what the writer decides.
    pub(super) fn stored_at(mut self, place: Place) -> u32 {
        for number in [place.seq.0, place.tail, place.created, place.request.map_or(-1, |seq| seq.0)] {
            self.0.update(&number.to_le_bytes());
        }
        self.0.finalize()
    }

    /// Presence and length come first, so that nothing can move from one field to the next unnoticed.
    fn field(&mut self, value: Option<&[u8]>) {
        let length = value.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.0.update(&length.to_le_bytes());
        self.0.update(value.unwrap_or_default());
    }
}

/// The columns that the writer decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) seq: Seq,
    pub(super) tail: i64,
    pub(super) created: i64,
    pub(super) request: Option<Seq>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { seq: Seq(7), tail: 8, created: 9, request: None };

    fn checksum(kind: Option<&str>, occurred: Option<&str>, name: &str, raw: &[u8], place: Place) -> u32 {
        Content::of_request("a", "{}").of_incident(kind, occurred, name, raw).stored_at(place)
    }

    fn with_fields(fields: &[(&str, &str)]) -> u32 {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect();
        Content::of_request("a", "{}").of_incident(None, None, "n", b"{}").with_fields(&fields).stored_at(PLACE)
    }

    #[test]
    fn without_fields_a_checksum_is_what_it_was_before_there_were_any() {
        assert_eq!(with_fields(&[]), checksum(None, None, "n", b"{}", PLACE));
        assert_eq!(with_fields(&[]), 3_747_838_757, "as in existing databases");
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let sums = [
            checksum(None, None, "n", b"{}", PLACE),
            checksum(Some(""), None, "n", b"{}", PLACE),
            checksum(None, Some(""), "n", b"{}", PLACE),
            checksum(None, None, "n{", b"}", PLACE),
            checksum(None, None, "n", b"{}", Place { seq: Seq(8), ..PLACE }),
            checksum(None, None, "n", b"{}", Place { tail: 9, ..PLACE }),
            checksum(None, None, "n", b"{}", Place { created: 8, ..PLACE }),
            checksum(None, None, "n", b"{}", Place { request: Some(Seq(7)), ..PLACE }),
            Content::of_request("a{", "}").of_incident(None, None, "n", b"{}").stored_at(PLACE),
            with_fields(&[("a", "b")]),
            with_fields(&[("ab", "")]),
            with_fields(&[("a", "b"), ("c", "d")]),
            with_fields(&[("a", "d"), ("c", "b")]),
        ];
        for (i, sum) in sums.iter().enumerate() {
            assert!(!sums[..i].contains(sum), "{i} equals an earlier one");
        }
    }
}

//! Where an incident stands, and what it is called.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::Timestamp;

/// Bits of a sequence number below its millisecond: 32,768 incidents a millisecond before the number runs ahead of the clock.
const COUNTER_BITS: u32 = 15;
/// Random bits of an id: what UUIDv7 leaves after time, version, variant and our counter.
const TAIL_BITS: u32 = 59;

/// Where an incident stands in the stream of all incidents: strictly rising, never reused.
///
/// Its upper 48 bits are the millisecond of storing, the lower 15 a counter; when the clock stands still or jumps back, the
/// number goes on from the last one. It is the store's row id, so that finding an id needs no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

impl Seq {
    /// The smallest number of a millisecond. Negative times (before 1970) count as 0.
    pub fn first_of(time: Timestamp) -> Self {
        Self(time.0.clamp(0, (1 << 48) - 1) << COUNTER_BITS)
    }

    /// The number after `last`: of this millisecond, unless the clock stands still or ran back.
    pub fn after(last: Self, now: Timestamp) -> Self {
        Self(Self::first_of(now).0.max(last.0 + 1))
    }

    /// The millisecond in it: the time of storing, or later where the clock ran back.
    pub fn time(self) -> Timestamp {
        Timestamp(self.0 >> COUNTER_BITS)
    }
}

/// An incident's id: a UUIDv7 (RFC 9562) made of its [`Seq`] and 59 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncidentId {
    seq: Seq,
    tail: u64,
}

impl IncidentId {
    /// The id of the incident at `seq`; only the low 59 bits of `tail` are used.
    pub fn new(seq: Seq, tail: u64) -> Self {
        Self { seq, tail: tail & ((1 << TAIL_BITS) - 1) }
    }

    /// A fresh random tail.
    pub fn random_tail() -> u64 {
        fastrand::u64(..) & ((1 << TAIL_BITS) - 1)
    }

    /// Where the incident stands.
    pub fn seq(self) -> Seq {
        self.seq
    }

    /// The random part.
    pub fn tail(self) -> u64 {
        self.tail
    }

    fn to_uuid(self) -> Uuid {
        let seq = self.seq.0 as u64;
        let counter = seq & ((1 << COUNTER_BITS) - 1);
        let high = (seq >> COUNTER_BITS) << 16 | 0x7000 | counter >> 3;
        let low = 0b10 << 62 | (counter & 0b111) << TAIL_BITS | self.tail;
        Uuid::from_u64_pair(high, low)
    }

    fn from_uuid(uuid: Uuid) -> Option<Self> {
        let (high, low) = uuid.as_u64_pair();
        if high >> 12 & 0xf != 7 || low >> 62 != 0b10 {
            return None;
        }
        let counter = (high & 0xfff) << 3 | low >> TAIL_BITS & 0b111;
        let seq = i64::try_from((high >> 16) << COUNTER_BITS | counter).ok()?;
        Some(Self::new(Seq(seq), low))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_uuid().as_hyphenated().fmt(f)
    }
}

/// Not the text of a UUIDv7.
#[derive(Debug, thiserror::Error)]
#[error("not an incident id: expected a UUIDv7 such as 0190b6c1-8f2a-7000-8000-0123456789ab")]
pub struct InvalidId;

impl FromStr for IncidentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).ok().and_then(Self::from_uuid).ok_or(InvalidId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_round_trips_and_is_a_version_7_uuid() {
        let id = IncidentId::new(Seq::after(Seq(0), Timestamp(1_700_000_000_123)), u64::MAX);
        let text = id.to_string();
        assert_eq!(Uuid::try_parse(&text).unwrap().get_version_num(), 7);
        assert_eq!(text.parse::<IncidentId>().unwrap(), id);
        assert_eq!(id.seq().time(), Timestamp(1_700_000_000_123));
    }

    #[test]
    fn ids_sort_as_they_were_stored() {
        let mut last = Seq(0);
        let mut texts = Vec::new();
        for now in [5, 5, 5, 9, 3, 10] {
            last = Seq::after(last, Timestamp(now));
            texts.push(IncidentId::new(last, IncidentId::random_tail()).to_string());
        }
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
    }

    #[test]
    fn other_uuids_are_refused() {
        for text in ["", "x", "550e8400-e29b-41d4-a716-446655440000"] {
            assert!(text.parse::<IncidentId>().is_err(), "{text}");
        }
    }
}

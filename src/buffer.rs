//! Memory for bytes that come piece by piece, so that a large body costs itself and little more.
//!
//! An allocator that grows a large block needs the old and the new one at the same time, and keeps both for a while when they
//! are freed. Large contents are therefore kept in pages of their own: reserved once for all that can come, resident only as far
//! as something came, and given back to the system the moment they are dropped.

use bytes::Bytes;
use memmap2::MmapMut;

/// From here on pages of their own. Asking the system for them costs less than filling them.
const LARGE: usize = 1 << 20;
/// How much more is reserved than there is, while it is small: a few steps to [`LARGE`].
const GROWTH: usize = 8;
/// The same for pages. It bounds what somebody can have reserved who only announces much; a step to another mapping copies a
/// sixteenth of it.
const LARGE_GROWTH: usize = 16;

/// Bytes that are being collected.
#[derive(Debug)]
pub struct Buffer {
    /// As far as is known, no more than this will come.
    most: usize,
    bytes: Contents,
}

#[derive(Debug)]
enum Contents {
    Small(Vec<u8>),
    Large(Pages),
}

/// Pages that are filled from the front.
#[derive(Debug)]
struct Pages {
    pages: MmapMut,
    filled: usize,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.pages[..self.filled]
    }
}

impl Buffer {
    /// An empty one, for at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, bytes: Contents::Small(Vec::new()) }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a piece.
    pub fn append(&mut self, piece: &[u8]) {
        self.make_room(piece.len());
        match &mut self.bytes {
            Contents::Small(bytes) => bytes.extend_from_slice(piece),
            Contents::Large(Pages { pages, filled }) => {
                pages[*filled..*filled + piece.len()].copy_from_slice(piece);
                *filled += piece.len();
            }
        }
    }

    /// All of it, without a copy.
    pub fn freeze(self) -> Bytes {
        match self.bytes {
            Contents::Small(bytes) => bytes.into(),
            Contents::Large(pages) => Bytes::from_owner(pages),
        }
    }

    fn make_room(&mut self, more: usize) {
        let needed = self.len() + more;
        if self.capacity() >= needed {
            return;
        }
        let within = |growth: usize| needed.saturating_mul(growth).min(self.most).max(needed);
        if needed >= LARGE
            && let Ok(pages) = MmapMut::map_anon(within(LARGE_GROWTH))
        {
            let mut larger = Pages { pages, filled: self.len() };
            larger.pages[..self.len()].copy_from_slice(self.as_ref());
            self.bytes = Contents::Large(larger);
            return;
        }
        // Small, or the system has no more mappings to give.
        let mut larger = Vec::with_capacity(within(GROWTH));
        larger.extend_from_slice(self.as_ref());
        self.bytes = Contents::Small(larger);
    }

    fn capacity(&self) -> usize {
        match &self.bytes {
            Contents::Small(bytes) => bytes.capacity(),
            Contents::Large(pages) => pages.pages.len(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match &self.bytes {
            Contents::Small(bytes) => bytes,
            Contents::Large(pages) => pages.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_grows_with_what_arrives_and_no_further_than_what_can_come() {
        let (most, mut buffer, mut steps) = (10 << 20, Buffer::new(10 << 20), 0);
        while buffer.len() < most {
            let before = buffer.capacity();
            buffer.append(&[7; 65_536]);
            steps += usize::from(buffer.capacity() != before);
            assert!(buffer.capacity() <= most && buffer.capacity() <= buffer.len() * LARGE_GROWTH, "{}", buffer.capacity());
        }
        assert!(steps <= 3, "{steps}");
        assert!(matches!(&buffer.bytes, Contents::Large(_)));
        assert!(buffer.freeze().iter().all(|byte| *byte == 7));
    }

    #[test]
    fn more_than_was_expected_is_no_harm() {
        let mut buffer = Buffer::new(1);
        for length in [3, LARGE, 1] {
            buffer.append(&vec![b'x'; length]);
        }
        assert_eq!(buffer.freeze().len(), LARGE + 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn what_comes_out_is_what_came_in(pieces in prop::collection::vec((any::<u8>(), 0..400_000_usize), 0..8), most in 0..3_000_000_usize) {
            let (mut buffer, mut whole) = (Buffer::new(most), Vec::new());
            for (byte, length) in pieces {
                let piece = vec![byte; length];
                buffer.append(&piece);
                whole.extend_from_slice(&piece);
                prop_assert_eq!(buffer.is_empty(), whole.is_empty());
            }
            prop_assert!(buffer.freeze() == whole);
        }
    }
}

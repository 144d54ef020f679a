//! JSON that is made of a body that is none, within the limit of bodies.

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{IntakeError, json};

/// A text that grows up to a limit.
pub(super) struct Writer {
    text: String,
    max: usize,
}

impl Writer {
    /// `expected`: for how many bytes room is made at once.
    pub(super) fn new(expected: usize, max: usize) -> Self {
        Self { text: String::with_capacity(expected.min(max)), max }
    }

    /// Appends JSON as it is.
    ///
    /// # Errors
    /// `TooLarge`, as all that follow.
    pub(super) fn json(&mut self, json: &str) -> Result<(), IntakeError> {
        self.room(json.len())?;
        self.text.push_str(json);
        Ok(())
    }

    /// Appends a string: the text with U+FFFD in place of what is not UTF-8.
    pub(super) fn string(&mut self, text: &[u8]) -> Result<(), IntakeError> {
        self.room(string_len(text))?;
        self.text.push('"');
        lossy(text).for_each(|part| json::quote(&mut self.text, part));
        self.text.push('"');
        Ok(())
    }

    /// Appends a string that is the bytes in base64.
    pub(super) fn base64(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        use std::fmt::Write;
        self.room(base64_len(bytes))?;
        write!(self.text, "\"{}\"", Base64Display::new(bytes, &STANDARD)).expect("a String takes everything");
        Ok(())
    }

    /// Appends the name of a member of the one object that the text is; its value must follow.
    pub(super) fn member(&mut self, name: &[u8]) -> Result<(), IntakeError> {
        self.json(if self.text.is_empty() { "{" } else { "," })?;
        self.string(name)?;
        self.json(":")
    }

    pub(super) fn finish(self) -> Bytes {
        self.text.into()
    }

    /// Makes room for `more` bytes: doubling as `String` does, but never beyond the limit.
    fn room(&mut self, more: usize) -> Result<(), IntakeError> {
        let length = self.text.len();
        let needed = length.checked_add(more).filter(|needed| *needed <= self.max).ok_or(IntakeError::TooLarge)?;
        if self.text.capacity() < needed {
            self.text.reserve_exact((length * 2).clamp(needed, self.max) - length);
        }
        Ok(())
    }
}

/// How many bytes [`Writer::string`] appends.
pub(super) fn string_len(text: &[u8]) -> usize {
    lossy(text).map(json::quoted_len).sum::<usize>() + 2
}

/// How many bytes [`Writer::base64`] appends.
pub(super) fn base64_len(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4 + 2
}

/// The bytes that base64 stands for, padded or not, in the standard or the URL-safe alphabet; white space is not part of it.
pub(super) fn from_base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const EITHER: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, EITHER);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, EITHER);
    let engine = if text.iter().any(|byte| matches!(byte, b'-' | b'_')) { URL_SAFE } else { STANDARD };
    engine.decode_vec(text, out).ok()
}

/// The text with U+FFFD in place of what is not UTF-8, in parts, so that no copy is made.
fn lossy(text: &[u8]) -> impl Iterator<Item = &str> {
    text.utf8_chunks().flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { "\u{FFFD}" }])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_goes_beyond_the_limit() {
        let mut writer = Writer::new(100, 10);
        writer.json("[").unwrap();
        assert_eq!(writer.string(b"1234567"), Ok(()));
        assert_eq!(writer.json("]"), Err(IntakeError::TooLarge));
        assert_eq!(writer.base64(b""), Err(IntakeError::TooLarge));
        assert_eq!(writer.string(b""), Err(IntakeError::TooLarge));
        assert!(writer.text.capacity() <= 10);
        assert_eq!(writer.finish(), "[\"1234567\"");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..60), max in 0..200_usize) {
            let mut writer = Writer::new(0, max);
            let string = writer.string(&bytes);
            prop_assert_eq!(string.is_ok(), string_len(&bytes) <= max);
            if string.is_ok() {
                let text: String = serde_json::from_slice(&writer.finish()).unwrap();
                prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
            }
            let mut writer = Writer::new(0, max);
            if writer.base64(&bytes).is_ok() {
                let text: String = serde_json::from_slice(&writer.finish()).unwrap();
                let mut decoded = Vec::new();
                prop_assert_eq!(from_base64(text.as_bytes(), &mut decoded), Some(()));
                prop_assert_eq!(decoded, bytes);
            }
        }
    }
}

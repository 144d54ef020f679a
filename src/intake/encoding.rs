//! Content-Encoding: gzip is unpacked, within the size limit.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use super::IntakeError;
use crate::buffer::Buffer;

/// Unpacked at once, on the stack; the limit is checked after each.
const CHUNK_BYTES: usize = 16 * 1024;

/// Members of a gzip body (RFC 1952 section 2.2). Real ones have one, or one for each 64 KiB; each costs a decoder, which
/// is what half a million empty ones would be sent for.
const MAX_MEMBERS: usize = 1_000;

/// The body without its encoding, at most `max` bytes.
///
/// # Errors
/// `UnsupportedEncoding` for all but gzip (RFC 9110 section 8.4.1.3) and identity, lists included; `TooLarge`; `Malformed`
/// if what calls itself gzip is not.
pub(super) fn unpack(bytes: Bytes, encoding: Option<&str>, max: usize) -> Result<Bytes, IntakeError> {
    if bytes.len() > max {
        return Err(IntakeError::TooLarge);
    }
    match encoding.map(|encoding| encoding.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => Ok(bytes),
        Some("gzip" | "x-gzip") => gunzip(&bytes, max),
        Some(_) => Err(IntakeError::UnsupportedEncoding),
    }
}

fn gunzip(packed: &[u8], max: usize) -> Result<Bytes, IntakeError> {
    // The size that a gzip body claims for itself is not looked at: memory follows what was received and unpacked.
    let mut unpacked = Buffer::new(max);
    let mut rest = packed;
    let mut members = 0;
    while !rest.is_empty() {
        if members == MAX_MEMBERS {
            return Err(IntakeError::malformed(format!("a gzip body of more than {MAX_MEMBERS} members")));
        }
        let mut decoder = GzDecoder::new(rest);
        append(&mut decoder, &mut unpacked, max)?;
        rest = decoder.into_inner();
        members += 1;
    }
    Ok(unpacked.freeze())
}

fn append(member: &mut impl Read, unpacked: &mut Buffer, max: usize) -> Result<(), IntakeError> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let count = match member.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(IntakeError::malformed("the gzip body ends too early"));
            }
            Err(_) => return Err(IntakeError::malformed("the body is not gzip, or is damaged")),
        };
        if count > max - unpacked.len() {
            return Err(IntakeError::TooLarge);
        }
        unpacked.append(&chunk[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack_gzip(packed: Vec<u8>, max: usize) -> Result<Bytes, IntakeError> {
        unpack(packed.into(), Some("gzip"), max)
    }

    fn is_malformed(result: &Result<Bytes, IntakeError>) -> bool {
        matches!(result, Err(IntakeError::Malformed { .. }))
    }

    #[test]
    fn no_encoding_is_left_alone() {
        for encoding in [None, Some(""), Some("identity"), Some(" Identity ")] {
            assert_eq!(unpack(Bytes::from_static(b"{}"), encoding, 2).unwrap(), "{}");
        }
        assert_eq!(unpack(Bytes::from_static(b"{ }"), None, 2), Err(IntakeError::TooLarge));
    }

    #[test]
    fn gzip_is_unpacked_in_any_spelling() {
        for encoding in ["gzip", "GZIP", "x-gzip", " X-Gzip "] {
            assert_eq!(unpack(gzip(b"{}").into(), Some(encoding), 100).unwrap(), "{}", "{encoding}");
        }
    }

    #[test]
    fn other_encodings_and_lists_are_unsupported() {
        for encoding in ["br", "deflate", "zstd", "compress", "gzip, gzip", "identity, gzip", "gzip,", "*"] {
            let result = unpack(gzip(b"{}").into(), Some(encoding), 100);
            assert_eq!(result, Err(IntakeError::UnsupportedEncoding), "{encoding}");
        }
    }

    #[test]
    fn several_members_are_one_body() {
        let packed = [gzip(b"{\"a\""), gzip(b""), gzip(b":1}")].concat();
        assert_eq!(unpack_gzip(packed, 100).unwrap(), "{\"a\":1}");
    }

    #[test]
    fn members_are_bounded() {
        assert!(is_malformed(&unpack_gzip(gzip(b"").repeat(MAX_MEMBERS + 1), 100_000)));
        assert_eq!(unpack_gzip(gzip(b"a").repeat(MAX_MEMBERS), 100_000).unwrap().len(), MAX_MEMBERS);
    }

    #[test]
    fn the_limit_counts_unpacked_bytes() {
        let packed = gzip(&vec![b'a'; 100_000]);
        assert!(packed.len() < 1_000);
        assert_eq!(unpack_gzip(packed.clone(), 100_000).unwrap().len(), 100_000);
        assert_eq!(unpack_gzip(packed, 99_999), Err(IntakeError::TooLarge));
    }

    #[test]
    fn damage_is_found() {
        let packed = gzip(b"{\"name\":\"some text that is long enough to be damaged\"}");
        for length in 1..packed.len() {
            assert!(is_malformed(&unpack_gzip(packed[..length].to_vec(), 100)), "cut to {length} bytes");
        }
        let checksum = packed.len() - 8;
        for at in [0, 1, 2, checksum, checksum + 4] {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            assert!(is_malformed(&unpack_gzip(damaged, 100)), "byte {at}");
        }
        assert!(is_malformed(&unpack_gzip([&packed[..], b"trailing"].concat(), 100)));
        assert!(is_malformed(&unpack_gzip(b"{}".to_vec(), 100)));
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50_000), 1..4)) {
            let packed: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(unpack_gzip(packed, 200_000).unwrap(), parts.concat());
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = unpack_gzip(bytes.clone(), 1_000);
            let _ = unpack_gzip([b"\x1f\x8b\x08\0\0\0\0\0\0\xff", &bytes[..]].concat(), 1_000);
        }
    }
}

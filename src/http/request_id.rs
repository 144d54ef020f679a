//! Ids of requests: in the answer, in the log, in rejections.

use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderValue;

use crate::incident::Timestamp;

/// Ids that rise within a run and differ between runs.
#[derive(Debug)]
pub(super) struct RequestIds {
    run: u32,
    next: AtomicU32,
}

/// 16 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId([u8; 16]);

impl RequestIds {
    pub(super) fn new(start: Timestamp) -> Self {
        // Seconds since the epoch: two runs of one gateway never share them.
        Self { run: (start.0 / 1000) as u32, next: AtomicU32::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        let number = u64::from(self.run) << 32 | u64::from(self.next.fetch_add(1, Ordering::Relaxed));
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (60 - 4 * place) & 0xf) as usize];
        }
        RequestId(digits)
    }
}

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hexadecimal digits are a header value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let ids = RequestIds::new(Timestamp(1_000));
        assert_eq!(ids.next().as_str(), "0000000100000000");
        assert_eq!(ids.next().header_value(), "0000000100000001");
    }
}

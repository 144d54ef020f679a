//! HTTP/2 frames as nobody in his right mind would send them (RFC 9113 section 4.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The preface and empty settings.
pub(crate) fn greeting() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// HPACK without any compression (RFC 7541 section 6.2.2).
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn length(bytes: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else { return bytes.push(value as u8) };
    bytes.push(127);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The headers of a `POST` to instance `in`, as alice or as nobody.
pub(crate) fn post_block(credentials: &str) -> Vec<u8> {
    let mut headers = vec![(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/instance/execute/in")];
    if !credentials.is_empty() {
        headers.push(("authorization", credentials));
    }
    block(&headers)
}

/// What came back, read beside the attack so that nobody waits for anybody.
pub(crate) struct Listener {
    reading: JoinHandle<Vec<Seen>>,
    closed: Arc<AtomicBool>,
    frames: Arc<AtomicU64>,
}

/// A frame that the server sent.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    /// The status, as every encoder writes the common ones: by its place in the static table or as a literal.
    pub(crate) fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        match *self.payload.first()? {
            byte @ 0x88..=0x8e => Some([200, 204, 206, 304, 400, 404, 500][usize::from(byte - 0x88)]),
            _ => Some(0),
        }
    }
}

impl Listener {
    pub(crate) fn new<S>(mut stream: ReadHalf<S>) -> Self
    where
        S: tokio::io::AsyncRead + Send + 'static,
    {
        let (closed, frames) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, counted) = (Arc::clone(&closed), Arc::clone(&frames));
        let reading = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(seen) = read(&mut stream).await {
                // Acknowledgements come by the thousand.
                if [HEADERS, DATA, GOAWAY].contains(&seen.kind) && kept.len() < 10_000 {
                    kept.push(seen);
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            told.store(true, Ordering::Release);
            kept
        });
        Self { reading, closed, frames }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// What was read until the server closed; none if it did not within `time`.
    pub(crate) async fn until_closed(self, time: Duration) -> Option<Vec<Seen>> {
        tokio::time::timeout(time, self.reading).await.ok().map(Result::unwrap)
    }
}

async fn read<S: tokio::io::AsyncRead>(stream: &mut ReadHalf<S>) -> Option<Seen> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Seen { kind: head[3], stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload })
}

/// Writes `times` times what `next` makes of the number, in packets of 16 KiB or more, until the server has enough.
/// Returns how often it came to write.
pub(crate) async fn flood<S>(stream: &mut WriteHalf<S>, times: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> u32
where
    S: tokio::io::AsyncWrite,
{
    let mut packet = Vec::new();
    for number in 0..times {
        packet.extend(next(number));
        if packet.len() >= 16 * 1024 || number + 1 == times {
            let written = async {
                stream.write_all(&packet).await?;
                stream.flush().await
            };
            // A server that has stopped reading counts like one that has closed.
            if !matches!(tokio::time::timeout(Duration::from_secs(5), written).await, Ok(Ok(()))) {
                return number;
            }
            packet.clear();
        }
    }
    times
}

//! Answers to requests that hyper could not parse.
//!
//! hyper answers those itself, with an empty 400, 414 or 431, before any code of ours sees the request. Every answer of the
//! gateway carries a request id, a line of text and leaves a line in the log, these too. So the connection's writing side
//! looks for hyper's own answers and puts ours in their place. They cannot be mistaken for anything else: every head that
//! we send has a request id, and no body that we send contains a bare CR or LF followed by a head.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::Entrance;
use crate::listener::Crowded;
use crate::metrics::RejectionLabels;

/// Status line, `connection`, `content-length: 0` and `date`: hyper's answers stay well below.
const LONGEST_BARE_ANSWER: usize = 200;

/// How an HTTP/2 client begins (RFC 9113 section 3.4), as far as hyper reads that before it gives up.
const HTTP2: &[u8] = b"PRI * HTTP/2";
/// The first bytes are read by way of a buffer of our own, because a cursor does not say how much was put behind it.
const FIRST_READ: usize = 4 * 1024;

/// A connection whose parse errors are answered in the gateway's own words.
pub(super) struct NamedErrors<IO> {
    io: IO,
    entrance: Arc<Entrance>,
    remote: IpAddr,
    replacing: Option<Replacement>,
    beginning: Beginning,
}

/// What the first bytes of a connection say. Where they arrive one by one, hyper takes an HTTP/2 preface for a bad request.
enum Beginning {
    /// So many bytes were those of the preface.
    Perhaps(usize),
    Http2,
    Other,
}

impl Beginning {
    fn note(&mut self, read: &[u8]) {
        let Self::Perhaps(seen) = *self else { return };
        let expected = &HTTP2[seen..];
        let more = read.len().min(expected.len());
        *self = match expected.strip_prefix(&read[..more]) {
            Some([]) => Self::Http2,
            Some(_) => Self::Perhaps(seen + more),
            None => Self::Other,
        };
    }
}

/// Our answer on its way out, and what hyper is told has been written then.
struct Replacement {
    answer: Vec<u8>,
    sent: usize,
    stands_for: usize,
}

impl<IO> NamedErrors<IO> {
    pub(super) fn new(io: IO, entrance: Arc<Entrance>, remote: IpAddr) -> Self {
        Self { io, entrance, remote, replacing: None, beginning: Beginning::Perhaps(0) }
    }
}

impl<IO: Write + Unpin> NamedErrors<IO> {
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(replacement) = &mut self.replacing else { return Poll::Ready(Ok(0)) };
        while replacement.sent < replacement.answer.len() {
            let sent = ready!(Pin::new(&mut self.io).poll_write(cx, &replacement.answer[replacement.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            replacement.sent += sent;
        }
        let written = replacement.stands_for;
        self.replacing = None;
        Poll::Ready(Ok(written))
    }

    /// Whether `buf` is to be replaced, now or still.
    fn replaces(&mut self, buf: &[u8]) -> bool {
        if self.replacing.is_none()
            && let Some(status) = bare_error(buf)
        {
            let answer = match self.beginning {
                Beginning::Http2 => self.entrance.answer_plain_http2(self.remote),
                _ => self.entrance.answer_unparsable(status, self.remote),
            };
            self.replacing = Some(Replacement { answer, sent: 0, stands_for: buf.len() });
        }
        self.replacing.is_some()
    }
}

/// The status, if `buf` is an error answer that hyper made on its own.
fn bare_error(buf: &[u8]) -> Option<StatusCode> {
    let rest = buf.strip_prefix(b"HTTP/1.1 ")?;
    if rest.first() != Some(&b'4') || buf.len() > LONGEST_BARE_ANSWER || !buf.ends_with(b"\r\n\r\n") {
        return None;
    }
    let has_id = buf.windows(12).any(|window| window.eq_ignore_ascii_case(b"x-request-id"));
    if has_id { None } else { StatusCode::from_bytes(rest.get(..3)?).ok() }
}

impl Entrance {
    /// The whole answer to bytes that are no HTTP request.
    fn answer_unparsable(&self, status: StatusCode, peer: IpAddr) -> Vec<u8> {
        match status {
            StatusCode::BAD_REQUEST => self.answer_malformed(peer, "malformed request: this is not HTTP/1.1, or its framing is ambiguous"),
            // An address that is too long is a head that is too large.
            _ => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                self.raw_answer(status, "headers_too_large", "The headers are too many or too large.", peer)
            }
        }
    }

    /// The whole answer to an HTTP/2 client on a connection that is not encrypted. It may well not understand this; its operator
    /// will.
    pub(super) fn answer_plain_http2(&self, peer: IpAddr) -> Vec<u8> {
        self.answer_malformed(peer, "malformed request: HTTP/2 is spoken over TLS only; send HTTP/1.1 here, or use https")
    }

    fn answer_malformed(&self, peer: IpAddr, text: &str) -> Vec<u8> {
        self.raw_answer(StatusCode::BAD_REQUEST, "framing", text, peer)
    }

    /// The whole answer to a connection beyond a limit, where it can be answered; counted in any case.
    pub fn answer_crowd(&self, peer: IpAddr, why: Crowded) -> Vec<u8> {
        let word = match why {
            Crowded::Everywhere => "too_many_connections",
            Crowded::Address => "too_many_connections_of_address",
        };
        self.raw_answer(StatusCode::SERVICE_UNAVAILABLE, word, "Too many connections. Try again later.", peer)
    }

    /// Takes note of a connection that was closed without an answer.
    pub fn note_turned_away(&self, peer: IpAddr, word: &'static str, reason: &io::Error) {
        self.metrics.rejections.get_or_create(&RejectionLabels { instance: String::new(), reason: word }).inc();
        if self.log_quota.admits("", word) {
            tracing::warn!(%peer, %reason, "connection refused");
        }
    }

    fn raw_answer(&self, status: StatusCode, word: &'static str, text: &str, peer: IpAddr) -> Vec<u8> {
        let id = self.request_ids.next();
        self.count_refused(None, status, word);
        if self.log_quota.admits("", word) {
            tracing::warn!(request_id = id.as_str(), %peer, status = status.as_u16(), reason = text, "request refused");
        }
        let retry = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\nx-request-id: {}\r\n{retry}content-type: text/plain; charset=utf-8\r\n\
             x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}\n",
            id.as_str(),
            text.len() + 1,
        )
        .into_bytes()
    }
}

impl<IO: Read + Unpin> Read for NamedErrors<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !matches!(this.beginning, Beginning::Perhaps(_)) {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let mut first = [0; FIRST_READ];
        let room = first.len().min(buf.remaining());
        let mut own = ReadBuf::new(&mut first[..room]);
        ready!(Pin::new(&mut this.io).poll_read(cx, own.unfilled()))?;
        this.beginning.note(own.filled());
        buf.put_slice(own.filled());
        Poll::Ready(Ok(()))
    }
}

impl<IO: Write + Unpin> Write for NamedErrors<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(buf) { self.poll_replacement(cx) } else { Pin::new(&mut self.io).poll_write(cx, buf) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if self.replaces(first) { self.poll_replacement(cx) } else { Pin::new(&mut self.io).poll_write_vectored(cx, bufs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_known_however_it_arrives() {
        let told = |pieces: &[&[u8]]| {
            let mut beginning = Beginning::Perhaps(0);
            pieces.iter().for_each(|piece| beginning.note(piece));
            beginning
        };
        for pieces in [&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]][..], &[b"P", b"", b"RI * HTT", b"P/2"], &[b"PRI * HTTP/", b"2.0\r"]] {
            assert!(matches!(told(pieces), Beginning::Http2), "{pieces:?}");
        }
        for pieces in [&[&b"POST / HTTP/1.1\r\n"[..]][..], &[b"PRI", b" / HTTP/2"], &[b"PRI * HTTP/", b"1.1"]] {
            assert!(matches!(told(pieces), Beginning::Other), "{pieces:?}");
        }
        assert!(matches!(told(&[b"PRI *"]), Beginning::Perhaps(5)));
    }

    #[test]
    fn only_hypers_own_answers_are_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_error(bare), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for other in [
            &b"HTTP/1.1 401 Unauthorized\r\nX-Request-Id: 0\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 431 Request",
            b"",
        ] {
            assert_eq!(bare_error(other), None);
        }
    }
}

//! Answers on their way out over HTTP/2.
//!
//! There a client says of each answer by itself how much may be sent. One that is asked for and not taken holds up nothing else,
//! so no deadline of the connection notices it, while the gateway keeps it, and perhaps what it is made of. So an answer goes out
//! in small pieces, each knows when it is gone, and [`Traffic`](super::Traffic) knows of each answer when that last happened.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::answer::Body;
use super::traffic::Sending;

/// Bytes of a piece: what fits into one frame (RFC 9113 section 4.2). Who takes less than that in the time allowed takes nothing.
const PIECE: usize = 16 * 1024;

/// An answer's body; its request is in flight until the last piece is gone.
pub(super) struct Outgoing {
    body: Body,
    rest: Bytes,
    sending: Arc<Sending>,
}

impl Outgoing {
    fn new(body: Body, sending: Sending) -> Self {
        Self { body, rest: Bytes::new(), sending: Arc::new(sending) }
    }

    /// The answer to a request of this method. To HEAD it is what GET would have got, without content (RFC 9110 section 9.3.2): over
    /// HTTP/2 hyper leaves that to us.
    pub(super) fn answer(method: &Method, answer: Response<Body>, sending: Sending) -> Response<Self> {
        let (mut head, mut body) = answer.into_parts();
        if *method == Method::HEAD {
            let length = body.size_hint().exact();
            head.headers.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
            body = Body::whole(Bytes::new());
        }
        Response::from_parts(head, Self::new(body, sending))
    }
}

impl HttpBody for Outgoing {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                // There are no trailers.
                Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                None => return Poll::Ready(None),
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, sending: Arc::clone(&this.sending) }))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        body.exact().map_or_else(SizeHint::default, |left| SizeHint::with_exact(rest + left))
    }
}

/// A part of an answer until it is written.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    sending: Arc<Sending>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.sending.progress();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::http::Traffic;

    #[tokio::test]
    async fn a_request_is_in_flight_until_the_last_piece_of_its_answer_is_gone() {
        let (traffic, mut seen) = (Arc::new(Traffic::default()), 0);
        let mut is_idle = || traffic.is_idle_since(&mut seen, Duration::MAX);
        let text = "x".repeat(2 * PIECE + 1);
        let mut body = Outgoing::new(Body::whole(text.clone()), traffic.begin().answered());
        let mut pieces = Vec::new();
        for left in [2 * PIECE + 1, PIECE + 1, 1] {
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left as u64), false));
            pieces.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert!(body.is_end_stream() && body.frame().await.is_none());
        drop(body);
        assert_eq!(pieces.iter().map(|piece| piece.chunk().len()).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        assert!(!is_idle() && !is_idle(), "nothing of it is written yet");
        pieces.clear();
        assert!(is_idle());
    }
}

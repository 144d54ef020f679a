//! What a sender gets back for a good request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::budget::{Reserved, overhead};
use crate::incident::{Draft, Label};
use crate::senders::handshake::Reply;
use crate::store::{Outcome, Receipt, Write};

/// Bytes of one answer object beside its name and type: room enough that the buffer is allocated once.
const OBJECT_SIZE: usize = 224;
/// Bytes, and hardly more, that are written at once; a longer answer is written part by part, as the caller takes it.
const PART: usize = 64 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Full<Bytes>),
    InParts(Box<Stored>),
}

impl Body {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::InParts(stored) => Poll::Ready(stored.next_part().map(|part| Ok(Frame::data(part)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::InParts(stored) => stored.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::InParts(stored) => SizeHint::with_exact(stored.left),
        }
    }
}

/// One short line of text.
pub(super) fn text_response(status: StatusCode, mut line: String) -> Response<Body> {
    line.push('\n');
    let mut response = Response::new(Body::whole(line));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// 200 and what a sender's handshake wants to hear.
pub(super) fn greeting_response(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::whole(reply.body));
    let headers = response.headers_mut();
    let kind = if reply.is_json { "application/json" } else { "text/plain; charset=utf-8" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.extend(reply.headers);
    response
}

/// 200 and one object an incident, in the order sent.
pub(super) fn stored_response(write: Arc<Write>, receipt: Receipt, reserved: Reserved) -> Response<Body> {
    let mut stored = Stored { created: receipt.created.to_string(), write, receipt, next: 0, left: 0, reserved };
    let first = stored.render(PART);
    let body = if stored.next == stored.write.drafts.len() {
        Body::whole(first)
    } else {
        stored.next = 0;
        stored.left = stored.length();
        stored.forget_details();
        Body::InParts(Box::new(stored))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The JSON array that names what was stored, as far as it is not written yet.
#[derive(Debug)]
pub(super) struct Stored {
    write: Arc<Write>,
    receipt: Receipt,
    created: String,
    /// The next object.
    next: usize,
    /// Bytes to come.
    left: u64,
    /// What is named may be a part of the body, which then stays until all is written.
    reserved: Reserved,
}

impl Stored {
    fn next_part(&mut self) -> Option<Bytes> {
        let part = self.render(PART);
        self.left -= part.len() as u64;
        (!part.is_empty()).then(|| part.into())
    }

    /// As many objects as make `size` bytes, with what stands around them.
    fn render(&mut self, size: usize) -> Vec<u8> {
        let count = self.write.drafts.len();
        let mut out = Vec::with_capacity((2 + (count - self.next) * OBJECT_SIZE).min(size.saturating_add(OBJECT_SIZE)));
        while self.next < count && out.len() < size {
            out.push(if self.next == 0 { b'[' } else { b',' });
            self.render_one(&mut out, self.next);
            self.next += 1;
            if self.next == count {
                out.push(b']');
            }
        }
        out
    }

    /// Bytes of the whole array: each object has a bracket or a comma before it, and a bracket ends it.
    fn length(&self) -> u64 {
        let mut one = Vec::with_capacity(OBJECT_SIZE);
        let lengths = (0..self.write.drafts.len()).map(|index| {
            one.clear();
            self.render_one(&mut one, index);
            one.len() as u64 + 1
        });
        lengths.sum::<u64>() + 1
    }

    /// What was sent is on the disk, and the answer needs no more of it than names and types. It may be large, and the caller slow.
    fn forget_details(&mut self) {
        // The writer lets go of it when it has answered; should it be late, all of it stays a little longer.
        let Some(write) = Arc::get_mut(&mut self.write) else { return };
        write.headers = String::new();
        for draft in &mut write.drafts {
            draft.raw = Bytes::new();
            draft.key = None;
            draft.fields = Vec::new();
        }
        let overhead = overhead(&write.drafts);
        let shared = write.drafts.iter().flat_map(Draft::labels).map(Label::shared_bytes).sum();
        // One of them keeps the whole body. Where they are most of it, a copy would save little.
        if shared as u64 <= self.reserved.bytes().saturating_sub(overhead) / 2 {
            let mut texts = BytesMut::with_capacity(shared);
            write.drafts.iter_mut().flat_map(Draft::labels_mut).for_each(|label| label.move_to(&mut texts));
            self.reserved.shrink_to(shared as u64 + overhead);
        }
    }

    fn render_one(&self, out: &mut Vec<u8>, index: usize) {
        let draft = &self.write.drafts[index];
        let (id, first_created) = match &self.receipt.outcomes[index] {
            Outcome::Stored(id) => (id, None),
            Outcome::Duplicate { first, created } => (first, Some(created.to_string())),
        };
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id.to_string().as_bytes());
        out.extend_from_slice(b"\",\"name\":");
        write_string(out, &draft.name);
        out.extend_from_slice(b",\"type\":");
        match &draft.kind {
            Some(kind) => write_string(out, kind),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"occurred\":\"");
        // Neither timestamps nor instance names hold anything that JSON escapes.
        out.extend_from_slice(draft.occurred.as_ref().unwrap_or(&self.created).as_bytes());
        out.extend_from_slice(b"\",\"created\":\"");
        out.extend_from_slice(first_created.as_ref().unwrap_or(&self.created).as_bytes());
        out.extend_from_slice(b"\",\"instance\":\"");
        out.extend_from_slice(self.write.instance.as_bytes());
        out.push(b'"');
        if first_created.is_some() {
            out.extend_from_slice(b",\"duplicate\":true");
        }
        if !draft.warnings.is_empty() {
            out.extend_from_slice(b",\"warnings\":");
            serde_json::to_writer(&mut *out, &draft.warnings).expect("writing to a Vec does not fail");
        }
        out.push(b'}');
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;
    use crate::http::budget::Budget;
    use crate::incident::{IncidentId, Seq, Timestamp};

    fn draft(name: &'static str) -> Draft {
        Draft {
            name: name.into(),
            kind: None,
            occurred: None,
            raw: Bytes::from_static(b"{}"),
            key: None,
            fields: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn write(drafts: Vec<Draft>) -> Arc<Write> {
        let duplication_window = Duration::from_secs(1);
        Arc::new(Write {
            tally: Arc::default(),
            instance: "in".into(),
            headers: "{}".into(),
            drafts,
            keep_samples: false,
            duplicates_of: "in".into(),
            duplication_window,
        })
    }

    fn budget() -> Reserved {
        Budget::new(1, Gauge::default()).reserve()
    }

    /// The body as it is sent, and what was said about its length.
    async fn sent(write: Arc<Write>, outcomes: Vec<Outcome>) -> (Bytes, u64) {
        let body = stored_response(write, Receipt { created: Timestamp(0), outcomes }, budget()).into_body();
        let announced = body.size_hint().exact().unwrap();
        (body.collect().await.unwrap().to_bytes(), announced)
    }

    #[tokio::test]
    async fn the_answer_names_what_was_stored_in_order() {
        let id = IncidentId::new(Seq(1 << 40), 7);
        let mut second = draft("b\n\"");
        second.kind = Some("Phishing".into());
        second.warnings.push("odd".into());
        let outcomes = vec![Outcome::Stored(id), Outcome::Duplicate { first: id, created: Timestamp(-1000) }];
        let (body, announced) = sent(write(vec![draft("a"), second]), outcomes).await;
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let epoch = "1970-01-01T00:00:00.000Z";
        assert_eq!(
            json,
            serde_json::json!([
                {"id": id.to_string(), "name": "a", "type": null, "occurred": epoch, "created": epoch, "instance": "in"},
                {"id": id.to_string(), "name": "b\n\"", "type": "Phishing", "occurred": epoch,
                 "created": "1969-12-31T23:59:59.000Z", "instance": "in", "duplicate": true, "warnings": ["odd"]},
            ])
        );
        assert_eq!(announced, body.len() as u64);
    }

    #[tokio::test]
    async fn a_long_answer_is_written_in_parts_and_keeps_no_details() {
        let count = 3000;
        let id = IncidentId::new(Seq(1 << 40), 7);
        let outcomes = vec![Outcome::Stored(id); count];
        let kept = write(vec![draft("é\u{1}"); count]);
        let (body, announced) = sent(Arc::clone(&kept), outcomes.clone()).await;
        assert_eq!(announced, body.len() as u64);
        let names: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
        assert!(names.len() == count && names.iter().all(|one| one["name"] == "é\u{1}" && one["id"] == id.to_string()));

        let mut body = stored_response(kept.clone(), Receipt { created: Timestamp(0), outcomes: outcomes.clone() }, budget()).into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!((PART..PART + 1024).contains(&first.len()), "{}", first.len());
        let details = |body: &Body| match body {
            Body::InParts(stored) => stored.write.drafts[0].raw.len(),
            Body::Whole(_) => panic!("at once"),
        };
        assert_eq!(details(&body), 2, "somebody else still has them");
        drop(body);
        let Ok(alone) = Arc::try_unwrap(kept) else { panic!("nobody else has it") };
        let body = stored_response(Arc::new(alone), Receipt { created: Timestamp(0), outcomes }, budget()).into_body();
        assert_eq!(details(&body), 0);
    }

    #[test]
    fn what_an_answer_does_not_need_is_given_back_to_the_budget() {
        let (count, size) = (1000, 1000);
        let body = Bytes::from(vec![b'x'; count * size]);
        let held = |name_length: usize| {
            let mut drafts = vec![draft("a"); count];
            for (index, draft) in drafts.iter_mut().enumerate() {
                draft.raw = body.slice(index * size..(index + 1) * size);
                draft.name = Label::part(draft.raw.slice(..name_length)).unwrap();
            }
            let budget = Budget::new(10 << 20, Gauge::default());
            let mut reserved = budget.reserve();
            reserved.account_for(&drafts).unwrap();
            let (before, beside) = (reserved.bytes(), overhead(&drafts));
            assert_eq!(before, body.len() as u64 + beside);
            let receipt = Receipt { created: Timestamp(0), outcomes: vec![Outcome::Stored(IncidentId::new(Seq(1), 7)); count] };
            match stored_response(write(drafts), receipt, reserved).into_body() {
                Body::InParts(stored) => (stored.reserved.bytes() - beside, stored),
                Body::Whole(_) => panic!("at once"),
            }
        };
        let (bytes, few) = held(100);
        assert_eq!(bytes, (100 * count) as u64, "names are kept, and not what they were parts of");
        assert!(body.is_unique());
        drop(few);
        let (bytes, _most) = held(900);
        assert_eq!(bytes, body.len() as u64, "a copy would cost more than it saves");
        assert!(!body.is_unique());
    }
}

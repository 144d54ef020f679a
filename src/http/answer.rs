//! What a sender gets back for a good request.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::incident::Draft;
use crate::store::{Outcome, Receipt};

pub(super) type Body = Full<Bytes>;

/// Bytes of one answer object beside its name and type: room enough that the buffer is allocated once.
const OBJECT_SIZE: usize = 224;

/// One short line of text. `nosniff`: parts of it may echo what the caller sent.
pub(super) fn text_response(status: StatusCode, mut line: String) -> Response<Body> {
    line.push('\n');
    let mut response = Response::new(Body::from(line));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 200 and one object an incident, in the order sent.
pub(super) fn stored_response(instance: &str, drafts: &[Draft], receipt: &Receipt) -> Response<Body> {
    let mut response = Response::new(Body::from(render(instance, drafts, receipt)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn render(instance: &str, drafts: &[Draft], receipt: &Receipt) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + drafts.len() * OBJECT_SIZE);
    out.push(b'[');
    for (draft, outcome) in drafts.iter().zip(&receipt.outcomes) {
        if out.len() > 1 {
            out.push(b',');
        }
        render_one(&mut out, instance, draft, outcome, receipt);
    }
    out.push(b']');
    out
}

fn render_one(out: &mut Vec<u8>, instance: &str, draft: &Draft, outcome: &Outcome, receipt: &Receipt) {
    let (id, created, is_duplicate) = match outcome {
        Outcome::Stored(id) => (id, receipt.created, false),
        Outcome::Duplicate { first, created } => (first, *created, true),
    };
    let created = created.to_string();
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
    out.extend_from_slice(draft.occurred.as_deref().unwrap_or(&created).as_bytes());
    out.extend_from_slice(b"\",\"created\":\"");
    out.extend_from_slice(created.as_bytes());
    out.extend_from_slice(b"\",\"instance\":\"");
    out.extend_from_slice(instance.as_bytes());
    out.push(b'"');
    if is_duplicate {
        out.extend_from_slice(b",\"duplicate\":true");
    }
    if !draft.warnings.is_empty() {
        out.extend_from_slice(b",\"warnings\":");
        serde_json::to_writer(&mut *out, &draft.warnings).expect("writing to a Vec does not fail");
    }
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn the_answer_names_what_was_stored_in_order() {
        let id = IncidentId::new(Seq(1 << 40), 7);
        let mut second = draft("b\n\"");
        second.kind = Some("Phishing".into());
        second.warnings.push("odd".into());
        let receipt = Receipt {
            created: Timestamp(0),
            outcomes: vec![Outcome::Stored(id), Outcome::Duplicate { first: id, created: Timestamp(-1000) }],
        };
        let json: serde_json::Value = serde_json::from_slice(&render("in", &[draft("a"), second], &receipt)).unwrap();
        let epoch = "1970-01-01T00:00:00.000Z";
        assert_eq!(
            json,
            serde_json::json!([
                {"id": id.to_string(), "name": "a", "type": null, "occurred": epoch, "created": epoch, "instance": "in"},
                {"id": id.to_string(), "name": "b\n\"", "type": "Phishing", "occurred": "1969-12-31T23:59:59.000Z",
                 "created": "1969-12-31T23:59:59.000Z", "instance": "in", "duplicate": true, "warnings": ["odd"]},
            ])
        );
    }
}

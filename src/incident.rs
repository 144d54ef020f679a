//! The plain types that travel through the house: what intake drafts, what the store keeps, what people read.

mod id;
mod label;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

pub use id::{IncidentId, InvalidId, Seq};
pub use label::Label;

/// A moment, in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system clock. It may jump; nothing that must be unique or ordered rests on it alone.
    pub fn now() -> Self {
        Self(Utc::now().timestamp_millis())
    }

    /// The same a tick ago at most (4 ms or less), for a fraction of the cost.
    pub fn coarse() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Self(time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-01-31T08:00:00.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Out of chrono's range only if the clock is off by 262,000 years.
        let moment = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// What makes two events of one instance the same event: the first 16 bytes of a SHA-256 over the key's value.
pub type DuplicationKey = [u8; 16];

/// What intake makes of one event, and the store keeps.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The sender's, or the default name.
    pub name: Label,
    /// The sender's `type`, or the instance's, or none.
    pub kind: Option<Label>,
    /// UTC, RFC 3339; none stands for the time of arrival.
    pub occurred: Option<String>,
    /// One JSON object: the sender's bytes, except that a top-level `headers` member is taken out.
    pub raw: Bytes,
    /// Present when the instance has a duplication key and this event has a value for it.
    pub key: Option<DuplicationKey>,
    /// What the operator's map makes of it, sorted by name.
    pub fields: Vec<Field>,
    /// What the sender should know of, in the answer.
    pub warnings: Vec<Cow<'static, str>>,
}

/// A value of an incident that the operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `[A-Za-z_][A-Za-z0-9_]{0,63}`
    pub name: Arc<str>,
    /// Never empty.
    pub value: String,
}

impl Draft {
    /// Name and type.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        std::iter::once(&self.name).chain(&self.kind)
    }

    /// Likewise.
    pub fn labels_mut(&mut self) -> impl Iterator<Item = &mut Label> {
        std::iter::once(&mut self.name).chain(&mut self.kind)
    }

    /// Bytes that this takes beside the body that it is a part of.
    pub fn overhead(&self) -> usize {
        let labels = self.labels().map(Label::own_bytes).sum::<usize>();
        let fields = self.fields.iter().map(|field| size_of::<Field>() + field.value.capacity()).sum::<usize>();
        let warnings = self.warnings.len() * size_of::<Cow<'static, str>>();
        size_of::<Self>() + labels + fields + warnings + self.occurred.as_ref().map_or(0, String::capacity)
    }
}

/// One stored incident, as people read it.
#[derive(Clone, Debug)]
pub struct Incident {
    /// UUIDv7.
    pub id: IncidentId,
    /// The instance that let it in.
    pub instance: String,
    /// Never empty.
    pub name: String,
    /// `type` outside.
    pub kind: Option<String>,
    /// UTC, RFC 3339.
    pub occurred: String,
    /// When it was stored.
    pub created: Timestamp,
    /// The sender's object, without `headers`.
    pub raw: Vec<u8>,
    /// The request's headers: a JSON object.
    pub headers: String,
    /// Present once the same event came again.
    pub repeats: Option<Repeats>,
    /// The operator's own, sorted by name.
    pub fields: Vec<Field>,
}

/// How often an incident's event came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// Not counting the first.
    pub count: u64,
    /// When the latest came.
    pub last_seen: Timestamp,
}

impl Incident {
    /// The sender's object with the request's headers as its last member.
    pub fn raw_json(&self) -> Vec<u8> {
        with_headers(&self.raw, &self.headers)
    }

    /// Appends the incident as one JSON object: `id`, `instance`, `name`, `type`, `occurred`, `created`, for one that came
    /// again `repeats` and `lastSeen`, where there are own fields an object `fields`, and `rawJson`, which is spliced in as it was sent, to the byte.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let (id, created) = (self.id.to_string(), self.created.to_string());
        let members = [
            ("{\"id\":", Some(&id)),
            (",\"instance\":", Some(&self.instance)),
            (",\"name\":", Some(&self.name)),
            (",\"type\":", self.kind.as_ref()),
            (",\"occurred\":", Some(&self.occurred)),
            (",\"created\":", Some(&created)),
        ];
        for (key, value) in members {
            out.extend_from_slice(key.as_bytes());
            serde_json::to_writer(&mut *out, &value).expect("text is JSON, and writing to memory does not fail");
        }
        if let Some(Repeats { count, last_seen }) = self.repeats {
            out.extend_from_slice(format!(",\"repeats\":{count},\"lastSeen\":\"{last_seen}\"").as_bytes());
        }
        for (index, field) in self.fields.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"fields\":{" } else { b"," });
            serde_json::to_writer(&mut *out, &*field.name).expect("text is JSON");
            out.push(b':');
            serde_json::to_writer(&mut *out, &field.value).expect("text is JSON");
        }
        if !self.fields.is_empty() {
            out.push(b'}');
        }
        out.extend_from_slice(b",\"rawJson\":");
        out.extend_from_slice(&self.raw_json());
        out.push(b'}');
    }
}

/// Sets `headers` (a JSON object) as the last member of `raw` (a JSON object without such a member).
pub fn with_headers(raw: &[u8], headers: &str) -> Vec<u8> {
    let raw = raw.trim_ascii_end();
    let body = raw.strip_suffix(b"}").unwrap_or(raw);
    let is_empty = body.trim_ascii_end().ends_with(b"{") && body.trim_ascii().len() == 1;
    let mut out = Vec::with_capacity(body.len() + headers.len() + 13);
    out.extend_from_slice(body);
    out.extend_from_slice(if is_empty { b"\"headers\":" } else { b",\"headers\":" });
    out.extend_from_slice(headers.as_bytes());
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_one_json_object_with_the_senders_bytes() {
        let mut incident = Incident {
            id: IncidentId::new(Seq::first_of(Timestamp(0)), 0),
            instance: "a".into(),
            name: "say \"hi\"\n".into(),
            kind: None,
            occurred: "2026-01-31T08:00:00Z".into(),
            created: Timestamp(1),
            raw: br#"{"n": 1e400, "n":2}"#.to_vec(),
            headers: r#"{"host":"h"}"#.into(),
            repeats: None,
            fields: Vec::new(),
        };
        let text = |incident: &Incident| {
            let mut out = Vec::new();
            incident.write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        let head = r#"{"id":"00000000-0000-7000-8000-000000000000","instance":"a","name":"say \"hi\"\n","type":null,"#;
        let times = r#""occurred":"2026-01-31T08:00:00Z","created":"1970-01-01T00:00:00.001Z""#;
        let raw = r#","rawJson":{"n": 1e400, "n":2,"headers":{"host":"h"}}}"#;
        assert_eq!(text(&incident), format!("{head}{times}{raw}"));

        incident.kind = Some("Phishing".into());
        incident.repeats = Some(Repeats { count: 3, last_seen: Timestamp(2) });
        let head = head.replace("null", "\"Phishing\"");
        let repeats = r#","repeats":3,"lastSeen":"1970-01-01T00:00:00.002Z""#;
        assert_eq!(text(&incident), format!("{head}{times}{repeats}{raw}"));

        incident.fields = [("a", "\"1\""), ("b", "2")].map(|(name, value)| Field { name: name.into(), value: value.into() }).into();
        let fields = r#","fields":{"a":"\"1\"","b":"2"}"#;
        assert_eq!(text(&incident), format!("{head}{times}{repeats}{fields}{raw}"));
    }

    #[test]
    fn headers_become_the_last_member() {
        for (raw, want) in [
            ("{}", r#"{"headers":{"a":"b"}}"#),
            ("{ \n}", "{ \n\"headers\":{\"a\":\"b\"}}"),
            (r#"{"x":{}}"#, r#"{"x":{},"headers":{"a":"b"}}"#),
            (r#"{"x": 1e400 }"#, r#"{"x": 1e400 ,"headers":{"a":"b"}}"#),
        ] {
            assert_eq!(with_headers(raw.as_bytes(), r#"{"a":"b"}"#), want.as_bytes());
        }
    }
}

//! What an instance takes for a body.

/// What is understood as a body. Forms, multipart and JSON are, unless it is JSON only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// JSON: an object, or an array of objects.
    #[default]
    Json,
    /// The same and nothing else, whatever the `Content-Type` says: for signatures whose text could be read as a form, too.
    JsonOnly,
    /// JSON objects one after the other as well, with line breaks or commas between them. An empty body is none of them.
    JsonLines,
    /// XML as well.
    Xml,
    /// Anything: what is no JSON is kept as text, or as base64 if it is no text.
    Any,
}

impl Accept {
    /// As configured.
    pub const WORDS: &[(&str, Self)] =
        &[("json", Self::Json), ("json-only", Self::JsonOnly), ("json-lines", Self::JsonLines), ("xml", Self::Xml), ("any", Self::Any)];
}

//! What an instance takes for a body.

/// What is understood as a body. Forms, multipart and JSON are, whichever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// JSON: an object, or an array of objects.
    #[default]
    Json,
    /// JSON objects one after the other as well, with line breaks or commas between them. An empty body is none of them.
    JsonLines,
    /// XML as well.
    Xml,
    /// Anything: what is no JSON is kept as text, or as base64 if it is no text.
    Any,
}

impl Accept {
    /// As configured.
    pub const WORDS: &[(&str, Self)] = &[("json", Self::Json), ("json-lines", Self::JsonLines), ("xml", Self::Xml), ("any", Self::Any)];
}

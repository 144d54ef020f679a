//! Why a body gives no incidents.

/// Nothing of the request is stored. `Display` is the one line that the caller reads; it holds nothing of the body but
/// single ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// 400. The wording up to the colon is what senders and their users know from Cortex XSOAR.
    #[error("Request, and rawJson field if exists must be in JSON format: {what}")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// 413.
    #[error("The body is too large once it is decoded")]
    TooLarge,
    /// 413.
    #[error("More than {max} incidents in one request")]
    TooManyIncidents {
        /// How many are accepted.
        max: usize,
    },
    /// 415.
    #[error("The Content-Encoding is not supported: send gzip or no encoding")]
    UnsupportedEncoding,
}

impl IntakeError {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// Says where in a bigger thing the problem is; errors that are not about one place stay as they are.
    pub(super) fn at(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Malformed { what } => Self::Malformed { what: format!("{}: {what}", place()) },
            other => other,
        }
    }
}

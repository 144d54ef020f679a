//! Why somebody was not let in: one sentence for the operator, one word for the metrics.

use http::HeaderName;

use super::InvalidBasic;

/// The true reason of a refusal. It is for the log and the admin API; the caller never learns which it was.
///
/// No variant holds anything the caller sent: a password typed into the wrong field must not end up in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller named an instance that is not configured.
    #[error("there is no instance of this name: check the last part of the sender's URL")]
    UnknownInstance,
    /// The header that carries the credentials is not there.
    #[error("there is no {0} header: the sender has no credentials set up, or a proxy in between removes them")]
    Missing(HeaderName),
    /// The header is there more than once.
    #[error("there is more than one {0} header: the sender or a proxy in between adds another")]
    Repeated(HeaderName),
    /// The `Authorization` header cannot be read as Basic credentials.
    #[error(transparent)]
    Malformed(#[from] InvalidBasic),
    /// Well-formed Basic credentials of somebody else.
    #[error("unknown user name: check the user name in the sender's settings")]
    UnknownUser,
    /// The right user name with a wrong password.
    #[error("wrong password: check the password in the sender's settings, or whether it was rotated")]
    WrongPassword,
    /// The header is there, with a wrong value.
    #[error("wrong value of the {0} header: check it in the sender's settings, surrounding quotes and prefixes included")]
    WrongValue(HeaderName),
    /// The credentials were not looked at: too many Argon2 verifications are waiting. Not the caller's fault; trying again helps.
    #[error("too many passwords are waiting to be verified: somebody is guessing, or many senders came at once")]
    Busy,
}

impl Refusal {
    /// A word of a fixed list, for a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownInstance => "unknown_instance",
            Self::Missing(_) => "credentials_missing",
            Self::Repeated(_) => "credentials_repeated",
            Self::Malformed(_) => "credentials_malformed",
            Self::UnknownUser | Self::WrongPassword | Self::WrongValue(_) => "credentials_wrong",
            Self::Busy => "verification_busy",
        }
    }
}

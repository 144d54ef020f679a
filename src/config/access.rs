//! `username`, `password` and what else lets somebody in.

use http::{HeaderName, HeaderValue};
use toml::de::DeValue;

use super::reader::{Section, boolean, string};
use super::secret::{self, Password};

/// A username that begins so names a header.
const HEADER_PREFIX: &str = "_header:";
/// Headers that say how a request is framed, sent on or understood: clients and proxies set, change and drop them as they
/// must, and the gateway goes by some. None can be what a sender proves itself with.
const UNFIT_HEADERS: [&str; 15] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "hookgate-client-subject",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

/// Who may come in. One password, or two while secrets are rotated.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody, as far as headers go: a signature or a token in the address may still be asked for.
    Open,
    /// Basic authentication (RFC 7617).
    Basic {
        /// Not empty, no colon, no control character.
        username: String,
        /// `password`, then `password_next`.
        passwords: Vec<Password>,
    },
    /// A header that equals a password.
    Header {
        /// Compared without case.
        name: HeaderName,
        /// `password`, then `password_next`.
        passwords: Vec<Password>,
    },
}

impl Access {
    /// `password`, then `password_next`; none for an open instance.
    pub fn passwords(&self) -> &[Password] {
        match self {
            Self::Open => &[],
            Self::Basic { passwords, .. } | Self::Header { passwords, .. } => passwords,
        }
    }
}

/// What lets a sender in besides a username and a password.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Otherwise {
    /// Its bodies are signed.
    pub(super) is_signed: bool,
    /// The address has a token in it.
    pub(super) has_path_token: bool,
    /// The sender is known to have no way of sending credentials.
    pub(super) needs_path_token: bool,
}

const NO_CREDENTIALS: &str = "has no credentials: set username and password, or allow_unauthenticated = true to let everybody in";
const NO_PATH_TOKEN: &str = "has no credentials, and this sender can send none: set path_token to a long random text, and give the sender \
                             the address that ends with it; or allow_unauthenticated = true to let everybody in";

/// Reads who may come in; half of it, and nothing at all, is a mistake.
pub(super) fn read(section: &Section<'_>, otherwise: Otherwise) -> Option<Access> {
    let is_open = section.take("allow_unauthenticated", boolean).unwrap_or(false);
    let written = ["username", "password", "password_next"].map(|key| section.has(key));
    let credentials = read_credentials(section);
    let is_proven = otherwise.is_signed || otherwise.has_path_token;
    match (is_open, written) {
        (true, [false, false, false]) if is_proven => {
            section.error("allow_unauthenticated", "contradicts the signature or path_token: remove it, or those");
        }
        (true, [false, false, false]) => {
            section.context.warn(&section.place("allow_unauthenticated"), "everybody who can reach this instance may post to it");
            return Some(Access::Open);
        }
        (true, _) => section.error("allow_unauthenticated", "contradicts the credentials: remove it, or username and password"),
        (false, [false, false, false]) if is_proven => return Some(Access::Open),
        (false, [false, false, false]) => {
            section.context.missing(section.whole(), if otherwise.needs_path_token { NO_PATH_TOKEN } else { NO_CREDENTIALS });
        }
        (false, [true, true, _]) => {}
        (false, [username, password, _]) => {
            for (key, is_there) in [("username", username), ("password", password)] {
                if !is_there {
                    section.missing(key, "is missing: credentials are a username and a password");
                }
            }
        }
    }
    credentials
}

fn read_credentials(section: &Section<'_>) -> Option<Access> {
    let username = section.take("username", username);
    // With a bad username the kind is unknown; passwords are still resolved, so that their mistakes are found in this run.
    let check = match &username {
        Some(Username::Basic(_)) => check_basic_password,
        Some(Username::Header(_)) => check_header_password,
        None => |_: &str| Ok(()),
    };
    let password = secret::password(section, "password", check);
    let next = secret::password(section, "password_next", check);
    let passwords: Vec<_> = [password?].into_iter().chain(next).collect();
    Some(match username? {
        Username::Basic(username) => Access::Basic { username, passwords },
        Username::Header(name) => Access::Header { name, passwords },
    })
}

enum Username {
    Basic(String),
    Header(HeaderName),
}

fn username(value: &DeValue<'_>) -> Result<Username, String> {
    let text = string(value)?;
    if let Some(name) = text.strip_prefix(HEADER_PREFIX) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("names no valid header: write {HEADER_PREFIX}X-Api-Key"))?;
        if UNFIT_HEADERS.contains(&name.as_str()) {
            return Err(format!("the header {name} cannot hold a secret: HTTP or the gateway uses it; write {HEADER_PREFIX}X-Api-Key"));
        }
        return Ok(Username::Header(name));
    }
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.contains(':') {
        return Err(format!("must not contain a colon (RFC 7617); for a header write {HEADER_PREFIX}X-Api-Key"));
    }
    if text.contains(char::is_control) {
        return Err("must not contain a control character (RFC 7617)".into());
    }
    Ok(Username::Basic(text.to_owned()))
}

fn check_basic_password(password: &str) -> Result<(), String> {
    if password.contains(char::is_control) {
        return Err("must not contain a control character, such as a line break (RFC 7617)".into());
    }
    Ok(())
}

/// RFC 9110, 5.5: what a field value may hold; the whitespace around it never arrives.
fn check_header_password(password: &str) -> Result<(), String> {
    if password.trim_matches([' ', '\t']).len() != password.len() {
        return Err("begins or ends with a space, which HTTP strips from a header: it could never match".into());
    }
    HeaderValue::from_bytes(password.as_bytes()).map(drop).map_err(|_| "contains a character that no header can carry".into())
}

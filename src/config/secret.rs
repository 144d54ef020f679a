//! Where secrets come from: the file itself, the environment, a file of their own. No message here repeats one.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params};
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::files::exposure;
use super::reader::{Section, wrong_type};
use super::report::Context;
use crate::secret::Secret;

/// Longer than any password, token or PEM-less key; a larger file is the wrong file.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// 1 GiB: each guess at a password costs this much memory, so more would let a caller fill the machine.
const MAX_ARGON2_KIB: u32 = 1024 * 1024;

const ARGON2ID_PREFIX: &str = "$argon2id$";

/// How other programs' password hashes begin. Nobody means these as the password itself.
const OTHER_HASHES: [&str; 10] = ["$argon2i$", "$argon2d$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$scrypt$", "$pbkdf2"];

/// What a caller's password is compared with.
#[derive(Clone)]
pub enum Password {
    /// The password itself.
    Plain(Secret),
    /// A valid PHC string of Argon2id with salt and hash.
    Argon2(String),
}

/// A hash can be guessed at, so it is not shown either.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain([redacted])",
            Self::Argon2(_) => "Argon2([redacted])",
        })
    }
}

/// The password at `key`. `check` says what a plain one may not be; a hash cannot be looked into.
pub(super) fn password(section: &Section<'_>, key: &'static str, check: fn(&str) -> Result<(), String>) -> Option<Password> {
    section.take(key, |value| {
        let text = resolve(section.context, value)?;
        if text.starts_with(ARGON2ID_PREFIX) {
            check_argon2id(&text)?;
            return Ok(Password::Argon2(text.to_string()));
        }
        check_plain(&text)?;
        check(&text)?;
        Ok(Password::Plain(Secret::new(text.to_string())))
    })
}

/// The bearer token at `key`.
pub(super) fn token(section: &Section<'_>, key: &'static str) -> Option<Secret> {
    section.take(key, |value| {
        let text = resolve(section.context, value)?;
        if text.starts_with(ARGON2ID_PREFIX) {
            return Err("must be the token itself: a hash is good for passwords only".into());
        }
        check_plain(&text)?;
        // What `Authorization: Bearer` can carry as one word.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be visible ASCII without spaces: no client could send it otherwise".into());
        }
        Ok(Secret::new(text.to_string()))
    })
}

/// Secrets at `key`, one or a list; they are computed with, so a hash will not do.
pub(super) fn list(section: &Section<'_>, key: &'static str) -> Vec<Secret> {
    let secrets = section.take_list(key, |value| usable(section.context, value)).unwrap_or_default();
    secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// Likewise one at `key`; `check` says what it may not be.
pub(super) fn one(section: &Section<'_>, key: &'static str, check: fn(&str) -> Result<(), String>) -> Option<Secret> {
    section.take(key, |value| {
        let secret = usable(section.context, value)?;
        check(secret.expose())?;
        Ok(secret)
    })
}

fn usable(context: &Context<'_>, value: &DeValue<'_>) -> Result<Secret, String> {
    let text = resolve(context, value)?;
    if text.starts_with(ARGON2ID_PREFIX) {
        return Err("must be the secret itself: a hash is good for passwords only".into());
    }
    Ok(Secret::new(text.to_string()))
}

fn check_plain(text: &str) -> Result<(), String> {
    if OTHER_HASHES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err("looks like a password hash, but only Argon2id is understood: `hookgate hash-password` makes one".into());
    }
    Ok(())
}

fn check_argon2id(text: &str) -> Result<(), String> {
    let malformed = |why: &str| format!("begins with $argon2id$ but is not a valid hash ({why}): `hookgate hash-password` makes one");
    let hash = PasswordHash::new(text).map_err(|_| malformed("not a PHC string"))?;
    let params = Params::try_from(&hash).map_err(|_| malformed("its parameters are wrong"))?;
    if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id) || hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed("its salt or its hash is missing"));
    }
    if hash.version.is_some_and(|version| argon2::Version::try_from(version).is_err()) {
        return Err(malformed("its version is unknown"));
    }
    if params.m_cost() > MAX_ARGON2_KIB {
        return Err("needs more than 1 GiB for each check: make a cheaper hash with `hookgate hash-password`".into());
    }
    Ok(())
}

fn resolve(context: &Context<'_>, value: &DeValue<'_>) -> Result<Zeroizing<String>, String> {
    let text = match value {
        DeValue::String(text) => {
            context.has_literal_secret.set(true);
            Zeroizing::new(text.to_string())
        }
        DeValue::Table(table) => from_table(context, table)?,
        other => return Err(wrong_type("a string, { env = \"NAME\" } or { file = \"PATH\" }", other)),
    };
    if text.is_empty() { Err("must not be empty".into()) } else { Ok(text) }
}

fn from_table(context: &Context<'_>, table: &DeTable<'_>) -> Result<Zeroizing<String>, String> {
    // Keys are not repeated either: with `{ "s3cret" = true }` one would be the secret.
    let usage = || "must be a string, { env = \"NAME\" } or { file = \"PATH\" }".to_owned();
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return Err(usage());
    };
    match (key.get_ref().as_ref(), value.get_ref()) {
        ("env", DeValue::String(name)) => from_env(context, name),
        ("file", DeValue::String(path)) if !path.is_empty() => from_file(context, &context.folder.join(path.as_ref())),
        _ => Err(usage()),
    }
}

fn from_env(context: &Context<'_>, name: &str) -> Result<Zeroizing<String>, String> {
    // IEEE Std 1003.1, 8.1. Anything else is no name, and may well be the secret itself.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("env must be the name of an environment variable: letters, digits and underscores".into());
    }
    match (context.env)(name) {
        None => Err(format!("the environment variable {name} is not set, or not UTF-8")),
        Some(value) if value.is_empty() => Err(format!("the environment variable {name} is empty")),
        Some(value) => Ok(Zeroizing::new(value)),
    }
}

fn from_file(context: &Context<'_>, path: &Path) -> Result<Zeroizing<String>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {path:?}: {error}");
    // Before opening: a FIFO would block, a device never end, and neither could be read again at a reload.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{path:?} is not a file"));
    }
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(unreadable)?;
    if let Some(warning) = exposure(path, &file.metadata().map_err(unreadable)?) {
        context.warn_of_file(warning);
    }
    let length = file.take(MAX_SECRET_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_SECRET_FILE {
        return Err(format!("{path:?} is too large for a secret (more than 64 KiB)"));
    }
    // Editors and `echo` end a file with a line break that nobody means; a second one is somebody's.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err(format!("{path:?} is empty")) } else { Ok(text) }
}

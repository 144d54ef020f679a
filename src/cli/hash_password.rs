//! `hash-password`: from a password to what may stand in the configuration instead of it.

use std::io::{self, IsTerminal, Read, Write};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::{output, terminal};
use crate::auth;
use crate::secret::Secret;

/// No password is longer; a file given by mistake is.
const MAX_BYTES: u64 = 4096;

/// Read a password from standard input, print an Argon2id hash to use as `password`
///
/// One line break at the end is not part of the password. On a terminal it is asked for twice and not shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate hash-password\n  printf %s \"$PASSWORD\" | hookgate hash-password\n\n\
                        In the configuration: password = '$argon2id$v=19$…'")]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let password = if io::stdin().is_terminal() { ask()? } else { read(io::stdin().lock())? };
        let hash = auth::hash_password(&password)?;
        let mut out = output::stdout();
        writeln!(out, "{hash}")?;
        Ok(out.flush()?)
    }
}

fn ask() -> anyhow::Result<Secret> {
    let [first, second] = terminal::ask_hidden(["Password: ", "The same again: "]).context("cannot read from the terminal")?;
    if first != second {
        bail!("the two differ; nothing was hashed");
    }
    read(first.as_bytes())
}

fn read(input: impl Read) -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::new());
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("a password has at most {MAX_BYTES} bytes");
    }
    let text = std::str::from_utf8(&bytes).context("a password is UTF-8 text")?;
    let password = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        bail!("the password is empty; type it, or pipe it in: printf %s \"$PASSWORD\" | hookgate hash-password");
    }
    Ok(Secret::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_not_part_of_the_password() {
        for (input, want) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("é", "é")] {
            assert_eq!(read(input.as_bytes()).unwrap().expose(), want, "{input:?}");
        }
    }

    #[test]
    fn what_is_no_password_is_refused() {
        for input in [&b""[..], b"\n", b"\r\n", b"\xff", &[b'a'; MAX_BYTES as usize + 1]] {
            assert!(read(input).is_err(), "{} bytes", input.len());
        }
        assert!(read(&[b'a'; MAX_BYTES as usize][..]).is_ok());
    }
}

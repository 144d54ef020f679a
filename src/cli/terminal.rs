//! What may reach a person's terminal, and how wide it is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use zeroize::Zeroizing;

/// Columns of the terminal that standard output is; none when it is a pipe or a file, or does not say.
pub(super) fn width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = termios::tcgetwinsize(&stdout).ok()?.ws_col;
    (columns > 0).then_some(columns)
}

/// Text with everything escaped that would move the cursor, ring, recolour, reorder or hide: what a sender chose must not
/// drive the terminal of the person who reads it.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// JSON of the same meaning with the same characters escaped. Only strings can hold them, apart from white space.
pub(super) fn visible_json(json: &str) -> Cow<'_, str> {
    let must_escape = |c: char| is_hidden(c) && !matches!(c, '\t' | '\n' | '\r');
    if !json.chars().any(must_escape) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if must_escape(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("writing to a String does not fail");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1) and the format characters that are invisible or change the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Asks on standard error and reads a line for each question from the terminal that standard input is, without showing what is
/// typed. The answers keep their line breaks.
pub(super) fn ask_hidden<const N: usize>(questions: [&str; N]) -> io::Result<[Zeroizing<String>; N]> {
    let stdin = io::stdin();
    let _silence = Silence::over(&stdin)?;
    let mut answers = std::array::from_fn(|_| Zeroizing::new(String::new()));
    for (question, answer) in questions.iter().zip(&mut answers) {
        eprint_flush(question)?;
        stdin.lock().read_line(answer)?;
        // The person's own Enter was not shown either.
        eprint_flush("\n")?;
    }
    Ok(answers)
}

fn eprint_flush(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// A terminal that does not echo, until dropped.
struct Silence<Fd: AsFd> {
    terminal: Fd,
    before: Termios,
}

impl<Fd: AsFd> Silence<Fd> {
    fn over(terminal: Fd) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // Flush: what was typed before the question does not answer it.
        termios::tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl<Fd: AsFd> Drop for Silence<Fd> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "Phishing: \"free\" \\ money", "Zażółć 漢字 🦀"] {
            assert!(matches!(visible(text), Cow::Borrowed(shown) if shown == text), "{text}");
        }
    }

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{7f}\u{9b}"), r"a\u{1b}[2Jb\nc\u{7f}\u{9b}");
        assert_eq!(visible("gpj\u{202e}exe"), r"gpj\u{202e}exe");
        assert_eq!(visible("tag\u{e0041}"), r"tag\u{e0041}");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = "{\n\t\"a\": \"\u{7f}\u{9b}\u{202e}\u{e0041}\"\r\n}";
        let shown = visible_json(json);
        assert_eq!(shown, "{\n\t\"a\": \"\\u007f\\u009b\\u202e\\udb40\\udc41\"\r\n}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(json));
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_hidden));
        }

        #[test]
        fn any_string_survives_as_json(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let read: String = serde_json::from_str(&visible_json(&json)).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}

//! The log: text for a terminal, JSON for programs, always on standard error, and a bound on what a flood makes of it.

mod quota;

use std::borrow::Cow;
use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

pub use quota::Quota;

/// Bytes kept of a text that a stranger chose: enough to recognise it, too little to fill a disk with.
const EXCERPT: usize = 200;

/// The beginning of a text that a stranger chose, as a line of the log may have it.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    if text.len() <= EXCERPT { text.into() } else { format!("{}…", &text[..text.floor_char_boundary(EXCERPT)]).into() }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text, coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; later calls change nothing, so that tests may call it as often as they like.
pub fn init(format: Format, level: LevelFilter) {
    let colours = std::io::stderr().is_terminal();
    let lines = fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    // An error here means that logging has been started before.
    let _ = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_ends_between_characters() {
        assert_eq!(excerpt("POST"), "POST");
        let exact = "x".repeat(EXCERPT);
        assert_eq!(excerpt(&exact), exact.as_str());
        let long = format!("x{}", "é".repeat(EXCERPT));
        assert_eq!(excerpt(&long), format!("x{}…", "é".repeat((EXCERPT - 1) / 2)));
    }
}

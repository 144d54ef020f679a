//! Printing: incidents as JSON, and words to the person.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use super::terminal::visible_json;
use crate::incident::Incident;

/// One write for many small ones; the usual size of a pipe's buffer.
const BUFFER: usize = 64 * 1024;

/// Standard output, buffered. Flush it: an error on the last write counts too.
pub(super) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(BUFFER, io::stdout().lock())
}

/// A line for the person, on standard error. Nothing can be done where that is closed.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints incidents as NDJSON: one object a line, as many as come.
pub(super) fn print_lines<E>(incidents: impl Iterator<Item = Result<Incident, E>>) -> anyhow::Result<()>
where
    anyhow::Error: From<E>,
{
    let (mut out, mut objects) = (stdout(), Objects::new());
    for incident in incidents {
        objects.write(&mut out, &incident?)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Prints incidents as one JSON array, an element a line.
pub(super) fn print_array<E>(incidents: impl Iterator<Item = Result<Incident, E>>) -> anyhow::Result<()>
where
    anyhow::Error: From<E>,
{
    let (mut out, mut objects) = (stdout(), Objects::new());
    let mut separator = "[\n";
    for incident in incidents {
        out.write_all(separator.as_bytes())?;
        objects.write(&mut out, &incident?)?;
        separator = ",\n";
    }
    out.write_all(if separator == "[\n" { b"[]\n" } else { b"\n]\n" })?;
    Ok(out.flush()?)
}

/// Writes one object without a line break.
struct Objects {
    is_terminal: bool,
    json: Vec<u8>,
}

impl Objects {
    fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), json: Vec::new() }
    }

    fn write(&mut self, out: &mut impl Write, incident: &Incident) -> io::Result<()> {
        self.json.clear();
        incident.write_json(&mut self.json);
        make_one_line(&mut self.json);
        match std::str::from_utf8(&self.json) {
            Ok(text) if self.is_terminal => out.write_all(visible_json(text).as_bytes()),
            _ => out.write_all(&self.json),
        }
    }
}

/// Turns the line breaks of a sender who lays out JSON into blanks: in valid JSON they stand between tokens only.
fn make_one_line(json: &mut [u8]) {
    for byte in json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laid_out_json_becomes_one_line() {
        let mut json = b"{\r\n\"a\":\t\"b\\n\"\n}".to_vec();
        make_one_line(&mut json);
        assert_eq!(json, b"{  \"a\":\t\"b\\n\" }");
    }
}

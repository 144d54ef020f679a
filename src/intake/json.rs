//! A strict reader of JSON (RFC 8259) that builds nothing.
//!
//! It checks the grammar in one pass and hands out slices of the sender's bytes, so that numbers of any length, duplicate
//! names and odd escapes are kept as they were sent, and so that no body costs more memory than itself. Nothing here
//! recurses: open containers are bits of one word, and their number is bounded.

mod fault;
mod text;

#[cfg(test)]
mod tests;

use fault::Problem;
pub(super) use fault::{Fault, Place};
pub(super) use text::{Piece, Text, quote, quoted_len};

/// How many objects and arrays may be open at once, the outermost included (the contract's bound; it also fits one `u64`).
pub(super) const MAX_DEPTH: usize = 64;

/// Some editors and senders on Windows put it in front; RFC 8259 section 8.1 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) name: Text<'a>,
    /// The value as spelled, without whitespace around it.
    pub(super) value: &'a [u8],
}

/// A position in a text that is UTF-8.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Stands before the first value of `text`, a byte order mark skipped.
    ///
    /// # Errors
    /// The text is not UTF-8.
    pub(super) fn new(text: &'a [u8]) -> Result<Self, Fault> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        std::str::from_utf8(text).map_err(|error| Fault { at: error.valid_up_to(), problem: Problem::NotUtf8 })?;
        let mut scanner = Self { text, at: 0 };
        scanner.space();
        Ok(scanner)
    }

    /// Stands at `at` in a text that was scanned before.
    fn resume(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// The next byte, unread; none at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Reads `open`, an opening bracket.
    pub(super) fn begin(&mut self, open: u8) -> Result<(), Fault> {
        if self.skip(open) { Ok(()) } else { Err(self.expected(if open == b'{' { "an object" } else { "an array" })) }
    }

    /// Reads `byte`, if it is the next one.
    pub(super) fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Whether a container has another item: reads the comma before it, or the container's `close`.
    ///
    /// After a comma an item must follow; reading that item finds out.
    pub(super) fn next_item(&mut self, is_first: bool, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ if is_first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.expected(if close == b'}' { "',' or '}'" } else { "',' or ']'" })),
        }
    }

    /// Reads one member of an object around which `outer` containers are open, that object included.
    pub(super) fn member(&mut self, outer: usize) -> Result<Member<'a>, Fault> {
        let name = self.name()?;
        Ok(Member { name, value: self.value(outer)? })
    }

    /// Reads one value of any kind, around which `outer` containers are open.
    pub(super) fn value(&mut self, outer: usize) -> Result<&'a [u8], Fault> {
        self.space();
        let start = self.at;
        let mut open = Open::inside(outer);
        loop {
            self.space();
            let mut is_first = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    open.push(bracket == b'{').ok_or(Fault { at: self.at, problem: Problem::TooDeep })?;
                    self.at += 1;
                    true
                }
                _ => {
                    self.scalar()?;
                    false
                }
            };
            // Everything that ends here is closed, up to the container that has a next item.
            loop {
                let Some(close) = open.closing() else { return Ok(&self.text[start..self.at]) };
                if self.next_item(is_first, close)? {
                    if close == b'}' {
                        self.name()?;
                    }
                    break;
                }
                open.pop();
                is_first = false;
            }
        }
    }

    /// Only whitespace may be left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at < self.text.len() { Err(self.expected("the end")) } else { Ok(()) }
    }

    /// That something else stands here.
    pub(super) fn expected(&self, what: &'static str) -> Fault {
        Fault { at: self.at, problem: Problem::Expected(what) }
    }

    /// Skips whitespace.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// A member's name and the colon after it.
    fn name(&mut self) -> Result<Text<'a>, Fault> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a name in double quotes"));
        }
        let name = self.string()?;
        self.space();
        if self.skip(b':') { Ok(name) } else { Err(self.expected("':'")) }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.at += 1;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += text::plain_len(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("a closing double quote")),
            }
            has_escapes = true;
        }
        self.at += 1;
        Ok(Text::new(&self.text[start..self.at - 1], has_escapes))
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.expected("four hexadecimal digits after \\u"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.expected("one of \"\\/bfnrtu after a backslash")),
        }
        Ok(())
    }
}

/// The containers that are open: one bit each, 1 for an object, the innermost lowest.
struct Open {
    objects: u64,
    depth: usize,
    outer: usize,
}

impl Open {
    fn inside(outer: usize) -> Self {
        Self { objects: 0, depth: 0, outer }
    }

    /// None if that would be one too many.
    fn push(&mut self, is_object: bool) -> Option<()> {
        if self.outer + self.depth >= MAX_DEPTH {
            return None;
        }
        self.objects = self.objects << 1 | u64::from(is_object);
        self.depth += 1;
        Some(())
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    /// What closes the innermost.
    fn closing(&self) -> Option<u8> {
        match (self.depth, self.objects & 1) {
            (0, _) => None,
            (_, 1) => Some(b'}'),
            _ => Some(b']'),
        }
    }
}

/// Whether `text` is an object or an array, if only one that is nested too deeply.
pub(super) fn is_container(text: &[u8]) -> bool {
    let Ok(mut scanner) = Scanner::new(text) else { return false };
    let begins = matches!(scanner.peek(), Some(b'{' | b'['));
    begins && scanner.value(0).and_then(|_| scanner.end()).map_or_else(Fault::is_too_deep, |()| true)
}

/// The members of an object that was scanned before; nothing if `value` is another kind of value.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = Member<'_>> {
    items(value, b'{', b'}', |scanner| scanner.member(1))
}

/// The elements of an array that was scanned before; nothing if `value` is another kind of value.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    items(value, b'[', b']', |scanner| scanner.value(1))
}

fn items<'a, T>(value: &'a [u8], open: u8, close: u8, read: fn(&mut Scanner<'a>) -> Result<T, Fault>) -> impl Iterator<Item = T> {
    let mut scanner = Scanner::resume(value, 0);
    let mut is_first = true;
    let mut has_items = scanner.begin(open).is_ok();
    std::iter::from_fn(move || {
        has_items = has_items && scanner.next_item(is_first, close).unwrap_or(false);
        is_first = false;
        if has_items { read(&mut scanner).ok() } else { None }
    })
}

/// Cuts every member called `name` out of an object that was scanned before, each with one of the commas beside it.
///
/// All else stays to the byte. It works in place, reading ahead of where it writes.
///
/// # Errors
/// None that scanning did not find before.
pub(super) fn cut(object: &mut Vec<u8>, name: &str) -> Result<(), Fault> {
    let mut scanner = Scanner::resume(object, 0);
    scanner.begin(b'{')?;
    let (mut start, mut kept) = (scanner.at, scanner.at);
    let mut has_items = scanner.next_item(true, b'}')?;
    while has_items {
        let mut scanner = Scanner::resume(object, start);
        let is_cut = scanner.member(1)?.name.is(name);
        has_items = scanner.next_item(false, b'}')?;
        let next = scanner.at;
        if !is_cut {
            if kept > 1 {
                object[kept] = b',';
                kept += 1;
            }
            object.copy_within(start..next - 1, kept);
            kept += next - 1 - start;
        }
        start = next;
    }
    object[kept] = b'}';
    object.truncate(kept + 1);
    Ok(())
}

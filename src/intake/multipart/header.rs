//! Parameters of headers (RFC 9110, 5.6.6): `form-data; name="a"; filename="b.txt"`.

use std::borrow::Cow;

use super::super::escapes::percent_decoded;

/// What a part's `Content-Disposition` says.
#[derive(Default)]
pub(super) struct Disposition<'a> {
    /// Empty where there is none, as a form's field may be.
    pub(super) name: Cow<'a, [u8]>,
    /// Of a file only.
    pub(super) filename: Option<Cow<'a, [u8]>>,
}

impl<'a> Disposition<'a> {
    pub(super) fn read(value: &'a [u8]) -> Self {
        let text = |plain: &str, extended: &str| {
            let extended = parameter(value, extended).and_then(|value| extended_value(&value));
            extended.map(Cow::Owned).or_else(|| parameter(value, plain))
        };
        Self { name: text("name", "name*").unwrap_or_default(), filename: text("filename", "filename*") }
    }
}

/// The value of the first parameter of that name (in any case), the quotes around it taken off.
pub(super) fn parameter<'a>(header: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut rest = skip_past(header, b';')?;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        if rest[end] == b';' {
            rest = &rest[end + 1..];
            continue;
        }
        let found = rest[..end].trim_ascii();
        let (value, after) = read_value(rest[end + 1..].trim_ascii_start());
        if found.eq_ignore_ascii_case(name.as_bytes()) {
            return Some(value);
        }
        rest = skip_past(after, b';')?;
    }
}

fn skip_past(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.iter().position(|&other| other == byte).map(|at| &text[at + 1..])
}

/// A token or a quoted string, and what follows.
fn read_value(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
        return (text[..end].trim_ascii_end().into(), &text[end..]);
    };
    let mut end = 0;
    let mut has_escapes = false;
    while let Some(&byte) = quoted.get(end)
        && byte != b'"'
    {
        let is_escape = begins_escape(&quoted[end..]);
        has_escapes |= is_escape;
        end += 1 + usize::from(is_escape);
    }
    let value = &quoted[..end];
    let value = if has_escapes { unescaped(value).into() } else { value.into() };
    (value, quoted.get(end + 1..).unwrap_or_default())
}

/// Only these two are escapes: old browsers send a backslash of `C:\files\a.txt` as it is.
fn begins_escape(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'"' | b'\\', ..])
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let is_escape = begins_escape(rest);
        out.push(if is_escape { after[0] } else { byte });
        rest = &after[usize::from(is_escape)..];
    }
    out
}

/// The text of `UTF-8''na%C3%AFve` (RFC 8187).
fn extended_value(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    charset.eq_ignore_ascii_case(b"utf-8").then(|| percent_decoded(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_tokens_or_quoted() {
        let value = |header: &str, name| parameter(header.as_bytes(), name).map(|value| String::from_utf8(value.into()).unwrap());
        for (header, want) in [
            ("form-data; name=a", Some("a")),
            ("form-data; name = a ; b=c", Some("a")),
            ("form-data;x=y;NAME=\"a b;c=d\"", Some("a b;c=d")),
            (r#"form-data; x="; name=no"; name="a\"b\\c\d""#, Some(r#"a"b\c\d"#)),
            ("form-data; x; name=a", Some("a")),
            ("form-data; name=\"open", Some("open")),
            ("form-data; name=\"a\\", Some("a\\")),
            ("form-data; name=", Some("")),
            ("form-data; filename=a", None),
            ("name=a", None),
            ("", None),
        ] {
            assert_eq!(value(header, "name").as_deref(), want, "{header}");
        }
    }

    #[test]
    fn a_file_has_a_filename_in_either_spelling() {
        let filename = |header: &str| Disposition::read(header.as_bytes()).filename.map(|name| String::from_utf8(name.into()).unwrap());
        assert_eq!(filename("form-data; name=a"), None);
        assert_eq!(filename("form-data; name=a; filename=\"\"").as_deref(), Some(""));
        assert_eq!(filename(r#"form-data; filename="C:\files\a.txt""#).as_deref(), Some(r"C:\files\a.txt"));
        assert_eq!(filename("form-data; filename=\"nave\"; filename*=utf-8'en'na%C3%AFve").as_deref(), Some("naïve"));
        assert_eq!(filename("form-data; filename=\"a\"; filename*=latin1''b").as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(name in "[ -~é]{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let header = format!("form-data; filename=x; name=\"{}\"; y=z", name.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(&*Disposition::read(header.as_bytes()).name, name.as_bytes());
            let _ = Disposition::read(&bytes);
        }
    }
}

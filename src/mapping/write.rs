//! Values as JSON.

use std::fmt::Write;

use jaq_json::{Num, Val};

use super::meter;
use super::value::Value;

/// As JSON, or, where a value is something that JSON has not, as what jq makes of it: `null` for what is no number.
pub(super) fn text(value: &Value) -> String {
    value.walked();
    let mut out = String::new();
    write(&mut out, &value.val);
    meter::bytes(out.len());
    out
}

/// The text of a string as it is, of anything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match &value.val {
        Val::TStr(text) | Val::BStr(text) => {
            value.walked();
            String::from_utf8_lossy(text).into_owned()
        }
        _ => text(value),
    }
}

fn write(out: &mut String, value: &Val) {
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Val::Num(number) => write_number(out, number),
        Val::TStr(text) | Val::BStr(text) => write_string(out, &String::from_utf8_lossy(text)),
        Val::Arr(array) => write_all(out, ['[', ']'], array.iter(), write),
        Val::Obj(object) => write_all(out, ['{', '}'], object.iter(), |out, (name, value)| {
            match name {
                Val::TStr(text) | Val::BStr(text) => write_string(out, &String::from_utf8_lossy(text)),
                other => {
                    let mut name = String::new();
                    write(&mut name, other);
                    write_string(out, &name);
                }
            }
            out.push(':');
            write(out, value);
        }),
    }
}

fn write_all<T>(out: &mut String, brackets: [char; 2], items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    out.push(brackets[0]);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}

fn write_number(out: &mut String, number: &Num) {
    match number {
        Num::Float(float) if float.is_nan() => out.push_str("null"),
        Num::Float(float) if float.is_infinite() => {
            let _ = write!(out, "{:e}", f64::MAX.copysign(*float));
        }
        // As jq writes what was calculated: 3, not 3.0.
        Num::Float(float) if float.fract() == 0.0 && float.abs() < 1e17 => {
            let _ = write!(out, "{float:.0}");
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ..' ' | '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

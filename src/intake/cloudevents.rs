//! CloudEvents in HTTP's binary mode: attributes in headers, the data in the body. The structured mode and batches are JSON
//! as they come.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;

use super::content::is_text;
use super::escapes::percent_decoded;
use super::headers::shown_value;
use super::json::Scanner;
use super::writer::{Writer, base64_len};
use super::{Context, IntakeError};

const PREFIX: &str = "ce-";

const NOT_JSON: &str = "the data is declared as JSON and is none; it was kept as data_base64";

/// Whether a request is an event in binary mode.
pub(super) fn is_binary(headers: &HeaderMap, content_type: Option<&str>) -> bool {
    headers.contains_key("ce-specversion") && !essence(content_type).starts_with("application/cloudevents")
}

/// The event as the JSON of the structured mode (CloudEvents, JSON event format).
///
/// # Errors
/// `TooLarge` if that has more bytes than a body may; `Malformed` if the data is JSON that is nested too deeply.
pub(super) fn to_object(
    data: &[u8],
    content_type: Option<&str>,
    context: &Context<'_>,
    warnings: &mut Vec<Cow<'static, str>>,
) -> Result<Bytes, IntakeError> {
    // Data that is no text takes most room. Attributes are short.
    let mut out = Writer::new(base64_len(data) + 1_024, context.rules.max_body);
    for (name, value) in attributes(context) {
        out.member(name.as_bytes())?;
        out.string(&value)?;
    }
    if let Some(content_type) = content_type {
        out.member(b"datacontenttype")?;
        out.string(content_type.as_bytes())?;
    }
    if !data.is_empty() {
        write_data(data, content_type, &mut out, warnings)?;
    }
    out.json("}")?;
    Ok(out.finish())
}

/// Names and values, in the order of the headers; what names no attribute is left out.
fn attributes<'a>(context: &'a Context<'_>) -> impl Iterator<Item = (&'a str, Vec<u8>)> {
    context.headers.keys().filter_map(|header: &HeaderName| {
        let name = header.as_str().strip_prefix(PREFIX)?;
        let is_attribute = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_attribute || ["data", "datacontenttype"].contains(&name) {
            return None;
        }
        let value = shown_value(context.headers, header.as_str(), context.secret_header)?;
        Some((name, percent_decoded(unquoted(&value).as_bytes())))
    })
}

/// The inside of a quoted string (RFC 9110, 5.6.4), or the value as it is.
fn unquoted(value: &str) -> Cow<'_, str> {
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let Some(inside) = inside else { return value.into() };
    if !inside.contains('\\') {
        return inside.into();
    }
    let mut chars = inside.chars();
    let mut text = String::with_capacity(inside.len());
    while let Some(char) = chars.next() {
        text.push(if char == '\\' { chars.next().unwrap_or(char) } else { char });
    }
    text.into()
}

/// Objects and arrays are JSON whatever they are called, other values where they are declared to be.
fn write_data(data: &[u8], content_type: Option<&str>, out: &mut Writer, warnings: &mut Vec<Cow<'static, str>>) -> Result<(), IntakeError> {
    let is_declared = is_json(content_type);
    match json_value(data) {
        Ok(json) if is_declared || json.starts_with(['{', '[']) => {
            out.member(b"data")?;
            out.json(json)
        }
        Err(Some(too_deep)) => Err(too_deep),
        _ if is_text(data) && !is_declared => {
            out.member(b"data")?;
            out.string(data)
        }
        _ => {
            if is_declared {
                warnings.push(NOT_JSON.into());
            }
            out.member(b"data_base64")?;
            out.base64(data)
        }
    }
}

/// The data, if it is JSON; an error inside if it is, yet may not be kept.
fn json_value(data: &[u8]) -> Result<&str, Option<IntakeError>> {
    let scan = || {
        let mut scanner = Scanner::new(data)?;
        let value = scanner.value(1)?;
        scanner.end().map(|()| value)
    };
    match scan() {
        Ok(value) => std::str::from_utf8(value).map_err(|_| None),
        Err(fault) if fault.is_too_deep() => Err(Some(IntakeError::malformed(fault.describe(data)).at(|| "in the data".into()))),
        Err(_) => Err(None),
    }
}

/// The binding takes data without a type for JSON.
fn is_json(content_type: Option<&str>) -> bool {
    let essence = essence(content_type);
    essence.is_empty() || essence.ends_with("/json") || essence.ends_with("+json")
}

fn essence(content_type: Option<&str>) -> String {
    content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::{Accept, Rules};
    use super::*;

    fn event(headers: &[(&'static str, &str)], content_type: Option<&str>, data: &[u8]) -> Result<(String, usize), IntakeError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let rules = Rules {
            incident_type: None,
            duplication_key: Vec::new(),
            max_incidents: 1,
            max_body: 1_000,
            accept: Accept::Json,
            unwrap: Vec::new(),
            cloudevents: true,
            mapping: None,
        };
        let secret_header = Some(&HeaderName::from_static("ce-secret"));
        let mut warnings = Vec::new();
        let json = to_object(data, content_type, &Context { rules: &rules, headers: &map, secret_header, query: None }, &mut warnings)?;
        Ok((String::from_utf8(json.into()).unwrap(), warnings.len()))
    }

    fn data(content_type: Option<&str>, data: &[u8]) -> String {
        let (json, warnings) = event(&[("ce-specversion", "1.0")], content_type, data).unwrap();
        let warned = if warnings > 0 { "warned: " } else { "" };
        let start = content_type.map_or(20, |content_type| 20 + content_type.len() + 21);
        format!("{warned}{}", &json[start..])
    }

    #[test]
    fn headers_become_attributes() {
        let headers = [
            ("ce-specversion", "1.0"),
            ("host", "h"),
            ("ce-id", "a%20%22b%22%E2%82%AC%2525"),
            ("ce-subject", "\"quoted \\\"x\\\" %41\""),
            ("ce-data", "no"),
            ("ce-datacontenttype", "no"),
            ("ce-raw_json", "no"),
            ("ce-", "no"),
            ("ce-secret", "no"),
            ("ce-trace1", "50%"),
        ];
        let (json, _) = event(&headers, Some("application/json; charset=utf-8"), b"{ \"a\" : 1e400 }\n").unwrap();
        assert_eq!(
            json,
            r#"{"specversion":"1.0","id":"a \"b\"€%25","subject":"quoted \"x\" A","trace1":"50%","datacontenttype":"application/json; charset=utf-8","data":{ "a" : 1e400 }}"#
        );
    }

    #[test]
    fn data_is_json_text_or_base64() {
        for (content_type, body, want) in [
            (None, "", "}"),
            (None, "5", r#","data":5}"#),
            (Some("application/json"), "\"x\"", r#","data":"x"}"#),
            (Some("text/json"), "null", r#","data":null}"#),
            (Some("application/vnd.x+json"), "[1]", r#","data":[1]}"#),
            (Some("text/plain"), "{\"a\":1}", r#","data":{"a":1}}"#),
            (Some("text/plain"), "5 \"x\"", r#","data":"5 \"x\""}"#),
            (Some("text/plain"), "5", r#","data":"5"}"#),
            (Some("application/xml"), "<a/>", r#","data":"<a/>"}"#),
            (Some("application/json"), "1},{\"x\":2", r#"warned: ,"data_base64":"MX0seyJ4Ijoy"}"#),
        ] {
            assert_eq!(data(content_type, body.as_bytes()), want, "{content_type:?} {body}");
        }
        assert_eq!(data(Some("image/png"), b"\x89PNG"), r#","data_base64":"iVBORw=="}"#);
    }

    #[test]
    fn nesting_and_size_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(event(&[], None, nested(63).as_bytes()).is_ok());
        assert!(event(&[], None, nested(64).as_bytes()).unwrap_err().to_string().contains("in the data: nesting deeper than 64"));
        assert_eq!(event(&[], Some("a/b"), &[0; 800]), Err(IntakeError::TooLarge));
    }

    #[test]
    fn structured_mode_is_told_by_the_content_type() {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("ce-specversion"), HeaderValue::from_static("1.0"))]);
        assert!(is_binary(&headers, None) && is_binary(&headers, Some("application/json")));
        for structured in ["application/cloudevents+json; charset=utf-8", "Application/CloudEvents-Batch+JSON"] {
            assert!(!is_binary(&headers, Some(structured)), "{structured}");
        }
        assert!(!is_binary(&HeaderMap::new(), Some("application/json")));
    }
}

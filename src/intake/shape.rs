//! What a body is, and the JSON it stands for.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Accept, Context, IntakeError, cloudevents, content, form, lines, multipart, unwrap, xml};

/// A body as JSON, or as what is to be refused for not being that.
pub(super) struct Shaped {
    pub(super) json: Bytes,
    /// Of the body as a whole.
    pub(super) warnings: Vec<Cow<'static, str>>,
}

/// The JSON of a body whose encoding was taken off.
///
/// # Errors
/// If its shape cannot be read, or `TooLarge` if it has more bytes than a body may once it is JSON.
pub(super) fn to_json(body: Bytes, content_type: Option<&str>, context: &Context<'_>) -> Result<Shaped, IntakeError> {
    let rules = context.rules;
    let mut warnings = Vec::new();
    let is_event = rules.cloudevents && cloudevents::is_binary(context.headers, content_type);
    let json = if is_event {
        cloudevents::to_object(&body, content_type, context, &mut warnings)?
    } else {
        accepted(body, content_type, context)?
    };
    Ok(Shaped { json: unwrap::apply(json, &rules.unwrap, rules.max_body, &mut warnings), warnings })
}

fn accepted(body: Bytes, content_type: Option<&str>, context: &Context<'_>) -> Result<Bytes, IntakeError> {
    let max = context.rules.max_body;
    match context.rules.accept {
        Accept::Json => fields(body, content_type, max),
        Accept::JsonOnly => Ok(body),
        // Senders of lines ask whether anybody is there with a body of no lines.
        Accept::JsonLines if is_blank(&body) => Ok(Bytes::from_static(b"[]")),
        Accept::JsonLines => lines::to_array(fields(body, content_type, max)?, context.rules.max_incidents),
        // Forms escape it: what begins so is only called a form, as curl calls everything.
        Accept::Xml if first(&body) == Some(b'<') => xml::to_object(&body, max),
        Accept::Xml => {
            let body = fields(body, content_type, max)?;
            if is_blank(&body) || form::begins_like_json(&body) { Ok(body) } else { xml::to_object(&body, max) }
        }
        Accept::Any => {
            let body = match fields(body.clone(), content_type, max) {
                Err(IntakeError::Malformed { .. }) => body,
                other => other?,
            };
            if content::is_events(&body) { Ok(body) } else { content::to_object(&body, content_type, max) }
        }
    }
}

/// The JSON of a form, however it was encoded; any other body as it is.
fn fields(body: Bytes, content_type: Option<&str>, max: usize) -> Result<Bytes, IntakeError> {
    // A form has a name and a value: what has none is only called so, as curl calls everything.
    if form::is_form(content_type) && body.contains(&b'=') {
        form::to_json(body, max)
    } else if multipart::is_multipart(content_type) {
        multipart::to_json(body, content_type, max)
    } else {
        Ok(body)
    }
}

/// Nothing but white space and a byte order mark.
fn is_blank(body: &[u8]) -> bool {
    first(body).is_none()
}

/// The first byte that says something.
fn first(body: &[u8]) -> Option<u8> {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start().first().copied()
}

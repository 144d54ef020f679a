//! Headers that the gateway itself vouches for: no sender can have them say anything else.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Version, header};

use super::error::Refused;

/// Whom the verified client certificate names. Reserved: what a sender sends under this name is dropped.
pub(super) const CLIENT_SUBJECT: HeaderName = HeaderName::from_static("hookgate-client-subject");

/// Sets the reserved headers of a request from what is known about its connection.
pub(super) fn vouch(head: &mut Parts, client: Option<&str>) {
    head.headers.remove(CLIENT_SUBJECT);
    if let Some(subject) = client {
        let value = HeaderValue::from_bytes(subject.as_bytes()).expect("control characters of a subject are escaped");
        head.headers.insert(CLIENT_SUBJECT, value);
    }
}

/// HTTP/2 sends the host as `:authority` (RFC 9113 section 8.3.1). Whoever reads the incident looks for `host`.
pub(super) fn name_host(head: &mut Parts) -> Result<(), Refused> {
    if head.version != Version::HTTP_2 {
        return Ok(());
    }
    let authority = head.uri.authority().map(|authority| authority.as_str());
    match (authority, head.headers.get(header::HOST)) {
        (Some(authority), None) => {
            let value = HeaderValue::from_str(authority).map_err(|_| Refused::Framing("the :authority is not a host"))?;
            head.headers.insert(header::HOST, value);
        }
        (Some(authority), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            return Err(Refused::Framing("the Host header and :authority differ"));
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(version: Version, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn nobody_sends_a_subject_but_a_certificate() {
        let mut spoofed = head(Version::HTTP_11, "/", &[("Hookgate-Client-Subject", "CN=root"), ("hookgate-client-subject", "CN=toor")]);
        vouch(&mut spoofed, None);
        assert!(spoofed.headers.is_empty());
        let mut spoofed = head(Version::HTTP_11, "/", &[("Hookgate-Client-Subject", "CN=root")]);
        vouch(&mut spoofed, Some("CN=é"));
        let values: Vec<_> = spoofed.headers.get_all(CLIENT_SUBJECT).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, ["CN=é".as_bytes()]);
    }

    #[test]
    fn the_authority_is_the_host() {
        let mut two = head(Version::HTTP_2, "https://a:1/x", &[]);
        name_host(&mut two).unwrap();
        assert_eq!(two.headers[header::HOST], "a:1");
        assert!(name_host(&mut head(Version::HTTP_2, "https://a/x", &[("host", "A")])).is_ok());
        assert!(name_host(&mut head(Version::HTTP_2, "https://a/x", &[("host", "b")])).is_err());
        let mut one = head(Version::HTTP_11, "https://a/x", &[]);
        name_host(&mut one).unwrap();
        assert!(one.headers.is_empty(), "an absolute form is no HTTP/2");
    }
}

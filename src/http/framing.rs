//! What HTTP/1.1 forbids and hyper lets through. Anything here can hide one request inside another when a proxy in front
//! reads it differently, so it is refused and the connection closed.

use http::request::Parts;
use http::{Method, Version, header};

use super::error::Refused;

/// RFC 9112 sections 3.2 and 6.1, RFC 9110 section 10.1.1.
pub(super) fn check(head: &Parts) -> Result<(), Refused> {
    if head.method == Method::CONNECT {
        return Err(Refused::Framing("CONNECT is for proxies"));
    }
    let hosts = head.headers.get_all(header::HOST).iter().count();
    if hosts > 1 {
        return Err(Refused::Framing("more than one Host header"));
    }
    if hosts == 0 && head.version >= Version::HTTP_11 {
        return Err(Refused::Framing("the Host header is missing"));
    }
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next()
        && (encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Refused::Framing("Transfer-Encoding must be a single `chunked`"));
    }
    let mut expectations = head.headers.get_all(header::EXPECT).iter();
    if let Some(expectation) = expectations.next()
        && (expectations.next().is_some() || !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Refused::Framing("the only expectation answered is 100-continue"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn checked(headers: &[(&str, &str)]) -> Result<(), Refused> {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn ordinary_requests_pass() {
        assert!(checked(&[("host", "a")]).is_ok());
        assert!(checked(&[("host", "a"), ("transfer-encoding", "Chunked"), ("expect", "100-Continue")]).is_ok());
    }

    #[test]
    fn odd_ones_do_not() {
        for odd in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("host", "a"), ("expect", "a-miracle")],
        ] {
            assert!(matches!(checked(odd), Err(Refused::Framing(_))), "{odd:?}");
        }
    }
}

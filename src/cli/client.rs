//! One HTTP request to a gateway, for `send`.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A gateway that listens accepts at once; this is for addresses that swallow packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the gateway's own limits on a body and a commit, so that its answer is seen rather than this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// An answer names each incident in some 300 bytes and a request holds 10,000 by default; room for ten times that.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// As text; bytes that are not UTF-8 are replaced.
    pub(super) body: String,
}

/// Posts a body and waits for the answer.
pub(super) fn post(url: &Uri, headers: HeaderMap, body: Vec<u8>) -> anyhow::Result<Answer> {
    if url.scheme() != Some(&Scheme::HTTP) {
        bail!("cannot post to {url}: only http:// addresses are supported");
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        bail!("the address must not hold a user or password: the instance's own are sent");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        tokio::time::timeout(ANSWER_TIMEOUT, exchange(url, headers, body))
            .await
            .with_context(|| format!("no answer from {url} within {} seconds", ANSWER_TIMEOUT.as_secs()))?
    })
}

async fn exchange(url: &Uri, headers: HeaderMap, body: Vec<u8>) -> anyhow::Result<Answer> {
    let authority = url.authority().with_context(|| format!("{url} has no host"))?;
    let stream = connect(authority).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(|| format!("cannot talk to {authority}"))?;
    // Its errors reach us through the request.
    tokio::spawn(connection);

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(Method::POST).uri(path).body(Full::new(Bytes::from(body)))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority.as_str())?);

    let answer = sender.send_request(request).await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{status}, but the answer cannot be read: {error}"))?.to_bytes();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

async fn connect(authority: &http::uri::Authority) -> anyhow::Result<TcpStream> {
    // Brackets are part of an IPv6 address in a URL only.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(80);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await;
    let stream = connected.with_context(|| format!("{authority} does not answer within {} seconds", CONNECT_TIMEOUT.as_secs()))?;
    stream.with_context(|| format!("cannot connect to {authority}; is the gateway running (hookgate serve)?"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Serves one connection with a fixed answer and returns what was asked.
    fn serve_once(answer: &'static str) -> (Uri, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/instance/execute/a", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 1024];
            while !asked.ends_with(b"{}") {
                let read = stream.read(&mut chunk).unwrap();
                assert_ne!(read, 0, "closed early");
                asked.extend_from_slice(&chunk[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, server)
    }

    #[test]
    fn posts_and_reads_the_answer() {
        let (url, server) = serve_once("HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n");
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("s"));
        let answer = post(&url, headers, b"{}".to_vec()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, "no\n"));
        let asked = server.join().unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("post /instance/execute/a http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("\r\nhost: {}\r\n", url.authority().unwrap())), "{asked}");
        assert!(asked.contains("\r\nx-api-key: s\r\n") && asked.contains("\r\ncontent-length: 2\r\n"), "{asked}");
    }

    #[test]
    fn says_what_to_do_when_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let error = post(&url, HeaderMap::new(), Vec::new()).err().unwrap();
        assert!(format!("{error:#}").contains("is the gateway running"), "{error:#}");
    }

    #[test]
    fn credentials_in_the_address_are_refused_and_not_repeated() {
        let url = Uri::from_static("http://alice:secret@127.0.0.1:1/");
        let error = post(&url, HeaderMap::new(), Vec::new()).err().unwrap();
        assert!(!format!("{error:#}").contains("secret"), "{error:#}");
    }

    #[test]
    fn https_is_refused_for_now() {
        assert!(post(&Uri::from_static("https://127.0.0.1/"), HeaderMap::new(), Vec::new()).is_err());
    }
}

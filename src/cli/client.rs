//! One HTTP request to a gateway, for `send` and `check --live`.

mod trust;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::listener::proxy;
pub(super) use trust::Trust;

/// A gateway that listens accepts at once; this is for addresses that swallow packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer names each incident in some 300 bytes and a request holds 10,000 by default; room for ten times that.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// As text; bytes that are not UTF-8 are replaced.
    pub(super) body: String,
}

/// What is asked for.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What goes before the question.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// Whom to believe at an `https` address, which needs somebody.
    pub(super) trust: Option<Trust>,
    /// What to show a listener that demands a client certificate.
    pub(super) identity: Option<CertifiedKey>,
    /// Whether the listener expects a PROXY protocol header.
    pub(super) proxy_protocol: bool,
}

/// Asks and waits for the answer, for `patience` at most. What is told of the address is its host: the path may end with a token.
pub(super) fn ask(url: &Uri, question: Question, introduction: Introduction, patience: Duration) -> anyhow::Result<Answer> {
    let is_encrypted = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => bail!("{url} is not an http:// or https:// address"),
    };
    let authority = url.authority().with_context(|| format!("{url} has no host"))?;
    if authority.as_str().contains('@') {
        bail!("the address must not hold a user or password: the instance's own are sent");
    }
    let tls = match (is_encrypted, introduction.trust) {
        (false, _) => None,
        (true, Some(trust)) => Some(TlsConnector::from(Arc::new(trust.into_config(introduction.identity)))),
        (true, None) => bail!("{authority} needs a certificate to trust, and none is configured: give one with --cacert"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let exchange = async {
            let mut stream = connect(authority, if is_encrypted { 443 } else { 80 }).await?;
            if introduction.proxy_protocol {
                stream.write_all(&proxy::LOCAL).await.with_context(|| format!("cannot talk to {authority}"))?;
            }
            match tls {
                None => exchange(stream, url, authority, question).await,
                Some(tls) => exchange(handshake(tls, stream, authority).await?, url, authority, question).await,
            }
        };
        tokio::time::timeout(patience, exchange)
            .await
            .with_context(|| format!("no answer from {authority} within {} seconds", patience.as_secs()))?
    })
}

async fn exchange<IO>(stream: IO, url: &Uri, authority: &Authority, question: Question) -> anyhow::Result<Answer>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(|| format!("cannot talk to {authority}"))?;
    // Its errors reach us through the request.
    tokio::spawn(connection);

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(question.method).uri(path).body(Full::new(Bytes::from(question.body)))?;
    *request.headers_mut() = question.headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority.as_str())?);

    let answer = sender.send_request(request).await.with_context(|| format!("no answer from {authority}"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{status}, but the answer cannot be read: {error}"))?.to_bytes();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

async fn connect(authority: &Authority, default_port: u16) -> anyhow::Result<TcpStream> {
    let port = authority.port_u16().unwrap_or(default_port);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host(authority), port))).await;
    let stream = connected.with_context(|| format!("{authority} does not answer within {} seconds", CONNECT_TIMEOUT.as_secs()))?;
    stream.with_context(|| format!("cannot connect to {authority}; is the gateway running (hookgate serve)?"))
}

async fn handshake(tls: TlsConnector, stream: TcpStream, authority: &Authority) -> anyhow::Result<TlsStream<TcpStream>> {
    let name =
        ServerName::try_from(host(authority).to_owned()).with_context(|| format!("{authority} is no name that a certificate has"))?;
    tls.connect(name, stream).await.with_context(|| {
        format!(
            "no TLS connection to {authority}: does it have the configured certificate (the running gateway may still have an older one)? \
             For a proxy in front, give its authority with --cacert"
        )
    })
}

/// Brackets are part of an IPv6 address in a URL only.
fn host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn post(url: &Uri, headers: HeaderMap, body: Vec<u8>) -> anyhow::Result<Answer> {
        ask(url, Question { method: Method::POST, headers, body }, Introduction::default(), Duration::from_secs(10))
    }

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
    fn https_needs_somebody_to_trust() {
        let error = post(&Uri::from_static("https://127.0.0.1/"), HeaderMap::new(), Vec::new()).err().unwrap();
        assert!(error.to_string().contains("--cacert"), "{error}");
        assert!(post(&Uri::from_static("ftp://127.0.0.1/"), HeaderMap::new(), Vec::new()).is_err());
    }
}

//! Getting a small file from a vendor, so that nobody can make us get anything else.
//!
//! What is to be fetched may be named by a message whose sender is not known yet. Hence: HTTPS on port 443 only, a list of
//! hosts that the code gives, names that lead to public addresses only (and the connection goes to the very address that was
//! looked at), no redirects, no proxies, little size, little time, and few tries in a row.
//!
//! The authorities that are trusted are Mozilla's, compiled in (`webpki-roots`) rather than the system's: the image has no
//! system, and the vendors' certificates are public ones.

mod address;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use address::is_public;

/// Certificates and key sets have some 2 KiB.
const MAX_SIZE: usize = 64 * 1024;
/// In all. Senders wait 3 s at least; what comes later is there for their next try.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 3;
/// Tries in a row of each [`Standing`]. A new certificate or key set needs one or two.
const BURST: u32 = 8;
/// Then one at a time: what somebody with made-up messages can make us do.
const REFILL: Duration = Duration::from_secs(15);

/// Fetches files from hosts of one vendor.
pub(crate) struct Fetcher {
    is_allowed: fn(&str) -> bool,
    reach: Reach,
    tls: Arc<ClientConfig>,
    patience: Duration,
    budgets: [Mutex<Budget>; 3],
}

/// What speaks for an address. Each has tries of its own, so that made-up addresses use up no others'.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// Nothing but its host.
    Any,
    /// It looks as the vendor's do.
    Likely,
    /// Something was there before, or somebody who is known has named it.
    Known,
}

/// Where connections go.
enum Reach {
    /// To where the host's name leads.
    Public,
    /// To a server of the test.
    #[cfg(test)]
    Test(SocketAddr),
}

/// Why there is no file. No text of another's is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the address is not one of the owner's")]
    Foreign,
    #[error("too many tries")]
    Busy,
    #[error("the owner's name leads nowhere")]
    Resolve,
    #[error("the owner's name leads to an address that is not public")]
    NotPublic,
    #[error("no connection to the owner")]
    Connect,
    #[error("no TLS connection to the owner")]
    Tls,
    #[error("the owner's answer is none")]
    Answer,
    #[error("the owner has no such file")]
    NotFound,
    #[error("the owner answers with another status than 200")]
    Status,
    #[error("the owner's answer is too large")]
    TooLarge,
    #[error("the owner takes too long")]
    Timeout,
}

impl Fetcher {
    /// For the hosts, in lower case, that `is_allowed` accepts.
    pub(crate) fn new(is_allowed: fn(&str) -> bool) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::with(is_allowed, Reach::Public, roots, PATIENCE)
    }

    fn with(is_allowed: fn(&str) -> bool, reach: Reach, roots: RootCertStore, patience: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut tls = builder.expect("ring speaks TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { is_allowed, reach, tls: Arc::new(tls), patience, budgets: [(); 3].map(|()| Mutex::new(Budget::new(Instant::now()))) }
    }

    /// The file at `uri`. Must be called inside a tokio runtime with time.
    pub(crate) async fn get(&self, uri: &Uri, standing: Standing) -> Result<Bytes, FetchError> {
        let host = uri.authority().map(http::uri::Authority::as_str).filter(|host| (self.is_allowed)(host));
        let host = host.filter(|_| uri.scheme_str() == Some("https")).ok_or(FetchError::Foreign)?;
        if !self.budgets[standing as usize].lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            return Err(FetchError::Busy);
        }
        tokio::time::timeout(self.patience, self.exchange(host, uri)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn exchange(&self, host: &str, uri: &Uri) -> Result<Bytes, FetchError> {
        let stream = self.connect(host).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Foreign)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(|_| FetchError::Tls)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|_| FetchError::Answer)?;
        // It ends when the sender is dropped; its errors reach us through the request.
        tokio::spawn(connection);

        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = Request::get(path).header(header::HOST, host).header(header::CONNECTION, "close").body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.map_err(|_| FetchError::Foreign)?).await.map_err(|_| FetchError::Answer)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Err(FetchError::NotFound),
            _ => return Err(FetchError::Status),
        }
        let body = Limited::new(answer.into_body(), MAX_SIZE).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| if error.is::<http_body_util::LengthLimitError>() { FetchError::TooLarge } else { FetchError::Answer })
    }

    async fn connect(&self, host: &str) -> Result<TcpStream, FetchError> {
        for address in self.addresses(host).await?.into_iter().take(MAX_ADDRESSES) {
            if let Ok(stream) = TcpStream::connect(address).await {
                return Ok(stream);
            }
        }
        Err(FetchError::Connect)
    }

    /// All of them public, or none is used: a name with both is somebody's trick.
    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, FetchError> {
        let addresses: Vec<_> = match self.reach {
            Reach::Public => tokio::net::lookup_host((host, 443)).await.map_err(|_| FetchError::Resolve)?.collect(),
            #[cfg(test)]
            Reach::Test(address) => return Ok(vec![address]),
        };
        if addresses.is_empty() {
            return Err(FetchError::Resolve);
        }
        if addresses.iter().all(|address| is_public(address.ip())) { Ok(addresses) } else { Err(FetchError::NotPublic) }
    }
}

/// `sns.REGION.amazonaws.com`, or with `.cn` behind it. No port, no user: the whole authority is looked at.
///
/// A region is spelled like `eu-west-1` or `us-gov-east-1`. Anything else may be somebody's: `sns.s3-us-west-2.amazonaws.com` is
/// whatever the owner of a bucket named `sns` puts there.
pub(crate) fn is_sns_host(host: &str) -> bool {
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    region.is_some_and(|region| is_region(&region.split('-').collect::<Vec<_>>()))
}

fn is_region(parts: &[&str]) -> bool {
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts {
        [land, names @ .., number] => {
            land.len() == 2 && is_word(land) && !names.is_empty() && names.iter().all(is_word) && is_number(number)
        }
        _ => false,
    }
}

/// Tries that are left.
struct Budget {
    left: u32,
    refilled: Instant,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { left: BURST, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled).as_secs() / REFILL.as_secs();
        if passed > 0 {
            self.left = u32::try_from(passed).unwrap_or(BURST).saturating_add(self.left).min(BURST);
            self.refilled = now;
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

//! A vendor of our own on the loopback interface, reached by a constructor that only tests have.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a vendor's server answers to a path; nothing: it keeps silent.
type Answers = fn(&str) -> Option<Vec<u8>>;

pub(crate) struct Vendor {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    requests: Arc<AtomicUsize>,
}

impl Vendor {
    /// Answers to every name, with a certificate for `name`.
    pub(crate) async fn start(name: &str, answers: Answers) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate.clone()], key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    counter.fetch_add(1, Ordering::SeqCst);
                    let head = String::from_utf8(head).unwrap();
                    match answers(head.split(' ').nth(1).unwrap()) {
                        Some(answer) => drop((stream.write_all(&answer).await, stream.shutdown().await)),
                        // Until the other side gives up.
                        None => drop(stream.read_u8().await),
                    }
                });
            }
        });
        Self { address, certificate, requests }
    }

    pub(crate) fn fetcher(&self, is_allowed: fn(&str) -> bool) -> Fetcher {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Fetcher::with(is_allowed, Reach::Test(self.address), roots, PATIENCE)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The answer with the file in it.
pub(crate) fn ok(file: &[u8]) -> Option<Vec<u8>> {
    Some([format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len()).as_bytes(), file].concat())
}

fn answers(path: &str) -> Option<Vec<u8>> {
    let text = match path {
        "/file?a=b" => return ok(b"contents"),
        "/large" => return ok(&vec![b'x'; MAX_SIZE + 1]),
        "/endless" => return Some([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; MAX_SIZE + 1]].concat()),
        "/silent" => return None,
        "/moved" => "HTTP/1.1 302 Found\r\nLocation: https://keys.example/file?a=b\r\nContent-Length: 0\r\n\r\n",
        "/broken" => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        "/garbage" => "220 smtp.example\r\n",
        "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    };
    Some(text.as_bytes().to_vec())
}

fn is_vendor(host: &str) -> bool {
    host == "keys.example"
}

async fn get(fetcher: &Fetcher, uri: &str) -> Result<Bytes, FetchError> {
    fetcher.get(&uri.parse().unwrap(), Standing::Any).await
}

#[tokio::test]
async fn only_a_whole_file_of_moderate_size_is_an_answer() {
    let vendor = Vendor::start("keys.example", answers).await;
    for (path, want) in [
        ("/file?a=b", Ok(Bytes::from_static(b"contents"))),
        ("/moved", Err(FetchError::Status)),
        ("/broken", Err(FetchError::Status)),
        ("/other", Err(FetchError::NotFound)),
        ("/large", Err(FetchError::TooLarge)),
        ("/endless", Err(FetchError::TooLarge)),
        ("/garbage", Err(FetchError::Answer)),
        ("/cut", Err(FetchError::Answer)),
    ] {
        let fetcher = vendor.fetcher(is_vendor);
        assert_eq!(get(&fetcher, &format!("https://keys.example{path}")).await, want, "{path}");
    }
    assert_eq!(vendor.requests(), 8, "no redirect was followed");
}

#[tokio::test]
async fn nobody_but_the_vendor_is_asked() {
    let vendor = Vendor::start("keys.example", answers).await;
    let fetcher = vendor.fetcher(is_vendor);
    for uri in [
        "http://keys.example/file?a=b",
        "https://keys.example:443/file?a=b",
        "https://keys.example:8443/file?a=b",
        "https://user@keys.example/file?a=b",
        "https://keys.example.evil.example/file?a=b",
        "https://127.0.0.1/file?a=b",
        "/file?a=b",
    ] {
        assert_eq!(get(&fetcher, uri).await, Err(FetchError::Foreign), "{uri}");
    }
    let other = vendor.fetcher(|host| host == "other.example");
    assert_eq!(get(&other, "https://other.example/file?a=b").await, Err(FetchError::Tls), "the certificate has another name");
    assert_eq!(vendor.requests(), 0);
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let vendor = Vendor::start("keys.example", answers).await;
    let fetcher = Fetcher { patience: Duration::from_millis(20), ..vendor.fetcher(is_vendor) };
    assert_eq!(get(&fetcher, "https://keys.example/silent").await, Err(FetchError::Timeout));
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_followed() {
    let fetcher = Fetcher::new(|host| host == "localhost");
    assert_eq!(get(&fetcher, "https://localhost/").await, Err(FetchError::NotPublic));
}

#[tokio::test]
async fn tries_in_a_row_are_counted() {
    let vendor = Vendor::start("keys.example", answers).await;
    let fetcher = vendor.fetcher(is_vendor);
    for _ in 0..BURST {
        assert_eq!(get(&fetcher, "https://keys.example/other").await, Err(FetchError::NotFound));
    }
    assert_eq!(get(&fetcher, "https://keys.example/other").await, Err(FetchError::Busy));
    assert_eq!(vendor.requests(), BURST as usize);
    for standing in [Standing::Likely, Standing::Known] {
        assert!(fetcher.get(&"https://keys.example/file?a=b".parse().unwrap(), standing).await.is_ok(), "{standing:?} has its own");
    }
}

#[test]
fn hosts_of_sns_are_those_of_regions() {
    for region in ["us-east-1", "ap-southeast-2", "us-gov-west-1", "us-isob-east-1", "mx-central-1"] {
        assert!(is_sns_host(&format!("sns.{region}.amazonaws.com")), "{region}");
    }
    assert!(is_sns_host("sns.cn-north-1.amazonaws.com.cn"));
    for region in ["s3-us-west-2", "s3", "s3.us-west-2", "s3-1", "us-1", "us--1", "us-east", "us-east-", "us-east-100", "usa-east-1", ""] {
        assert!(!is_sns_host(&format!("sns.{region}.amazonaws.com")), "{region}");
    }
}

#[test]
fn tries_come_back_one_at_a_time_and_no_more_than_at_first() {
    let start = Instant::now();
    let mut budget = Budget::new(start);
    let mut taken = |after: Duration| (0..100).filter(|_| budget.take(start + after)).count();
    assert_eq!(taken(Duration::ZERO), BURST as usize);
    assert_eq!(taken(REFILL - Duration::from_millis(1)), 0);
    assert_eq!(taken(REFILL), 1);
    assert_eq!(taken(REFILL * 4), 3);
    assert_eq!(taken(REFILL * 1_000), BURST as usize);
}

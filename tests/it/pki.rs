//! Certificates for tests, and clients that show or trust them.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::Answer;

pub(crate) const H2: &[u8] = b"h2";
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// An intermediate.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(authority(name), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` and `127.0.0.1`, with whatever `change` makes of it.
    pub(crate) fn server(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = named(&[(DnType::CommonName, "gateway")]);
        change(&mut params);
        self.issue(&params)
    }

    /// A certificate that names somebody.
    pub(crate) fn client(&self, subject: &[(DnType, &str)]) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(subject);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }

    /// A client that trusts this authority, shows `identity` and speaks `protocol`.
    pub(crate) fn trusting(&self, identity: Option<&Issued>, protocol: &[u8]) -> ClientConfig {
        self.trusting_by(rustls::ALL_VERSIONS, identity, protocol)
    }

    pub(crate) fn trusting_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Issued>,
        protocol: &[u8],
    ) -> ClientConfig {
        client(self.0.as_ref().der().clone(), versions, identity, protocol)
    }
}

impl Issued {
    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.crt")), &self.pem).unwrap();
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = named(&[(DnType::CommonName, name)]);
    params
}

fn named(subject: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in subject {
        name.push(kind.clone(), *value);
    }
    name
}

pub(crate) fn client(
    trusted: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&Issued>,
    protocol: &[u8],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![identity.certificate.clone()], key).unwrap()
        }
    };
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    config
}

/// Connects and shakes hands.
pub(crate) async fn shake_hands(address: SocketAddr, config: &ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config.clone())).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// `POST` to instance `in` as alice.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("https://localhost/instance/execute/in")
        .header("authorization", "Basic YWxpY2U6c2VjcmV0")
        .body(Full::new(body.into()))
        .unwrap()
}

/// One request on a connection of its own, by the protocol that `config` asks for.
pub(crate) async fn ask(address: SocketAddr, config: &ClientConfig, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let asked = async {
        let io = TokioIo::new(shake_hands(address, config).await.map_err(|error| error.to_string())?);
        let text = |error: hyper::Error| format!("{error:?}");
        let response = if config.alpn_protocols.first().is_some_and(|protocol| protocol == H2) {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(text)?;
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(text)?
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(text)?;
            tokio::spawn(connection);
            let (mut head, body) = request.into_parts();
            head.headers.insert("host", "localhost".parse().unwrap());
            head.uri = head.uri.path().parse().unwrap();
            sender.send_request(Request::from_parts(head, body)).await.map_err(text)?
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(text)?.to_bytes().to_vec();
        let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        Ok(Answer { status: head.status.as_u16(), headers: head.headers.iter().map(pair).collect(), body })
    };
    let answer: Result<Answer, String> = tokio::time::timeout(Duration::from_secs(20), asked).await.map_err(|_| "no answer".to_owned())?;
    answer.inspect(Answer::check_what_every_answer_has)
}

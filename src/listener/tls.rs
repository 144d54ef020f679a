//! TLS: certificates from PEM files, swapped without dropping a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where a listener's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate first, then the intermediates.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub private_key: PathBuf,
    /// PEM: authorities whose client certificates are demanded; none: no client certificate is asked for.
    pub client_ca: Option<PathBuf>,
}

/// Why a certificate cannot be used. Each says which file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not readable, or not PEM.
    #[error("{}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// PEM, but without what is needed.
    #[error("{}: holds no {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key is not the certificate's, or of an unknown kind.
    #[error("{} and {}: {source}", certificate.display(), private_key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The client authorities are unusable.
    #[error("{}: {message}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// A listener's TLS: new connections use the latest certificate, open ones keep theirs.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Loads the files, or says which of them is wrong.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::new(server_config(&files)?);
        Ok(Self { files, current })
    }

    /// What the certificates come from.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Reads the files again; on an error the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(server_config(&self.files)?);
        Ok(())
    }

    /// Takes over the certificates that another has loaded.
    pub fn adopt(&self, other: &Self) {
        self.current.store(other.current.load_full());
    }

    /// The subject of the certificate that the client has shown and that was verified, in RFC 4514 order.
    pub fn client_subject(session: &ServerConnection) -> Option<String> {
        let certificate = session.peer_certificates()?.first()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(parsed.subject().to_string())
    }

    /// The handshake of one connection, within `time`.
    pub async fn accept(&self, stream: TcpStream, time: Duration) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        tokio::time::timeout(time, acceptor.accept(stream)).await?
    }
}

/// TLS 1.2 and 1.3, no early data, no session tickets (rustls's defaults), HTTP/2 before HTTP/1.1.
fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.private_key).map_err(|source| pem_error(&files.private_key, source, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().expect("ring speaks TLS 1.2 and 1.3");
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| TlsError::ClientCa { path: path.clone(), message: error.to_string() })?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|source| TlsError::Pair {
        certificate: files.certificate.clone(),
        private_key: files.private_key.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Every certificate of a PEM file, in order; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|source| pem_error(path, source, "certificate"))?;
    if found.is_empty() { Err(TlsError::Empty { path: path.into(), what: "certificate" }) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| TlsError::ClientCa { path: path.into(), message: error.to_string() })?;
    }
    Ok(store)
}

fn pem_error(path: &Path, source: rustls::pki_types::pem::Error, what: &'static str) -> TlsError {
    match source {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Empty { path: path.into(), what },
        source => TlsError::Pem { path: path.into(), source },
    }
}

//! TLS: certificates from PEM files, swapped without dropping a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::ServerConfig;
use rustls::sign::SingleCertAndKey;
use rustls::{Error, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{self, TlsError, TlsFiles};
use super::subject;

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

    /// Whom the certificate names that the client has shown and that was verified, on one line; none where no client
    /// certificate is asked for.
    pub fn client_subject(session: &ServerConnection) -> Option<String> {
        session.peer_certificates()?.first().map(subject::subject)
    }

    /// The handshake of one connection, within `time`.
    pub async fn accept(&self, stream: TcpStream, time: Duration) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        tokio::time::timeout(time, acceptor.accept(stream)).await?
    }
}

/// Whether a handshake failed because of the certificate that the client showed, or showed none.
pub fn is_client_refused(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(cause, Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)))
}

/// TLS 1.2 and 1.3, no early data, no session tickets (rustls's defaults), HTTP/2 before HTTP/1.1.
fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let loaded = certificate::load(files, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring speaks TLS 1.2 and 1.3");
    let builder = match loaded.verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(loaded.key)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

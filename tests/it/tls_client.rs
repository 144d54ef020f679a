//! The other end of a TLS connection, as far as tests need one.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Answer, connect, read_answer};

/// A self-signed certificate of `localhost`, and its key.
pub(crate) struct Pair(CertifiedKey<KeyPair>);

impl Pair {
    pub(crate) fn new() -> Self {
        Self(generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    /// Puts both files in place, each as a whole.
    pub(crate) fn install(&self, folder: &Path) {
        for (name, text) in [("hookgate.key", self.0.signing_key.serialize_pem()), ("hookgate.crt", self.0.cert.pem())] {
            let temporary = folder.join("temporary");
            std::fs::write(&temporary, text).unwrap();
            std::fs::rename(temporary, folder.join(name)).unwrap();
        }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }
}

/// Trusts these certificates and no others.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn trusting(pairs: &[&Pair]) -> Self {
        let mut roots = RootCertStore::empty();
        for pair in pairs {
            roots.add(pair.certificate()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// A connection whose handshake is done.
    pub(crate) fn connect(&self, address: SocketAddr) -> Connection {
        let session = ClientConnection::new(Arc::clone(&self.0), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, connect(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        Connection(stream)
    }
}

/// A TLS connection that speaks HTTP/1.1.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// The certificate that the gateway showed.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// One of several requests on this connection: posts `{}` to instance `in` as alice.
    pub(crate) fn post(&mut self) -> Answer {
        let request = "POST /instance/execute/in HTTP/1.1\r\nhost: localhost\r\n\
                       authorization: Basic YWxpY2U6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{}";
        self.0.write_all(request.as_bytes()).unwrap();
        read_answer(&mut self.0, "POST")
    }
}

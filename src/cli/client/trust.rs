//! Which server `send` believes in.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::listener::certificates;

/// How the other end of an `https` connection proves that it is the gateway.
#[derive(Debug)]
pub(crate) enum Trust {
    /// It holds the key of exactly this certificate, the configured one. Under which name it was reached, and who has signed
    /// the certificate, is then of no matter.
    Pinned(CertificateDer<'static>),
    /// Its certificate is for the name in the URL and signed by one of these, as any other client would have it.
    Authorities(RootCertStore),
}

impl Trust {
    /// Trusts the first certificate of a chain in PEM.
    pub(crate) fn pin(chain: &Path) -> anyhow::Result<Self> {
        Ok(Self::Pinned(certificates(chain)?.swap_remove(0)))
    }

    /// Trusts what the certificates of a PEM file have signed, and these themselves.
    pub(crate) fn authorities(path: &Path) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(path)? {
            store.add(certificate).with_context(|| format!("{}: not a certificate to trust", path.display()))?;
        }
        Ok(Self::Authorities(store))
    }

    /// HTTP/1.1 over TLS 1.2 or 1.3; shows `identity` to a server that asks for it.
    pub(super) fn into_config(self, identity: Option<CertifiedKey>) -> ClientConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3");
        let builder = match self {
            Self::Pinned(certificate) => {
                let verifier = Pin { certificate, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Self::Authorities(store) => builder.with_root_certificates(store),
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// Accepts one certificate, byte for byte. That the server holds its key is verified as ever.
#[derive(Debug)]
struct Pin {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if end_entity.as_ref() == self.certificate.as_ref() {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

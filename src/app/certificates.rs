//! The certificates of a configuration, and what is wrong with them at which line.

use chrono::{DateTime, Utc};

use crate::config::{self, Config, ConfigError};
use crate::listener::{self, TlsError, TlsFile, TlsFiles};

/// All that is to be said about the certificates, each with key and line.
#[derive(Debug, Default)]
pub struct CertificateReport {
    /// The gateway does not start with these: a key that is not the certificate's, a chain in the wrong order, …
    pub unusable: Vec<ConfigError>,
    /// The gateway starts, but senders that look at the certificate turn away: it has expired, or is not valid yet.
    pub invalid: Vec<ConfigError>,
    /// Deserves a look, such as a certificate that expires soon.
    pub doubtful: Vec<ConfigError>,
}

/// Reads every certificate, key and authority that `config` names, and looks at them as of `now`.
pub fn inspect_certificates(config: &Config, now: DateTime<Utc>) -> CertificateReport {
    let mut report = CertificateReport::default();
    for (table, tls) in config.certificates() {
        let found = listener::inspect(&files(tls), now);
        let located = |error: TlsError| {
            let key = format!("{table}.{}", key(error.file));
            ConfigError { line: config.line(&key), key, message: error.to_string(), file: None }
        };
        report.unusable.extend(found.unusable.into_iter().map(located));
        report.invalid.extend(found.invalid.into_iter().map(located));
        report.doubtful.extend(found.doubtful.into_iter().map(located));
    }
    report
}

/// As the listener knows them.
pub(super) fn files(tls: &config::Tls) -> TlsFiles {
    TlsFiles { certificate: tls.certificate.clone(), private_key: tls.private_key.clone(), client_ca: tls.client_ca.clone() }
}

fn key(file: TlsFile) -> &'static str {
    match file {
        TlsFile::Certificate => "certificate",
        TlsFile::PrivateKey => "private_key",
        TlsFile::ClientCa => "client_ca",
    }
}

//! `certificate`, `private_key` and `client_ca`, as `[server]` and `[[instance]]` have them.

use std::path::PathBuf;

use super::reader::{Section, non_empty};

/// Files of a TLS listener; absolute paths of PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key of the leaf.
    pub private_key: PathBuf,
    /// Present: a client must show a certificate that one of these has signed.
    pub client_ca: Option<PathBuf>,
}

/// Reads the three keys of a table; a half pair is a mistake.
pub(super) fn read(section: &Section<'_>) -> Option<Tls> {
    let path = |key| section.take(key, non_empty).map(|path| section.context.folder.join(path));
    let (certificate, private_key, client_ca) = (path("certificate"), path("private_key"), path("client_ca"));
    let half = |missing, given| section.missing(missing, format!("is missing: {given} needs it"));
    match (section.has("certificate"), section.has("private_key"), section.has("client_ca")) {
        (true, false, _) => half("private_key", "certificate"),
        (false, true, _) => half("certificate", "private_key"),
        (false, false, true) => half("certificate", "client_ca (client certificates belong to TLS)"),
        _ => {}
    }
    Some(Tls { certificate: certificate?, private_key: private_key?, client_ca })
}

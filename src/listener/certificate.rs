//! What is in the files of a certificate, and whether it can be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::certificate::X509Certificate;

use super::subject::{distinguished_name, name};

/// Time enough to order a new certificate by hand, and more than those have left who renew on their own.
const EXPIRES_SOON: TimeDelta = TimeDelta::days(30);

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

/// One of [`TlsFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The chain.
    Certificate,
    /// Its key.
    PrivateKey,
    /// The authorities of clients.
    ClientCa,
}

/// Something is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct TlsError {
    /// Which of the files.
    pub file: TlsFile,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong, and what to do; one line.
    pub message: String,
}

/// All that is to be said about the files of one listener.
#[derive(Debug, Default)]
pub struct Inspection {
    /// No connection can be served with this.
    pub unusable: Vec<TlsError>,
    /// A listener can start, but senders that look at the certificate turn away.
    pub invalid: Vec<TlsError>,
    /// Deserves a look.
    pub doubtful: Vec<TlsError>,
}

/// Files that fit together.
pub(super) struct Loaded {
    pub(super) key: CertifiedKey,
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// Looks at all files as if a listener started with them at `now`.
pub fn inspect(files: &TlsFiles, now: DateTime<Utc>) -> Inspection {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut found = Inspection::default();
    let chain = read_chain(TlsFile::Certificate, &files.certificate);
    let key = read_key(&files.private_key, &provider);
    match (&chain, key) {
        (Ok(chain), Ok(key)) => found.unusable.extend(check_chain(files, chain, &*key).err()),
        (_, key) => found.unusable.extend(key.err()),
    }
    match &chain {
        Ok(chain) => inspect_chain(files, chain, now, &mut found),
        Err(error) => found.unusable.insert(0, error.clone()),
    }
    if let Some(path) = &files.client_ca {
        match read_chain(TlsFile::ClientCa, path).and_then(|chain| verifier(path, &chain, &provider).map(|_| chain)) {
            Ok(chain) => inspect_authorities(path, &chain, now, &mut found),
            Err(error) => found.unusable.push(error),
        }
    }
    found
}

/// Reads the files, or says which of them is wrong.
pub(super) fn load(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Loaded, TlsError> {
    let chain = read_chain(TlsFile::Certificate, &files.certificate)?;
    let key = read_key(&files.private_key, provider)?;
    check_chain(files, &chain, &*key)?;
    let demanded = |path: &PathBuf| verifier(path, &read_chain(TlsFile::ClientCa, path)?, provider);
    let verifier = files.client_ca.as_ref().map(demanded).transpose()?;
    Ok(Loaded { key: CertifiedKey::new(chain, key), verifier })
}

/// A certificate and its key, for whoever is to show them: as a listener loads its own.
pub fn identity(certificate: &Path, private_key: &Path) -> Result<CertifiedKey, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let files = TlsFiles { certificate: certificate.into(), private_key: private_key.into(), client_ca: None };
    load(&files, &provider).map(|loaded| loaded.key)
}

/// Every certificate of a PEM file, in order; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    read_chain(TlsFile::Certificate, path)
}

/// Every certificate of a PEM file, in order; at least one, and each of them readable.
fn read_chain(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |message| TlsError { file, path: path.into(), message };
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|source| error(pem_message(source, "no certificate in PEM")))?;
    if found.is_empty() {
        return Err(error("holds no certificate in PEM".into()));
    }
    for (index, certificate) in found.iter().enumerate() {
        x509_parser::parse_x509_certificate(certificate)
            .map_err(|source| error(format!("certificate {} is malformed: {source}", index + 1)))?;
    }
    Ok(found)
}

fn read_key(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
    let error = |message| TlsError { file: TlsFile::PrivateKey, path: path.into(), message };
    let key = PrivateKeyDer::from_pem_file(path)
        .map_err(|source| error(pem_message(source, "no private key in PEM (PKCS#8, PKCS#1 or SEC1; not encrypted)")))?;
    provider.key_provider.load_private_key(key).map_err(|source| error(format!("this key cannot be used: {source}")))
}

fn verifier(
    path: &Path,
    authorities: &[CertificateDer<'_>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let error = |message| TlsError { file: TlsFile::ClientCa, path: path.into(), message };
    let mut store = RootCertStore::empty();
    for (index, certificate) in authorities.iter().enumerate() {
        store
            .add(certificate.clone().into_owned())
            .map_err(|source| error(format!("certificate {} cannot be used: {source}", index + 1)))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    verifier.map_err(|source| error(source.to_string()))
}

fn pem_message(source: pem::Error, nothing: &str) -> String {
    match source {
        pem::Error::NoItemsFound => format!("holds {nothing}"),
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        source => format!("is not valid PEM: {source}"),
    }
}

/// The first certificate must be the key's, and each further one the issuer of the one before.
fn check_chain(files: &TlsFiles, chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> Result<(), TlsError> {
    let wrong_order = |why| TlsError {
        file: TlsFile::Certificate,
        path: files.certificate.clone(),
        message: format!("the chain is in the wrong order: {why}"),
    };
    let parsed = parse(chain);
    if let Some(public) = key.public_key()
        && parsed[0].public_key().raw != public.as_ref()
    {
        let Some(place) = parsed.iter().position(|certificate| certificate.public_key().raw == public.as_ref()) else {
            let message = format!("is not the key of {} in {}", name(&parsed[0]), files.certificate.display());
            return Err(TlsError { file: TlsFile::PrivateKey, path: files.private_key.clone(), message });
        };
        let (number, leaf) = (place + 1, name(&parsed[place]));
        return Err(wrong_order(format!("{leaf}, whose key it is, must be the first certificate and is number {number}")));
    }
    for (index, pair) in parsed.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            let (number, issuer) = (index + 2, distinguished_name(pair[0].issuer()));
            let (issued, found) = (name(&pair[0]), name(&pair[1]));
            return Err(wrong_order(format!("certificate {number} must be {issuer}, which issued {issued}, and is {found}")));
        }
    }
    Ok(())
}

/// Dates, and what clients of today refuse.
fn inspect_chain(files: &TlsFiles, chain: &[CertificateDer<'_>], now: DateTime<Utc>, found: &mut Inspection) {
    let note = |message| TlsError { file: TlsFile::Certificate, path: files.certificate.clone(), message };
    let parsed = parse(chain);
    for certificate in &parsed {
        match age(certificate, now) {
            Age::Right => {}
            Age::ExpiresSoon(end) => found.doubtful.push(note(format!("{} expires on {end}: renew it", name(certificate)))),
            Age::Expired(end) => found.invalid.push(note(format!("{} has expired on {end}: renew it", name(certificate)))),
            Age::NotYet(start) => {
                found.invalid.push(note(format!("{} is not valid before {start}: is the clock right?", name(certificate))));
            }
        }
    }
    let leaf = &parsed[0];
    if !matches!(leaf.subject_alternative_name(), Ok(Some(_))) {
        found.doubtful.push(note(format!("{} names no host (subjectAltName): most clients refuse it", name(leaf))));
    }
    if leaf.is_ca() {
        found.doubtful.push(note(format!("{} is an authority's certificate: some clients refuse it for a server", name(leaf))));
    }
}

/// The dates of an authority are nobody's concern when a client is verified, but its end is worth knowing of.
fn inspect_authorities(path: &Path, chain: &[CertificateDer<'_>], now: DateTime<Utc>, found: &mut Inspection) {
    for authority in &parse(chain) {
        let told = match age(authority, now) {
            Age::Right => continue,
            Age::ExpiresSoon(end) => format!("expires on {end}"),
            Age::Expired(end) => format!("has expired on {end}"),
            Age::NotYet(start) => format!("is not valid before {start}"),
        };
        found.doubtful.push(TlsError { file: TlsFile::ClientCa, path: path.into(), message: format!("{} {told}", name(authority)) });
    }
}

enum Age {
    Right,
    NotYet(DateTime<Utc>),
    ExpiresSoon(DateTime<Utc>),
    Expired(DateTime<Utc>),
}

fn age(certificate: &X509Certificate<'_>, now: DateTime<Utc>) -> Age {
    let validity = certificate.validity();
    // Beyond the years that can be told, a date is as good as never.
    let at = |seconds, never| DateTime::from_timestamp(seconds, 0).unwrap_or(never);
    let start = at(validity.not_before.timestamp(), DateTime::<Utc>::MIN_UTC);
    let end = at(validity.not_after.timestamp(), DateTime::<Utc>::MAX_UTC);
    if now < start {
        Age::NotYet(start)
    } else if end < now {
        Age::Expired(end)
    } else if end - now < EXPIRES_SOON {
        Age::ExpiresSoon(end)
    } else {
        Age::Right
    }
}

/// All that [`read_chain`] let pass can be parsed.
fn parse<'a>(chain: &'a [CertificateDer<'_>]) -> Vec<X509Certificate<'a>> {
    chain.iter().filter_map(|certificate| Some(x509_parser::parse_x509_certificate(certificate).ok()?.1)).collect()
}

//! Whom a certificate names, as text.

use std::fmt::Write;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Whom a certificate names; see [`name`].
pub(super) fn subject(certificate: &CertificateDer<'_>) -> String {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, parsed)) => name(&parsed),
        Err(_) => fingerprint(certificate),
    }
}

/// The subject as RFC 4514 writes it (`CN=billing,O=Example`). Where it is empty, the first alternative name
/// (`URI=spiffe://example.com/billing`); where there is none either, the certificate's fingerprint (`SHA256=…`). Printable
/// on one line, and never empty: certificates that name different subjects never have the same text.
pub(super) fn name(certificate: &X509Certificate<'_>) -> String {
    let name = distinguished_name(certificate.subject());
    if name.is_empty() { alternative_name(certificate).unwrap_or_else(|| fingerprint(certificate.as_raw())) } else { name }
}

fn fingerprint(certificate: &[u8]) -> String {
    format!("SHA256={}", hex(&Sha256::digest(certificate)))
}

/// RFC 4514 section 2: the last component first.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut components: Vec<String> = name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    components.reverse();
    components.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let Ok(value) = attribute.as_str() else {
        return format!("{}=#{}", oid.to_id_string(), hex(attribute.as_slice()));
    };
    let kind = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    format!("{kind}={}", escaped(value))
}

/// RFC 4514 section 2.4, and control characters as well: the text ends up in a header and in logs.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let is_special = "\"+,;<>\\=".contains(c) || (at == 0 && "# ".contains(c)) || (at == last && c == ' ');
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(text, "\\{byte:02x}").expect("writing to a String does not fail");
            }
            continue;
        }
        if is_special {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some(format!("URI={}", escaped(uri))),
        GeneralName::DNSName(host) => Some(format!("DNS={}", escaped(host))),
        GeneralName::RFC822Name(mail) => Some(format!("email={}", escaped(mail))),
        _ => None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certified(names: &[(DnType, &str)], alternative: Option<&str>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = alternative.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_subject_is_written_as_rfc_4514_has_it() {
        let certificate = certified(&[(DnType::OrganizationName, "Example"), (DnType::CommonName, "billing")], None);
        assert_eq!(subject(&certificate), "CN=billing,O=Example");
    }

    #[test]
    fn no_value_can_pass_for_another_attribute_or_another_line() {
        let certificate = certified(&[(DnType::CommonName, "a,O=Admins+x=#\r\n "), (DnType::OrganizationName, "# é")], None);
        assert_eq!(subject(&certificate), "O=\\# é,CN=a\\,O\\=Admins\\+x\\=#\\0d\\0a\\ ");
    }

    #[test]
    fn without_a_subject_another_name_or_the_fingerprint_counts() {
        assert_eq!(subject(&certified(&[], Some("spiffe://example.com/a"))), "URI=spiffe://example.com/a");
        let bare = subject(&certified(&[], None));
        assert!(bare.starts_with("SHA256=") && bare.len() == 7 + 64, "{bare}");
    }
}

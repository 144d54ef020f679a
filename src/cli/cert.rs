//! `cert`: a self-signed certificate and its key, for gateways that no public authority vouches for.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, bail};
use chrono::{DateTime, Datelike, Days, Utc};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use zeroize::Zeroizing;

use super::output;
use super::quickstart::quoted;
use crate::config::Config;

const CERTIFICATE: &str = "hookgate.crt";
const KEY: &str = "hookgate.key";
/// Clocks of senders may be behind ours.
const DAYS_BACK: u64 = 1;
/// Apple's systems refuse a server's certificate of more than 825 days even where its authority was added by hand
/// (<https://support.apple.com/103769>), and a period counts its first and its last second. Nobody else asks for less of a
/// private one, and each exchange by hand is work at every sender.
const VALID_DAYS: u64 = 824;
/// RFC 1035 section 2.3.4: of a name, and of one label.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// X.520: of a common name.
const MAX_COMMON_NAME: usize = 64;
/// Where the gateway listens unless told otherwise, for the example.
const DEFAULT_PORT: u16 = 8080;

/// Make a self-signed certificate and its key
///
/// Writes hookgate.crt and hookgate.key (mode 0600) and prints what to put into the configuration. Neither is ever
/// overwritten. Valid for 824 days from yesterday.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate cert --host hooks.example.com --out certs\n  \
                        hookgate cert --host localhost 127.0.0.1 ::1 '*.hooks.example.com' --out certs\n\n\
                        Senders must be told to trust hookgate.crt: curl --cacert certs/hookgate.crt https://…")]
pub(super) struct Args {
    /// A name or an IP address that senders use, as it stands in their URL; several, or the option several times
    #[arg(long = "host", value_name = "NAME", required = true, num_args = 1.., value_parser = parse_host)]
    hosts: Vec<String>,
    /// Where to put the two files; created if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let [certificate, key] = [CERTIFICATE, KEY].map(|name| self.out.join(name));
        let pair = Pair::generate(&self.hosts, Utc::now())?;
        fs::create_dir_all(&self.out).with_context(|| format!("cannot create the folder {}", self.out.display()))?;
        write_both(&pair, &certificate, &key)?;
        let mut out = output::stdout();
        out.write_all(instructions(&self.hosts, &certificate, &key, Config::load(config).ok().as_ref()).as_bytes())?;
        Ok(out.flush()?)
    }
}

/// Both in PEM.
struct Pair {
    certificate: String,
    key: Zeroizing<String>,
}

impl Pair {
    /// ECDSA on P-256: every TLS client of the last ten years has it, and a handshake costs a tenth of RSA's.
    fn generate(hosts: &[String], now: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(hosts)?;
        let first = now.date_naive() - Days::new(DAYS_BACK);
        let date = |date: chrono::NaiveDate| date_time_ymd(date.year(), date.month() as u8, date.day() as u8);
        params.not_before = date(first);
        params.not_after = date(first + Days::new(VALID_DAYS));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Hookgate, self-signed");
        // Only for people: clients look at the alternative names.
        if let Some(name) = hosts.iter().find(|host| host.len() <= MAX_COMMON_NAME) {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        // Whoever trusts it trusts this server, not whatever its key might sign.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }
}

/// A name or address as certificates and URLs have it.
fn parse_host(text: &str) -> Result<String, String> {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if !text.is_ascii() {
        return Err("write international names in their ASCII form (xn--…)".into());
    }
    if text.contains("//") || text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        return Err("a name or an IP address only: no https://, no port".into());
    }
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let labels = text.strip_prefix("*.").unwrap_or(text);
    // All digits at the end would be a mistyped address: there is no such top-level domain.
    let is_numeric = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > MAX_NAME || is_numeric || !labels.split('.').all(is_label) {
        return Err("neither a host name nor an IP address".into());
    }
    Ok(text.to_ascii_lowercase())
}

/// Writes both files or neither, and never over anything.
fn write_both(pair: &Pair, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    // The private one first: what fails then has not put a certificate anywhere that has no key.
    create(key, 0o600, &pair.key)?;
    create(certificate, 0o644, &pair.certificate).inspect_err(|_| {
        // It is ours: it was created above.
        let _ = fs::remove_file(key);
    })
}

fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already and is not overwritten: move it away, or choose another folder with --out", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// What to do with the files; the port, the instance and the user are those of the configuration if there is one.
fn instructions(hosts: &[String], certificate: &Path, key: &Path, config: Option<&Config>) -> String {
    let full = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_path_buf()).to_string_lossy().into_owned();
    let (certificate, key) = (full(certificate), full(key));
    let port = config.and_then(|config| config.server.listen.first()).map_or(DEFAULT_PORT, |address| address.port());
    let name = config.and_then(|config| config.instances.first()).map_or("my_instance_01", |instance| &instance.name);
    let host = hosts.iter().find(|host| !host.starts_with('*')).or_else(|| hosts.first()).map_or("localhost", String::as_str);
    let host = host.parse::<std::net::Ipv6Addr>().map_or_else(|_| host.replace('*', "www"), |address| format!("[{address}]"));
    let url = format!("https://{host}:{port}/instance/execute/{name}");
    format!(
        "wrote {certificate}\nwrote {key} (mode 0600: it must belong to the user that the gateway runs as)\n\n\
         In hookgate.toml:\n\n[server]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n\n\
         Give {CERTIFICATE}, not {KEY}, to the senders. With curl, which asks for the password:\n\n  \
         curl --cacert {} -u USER -d '{{}}' {}\n",
        quoted(&certificate),
        quoted(&url)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for (given, want) in [
            ("Hooks.Example.com", "hooks.example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("a_b-c", "a_b-c"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("::1", "::1"),
            ("xn--ffnen-jua.example", "xn--ffnen-jua.example"),
        ] {
            assert_eq!(parse_host(given).unwrap(), want);
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in [
            "",
            "*",
            "a b",
            "a..b",
            ".a",
            "a.",
            "-a",
            "https://a",
            "a:8443",
            "a/b",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "*.*.a",
            "a.*.b",
            "öffnen.example",
            &long,
        ] {
            assert!(parse_host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_certificate_says_what_it_is_for_and_how_long() {
        let hosts = ["hooks.example.com", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let now = "2026-02-11T06:42:20Z".parse().unwrap();
        let pair = Pair::generate(&hosts, now).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(pair.certificate.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let validity = certificate.validity();
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp();
        assert_eq!(validity.not_before.timestamp(), time("2026-02-10T00:00:00Z"));
        assert_eq!(validity.not_after.timestamp(), time("2028-05-14T00:00:00Z"));
        assert!(validity.not_after.timestamp() - validity.not_before.timestamp() < 825 * 86_400);
        assert!(!certificate.is_ca());
        assert_eq!(certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 3);
        assert_eq!(certificate.subject(), certificate.issuer());
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.server_auth);
    }

    #[test]
    fn each_pair_is_a_new_one() {
        let pair = || Pair::generate(&["a".to_owned()], Utc::now()).unwrap();
        assert_ne!(*pair().key, *pair().key);
    }

    #[test]
    fn a_certificate_that_is_in_the_way_leaves_no_key_behind() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = [CERTIFICATE, KEY].map(|name| folder.path().join(name));
        fs::write(&certificate, "mine").unwrap();
        let pair = Pair::generate(&["a".to_owned()], Utc::now()).unwrap();
        assert!(write_both(&pair, &certificate, &key).unwrap_err().to_string().contains("not overwritten"));
        assert!(!key.exists());
        assert_eq!(fs::read_to_string(&certificate).unwrap(), "mine");
    }

    #[test]
    fn the_example_url_is_one() {
        let url = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let text = instructions(&hosts, Path::new("/c/hookgate.crt"), Path::new("/c/hookgate.key"), None);
            text.split_whitespace().find(|word| word.contains("https://")).unwrap().trim_matches('\'').to_owned()
        };
        assert_eq!(url(&["*.a.example", "b.example"]), "https://b.example:8080/instance/execute/my_instance_01");
        assert_eq!(url(&["*.a.example"]), "https://www.a.example:8080/instance/execute/my_instance_01");
        assert_eq!(url(&["::1"]), "https://[::1]:8080/instance/execute/my_instance_01");
    }
}

//! `quickstart`: from nothing to a gateway that takes a pasted `curl`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};

use anyhow::Context;
use zeroize::Zeroizing;

use super::entrance::{self, Credentials};
use super::serve::{LogOptions, serve};
use crate::app::BoundAddress;
use crate::config::{self, Config, Instance};

/// Write a configuration with fresh credentials if there is none yet, then serve
///
/// Prints the address and a curl command to paste into another terminal; the command contains the password. A configuration
/// that is there is used as it is and never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate quickstart\n  hookgate quickstart --dir ~/hookgate")]
pub(super) struct Args {
    /// Where the configuration and the store are kept; created if absent
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    log: LogOptions,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let path = self.dir.join(config);
        let path = path.strip_prefix(".").unwrap_or(&path);
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let is_new = write_if_absent(path)?;
        let config = Config::load(path)?;
        serve(&config, &self.log, |addresses| greeting(&config, addresses, is_new))
    }
}

/// Writes a configuration with fresh secrets unless the file is there; true if it was written.
fn write_if_absent(path: &Path) -> anyhow::Result<bool> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    };
    let text = Zeroizing::new(config::quickstart(&random_password()?, &random_password()?));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a configuration would be used as it is next time. It is ours: it was created above.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// Letters and digits that are not taken for one another, and that no shell, URL or TOML treats specially.
const ALPHABET: &[u8; 56] = b"23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
/// 24 characters of 56 are 139 bits: beyond guessing.
const PASSWORD_LENGTH: usize = 24;

fn random_password() -> anyhow::Result<Zeroizing<String>> {
    // Bytes that would favour some characters are thrown away.
    let fair = (256 / ALPHABET.len() * ALPHABET.len()) as u8;
    let mut password = Zeroizing::new(String::with_capacity(PASSWORD_LENGTH));
    let mut bytes = Zeroizing::new([0; 64]);
    while password.len() < PASSWORD_LENGTH {
        getrandom::fill(bytes.as_mut()).context("the system gives no random numbers")?;
        let characters = bytes.iter().filter(|&&byte| byte < fair).map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        let missing = PASSWORD_LENGTH - password.len();
        password.extend(characters.take(missing));
    }
    Ok(password)
}

fn greeting(config: &Config, addresses: &[BoundAddress], is_new: bool) -> String {
    let file = absolute(&config.path).unwrap_or_else(|_| config.path.clone());
    let file = file.to_string_lossy();
    let origin = if is_new { "wrote it with fresh credentials" } else { "used as it is" };
    let mut text = format!("\nconfiguration: {file} ({origin})\n");
    // The program may not be in the PATH: it is often started through cargo.
    let program = std::env::current_exe().unwrap_or_else(|_| "hookgate".into());
    let (program, configured) = (quoted(&program.to_string_lossy()), format!("--config {}", quoted(&file)));
    if let Some((instance, url)) = first_entrance(config, addresses) {
        let command = if is_for_curl(config, instance) {
            curl(config, instance, &url)
        } else {
            format!("echo {EVENT} | {program} send {configured} --url {} {}", quoted(&url), quoted(&instance.name))
        };
        text.push_str(&format!("\nPost an event to {url} from another terminal:\n  {command}\n"));
    }
    text.push_str(&format!("\nSee what is stored:\n  {program} incidents list {configured}\n"));
    if let (Some(admin), Some(bound)) = (&config.admin, addresses.iter().find(|bound| bound.what == "admin")) {
        let token = quoted(&format!("Authorization: Bearer {}", admin.token.expose()));
        text.push_str(&format!("  curl -H {token} {}\n", quoted(&format!("{}api/v1/incidents", bound.url))));
    }
    text.push_str("\nCtrl-C stops the gateway.\n");
    text
}

/// As a word of the shell.
const EVENT: &str = "'{\"name\": \"Hello, Hookgate\"}'";

/// The first instance that has credentials, or the first, with its address.
fn first_entrance<'a>(config: &'a Config, addresses: &[BoundAddress]) -> Option<(&'a Instance, String)> {
    let has_credentials = |instance: &&Instance| !matches!(Credentials::of(instance), Credentials::Open);
    let instance = config.instances.iter().find(has_credentials).or_else(|| config.instances.first())?;
    let what = if instance.listen.is_some() { format!("instance {}", instance.name) } else { "entrance".to_owned() };
    let bound = addresses.iter().find(|bound| bound.what == what)?;
    Some((instance, entrance::url_at(config, instance, bound.address)))
}

/// Whether a plain request is let in: curl does not sign, and speaks the first version of the PROXY protocol only.
fn is_for_curl(config: &Config, instance: &Instance) -> bool {
    let signs = !instance.sender.signing.signatures.is_empty();
    !signs && entrance::proxy_protocol(config, instance).is_none()
}

fn curl(config: &Config, instance: &Instance, url: &str) -> String {
    // Ours may well be self-signed; where it is not, trusting it as well does no harm.
    let trusted =
        entrance::tls(config, instance).map_or_else(String::new, |tls| format!("--cacert {} ", quoted(&tls.certificate.to_string_lossy())));
    let credentials = match Credentials::of(instance) {
        Credentials::Open => String::new(),
        Credentials::Basic { username, password: Some(password) } => {
            format!("-u {} ", quoted(&format!("{username}:{}", password.expose())))
        }
        // curl asks for it.
        Credentials::Basic { username, password: None } => format!("-u {} ", quoted(username)),
        Credentials::Header { name, password } => {
            let password = password.map_or("THE-PASSWORD", |password| password.expose());
            format!("-H {} ", quoted(&format!("{name}: {password}")))
        }
    };
    format!("curl {trusted}{credentials}-H 'Content-Type: application/json' -d {EVENT} {}", quoted(url))
}

/// As one word of any POSIX shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_file_is_valid_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hookgate.toml");
        assert!(write_if_absent(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let config = Config::load(&path).unwrap();
        assert_eq!(config.instances[0].name, "my_instance_01");
        assert!(config.admin.is_some());
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hookgate.toml");
        fs::write(&path, "# mine").unwrap();
        assert!(!write_if_absent(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine");
    }

    #[test]
    fn what_curl_cannot_do_is_left_to_send() {
        let basic = "username = \"u\"\npassword = \"p\"\n";
        let own = |proxy| format!("{basic}listen = \"127.0.0.1:9999\"\nproxy_protocol = {proxy}\n");
        for (instance, is_curl) in [
            (basic.to_owned(), true),
            (own(false), true),
            (own(true), false),
            ("sender = \"github\"\nsecrets = [\"0123456789abcdef\"]\n".to_owned(), false),
        ] {
            let text = format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[[instance]]\nname = \"a\"\n{instance}");
            let config = Config::parse(&text, Path::new("/etc/hookgate.toml"), &|_| None).unwrap();
            assert_eq!(is_for_curl(&config, &config.instances[0]), is_curl, "{text}");
        }
    }

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert_ne!(one, two);
        for password in [one, two] {
            assert_eq!(password.len(), PASSWORD_LENGTH);
            assert!(password.bytes().all(|byte| ALPHABET.contains(&byte)));
        }
    }

    #[test]
    fn all_characters_of_the_alphabet_are_used_and_differ() {
        let mut seen: Vec<u8> = (0..200).flat_map(|_| random_password().unwrap().as_bytes().to_vec()).collect();
        seen.sort_unstable();
        seen.dedup();
        // 4,800 draws of 56: missing one has a chance of 1e-36.
        assert_eq!(seen.len(), ALPHABET.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_quoted_word_is_that_word_to_a_shell(word in "[^\\x00]{0,40}") {
            let shell = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(&word))).output().unwrap();
            prop_assert_eq!(String::from_utf8(shell.stdout).unwrap(), word);
        }
    }
}

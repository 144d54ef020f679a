//! The configuration file: as written → resolved, with every mistake found in one run.
//!
//! [`Config::parse`] walks the TOML document with its positions instead of deserialising it: a deserialiser stops at the
//! first mistake and knows no lines. One file a section holds its keys, defaults and bounds; `reader` reads them,
//! `report` collects mistakes, `secret` fetches secrets, `units` and `address` read values. No message repeats a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use zeroize::Zeroizing;

mod access;
mod address;
mod admin;
mod errors;
mod files;
mod instance;
mod layer;
mod log;
mod map;
mod preset;
mod reader;
mod report;
mod secret;
mod sender;
mod server;
mod signature;
mod store;
mod template;
#[cfg(test)]
mod tests;
mod tls;
mod units;

pub use access::Access;
pub use admin::Admin;
pub use errors::{ConfigError, ConfigErrors};
pub use files::check_files;
pub use instance::Instance;
pub use log::{Log, LogFormat};
pub use preset::{Confidence, Preset};
pub use secret::Password;
pub use sender::{Sender, Signing};
pub use server::Server;
pub use store::Store;
pub use template::quickstart;
pub use tls::Tls;

use instance::{Instances, Surroundings};
use preset::Presets;
use reader::Section;
use report::{Context, Findings, Place};

/// Larger than a file of 50,000 instances; what is larger is another file.
const MAX_FILE: u64 = 16 << 20;

/// The tables of the file.
const ROOT_KEYS: &[&str] = &["server", "admin", "store", "log", "instance"];

/// Every table with its keys: for hints about misplaced keys, and for tests that compare documents with it.
const TABLES: [(&str, &[&str]); 7] = [
    ("[server]", server::KEYS),
    ("[admin]", admin::KEYS),
    ("[store]", store::KEYS),
    ("[log]", log::KEYS),
    ("[[instance]]", instance::KEYS),
    ("[instance.signature]", signature::KEYS),
    ("[instance.map]", map::KEYS),
];

/// A configuration without mistakes: secrets fetched, paths absolute, defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, as it was named.
    pub path: PathBuf,
    /// `[server]`
    pub server: Server,
    /// `[admin]`; none: no admin listener.
    pub admin: Option<Admin>,
    /// `[store]`
    pub store: Store,
    /// `[log]`
    pub log: Log,
    /// `[[instance]]`; at least one.
    pub instances: Vec<Instance>,
    /// What is allowed but deserves a look; one line each, without secrets.
    pub warnings: Vec<String>,
    lines: BTreeMap<String, usize>,
}

impl Config {
    /// The commented file that [`quickstart`] fills in; `@PASSWORD@` and `@TOKEN@` stand for secrets.
    pub const TEMPLATE: &str = include_str!("default.toml");

    /// Reads a file, the environment and the files that secrets are in.
    ///
    /// # Errors
    /// Every mistake in the file and the secrets it names; whether other files exist is for [`check_files`] to say.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let (file, text) = read_file(path)?;
        let (mut config, has_literal_secret) = parse(&text, path, &|name| std::env::var(name).ok())?;
        if has_literal_secret && let Some(warning) = files::mode_warning(path, &file).map_err(|error| unreadable(path, &error))? {
            config.warnings.push(ConfigError::of_file(warning).in_file(path));
        }
        let exposed = config.exposed_keys();
        config.warnings.extend(exposed.iter().map(|warning| warning.in_file(path)));
        Ok(config)
    }

    /// What [`Config::load`] reads, mistakes or not, and the mistakes: for looking at what the rest of it points to.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn survey(path: &Path) -> Result<(Self, Vec<ConfigError>), ConfigErrors> {
        let (_, text) = read_file(path)?;
        let (config, found) = read(&text, path, &|name| std::env::var(name).ok());
        Ok((config, found.map_or_else(|found| found.errors, |_| Vec::new())))
    }

    /// Reads `[store]` alone, for programs beside the gateway: they may lack the environment that secrets are in.
    ///
    /// # Errors
    /// Every mistake in `[store]`, or that the file is not TOML.
    pub fn load_store(path: &Path) -> Result<Store, ConfigErrors> {
        let (_, text) = read_file(path)?;
        let (document, syntax) = DeTable::parse_recoverable(&text);
        let context = Context::new(&text, path, &|_| None);
        let store = store::read(&Section::root(&context, document.get_ref(), ROOT_KEYS).table("store", store::KEYS));
        let Err(mut found) = context.finish(&syntax) else {
            return Ok(store);
        };
        found.errors.retain(|error| error.key.is_empty() || error.key.starts_with("store"));
        if found.errors.is_empty() { Ok(store) } else { Err(found) }
    }

    /// Every preset that the file may name, without reading more of it than `[server] senders_dir`. No file: the built-in ones.
    ///
    /// # Errors
    /// The file is not TOML, or a preset in its folder has mistakes.
    pub fn load_presets(path: &Path) -> Result<Vec<Preset>, ConfigErrors> {
        let (presets, found) = Self::survey_presets(path)?;
        found.map_or(Ok(presets), Err)
    }

    /// What [`Config::load_presets`] reads, the built-in ones in place of those with mistakes, and the mistakes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn survey_presets(path: &Path) -> Result<(Vec<Preset>, Option<ConfigErrors>), ConfigErrors> {
        if !path.exists() {
            return Ok((Presets::default().into_all(), None));
        }
        let (_, text) = read_file(path)?;
        let (document, syntax) = DeTable::parse_recoverable(&text);
        let context = Context::new(&text, path, &|_| None);
        let server = Section::root(&context, document.get_ref(), ROOT_KEYS).table("server", server::KEYS);
        let presets = Presets::of(&server, server::senders_dir(&server).as_deref()).into_all();
        let Err(mut found) = context.finish(&syntax) else {
            return Ok((presets, None));
        };
        found.errors.retain(|error| error.file.is_some() || error.key.is_empty() || error.key.starts_with("server.senders_dir"));
        Ok((presets, (!found.errors.is_empty()).then_some(found)))
    }

    /// Reads `text` as if it stood in the file `path`; environment variables come from `env`. Never panics.
    ///
    /// # Errors
    /// Every mistake, in the order of lines.
    pub fn parse(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        parse(text, path, env).map(|(config, _)| config)
    }

    /// The line on which a key such as `server.certificate` is written.
    pub fn line(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    /// Every certificate, with the table that names it: `server`, or `instance[2]`.
    pub fn certificates(&self) -> impl Iterator<Item = (String, &Tls)> {
        let server = self.server.tls.iter().map(|tls| ("server".to_owned(), tls));
        let numbered = self.instances.iter().enumerate();
        server.chain(numbered.filter_map(|(index, instance)| Some((format!("instance[{index}]"), instance.tls.as_ref()?))))
    }
}

impl Config {
    /// Private keys that others can read. Whether they can be read at all is for those to say who use them.
    fn exposed_keys(&self) -> Vec<ConfigError> {
        let keys = self.certificates().filter_map(|(table, tls)| {
            let message = files::exposure(&tls.private_key, &std::fs::metadata(&tls.private_key).ok()?)?;
            let key = format!("{table}.private_key");
            Some(ConfigError { line: self.line(&key), key, message, file: None })
        });
        keys.collect()
    }
}

fn read_file(path: &Path) -> Result<(File, Zeroizing<String>), ConfigErrors> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    let length = (&file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    let of_file = |error| ConfigErrors { path: path.to_path_buf(), errors: vec![error] };
    if length as u64 > MAX_FILE {
        return Err(of_file(ConfigError::of_file("is larger than 16 MiB: not a configuration file")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok((file, Zeroizing::new(text.to_owned()))),
        Err(error) => {
            let newlines = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Err(of_file(ConfigError { line: Some(newlines + 1), ..ConfigError::of_file("is not UTF-8") }))
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    let hint = if error.kind() == io::ErrorKind::NotFound { "; `hookgate quickstart` writes one" } else { "" };
    ConfigErrors { path: path.to_path_buf(), errors: vec![ConfigError::of_file(format!("cannot be read: {error}{hint}"))] }
}

/// Also says whether a secret stands in the file itself.
fn parse(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<(Config, bool), ConfigErrors> {
    let (config, found) = read(text, path, env);
    found.map(|has_literal_secret| (config, has_literal_secret))
}

/// Beside mistakes, what is right.
fn read(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> (Config, Result<bool, ConfigErrors>) {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let context = Context::new(text, path, env);
    let root = Section::root(&context, document.get_ref(), ROOT_KEYS);
    let server_section = root.table("server", server::KEYS);
    let (server, mut addresses) = server::read(&server_section);
    let store_section = root.table("store", store::KEYS);
    let store = store::read(&store_section);
    let log = log::read(&root.table("log", log::KEYS));
    let presets = Presets::of(&server_section, server.senders_dir.as_deref());
    let surroundings = Surroundings { server: &server, trusts_proxies: server::trusts_proxies(&server_section), presets: &presets };
    let instances = instance::read_all(&root.tables("instance", instance::KEYS), &surroundings);
    if !root.has("instance") || root.is_empty_list("instance") {
        root.missing("instance", "there is none: add a table [[instance]] with name, username and password");
    }
    warn_of_plain_text(&context, &server, &addresses, &instances);
    warn_of_forgetting(&store_section, &store, &instances.all);
    addresses.extend(instances.addresses);
    let (admin, admin_address) = root.has("admin").then(|| admin::read(&root.table("admin", admin::KEYS))).unzip();
    addresses.extend(admin_address.flatten());
    address::refuse_shared(&context, &mut addresses);
    let admin = admin.flatten();
    let lines = context.lines();
    let mut config = Config { path: path.to_path_buf(), server, admin, store, log, instances: instances.all, warnings: Vec::new(), lines };
    match context.finish(&syntax) {
        Ok(Findings { warnings, has_literal_secret }) => {
            config.warnings = warnings;
            (config, Ok(has_literal_secret))
        }
        Err(found) => (config, Err(found)),
    }
}

/// Whoever repeats an event is told the id of its incident, which is of little use when that was deleted.
fn warn_of_forgetting(section: &Section<'_>, store: &Store, instances: &[Instance]) {
    let Some(retention) = store.retention else { return };
    let forgets = |instance: &&Instance| instance.recognises_duplicates() && instance.duplication_window > retention;
    if let Some(Instance { name, .. }) = instances.iter().find(forgets) {
        let advice = format!(
            "is shorter than the duplication_window of {name:?}: an event that comes again after its incident was deleted is not stored"
        );
        section.context.warn(&section.place("retention"), advice);
    }
}

/// Credentials that cross a network must be encrypted, by the gateway or by a proxy whose public URL says so. On the
/// server's addresses every instance answers, on an instance's own address that one alone.
fn warn_of_plain_text(context: &Context<'_>, server: &Server, shared: &[(Place, SocketAddr)], instances: &Instances) {
    if server.tls.is_some() || server.public_url.as_ref().is_some_and(|url| url.starts_with("https:")) {
        return;
    }
    let has_secrets = instances.all.iter().any(Instance::has_secrets);
    let shared = shared.iter().filter(|_| has_secrets);
    for (place, _) in shared.chain(&instances.plain).filter(|(_, address)| !address.ip().is_loopback()) {
        let advice = "passwords cross the network unencrypted; set server.certificate and server.private_key, \
                      or put a TLS proxy in front and set server.public_url to its https:// address";
        context.warn(place, advice);
    }
}

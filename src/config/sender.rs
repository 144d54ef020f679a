//! Keys of an instance that are about its sender: the preset, the signature and what it is verified with, tokens, handshakes.

use std::fs;
use std::path::Path;

use http::Method;
use toml::de::DeValue;

use super::access::Otherwise;
use super::address::full_url;
use super::layer::Layer;
use super::map;
use super::preset::{Preset, Presets};
use super::reader::{Section, boolean, non_empty};
use super::secret;
use crate::secret::Secret;
use crate::senders::handshake::Handshake;
use crate::senders::signature::{InvalidSignatureSpec, KeySource, Scheme, SignatureSpec, Signatures};

/// A JWK set or a few certificates; a larger file is the wrong file.
const MAX_KEYS_FILE: u64 = 1 << 20;
/// 20 characters of base64 are 120 bits.
const SHORT_TOKEN: usize = 20;

/// An instance's sender.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// The preset's name.
    pub preset: Option<String>,
    /// What its requests are verified with.
    pub signing: Signing,
    /// What it posts to, where that was said.
    pub public_url: Option<String>,
    /// The last part of the address, which no stranger knows.
    pub path_token: Option<Secret>,
    /// What is asked before events are sent.
    pub handshake: Vec<Handshake>,
    /// What Meta's verification must show.
    pub verify_token: Option<Secret>,
    /// Whether SNS subscriptions are confirmed without a person.
    pub confirm_subscriptions: bool,
    /// The methods that bring events.
    pub methods: Vec<Method>,
}

/// How requests are signed, and with what they are verified.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// Alternatives; none: nothing is signed.
    pub signatures: Vec<SignatureSpec>,
    /// The sender's, or public keys; the current one first.
    pub secrets: Vec<Secret>,
    /// What the sender posts to, in full.
    pub url: Option<String>,
    /// Keys that are nobody's secret.
    pub keys: KeySource,
    /// The sender tells its secret only once it has verified the address, which has not happened yet.
    pub awaits_secret: bool,
}

impl Signing {
    /// What verifies requests; none if nothing is signed, or nobody knows with what.
    ///
    /// # Errors
    /// If the parts do not fit each other.
    pub fn verifier(&self) -> Result<Option<Signatures>, InvalidSignatureSpec> {
        if self.signatures.is_empty() || self.awaits_secret {
            return Ok(None);
        }
        Signatures::new(self.signatures.clone(), &self.secrets, self.url.clone(), self.keys.clone()).map(Some)
    }
}

impl Sender {
    /// Whether its requests carry or are made with something that no stranger may know.
    pub(super) fn has_secrets(&self) -> bool {
        !self.signing.signatures.is_empty() || self.path_token.is_some() || self.verify_token.is_some()
    }
}

/// Reads the preset, and lays the instance's own keys over it.
pub(super) fn read_layers(section: &Section<'_>, presets: &Presets) -> (Layer, Option<Preset>) {
    let preset = presets.named_by(section);
    let own = Layer::read(section, map::read);
    let layer = if let Some(preset) = &preset { own.over(&preset.layer) } else { own };
    (layer, preset)
}

/// Reads the other keys. `name` is the instance's, `outside` what senders see in front of the path.
pub(super) fn read(section: &Section<'_>, layer: &Layer, preset: Option<Preset>, name: Option<&str>, outside: Option<&str>) -> Sender {
    let path_token = secret::one(section, "path_token", check_path_token);
    if path_token.as_ref().is_some_and(|token| token.expose().len() < SHORT_TOKEN) {
        section.context.warn(&section.place("path_token"), "is short enough to be guessed: make it 20 random characters or more");
    }
    let address = || {
        let token = path_token.as_ref().map(|token| format!("/{}", token.expose())).unwrap_or_default();
        Some(format!("{}/instance/execute/{}{token}", outside?, name?))
    };
    warn_of_uncovered_bodies(section, layer, preset.as_ref());
    let keys = section.take_list("keys", |value| read_keys(&section.context.folder, value)).unwrap_or_default();
    let public_url = section.take("public_url", full_url);
    let signing = Signing {
        signatures: layer.signatures(),
        secrets: secret::list(section, "secrets"),
        url: public_url.clone().or_else(address),
        keys: KeySource {
            fetch: keys.is_empty(),
            keys_pem_or_jwks: keys.into_iter().map(|(_, keys)| keys).collect(),
            audience: section.take("audience", non_empty),
            emails: section.take_list("service_accounts", non_empty).into_iter().flatten().map(|(_, email)| email).collect(),
        },
        awaits_secret: false,
    };
    let mut sender = Sender {
        preset: preset.as_ref().map(|preset| preset.name.clone()),
        public_url,
        path_token,
        handshake: layer.handshake.clone().unwrap_or_default(),
        verify_token: secret::one(section, "verify_token", |_| Ok(())),
        confirm_subscriptions: section.take("confirm_subscriptions", boolean).unwrap_or(false),
        methods: preset.map_or_else(|| vec![Method::POST], |preset| preset.methods),
        signing,
    };
    sender.signing.awaits_secret = awaits_secret(section, &sender);
    check(section, &sender);
    sender
}

/// Salesforce shows its key when a callback is made, and verifies the address at once: so there must be an instance without it.
/// Something else than the signature must then keep strangers out.
fn awaits_secret(section: &Section<'_>, sender: &Sender) -> bool {
    let is_guarded = section.has("password") || section.has("path_token");
    let awaits = sender.handshake.contains(&Handshake::SalesforceEns) && !section.has("secrets") && is_guarded;
    let awaits = awaits && !sender.signing.signatures.is_empty();
    if awaits {
        let advice = "has no secrets yet: until they are set, the sender's verification is answered and events are refused";
        section.context.warn(section.whole(), advice);
    }
    awaits
}

/// What lets this sender in besides a password; whether that is right was said elsewhere.
pub(super) fn otherwise(section: &Section<'_>, layer: &Layer, preset: Option<&Preset>) -> Otherwise {
    // Nothing starts then; what the preset would have asked for is not known.
    let is_unknown = section.has("sender") && preset.is_none();
    Otherwise {
        is_signed: is_unknown || !layer.signatures().is_empty(),
        has_path_token: section.has("path_token"),
        needs_path_token: preset.is_some_and(|preset| preset.needs_path_token),
    }
}

/// Where a signature leaves the body out, one request that was recorded proves any body: unless what it covers counts once.
fn warn_of_uncovered_bodies(section: &Section<'_>, layer: &Layer, preset: Option<&Preset>) {
    let signatures = layer.signatures();
    let Some(uncovered) = signatures.iter().find(|signature| signature.leaves_body_out()) else { return };
    let warn = |key: &str, advice: &str| section.context.warn(&section.place(key), advice);
    if section.has("signature") {
        warn("signature", "leaves {body} out of signed, so whoever sees a request can send another body with its signature");
    }
    let Some(preset) = preset.filter(|preset| preset.layer.signatures().iter().any(SignatureSpec::leaves_body_out)) else { return };
    let is_own = layer.duplication_key != preset.layer.duplication_key || layer.map.duplication_key != preset.layer.map.duplication_key;
    if is_own {
        let key = if section.has("duplication_key") { "duplication_key" } else { "map" };
        warn(
            key,
            "is not what this sender signs, so a signature counts more than once: whoever sees a request can send other bodies with it",
        );
    }
    let is_forgotten = |window| uncovered.tolerance.is_zero() || window < uncovered.tolerance;
    if layer.duplication_window.is_some_and(is_forgotten) {
        warn("duplication_window", "is shorter than the signature's tolerance, so a signature counts again once it is forgotten");
    }
}

fn check(section: &Section<'_>, sender: &Sender) {
    // What is wrong in one of the parts was reported there.
    let is_read = !section.has("secrets") || !sender.signing.secrets.is_empty();
    if is_read && let Err(error) = sender.signing.verifier() {
        let key = error.key().split('.').next().unwrap_or_default();
        if section.has(key) { section.error(key, error.to_string()) } else { section.missing(key, error.to_string()) }
    }
    let needs_url = sender.signing.signatures.iter().any(SignatureSpec::needs_url);
    if needs_url && sender.signing.url.is_none() && !sender.signing.signatures.iter().all(SignatureSpec::needs_url) {
        let advice =
            "has no public_url, and some of this sender's signatures cover the address it posts to: requests with those are refused";
        section.context.warn(section.whole(), advice);
    }
    let is_shared_token = |signature: &SignatureSpec| signature.scheme == Scheme::Jwt && section.has("secrets");
    if sender.signing.url.is_none() && sender.signing.signatures.iter().any(is_shared_token) {
        let advice = "has no public_url, so tokens that say which request they are for (Atlassian's qsh) are refused";
        section.context.warn(section.whole(), advice);
    }
    let has = |handshake| sender.handshake.contains(&handshake);
    let idle = |key: &'static str, needs: &str| {
        if section.has(key) {
            section.context.warn(&section.place(key), format!("has no effect without {needs}"));
        }
    };
    // What was to be signed and is not would let strangers in. Of a preset that cannot be read nobody knows what it asks for.
    let is_known = !section.has("sender") || sender.preset.is_some();
    if section.has("secrets") && is_known && sender.signing.signatures.is_empty() && !has(Handshake::Zoom) && !has(Handshake::X) {
        section.error(
            "secrets",
            "nothing is signed, so they would prove nothing: add [instance.signature] or a sender that signs, or remove them",
        );
    }
    if !has(Handshake::Sns) {
        idle("confirm_subscriptions", "the handshake \"sns\"");
    }
    let is_guarded = section.has("password") || section.has("path_token");
    if has(Handshake::SalesforceEns) && section.has("secrets") && !is_guarded {
        let advice = "has neither path_token nor username and password, so a new callback's verification, which nobody signs, is refused";
        section.context.warn(section.whole(), advice);
    }
    let is_of_sns = sender.signing.signatures.iter().any(|signature| signature.scheme == Scheme::Sns);
    if is_of_sns && !section.has("audience") {
        let advice = "Amazon signs for everybody, so messages of any topic are accepted: set audience to the topic's ARN";
        section.context.warn(section.whole(), advice);
    }
    if !has(Handshake::Meta) {
        idle("verify_token", "the handshake \"meta\"");
    } else if !section.has("verify_token") {
        section.context.warn(section.whole(), "has no verify_token, so the sender cannot verify a new subscription");
    }
}

/// RFC 3986, 2.3: what a path may hold and nobody on the way rewrites.
fn check_path_token(token: &str) -> Result<(), String> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if token.bytes().all(is_unreserved) && !token.bytes().all(|byte| byte == b'.') {
        return Ok(());
    }
    Err("must be letters, digits, - . _ or ~: it is a part of the address".into())
}

fn read_keys(folder: &Path, value: &DeValue<'_>) -> Result<Vec<u8>, String> {
    let path = folder.join(non_empty(value)?);
    let unreadable = |error: std::io::Error| format!("cannot read {path:?}: {error}");
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{path:?} is not a file"));
    }
    if metadata.len() > MAX_KEYS_FILE {
        return Err(format!("{path:?} is larger than 1 MiB: not a file of keys"));
    }
    fs::read(&path).map_err(unreadable)
}

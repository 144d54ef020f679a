//! From specs and secrets to what verifies, with every mistake found before the first request.

use super::alternative::{Alternative, Check};
use super::encoding::PUBLIC_PREFIX;
use super::equal::Equal;
use super::jwt::Jwt;
use super::mac::{Mac, MacKey};
use super::public::{PublicKey, PublicKeys};
use super::sns::Sns;
use super::spec::{Algorithm, InvalidSignatureSpec, KeySource, Place, Scheme, SecretEncoding, SignatureSpec};
use super::timestamp::TimestampPlace;
use super::twilio::Twilio;
use super::url::PublicUrl;
use crate::secret::Secret;

/// What an instance has to verify with.
pub(super) struct Material<'m> {
    pub(super) secrets: &'m [Secret],
    pub(super) url: Option<&'m PublicUrl>,
    pub(super) source: &'m KeySource,
}

/// All specs that the secrets are good for. Each secret must be good for one at least.
pub(super) fn build(specs: Vec<SignatureSpec>, material: &Material<'_>) -> Result<Vec<Alternative>, InvalidSignatureSpec> {
    let secrets = material.secrets;
    if let Some(index) = secrets.iter().position(|secret| secret.expose().trim().is_empty()) {
        return Err(InvalidSignatureSpec::EmptySecret(index));
    }
    let expected = specs.first().ok_or(InvalidSignatureSpec::None)?;
    let expected = match expected.scheme {
        Scheme::Ecdsa => "a P-256 public key, as base64 of its SubjectPublicKeyInfo or PEM",
        Scheme::Ed25519 => "an Ed25519 public key, as base64 (whpk_ before it or not), hexadecimal digits or PEM",
        _ => expected.secret_encoding.expected(),
    };
    // Where others need no address, those that do fail by themselves.
    let has_url = material.url.is_some() || !specs.iter().all(SignatureSpec::needs_url);
    let mut is_used = vec![false; secrets.len()];
    let mut alternatives = Vec::new();
    for spec in specs {
        let spec = checked(spec, has_url)?;
        for (alternative, used) in ready(spec, material)? {
            used.into_iter().for_each(|index| is_used[index] = true);
            alternatives.push(alternative);
        }
    }
    if let Some(index) = is_used.iter().position(|is_used| !is_used) {
        return Err(InvalidSignatureSpec::SecretEncoding { index, expected });
    }
    if alternatives.is_empty() { Err(InvalidSignatureSpec::NoSecret) } else { Ok(alternatives) }
}

/// The spec with the ways it can be verified in, each with the secrets it uses; none if it needs a secret and there is none for it.
fn ready(spec: SignatureSpec, material: &Material<'_>) -> Result<Vec<(Alternative, Vec<usize>)>, InvalidSignatureSpec> {
    let Material { secrets, url, source } = material;
    let every: Vec<_> = (0..secrets.len()).collect();
    let check = match spec.scheme {
        Scheme::Sns => return Ok(vec![(alternative(spec, Check::Sns(Sns::new(source)?)), Vec::new())]),
        Scheme::Jwt => {
            let url = url.map(|url| url.with_query(None));
            let jwt = Jwt::new(secrets, spec.secret_encoding, url.as_deref(), source)?;
            return Ok(vec![(alternative(spec, Check::Jwt(jwt)), every)]);
        }
        _ if secrets.is_empty() => return Ok(Vec::new()),
        Scheme::Equal => Check::Equal(Equal::new(secrets)),
        Scheme::Twilio => Check::Twilio(Twilio::new(secrets)),
        Scheme::Hmac | Scheme::Hash | Scheme::Ecdsa | Scheme::Ed25519 => return Ok(by_key(spec, secrets)),
    };
    Ok(vec![(alternative(spec, check), every)])
}

/// Standard Webhooks' secrets say themselves which kind they are, and the two kinds stand in one header.
fn by_key(spec: SignatureSpec, secrets: &[Secret]) -> Vec<(Alternative, Vec<usize>)> {
    let is_public = |secret: &Secret| match spec.scheme {
        Scheme::Hmac => spec.secret_encoding == SecretEncoding::Whsec && secret.expose().trim().starts_with(PUBLIC_PREFIX),
        scheme => scheme != Scheme::Hash,
    };
    let (public, shared): (Vec<_>, Vec<_>) = secrets.iter().enumerate().partition(|(_, secret)| is_public(secret));
    let has_both = spec.scheme == Scheme::Hmac && spec.secret_encoding == SecretEncoding::Whsec;
    let asymmetric = if has_both { spec.format.clone().asymmetric() } else { spec.format.clone() };

    let keys = shared.into_iter().filter_map(|(index, secret)| MacKey::new(index, secret, spec.secret_encoding, spec.algorithm));
    let mac = Mac::new(spec.scheme, keys.collect());
    let public = public.into_iter().filter_map(|(index, secret)| Some((index, PublicKey::new(index, secret, spec.scheme)?)));
    let (public_indexes, public): (Vec<_>, Vec<_>) = public.unzip();

    let mut ways = Vec::new();
    if !mac.keys.is_empty() {
        let used = mac.keys.iter().map(|key| key.index).collect();
        let twin = has_both.then(|| asymmetric.clone());
        ways.push((Alternative { twin, check: Check::Mac(mac), spec: spec.clone() }, used));
    }
    if !public.is_empty() {
        let twin = has_both.then(|| spec.format.clone());
        let spec = SignatureSpec { format: asymmetric, ..spec };
        ways.push((Alternative { twin, check: Check::Public(PublicKeys(public)), spec }, public_indexes));
    }
    ways
}

fn alternative(spec: SignatureSpec, check: Check) -> Alternative {
    Alternative { spec, check, twin: None }
}

/// The spec, if its parts go together.
fn checked(mut spec: SignatureSpec, has_url: bool) -> Result<SignatureSpec, InvalidSignatureSpec> {
    if spec.algorithm == Algorithm::FromPrefix && spec.format.is_plain() {
        spec.format = "{algorithm}={sig}".parse().expect("a format");
    }
    match &spec.place {
        Place::None if spec.scheme != Scheme::Sns => return Err(InvalidSignatureSpec::NoPlace),
        Place::Json(path) if path.is_plural() && spec.scheme != Scheme::Equal => {
            return Err(InvalidSignatureSpec::PluralPath(path.to_string()));
        }
        _ => {}
    }
    let of_time = if let Some(TimestampPlace::Json(path)) = &spec.timestamp { Some(path) } else { None };
    if let Some(path) = spec.signed.json_paths().chain(of_time).find(|path| path.is_plural()) {
        return Err(InvalidSignatureSpec::PluralPath(path.to_string()));
    }
    let of_time = if let Some(TimestampPlace::Sig(name)) = &spec.timestamp { Some(name.as_str()) } else { None };
    if let Some(name) = spec.signed.named().chain(of_time).find(|name| !spec.format.has(name) || matches!(*name, "sig" | "algorithm")) {
        return Err(InvalidSignatureSpec::UnknownPart(name.to_owned()));
    }
    if spec.signed.has_secret() != (spec.scheme == Scheme::Hash) {
        return Err(InvalidSignatureSpec::Secret);
    }
    if spec.format.has("algorithm") != (spec.algorithm == Algorithm::FromPrefix) {
        return Err(InvalidSignatureSpec::Prefix);
    }
    if !has_url && spec.needs_url() {
        return Err(InvalidSignatureSpec::NoUrl);
    }
    Ok(spec)
}

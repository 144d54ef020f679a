//! JSON Web Tokens (RFC 7519): who sends, and until when, but not what.
//!
//! HS256 where the instance has secrets (Atlassian's apps), RS256 with Google's keys where it has none (Pub/Sub,
//! <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>). Which of the two is decided by the configuration,
//! never by the token.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use ring::hmac;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Signed;
use super::keys::KeySet;
use super::qsh;
use super::refusal::{Cause, Fault, KeyFault, SignatureRefusal};
use super::remote::{MINUTE, QUARTER_OF_A_DAY, Remote};
use super::spec::{InvalidSignatureSpec, KeySource, SecretEncoding, SignatureSpec};
use super::url::PublicUrl;
use crate::incident::Timestamp;
use crate::secret::Secret;
use crate::senders::fetch::Fetcher;

/// Google's keys for OpenID Connect (`jwks_uri` of <https://accounts.google.com/.well-known/openid-configuration>).
const GOOGLES_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// Both are in use, says the same page.
const GOOGLE: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Before a token in `Authorization`: RFC 6750's scheme, and Atlassian's.
const AUTH_SCHEMES: [&str; 2] = ["Bearer ", "JWT "];

pub(super) struct Jwt {
    kind: Kind,
    /// Who the token is for; none: of no matter.
    audience: Option<String>,
}

enum Kind {
    Shared(Vec<hmac::Key>),
    Google { emails: Vec<String>, keys: Keys },
}

enum Keys {
    Configured(Arc<KeySet>),
    Googles(Remote<KeySet>),
}

struct Token<'t> {
    header: Header,
    claims: Claims,
    /// The first two parts as they came.
    signed: &'t str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, section 4.1.11); none is.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    aud: Option<Audience>,
    /// Seconds since 1970; fractions are allowed.
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    email: Option<String>,
    email_verified: Option<bool>,
    /// Atlassian's: which request it is for.
    qsh: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Jwt {
    /// `url` is the audience where none is configured, as Pub/Sub has it.
    pub(super) fn new(
        secrets: &[Secret],
        encoding: SecretEncoding,
        url: Option<&str>,
        source: &KeySource,
    ) -> Result<Self, InvalidSignatureSpec> {
        if !secrets.is_empty() {
            if !source.keys_pem_or_jwks.is_empty() {
                return Err(InvalidSignatureSpec::SecretsAndKeys);
            }
            let keys = secrets.iter().enumerate().map(|(index, secret)| {
                let bytes = encoding.key(secret.expose());
                let bytes = bytes.ok_or_else(|| InvalidSignatureSpec::SecretEncoding { index, expected: encoding.expected() })?;
                Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
            });
            return Ok(Self { kind: Kind::Shared(keys.collect::<Result<_, _>>()?), audience: source.audience.clone() });
        }
        let keys = match (source.keys_pem_or_jwks.as_slice(), source.fetch) {
            ([], false) => return Err(InvalidSignatureSpec::NoKeys),
            ([], true) => Keys::Googles(Remote::new(Fetcher::new(|host| host == "www.googleapis.com"), KeySet::read)),
            (files, _) => Keys::Configured(Arc::new(read_all(files)?)),
        };
        if source.emails.is_empty() {
            return Err(InvalidSignatureSpec::NoEmail);
        }
        let audience = source.audience.clone().or_else(|| url.map(str::to_owned)).ok_or(InvalidSignatureSpec::NoAudience)?;
        Ok(Self { kind: Kind::Google { emails: source.emails.clone(), keys }, audience: Some(audience) })
    }

    pub(super) fn verify(
        &self,
        spec: &SignatureSpec,
        request: &Signed<'_>,
        url: Option<&PublicUrl>,
        now: Timestamp,
    ) -> Result<usize, SignatureRefusal> {
        let text = spec.place.text(request)?;
        let token = read_token(spec, &text)?;
        let index = match &self.kind {
            Kind::Shared(keys) => {
                demand_algorithm(&token, "HS256")?;
                let is_right = |key: &hmac::Key| hmac::verify(key, token.signed.as_bytes(), &token.signature).is_ok();
                let index = keys.iter().position(is_right).ok_or(SignatureRefusal::Wrong(Cause::Unknown))?;
                token.claims.demand_request(request, url)?;
                index
            }
            Kind::Google { emails, keys } => {
                demand_algorithm(&token, "RS256")?;
                keys.check(&token)?;
                token.claims.demand_sender(emails)?;
                0
            }
        };
        token.claims.demand_audience(self.audience.as_deref())?;
        token.claims.demand_time(now)?;
        Ok(index)
    }

    /// Gets Google's keys, if those at hand do not hold the token's.
    pub(super) async fn obtain(&self, spec: &SignatureSpec, request: &Signed<'_>) -> Result<(), KeyFault> {
        let Kind::Google { keys: Keys::Googles(remote), .. } = &self.kind else { return Ok(()) };
        // A key with a new name may have been published since; asking once a minute is often enough.
        let text = spec.place.text(request).map_err(|_| KeyFault::Absent)?;
        let token = read_token(spec, &text).map_err(|_| KeyFault::Absent)?;
        let keys = remote.obtain(&googles_keys(), QUARTER_OF_A_DAY).await?;
        if keys.named(token.header.kid.as_deref()).next().is_none() {
            remote.obtain(&googles_keys(), MINUTE).await?;
        }
        Ok(())
    }

    /// A token of our own, where we know the secret.
    pub(super) fn sign(&self, now: Timestamp) -> Option<String> {
        let Kind::Shared(keys) = &self.kind else { return None };
        let seconds = now.0.div_euclid(1000);
        let claims = serde_json::json!({ "iss": "hookgate", "aud": self.audience, "iat": seconds, "exp": seconds + 3 * LEEWAY });
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
        let signature = hmac::sign(keys.first()?, signed.as_bytes());
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    #[cfg(test)]
    pub(super) fn fetching(fetcher: Fetcher, emails: &[&str], audience: &str) -> Self {
        let keys = Keys::Googles(Remote::new(fetcher, KeySet::read));
        let emails = emails.iter().map(|email| (*email).to_owned()).collect();
        Self { kind: Kind::Google { emails, keys }, audience: Some(audience.to_owned()) }
    }
}

impl Keys {
    fn check(&self, token: &Token<'_>) -> Result<(), SignatureRefusal> {
        let kid = token.header.kid.as_deref();
        let (keys, may_be_old) = match self {
            Self::Configured(keys) => (Arc::clone(keys), false),
            Self::Googles(remote) => {
                let known = remote.known(&googles_keys(), QUARTER_OF_A_DAY).unwrap_or(Err(KeyFault::NotFetched));
                (known.map_err(SignatureRefusal::Key)?, remote.known(&googles_keys(), MINUTE).is_none())
            }
        };
        let mut named = keys.named(kid).peekable();
        if named.peek().is_none() {
            let fault = if may_be_old { KeyFault::NotFetched } else { KeyFault::Absent };
            return Err(SignatureRefusal::Key(fault));
        }
        let is_right = named.any(|key| key.verify(&RSA_PKCS1_2048_8192_SHA256, token.signed.as_bytes(), &token.signature));
        if is_right { Ok(()) } else { Err(SignatureRefusal::Wrong(Cause::OtherKey)) }
    }
}

impl Claims {
    fn demand_sender(&self, emails: &[String]) -> Result<(), SignatureRefusal> {
        if !self.iss.as_deref().is_some_and(|issuer| GOOGLE.contains(&issuer)) {
            return Err(SignatureRefusal::Wrong(Cause::Claim("iss", "that the subscription is Google's")));
        }
        let is_ours = self.email.as_ref().is_some_and(|email| emails.contains(email)) && self.email_verified == Some(true);
        let refusal = SignatureRefusal::Wrong(Cause::Claim("email", "service_accounts"));
        if is_ours { Ok(()) } else { Err(refusal) }
    }

    fn demand_audience(&self, want: Option<&str>) -> Result<(), SignatureRefusal> {
        let Some(want) = want else { return Ok(()) };
        let is_for_us = match &self.aud {
            Some(Audience::One(audience)) => audience == want,
            Some(Audience::Many(audiences)) => audiences.iter().any(|audience| audience == want),
            None => false,
        };
        let refusal = SignatureRefusal::Wrong(Cause::Claim("aud", "audience, or public_url"));
        if is_for_us { Ok(()) } else { Err(refusal) }
    }

    /// That it was made for this request, if it says for which.
    fn demand_request(&self, request: &Signed<'_>, url: Option<&PublicUrl>) -> Result<(), SignatureRefusal> {
        let Some(qsh) = &self.qsh else { return Ok(()) };
        let url = url.ok_or(SignatureRefusal::Wrong(Cause::NoUrl))?;
        let is_this = qsh::covers(qsh, url.path(), request);
        if is_this { Ok(()) } else { Err(SignatureRefusal::Wrong(Cause::OtherRequest)) }
    }

    /// That it has not ended, and has begun.
    fn demand_time(&self, now: Timestamp) -> Result<(), SignatureRefusal> {
        let now = now.0.div_euclid(1000);
        let stale = |seconds| Err(SignatureRefusal::Stale { seconds, tolerance: LEEWAY.unsigned_abs() });
        let end = self.exp.ok_or(SignatureRefusal::Wrong(Cause::Claim("exp", "that the sender limits its tokens in time")))?;
        // As far as numbers of 64 bits go, which they never come near.
        let since = |moment: f64| now.saturating_sub(moment as i64);
        if !end.is_finite() || since(end) > LEEWAY {
            return stale(since(end));
        }
        match [self.nbf, self.iat].into_iter().flatten().map(since).find(|age| *age < -LEEWAY) {
            Some(age) => stale(age),
            None => Ok(()),
        }
    }
}

fn read_token<'t>(spec: &SignatureSpec, text: &'t str) -> Result<Token<'t>, SignatureRefusal> {
    let malformed = || SignatureRefusal::Malformed { place: spec.place.describe(), fault: Fault::Token };
    let bare = AUTH_SCHEMES.iter().find_map(|scheme| {
        let (found, rest) = text.split_at_checked(scheme.len())?;
        found.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let token = bare.unwrap_or(text).trim_matches(' ');
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let header: Header = decode(header).ok_or_else(malformed)?;
    if header.crit.is_some() {
        return Err(malformed());
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    Ok(Token { header, claims: decode(claims).ok_or_else(malformed)?, signed, signature })
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn demand_algorithm(token: &Token<'_>, want: &'static str) -> Result<(), SignatureRefusal> {
    if token.header.alg == want { Ok(()) } else { Err(SignatureRefusal::Wrong(Cause::TokenAlgorithm(want))) }
}

fn read_all(files: &[Vec<u8>]) -> Result<KeySet, InvalidSignatureSpec> {
    let mut all = KeySet::default();
    for file in files {
        all.extend(KeySet::read(file).ok_or(InvalidSignatureSpec::Keys("RSA public key (JWK set, PEM key or certificate)"))?);
    }
    Ok(all)
}

fn googles_keys() -> Uri {
    Uri::from_static(GOOGLES_KEYS)
}

//! Amazon SNS: <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>.
//!
//! The body is a JSON object that carries its own signature over some of its members, and the address of the certificate.
//! The signature proves that Amazon sent it. It does not prove for whom: whoever has a topic of his own gets signed messages
//! too, so an instance should name its topic, or have an unguessable address.

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use ring::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256};
use serde::Deserialize;

use super::Signed;
use super::encoding::decode_base64;
use super::keys::Certificate;
use super::refusal::{Cause, Fault, KeyFault, SignatureRefusal};
use super::remote::{DAY, MayAsk, Remote};
use super::spec::{InvalidSignatureSpec, KeySource};
use crate::incident::Timestamp;
use crate::senders::fetch::{Fetcher, is_sns_host};

pub(super) struct Sns {
    /// None: every topic of everybody.
    topic: Option<String>,
    certificates: Certificates,
}

enum Certificates {
    Configured(Vec<Certificate>),
    Amazons(Remote<Certificate>),
}

/// A message, as far as it is signed. A member that is there twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    subject: Option<String>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    topic_arn: Cow<'a, str>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: Option<String>,
}

impl Sns {
    pub(super) fn new(source: &KeySource) -> Result<Self, InvalidSignatureSpec> {
        let configured: Vec<_> = source.keys_pem_or_jwks.iter().flat_map(|pem| Certificate::all(pem)).collect();
        let certificates = match (configured.is_empty(), source.keys_pem_or_jwks.is_empty(), source.fetch) {
            (false, ..) => Certificates::Configured(configured),
            (true, false, _) => return Err(InvalidSignatureSpec::Keys("PEM certificate with an RSA key")),
            (true, true, true) => Certificates::amazons(Fetcher::new(is_sns_host)),
            (true, true, false) => return Err(InvalidSignatureSpec::NoKeys),
        };
        Ok(Self { topic: source.audience.clone(), certificates })
    }

    /// That Amazon has signed the message, with a certificate that is at hand.
    pub(super) fn verify(&self, request: &Signed<'_>, now: Timestamp) -> Result<(), SignatureRefusal> {
        let message = read(request)?;
        let signed = message.signed_text().ok_or_else(|| malformed(Fault::Kind))?;
        let parameters = match message.signature_version.as_str() {
            "1" => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(malformed(Fault::Kind)),
        };
        if self.topic.as_ref().is_some_and(|topic| *topic != message.topic_arn) {
            return Err(SignatureRefusal::Wrong(Cause::Topic));
        }
        let signature = decode_base64(&message.signature).ok_or_else(|| malformed(Fault::Text))?;
        let is_made_with = |certificate: &Certificate| certificate.key.verify(parameters, signed.as_bytes(), &signature);
        let is_valid = match &self.certificates {
            Certificates::Configured(all) => all.iter().find(|one| is_made_with(one)).map(|one| one.is_valid(now)),
            Certificates::Amazons(remote) => {
                let certificate = known(remote, &message)?;
                is_made_with(&certificate).then(|| certificate.is_valid(now))
            }
        };
        match is_valid {
            Some(true) => Ok(()),
            Some(false) => Err(SignatureRefusal::Key(KeyFault::Expired)),
            None => Err(SignatureRefusal::Wrong(Cause::OtherKey)),
        }
    }

    /// Gets the certificate that the message names, if it is Amazon's to give.
    pub(super) async fn obtain(&self, request: &Signed<'_>, may_ask: MayAsk<'_>) -> Result<(), KeyFault> {
        let Certificates::Amazons(remote) = &self.certificates else { return Ok(()) };
        let message = read(request).map_err(|_| KeyFault::Absent)?;
        remote.obtain_for(&certificate_address(&message)?, DAY, may_ask).await.map(drop)
    }

    #[cfg(test)]
    pub(super) fn fetching(fetcher: Fetcher) -> Self {
        Self { topic: None, certificates: Certificates::amazons(fetcher) }
    }
}

impl Certificates {
    fn amazons(fetcher: Fetcher) -> Self {
        Self::Amazons(Remote::new(fetcher, Certificate::first).named_by_messages(is_likely).kept_while_valid())
    }
}

impl Message<'_> {
    /// Names and values of the signed members, a line each, in the order of the names; none for an unknown kind.
    fn signed_text(&self) -> Option<String> {
        let common = [("Message", Some(&*self.message)), ("MessageId", Some(&*self.message_id))];
        let subject = ("Subject", self.subject.as_deref());
        let (url, token) = (("SubscribeURL", self.subscribe_url.as_deref()), ("Token", self.token.as_deref()));
        let timestamp = ("Timestamp", Some(&*self.timestamp));
        let end = [("TopicArn", Some(&*self.topic_arn)), ("Type", Some(&*self.r#type))];
        let middle: &[_] = match &*self.r#type {
            "Notification" => &[subject, timestamp],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" if url.1.is_some() && token.1.is_some() => &[url, timestamp, token],
            _ => return None,
        };
        let members = common.iter().chain(middle).chain(&end);
        Some(members.filter_map(|(name, value)| Some(format!("{name}\n{}\n", (*value)?))).collect())
    }
}

fn known(remote: &Remote<Certificate>, message: &Message<'_>) -> Result<Arc<Certificate>, SignatureRefusal> {
    let address = certificate_address(message).map_err(SignatureRefusal::Key)?;
    remote.known(&address, DAY).unwrap_or(Err(KeyFault::NotFetched)).map_err(SignatureRefusal::Key)
}

/// Where the certificate is, if Amazon keeps its certificates there.
fn certificate_address(message: &Message<'_>) -> Result<Uri, KeyFault> {
    let uri: Uri = message.signing_cert_url.as_deref().and_then(|url| url.parse().ok()).ok_or(KeyFault::ForeignAddress)?;
    let is_plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let is_amazons = uri.scheme_str() == Some("https")
        && uri.authority().is_some_and(|authority| is_sns_host(authority.as_str()))
        && uri.query().is_none()
        && uri.path().ends_with(".pem")
        && is_plain(uri.path());
    if is_amazons { Ok(uri) } else { Err(KeyFault::ForeignAddress) }
}

/// `/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem`
fn is_likely(address: &Uri) -> bool {
    let id = address.path().strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn read<'a>(request: &Signed<'a>) -> Result<Message<'a>, SignatureRefusal> {
    let body = request.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(request.body);
    serde_json::from_slice(body).map_err(|_| malformed(Fault::Text))
}

fn malformed(fault: Fault) -> SignatureRefusal {
    SignatureRefusal::Malformed { place: "body as a signed SNS message".to_owned(), fault }
}

//! Signing as a sender does, for those who know the secret too: what `hookgate send` needs.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Signed;
use super::alternative::{Alternative, Check};
use super::mac::Mac;
use super::request::render;
use super::spec::{Algorithm, Place};
use super::timestamp::TimestampPlace;
use super::url::PublicUrl;
use crate::incident::Timestamp;

impl Alternative {
    /// The headers to add; none if this cannot be signed with a header, or not by us.
    pub(super) fn sign(&self, request: &Signed<'_>, url: Option<&PublicUrl>, now: Timestamp) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let Place::Header(header) = &self.spec.place else { return None };
        let mut added = self.companions(request, now);
        let value = match &self.check {
            Check::Equal(equal) => self.spec.format.write(equal.first()?, "", |_| random_id()),
            Check::Twilio(twilio) => self.spec.format.write(&twilio.sign(request, url?)?, "", |_| random_id()),
            Check::Jwt(jwt) => {
                let token = jwt.sign(now)?;
                if self.spec.format.is_plain() { format!("Bearer {token}") } else { self.spec.format.write(&token, "", |_| random_id()) }
            }
            Check::Mac(mac) => self.sign_text(mac, request, &added, url, now)?,
            Check::Public(_) | Check::Sns(_) => return None,
        };
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        added.push((header.clone(), value));
        Some(added)
    }

    /// Headers that are signed along: the time, and an id where there is none.
    fn companions(&self, request: &Signed<'_>, now: Timestamp) -> Vec<(HeaderName, HeaderValue)> {
        let of_time = if let Some(TimestampPlace::Header(name)) = &self.spec.timestamp { Some(name) } else { None };
        let signed = self.spec.signed.headers().filter(|name| Some(*name) != of_time && !request.headers.contains_key(*name));
        let text = |text: String| HeaderValue::try_from(text).expect("digits and letters");
        let ids = signed.map(|name| (name.clone(), text(random_id())));
        ids.chain(of_time.map(|name| (name.clone(), text(self.spec.timestamp_format.write(now))))).collect()
    }

    fn sign_text(
        &self,
        mac: &Mac,
        request: &Signed<'_>,
        added: &[(HeaderName, HeaderValue)],
        url: Option<&PublicUrl>,
        now: Timestamp,
    ) -> Option<String> {
        let mut headers: HeaderMap = request.headers.clone();
        for (name, value) in added {
            headers.insert(name.clone(), value.clone());
        }
        let time = self.spec.timestamp_format.write(now);
        let is_time = |name: &str| matches!(&self.spec.timestamp, Some(TimestampPlace::Sig(part)) if part == name);
        let named: Vec<(&str, String)> =
            self.spec.format.names().map(|name| (name, if is_time(name) { time.clone() } else { random_id() })).collect();
        let borrowed: Vec<_> = named.iter().map(|(name, text)| (*name, text.as_str())).collect();

        let address = url.map(|url| url.with_query(request.query));
        let request = Signed { headers: &headers, ..*request };
        let pieces = render(&self.spec.signed, &request, address.as_deref(), &borrowed).ok()?;
        let algorithm = if self.spec.algorithm == Algorithm::FromPrefix { Algorithm::Sha256 } else { self.spec.algorithm };
        let signature = self.spec.encoding.encode(&mac.keys.first()?.tag(mac.kind, algorithm, &pieces));
        let part = |name: &str| named.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()).unwrap_or_default();
        Some(self.spec.format.write(&signature, algorithm.word(), part))
    }
}

/// For what a sender would make up too.
fn random_id() -> String {
    format!("test_{:032x}", fastrand::u128(..))
}

//! One spec, ready to verify with.

use super::Signed;
use super::diagnosis::Case;
use super::equal::Equal;
use super::format::{Format, Reading};
use super::jwt::Jwt;
use super::mac::{Kind, Mac, candidates};
use super::public::PublicKeys;
use super::refusal::{Cause, Fault, KeyFault, SignatureRefusal};
use super::remote::MayAsk;
use super::request::{Piece, check_time, joined, render};
use super::sns::Sns;
use super::spec::{Algorithm, Place, SignatureSpec};
use super::timestamp::TimestampPlace;
use super::twilio::Twilio;
use super::url::PublicUrl;
use crate::incident::Timestamp;

pub(super) struct Alternative {
    pub(super) spec: SignatureSpec,
    pub(super) check: Check,
    /// The format of the other kind of key, where a header may hold both.
    pub(super) twin: Option<Format>,
}

pub(super) enum Check {
    Mac(Mac),
    Equal(Equal),
    Twilio(Twilio),
    Public(PublicKeys),
    Sns(Sns),
    Jwt(Jwt),
}

impl Alternative {
    /// The index of the secret that the request was signed with.
    pub(super) fn verify(&self, request: &Signed<'_>, url: Option<&PublicUrl>, now: Timestamp) -> Result<usize, SignatureRefusal> {
        if self.spec.needs_url() && url.is_none() {
            return Err(SignatureRefusal::Wrong(Cause::NoUrl));
        }
        let index = match &self.check {
            Check::Equal(equal) => equal.verify(&self.spec, request)?,
            Check::Jwt(jwt) => jwt.verify(&self.spec, request, url, now)?,
            Check::Sns(sns) => sns.verify(request, now).map(|()| 0)?,
            Check::Twilio(twilio) => twilio.verify(&self.spec, request, url.expect("made ready with an address"))?,
            Check::Mac(_) | Check::Public(_) => return self.verify_text(request, url, now),
        };
        check_time(&self.spec, request, &[], now)?;
        Ok(index)
    }

    /// Whether a request's head holds all that [`Self::verify`] looks at.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.check, Check::Equal(_) | Check::Jwt(_))
            && matches!(self.spec.place, Place::Header(_))
            && !matches!(self.spec.timestamp, Some(TimestampPlace::Json(_)))
    }

    /// Gets what [`Self::verify`] said is not at hand.
    pub(super) async fn obtain(&self, request: &Signed<'_>, may_ask: MayAsk<'_>) -> Result<(), KeyFault> {
        match &self.check {
            Check::Sns(sns) => sns.obtain(request, may_ask).await,
            Check::Jwt(jwt) => jwt.obtain(&self.spec, request).await,
            Check::Mac(_) | Check::Equal(_) | Check::Twilio(_) | Check::Public(_) => Ok(()),
        }
    }

    /// Schemes that sign what the template says.
    fn verify_text(&self, request: &Signed<'_>, url: Option<&PublicUrl>, now: Timestamp) -> Result<usize, SignatureRefusal> {
        let text = self.spec.place.text(request)?;
        let reading = self.read(&text)?;
        if matches!(&self.check, Check::Mac(mac) if mac.kind == Kind::Hash) && !cannot_be_extended(&self.spec, request.body) {
            return Err(self.malformed(Fault::NotJson));
        }
        let address = url.filter(|_| self.spec.signed.has_url()).map(|url| url.with_query(request.query));
        let pieces = render(&self.spec.signed, request, address.as_deref(), &reading.named)?;
        let index = match &self.check {
            Check::Mac(mac) => self.verify_mac(mac, &reading, &pieces, request, url)?,
            Check::Public(keys) => self.verify_public(keys, &reading, pieces)?,
            Check::Equal(_) | Check::Twilio(_) | Check::Sns(_) | Check::Jwt(_) => unreachable!("they have no template"),
        };
        check_time(&self.spec, request, &reading.named, now)?;
        Ok(index)
    }

    fn verify_mac(
        &self,
        mac: &Mac,
        reading: &Reading<'_>,
        pieces: &[Piece<'_>],
        request: &Signed<'_>,
        url: Option<&PublicUrl>,
    ) -> Result<usize, SignatureRefusal> {
        let SignatureSpec { algorithm, encoding, .. } = self.spec;
        let candidates = candidates(&reading.found, algorithm, encoding).ok_or_else(|| self.malformed(Fault::Algorithm))?;
        if let Some(index) = mac.matching(pieces, &candidates) {
            return Ok(index);
        }
        let case = Case { spec: &self.spec, mac, found: &reading.found, named: &reading.named, request: *request, url };
        match case.cause() {
            Cause::Unknown if candidates.is_empty() => Err(self.malformed(Fault::Encoding(encoding))),
            cause => Err(SignatureRefusal::Wrong(cause)),
        }
    }

    fn verify_public(&self, keys: &PublicKeys, reading: &Reading<'_>, pieces: Vec<Piece<'_>>) -> Result<usize, SignatureRefusal> {
        let encoding = self.spec.encoding;
        let candidates = candidates(&reading.found, Algorithm::Sha256, encoding).unwrap_or_default();
        if candidates.is_empty() {
            return Err(self.malformed(Fault::Encoding(encoding)));
        }
        let signed = joined(pieces);
        keys.matching(&signed, &candidates).ok_or_else(|| {
            let shorter = signed.strip_suffix(b"\n").filter(|_| signed.len() <= super::diagnosis::MAX_BODY);
            let is_right = |text: &[u8]| keys.matching(text, &candidates).is_some();
            let is_added = shorter.is_some_and(is_right);
            SignatureRefusal::Wrong(if is_added { Cause::NewlineAdded } else { Cause::OtherKey })
        })
    }

    fn read<'v>(&'v self, text: &'v str) -> Result<Reading<'v>, SignatureRefusal> {
        self.spec.format.read(text).ok_or_else(|| {
            let is_twin = self.twin.as_ref().is_some_and(|twin| twin.read(text).is_some());
            self.malformed(match &self.check {
                Check::Public(_) if is_twin => Fault::Symmetric,
                _ if is_twin => Fault::Asymmetric,
                _ => Fault::Format,
            })
        })
    }

    fn malformed(&self, fault: Fault) -> SignatureRefusal {
        SignatureRefusal::Malformed { place: self.spec.place.describe(), fault }
    }
}

/// Whether nobody can have made the body of another request's signature alone. Whoever knows a plain hash can go on hashing from
/// there, which puts the hash's padding, zeros among it, into what is signed; and what other alternatives sign begins with a
/// method or an address. JSON has neither. A secret at the end cannot be gone on from.
fn cannot_be_extended(spec: &SignatureSpec, body: &[u8]) -> bool {
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) && !body.contains(&0) && str::from_utf8(body).is_ok();
    is_json || spec.signed.ends_with_secret()
}

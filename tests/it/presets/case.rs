//! What a sender does and what must come of it.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat};

use super::request::Request;
use super::signing::{OURS, Scheme};

pub(super) const USER: &str = "sender";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const TOKEN: &str = "7c9e6679f3a1b2d4e5c8a0f6";
/// Also the path token or password of nobody.
pub(super) const WRONG: &str = "wrong-wrong-wrong-wrong";
/// Before and after the secret is decoded, 24 bytes or more.
const WHSEC: &str = "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2U=";
const OTHER_WHSEC: &str = "whsec_YW5vdGhlci1zZWNyZXQtb2Ytbm9ib2R5cw==";

/// One instance, and the requests of its sender.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) instance: &'static str,
    /// The preset, and the sample.
    pub(super) sender: &'static str,
    /// Further keys of the instance.
    pub(super) keys: String,
    /// What this sender does otherwise than the sample shows.
    pub(super) edit: fn(&mut Request),
    /// Something else than the sample's.
    pub(super) body: Option<String>,
    pub(super) proof: Proof,
    /// Name, type and time of each incident; no time: that of its arrival.
    pub(super) incidents: Vec<(&'static str, Option<&'static str>, Option<&'static str>)>,
    pub(super) again: Again,
}

/// What comes of the same event sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Duplicate,
    /// Nothing tells it from another event.
    Another,
}

/// How a sender proves itself.
#[derive(Clone)]
pub(super) enum Proof {
    /// `{credentials}`
    Basic,
    /// `{secret}` in this header, which is the instance's credentials.
    Header(&'static str),
    /// `{token}`
    Path,
    /// `{secret}` in a header or the body, which is the instance's secret.
    Equal,
    Signature(Signature),
}

#[derive(Clone)]
pub(super) struct Signature {
    pub(super) scheme: Scheme,
    /// The header that holds it; none: the body does.
    pub(super) header: Option<&'static str>,
    /// What is signed; the key is for those who hash it along.
    pub(super) signed: fn(&Request, &str) -> String,
    pub(super) key: &'static str,
    pub(super) other_key: &'static str,
    pub(super) timestamp: Option<Spelling>,
    pub(super) covers_body: bool,
    pub(super) covers_url: bool,
    /// Headers that are signed.
    pub(super) covers: &'static [&'static str],
    /// Text of the body that is signed, where not all of it is.
    pub(super) covers_text: &'static [&'static str],
}

/// How a sender writes the time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    Seconds,
    Milliseconds,
    Rfc3339,
}

impl Spelling {
    pub(super) fn write(self, seconds: i64) -> String {
        match self {
            Self::Seconds => seconds.to_string(),
            Self::Milliseconds => (seconds * 1000 + 7).to_string(),
            Self::Rfc3339 => DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }
}

impl Case {
    /// Of a sender whose preset is the instance's name.
    pub(super) fn of(sender: &'static str, proof: Proof) -> Self {
        let keys = proof.keys();
        Self { instance: sender, sender, keys, edit: |_| {}, body: None, proof, incidents: Vec::new(), again: Again::Duplicate }
    }

    /// The same sender in another way, with an instance of its own.
    pub(super) fn called(mut self, instance: &'static str, edit: fn(&mut Request)) -> Self {
        self.instance = instance;
        self.edit = edit;
        self
    }

    pub(super) fn with_keys(mut self, keys: &str) -> Self {
        let _ = writeln!(self.keys, "{keys}");
        self
    }

    pub(super) fn becomes(
        mut self,
        name: &'static str,
        kind: impl Into<Option<&'static str>>,
        occurred: impl Into<Option<&'static str>>,
    ) -> Self {
        self.incidents.push((name, kind.into(), occurred.into()));
        self
    }

    pub(super) fn repeats_as(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    pub(super) fn toml(&self) -> String {
        format!("[[instance]]\nname = \"{}\"\nsender = \"{}\"\n{}", self.instance, self.sender, self.keys)
    }

    /// The sample with everything filled in as the sender does it now.
    pub(super) fn request(&self) -> Request {
        self.request_at(now())
    }

    pub(super) fn request_at(&self, seconds: i64) -> Request {
        self.signed_with(self.key(), seconds)
    }

    /// Likewise, with a key of nobody.
    pub(super) fn forged(&self) -> Request {
        self.signed_with(self.wrong_key(), now())
    }

    /// Without these headers, and with `number` in those that number a delivery and are signed.
    pub(super) fn unnumbered(&self, headers: &[&str], number: &str) -> Request {
        let mut request = self.unsigned(now());
        for header in headers {
            request.remove(header);
        }
        for (_, id) in request.headers.iter_mut().filter(|(name, _)| matches!(name.as_str(), "webhook-id" | "svix-id" | "ce-id")) {
            id.push_str(number);
        }
        self.sign(request, self.key())
    }

    fn signed_with(&self, key: &str, seconds: i64) -> Request {
        self.sign(self.unsigned(seconds), key)
    }

    fn sign(&self, mut request: Request, key: &str) -> Request {
        if let Proof::Signature(signature) = &self.proof {
            let text = (signature.signed)(&request, key);
            request.fill("signature", &signature.scheme.sign(key, &text));
        } else {
            request.fill("credentials", &BASE64_STANDARD.encode(format!("{USER}:{key}")));
            request.fill("secret", key);
            request.fill("token", key);
        }
        request
    }

    fn unsigned(&self, seconds: i64) -> Request {
        let mut request = Request::sample(self.sender, self.instance);
        (self.edit)(&mut request);
        if let Some(body) = &self.body {
            request.body.clone_from(body);
        }
        if let Proof::Signature(Signature { timestamp: Some(spelling), .. }) = &self.proof {
            request.fill("timestamp", &spelling.write(seconds));
        }
        request
    }

    fn key(&self) -> &'static str {
        match &self.proof {
            Proof::Path => TOKEN,
            Proof::Signature(signature) => signature.key,
            _ => PASSWORD,
        }
    }

    fn wrong_key(&self) -> &'static str {
        if let Proof::Signature(signature) = &self.proof { signature.other_key } else { WRONG }
    }
}

impl Proof {
    pub(super) fn signature(scheme: Scheme, header: &'static str, signed: fn(&Request, &str) -> String) -> Signature {
        let (key, other_key) = match scheme {
            Scheme::Whsec => (WHSEC, OTHER_WHSEC),
            Scheme::Rsa | Scheme::Jwt => (OURS, WRONG),
            _ => (PASSWORD, WRONG),
        };
        Signature {
            scheme,
            header: Some(header),
            signed,
            key,
            other_key,
            timestamp: None,
            covers_body: true,
            covers_url: false,
            covers: &[],
            covers_text: &[],
        }
    }

    /// A signature of the body and nothing else.
    pub(super) fn of_body(scheme: Scheme, header: &'static str) -> Self {
        Self::Signature(Self::signature(scheme, header, |request, _| request.body.clone()))
    }

    fn keys(&self) -> String {
        match self {
            Self::Basic => format!("username = \"{USER}\"\npassword = \"{PASSWORD}\"\n"),
            Self::Header(name) => format!("username = \"_header:{name}\"\npassword = \"{PASSWORD}\"\n"),
            Self::Path => format!("path_token = \"{TOKEN}\"\n"),
            Self::Equal => format!("secrets = [\"{PASSWORD}\"]\n"),
            Self::Signature(signature) => match signature.scheme {
                Scheme::Rsa | Scheme::Jwt => String::new(),
                scheme => format!("secrets = [\"{}\"]\n", scheme.configured(signature.key)),
            },
        }
    }
}

impl Signature {
    pub(super) fn at(mut self, spelling: Spelling, covers: &'static [&'static str]) -> Self {
        self.timestamp = Some(spelling);
        self.covers = covers;
        self
    }

    pub(super) fn with_url(mut self) -> Self {
        self.covers_url = true;
        self
    }

    pub(super) fn without_body(mut self) -> Self {
        self.covers_body = false;
        self
    }

    /// It is in the body, and of the rest only this is signed.
    pub(super) fn in_body(mut self, covers: &'static [&'static str]) -> Self {
        (self.header, self.covers_body, self.covers_text) = (None, false, covers);
        self
    }
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

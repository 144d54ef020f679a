//! One named entrance: what it asks for, and what becomes of what it takes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;

use crate::activity::{Activity, Moment, Tally};
use crate::auth::{Access, PathToken};
use crate::intake::Rules;
use crate::metrics::{InstanceLabel, Metrics, RequestLabels};
use crate::senders::handshake::{Handshake, Handshakes, Pending};
use crate::senders::signature::Signatures;

/// One named entrance, ready to serve.
#[derive(Debug)]
pub struct Instance {
    pub(super) name: Arc<str>,
    pub(super) access: Access,
    pub(super) asks_for_basic: bool,
    allow_from: Option<Vec<IpNet>>,
    secret_header: Option<HeaderName>,
    pub(super) proof: Proof,
    pub(super) rules: Rules,
    pub(super) keep_samples: bool,
    pub(super) duplicates_of: Arc<str>,
    pub(super) duplication_window: Duration,
    /// Answers of 200; looked up once.
    pub(super) ok: Counter,
    /// Events that the operator's map leaves out.
    pub(super) dropped: Counter,
    /// How often one of its filters failed.
    pub(super) filter_failures: Counter,
    pub(super) tally: Arc<Tally>,
    pub(super) password_uses: PasswordUses,
    pub(super) waiting: Waiting,
}

/// When `password` and when `password_next` last let somebody in.
pub type PasswordUses = [Arc<Moment>; 2];

/// What an [`Instance`] is made of.
#[derive(Debug)]
pub struct InstanceOptions {
    /// As in the URL.
    pub name: Arc<str>,
    /// Made by the same [`Verifier`](crate::auth::Verifier) that the [`Entrance`](super::Entrance) uses.
    pub access: Access,
    /// Whether a 401 carries `WWW-Authenticate: Basic`.
    pub asks_for_basic: bool,
    /// Where senders may be; none: anywhere.
    pub allow_from: Option<Vec<IpNet>>,
    /// The header that holds the secret, kept out of incidents and rejections.
    pub secret_header: Option<HeaderName>,
    /// What is asked of a sender besides.
    pub proof: Proof,
    /// From bytes to incidents.
    pub rules: Rules,
    /// Whether stored incidents are kept as samples.
    pub keep_samples: bool,
    /// Whose memory of duplication keys it shares; mostly its own name.
    pub duplicates_of: Arc<str>,
    /// How long a duplication key is remembered.
    pub duplication_window: Duration,
    /// Where its use is noted; the same again after a reload.
    pub activity: Arc<Activity>,
    /// Likewise for each password, as long as it is the same password.
    pub password_uses: PasswordUses,
    /// What a person must do; the same again after a reload.
    pub waiting: Waiting,
}

/// What a sender waits for a person to do.
pub type Waiting = Arc<Mutex<Option<Pending>>>;

/// What is asked of a sender besides credentials in headers, and what it may ask itself.
#[derive(Debug, Default)]
pub struct Proof {
    /// The last part of the address. Made by the same [`Verifier`](crate::auth::Verifier) that the [`Entrance`](super::Entrance) uses.
    pub path_token: Option<PathToken>,
    /// What a signature is verified with; none: nothing is signed.
    pub signatures: Option<Signatures>,
    /// Requests are signed, but nobody knows yet with what: only a handshake may come.
    pub awaits_secret: bool,
    /// The handshakes that are answered.
    pub handshakes: Handshakes,
    /// Whether subscriptions to SNS topics are confirmed without a person.
    pub confirms_subscriptions: bool,
    /// The methods that bring events; POST alone unless the sender has others.
    pub methods: Vec<Method>,
}

impl Instance {
    /// An instance whose counters live in `metrics`.
    pub fn new(options: InstanceOptions, metrics: &Metrics) -> Self {
        let label = InstanceLabel { instance: options.name.to_string() };
        let ok = RequestLabels { instance: label.instance.clone(), status: 200 };
        Self {
            ok: metrics.requests.get_or_create(&ok).clone(),
            dropped: metrics.dropped.get_or_create(&label).clone(),
            filter_failures: metrics.filter_failures.get_or_create(&label).clone(),
            tally: Arc::new(Tally {
                incidents: metrics.incidents.get_or_create(&label).clone(),
                duplicates: metrics.duplicates.get_or_create(&label).clone(),
                activity: options.activity,
            }),
            name: options.name,
            access: options.access,
            asks_for_basic: options.asks_for_basic,
            allow_from: options.allow_from,
            secret_header: options.secret_header,
            proof: options.proof,
            rules: options.rules,
            keep_samples: options.keep_samples,
            duplicates_of: options.duplicates_of,
            duplication_window: options.duplication_window,
            password_uses: options.password_uses,
            waiting: options.waiting,
        }
    }

    /// What is known of its use.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.tally.activity
    }

    /// When its passwords were last used.
    pub fn password_uses(&self) -> &PasswordUses {
        &self.password_uses
    }

    /// What a person must do before this sender sends events.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Whether a sender may be at this address.
    pub(super) fn allows(&self, peer: IpAddr) -> bool {
        self.allow_from.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(&peer)))
    }

    /// Whether nothing but a signature proves who sends: then what has none is answered as if there were no instance.
    pub(super) fn is_only_signed(&self) -> bool {
        self.proof.signatures.is_some() && self.access.is_open() && self.proof.path_token.is_none()
    }

    /// Whether a body may have to be read to see whether it is signed: it is, where the head does not tell.
    pub(super) fn may_read_to_verify(&self) -> bool {
        (self.proof.signatures.is_some() || self.proof.awaits_secret) && self.access.is_open() && self.proof.path_token.is_none()
    }

    /// Whether a signature that only its sender can make is what lets in. It is verified whatever others at the same address
    /// sent: guessing gains nothing by it.
    pub(super) fn is_proven_by_signature(&self) -> bool {
        self.access.is_open() && self.proof.signatures.as_ref().is_some_and(Signatures::are_made_anew)
    }

    /// Whether this method brings events.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.proof.methods.contains(method)
    }

    /// What a 405 says to those who were let in.
    pub(super) fn allow(&self) -> HeaderValue {
        let methods = ["GET", "HEAD"].into_iter().chain(self.proof.methods.iter().map(Method::as_str));
        HeaderValue::from_str(&methods.collect::<Vec<_>>().join(", ")).expect("names of methods are a header value")
    }

    /// Methods beside GET, HEAD and POST that mean something here.
    pub(super) fn further_methods(&self) -> impl Iterator<Item = &Method> {
        let options = self.proof.handshakes.has(Handshake::CloudEvents).then_some(&Method::OPTIONS);
        self.proof.methods.iter().filter(|method| **method != Method::POST).chain(options)
    }

    /// The header with the password, if that is an own one.
    pub(super) fn secret_header(&self) -> Option<&HeaderName> {
        self.secret_header.as_ref()
    }

    /// Takes out the headers that repeat the path token. Those by which the body is read stay.
    pub(super) fn without_token(&self, headers: &mut HeaderMap) {
        let Some(token) = &self.proof.path_token else { return };
        let is_kept = |name: &HeaderName| [CONTENT_TYPE, CONTENT_ENCODING].contains(name);
        let repeating = headers.iter().filter(|(name, value)| token.is_in(value.as_bytes()) && !is_kept(name));
        for name in repeating.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            headers.remove(name);
        }
    }

    /// Whether this header holds a secret.
    pub(super) fn is_secret(&self, name: &HeaderName, value: &[u8]) -> bool {
        let signatures = self.proof.signatures.iter();
        self.proof.path_token.as_ref().is_some_and(|token| token.is_in(value))
            || self.secret_header.as_ref() == Some(name)
            || signatures.flat_map(Signatures::secret_headers).any(|secret| secret == name)
    }
}

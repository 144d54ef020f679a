//! A body that is read before its sender is known: a login that can fail.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::error::Refused;
use super::turns::Turns;
use super::{Entrance, Instance};

/// A body on its way to be verified. A wrong signature is a failed login like a wrong password; where nothing was shown before the
/// body, so is one that does not arrive: it takes room all the same. That includes one whose caller hangs up, which drops this.
pub(super) struct Attempt<'a> {
    entrance: &'a Entrance,
    peer: IpAddr,
    instance: Arc<Instance>,
    is_proven: bool,
    is_open: AtomicBool,
}

impl<'a> Attempt<'a> {
    pub(super) fn begin(entrance: &'a Entrance, peer: IpAddr, instance: &Arc<Instance>, is_proven: bool) -> Self {
        Self { entrance, peer, instance: Arc::clone(instance), is_proven, is_open: AtomicBool::new(!is_proven) }
    }

    /// It came to its end.
    pub(super) fn verified(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// It failed, if that is what `refused` means; what the caller is told instead, if it failed too often.
    pub(super) fn refused(&self, refused: Refused) -> Refused {
        let is_open = self.is_open.swap(false, Ordering::Relaxed);
        let is_wrong = refused.status() == StatusCode::UNAUTHORIZED;
        let did_not_arrive =
            matches!(refused, Refused::BodyTooLarge { .. } | Refused::BodyTooSlow { .. } | Refused::BodyBroken { .. }) && is_open;
        // The key's owner may be out of reach, or somebody makes keys up; who is right is let in all the same.
        let names_no_key =
            self.instance.is_proven_by_signature() && matches!(&refused, Refused::Signature(refusal) if refusal.is_about_a_key());
        if is_wrong || did_not_arrive || names_no_key {
            return self.failed().filter(|_| is_wrong).unwrap_or(refused);
        }
        refused
    }

    /// Whether this caller may have us ask for a key that was never seen. It is counted: of made-up ones there is no end.
    pub(super) fn may_ask_for_a_key(&self) -> bool {
        let (keys, name) = (&self.entrance.unseen_keys, &self.instance.name);
        let may = keys.check(self.peer, name).is_ok();
        if may {
            keys.failed(self.peer, name);
        }
        may
    }

    /// Where turns for large bodies are had: those who can only claim to be a sender have some of their own.
    pub(super) fn turns(&self) -> &'a Turns {
        let [proven, unproven] = &self.entrance.turns;
        if self.is_proven { proven } else { unproven }
    }

    /// Counts a failed login, or says that there were too many.
    fn failed(&self) -> Option<Refused> {
        let (throttle, name) = (&self.entrance.throttle, &self.instance.name);
        // Nobody is turned away here before the signature was looked at: what goes on beyond the rate is not counted on.
        if self.instance.is_proven_by_signature()
            && let Err(wait) = throttle.check(self.peer, name)
        {
            return Some(Refused::Throttled(wait.0));
        }
        throttle.failed(self.peer, name);
        None
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_open.load(Ordering::Relaxed) {
            self.failed();
        }
    }
}

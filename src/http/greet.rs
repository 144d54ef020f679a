//! Answers to handshakes, and what they leave for a person to do.

use std::sync::{Arc, PoisonError};

use http::Response;

use super::answer::{self, Body};
use super::{Entrance, Instance};
use crate::senders::handshake::{Pending, Reply};

impl Entrance {
    /// Answers a handshake. Nothing is stored.
    pub(super) fn greet(&self, instance: &Arc<Instance>, mut reply: Reply) -> Response<Body> {
        instance.counters.ok.inc();
        if let Some(pending) = reply.pending.take() {
            wait_for_a_person(instance, pending);
        }
        answer::greeting_response(reply)
    }
}

fn wait_for_a_person(instance: &Arc<Instance>, pending: Pending) {
    let (name, handshake) = (&*instance.name, pending.handshake);
    tracing::warn!(instance = name, handshake, "the sender waits for somebody to confirm it: {pending}");
    *instance.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
}

//! Answers to handshakes, and what they leave for a person to do.

use std::sync::{Arc, PoisonError};

use http::{Response, Uri};

use super::answer::{self, Body};
use super::{Entrance, Instance};
use crate::senders::fetch::{Fetcher, Standing};
use crate::senders::handshake::{Pending, Reply};

impl Entrance {
    /// Answers a handshake. Nothing is stored.
    pub(super) fn greet(&self, instance: &Arc<Instance>, mut reply: Reply) -> Response<Body> {
        instance.ok.inc();
        if let Some(pending) = reply.pending.take() {
            if self.log_quota.admits(&instance.name, pending.handshake) {
                tracing::warn!(instance = &*instance.name, handshake = pending.handshake, "the sender waits to be confirmed: {pending}");
            }
            self.leave(instance, pending);
        }
        answer::greeting_response(reply)
    }

    /// For the operator, or for Amazon where the operator wants it so.
    fn leave(&self, instance: &Arc<Instance>, pending: Pending) {
        let address = pending.subscribe_url.clone().filter(|_| instance.proof.confirms_subscriptions);
        *instance.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending.clone());
        if let Some(address) = address {
            // The answer does not wait for it: Amazon wants one at once, and asks again where nobody came.
            tokio::spawn(confirm(Arc::clone(&self.confirmations), Arc::clone(instance), pending, address));
        }
    }
}

/// Visits the address that confirms a subscription.
async fn confirm(fetcher: Arc<Fetcher>, instance: Arc<Instance>, pending: Pending, address: String) {
    let outcome = match address.parse::<Uri>() {
        Ok(address) => fetcher.get(&address, Standing::Known).await.map_err(|error| error.to_string()),
        Err(_) => Err("it is no address".to_owned()),
    };
    let (name, topic) = (&*instance.name, pending.topic_arn.as_deref().unwrap_or_default());
    match outcome {
        Ok(_) => {
            tracing::info!(instance = name, topic, "the subscription is confirmed");
            let mut waiting = instance.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Another topic may wait by now.
            if waiting.as_ref() == Some(&pending) {
                *waiting = None;
            }
        }
        Err(reason) => tracing::warn!(instance = name, topic, reason, "the subscription cannot be confirmed; visit its address by hand"),
    }
}

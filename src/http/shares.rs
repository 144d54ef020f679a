//! How many requests of one client are answered at once, where connections do not tell clients apart.
//!
//! Who connects directly has a share of the connections (`listener/permits`). Behind a trusted proxy many clients come by the
//! connections of one address, and the proxy names each in `X-Forwarded-For`: there the share is one of requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::Refused;
use crate::party::party;

/// Requests in flight by client. Bounded by the number of requests: whoever has none in flight is not in it.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<IpAddr, usize>>);

/// One request in flight; gives its place back when dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    shares: &'a Shares,
    party: IpAddr,
}

impl Shares {
    /// A place for one more request of `client`, if it has fewer than `most`.
    pub(super) fn take(&self, client: IpAddr, most: usize) -> Result<Share<'_>, Refused> {
        let party = party(client);
        let mut counts = self.lock();
        let in_flight = counts.get(&party).copied().unwrap_or(0);
        if in_flight >= most {
            return Err(Refused::TooManyRequests { most });
        }
        counts.insert(party, in_flight + 1);
        Ok(Share { shares: self, party })
    }

    /// The counts are whole between any two statements here, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut counts = self.shares.lock();
        if let Some(in_flight) = counts.get_mut(&self.party) {
            *in_flight -= 1;
            if *in_flight == 0 {
                counts.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_no_more_and_leaves_nothing_behind() {
        let shares = Shares::default();
        let take = |client: &str| shares.take(client.parse().unwrap(), 2);
        let held = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(matches!(take("2001:db8::3"), Err(Refused::TooManyRequests { most: 2 })), "a /64 is one client");
        assert!(take("192.0.2.1").is_ok());
        drop(held);
        assert!(take("2001:db8::3").is_ok());
        assert!(shares.lock().is_empty());
    }
}

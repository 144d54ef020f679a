//! What the gateway and its service manager tell each other: `sd_notify(3)` and `sd_listen_fds(3)`.
//!
//! Without a service manager nothing here does anything.

use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use super::workers::Handles;

/// For what follows the grace period: cutting connections, the last commit, a checkpoint on a slow disk.
const CLOSING_TIME: Duration = Duration::from_secs(20);

/// Sockets from the service manager cannot be used as they are.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A datagram socket, a file, or a connection (`Accept=yes`).
    #[error("the service manager passed something that is not a listening TCP socket: {0}")]
    NotAListener(io::Error),
    /// Its connections would wait for ever.
    #[error(
        "the service manager passed a socket for {0}, but no `listen` of the entrance or an instance names that address: \
         make the two agree (ListenStream= in hookgate.socket; the admin listener cannot be passed)"
    )]
    Unclaimed(SocketAddr),
}

/// Listening sockets that outlive the process: connections wait in them during a restart instead of being refused.
#[derive(Debug, Default)]
pub(super) struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes what the service manager has passed. To be called before there are threads: it clears the environment of it.
    pub(super) fn take() -> Result<Self, InheritError> {
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::with_capacity(passed.len());
        for index in 0..passed.len() {
            let listener = passed.take_tcp_listener(index).map_err(InheritError::NotAListener)?;
            listeners.extend(listener);
        }
        listeners.into_iter().map(with_address).collect::<io::Result<_>>().map(Self).map_err(InheritError::NotAListener)
    }

    /// The socket for `address`, if one was passed.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.0.iter().position(|(passed, _)| *passed == address)?;
        Some(self.0.swap_remove(index).1)
    }

    /// An error if there is one that nobody has claimed.
    pub(super) fn finish(self) -> Result<(), InheritError> {
        self.0.first().map_or(Ok(()), |(address, _)| Err(InheritError::Unclaimed(*address)))
    }
}

fn with_address(listener: TcpListener) -> io::Result<(SocketAddr, TcpListener)> {
    if !socket_acceptconn(&listener)? {
        return Err(io::Error::other("a socket that does not listen; hookgate.socket must not say Accept=yes"));
    }
    Ok((listener.local_addr()?, listener))
}

/// Tells the service manager that connections are taken and stored.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager that the configuration is being read again; [`ready`] follows, whatever comes of it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "there is no monotonic clock"),
    }
}

/// Tells the service manager that the gateway ends, and how long that may take when `grace` is used up.
pub(super) fn stopping(grace: Duration) {
    let time = u32::try_from((grace + CLOSING_TIME).as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time)]);
}

/// Tells the service manager, as often as it wants to hear it, that every serving thread still gets its work done. Never ends.
pub(super) async fn watchdog(workers: Arc<Handles>) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return pending().await;
    };
    // As sd_watchdog_enabled(3) recommends: one ping may be late without harm.
    let mut ticks = tokio::time::interval(limit / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if workers.all_respond().await {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(listeners: Vec<TcpListener>) -> Inherited {
        Inherited(listeners.into_iter().map(|listener| with_address(listener).unwrap()).collect())
    }

    #[test]
    fn sockets_are_claimed_by_their_address() {
        let [one, two] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let (first, second) = (one.local_addr().unwrap(), two.local_addr().unwrap());
        let mut passed = inherited(vec![one, two]);
        assert_eq!(passed.claim(second).unwrap().local_addr().unwrap(), second);
        assert!(passed.claim(second).is_none(), "each is claimed once");
        assert!(passed.claim("127.0.0.1:0".parse().unwrap()).is_none(), "port 0 asks for a new one");
        let error = passed.finish().unwrap_err();
        assert!(error.to_string().contains(&first.to_string()), "{error}");
        assert!(Inherited::default().finish().is_ok());
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        use std::os::fd::OwnedFd;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(with_address(TcpListener::from(OwnedFd::from(connection))).is_err());
    }
}

//! The accept loop: survives whatever a single connection does, backs off when the system runs out of something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::{Crowded, Permit, Permits};

/// Connections that the kernel completes while the loop is busy; the system's own limit (`somaxconn`) applies as well.
const BACKLOG: u32 = 4096;
/// Out of descriptors or memory: accepting again at once would only spin.
const BACK_OFF: Duration = Duration::from_millis(50);
/// A connection beyond the limit is told so, but not waited for.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Connections being told so at once; further ones are closed without a word.
const MOST_REFUSALS: usize = 64;

/// A listening socket and its real address.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// With the port that the system chose, where 0 was asked for.
    pub address: SocketAddr,
}

impl Bound {
    /// Listens on `address`. Must be called inside a tokio runtime.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the connections of the run before.
        socket.set_reuseaddr(true)?;
        if address.is_ipv6() {
            // [::] is every IPv6 address whatever the system's default is; 0.0.0.0 may be listened on beside it.
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
        }
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Takes over a socket that listens already. Must be called inside a tokio runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { address: listener.local_addr()?, listener })
    }
}

/// What is done with connections.
pub trait Host {
    /// Serves one, and drops the permit when it has ended.
    fn serve(&self, stream: TcpStream, remote: SocketAddr, permit: Permit);

    /// Gets rid of one that is beyond a limit.
    fn turn_away(&self, stream: TcpStream, remote: SocketAddr, why: Crowded);
}

/// Accepts until `stop` turns true.
pub async fn accept(bound: Bound, permits: Arc<Permits>, mut stop: watch::Receiver<bool>, host: impl Host) {
    loop {
        let accepted = tokio::select! {
            accepted = bound.listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, remote)) => match permits.take() {
                Ok(permit) => host.serve(stream, remote, permit),
                Err(why) => host.turn_away(stream, remote, why),
            },
            Err(error) if is_per_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, address = %bound.address, "cannot accept connections");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Errors of one connection that the peer gave up, not of the listener.
fn is_per_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Tells connections that there is no place for them, a few at once.
#[derive(Clone, Debug)]
pub struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_REFUSALS)))
    }
}

impl Refusals {
    /// Sends `answer` and closes, in the background. Must be called inside a tokio runtime.
    pub fn tell(&self, mut stream: TcpStream, answer: Vec<u8>) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let said = async {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                // Closing with unread bytes would reset the connection before the peer has read the answer.
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            };
            // Too slow, or gone: then there is nobody to tell.
            let _ = tokio::time::timeout(REFUSAL_TIME, said).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_of_both_families_can_be_listened_on_at_once() {
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            // A machine without IPv6.
            return;
        }
        let four = Bound::new("0.0.0.0:0".parse().unwrap()).unwrap();
        Bound::new(SocketAddr::new("::".parse().unwrap(), four.address.port())).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_listens_already_is_taken_over() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bound = Bound::from_std(listener).unwrap();
        assert_eq!(bound.address, address);
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), bound.listener.accept());
        assert!(accepted.is_ok());
    }
}

//! Accepting connections: addresses, permits, and who the peer really is.

mod accept;
mod peer;
mod permits;
mod tls;

pub use accept::{Bound, Host, accept};
pub use peer::client_address;
pub use permits::{Permit, Permits};
pub use tls::{Tls, TlsError, TlsFiles, certificates};

//! Accepting connections: addresses, permits, and who the peer really is.

mod accept;
mod certificate;
mod peer;
mod permits;
pub mod proxy;
mod subject;
mod tls;

pub use accept::{Bound, Host, Refusals, accept};
pub use certificate::{Inspection, TlsError, TlsFile, TlsFiles, certificates, identity, inspect};
pub use peer::client_address;
pub use permits::{Crowded, Permit, PermitLimits, Permits};
pub use tls::{Tls, is_client_refused};

//! Accepting connections: addresses, permits, and who the peer really is.

mod accept;
mod certificate;
mod peer;
mod permits;
mod subject;
mod tls;

pub use accept::{Bound, Host, accept};
pub use certificate::{Inspection, TlsError, TlsFile, TlsFiles, certificates, inspect};
pub use peer::client_address;
pub use permits::{Permit, Permits};
pub use tls::{Tls, is_client_refused};

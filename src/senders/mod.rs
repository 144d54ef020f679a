//! What is known about third-party senders, and how to tell that a request comes from one.

pub(crate) mod fetch;
pub mod handshake;
pub mod presets;
pub mod signature;

//! The one integration binary: the real gateway, over real sockets, on a port of its own for every test.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail loudly, like the test itself")]

mod backup;
mod bodies;
mod cert;
mod certificates;
mod cli;
mod crash;
mod disk;
mod entrance;
mod fair;
mod faults;
mod floods;
mod frames;
mod handshakes;
mod hangups;
mod harness;
mod hostile;
mod hygiene;
mod kept;
mod logs;
mod mapping;
mod package;
mod pki;
mod power;
mod presets;
mod process;
mod quiet;
mod reload;
mod send;
mod sender;
mod senders;
mod shapes;
mod shown;
mod smuggling;
mod steps;
mod strace;
mod strangers;
mod streams;
mod systemd;
mod tls;
mod tls_client;
mod unverified;

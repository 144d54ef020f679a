//! Hookgate: a self-hosted inbound webhook receiver.
//!
//! A request walks through the house from left to right, and its answer comes back the same way:
//!
//! ```text
//! socket ─ listener ─ http ─ auth ─ intake ─ store ─▶ 200            admin ─▶ store (read)
//! ```
//!
//! [`listener`] accepts connections and knows who the peer really is, [`http`] holds the limits and the order of checks,
//! [`auth`] decides who may come in, [`senders`] knows how third-party senders sign and introduce themselves, [`intake`] turns bytes
//! into incidents (by an operator's [`mapping`], where there is one), [`store`] makes them durable. [`activity`], [`buffer`],
//! [`incident`], [`secret`], [`metrics`], [`party`] and [`rejections`] are leaves that everybody may use. Only [`app`] knows all the
//! parts; only `app` and [`cli`] read the [`config`]uration.

pub mod activity;
pub mod admin;
pub mod app;
pub mod auth;
pub mod buffer;
pub mod cli;
pub mod config;
pub mod http;
pub mod incident;
pub mod intake;
pub mod listener;
pub mod log;
pub mod mapping;
pub mod metrics;
pub mod party;
pub mod rejections;
pub mod secret;
pub mod senders;
pub mod store;

//! Connections: addresses that are listened on, slots for as many as there may be, TLS, and HTTP on each.

mod accept;
mod connection;
pub(crate) mod listener;
mod slots;
pub(crate) mod tls;
mod write_timeout;

//! Prunes by policy: what a request or `daemon.json` says of one, and those that run by the clock.

pub(crate) mod policy;
pub(crate) mod schedule;

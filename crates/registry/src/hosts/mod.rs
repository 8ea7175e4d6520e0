//! The hosts that a registry is asked at: settings, `hosts.toml`, mirrors, insecure registries, waits that hosts ask for, and
//! how much is asked of them at once.

pub(crate) mod access;
pub(crate) mod candidate;
pub(crate) mod configured;
pub(crate) mod crowds;
pub(crate) mod file;
pub(crate) mod insecure;
pub(crate) mod survey;
pub(crate) mod waits;

//! Docker Content Trust: which manifest a tag means, by the word of those whom the user trusts.
//!
//! ```text
//! update() ── Server ──► documents ──► Builder: checked one by one ──► Repository: tags, roles, keys
//!     └────── Cache: what was believed before                              │
//!                                                    publish(): changes, signed, in one request
//! ```
//!
//! # Rooms
//!
//! - `canonical`, `metadata`, `role`, `key`: the format, which is notary's and older than that of TUF 1.0
//! - `pin`, `builder`, `client`: what is believed, and the newest of it; `repository`: what it says
//! - `cache`, `keystore`: docker's own directories, so that both programs have the same keys and the same memory
//! - `private`, `sealed`: keys that sign, and what keeps them behind passphrases
//! - `publish`: what is signed here
//!
//! # Trust
//!
//! The server is believed in nothing but the very first root, which TLS vouches for. Everything else is signed by keys of
//! which that root knows, is as new as anything seen before, and in time.
//!
//! # Limits
//!
//! Each document, and the number of them, has a bound (`client`).

mod builder;
mod bytes;
mod cache;
mod canonical;
mod client;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod key;
mod keystore;
mod metadata;
mod pin;
mod private;
mod publish;
mod repository;
mod role;
mod sealed;
mod server;
#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use cache::Cache;
pub use canonical::Value;
pub use client::{Server, update};
pub use error::TrustError;
pub use key::PublicKey;
pub use keystore::{Answer, KeyStore, LoadError, Owner, Passphrases, Question};
pub use metadata::{FileMeta, Signature};
pub use private::PrivateKey;
pub use publish::{Change, Publisher};
pub use registry::NotaryServer;
pub use repository::{Repository, RoleKeys, Target};
pub use role::Role;
pub use server::connect;

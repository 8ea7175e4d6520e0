//! Credentials for registries: where they are kept, and how a user is asked for them.
//!
//! Docker's own places are used, so that a login of either program is one of both: `config.json` in the
//! configuration directory, and the credential helpers that it names.
//!
//! # Limits
//! The configuration file may have 16 MiB, the answer of a helper 1 MiB: both are the user's own, and a mistake in
//! them must not fill the memory.

mod ambient;
mod config_file;
mod helper;
mod hub;
mod keyring;
mod prompt;
mod server;
mod store;

pub(crate) use ambient::{VARIABLE as AMBIENT, ambient, entries as ambient_entries};
pub(crate) use config_file::ConfigFile;
pub(crate) use helper::is_helper_installed;
pub(crate) use hub::{Hub, Pending, user_of};
pub(crate) use keyring::Keyring;
pub(crate) use prompt::ask_for_login;
pub(crate) use server::{DOCKER_HUB_KEY, host_of, key_of_domain};
pub(crate) use store::Store;

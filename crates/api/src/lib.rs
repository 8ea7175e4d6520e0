//! The Docker Engine API as values: what travels between a client and the daemon, shared by both sides.
//!
//! - [`ApiVersion`]: the `/v1.NN` of a request, its order and its bounds.
//! - [`image`], [`identity`], [`system`], [`event`]: the JSON documents of the routes, with dockerd's field names.
//! - [`message`] and [`JsonStream`]: the progress lines of a pull or push, and a bounded decoder for streams of JSON.
//! - [`auth`]: credentials in the `X-Registry-Auth` header and in the body of `/auth`.
//! - [`Filters`]: the `filters` parameter, in the two forms that clients send.
//! - [`Query`]: query strings and escaped paths.
//!
//! The shapes were taken from a recorded dockerd 29 (API 1.55, graph-driver store); what an older version of the API
//! printed in addition is said at the field. A reader must take more than a writer produces, so that the command line
//! works against other daemons too: every document here reads with fields missing, unknown or `null`.
//!
//! Nothing here does I/O.

pub mod auth;
pub mod check;
pub mod diff;
pub mod disk_usage;
pub mod distribution;
mod error;
pub mod event;
mod filters;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod identity;
pub mod image;
pub mod manifest;
pub mod message;
pub mod mount;
mod platform;
pub mod prune;
mod query;
pub mod registry;
pub mod remote;
pub mod search;
mod stream;
pub mod system;
pub mod timestamp;
pub mod verification;
mod version;
mod wire;

pub use error::{ApiError, ErrorResponse};
pub use filters::Filters;
pub use platform::{decode_platform, encode_platform};
pub use query::{Query, escape_path, unescape_path};
pub use stream::{JsonStream, MAX_VALUE_SIZE};
pub use version::ApiVersion;

/// The header by which a client that saves images learns how large the archive is going to be.
pub const ARCHIVE_SIZE_HEADER: &str = "longshore-archive-size";

/// The header by which a client that saves images learns what of them the archive cannot have.
pub const ARCHIVE_NOTE_HEADER: &str = "longshore-archive-note";

/// The header by which a client that saves images learns which parameters of ours were heeded, as `since,referrers`: older daemons know
/// fewer of them, and those of others none.
pub const ARCHIVE_HEEDED_HEADER: &str = "longshore-archive-heeded";

/// The header by which a client that prunes learns how much of the disk is free now: dockerd's count in the answer is of layers alone.
pub const FREED_HEADER: &str = "longshore-space-freed";

/// The header by which a client names a request, to ask afterwards why its answer was broken off.
pub const OPERATION_HEADER: &str = "longshore-operation";

/// The header by which a client that is in the daemon's own process names a file that it has handed over in place of a body.
pub const FILE_HEADER: &str = "longshore-file";

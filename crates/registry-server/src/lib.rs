//! A small OCI distribution v1.1 server over a folder: what `longshore registry serve` runs.
//!
//! It speaks plain HTTP/1 and has no users: it is for a loopback address, a build machine or a
//! test, or for a place behind a proxy that does TLS and authentication. Within that it keeps the
//! promises of the large ones: nothing is visible before its digest is verified, an upload goes on
//! after a cut or a restart of the server, and memory does not grow with the size of a blob.
//!
//! # On disk
//!
//! ```text
//! <root>/
//!   lock                                              held while a server has the folder open
//!   tmp/                                              files being written aside, emptied at start
//!   blobs/<algorithm>/<hex>                           blobs and manifests: whole, verified, immutable
//!   repositories/<name>/_layers/<algorithm>/<hex>     empty: the repository has this blob
//!   repositories/<name>/_manifests/<algorithm>/<hex>  the manifest's media type
//!   repositories/<name>/_tags/<tag>                   the digest that the tag points at
//!   repositories/<name>/_referrers/<subject algorithm>/<subject hex>/<algorithm>-<hex>
//!                                                     a referrer's descriptor, as JSON
//!   repositories/<name>/_uploads/<id>                 what an upload has received; its length is the offset
//! ```
//!
//! The folders of a repository begin with an underscore because a component of a repository's name
//! cannot: `a/_tags` is never also the repository `a/tags`.
//!
//! Every file but an upload is written under `tmp/`, synced as [`Durability`] says, and renamed
//! into place. A manifest goes in as content, then the repository's entry, then the tag, so that a
//! crash leaves at most content that nothing names. Such content, and uploads that nobody has
//! touched for a week, are swept when the folder is opened: deleting a blob or a manifest removes
//! it from its repository at once and its bytes at the next start.
//!
//! # Flow
//!
//! `server` accepts and shuts down; `route` turns method and path into a typed request; `blobs`,
//! `uploads`, `manifests` and `lists` answer one group of endpoints each, `page` people; `storage` is the folder,
//! synchronous, and runs on blocking threads only.
//!
//! # Compatibility
//!
//! Names as in the distribution specification's grammar; sha256 and sha512. Manifests of Docker
//! schema 2 and OCI are accepted; schema 1 is refused. An index is accepted only when the
//! repository has all of its manifests, as the reference registry does.

mod blobs;
mod error;
mod lists;
mod manifests;
mod name;
mod page;
mod query;
mod range;
mod receive;
mod reply;
mod route;
mod server;
mod sessions;
mod storage;
mod uploads;

pub use error::ServerError;
pub use server::{Options, RegistryServer};
pub use storage::Durability;

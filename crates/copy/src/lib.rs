//! Images from anywhere to anywhere, blob by blob, without a data root: `copy` and `sync`.
//!
//! ```text
//! Place ─ open ─► Source ─ documents, blobs ─► Copier ─ feed ─► Target
//! text            a registry's repository      what is missing   a registry's repository
//! ```
//!
//! # Rooms
//!
//! - `files`: folders and archives, to read from
//! - `place`: what a user writes, as skopeo spells it
//! - `source`, `target`: where bytes come from and where they go; which images there are at a source
//! - `job`: one image on its way: its documents, children before parents, and each of its blobs once
//! - `convert`: other bytes for who asks: layers in another compression, documents of the other school's types
//! - `feed`: the bytes of one blob, checked while they pass, begun anew wherever its two ends want
//! - `budget`: how much is asked of a host at once
//! - `sent`: where blobs went in earlier runs
//!
//! # Flow
//!
//! [`Copier::copy`] asks the target what its name means, then the source, and is done where both say the same digest, unless
//! it is told to believe nothing. What is to have other bytes has another digest than its source, so that there the documents of
//! both sides are read each time. Else it goes through the documents of the image from the root down: blobs first, manifests when
//! all that they name is there, the root last under its name. Each part is asked for on its own. Documents are sent as they were
//! received.
//!
//! Where they are wanted, manifests that refer to the image come before its name, so that whoever sees it sees them.
//!
//! A blob takes the cheapest way: it is at the target, it is in another repository of the same registry and is mounted, or it is
//! streamed. A stream is hashed while it passes, and its last piece is held back until the digest is right. A source that breaks
//! off is asked for the rest; a target that does is asked how far it got.
//!
//! What is to have other bytes goes from the leaves up (`job::convert`), as each document names what it leads to by digests.
//!
//! # Trust
//!
//! Neither side is believed: documents and blobs are checked here, and a registry checks what it stores. But for layers that were
//! compressed anew before: the target's manifest of the same config names them, and they are asked for and not read. Where there is a policy
//! or a verifier, a source's image is judged under the name that was given, before a blob is sent or a document stored (`gate`).
//!
//! # Limits
//!
//! Documents have 4 MiB and an image has a bounded number of them; each constant says why it has its value. Of blobs no more is in
//! memory than what the network has brought and not taken yet.
//!
//! # Cancellation
//!
//! Every future may be dropped at any await. What was stored stays and is not sent again.

mod budget;
mod convert;
mod document;
mod error;
mod feed;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate;
mod job;
mod lock;
mod pattern;
mod pieces;
mod place;
mod progress;
mod sent;
mod shared;
mod side;
mod source;
mod sync;
mod target;

pub use convert::{Conversion, ConversionError, Format, LayerEncoding};
pub use error::CopyError;
pub use files::archive::ArchiveFault;
pub use job::{Converted, Copied, Copier};
pub use pattern::{Pattern, PatternError};
pub use place::{Place, PlaceError, Selection};
pub use policy::{PrivateKey, PrivateKeyFault, Settings as Trust};
pub use progress::{Changes, Event, Outcome, Report, Summary};
pub use registry::{
    Client as RegistryClient, CredentialSource, Credentials, Download, RegistryConfig,
    RegistryError,
};
pub use shared::Mode;
pub use side::Side;
pub use source::{Images, Input, Source};
pub use sync::{Entry, RangeError, SyncError, Syntax, TagChoice};
pub use target::{Stream, Target};

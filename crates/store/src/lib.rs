//! The data root: content, images, layers, references, distribution metadata, and who relies on what.
//!
//! What a reader of the store sees is complete and verified: bytes are written aside, synced and renamed, and a
//! reference is the last thing that a commit writes. The layout is that of dockerd's graph-driver store, so that a dockerd
//! can be started on it, plus one directory of Longshore's own that dockerd ignores. All calls block; an asynchronous
//! caller runs them on blocking threads.
//!
//! # On disk
//!
//! ```text
//! <root>/                                             0710
//!   image/<driver>/repositories.json                  references            replaced as a whole
//!   image/<driver>/imagedb/content/sha256/<id>        configs, raw
//!   image/<driver>/imagedb/metadata/sha256/<id>/      parent, lastUpdated
//!   image/<driver>/layerdb/sha256/<chain id>/         diff size cache-id parent tar-split.json.gz; one rename
//!   image/<driver>/layerdb/mounts/                    dockerd's containers: read, never written
//!   image/<driver>/distribution/                      diffid-by-digest, v2metadata-by-diffid
//!   overlay2/<cache id>/                              diff link lower work committed; driver `overlay2` only
//!   overlay2/l/<short id>                             link to ../<cache id>/diff
//!   longshore/lock                                    flock: exclusive for a transaction, shared for a lease's entries
//!   longshore/content/                                manifests and compressed layers, an OCI image layout
//!   longshore/ingest/                                 partial downloads and how far they are
//!   longshore/staging/<lease>.<name>                  what a running operation prepares
//!   longshore/leases/<lease>                          what a running operation relies on; flocked while it runs
//!   longshore/mounts/<id>/                            images that are mounted somewhere
//!   longshore/used/<id>                               dated when an image was used last; may be missing
//!   longshore/pruned                                  dated when the last prune by the clock began; may be missing
//!   longshore/trash/                                  on its way out
//!   longshore/reserve/                                room that only removals get
//!   longshore/catalog                                 what lists say of images; may be missing
//! ```
//!
//! # Rooms
//!
//! | room | in it |
//! |---|---|
//! | `store`, `paths` | the handle that every room is handed, the name of every file |
//! | `open`, `lock`, `dockerd` | opening a data root, transactions, keeping a dockerd off |
//! | `disk`, `files`, `error` | changing what is on the disk, reading it, and what may go wrong |
//! | `ingest` | partial downloads |
//! | `staging` | layers and files that are being written |
//! | `commit` | publishing all that an operation has prepared, in one order |
//! | `content` | manifests, configs and compressed layers by digest |
//! | `layers`, `driver` | the layer database, and how layers' files are kept: `overlay2` or `packed` |
//! | `images` | configs, notes of images, their last uses, references |
//! | `distribution` | what is known of registries: where layers came from, where uploads go on |
//! | `mounts` | mounted images, and dockerd's containers |
//! | `collect` | leases, the removal of what nothing uses, the trash, the sweep at a start |
//! | `room` | free space, what images take of the disk, and the reserve that only removals get |
//! | `cache` | the catalog that lists are made of, parsed files |
//! | `check` | what is damaged, and putting it right |
//!
//! # Flow
//!
//! [`Store::lease`] → [`Store::ingest`] and [`Store::stage`] fill files that nobody else sees → [`Store::commit`] syncs all
//! of them at once (see `disk`) and publishes → the lease is dropped. [`Store::remove_image`] takes the other way, through `trash/`.
//!
//! # Concurrency
//!
//! Several threads and processes may use one data root. Whoever changes metadata holds the lock for the few renames that
//! it takes; downloads and unpacking happen outside. An operation first puts what it relies on into its lease and then
//! looks for it, because a removal reads all leases under the lock. A process that dies leaves its lease's file without
//! its flock: the next [`Store::open`] ends the lease, which removes what it had published without a reference.
//!
//! A dockerd keeps images in memory and would neither see our changes nor we its own. It holds a flock on
//! `volumes/metadata.db` as long as it runs, so a transaction takes a shared one on the same file: a running dockerd is
//! noticed, and a dockerd that is started meanwhile stops with an error (see `dockerd`).

mod cache;
mod check;
mod collect;
mod commit;
mod content;
mod disk;
mod distribution;
mod dockerd;
mod driver;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod images;
mod ingest;
mod layers;
mod lock;
mod mounts;
mod mutex;
mod open;
mod paths;
mod room;
mod staging;
mod store;

pub use cache::catalog::Description;
pub use cache::images::Image;
pub use check::{CheckReport, Finding, Remedy, Subject, Want, WholeLayer};
pub use collect::{ImageUse, Lease, RemovedImage};
pub use commit::{Commit, Committed, Moved, NewImage, NewPart};
pub use content::blob::{Blob, VerifiedBlob};
pub use content::hashing::HashingReader;
pub use disk::file_system_syncs;
pub use distribution::{Credentials, Hmac, HmacKey, Source, UploadNote};
pub use driver::{DriverKind, UnknownDriver};
pub use error::StoreError;
pub use images::PrefixMatch;
pub use images::references::{References, ReferencesMut};
pub use ingest::{Ingest, IngestReader, MAX_BLOB_SIZE, SEGMENT_SIZE, SegmentWriter};
pub use layers::{GraphDriver, Layer};
pub use mounts::{Container, Mount};
pub use open::StoreOptions;
pub use room::{Ledger, Room, Thing};
pub use staging::{
    BlobWriter, LayerRecord, StagedFile, StagedFileReader, StagedFileWriter, StagedLayer,
};
pub use store::Store;

#[cfg(test)]
mod tests;

//! All that can be done with images, over the store, the registry client and the archive code.
//!
//! An operation takes a request of checked values, reports [`ProgressEvent`]s and ends in a value or an [`EngineError`] whose
//! text is Docker's. It is cancelled by dropping its future: work on blocking threads notices and stops, and what was
//! downloaded stays for the next try.
//!
//! # Rooms
//!
//! Each verb is a room, and adds its method to [`Engine`]:
//!
//! - from and to registries: `pull`, `push`; and `registries` for what is only asked (login, search, manifests, …);
//! - from and to archives: `load`, `save`, `import`;
//! - from and to directories: `unpack`, `mount`;
//! - `images`: list, history, inspect, tag, remove, prune, disk usage;
//! - `check`: finds damage in the data root and restores what can be had again.
//!
//! They share `engine` (the state of all operations), `resolve` (the image that a name means), `kept` (what is
//! here of the manifests that its name leads to), `transfer` (one job for all who want
//! the same blob, layer or upload), `document` (the manifest of an image that has none), `receive` (bodies that clients send), `space` (room on the disk) and `cancel`.
//!
//! # Flow of a pull
//!
//! [`pull`](Engine::pull) resolves the reference to a manifest and a config, makes a plan of the missing layers, and runs one *layer
//! job* for each: it joins the blob's *download* (shared by all who want the blob), unpacks the bytes on a blocking thread
//! while they arrive, and compares both digests. When all layers are staged, one [`store::Store::commit`] publishes everything,
//! the reference last.
//!
//! A load does the same with files that came in an archive. A push is the mirror.
//!
//! # Concurrency
//!
//! Downloads, layer jobs and uploads are transfers: one job a key, however many operations wait for it, ended when the last of
//! them is gone. Semaphores bound the transfers on the network and the threads that unpack.

mod cancel;
mod check;
mod diff;
mod document;
mod engine;
mod error;
mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod images;
mod import;
mod kept;
mod layer;
mod load;
mod lock;
mod mount;
mod progress;
mod pull;
mod push;
mod receive;
mod registries;
mod resolve;
mod save;
mod space;
#[cfg(test)]
mod testing;
mod transfer;
mod unpack;
mod verified;

pub use archive::{FileKind, LayerFile, Step};
pub use check::{CheckOutcome, CheckRequest, Checked, Repair};
pub use diff::{Aspect, Change, DiffLayer, DiffRequest, ImageDiff, Sum, Totals};
pub use engine::{Engine, EngineConfig, EngineInfo, Limits};
pub use error::{
    BadArchive, Defect, DirectoryRefusal, EngineError, ErrorKind, LeftOutLayers, Missing, Mistake,
    PlatformMismatch, Result,
};
pub use events::{Event, EventKind, Events};
pub use images::{DiskUsage, HistoryStep, ImageDetails, ImageSummary, InspectOptions};
pub use images::{ListFilters, ListOptions, RemoveOptions, Removed, StoreUsage};
pub use images::{Prune, PrunePolicy, PruneReason, PruneStep, Pruned, SparedImage};
pub use import::{ImportRequest, ImportSource};
pub use kept::{KeptManifest, ManifestKind, Platforms};
pub use load::{LoadRequest, LoadedImages};
pub use mount::MountRequest;
pub use progress::{
    CheckedPart, LayerFacts, LayerState, PartLeftOut, PassedOver, Progress, ProgressEvent,
    ProgressReceiver,
};
pub use pull::{Parts, PullRequest, Pulled};
pub use push::PushRequest;
pub use registries::SearchRequest;
pub use registries::{DistributionImage, InspectedManifest, InspectedManifests, LoginOutcome};
pub use registries::{
    FoundReferrers, ListPush, ListedImage, ListedManifest, RegistryDocument, RegistryImage,
    RegistryObject, Visit,
};
pub use registry::{HostMetrics, Wait};
pub use save::{IncompleteImage, ReferrersLeftOut, SaveRequest, SavedImages, WhyLeftOut};
pub use store::{ImageUse, Remedy, Subject, file_system_syncs};
pub use unpack::UnpackRequest;
pub use verified::Verified;

//! What can be done with images: one file a verb, over the store, the registry client and the archive code.
//!
//! An operation takes a request of checked values, reports [`ProgressEvent`]s and ends in a value or an [`EngineError`] whose
//! text is Docker's. It is cancelled by dropping its future: work on blocking threads notices and stops, and what was
//! downloaded stays for the next try.
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
//! Downloads, layer jobs and uploads are [`transfer`]s: one job a key, however many operations wait for it, ended when the last of
//! them is gone. Semaphores bound the transfers on the network and the threads that unpack.

mod cancel;
mod data_root;
mod disk_usage;
mod distribution;
mod download;
mod engine;
mod error;
mod events;
mod history;
mod import;
mod inspect;
mod list;
mod load;
mod login;
mod manifest_inspect;
mod mount;
mod progress;
mod prune;
mod pull;
mod push;
mod receive;
mod registry_check;
mod remove;
mod resolve;
mod save;
mod search;
mod space;
mod system_check;
mod tag;
mod transfer;
mod unpack;

pub use disk_usage::DiskUsage;
pub use distribution::DistributionImage;
pub use engine::{Engine, EngineConfig, EngineInfo, Limits};
pub use error::{DirectoryRefusal, EngineError, ErrorKind, Result};
pub use events::{Event, EventKind, Events};
pub use history::HistoryStep;
pub use import::{ImportRequest, ImportSource};
pub use inspect::ImageDetails;
pub use list::{ImageSummary, ListFilters, ListOptions, ManifestSummary};
pub use load::LoadRequest;
pub use login::LoginOutcome;
pub use manifest_inspect::{InspectedManifest, InspectedManifests};
pub use mount::MountRequest;
pub use progress::{LayerState, Progress, ProgressEvent, ProgressReceiver};
pub use prune::{Prune, PruneFilters, Pruned};
pub use pull::PullRequest;
pub use push::PushRequest;
pub use registry::{HostTraffic, Wait};
pub use remove::{RemoveOptions, Removed};
pub use save::{SaveRequest, SavedImages};
pub use search::SearchRequest;
pub use store::{Remedy, Subject};
pub use system_check::{CheckOutcome, CheckRequest, Checked, Repair};
pub use unpack::UnpackRequest;

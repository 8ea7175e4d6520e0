//! The images that are here: listed, described, named, and removed.

mod disk_usage;
mod history;
mod inspect;
mod list;
mod part;
mod prune;
mod remove;
mod tag;

pub use disk_usage::{DiskUsage, StoreUsage};
pub use history::HistoryStep;
pub use inspect::{ImageDetails, InspectOptions};
pub use list::{ImageSummary, ListFilters, ListOptions};
pub use prune::{Prune, PrunePolicy, PruneReason, PruneStep, Pruned, SparedImage};
pub use remove::{RemoveOptions, Removed};

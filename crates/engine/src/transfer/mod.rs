//! Transfers: the work on one blob or layer, done once however many operations want it.
//!
//! [`jobs`] joins callers to a running job and [`watchers`] tells them how far it is; [`download`] brings a [`blob`] from a registry,
//! [`content`] checks one that is kept as it is, and [`layer`] makes a [layer that is ready](ready) to be published of one, with a [bound](unpackers) on those at once.

mod blob;
mod content;
mod download;
mod jobs;
mod layer;
mod places;
mod ready;
mod unpackers;
mod watchers;

pub(crate) use blob::{Blob, Download, Downloads};
pub(crate) use jobs::{Transfer, Transfers};
pub(crate) use layer::LayerJob;
pub(crate) use ready::{LayerJobs, PlannedLayer, ReadyLayer};
pub(crate) use watchers::{Watcher, Watchers};

/// The running uploads of layers, by what is sent where to.
pub(crate) type UploadJobs = Transfers<(spec::Repository, spec::DiffId), (), spec::Descriptor>;

//! A layer of an image: as a plan has it, and as it waits to be published.

use std::sync::{Arc, Mutex};

use spec::{ChainId, Descriptor, DiffId};
use store::{LayerRecord, Lease, StagedLayer, VerifiedBlob};

use super::blob::Download;
use super::jobs::Transfers;
use crate::lock::lock;

/// The running layer jobs, by the layers that they make. Equal layers on other parents are other directories.
pub(crate) type LayerJobs = Transfers<ChainId, (), Arc<ReadyLayer>>;
/// A layer in the staging directory, and what the store is to note of it.
pub(super) type Staged = (StagedLayer, LayerRecord);

/// A layer that waits to be published.
#[derive(Debug)]
pub(crate) struct ReadyLayer {
    staged: Mutex<Option<Staged>>,
    /// Kept as long as the layer, so that others who want the blob find it.
    download: Option<Download>,
    /// Under which it is staged. The pull that began the job may end before those that joined it.
    _lease: Arc<Lease>,
}

impl ReadyLayer {
    pub(super) fn new(lease: Arc<Lease>, staged: Staged, download: Option<Download>) -> Arc<Self> {
        Arc::new(Self { staged: Mutex::new(Some(staged)), download, _lease: lease })
    }

    /// Gives up the staged layer; `None` if another pull has published it.
    pub(crate) fn take_staged(&self) -> Option<(StagedLayer, LayerRecord)> {
        lock(&self.staged).take()
    }

    /// Gives up the blob; `None` if it was here before or another pull has published it.
    pub(crate) fn take_blob(&self) -> Option<VerifiedBlob> {
        self.download.as_ref().and_then(|download| download.handle().take_verified())
    }
}

/// One layer of a plan.
#[derive(Clone, Debug)]
pub(crate) struct PlannedLayer {
    pub(crate) descriptor: Descriptor,
    pub(crate) diff_id: DiffId,
    pub(crate) chain_id: ChainId,
    pub(crate) parent: Option<ChainId>,
    pub(crate) present: bool,
}

impl PlannedLayer {
    /// Returns the name under which users see the layer.
    pub(crate) fn label(&self) -> String {
        self.descriptor.digest.short()
    }
}

//! `save`: images into an archive that every Docker reads.
//!
//! The archive is dockerd's of today: an OCI image layout with `manifest.json` and `repositories` beside it. An image whose manifest and blobs
//! are kept is saved as it was pulled, so that loading it brings back every digest; of any other the archive
//! is dockerd's to the byte.
//!
//! # Flow
//! names → images ([`select`]), and those that the reader has ([`left_out`]) → what of each ([`choice`]) → manifest and layers of that
//! ([`parts`]) → all files with their sizes ([`plan`]) → bytes
//! ([`mod@write`]). Errors up to the plan are told before the first byte; a later one breaks the archive off.

mod choice;
pub(crate) mod documents;
pub(crate) mod left_out;
pub(crate) mod parts;
mod plan;
mod select;
mod v1;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use store::Lease;
use tokio::sync::mpsc::Receiver;

use crate::error::Defect;
use crate::{Engine, EngineError, Platforms, Result};
use left_out::Base;
pub use plan::{IncompleteImage, ReferrersLeftOut, WhyLeftOut};
use plan::{Plan, Wish};
use write::Piece;

/// An order to save.
#[derive(Clone, Debug, Default)]
pub struct SaveRequest {
    /// References, repositories (which mean all their tags) and IDs.
    pub names: Vec<String>,
    /// The platforms that are saved.
    pub platforms: Platforms,
    /// Images, named as those, that whoever reads the archive has: their layers are left out.
    pub since: Vec<String>,
    /// Save what refers to the images, too: signatures, SBOMs, attestations.
    pub referrers: bool,
}

/// An archive that is ready to be written. What it needs stays in the store as long as it lives.
#[derive(Debug)]
pub struct SavedImages {
    engine: Engine,
    lease: Arc<Lease>,
    plan: Plan,
}

impl Engine {
    /// Prepares an archive of images: what can be known to be wrong is known when this returns.
    pub async fn save(&self, request: SaveRequest) -> Result<SavedImages> {
        let lease = self.reading_lease().await?;
        let held = Arc::clone(&lease);
        let plan = self.on_disk(move |store| {
            let selection = select::select(store, &held, &request.names)?;
            let base = Base::find(store, &held, &request.since)?;
            let wish = Wish { platforms: &request.platforms, referrers: request.referrers };
            Plan::make((store, &held), &selection, &wish, base)
        });
        Ok(SavedImages { engine: self.clone(), plan: plan.await?, lease })
    }
}

impl SavedImages {
    /// Returns how many bytes the archive has.
    pub fn size(&self) -> u64 {
        self.plan.size()
    }

    /// Lists the images that the archive has without others of their index that are here.
    pub fn incomplete(&self) -> &[IncompleteImage] {
        &self.plan.incomplete
    }

    /// Lists what refers to the images and is here, but not in the archive.
    pub fn referrers_left_out(&self) -> &[ReferrersLeftOut] {
        &self.plan.referrers_left_out
    }

    /// Returns the bytes of the archive as they are made. An error is the last item; dropping the stream ends the work.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let Self { engine, lease, plan } = self;
        let images = plan.images.clone();
        let pieces = write::start(engine.store().clone(), lease, plan);
        stream::unfold(Some((pieces, engine, images)), |state| async {
            let (mut pieces, engine, images) = state?;
            match next(&mut pieces).await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some((pieces, engine, images)))),
                Ok(None) => {
                    for id in images {
                        engine.image_event("save", &id, &id.to_string());
                    }
                    None
                }
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

async fn next(pieces: &mut Receiver<Piece>) -> Piece {
    let ended = || EngineError::Internal(Defect::ArchiveBrokenOff);
    pieces.recv().await.unwrap_or_else(|| Err(ended()))
}

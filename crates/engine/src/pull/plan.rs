//! The plan of a pull: the layers that are here, and those that must be fetched.

use spec::{ChainId, Descriptor, DiffId, ImageId, ImageManifest, Repository};
use store::{Hmac, Lease, Source, Store, StoreError};

use crate::space::{self, Coming};
use crate::transfer::PlannedLayer;
use crate::{EngineError, Result};

/// The layers of an image, each present or to be made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The layers, the bottom one first.
    pub(crate) layers: Vec<PlannedLayer>,
    /// The image itself is here with all its layers.
    image_present: bool,
}

impl Plan {
    /// Makes a plan. What it finds here is held by the lease before it is looked for, so that it stays. Blocking.
    pub(crate) fn make(
        store: &Store,
        lease: &Lease,
        id: &ImageId,
        manifest: &ImageManifest,
        diff_ids: &[DiffId],
    ) -> Result<Self> {
        let mut layers = pair(manifest, diff_ids)?;
        store.check_depth(layers.len()).map_err(EngineError::RegisterLayer)?;
        // Where a layer is damaged, it and all that stands on it are made anew.
        let mut whole = true;
        for layer in &mut layers {
            lease.hold_layer(&layer.chain_id)?;
            lease.hold_blob(&layer.descriptor.digest)?;
            whole = whole && store.whole_layer(&layer.chain_id)?.is_some();
            layer.present = whole;
        }
        let image_present = layers.iter().all(|layer| layer.present) && store.image(id)?.is_some();
        Ok(Self { layers, image_present })
    }

    /// Says whether there is nothing to do and nothing to tell.
    pub(super) fn is_complete(&self) -> bool {
        self.image_present
    }

    /// Lists the layers that must be made.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.layers.iter().filter(|layer| !layer.present)
    }

    /// Returns what the distribution metadata should remember: which blob of `repository` each layer is. A pull signs
    /// nothing, as with dockerd: that a blob could be read there says nothing of who may mount it.
    pub(super) fn sources(&self, repository: &Repository) -> Vec<(DiffId, Source)> {
        let source = |layer: &PlannedLayer| Source {
            digest: layer.descriptor.digest.clone(),
            repository: repository.clone(),
            hmac: Hmac::default(),
        };
        self.layers.iter().map(|layer| (layer.diff_id.clone(), source(layer))).collect()
    }
}

/// Fails if what is missing cannot fit on the disk. Blocking.
pub(crate) fn require_room(store: &Store, layers: &[PlannedLayer]) -> Result<()> {
    let mut coming = Vec::new();
    for layer in layers.iter().filter(|layer| !layer.present) {
        let Descriptor { digest, size, .. } = &layer.descriptor;
        let is_kept = store.blob(digest)?.is_some();
        coming.push(Coming { blob: Some(digest).filter(|_| !is_kept), size: *size, copied: 0 });
    }
    space::require(store, &coming)
}

/// Lists the layers of which it is known without the config that a pull has to fetch them: neither is the blob kept, nor is
/// the layer unpacked on those below it, as far as their blobs were seen before. Blocking.
///
/// Layers that have other sources than the registry wait for the plan.
pub(super) fn absent(
    store: &Store,
    lease: &Lease,
    layers: Vec<Descriptor>,
) -> Result<Vec<Descriptor>> {
    let mut absent: Vec<Descriptor> = Vec::new();
    let mut parent: Option<ChainId> = None;
    let mut present = true;
    for layer in layers {
        lease.hold_blob(&layer.digest)?;
        if present {
            let chain = store
                .diff_id_of(&layer.digest)?
                .map(|diff_id| ChainId::extend(parent.as_ref(), &diff_id));
            if let Some(chain) = &chain {
                lease.hold_layer(chain)?;
            }
            present = match &chain {
                Some(chain) => store.whole_layer(chain)?.is_some(),
                None => false,
            };
            parent = chain;
        }
        let known = absent.iter().any(|other| other.digest == layer.digest);
        let wanted = !present && !known && layer.urls.is_empty();
        if wanted && store.blob(&layer.digest)?.is_none() {
            absent.push(layer);
        }
    }
    // Before the first byte. Some may be here under a blob that was never seen: where all of them have no room, the plan,
    // which knows, decides.
    let coming: Vec<_> = absent.iter().map(Coming::fetched).collect();
    match space::require(store, &coming) {
        Ok(()) => Ok(absent),
        Err(EngineError::Store(StoreError::TooFull { .. })) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Puts each layer of the manifest beside its diff ID in the config.
fn pair(manifest: &ImageManifest, diff_ids: &[DiffId]) -> Result<Vec<PlannedLayer>> {
    if manifest.layers.len() != diff_ids.len() {
        return Err(EngineError::RootFsMismatch);
    }
    let mut layers: Vec<PlannedLayer> = Vec::with_capacity(diff_ids.len());
    for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
        if !descriptor.media_type.may_be_layer() {
            return Err(EngineError::UnsupportedMediaType(descriptor.media_type.clone()));
        }
        let parent = layers.last().map(|layer| layer.chain_id.clone());
        layers.push(PlannedLayer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            chain_id: ChainId::extend(parent.as_ref(), diff_id),
            parent,
            present: false,
        });
    }
    Ok(layers)
}

#[cfg(test)]
mod tests;

//! Which layers of an image are here, and which must be fetched.

use spec::{ChainId, Descriptor, DiffId, ImageId, ImageManifest, Repository};
use store::{Hmac, Lease, Source, Store};

use crate::space::{self, Coming};
use crate::transfer::PlannedLayer;
use crate::{EngineError, Result};

/// What a pull has to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The layers, the bottom one first.
    pub(super) layers: Vec<PlannedLayer>,
    /// The image itself is here with all its layers.
    image_present: bool,
}

impl Plan {
    /// Makes a plan. What it finds here is held by the lease before it is looked for, so that it stays. Blocking.
    pub(super) fn make(
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
    pub(super) fn missing(&self) -> impl Iterator<Item = &PlannedLayer> {
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
pub(super) fn require_room(store: &Store, layers: &[PlannedLayer]) -> Result<()> {
    let mut coming = Vec::new();
    for layer in layers.iter().filter(|layer| !layer.present) {
        let Descriptor { digest, size, .. } = &layer.descriptor;
        let is_kept = store.blob(digest)?.is_some();
        coming.push(Coming { blob: Some(digest).filter(|_| !is_kept), size: *size });
    }
    space::require(store, &coming)
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
mod tests {
    use spec::{Digest, MediaType};

    use super::*;

    #[test]
    fn pairs_layers_with_diff_ids_or_refuses() {
        let blob = |media_type| Descriptor::new(media_type, Digest::sha256(b"blob"), 4);
        let manifest = |layers| ImageManifest {
            media_type: MediaType::OciManifest,
            config: blob(MediaType::OciConfig),
            layers,
        };
        let diff_ids = [b"a", b"b"].map(|bytes| DiffId::new(Digest::sha256(bytes)));
        let two = manifest(vec![blob(MediaType::OciLayerGzip), blob(MediaType::DockerLayer)]);
        let layers = pair(&two, &diff_ids).unwrap();
        assert_eq!(layers[1].parent.as_ref(), Some(&layers[0].chain_id));
        assert_eq!(
            layers.iter().map(|layer| layer.chain_id.clone()).collect::<Vec<_>>(),
            ChainId::chain(&diff_ids)
        );
        assert!(matches!(pair(&two, &diff_ids[..1]), Err(EngineError::RootFsMismatch)));
        let odd = manifest(vec![
            blob(MediaType::OciLayerGzip),
            blob(MediaType::from("application/x-enc")),
        ]);
        let error = pair(&odd, &diff_ids).unwrap_err().to_string();
        assert_eq!(error, "unsupported media type application/x-enc");
    }
}

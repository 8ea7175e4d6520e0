//! `image diff`: what of the files of an image differs from another one, or from layer to layer.
//!
//! # Flow
//! two images → the layers that they do not share ([`layers`]) → the files of both, as overlayfs shows them ([`state`]) → those that
//! differ; of files of one size in different layers the contents are hashed ([`compare`]).
//!
//! Nothing is unpacked: of an unpacked layer the tar-split tells all but the contents, of a packed one its blob.

mod change;
mod compare;
mod layers;
mod state;

use spec::{ChainId, DiffId, ImageId};
use store::Image;

use crate::cancel::CancelOnDrop;
use crate::unpack::image_for;
use crate::{Engine, Result};
pub use change::{Aspect, Change, Sum, Totals};
use compare::Comparison;
use layers::Layers;

/// An order to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffRequest {
    /// The image that is compared with; `None` to compare each layer with those below it.
    pub from: Option<String>,
    /// The image that is compared.
    pub to: String,
}

/// The differences of two images, or the changes that the layers of one make.
#[derive(Debug)]
pub struct ImageDiff {
    /// The image that was compared with.
    pub from: Option<ImageId>,
    /// The image that was compared.
    pub to: ImageId,
    /// Its layers, the bottom one first.
    pub layers: Vec<DiffLayer>,
    /// All changes, by path; of one image first by layer.
    pub changes: Vec<Change>,
    /// The sum of the changes.
    pub totals: Totals,
}

/// A layer of the image that was compared.
#[derive(Clone, Debug)]
pub struct DiffLayer {
    /// Its name in the store.
    pub chain_id: ChainId,
    /// The hash of its tar.
    pub diff_id: DiffId,
    /// The step that made it.
    pub created_by: String,
    /// The other image has it, too, on the same layers.
    pub is_shared: bool,
    /// The sum of the changes that it brought.
    pub totals: Totals,
}

impl Engine {
    /// Compares images by their files. Dropping the future cancels.
    pub async fn diff(&self, request: DiffRequest) -> Result<ImageDiff> {
        let lease = self.reading_lease().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        self.on_disk(move |store| {
            let from =
                request.from.map(|name| image_for(store, &lease, &name, None)).transpose()?;
            let to = image_for(store, &lease, &request.to, None)?;
            let mut layers = Layers::new(store, cancelled);
            let changes = match &from {
                Some(from) => compare::images(&mut layers, from, &to)?,
                None => compare::steps(&mut layers, &to)?,
            };
            Ok(finish(from.as_deref(), &to, changes))
        })
        .await
    }
}

fn finish(from: Option<&Image>, to: &Image, changes: Vec<Change>) -> ImageDiff {
    let shared = from.map_or(0, |from| compare::shared(&from.layers, &to.layers));
    let config = to.config.value();
    let mut steps = config.history.iter().filter(|step| !step.empty_layer);
    let named = to.layers.iter().zip(&config.rootfs.diff_ids).enumerate();
    let layers = named.map(|(index, (chain_id, diff_id))| DiffLayer {
        chain_id: chain_id.clone(),
        diff_id: diff_id.clone(),
        created_by: steps.next().and_then(|step| step.created_by.clone()).unwrap_or_default(),
        is_shared: index < shared,
        totals: Totals::default(),
    });
    let mut layers: Vec<DiffLayer> = layers.collect();
    let mut all = Comparison::default();
    let mut each = vec![Comparison::default(); layers.len()];
    for change in &changes {
        all.count(change);
        if let Some(layer) = change.layer.and_then(|layer| each.get_mut(layer)) {
            layer.count(change);
        }
    }
    for (layer, counted) in layers.iter_mut().zip(each) {
        layer.totals = counted.totals;
    }
    let totals = all.totals;
    ImageDiff { from: from.map(|from| from.id.clone()), to: to.id.clone(), layers, changes, totals }
}

#[cfg(test)]
mod tests;

//! `system df`: what images take on the disk.

use std::collections::HashSet;

use store::{Store, Thing};

use super::list::{ImageSummary, ListOptions};
use super::prune;
use crate::{Engine, Result};

/// The space that images take on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// The images, with the sizes that they share.
    pub images: Vec<ImageSummary>,
    /// The bytes of their layers, each counted once.
    pub layers: u64,
    /// The bytes of partial downloads that nobody works on.
    pub partial_downloads: u64,
    /// The bytes of manifests and compressed layers that are kept.
    pub kept_blobs: u64,
    /// The whole store, and what of it a prune of all that nobody uses would free.
    pub store: StoreUsage,
}

/// The space that a store takes on the disk: each thing once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Bytes of unpacked layers.
    pub layers: u64,
    /// Bytes of them that can be had back.
    pub layers_reclaimable: u64,
    /// Bytes of manifests, configs and compressed layers.
    pub content: u64,
    /// Bytes of them that can be had back.
    pub content_reclaimable: u64,
    /// Bytes of compressed layers that are there unpacked, too.
    pub kept_twice: u64,
    /// Bytes of partial downloads that nobody works on.
    pub downloads: u64,
}

impl StoreUsage {
    fn of(store: &Store) -> Result<Self> {
        let reclaimable = prune::reclaimable(store)?;
        let mut usage = Self {
            layers_reclaimable: reclaimable.layers,
            content_reclaimable: reclaimable.content,
            kept_twice: store.kept_twice(&reclaimable.ledger)?,
            downloads: reclaimable.downloads,
            ..Self::default()
        };
        for (thing, bytes) in &reclaimable.ledger.sizes {
            match thing {
                Thing::Layer(_) => usage.layers += bytes,
                Thing::Blob(_) => usage.content += bytes,
            }
        }
        Ok(usage)
    }
}

impl Engine {
    /// Adds up what images take on the disk.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let options = ListOptions { shared_size: true, ..ListOptions::default() };
        let images = self.list(options).await?;
        self.on_disk(move |store| {
            let sizes = store.described_sizes()?;
            let listed: HashSet<_> = images.iter().map(|summary| &summary.id).collect();
            let mut used = HashSet::new();
            // An image that only is a step on the way to another shares its layers with that one.
            for image in store.describe_images()?.iter().filter(|image| listed.contains(&image.id))
            {
                used.extend(image.layers.iter().cloned());
            }
            let layers = used.iter().filter_map(|chain_id| sizes.get(chain_id)).sum();
            let usage = StoreUsage::of(store)?;
            let (partial_downloads, kept_blobs) = (usage.downloads, usage.content);
            Ok(DiskUsage { images, layers, partial_downloads, kept_blobs, store: usage })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn each_layer_is_counted_once_and_only_for_what_is_listed() {
        for (images, layers, listed) in [
            (&["web tags=web:1 layers=base:100,web:20"][..], 120, 1),
            (&["web tags=web:1 layers=base:100,web:20", "db tags=db:1 layers=base:100"], 120, 2),
            (&["a layers=x:5,top:70", "b layers=y:6,top:70"], 151, 2),
            // A step on the way to another image is that one's.
            (
                &["base layers=base:100", "web tags=web:1 layers=base:100,web:20 parent=base"],
                120,
                1,
            ),
            (&[], 0, 0),
        ] {
            let fixture = Fixture::new(images);
            let usage = fixture.run(fixture.engine.disk_usage()).unwrap();
            assert_eq!((usage.layers, usage.images.len()), (layers, listed), "{images:?}");
            assert!(usage.images.iter().all(|image| image.shared_size.is_some()), "{images:?}");
            assert_eq!(usage.partial_downloads, 0);
            assert_eq!(usage.kept_blobs > 0, !images.is_empty(), "packed layers are kept blobs");
        }
    }
}

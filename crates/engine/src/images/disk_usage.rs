//! `system df`: what images take on the disk.

use std::collections::HashSet;

use super::list::{ImageSummary, ListOptions};
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
            let (partial_downloads, kept_blobs) = (store.partial_downloads()?, store.kept_bytes()?);
            Ok(DiskUsage { images, layers, partial_downloads, kept_blobs })
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

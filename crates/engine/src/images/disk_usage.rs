//! `system df`: what images take on the disk.

use std::collections::HashSet;

use super::list::{ImageSummary, ListOptions};
use crate::{Engine, Result};

/// What images take on the disk.
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

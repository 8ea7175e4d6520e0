//! Images that were read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use spec::{ChainId, ImageConfig, ImageId, Raw};

use super::bounded::Bounded;
use crate::mutex::lock;

/// An image: its config, and the layers that this lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its name: the digest of its config.
    pub id: ImageId,
    /// Its config, checked against the name.
    pub config: Raw<ImageConfig>,
    /// Its layers, the bottom one first.
    pub layers: Vec<ChainId>,
}

/// Images that were read; their bytes never change.
#[derive(Debug)]
pub(crate) struct ImageCache {
    images: Mutex<Cached>,
    /// The layers of images, which removals ask of every image.
    layers: Bounded<ImageId, Arc<[ChainId]>>,
}

#[derive(Debug, Default)]
struct Cached {
    images: HashMap<ImageId, Arc<Image>>,
    bytes: usize,
}

/// Bound of the memory for images, in bytes of their configs: some 250 usual ones, which is more than one command asks for twice.
/// Parsed, each byte takes about nine.
const MAX_CACHED: usize = 1 << 20;
/// Bound of the memory for their layers: 16,384 images of ten layers take about 15 MB.
const MAX_LAYERS: usize = 1 << 14;

impl ImageCache {
    pub(crate) fn get(&self, id: &ImageId) -> Option<Arc<Image>> {
        lock(&self.images).images.get(id).cloned()
    }

    pub(crate) fn layers(&self, id: &ImageId) -> Option<Arc<[ChainId]>> {
        self.layers.get(id)
    }

    /// Forgets an image that is gone.
    pub(crate) fn forget(&self, id: &ImageId) {
        self.layers.forget(id);
        let mut cached = lock(&self.images);
        if let Some(image) = cached.images.remove(id) {
            cached.bytes -= image.config.bytes().len();
        }
    }

    /// Returns how many images are in memory, how many bytes their configs have, and of how many the layers are.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        let cached = lock(&self.images);
        (cached.images.len(), cached.bytes, self.layers.len())
    }

    pub(crate) fn put(&self, image: &Arc<Image>) {
        self.layers.put(image.id.clone(), image.layers.as_slice().into());
        let mut cached = lock(&self.images);
        let size = image.config.bytes().len();
        if cached.bytes + size > MAX_CACHED {
            cached.images.clear();
            cached.bytes = 0;
        }
        if size <= MAX_CACHED && cached.images.insert(image.id.clone(), Arc::clone(image)).is_none()
        {
            cached.bytes += size;
        }
    }
}

impl Default for ImageCache {
    fn default() -> Self {
        Self { images: Mutex::default(), layers: Bounded::new(MAX_LAYERS) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn configs_are_bounded() {
        let cache = ImageCache::default();
        for number in 0..20 {
            let text = format!("{number}{}", "x".repeat(300 << 10));
            let json = format!(r#"{{"config":{{"x":"{text}"}},"rootfs":{{"type":"layers"}}}}"#);
            let config = Raw::parse(Bytes::from(json), ImageConfig::parse).unwrap();
            let id = ImageId::new(spec::Digest::sha256(number.to_string().as_bytes()));
            cache.put(&Arc::new(Image { id, config, layers: Vec::new() }));
            assert!(cache.held().1 <= MAX_CACHED);
        }
        assert!(cache.held().0 >= 2);
    }
}

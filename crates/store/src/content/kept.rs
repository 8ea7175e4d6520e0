//! The room that the kept manifests of images take on the disk.

use std::collections::{HashMap, HashSet};
use std::iter;

use spec::{Descriptor, Digest, ImageId};

use crate::content::{image_of, index, is_part};
use crate::{Store, StoreError};

/// A manifest that is kept, with what it mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptManifest {
    /// The manifest, or an index that led to one.
    pub descriptor: Descriptor,
    /// The bytes of it and of the blobs that it mentions and that are here. What several manifests of an image mention is counted
    /// with the first.
    pub content: u64,
    /// Set if it is a part of the image: of another platform, of an attestation, or an index of such.
    pub is_part: bool,
}

impl Store {
    /// Returns the manifests that are kept, image by image.
    pub fn kept_manifests(&self) -> Result<HashMap<ImageId, Vec<KeptManifest>>, StoreError> {
        let mut kept: HashMap<ImageId, (HashSet<Digest>, Vec<KeptManifest>)> = HashMap::new();
        for entry in self.content_index()?.manifests() {
            let Some(id) = image_of(entry).and_then(|id| id.parse().ok()) else { continue };
            let (counted, manifests) = kept.entry(id).or_default();
            let mut content: u64 = 0;
            for digest in self.mentioned(iter::once(entry))? {
                if let Some(blob) = self.blob(&digest)?
                    && counted.insert(digest)
                {
                    content = content.saturating_add(blob.size);
                }
            }
            // Which image it is of is nobody else's business.
            let (descriptor, is_part) = (index::descriptor(entry), is_part(entry));
            manifests.push(KeptManifest { descriptor, content, is_part });
        }
        Ok(kept.into_iter().map(|(id, (_, manifests))| (id, manifests)).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Root, Sample};

    #[test]
    fn what_a_manifest_mentions_counts_once_for_an_image() {
        let root = Root::packed();
        let sample = Sample::new("one:1", &["a", "b"]);
        sample.pull(&root.store).unwrap();
        let kept = root.store.kept_manifests().unwrap();
        let manifests = &kept[&sample.id()];
        let sum: u64 = manifests.iter().map(|manifest| manifest.content).sum();
        assert_eq!(sum, root.store.kept_bytes().unwrap());
        assert!(manifests.iter().all(|manifest| manifest.content > manifest.descriptor.size));
        assert!(manifests.iter().all(|manifest| manifest.descriptor.annotations.is_empty()));
    }
}

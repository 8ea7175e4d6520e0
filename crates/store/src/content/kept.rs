//! The manifests that are kept, image by image.

use std::collections::HashMap;

use spec::{Descriptor, ImageId};

use crate::content::{image_of, index, is_part};
use crate::{Store, StoreError};

impl Store {
    /// Returns for all images what [`Store::manifests_of`] returns for one.
    pub fn manifests_by_image(&self) -> Result<HashMap<ImageId, Vec<Descriptor>>, StoreError> {
        let mut kept: HashMap<ImageId, Vec<Descriptor>> = HashMap::new();
        for entry in self.content_index()?.manifests().iter().filter(|entry| !is_part(entry)) {
            let Some(id) = image_of(entry).and_then(|id| id.parse().ok()) else { continue };
            kept.entry(id).or_default().push(index::descriptor(entry));
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Root, Sample};

    #[test]
    fn all_images_have_what_each_has() {
        let root = Root::packed();
        let samples = [Sample::new("one:1", &["a", "b"]), Sample::new("two:1", &["a"])];
        for sample in &samples {
            sample.pull(&root.store).unwrap();
        }
        let kept = root.store.manifests_by_image().unwrap();
        assert_eq!(kept.len(), samples.len());
        for sample in &samples {
            let of_one = root.store.manifests_of(&sample.id()).unwrap();
            assert!(!of_one.is_empty() && kept[&sample.id()] == of_one);
        }
    }
}

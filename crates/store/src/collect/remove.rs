//! Removing an image.

use spec::{ChainId, Descriptor, Digest, ImageId};

use crate::content::{ContentIndex, image_of, is_part};
use crate::{Store, StoreError, files};

use super::journal::{Entry, Item};
use super::trash::Trash;

/// The things that went with an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedImage {
    /// The layers that nothing else used, children before parents as dockerd lists them.
    pub layers: Vec<ChainId>,
    /// Set if the image itself is still there because a running operation relies on it; it goes when that ends.
    pub deferred: bool,
}

impl Store {
    /// Removes an image that no reference points to, with the layers and blobs that nothing else uses.
    ///
    /// Fails with [`StoreError::Referenced`] if a reference points to it, be it one that another process has just made.
    /// What running operations hold stays until they end.
    pub fn remove_image(&self, id: &ImageId) -> Result<RemovedImage, StoreError> {
        let lease = self.removal_lease()?;
        let mut trash = Trash::new(self);
        let transaction = self.removal()?;
        if !files::exists(&self.paths().config(id))? {
            return Err(StoreError::NoImage(id.clone()));
        }
        let references = self.references()?;
        let references = references.of_image(id);
        if !references.is_empty() {
            return Err(StoreError::Referenced {
                image: id.clone(),
                references: references.iter().map(spec::Reference::familiar).collect(),
            });
        }
        let candidates = [Entry::Pending(Item::Image(id.clone()))];
        lease.note_in(&transaction, &candidates)?;
        let collected = self.collect(&transaction, &candidates, Some(lease.id()), &mut trash)?;
        if !collected.postponed {
            lease.settle();
        }
        drop(transaction);
        trash.empty();
        drop(lease);
        self.forget_described(&collected.images, &collected.layers);
        self.reserve().refill();
        let deferred = !collected.images.contains(id);
        Ok(RemovedImage { layers: collected.layers, deferred })
    }

    /// Removes parts of an image, by the digests of their manifests, with the blobs that nothing else uses. What running operations
    /// hold stays until they end.
    pub fn remove_parts(&self, id: &ImageId, parts: &[Digest]) -> Result<(), StoreError> {
        let lease = self.removal_lease()?;
        let mut trash = Trash::new(self);
        let transaction = self.removal()?;
        let mut index = ContentIndex::clone(&*self.content_index()?);
        let image = id.to_string();
        let removed: Vec<Descriptor> = index
            .manifests_mut()
            .extract_if(.., |entry| {
                is_part(entry) && image_of(entry) == Some(&*image) && parts.contains(&entry.digest)
            })
            .collect();
        let blobs = self.mentioned(removed.iter())?.into_iter().map(Item::Blob);
        let candidates: Vec<Entry> = blobs.map(Entry::Pending).collect();
        if candidates.is_empty() {
            return Ok(());
        }
        lease.note_in(&transaction, &candidates)?;
        self.disk().sync_named(&self.paths().leases().join(lease.id()))?;
        self.write_index(&transaction, &index)?;
        self.collect(&transaction, &candidates, Some(lease.id()), &mut trash)?;
        lease.settle();
        drop(transaction);
        trash.empty();
        self.reserve().refill();
        Ok(())
    }
}

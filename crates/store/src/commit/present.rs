//! Commits of what is here already, as of a pull of an image that did not change: nothing is written, and nothing is waited for.

use spec::{ChainId, ImageConfig};

use super::tags::tags_of;
use super::{Commit, Committed, Moved, NewImage};
use crate::collect::journal::{self, Entry};
use crate::content::blob::BlobSource;
use crate::{Lease, Store, StoreError, files};

impl Store {
    /// Returns the outcome of a commit that would change nothing, if all of it has reached the disk.
    ///
    /// What somebody is publishing may not have, nor what somebody published that died: then the commit is made, and syncs.
    pub(super) fn present(
        &self,
        lease: &Lease,
        commit: &Commit,
    ) -> Result<Option<Committed>, StoreError> {
        let Some(image) = &commit.image else { return Ok(None) };
        // First what is known without a look at the disk: most commits bring something.
        if !commit.layers.is_empty() || !commit.findings.is_empty() {
            return Ok(None);
        }
        let _shared = self.no_transaction()?;
        let references = self.references()?;
        let is_named = |name| references.get(name).as_ref() == Some(&image.id);
        let is_here = commit.references.iter().all(|(name, id)| *id == image.id && is_named(name))
            && commit.while_named.as_ref().is_none_or(is_named)
            && self.has_blobs(commit)?
            && self.has_image(commit, image)?
            && commit.sources.iter().all(|(diff_id, source)| {
                self.source_notes(diff_id, std::slice::from_ref(source)).is_empty()
            })
            && !self.is_published_by_others(lease)?;
        let moved = commit.references.iter().map(|(reference, id)| Moved {
            reference: reference.clone(),
            before: Some(id.clone()),
        });
        Ok(is_here.then(|| Committed { moved: moved.collect() }))
    }

    fn has_blobs(&self, commit: &Commit) -> Result<bool, StoreError> {
        for blob in &commit.blobs {
            let is_new = matches!(blob.source, BlobSource::File(_));
            if is_new || self.blob(blob.digest())?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_image(&self, commit: &Commit, image: &NewImage) -> Result<bool, StoreError> {
        // What dockerd published it may not have synced, and of that there is no manifest.
        let is_ours = !image.manifests.is_empty() && image.parts.is_empty();
        if !is_ours || !files::exists(&self.paths().config(&image.id))? {
            return Ok(false);
        }
        let config = ImageConfig::parse(&image.config).map_err(StoreError::Config)?;
        for chain in ChainId::chain(&config.rootfs.diff_ids) {
            if !files::exists(&self.paths().layer(&chain))? {
                return Ok(false);
            }
        }
        for manifest in &image.manifests {
            if self.blob(&manifest.digest)?.is_none() {
                return Ok(false);
            }
        }
        let tags = tags_of(&commit.references, &image.id);
        let listed = self.with_manifests(&image.id, &image.manifests, &image.parts, &tags)?;
        Ok(listed.is_none())
    }

    /// Says whether another operation, be it one that died, has noted that it publishes something.
    fn is_published_by_others(&self, lease: &Lease) -> Result<bool, StoreError> {
        let (living, dead) = journal::list(self)?;
        for id in living.iter().chain(&dead).filter(|id| *id != lease.id()) {
            let entries = journal::entries(&self.paths().leases().join(id));
            // What cannot be read may say so.
            if entries.map_or(true, |entries| entries.iter().any(Entry::is_pending)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

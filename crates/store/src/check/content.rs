//! Kept manifests and compressed layers.

use std::collections::BTreeSet;

use spec::{Algorithm, Digest, MAX_MANIFEST_SIZE};

use crate::collect::journal::Item;
use crate::driver::{Driver, packed};
use crate::{StoreError, files};

use super::{Check, Fix, Subject, Want};

impl Check<'_> {
    pub(super) fn content(&mut self) -> Result<(), StoreError> {
        self.report.configs = self.images.keys().map(|id| id.digest().clone()).collect();
        // What a list or a manifest mentions that cannot be read, nobody knows.
        let mut is_known = true;
        if let Some(problem) = self.store.index_problem() {
            let path = self.relative(&self.store.paths().content_index());
            self.found(Subject::Path(path), problem, Fix::Index);
            is_known = false;
        }
        let mut mentioned = BTreeSet::new();
        for (manifest, is_part) in self.store.listed_manifests()? {
            is_known &= self.manifest(&manifest, is_part, &mut mentioned)?;
            mentioned.insert(manifest);
        }
        if let Driver::Packed(_) = self.store.layer_driver() {
            for chain in self.layers.keys() {
                mentioned.extend(packed::blob(&self.store.paths().layer(chain)).ok());
            }
        }
        self.stray_blobs(is_known.then_some(&mentioned))
    }

    /// A listed manifest must be here, and what it mentions must be as long as it says, where it is here. What a part mentions must
    /// be here. Says whether it could be read.
    fn manifest(
        &mut self,
        digest: &Digest,
        is_part: bool,
        mentioned: &mut BTreeSet<Digest>,
    ) -> Result<bool, StoreError> {
        let problem = match self.store.read_blob(digest, MAX_MANIFEST_SIZE) {
            Ok(Some(bytes)) => match self.store.sizes_in(digest, &bytes) {
                Ok(links) => {
                    for (blob, size) in links {
                        self.kept(&blob, size, is_part)?;
                        mentioned.insert(blob);
                    }
                    return Ok(true);
                }
                Err(error) => {
                    // No other content has this digest.
                    let (subject, fix) =
                        (Subject::Blob(digest.clone()), Fix::Manifest(digest.clone()));
                    self.found(subject, error.to_string(), fix);
                    return Ok(false);
                }
            },
            Ok(None) => "it is listed and gone".to_owned(),
            Err(StoreError::Damaged { reason, .. }) => reason,
            Err(StoreError::TooLarge { .. }) => "it is too large for a manifest".to_owned(),
            Err(error) => return Err(error),
        };
        let fix = Fix::Want(Want::Blob(digest.clone()));
        self.found(Subject::Blob(digest.clone()), problem, fix);
        Ok(false)
    }

    fn kept(&mut self, digest: &Digest, size: u64, is_part: bool) -> Result<(), StoreError> {
        let Some(blob) = self.store.blob(digest)? else {
            if is_part {
                self.report.add_blob(digest, "it is gone".to_owned());
            }
            return Ok(());
        };
        // What a manifest says of the size of a blob that is right is the manifest's lie: nothing can be repaired here.
        if blob.size == size || !self.store.blob_is_damaged(digest)? {
            self.report.kept.insert(digest.clone());
            return Ok(());
        }
        let problem = format!("its size is {} instead of {size} bytes", blob.size);
        self.report.add_blob(digest, problem);
        Ok(())
    }

    /// Blobs that nothing mentions; without `mentioned` they are only counted.
    fn stray_blobs(&mut self, mentioned: Option<&BTreeSet<Digest>>) -> Result<(), StoreError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in files::names(&self.store.paths().blobs(algorithm))? {
                let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse::<Digest>() else {
                    continue;
                };
                self.report.blobs += 1;
                let is_stray = mentioned.is_some_and(|mentioned| !mentioned.contains(&digest));
                if is_stray && !self.held.contains(&Item::Blob(digest.clone())) {
                    let subject = Subject::Blob(digest.clone());
                    self.found(subject, "nothing mentions it", Fix::StrayBlob(digest));
                }
            }
        }
        Ok(())
    }
}

//! Kept manifests and compressed layers.

use std::collections::BTreeSet;

use spec::{Algorithm, Digest, MAX_MANIFEST_SIZE};

use crate::lease::Item;
use crate::{DriverKind, StoreError, files, packed};

use super::{Check, Fix, Subject};

impl Check<'_> {
    pub(super) fn content(&mut self) -> Result<(), StoreError> {
        let listed = match self.store.listed_manifests() {
            Ok(listed) => listed,
            Err(StoreError::Damaged { path, reason }) => {
                let path = self.relative(&path);
                self.found(Subject::Path(path), reason, Fix::Nothing);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut mentioned = BTreeSet::new();
        for manifest in listed {
            if mentioned.insert(manifest.clone()) {
                self.manifest(&manifest, &mut mentioned)?;
            }
        }
        if self.store.driver() == DriverKind::Packed {
            for chain in self.layers.keys() {
                mentioned.extend(packed::blob(&self.store.paths().layer(chain)).ok());
            }
        }
        self.stray_blobs(&mentioned)
    }

    /// A listed manifest must be here, and what it mentions must be as long as it says, where it is here.
    fn manifest(
        &mut self,
        digest: &Digest,
        mentioned: &mut BTreeSet<Digest>,
    ) -> Result<(), StoreError> {
        let fix = Fix::Manifest(digest.clone());
        let problem = match self.store.read_blob(digest, MAX_MANIFEST_SIZE) {
            Ok(Some(bytes)) => match self.store.sizes_in(digest, &bytes) {
                Ok(links) => {
                    for (blob, size) in links {
                        self.kept(&blob, size)?;
                        mentioned.insert(blob);
                    }
                    return Ok(());
                }
                Err(error) => error.to_string(),
            },
            Ok(None) => "it is listed and gone".to_owned(),
            Err(StoreError::Damaged { reason, .. }) => reason,
            Err(StoreError::TooLarge { .. }) => "it is too large for a manifest".to_owned(),
            Err(error) => return Err(error),
        };
        self.found(Subject::Blob(digest.clone()), problem, fix);
        Ok(())
    }

    fn kept(&mut self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let Some(blob) = self.store.blob(digest)? else { return Ok(()) };
        if blob.size == size {
            self.report.kept.insert(digest.clone());
            return Ok(());
        }
        let problem = format!("its size is {} instead of {size} bytes", blob.size);
        self.report.add_blob(digest, problem);
        Ok(())
    }

    fn stray_blobs(&mut self, mentioned: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in files::names(&self.store.paths().blobs(algorithm))? {
                let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse::<Digest>() else {
                    continue;
                };
                self.report.blobs += 1;
                if !mentioned.contains(&digest) && !self.held.contains(&Item::Blob(digest.clone()))
                {
                    let subject = Subject::Blob(digest.clone());
                    self.found(subject, "nothing mentions it", Fix::StrayBlob(digest));
                }
            }
        }
        Ok(())
    }
}

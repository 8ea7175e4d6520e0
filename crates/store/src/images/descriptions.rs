//! Descriptions of images for lists.

use std::collections::HashMap;
use std::sync::Arc;

use spec::{ChainId, ImageId};

use crate::cache::catalog::{Catalog, Description};
use crate::{Store, StoreError, files};

impl Store {
    /// Describes all images, in no particular order. Damaged ones are left out.
    pub fn describe_images(&self) -> Result<Vec<Arc<Description>>, StoreError> {
        let ids = self.images()?;
        let mut catalog = self.catalog();
        catalog.load(&self.paths().catalog());
        let (descriptions, is_old) =
            catalog.describe(&ids, |id| self.describe(id), |chain| self.layer_size(chain));
        if is_old {
            self.save_catalog(&catalog);
        }
        Ok(descriptions)
    }

    fn describe(&self, id: &ImageId) -> Result<Option<Description>, StoreError> {
        let Some(image) = self.image(id)? else { return Ok(None) };
        let config = image.config.value();
        Ok(Some(Description {
            id: id.clone(),
            created: config.created.as_deref().and_then(|text| text.parse().ok()),
            labels: config.labels().map(Arc::new),
            layers: image.layers.clone(),
        }))
    }

    /// Returns the sizes of those layers of described images that are there, in bytes.
    pub fn described_sizes(&self) -> Result<HashMap<ChainId, u64>, StoreError> {
        let there = files::hashes(&self.paths().layers())?.into_iter().map(ChainId::new);
        let catalog = self.catalog();
        Ok(there.filter_map(|id| catalog.size(&id).map(|size| (id, size))).collect())
    }

    /// Forgets what lists said of images and layers that are gone. No transaction of this thread may be running: a list waits
    /// for one while it has the catalog.
    pub(crate) fn forget_described(&self, images: &[ImageId], layers: &[ChainId]) {
        self.catalog().forget(images, layers);
    }

    /// Writes the catalog. It may be lost, so nobody waits for the disk, and a failure is none of the list's.
    fn save_catalog(&self, catalog: &Catalog) {
        let saved = || -> Result<(), StoreError> {
            let path = self.paths().catalog();
            let bytes = catalog.bytes().map_err(|error| StoreError::damaged(&path, error))?;
            let _transaction = self.transaction()?;
            self.disk().replace_unsynced(&self.paths().staging(), &path, &bytes, 0o600)
        };
        if let Err(error) = saved() {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "catalog not written");
        }
    }
}

//! Files and directories that a running operation prepares in `staging/`, under the name of its lease. Nobody else sees them; dropped
//! without a commit they are deleted, and should the process die, by the next start.

mod blob_writer;
mod file;
mod layer;

use std::sync::Arc;

pub use self::blob_writer::BlobWriter;
pub use self::file::{StagedFile, StagedFileReader, StagedFileWriter};
pub use self::layer::{LayerRecord, StagedLayer};
use crate::{Lease, Store, StoreError, files};

impl Store {
    /// Makes room for a layer to be unpacked.
    pub fn stage(&self, lease: &Lease) -> Result<StagedLayer, StoreError> {
        // As dockerd's cache IDs: 32 random bytes.
        let cache_id = files::random_hex(32)?;
        let directory = lease.staging_path_of(&cache_id);
        let durability = Arc::clone(lease.durability());
        let staged = StagedLayer::new(self, directory, cache_id, durability)?;
        self.layer_driver().stage(&staged)?;
        Ok(staged)
    }
}

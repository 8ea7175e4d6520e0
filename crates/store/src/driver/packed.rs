//! Layers that stay as they came: the compressed blob is the only copy, and the entry of the layer database names it.

use std::path::Path;

use spec::Digest;

use crate::paths::Paths;
use crate::{StagedLayer, StoreError, files};

/// The file of an entry that dockerd's layout has no place for.
const FILE: &str = "longshore-blob";

/// The driver `packed`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    paths: &'a Paths,
}

impl<'a> Packed<'a> {
    pub(super) fn new(paths: &'a Paths) -> Self {
        Self { paths }
    }

    /// Fails if the blob of a layer is not here.
    pub(super) fn require(self, blob: Option<&Digest>) -> Result<(), StoreError> {
        match blob {
            Some(digest) if !files::exists(&self.paths.blob(digest))? => {
                Err(StoreError::NoBlob(digest.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// Notes the blob of a staged layer.
pub(super) fn prepare(staged: &StagedLayer, blob: &Digest) -> Result<(), StoreError> {
    staged.disk().write_new(&staged.entry().join(FILE), blob.to_string().as_bytes(), 0o644)?;
    Ok(())
}

/// Returns the blob of the layer with this entry.
pub(crate) fn blob(entry: &Path) -> Result<Digest, StoreError> {
    let path = entry.join(FILE);
    let text = files::read_text(&path)?.unwrap_or_default();
    text.parse().map_err(|error| StoreError::damaged(&path, error))
}

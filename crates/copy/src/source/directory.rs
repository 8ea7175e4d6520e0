//! A directory as skopeo's `dir:` has it: an image, each blob a file of its digest's name.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use spec::{Descriptor, Digest};

use super::read::{document, open_blob};
use crate::CopyError;
use crate::document::Document;
use crate::error::Result;
use crate::files::tree::Tree;
use crate::pieces::Pieces;

/// The file of the root.
pub(crate) const ROOT: &str = "manifest.json";

#[derive(Clone, Debug)]
pub(crate) struct DirectorySource {
    place: Arc<str>,
    tree: Tree,
}

impl fmt::Display for DirectorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl DirectorySource {
    pub(crate) fn new(folder: &Path) -> Self {
        let place = format!("dir:{}", folder.display()).into();
        Self { place, tree: Tree::Folder(Arc::new(folder.to_owned())) }
    }

    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        let Some(digest) = digest else {
            let bytes = document(&self.tree, &self.place, ROOT.to_owned(), None).await?;
            let digest = Digest::sha256(&bytes);
            return Ok(Document { bytes, media_type: None, digest });
        };
        let own = document(&self.tree, &self.place, document_name(digest), Some(digest)).await;
        let bytes = match own {
            // The root has a digest as all others, and no file of that name.
            Err(CopyError::Missing { path }) => {
                let root = document(&self.tree, &self.place, ROOT.to_owned(), None).await?;
                if !digest.matches(&root) {
                    return Err(CopyError::Missing { path });
                }
                root
            }
            own => own?,
        };
        Ok(Document { bytes, media_type: None, digest: digest.clone() })
    }

    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        open_blob(&self.tree, &self.place, blob.digest.hex(), start).await
    }
}

/// Returns the file of a manifest that an index lists.
pub(crate) fn document_name(digest: &Digest) -> String {
    format!("{}.manifest.json", digest.hex())
}

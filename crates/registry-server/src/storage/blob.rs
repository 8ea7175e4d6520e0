//! The blobs of a repository.

use std::fs::File;
use std::path::Path;

use spec::Digest;

use crate::error::{IoContext as _, ServerError};
use crate::name::RepositoryName;

use super::{Storage, found};

/// A blob opened for reading.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) file: File,
    pub(crate) size: u64,
}

impl Storage {
    /// Opens a blob that the repository has.
    pub(crate) fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Blob>, ServerError> {
        if !exists(&self.layer(repository, digest))? {
            return Ok(None);
        }
        self.open_content(digest)
    }

    /// Opens content by its digest, whoever has it.
    pub(super) fn open_content(&self, digest: &Digest) -> Result<Option<Blob>, ServerError> {
        let path = self.content(digest);
        let Some(file) = found(File::open(&path)).context("open", &path)? else {
            return Ok(None);
        };
        let size = file.metadata().context("examine", &path)?.len();
        Ok(Some(Blob { file, size }))
    }

    /// Gives the repository a blob that another has; `false` where that one has it not, or, without
    /// `from`, where nobody has (the specification's automatic content discovery).
    pub(crate) fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, ServerError> {
        if let Some(from) = from
            && !exists(&self.layer(from, digest))?
        {
            return Ok(false);
        }
        if !exists(&self.content(digest))? {
            return Ok(false);
        }
        self.link_blob(repository, digest)?;
        Ok(true)
    }

    /// Records that the repository has a blob whose content is in place.
    pub(super) fn link_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), ServerError> {
        let _held = self.hold(repository);
        let link = self.layer(repository, digest);
        if exists(&link)? { Ok(()) } else { self.write(&link, b"") }
    }

    /// Takes a blob from the repository; says whether it had it.
    pub(crate) fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, ServerError> {
        let _held = self.hold(repository);
        self.remove(&self.layer(repository, digest))
    }
}

/// Like `Path::try_exists`, which takes a file in a folder's place for an error.
pub(super) fn exists(path: &Path) -> Result<bool, ServerError> {
    Ok(found(std::fs::symlink_metadata(path)).context("examine", path)?.is_some())
}

//! Uploads: a file that grows, and the hash of what it holds.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use spec::{Algorithm, Digest, Hasher};

use crate::error::{IoContext as _, ServerError};
use crate::name::RepositoryName;

use super::{Storage, found, random_name};

/// Large enough that hashing, not reading, is what takes the time.
const READ_SIZE: usize = 1 << 20;

/// The name of an upload: 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UploadId(String);

impl UploadId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not an upload's name.
#[derive(Debug)]
pub(crate) struct InvalidUploadId;

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        let valid =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| UploadId(text.to_owned())).ok_or(InvalidUploadId)
    }
}

/// An upload opened for writing at its end.
///
/// Blobs are hashed with SHA-256 as they come, since a client names the digest only at the end and
/// hardly one uses another; such a blob is read once more.
#[derive(Debug)]
pub(crate) struct Upload {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

/// The end of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The repository has the blob.
    Stored,
    /// The bytes hash to this instead; the upload is gone.
    Mismatch(Digest),
}

impl Upload {
    /// Number of bytes received.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Writes the next bytes. After an error the value no longer says what the file holds: drop it
    /// and open the upload again.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> Result<(), ServerError> {
        for chunk in chunks {
            self.file.write_all(chunk).context("write", &self.path)?;
            self.hasher.update(chunk);
            self.size += chunk.len() as u64;
        }
        Ok(())
    }

    fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, ServerError> {
        if algorithm == Algorithm::Sha256 {
            return Ok(self.hasher.clone().finish());
        }
        self.file.seek(SeekFrom::Start(0)).context("read", &self.path)?;
        let (hasher, _) = hash(&mut self.file, algorithm).context("read", &self.path)?;
        Ok(hasher.finish())
    }
}

impl Storage {
    fn upload(&self, repository: &RepositoryName, id: &UploadId) -> PathBuf {
        self.repository(repository).join("_uploads").join(id.as_str())
    }

    pub(crate) fn begin_upload(
        &self,
        repository: &RepositoryName,
    ) -> Result<(UploadId, Upload), ServerError> {
        let id = UploadId(random_name());
        let path = self.upload(repository, &id);
        self.create_folder(path.parent().unwrap_or(&path))?;
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .context("create", &path)?;
        Ok((id, Upload { path, file, hasher: Hasher::new(Algorithm::Sha256), size: 0 }))
    }

    /// Opens an upload that another request, or another server, began, and hashes what it holds.
    pub(crate) fn resume_upload(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<Option<Upload>, ServerError> {
        let path = self.upload(repository, id);
        let opened = File::options().read(true).write(true).open(&path);
        let Some(mut file) = found(opened).context("open", &path)? else { return Ok(None) };
        let (hasher, size) = hash(&mut file, Algorithm::Sha256).context("read", &path)?;
        Ok(Some(Upload { path, file, hasher, size }))
    }

    /// Returns how much an upload has received, by its file.
    pub(crate) fn upload_size(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<Option<u64>, ServerError> {
        let path = self.upload(repository, id);
        Ok(found(fs::metadata(&path)).context("examine", &path)?.map(|metadata| metadata.len()))
    }

    /// Makes the upload the blob `digest` of the repository, if that is what it is.
    pub(crate) fn finish_upload(
        &self,
        repository: &RepositoryName,
        mut upload: Upload,
        digest: &Digest,
    ) -> Result<Finished, ServerError> {
        let received = upload.digest(digest.algorithm())?;
        if received != *digest {
            self.remove(&upload.path)?;
            return Ok(Finished::Mismatch(received));
        }
        self.publish(&upload.path, &upload.file, &self.content(digest))?;
        self.link_blob(repository, digest)?;
        Ok(Finished::Stored)
    }

    /// Removes an upload; says whether it was there.
    pub(crate) fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<bool, ServerError> {
        self.remove(&self.upload(repository, id))
    }

    /// Writes content that is in memory, and hashed.
    pub(super) fn write_content(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ServerError> {
        let path: &Path = &self.content(digest);
        let kept = found(fs::metadata(path)).context("examine", path)?;
        if kept.is_some_and(|metadata| metadata.len() == bytes.len() as u64) {
            return Ok(());
        }
        self.write(path, bytes)
    }
}

/// Hashes a file from where it stands to its end.
fn hash(file: &mut File, algorithm: Algorithm) -> io::Result<(Hasher, u64)> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; READ_SIZE];
    let mut size = 0;
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher, size)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_names() {
        for (text, valid) in [
            ("0123456789abcdef0123456789abcdef", true),
            ("", false),
            ("../../../../../../../../etc/passwd", false),
            ("0123456789ABCDEF0123456789ABCDEF", false),
            ("0123456789abcdef0123456789abcde", false),
            ("0123456789abcdef0123456789abcde/", false),
        ] {
            assert_eq!(text.parse::<UploadId>().is_ok(), valid, "{text:?}");
        }
        assert!(random_name().parse::<UploadId>().is_ok());
    }
}

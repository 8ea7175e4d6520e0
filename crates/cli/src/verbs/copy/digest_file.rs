//! The file of `--digest-file`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use spec::Digest;

use crate::error::CliError;

/// A file that a digest can be written to, opened before anything is moved. One that was made for it goes again if it is not.
pub(super) struct DigestFile {
    file: File,
    path: PathBuf,
    is_new: bool,
}

impl DigestFile {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let mut options = OpenOptions::new();
        options.write(true);
        let opened = match options.clone().create_new(true).open(path) {
            Ok(file) => Ok((file, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.open(path).map(|file| (file, false))
            }
            Err(error) => Err(error),
        };
        let (file, is_new) = opened.map_err(|error| failed(path, &error))?;
        Ok(Self { file, path: path.to_owned(), is_new })
    }

    /// Writes a digest as skopeo does: without a line end.
    pub(super) fn write(mut self, digest: &Digest) -> Result<(), CliError> {
        write(&mut self.file, digest).map_err(|error| failed(&self.path, &error))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for DigestFile {
    fn drop(&mut self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn write(file: &mut File, digest: &Digest) -> io::Result<()> {
    // A pipe or device has no length.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(digest.to_string().as_bytes())
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::Refused(format!("cannot write {}: {error}", path.display()))
}

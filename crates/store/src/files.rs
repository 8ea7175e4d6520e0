//! Reading files, with errors that name the file. What writes is in `disk`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use spec::Digest;

use crate::StoreError;
pub(crate) use crate::error::is_missing;

type Result<T> = std::result::Result<T, StoreError>;

/// Opens a file for reading; `None` if there is none. A directory, a pipe or a device in its place is damage.
pub(crate) fn open(path: &Path) -> Result<Option<File>> {
    let failed = |error| StoreError::io("open", path, error);
    // Nobody is waited for who might write to a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from) {
        Ok(file) => File::from(file),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_file(&file, path)? {
        Ok(Some(file))
    } else {
        Err(StoreError::damaged(path, "it is no file"))
    }
}

/// Says whether what was opened at `path` is a file, not a directory, a pipe or a device.
pub(crate) fn is_file(file: &File, path: &Path) -> Result<bool> {
    let metadata = file.metadata().map_err(|error| StoreError::io("look at", path, error))?;
    Ok(metadata.is_file())
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    read_open(&file, path, limit).map(Some)
}

/// Reads an open file of at most `limit` bytes.
pub(crate) fn read_open(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let size = file.metadata().map_err(|error| StoreError::io("read", path, error))?.len();
    let refused = |size| {
        let what = format!("`{}`", path.display());
        StoreError::TooLarge { what, size, limit }
    };
    if size > limit {
        return Err(refused(size));
    }
    // One byte more than there is, or finding the end costs a second buffer.
    let expected = usize::try_from(size.min(limit)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(expected + 1);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::io("read", path, error))?;
    let length = bytes.len() as u64;
    if length > limit { Err(refused(length)) } else { Ok(bytes) }
}

/// Reads a short text without the white space around it; `None` if there is no such file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    // Digests, sizes and IDs: the longest is `lower` with 128 links of 28 characters.
    const LIMIT: u64 = 8192;
    let Some(bytes) = read(path, LIMIT)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| StoreError::damaged(path, error))?;
    Ok(Some(text.trim().to_owned()))
}

/// Reads a short text that can be done without: what cannot be read is told in the log and counts as missing.
pub(crate) fn read_note(path: &Path) -> Option<String> {
    sound(read_text(path))
}

/// Returns what was read, or nothing if it could not be, which is told in the log.
pub(crate) fn sound<T>(read: Result<Option<T>>) -> Option<T> {
    read.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "what cannot be read counts as missing");
        None
    })
}

/// Lists the names in a directory that are UTF-8, as all of the store's are; nothing if it does not exist.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    list(path, |name| name.into_string().ok())
}

/// Lists the hashes among the names in a directory; nothing if it does not exist.
pub(crate) fn hashes(path: &Path) -> Result<Vec<Digest>> {
    list(path, |name| Digest::from_sha256_hex(name.to_str()?).ok())
}

/// Lists all names in a directory, also those that nobody should have made; nothing if it does not exist.
pub(crate) fn all_names(path: &Path) -> Result<Vec<OsString>> {
    list(path, Some)
}

/// Lists what names in a directory mean.
fn list<T>(path: &Path, meaning: impl Fn(OsString) -> Option<T>) -> Result<Vec<T>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", path, error)),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io("list", path, error))?;
        listed.extend(meaning(entry.file_name()));
    }
    Ok(listed)
}

/// Says whether something by this name exists, be it a dangling link.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(StoreError::io("look at", path, error)),
    }
}

/// A file with a flock that ends when this is dropped.
///
/// A flock ends by itself only when nobody has the open file any more, and a program that another thread is just starting has
/// it until it runs: whoever looks meanwhile would find a lock that nobody keeps.
#[derive(Debug)]
pub(crate) struct Flocked(File);

impl Flocked {
    /// Takes over a file that has the lock.
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }
}

impl Deref for Flocked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Flocked {
    fn drop(&mut self) {
        // Closing it is the other way.
        let _ = self.0.unlock();
    }
}

/// Says whether an open file is the one at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    let failed = |error| StoreError::io("look at", path, error);
    let open = file.metadata().map_err(failed)?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Returns `length` random bytes.
pub(crate) fn random(length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    // A signal may end a long read early, or one that has to wait soon after the machine's start.
    while filled < length {
        let flags = GetRandomFlags::empty();
        match getrandom(&mut bytes[filled..], flags) {
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(StoreError::io("call", "getrandom", error.into())),
        }
    }
    Ok(bytes)
}

/// Returns `length` random bytes in hex.
pub(crate) fn random_hex(length: usize) -> Result<String> {
    Ok(hex(&random(length)?))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn reads_no_more_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read(&path, 3).unwrap(), None);
        fs::write(&path, b"abc").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"abc");
        let error = read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("has 3 bytes, more than the 2"), "{error}");
        assert_eq!(read(&path.join("below a file"), 3).unwrap(), None);
    }

    #[test]
    fn every_name_of_a_directory_is_listed_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(names(&dir.path().join("missing")).unwrap().is_empty());
        let mut hexes: Vec<String> =
            (0..1500_u32).map(|number| Digest::sha256(&number.to_be_bytes()).hex()).collect();
        for hex in &hexes {
            fs::write(dir.path().join(hex), "").unwrap();
        }
        fs::create_dir(dir.path().join("a".repeat(255))).unwrap();
        let no_text = OsString::from_vec(b"no\xfftext".to_vec());
        fs::write(dir.path().join(no_text), "").unwrap();
        let file = dir.path().join(&hexes[0]);
        assert!(names(&file).unwrap().is_empty(), "it is no directory");
        hexes.sort_unstable();
        let mut found: Vec<String> = hashes(dir.path()).unwrap().iter().map(Digest::hex).collect();
        found.sort_unstable();
        assert_eq!(found, hexes);
        assert_eq!(names(dir.path()).unwrap().len(), 1501);
        assert_eq!(all_names(dir.path()).unwrap().len(), 1502);
    }
}

//! A parsed file that is read again only when it has been replaced.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::mutex::lock;
use crate::{StoreError, files};

/// Bound of a document, in bytes. `repositories.json` and `index.json` grow by less than a kilobyte an image: room for 100,000.
pub(crate) const MAX_DOCUMENT: u64 = 64 << 20;

/// The content of a file as it was last read.
///
/// The files are never changed in place, only replaced by renaming, here and by dockerd. The version that was read stays
/// open, so its inode number is not given to another file: the same number means the same bytes.
#[derive(Debug)]
pub(crate) struct Snapshot<T> {
    limit: u64,
    last: Mutex<Option<Last<T>>>,
}

#[derive(Debug)]
struct Last<T> {
    file: Metadata,
    _open: File,
    value: Arc<T>,
}

impl<T: Default> Snapshot<T> {
    /// Files larger than `limit` bytes are refused.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, last: Mutex::new(None) }
    }

    /// Reads the file anew the next time, even if it was not replaced.
    pub(crate) fn forget(&self) {
        *lock(&self.last) = None;
    }

    /// Returns what the file says now; the default if there is none.
    pub(crate) fn load(
        &self,
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Arc<T>, StoreError> {
        let mut last = lock(&self.last);
        let now = match fs::metadata(path) {
            Ok(now) => now,
            Err(error) if files::is_missing(&error) => return Ok(Arc::default()),
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        if let Some(last) = &*last
            && (now.dev(), now.ino()) == (last.file.dev(), last.file.ino())
        {
            return Ok(Arc::clone(&last.value));
        }
        let Some(open) = files::open(path)? else { return Ok(Arc::default()) };
        let file = open.metadata().map_err(|error| StoreError::io("read", path, error))?;
        let value = Arc::new(parse(&files::read_open(&open, path, self.limit)?)?);
        *last = Some(Last { file, _open: open, value: Arc::clone(&value) });
        Ok(value)
    }

    /// Remembers what was just written, in the transaction that wrote it: nobody needs to parse it.
    pub(crate) fn wrote(&self, path: &Path, value: T) {
        let opened = files::open(path).ok().flatten();
        let file = opened.and_then(|open| Some((open.metadata().ok()?, open)));
        *lock(&self.last) =
            file.map(|(file, open)| Last { file, _open: open, value: Arc::new(value) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, System};

    #[test]
    fn sees_every_replacement_and_parses_once() {
        let disk = Disk::new(System);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let snapshot = Snapshot::<String>::new(10);
        let text = |bytes: &[u8]| Ok(String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(*snapshot.load(&path, text).unwrap(), "");
        // Same size, same moment, and inode numbers that ext4 hands out again at once.
        for round in 0..200 {
            let expected = format!("{round:03}");
            disk.replace(dir.path(), &path, expected.as_bytes(), 0o600).unwrap();
            assert_eq!(*snapshot.load(&path, text).unwrap(), expected);
            let again = snapshot.load(&path, |_| panic!("parsed twice")).unwrap();
            assert_eq!(*again, expected);
        }
        disk.replace(dir.path(), &path, b"written", 0o600).unwrap();
        snapshot.wrote(&path, "written".to_owned());
        let ours = snapshot.load(&path, |_| panic!("parsed what was written here")).unwrap();
        assert_eq!(*ours, "written");
        disk.replace(dir.path(), &path, b"by others", 0o600).unwrap();
        assert_eq!(*snapshot.load(&path, text).unwrap(), "by others");
        fs::remove_file(&path).unwrap();
        assert_eq!(*snapshot.load(&path, text).unwrap(), "");
        fs::write(&path, "longer than the limit").unwrap();
        snapshot.load(&path, text).unwrap_err();
    }
}

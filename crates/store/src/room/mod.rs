//! How much room a file system has, in bytes and in files.

pub(crate) mod reserve;

use std::fmt;
use std::io;
use std::path::Path;

use spec::Digest;

use crate::ingest::leftover;
use crate::{Store, StoreError};

/// Room on a file system, or what something takes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories; `None` where the file system makes as many as it is asked for.
    pub inodes: Option<u64>,
}

impl Room {
    /// The least that helps somebody who does not know how much is missing.
    pub(crate) const A_BYTE: Self = Self { bytes: 1, inodes: None };

    /// Returns what this user has left where `path` is or would be.
    pub fn at(path: &Path) -> io::Result<Self> {
        for existing in path.ancestors() {
            match rustix::fs::statvfs(existing) {
                Ok(stat) => {
                    let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
                    return Ok(Self { bytes, inodes: (stat.f_files > 0).then_some(stat.f_favail) });
                }
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Returns what is needed beyond what is `available`.
    pub(crate) fn without(self, available: Self) -> Self {
        let both = self.inodes.zip(available.inodes);
        Self {
            bytes: self.bytes.saturating_sub(available.bytes),
            inodes: both.map(|(needed, available)| needed.saturating_sub(available)),
        }
    }

    /// Returns both together; inodes as far as they are known.
    pub(crate) fn and(self, other: Self) -> Self {
        let inodes = [self.inodes, other.inodes].into_iter().flatten();
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: inodes.reduce(u64::saturating_add),
        }
    }

    /// Says whether it is enough for what takes `needed`.
    pub(crate) fn suffices(self, needed: Self) -> bool {
        let inodes = self.inodes.is_none_or(|inodes| inodes >= needed.inodes.unwrap_or_default());
        self.bytes >= needed.bytes && inodes
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inodes {
            Some(inodes) => write!(f, "{} bytes and {inodes} inodes", self.bytes),
            None => write!(f, "{} bytes", self.bytes),
        }
    }
}

impl Store {
    /// Returns what the file system of the data root has left.
    pub fn room(&self) -> Result<Room, StoreError> {
        Room::at(self.root()).map_err(|error| StoreError::io("look at", self.root(), error))
    }

    /// Fails if there is less room than `needed`, not even in the place of partial downloads that nobody works on: those are
    /// given up, the oldest first, but for what is there of the blobs in `keep`.
    pub fn require_room(&self, needed: Room, keep: &[Digest]) -> Result<(), StoreError> {
        let available = self.room()?;
        if available.suffices(needed) {
            return Ok(());
        }
        let keep: Vec<_> = keep.iter().map(|digest| self.paths().partial(digest)).collect();
        let missing = needed.without(available);
        leftover::make_room(self.disk(), &self.paths().ingest(), &keep, missing)?;
        let available = self.room()?;
        if available.suffices(needed) {
            return Ok(());
        }
        Err(StoreError::TooFull { path: self.root().to_owned(), needed, available })
    }

    /// Gives up the oldest partial download that nobody works on; says whether there was one.
    pub fn make_room(&self) -> bool {
        match leftover::make_room(self.disk(), &self.paths().ingest(), &[], Room::A_BYTE) {
            Ok(freed) => freed > 0,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "no room made on a full disk");
                false
            }
        }
    }

    /// Returns how many bytes of a blob are here from a download that was not finished, and whether somebody is at it.
    pub fn partial_blob(&self, digest: &Digest) -> Result<(u64, bool), StoreError> {
        leftover::look_at(&self.paths().partial(digest))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;
    use crate::disk::{Disk, System};
    use crate::files;
    use crate::tests::Root;

    #[test]
    fn what_is_not_there_yet_is_where_its_parent_is() {
        let folder = tempfile::tempdir().unwrap();
        let here = Room::at(folder.path()).unwrap();
        assert!(here.bytes > 0);
        assert_eq!(
            Room::at(&folder.path().join("a/b")).unwrap().inodes.is_some(),
            here.inodes.is_some()
        );
    }

    #[test]
    fn each_of_both_can_be_short() {
        let room = |bytes, inodes| Room { bytes, inodes };
        for (available, needed, enough) in [
            (room(10, Some(3)), room(10, Some(3)), true),
            (room(10, Some(3)), room(11, Some(3)), false),
            (room(10, Some(3)), room(10, Some(4)), false),
            (room(10, Some(0)), room(10, None), true),
            (room(10, None), room(10, Some(1000)), true),
        ] {
            assert_eq!(available.suffices(needed), enough, "{available} for {needed}");
        }
        assert_eq!(room(10, Some(3)).to_string(), "10 bytes and 3 inodes");
        assert_eq!(room(10, None).to_string(), "10 bytes");
    }

    #[test]
    fn only_what_helps_is_given_up() {
        let room = |bytes, inodes| Room { bytes, inodes };
        let all = ["new", "old", "old.state"];
        for (needed, left) in [
            (room(0, None), &all[..]),
            (room(0, Some(4)), &all),
            (room(1 << 30, Some(1)), &all),
            (room(0, Some(2)), &["new"]),
            (room(1, None), &["new"]),
            (room(0, Some(3)), &[]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in all {
                std::fs::write(folder.path().join(name), [1; 5000]).unwrap();
            }
            let old = File::options().write(true).open(folder.path().join("old")).unwrap();
            old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            leftover::make_room(&Disk::new(System), folder.path(), &[], needed).unwrap();
            let mut names = files::names(folder.path()).unwrap();
            names.sort();
            assert_eq!(names, left, "{needed:?}");
        }

        let Root { store, .. } = &Root::packed();
        let partial = store.paths().ingest().join("sha256-0");
        std::fs::write(&partial, [1; 5000]).unwrap();
        let needed = room(0, Some(u64::MAX));
        if store.room().unwrap().inodes.is_some() {
            store.require_room(needed, &[]).unwrap_err();
            assert!(partial.exists(), "it would not have been enough");
        }
    }
}

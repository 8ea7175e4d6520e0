//! Room on a file system, in bytes and in files.

mod ledger;
pub(crate) mod reserve;

use std::fmt;
use std::io;
use std::path::Path;

use spec::counted;
use spec::go::{PROGRESS_DIGITS, human_bytes};

pub use self::ledger::{Ledger, Thing};

/// Room on a file system, or what something takes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free, or taken.
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
        f.write_str(&human_bytes(self.bytes, PROGRESS_DIGITS))?;
        match self.inodes {
            Some(inodes) => write!(f, " and {}", counted(inodes, "inode")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(room(10, Some(3)).to_string(), "10B and 3 inodes");
        assert_eq!(room(10, None).to_string(), "10B");
    }
}

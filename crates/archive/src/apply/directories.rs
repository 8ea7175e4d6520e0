//! Paths within the layer to descriptors of directories.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::error::failed;
use crate::path::split;

/// Directories that are kept open: entries come in the order of a walk, so few are enough.
const KEPT: usize = 32;
/// The number of times that a resolution is retried that a rename somewhere on the system interrupted.
const RETRIES: usize = 128;
const PLAIN: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A layer's root and the directories of it that were used last.
///
/// A path keeps its meaning until a directory or symlink is removed; [`forget`](Self::forget) must be called then.
#[derive(Debug)]
pub(crate) struct Directories {
    root: Arc<OwnedFd>,
    // The one used last comes first.
    kept: Vec<(Vec<u8>, Arc<OwnedFd>)>,
}

impl Directories {
    pub(crate) fn open(root: &Path) -> Result<Self, ArchiveError> {
        // Not `O_PATH`: the root itself may get an attribute.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, root, flags, Mode::empty()).map_err(|errno| ArchiveError::Io {
            action: "open",
            path: root.to_owned(),
            source: io::Error::from(errno),
        })?;
        Ok(Self::within(root))
    }

    /// Takes a root that is open for reading.
    pub(crate) fn within(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), kept: Vec::with_capacity(KEPT) }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a directory by its path from the root (empty: the root itself). `None` if a part of it does not exist.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Option<Arc<OwnedFd>>, ArchiveError> {
        match self.look_up(path, ResolveFlags::empty()) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("open the directory", path)(errno)),
        }
    }

    /// Opens a directory by a path without symlinks. `None` if there is none, or a symlink on the way.
    ///
    /// Not to be mixed with [`find`](Self::find): what that keeps may have a symlink in its path.
    pub(crate) fn find_plain(&mut self, path: &[u8]) -> Result<Option<Arc<OwnedFd>>, ArchiveError> {
        match self.look_up(path, ResolveFlags::NO_SYMLINKS) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::LOOP) => Ok(None),
            Err(errno) => Err(failed("open the directory", path)(errno)),
        }
    }

    /// Opens a directory by a path without symlinks, to list it.
    pub(crate) fn open_plain(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open_how(path, flags, ResolveFlags::NO_SYMLINKS)
    }

    /// Opens a directory by a path without symlinks that may be gone by now. `None` if there is none, or a symlink on the way.
    pub(super) fn find_remaining(
        &mut self,
        path: &[u8],
    ) -> Result<Option<Arc<OwnedFd>>, ArchiveError> {
        match self.look_up(path, ResolveFlags::NO_SYMLINKS) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(failed("open the directory", path)(errno)),
        }
    }

    /// Opens a directory in one that is open already, which the kernel need not go to again. `path` leads to it from the root
    /// without symlinks.
    pub(super) fn open_child(
        &mut self,
        parent: &OwnedFd,
        path: &[u8],
    ) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(directory) = self.kept(path) {
            return Ok(directory);
        }
        let directory = openat(parent, split(path).1, PLAIN | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(self.keep(path, directory))
    }

    fn look_up(&mut self, path: &[u8], how: ResolveFlags) -> Result<Arc<OwnedFd>, Errno> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(directory) = self.kept(path) {
            return Ok(directory);
        }
        let directory = self.open_how(path, PLAIN, how)?;
        Ok(self.keep(path, directory))
    }

    fn kept(&mut self, path: &[u8]) -> Option<Arc<OwnedFd>> {
        let index = self.kept.iter().position(|(kept, _)| kept == path)?;
        self.kept[..=index].rotate_right(1);
        Some(Arc::clone(&self.kept[0].1))
    }

    /// Opens a directory so that its attributes can be set.
    pub(super) fn open_to_write(&self, path: &[u8]) -> Result<OwnedFd, ArchiveError> {
        let path = if path.is_empty() { b"." } else { path };
        self.resolve(path, OFlags::RDONLY).map_err(failed("open the directory", path))
    }

    /// Closes what is kept, as paths may mean something else now.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, path: &[u8], directory: OwnedFd) -> Arc<OwnedFd> {
        let directory = Arc::new(directory);
        let mut slot = if self.kept.len() == KEPT { self.kept.pop() } else { None };
        let mut name = slot.take().map(|(name, _)| name).unwrap_or_default();
        name.clear();
        name.extend_from_slice(path);
        self.kept.insert(0, (name, Arc::clone(&directory)));
        directory
    }

    fn resolve(&self, path: &[u8], mode: OFlags) -> Result<OwnedFd, Errno> {
        self.open_within(path, mode | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// Opens what `path` leads to without leaving the root.
    pub(crate) fn open_within(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_how(path, flags, ResolveFlags::empty())
    }

    fn open_how(&self, path: &[u8], flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let confined = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | how;
        let mut last = Errno::AGAIN;
        for _ in 0..RETRIES {
            match openat2(&self.root, path, flags, Mode::empty(), confined) {
                Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
                answer => return answer,
            }
        }
        Err(last)
    }
}

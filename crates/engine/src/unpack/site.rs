//! The directory that an image is unpacked into.
//!
//! A directory that does not exist is made beside its place and renamed when all is well: it is complete or it is not
//! there. One that exists and is empty, a mount point for instance, keeps its inode, its owner and its mode: what it is to
//! hold is made in a directory inside it and moved up when all is well.
//!
//! # Leftovers
//! A process that is killed leaves its staging directory, and the next one that unpacks there removes it. Taken for one is only what
//! has the exact form of its name, this user, the mode that marks it, and no lock: everything else is somebody's files. Of
//! an existing directory nothing is removed unless it holds nothing but leftovers.
//!
//! # Confinement
//! The path is looked up once. From then on everything goes by descriptors, so that whoever owns the directories on the way
//! cannot exchange them for others, and what is being made is closed to everybody else until it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, chmodat, fchmod, fstat, mkdirat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::data_root::DataRoot;
use crate::error::DirectoryRefusal;
use crate::{EngineError, Result};

/// The part of a directory's name that the name of its staging directory repeats: with the rest it stays below the 255 bytes
/// that a name may have.
const MAX_NAME: usize = 200;
/// Names that are tried for the staging directory: others may have some.
const MAX_TRIES: usize = 1000;

/// The mode of a staging directory: closed to others, and with the sticky bit, which means nothing there and which nobody else gives
/// a closed directory. So it marks the directory on every file system, and is gone when it is published.
const STAGING: Mode = Mode::RWXU.union(Mode::SVTX);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The place where the files are made. Dropped before it is finished, they are removed; what a process that died left is
/// removed by the next one that unpacks there.
#[derive(Debug)]
pub(super) struct Site {
    /// The directory that `staging` lies in, and where what is in it is published.
    base: OwnedFd,
    name: OsString,
    /// Keeps a flock, by which others see that somebody works here.
    staging: File,
    publication: Publication,
    /// As the caller named it, for messages.
    path: PathBuf,
    finished: bool,
}

/// The way of the files to their place.
#[derive(Debug)]
enum Publication {
    /// The staging directory gets this name, and this mode.
    Rename(OsString, Mode),
    /// The content of the staging directory is moved up.
    MoveUp,
}

/// Tells the sites of one process apart.
static SITES: AtomicU64 = AtomicU64::new(0);

impl Site {
    /// Prepares to fill `directory`, which must be empty or not exist.
    pub(super) fn new(directory: &Path, data_root: &DataRoot) -> Result<Self> {
        if !directory.is_absolute() {
            return Err(refused(directory, DirectoryRefusal::NotAbsolute));
        }
        match openat(CWD, directory, DIRECTORY, Mode::empty()) {
            Ok(target) => {
                check_data_root(&target, directory, data_root)?;
                let prefix = OsString::from(".longshore-");
                clear(&target, &prefix, directory)?;
                Self::stage(target, &prefix, None, directory)
            }
            Err(Errno::NOENT) => Self::beside(directory, data_root),
            Err(errno) => Err(failed("open", directory)(errno)),
        }
    }

    fn beside(directory: &Path, data_root: &DataRoot) -> Result<Self> {
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
            return Err(refused(directory, DirectoryRefusal::Nameless));
        };
        let base = openat(CWD, parent, DIRECTORY, Mode::empty()).map_err(failed("open", parent))?;
        check_data_root(&base, directory, data_root)?;
        if statat(&base, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(refused(directory, DirectoryRefusal::DanglingLink));
        }
        let shown = &name.as_bytes()[..name.len().min(MAX_NAME)];
        let prefix = OsString::from_vec([b".", shown, b".longshore-"].concat());
        // Where it cannot be read, making something in it says why.
        let names = names(&base).unwrap_or_default();
        leftovers(&base, &prefix, names).for_each(|leftover| leftover.remove(&base));
        Self::stage(base, &prefix, Some(name), directory)
    }

    fn stage(base: OwnedFd, prefix: &OsStr, new: Option<&OsStr>, path: &Path) -> Result<Self> {
        let name = make_staging(&base, prefix).map_err(failed("create", path))?;
        let staging = openat(&base, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let staging = File::from(staging.map_err(failed("open", path))?);
        let stat = fstat(&staging).map_err(failed("open", path))?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || !names(&staging).map_err(failed("list", path))?.is_empty() {
            return Err(refused(path, DirectoryRefusal::Exchanged));
        }
        let given = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let publication = match new {
            Some(new) => Publication::Rename(new.to_owned(), given),
            None => Publication::MoveUp,
        };
        let site =
            Self { base, name, staging, publication, path: path.to_owned(), finished: false };
        // Before it is marked, so that it is never taken for a leftover.
        let locked = site.staging.try_lock().map_err(io::Error::from);
        locked.map_err(|source| site.failed_with("lock", source))?;
        fchmod(&site.staging, STAGING).map_err(failed("create", path))?;
        Ok(site)
    }

    /// Returns the directory for the files.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.staging.as_fd()
    }

    /// Makes a directory for the files in the site, and opens it.
    pub(super) fn make_directory(&self, name: &str) -> Result<OwnedFd> {
        let made = mkdirat(&self.staging, name, Mode::from_raw_mode(0o755)).and_then(|()| {
            openat(&self.staging, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
        });
        made.map_err(|errno| self.failed_with("create", errno.into()))
    }

    /// Writes a new file in the site.
    pub(super) fn write_file(&self, name: &str, content: &[u8]) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.staging, name, flags, Mode::from_raw_mode(0o666));
        let written = file
            .map_err(io::Error::from)
            .and_then(|file| io::Write::write_all(&mut File::from(file), content));
        written.map_err(|source| EngineError::Directory {
            action: "write",
            path: self.path.join(name),
            source,
        })
    }

    /// Puts what was made where it is to be.
    pub(super) fn finish(mut self) -> Result<()> {
        match &self.publication {
            Publication::Rename(name, mode) => {
                fchmod(&self.staging, *mode).map_err(failed("create", &self.path))?;
                rename_to_nothing(&self.base, &self.name, &self.base, name)
                    .map_err(failed("create", &self.path))?;
                if !self.is_at(name) {
                    return Err(refused(&self.path, DirectoryRefusal::Exchanged));
                }
            }
            Publication::MoveUp => {
                self.move_up().map_err(failed("fill", &self.path))?;
                unlinkat(&self.base, &self.name, AtFlags::REMOVEDIR)
                    .map_err(failed("clean up", &self.path))?;
            }
        }
        self.finished = true;
        Ok(())
    }

    /// Says whether the staging directory has this name.
    fn is_at(&self, name: &OsStr) -> bool {
        let found = statat(&self.base, name, AtFlags::SYMLINK_NOFOLLOW);
        matches!((found, fstat(&self.staging)), (Ok(found), Ok(own))
            if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino))
    }

    /// Moves all up into the target, or nothing.
    fn move_up(&self) -> Result<(), Errno> {
        let names = names(&self.staging)?;
        for (number, name) in names.iter().enumerate() {
            if let Err(errno) = move_entry(self.root(), self.base.as_fd(), name) {
                for moved in &names[..number] {
                    // What cannot be taken back stays where the user sees it.
                    let _ = move_entry(self.base.as_fd(), self.root(), moved);
                }
                return Err(errno);
            }
        }
        Ok(())
    }

    fn failed_with(&self, action: &'static str, source: io::Error) -> EngineError {
        EngineError::Directory { action, path: self.path.clone(), source }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Err(error) = remove(&self.base, &self.name, &self.staging) {
            let path = self.path.display();
            tracing::warn!(%error, %path, "what was unpacked so far is not removed");
        }
    }
}

/// Removes a staging directory by its descriptor, and then its name, if that still stands for an empty directory.
fn remove(base: &OwnedFd, name: &OsStr, staging: &File) -> io::Result<()> {
    archive::empty_directory(staging.as_fd())?;
    Ok(unlinkat(base, name, AtFlags::REMOVEDIR)?)
}

/// Makes a directory of a new name.
fn make_staging(base: &OwnedFd, prefix: &OsStr) -> Result<OsString, Errno> {
    let mut last = Errno::EXIST;
    for _ in 0..MAX_TRIES {
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let mut name = prefix.to_owned();
        name.push(format!("{}-{number}", std::process::id()));
        match mkdirat(base, &name, Mode::from_raw_mode(0o755)) {
            Ok(()) => return Ok(name),
            Err(errno @ Errno::EXIST) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// A staging directory that a process left which died. It stays locked while this is kept.
struct Leftover {
    name: OsString,
    directory: File,
}

impl Leftover {
    /// Opens a directory, if it is a leftover of this user.
    fn open(base: &OwnedFd, prefix: &OsStr, name: OsString) -> Option<Self> {
        if !is_staging_name(&name, prefix) {
            return None;
        }
        let directory = openat(base, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).ok()?;
        let directory = File::from(directory);
        let stat = fstat(&directory).ok()?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw()
            && stat.st_mode & 0o7777 == STAGING.as_raw_mode();
        (is_ours && directory.try_lock().is_ok()).then_some(Self { name, directory })
    }

    fn remove(self, base: &OwnedFd) {
        // A failure is not in the way of a new one.
        let _ = remove(base, &self.name, &self.directory);
    }
}

fn leftovers(
    base: &OwnedFd,
    prefix: &OsStr,
    names: Vec<OsString>,
) -> impl Iterator<Item = Leftover> {
    names.into_iter().filter_map(move |name| Leftover::open(base, prefix, name))
}

/// Says whether a name is one that [`make_staging`] gives.
fn is_staging_name(name: &OsStr, prefix: &OsStr) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let numbers = name.as_bytes().strip_prefix(prefix.as_bytes());
    let mut parts = numbers.unwrap_or_default().split(|byte| *byte == b'-');
    parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none()
}

/// Removes the leftovers in a directory that holds nothing else; any other must be empty.
fn clear(target: &OwnedFd, prefix: &OsStr, path: &Path) -> Result<()> {
    let names = names(target).map_err(failed("list", path))?;
    let count = names.len();
    let found: Vec<_> = leftovers(target, prefix, names).collect();
    if found.len() == count {
        for leftover in found {
            leftover.remove(target);
        }
    }
    check_empty(target, path)
}

fn check_data_root(directory: &OwnedFd, path: &Path, data_root: &DataRoot) -> Result<()> {
    let holds = data_root.holds(directory).map_err(|source| EngineError::Directory {
        action: "look up",
        path: path.to_owned(),
        source,
    })?;
    if holds {
        return Err(refused(path, DirectoryRefusal::InDataRoot(data_root.path().to_owned())));
    }
    Ok(())
}

fn check_empty(directory: &OwnedFd, path: &Path) -> Result<()> {
    match &names(directory).map_err(failed("list", path))?[..] {
        [] => Ok(()),
        [only] if only == "lost+found" => Err(refused(path, DirectoryRefusal::LostAndFound)),
        _ => Err(refused(path, DirectoryRefusal::NotEmpty)),
    }
}

fn names(directory: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}

/// Moves an entry of one directory to another that has none of its name.
fn move_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match rename_to_nothing(from, name, to, name) {
        // A directory that is read-only for its owner gets no other parent without root.
        Err(Errno::ACCESS) => {}
        answer => return answer,
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(from, name, flags, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&directory)?.st_mode & 0o7777);
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    chmodat(CWD, &link, mode | Mode::WUSR, AtFlags::empty())?;
    let moved = rename_to_nothing(from, name, to, name);
    chmodat(CWD, &link, mode, AtFlags::empty())?;
    moved
}

fn rename_to_nothing(
    from: impl AsFd,
    old: &OsStr,
    to: impl AsFd,
    new: &OsStr,
) -> Result<(), Errno> {
    match renameat_with(&from, old, &to, new, RenameFlags::NOREPLACE) {
        // The file system does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        answer => return answer,
    }
    match statat(&to, new, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => renameat(from, old, to, new),
        Ok(_) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

fn refused(path: &Path, reason: DirectoryRefusal) -> EngineError {
    EngineError::DirectoryRefused { path: path.to_owned(), reason }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(Errno) -> EngineError + 'a {
    move |errno| EngineError::Directory { action, path: path.to_owned(), source: errno.into() }
}

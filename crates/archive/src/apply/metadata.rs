//! Owners, attributes, modes and times.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
    chmodat, chownat, fchmod, fsetxattr, fstat, fstatvfs, lsetxattr, openat, statat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::attributes::{CAPABILITY, DEFAULT_ACL, is_left_out, is_private};
use crate::error::{failed, printable};
use crate::path::split;
use crate::tar::Header;

use super::beside::Final;
use super::{Directories, Extractor, NO_FOLLOW, Place};

const PERMISSIONS: u32 = 0o777;
const SETGID: u32 = 0o2000;

/// The owner and mode that the kernel gives a new file in the layer, so that only others must be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    uid: u32,
    gid: u32,
    /// The permissions that the umask leaves.
    mask: u32,
    /// A directory passes on its group or an ACL: nothing is known of new files.
    inherited: bool,
    /// Some file has capabilities, which a change of owner takes away.
    capabilities: bool,
}

impl Defaults {
    /// Creates a file in the root to see; mount options and ACLs decide besides the umask.
    pub(super) fn probe(root: BorrowedFd<'_>) -> Result<Self, ArchiveError> {
        let failed = |errno| failed("create a file in", b".")(errno);
        let name = format!(".longshore-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(root, &*name, flags, Mode::from_raw_mode(PERMISSIONS)).map_err(failed)?;
        let stat = fstat(&file).map_err(failed);
        unlinkat(root, &*name, AtFlags::empty()).map_err(failed)?;
        let stat = stat?;
        let inherited = fstat(root).map_err(failed)?.st_mode & SETGID != 0;
        Ok(Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mask: stat.st_mode & PERMISSIONS,
            inherited,
            capabilities: false,
        })
    }

    /// The permissions to create something with, for [`mode_differs`](Self::mode_differs).
    pub(super) fn creation_mode(mode: u32) -> Mode {
        Mode::from_raw_mode(mode & PERMISSIONS)
    }

    pub(super) fn owner_differs(&self, header: &Header) -> bool {
        self.inherited || header.uid != self.uid || header.gid != self.gid
    }

    pub(super) fn mode_differs(&self, mode: u32) -> bool {
        self.inherited || mode != mode & self.mask
    }

    /// Takes note of what a new directory will pass on.
    pub(super) fn note_directory(&mut self, mode: u32) {
        self.inherited |= mode & SETGID != 0;
    }
}

fn owner(header: &Header) -> (Option<Uid>, Option<Gid>) {
    // The ID -1 means to leave it, for the kernel and so for dockerd.
    let uid = (header.uid != u32::MAX).then(|| Uid::from_raw(header.uid));
    let gid = (header.gid != u32::MAX).then(|| Gid::from_raw(header.gid));
    (uid, gid)
}

pub(super) fn times(header: &Header) -> Timestamps {
    let timespec = |time: crate::tar::Timestamp| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: timespec(header.access_time()),
        last_modification: timespec(header.modification_time()),
    }
}

impl Extractor<'_> {
    /// Finds out what is to be set on a new file besides its attributes.
    pub(super) fn last(&self, header: &Header) -> Final {
        let chown = self.options.owners && self.defaults.owner_differs(header);
        let chmod = self.defaults.mode_differs(header.mode) || !header.xattrs.is_empty();
        Final {
            owner: chown.then(|| owner(header)),
            mode: chmod.then(|| Mode::from_raw_mode(header.mode)),
            times: times(header),
        }
    }

    /// Sets everything on a file that was just created, by its descriptor.
    pub(super) fn finish_file(
        &mut self,
        file: &OwnedFd,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        let last = self.last(header);
        last.owner(file, &place.path)?;
        self.set_attributes(header, place, |name, value| {
            fsetxattr(file, name, value, XattrFlags::empty())
        })?;
        last.mode_and_times(file, &place.path)
    }

    /// Sets owner and attributes of a symlink or node that was just created, which cannot be opened.
    pub(super) fn finish_unopened(
        &mut self,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        if self.options.owners && self.defaults.owner_differs(header) {
            change_owner(place, header)?;
        }
        self.set_attributes_by_name(place, header).map(drop)
    }

    /// Sets the attributes of something that is no directory and cannot be opened. Returns whether there were any.
    pub(super) fn set_attributes_by_name(
        &mut self,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<bool, ArchiveError> {
        if header.xattrs.is_empty() {
            return Ok(false);
        }
        // The only way to name a file by descriptor and component; `lsetxattr` does not follow the latter.
        let mut path = format!("/proc/self/fd/{}/", place.directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(place.name);
        self.set_attributes(header, place, |name, value| {
            lsetxattr(&*path, name, value, XattrFlags::empty())
        })
    }

    fn set_attributes(
        &mut self,
        header: &Header,
        place: &Place<'_>,
        mut set: impl FnMut(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<bool, ArchiveError> {
        for (name, value) in &header.xattrs {
            if is_private(name) {
                continue;
            }
            if let Err(errno) = set(name, value) {
                self.leave_out(&place.path, name, errno)
                    .map_err(place.failed("set an attribute of"))?;
                continue;
            }
            // By these a directory decides on the modes of what is created in it.
            self.defaults.inherited |= name == DEFAULT_ACL;
            self.defaults.capabilities |= name == CAPABILITY;
        }
        Ok(!header.xattrs.is_empty())
    }

    /// Takes note of an attribute that cannot be set, or returns the error if it is not left out for that.
    pub(crate) fn leave_out(
        &mut self,
        path: &[u8],
        name: &[u8],
        errno: Errno,
    ) -> Result<(), Errno> {
        if !self.leaves_out(errno) {
            return Err(errno);
        }
        self.left_out.add(path, name, errno);
        Ok(())
    }

    /// Says whether an attribute that cannot be set is left out, as against a failure of the disk.
    fn leaves_out(&self, errno: Errno) -> bool {
        // Where there is room, it is the attribute that is too large for this file system.
        let has_room =
            || fstatvfs(self.directories.root()).is_ok_and(|on| on.f_bavail > 0 && on.f_ffree > 0);
        !self.options.owners || is_left_out(errno) || (errno == Errno::NOSPC && has_room())
    }

    /// Sets everything on a directory, which may have existed before; the times wait for the last entry.
    pub(super) fn finish_directory(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        is_new: bool,
    ) -> Result<(), ArchiveError> {
        let owners = self.options.owners;
        if owners && (!is_new || self.defaults.owner_differs(header)) {
            change_owner(place, header)?;
        }
        let chmod = !is_new || self.defaults.mode_differs(header.mode);
        let mut late_mode = None;
        if !owners {
            // Files are still to come into it, and without root its mode would matter.
            late_mode = Some(Mode::from_raw_mode(header.mode));
        }
        if !header.xattrs.is_empty() || (chmod && owners) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(place, place.name, flags, Mode::empty())
                .map_err(place.failed("open the directory"))?;
            self.set_attributes(header, place, |name, value| {
                fsetxattr(&directory, name, value, XattrFlags::empty())
            })?;
            if owners {
                let mode = Mode::from_raw_mode(header.mode);
                fchmod(&directory, mode).map_err(place.failed("change the mode of"))?;
            }
        }
        self.defaults.note_directory(header.mode);
        self.finals.push(&place.path, times(header), late_mode);
        Ok(())
    }

    /// Sets what a hard link's entry says on the file that it shares, as dockerd does.
    pub(super) fn finish_hard_link(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        shared: &Stat,
    ) -> Result<(), ArchiveError> {
        let is_symlink =
            rustix::fs::FileType::from_raw_mode(shared.st_mode) == rustix::fs::FileType::Symlink;
        let owner_differs = header.uid != shared.st_uid || header.gid != shared.st_gid;
        // A change of owner takes capabilities away even if it changes nothing; dockerd's always does so.
        let chown = self.options.owners && (owner_differs || self.defaults.capabilities);
        if chown {
            change_owner(place, header)?;
        }
        let had_attributes = self.set_attributes_by_name(place, header)?;
        if is_symlink {
            return Ok(());
        }
        if chown || had_attributes || shared.st_mode & 0o7777 != header.mode {
            change_mode(place, header)?;
        }
        let wanted = times(header);
        let is = |time: i64, nanoseconds: u64, wanted: Timespec| {
            time == wanted.tv_sec && i64::try_from(nanoseconds) == Ok(wanted.tv_nsec)
        };
        let same = is(shared.st_atime, shared.st_atime_nsec, wanted.last_access)
            && is(shared.st_mtime, shared.st_mtime_nsec, wanted.last_modification);
        if same { Ok(()) } else { set_times(place, header) }
    }
}

pub(super) fn change_owner(place: &Place<'_>, header: &Header) -> Result<(), ArchiveError> {
    let (uid, gid) = owner(header);
    chownat(place, place.name, uid, gid, NO_FOLLOW).map_err(place.failed("change the owner of"))
}

/// Sets the mode of something that is known not to be a symlink.
pub(super) fn change_mode(place: &Place<'_>, header: &Header) -> Result<(), ArchiveError> {
    // Without `AT_SYMLINK_NOFOLLOW`, which kernels before 6.6 do not have. The name was created, or seen to be no
    // symlink, a moment ago in a directory that nobody else writes to.
    chmodat(place, place.name, Mode::from_raw_mode(header.mode), AtFlags::empty())
        .map_err(place.failed("change the mode of"))
}

pub(super) fn set_times(place: &Place<'_>, header: &Header) -> Result<(), ArchiveError> {
    utimensat(place, place.name, &times(header), NO_FOLLOW)
        .map_err(place.failed("set the times of"))
}

/// Attributes that could not be set.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    count: u64,
    first: Option<String>,
}

impl LeftOut {
    fn add(&mut self, path: &[u8], attribute: &[u8], errno: Errno) {
        self.count += 1;
        self.first.get_or_insert_with(|| {
            format!("`{}` of `{}`: {errno}", printable(attribute), printable(path))
        });
    }

    /// Tells of them once.
    pub(super) fn warn(&self) {
        if let Some(first) = &self.first {
            let count = self.count;
            tracing::warn!(
                count,
                first,
                "extended attributes cannot be kept here and are left out"
            );
        }
    }
}

/// The times of directories, which every file created in them would change again.
#[derive(Debug, Default)]
pub(super) struct Finals {
    // One buffer for all paths: a layer can have very many directories.
    paths: Vec<u8>,
    directories: Vec<Late>,
}

#[derive(Debug)]
struct Late {
    path_length: usize,
    times: Timestamps,
    mode: Option<Mode>,
}

impl Finals {
    fn push(&mut self, path: &[u8], times: Timestamps, mode: Option<Mode>) {
        self.paths.extend_from_slice(path);
        self.directories.push(Late { path_length: path.len(), times, mode });
    }

    /// Sets all of them in the tar's order, so that of several entries of a directory the last one counts.
    pub(super) fn apply(&mut self, directories: &mut Directories) -> Result<(), ArchiveError> {
        for (path, directory) in self.each() {
            if let Some(mode) = directory.mode {
                // Those that would shut us out stay open until all in them is done.
                set_late_mode(directories, path, mode | Mode::RWXU)?;
            }
            let (parent, name) = split(path);
            // An entry after it may have removed it.
            let Some(parent) = directories.find_remaining(parent)? else { continue };
            let stat = statat(&parent, name, NO_FOLLOW);
            if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory) {
                continue;
            }
            match utimensat(&parent, name, &directory.times, NO_FOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed("set the times of", path)(errno)),
            }
        }
        self.close(directories)
    }

    /// Sets the modes that shut us out.
    fn close(&self, directories: &mut Directories) -> Result<(), ArchiveError> {
        let mut closing = HashMap::new();
        for (path, directory) in self.each() {
            let Some(mode) = directory.mode else { continue };
            if !mode.contains(Mode::RWXU) {
                closing.insert(path, mode);
            } else if !closing.is_empty() {
                closing.remove(path);
            }
        }
        let mut closing: Vec<_> = closing.into_iter().collect();
        // What lies in a directory has the longer path, and must be reached first.
        closing.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, mode) in closing {
            set_late_mode(directories, path, mode)?;
        }
        Ok(())
    }

    fn each(&self) -> impl Iterator<Item = (&[u8], &Late)> {
        let mut rest = &self.paths[..];
        self.directories.iter().map(move |directory| {
            let (path, others) = rest.split_at(directory.path_length);
            rest = others;
            (path, directory)
        })
    }
}

/// Sets the mode of a directory, if it is still one.
fn set_late_mode(
    directories: &mut Directories,
    path: &[u8],
    mode: Mode,
) -> Result<(), ArchiveError> {
    match open_remaining(directories, path)? {
        Some(directory) => {
            change_mode_of(&directory, mode).map_err(failed("change the mode of", path))
        }
        None => Ok(()),
    }
}

/// Opens a directory, whatever its mode, if it is still one.
fn open_remaining(
    directories: &mut Directories,
    path: &[u8],
) -> Result<Option<OwnedFd>, ArchiveError> {
    let (parent, name) = split(path);
    let Some(parent) = directories.find_remaining(parent)? else { return Ok(None) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&parent, name, flags, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(failed("open the directory", path)(errno)),
    }
}

/// Sets the mode of what a descriptor stands for, also one that gives no access to it.
pub(super) fn change_mode_of(file: impl AsFd, mode: Mode) -> Result<(), Errno> {
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    chmodat(CWD, link, mode, AtFlags::empty())
}

//! Creating what an entry describes. Each is tried as if nothing were there; only if something is, it is removed.

use std::borrow::Cow;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, fchmod, fchown, fstat, ftruncate, linkat, makedev, mkdirat,
    mknodat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::error::{failed, printable};
use crate::options::{ApplyOptions, Whiteouts};
use crate::path::{clean, split};
use crate::resolve::{Found, Walked, resolve};
use crate::tar::{Chunks, Header, Kind, MAX_ENTRIES};
use crate::walk::Content;

use super::beside::{self, NEW_FILE, SmallFile, write_all};
use super::metadata::{Defaults, change_mode, set_times};
use super::{Extractor, NO_FOLLOW, Place};

/// The mode of parents that the tar leaves out; their owner is root.
const IMPLIED_MODE: u32 = 0o755;

impl Extractor<'_> {
    pub(super) fn regular<C: Chunks, W: Write>(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        if self.may_wait(header) {
            return self.hand_on(place, header, content);
        }
        let mode = Defaults::creation_mode(header.mode);
        let file = self.create(place, "create", || openat(place, place.name, NEW_FILE, mode))?;
        if header.sparse.is_some() {
            write_sparse(self.options, &file, place, header, content)?;
        } else {
            let options = self.options;
            content
                .copy(|bytes| write_all(options, &file, bytes).map_err(place.failed("write")))?;
        }
        self.count(place, header, content);
        self.finish_file(&file, place, header)
    }

    /// Says whether a file that nothing is in the place of may be made later.
    fn may_wait(&self, header: &Header) -> bool {
        // Attributes decide on what comes after them.
        let is_plain = header.sparse.is_none() && header.xattrs.is_empty();
        self.is_new && is_plain && header.size <= beside::LARGEST
    }

    fn hand_on<C: Chunks, W: Write>(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        let file = SmallFile {
            directory: Arc::clone(&place.directory),
            creation_mode: Defaults::creation_mode(header.mode),
            last: self.last(header),
        };
        self.beside.add(&place.path, file, |bytes| {
            content.copy(|piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
        })?;
        self.count(place, header, content);
        Ok(())
    }

    /// Takes note of a file whose content was read.
    fn count<C: Chunks, W: Write>(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) {
        self.size = self.size.saturating_add(u64::try_from(header.size).unwrap_or(0));
        if content.is_kept() {
            if matches!(place.path, Cow::Owned(_)) {
                content.keep_at(&place.path);
            }
            self.aside.expect(&place.path, content.is_renamed());
        }
    }

    pub(super) fn directory(
        &mut self,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        let mut mode = Defaults::creation_mode(header.mode);
        if !self.options.owners {
            mode |= Mode::RWXU;
        }
        let is_new = match self.options.with_room(|| mkdirat(place, place.name, mode)) {
            Ok(()) => true,
            Err(Errno::EXIST) => {
                let stat = statat(place, place.name, NO_FOLLOW).map_err(place.failed("look up"))?;
                let exists = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if !exists {
                    self.remove(place)?;
                    mkdirat(place, place.name, mode).map_err(place.failed("create"))?;
                }
                !exists
            }
            Err(errno) => return Err(place.failed("create")(errno)),
        };
        self.finish_directory(place, header, is_new)
    }

    pub(super) fn symlink(
        &mut self,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        self.create(place, "create", || symlinkat(&*header.link, place, place.name))?;
        self.size = self.size.saturating_add(header.link.len() as u64);
        self.finish_unopened(place, header)?;
        set_times(place, header)
    }

    pub(super) fn hard_link(
        &mut self,
        place: &Place<'_>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        let mut target = std::mem::take(&mut self.target);
        let answer = self.link_to(place, header, &mut target);
        self.target = target;
        answer
    }

    fn link_to(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        target: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        clean(&header.link, target);
        if target.is_empty() {
            return Err(ArchiveError::Breakout { name: printable(&header.link) });
        }
        let (parent, name) = split(target);
        let missing = |errno| failed("link to", target)(errno);
        let (directory, _) = resolve(self, parent, false)?.ok_or_else(|| missing(Errno::NOENT))?;
        // Without `AT_SYMLINK_FOLLOW`: a link to a symlink is one more name of the symlink.
        let link = || linkat(&directory, name, place, place.name, AtFlags::empty());
        self.create(place, "link", link)?;
        let shared = statat(place, place.name, NO_FOLLOW).map_err(place.failed("look up"))?;
        self.finish_hard_link(place, header, &shared)
    }

    pub(super) fn node(&mut self, place: &Place<'_>, header: &Header) -> Result<(), ArchiveError> {
        let kind = match header.kind {
            Kind::Block => FileType::BlockDevice,
            Kind::Character => FileType::CharacterDevice,
            _ => FileType::Fifo,
        };
        let number = device_number(header)?;
        let is_whiteout = kind == FileType::CharacterDevice && number == 0;
        if is_whiteout && self.options.whiteouts == Whiteouts::Remove {
            // What overlayfs takes for one.
            self.remove_if_present(place)?;
            return self.mark(place, place.name).map_err(place.failed("create"));
        }
        if kind != FileType::Fifo && !self.options.owners {
            return self.remove_if_present(place);
        }
        let mode = Defaults::creation_mode(header.mode);
        self.create(place, "create", || mknodat(place, place.name, kind, mode, number))?;
        self.finish_unopened(place, header)?;
        if self.defaults.mode_differs(header.mode) || !header.xattrs.is_empty() {
            change_mode(place, header)?;
        }
        set_times(place, header)
    }

    /// Creates something at `place`, in the stead of what is there.
    fn create<T>(
        &mut self,
        place: &Place<'_>,
        action: &'static str,
        create: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, ArchiveError> {
        match self.options.with_room(&create) {
            Err(Errno::EXIST) => {
                self.remove(place)?;
                create().map_err(place.failed(action))
            }
            answer => answer.map_err(place.failed(action)),
        }
    }

    fn finish_implied(&self, directory: &OwnedFd, path: &[u8]) -> Result<(), ArchiveError> {
        let stat = fstat(directory).map_err(failed("look up", path))?;
        let owners = self.options.owners && (stat.st_uid, stat.st_gid) != (0, 0);
        if !owners && stat.st_mode & 0o7777 == IMPLIED_MODE {
            return Ok(());
        }
        let opened = self.directories.open_to_write(path)?;
        if owners {
            fchown(&opened, Some(Uid::ROOT), Some(Gid::ROOT))
                .map_err(failed("change the owner of", path))?;
        }
        fchmod(&opened, Mode::from_raw_mode(IMPLIED_MODE))
            .map_err(failed("change the mode of", path))
    }
}

impl Walked for Extractor<'_> {
    type Directory = Arc<OwnedFd>;

    fn at(&mut self, path: &[u8]) -> Result<Self::Directory, ArchiveError> {
        let missing = || failed("open the directory", path)(Errno::NOENT);
        self.directories.find_plain(path)?.ok_or_else(missing)
    }

    fn look_up(
        &mut self,
        directory: &Self::Directory,
        path: &[u8],
    ) -> Result<Found<Self::Directory>, ArchiveError> {
        let name = split(path).1;
        let stat = match statat(directory, name, NO_FOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(errno) => return Err(failed("open the directory", path)(errno)),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let opened = self.directories.open_child(directory, path);
                Found::Directory(opened.map_err(failed("open the directory", path))?)
            }
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new());
                Found::Symlink(target.map_err(failed("read the link", path))?.into_bytes())
            }
            _ => Found::Other,
        })
    }

    fn imply(
        &mut self,
        directory: &Self::Directory,
        path: &[u8],
    ) -> Result<Self::Directory, ArchiveError> {
        self.implied += 1;
        if self.implied > MAX_ENTRIES {
            return Err(ArchiveError::TooManyEntries { limit: MAX_ENTRIES });
        }
        self.made.insert(path);
        mkdirat(directory, split(path).1, Mode::from_raw_mode(IMPLIED_MODE))
            .map_err(failed("create the directory", path))?;
        let made = self.directories.open_child(directory, path);
        let made = made.map_err(failed("open the directory", path))?;
        self.finish_implied(&made, path)?;
        Ok(made)
    }
}

/// The number of a device, if there can be such a one.
pub(crate) fn device_number(header: &Header) -> Result<u64, ArchiveError> {
    let number = u32::try_from(header.major)
        .and_then(|major| u32::try_from(header.minor).map(|minor| makedev(major, minor)));
    number.map_err(|_| ArchiveError::Device {
        name: printable(&header.name),
        major: header.major,
        minor: header.minor,
    })
}

/// Writes a sparse file's fragments where they belong and leaves the rest a hole.
fn write_sparse<C: Chunks, W: Write>(
    options: &ApplyOptions,
    file: &OwnedFd,
    place: &Place<'_>,
    header: &Header,
    content: &mut Content<'_, C, W>,
) -> Result<(), ArchiveError> {
    let mut fragments = header.sparse.iter().flatten().filter(|fragment| fragment.length > 0);
    let mut offset = 0;
    let mut left = 0;
    content.copy(|mut bytes| {
        while !bytes.is_empty() {
            if left == 0 {
                // The map was checked to cover all of the content.
                let Some(fragment) = fragments.next() else { return Ok(()) };
                (offset, left) = (fragment.offset, fragment.length);
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            match options.with_room(|| rustix::io::pwrite(file, &bytes[..length], offset)) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                    left -= written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(place.failed("write")(errno)),
            }
        }
        Ok(())
    })?;
    let size = u64::try_from(header.size).unwrap_or(0);
    ftruncate(file, size).map_err(place.failed("write"))
}

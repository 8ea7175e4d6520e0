//! Unpacking a layer as dockerd's overlay2 driver does, confined to the layer's directory by the kernel.
//!
//! # Confinement
//! `resolve` follows symlinks, absolute ones too, component by component as in a chroot; [`Directories`] alone turns what comes of
//! it into a descriptor: by `openat2` with `RESOLVE_IN_ROOT`, or a single component that is not followed. Every other system call
//! names a single component relative to such a descriptor and does not follow it. The layer's directory must not be open to others meanwhile.
//!
//! # Compatibility
//! The order of owner, extended attributes, mode and times, the treatment of what exists, and the bounds of times are
//! those of `github.com/moby/go-archive` (`Unpack` with the overlay whiteout format). Beyond dockerd, old GNU sparse
//! files are unpacked, and holes are left as holes.

mod aside;
mod beside;
mod directories;
mod entry;
mod metadata;
mod remove;

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, XattrFlags, fsetxattr, makedev, mknodat};

use crate::ArchiveError;
use crate::error::{failed, printable};
use crate::options::{ApplyOptions, Whiteouts};
use crate::path::split;
use crate::resolve::{append, resolve};
use crate::seen::Seen;
use crate::tar::{Chunks, Header, Kind};
use crate::walk::{Content, OPAQUE, Visitor, WHITEOUT_PREFIX};

use aside::Aside;
pub(crate) use aside::Replaced;
use beside::Beside;
pub(crate) use directories::Directories;
pub(crate) use entry::device_number;
use metadata::{Defaults, Finals, LeftOut, change_owner};
pub use remove::empty_directory;
pub(crate) use remove::remove_tree;

/// Unpacks entries into a directory.
#[derive(Debug)]
pub(crate) struct Extractor<'a> {
    options: &'a ApplyOptions,
    directories: Directories,
    defaults: Defaults,
    finals: Finals,
    aside: Aside,
    beside: Beside,
    /// The paths, without symlinks, where something was made, be it still there or not.
    made: Seen,
    /// Set if the layer's directory was empty, so that they are all that is in it.
    was_empty: bool,
    /// Set if nothing was made yet in the place of the entry that is being unpacked.
    is_new: bool,
    left_out: LeftOut,
    size: u64,
    /// The number of directories that the tar left out.
    implied: u64,
    target: Vec<u8>,
    /// Set if there are marks in the place of whiteouts, for a [`Stage`](crate::merge::Stage).
    pub(crate) marked: bool,
}

/// The place that an entry goes to: a directory and a name in it that is never followed.
#[derive(Clone, Debug)]
struct Place<'a> {
    directory: Arc<OwnedFd>,
    name: &'a [u8],
    /// From the root, without symlinks. Borrowed if it is the entry's name.
    path: Cow<'a, [u8]>,
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Place<'_> {
    /// Turns a system call's answer into an error that names the entry.
    fn failed(&self, action: &'static str) -> impl FnOnce(rustix::io::Errno) -> ArchiveError {
        failed(action, &self.path)
    }
}

impl<'a> Extractor<'a> {
    pub(crate) fn open(root: &Path, options: &'a ApplyOptions) -> Result<Self, ArchiveError> {
        Self::with(Directories::open(root)?, options)
    }

    /// Takes a root that is open for reading.
    pub(crate) fn within(
        root: BorrowedFd<'_>,
        options: &'a ApplyOptions,
    ) -> Result<Self, ArchiveError> {
        Self::with(owned(root)?, options)
    }

    fn with(directories: Directories, options: &'a ApplyOptions) -> Result<Self, ArchiveError> {
        let defaults = Defaults::probe(directories.root())?;
        let was_empty = is_empty(directories.root()).map_err(failed("list", b"."))?;
        Ok(Self {
            options,
            directories,
            defaults,
            finals: Finals::default(),
            aside: Aside::default(),
            beside: Beside::new(options),
            made: Seen::default(),
            was_empty,
            is_new: false,
            left_out: LeftOut::default(),
            size: 0,
            implied: 0,
            target: Vec::new(),
            marked: false,
        })
    }

    /// Makes a file without a name beside what is unpacked.
    pub(crate) fn anonymous_file(&self) -> Result<File, ArchiveError> {
        aside::anonymous_file(self.directories.root())
    }

    /// Sets what had to wait for the last entry; returns the layer's size as dockerd counts it, and what became of content
    /// that the tar-split counts on.
    pub(crate) fn finish(mut self) -> Result<(u64, Replaced), ArchiveError> {
        self.wait()?;
        self.finals.apply(&mut self.directories)?;
        self.left_out.warn();
        Ok((self.size, self.aside.finish()))
    }

    /// Waits for files that are made beside.
    pub(crate) fn wait(&mut self) -> Result<(), ArchiveError> {
        self.beside.wait()
    }

    /// Sets what had to wait in the directory that the layer has become part of; returns its size.
    pub(crate) fn finish_in(mut self, root: BorrowedFd<'_>) -> Result<u64, ArchiveError> {
        self.finals.apply(&mut owned(root)?)?;
        self.left_out.warn();
        Ok(self.size)
    }

    /// Finds the place of an entry; creates the parents that the tar leaves out.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<Place<'p>, ArchiveError> {
        let (parent, name) = split(path);
        if let Some(directory) = self.directories.find_plain(parent)? {
            return Ok(Place { directory, name, path: Cow::Borrowed(path) });
        }
        // What is not there may be on its way, as something else.
        self.wait()?;
        let missing = || failed("open the directory", parent)(rustix::io::Errno::NOENT);
        let (directory, mut real) = resolve(self, parent, true)?.ok_or_else(missing)?;
        append(&mut real, name)?;
        let path = if real == path { Cow::Borrowed(path) } else { Cow::Owned(real) };
        Ok(Place { directory, name, path })
    }

    fn whiteout(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        hidden: &[u8],
    ) -> Result<(), ArchiveError> {
        let invalid = |problem| ArchiveError::Whiteout { name: printable(&header.name), problem };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(invalid("it names nothing"));
        }
        if place.name == OPAQUE {
            return self.opaque(place, header);
        }
        // What stands where the whiteout's own name is goes, as for any entry.
        self.remove_if_present(place)?;
        let target = Place { name: hidden, ..place.clone() };
        let mut path = split(&place.path).0.to_vec();
        append(&mut path, hidden)?;
        self.made.insert(&path);
        let made = match self.options.whiteouts {
            Whiteouts::Overlay { .. } => {
                let kind = FileType::CharacterDevice;
                mknodat(&target, hidden, kind, Mode::empty(), makedev(0, 0))
            }
            // It would be taken for the mark of its directory, and can hide nothing.
            Whiteouts::Remove if hidden == OPAQUE => return Ok(()),
            Whiteouts::Remove => self.mark(&target, hidden),
            Whiteouts::Refuse => return Err(invalid("whiteouts are not allowed here")),
        };
        match made {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                return Err(invalid("the same layer has the file that it hides"));
            }
            Err(errno) => return Err(place.failed("create the whiteout")(errno)),
        }
        if self.options.owners && self.defaults.owner_differs(header) {
            change_owner(&target, header)?;
        }
        Ok(())
    }

    /// Marks the directory of `place` as opaque.
    fn opaque(&mut self, place: &Place<'_>, header: &Header) -> Result<(), ArchiveError> {
        let (parent, _) = split(&place.path);
        let marked = match self.options.whiteouts {
            Whiteouts::Overlay { namespace } => {
                let attribute = namespace.opaque_attribute();
                let directory = self.directories.open_to_write(parent)?;
                fsetxattr(&directory, attribute, b"y", XattrFlags::empty())
            }
            Whiteouts::Remove => self.mark(place, OPAQUE),
            Whiteouts::Refuse => {
                let name = printable(&header.name);
                let problem = "whiteouts are not allowed here";
                return Err(ArchiveError::Whiteout { name, problem });
            }
        };
        match marked {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed("mark as opaque", parent)(errno)),
        }
    }

    /// Makes a mark in the place of a whiteout.
    fn mark(&mut self, place: &Place<'_>, name: &[u8]) -> Result<(), rustix::io::Errno> {
        self.marked = true;
        mknodat(place, name, FileType::Socket, Mode::RUSR | Mode::WUSR, makedev(0, 0))
    }
}

impl Visitor for Extractor<'_> {
    fn entry<C: Chunks, W: io::Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        if path.is_empty() {
            return Ok(());
        }
        let place = self.place(path)?;
        let hidden = place.name.strip_prefix(WHITEOUT_PREFIX);
        self.is_new = self.made.insert(&place.path) && self.was_empty;
        let only_adds = matches!(header.kind, Kind::Regular | Kind::Directory | Kind::Symlink);
        if !self.is_new || !only_adds || hidden.is_some() {
            self.wait()?;
        }
        if let Some(hidden) = hidden {
            return self.whiteout(&place, header, hidden);
        }
        match header.kind {
            Kind::Regular => self.regular(&place, header, content),
            Kind::Directory => self.directory(&place, header),
            Kind::Symlink => self.symlink(&place, header),
            Kind::HardLink => self.hard_link(&place, header),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(&place, header),
            other => Err(unsupported(header, other)),
        }
    }
}

/// The error for an entry of a kind that dockerd does not unpack either.
pub(crate) fn unsupported(header: &Header, kind: Kind) -> ArchiveError {
    let kind = match kind {
        Kind::Other(flag) => flag.escape_ascii().to_string(),
        other => format!("{other:?}"),
    };
    ArchiveError::UnsupportedType { name: printable(&header.name), kind }
}

fn owned(root: BorrowedFd<'_>) -> Result<Directories, ArchiveError> {
    let root = root.try_clone_to_owned();
    let root = root.map_err(|source| ArchiveError::Io {
        action: "open",
        path: PathBuf::from("."),
        source,
    })?;
    Ok(Directories::within(root))
}

fn is_empty(directory: BorrowedFd<'_>) -> Result<bool, rustix::io::Errno> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does not follow the last component.
const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;

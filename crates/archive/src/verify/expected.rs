//! The sum of the entries of a tar: for every path, what must be there in the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;

use rustix::fs::FileType;

use crate::ArchiveError;
use crate::apply::unsupported;
use crate::attributes::{CAPABILITY, is_private};
use crate::split::Checksum;
use crate::tar::{Chunks, Fragment, Header, Kind, Timestamp};
use crate::tree::{Node, Tree, is_whiteout};
use crate::walk::{Content, Visitor};

/// Something that must be in the directory. Hard links to one file share one of these.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) kind: FileType,
    /// `None` where the tar says nothing of it, as of owner and time.
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) modified: Option<Timestamp>,
    /// Of a regular file: its size in bytes.
    pub(super) size: u64,
    /// Of a regular file whose content is in the tar-split rather than read from the directory.
    pub(super) content: Option<InTar>,
    /// Of a symlink: its target.
    pub(super) target: Vec<u8>,
    /// Of a device: its number.
    pub(super) device: (i64, i64),
    /// By name.
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of a directory: whether it hides what is below it.
    pub(super) opaque: bool,
}

/// Content that did not come from the directory: that of sparse files.
#[derive(Clone, Debug)]
pub(super) struct InTar {
    pub(super) checksum: [u8; 8],
    /// The path that it belongs to.
    pub(super) fragments: Vec<Fragment>,
}

/// All of a layer.
#[derive(Debug)]
pub(super) struct Expectations {
    /// The number of files that were read from the directory so far.
    read: Rc<Cell<u64>>,
    pub(super) tree: Tree<Expected>,
}

impl Expectations {
    /// Expects nothing yet; `read` counts the files that are read from the directory.
    pub(super) fn new(read: Rc<Cell<u64>>) -> Self {
        Self { read, tree: Tree::new(true) }
    }
}

impl Visitor for Expectations {
    fn entry<C: Chunks, W: Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        content: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        if path.is_empty() {
            return Ok(());
        }
        if is_whiteout(path) {
            return self.tree.enter(path, header, Expected::whiteout(header));
        }
        let kind = match header.kind {
            Kind::Regular => FileType::RegularFile,
            Kind::Directory => FileType::Directory,
            Kind::Symlink => FileType::Symlink,
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            // It only says something of another entry's file.
            Kind::HardLink => FileType::Unknown,
            other => return Err(unsupported(header, other)),
        };
        let mut expected = Expected::new(kind, header);
        if kind == FileType::RegularFile && expected.size > 0 {
            let before = self.read.get();
            let mut checksum = Checksum::new();
            content.copy(|bytes| {
                checksum.update(bytes);
                Ok(())
            })?;
            let whole = || vec![Fragment { offset: 0, length: expected.size }];
            expected.content = (self.read.get() == before).then(|| InTar {
                checksum: checksum.finish(),
                fragments: header.sparse.clone().unwrap_or_else(whole),
            });
        }
        self.tree.enter(path, header, expected)
    }
}

impl Expected {
    fn new(kind: FileType, header: &Header) -> Self {
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        Self {
            kind,
            mode: (kind != FileType::Symlink).then_some(header.mode),
            owner: Some((header.uid, header.gid)),
            modified: Some(header.modification_time()),
            size: match kind {
                FileType::RegularFile => u64::try_from(header.size).unwrap_or(0),
                _ => 0,
            },
            content: None,
            target: match kind {
                FileType::Symlink => header.link.clone(),
                _ => Vec::new(),
            },
            device: if is_device { kernel_device(header) } else { (0, 0) },
            xattrs: attributes(header).collect(),
            opaque: false,
        }
    }

    /// Made without asking the entry for more than its owner.
    fn whiteout(header: &Header) -> Self {
        Self {
            mode: None,
            modified: None,
            device: (0, 0),
            xattrs: BTreeMap::new(),
            ..Self::new(FileType::CharacterDevice, header)
        }
    }
}

impl Node for Expected {
    fn implied() -> Self {
        Self {
            kind: FileType::Directory,
            mode: None,
            owner: None,
            modified: None,
            size: 0,
            content: None,
            target: Vec::new(),
            device: (0, 0),
            xattrs: BTreeMap::new(),
            opaque: false,
        }
    }

    fn size(&self) -> u64 {
        match self.kind {
            FileType::RegularFile => self.size,
            FileType::Symlink => self.target.len() as u64,
            _ => 0,
        }
    }

    fn merge(&mut self, other: Self) {
        let mut xattrs = std::mem::take(&mut self.xattrs);
        xattrs.extend(other.xattrs);
        *self = Self { xattrs, opaque: self.opaque, ..other };
    }

    fn share(&mut self, link: &Header) {
        let (uid, gid) = self.owner.unwrap_or_default();
        let changed = |new: u32, old: u32| if new == u32::MAX { old } else { new };
        self.owner = Some((changed(link.uid, uid), changed(link.gid, gid)));
        // Whoever unpacks changes the owner first, which takes capabilities away.
        self.xattrs.remove(CAPABILITY);
        self.xattrs.extend(attributes(link));
        // Times of a symlink are not set by its other names.
        if self.kind != FileType::Symlink {
            self.modified = Some(link.modification_time());
            self.mode = Some(link.mode);
        }
    }

    fn mark_opaque(&mut self) {
        self.opaque = true;
    }
}

/// The attributes that reach a file, if the file system knows them.
fn attributes(header: &Header) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    header.xattrs.iter().filter(|(name, _)| !is_private(name)).cloned()
}

/// The number of a device as the kernel has it: 12 bits for the major number, 20 for the minor.
fn kernel_device(header: &Header) -> (i64, i64) {
    (header.major & 0xfff, header.minor & 0xf_ffff)
}

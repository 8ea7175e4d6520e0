//! What the entries of a tar amount to: for every path what must be there in the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Bound;
use std::rc::Rc;

use rustix::fs::FileType;

use crate::ArchiveError;
use crate::apply::unsupported;
use crate::options::XattrNamespace;
use crate::path::{clean, split};
use crate::split::Checksum;
use crate::tar::{Chunks, Fragment, Header, Kind, Timestamp};
use crate::walk::{Content, OPAQUE, Visitor, WHITEOUT_PREFIX};

/// What something in the directory must be. Hard links to one file share one of these.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) kind: FileType,
    /// `None` where the tar says nothing of it.
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
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
}

/// Content that did not come from the directory: that of sparse files, and of files whose path had another entry before.
#[derive(Clone, Debug)]
pub(super) struct InTar {
    pub(super) checksum: [u8; 8],
    /// Where it belongs.
    pub(super) fragments: Vec<Fragment>,
}

/// All paths of a layer.
#[derive(Debug)]
pub(super) struct Expectations {
    /// How many files were read from the directory so far.
    read: Rc<Cell<u64>>,
    nodes: Vec<Expected>,
    paths: BTreeMap<Vec<u8>, usize>,
    /// Directories that hide what is below them.
    opaque: Vec<Vec<u8>>,
    size: u64,
}

impl Expectations {
    /// Expects nothing yet; `read` counts the files that are read from the directory.
    pub(super) fn new(read: Rc<Cell<u64>>) -> Self {
        Self { read, nodes: Vec::new(), paths: BTreeMap::new(), opaque: Vec::new(), size: 0 }
    }

    /// Returns the size of the layer as dockerd counts it.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Lists what must be there, sorted by path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Expected)> {
        self.paths.iter().map(|(path, node)| (&path[..], &self.nodes[*node]))
    }

    /// Lists the directories that must be marked as opaque.
    pub(super) fn opaque(&self) -> impl Iterator<Item = &[u8]> {
        self.opaque.iter().map(|path| &path[..])
    }

    fn insert(&mut self, path: &[u8], expected: Expected) {
        if expected.kind == FileType::Directory {
            // A directory that is there already keeps its attributes and what is in it.
            if let Some(node) = self.paths.get(path).map(|node| &mut self.nodes[*node])
                && node.kind == FileType::Directory
            {
                let mut xattrs = std::mem::take(&mut node.xattrs);
                xattrs.extend(expected.xattrs);
                *node = Expected { xattrs, ..expected };
                return;
            }
        } else {
            self.remove_below(path);
        }
        self.nodes.push(expected);
        self.paths.insert(path.to_vec(), self.nodes.len() - 1);
    }

    /// Forgets what was in a directory that something else takes the place of.
    fn remove_below(&mut self, path: &[u8]) {
        let mut prefix = path.to_vec();
        prefix.push(b'/');
        let below = (Bound::Included(&prefix[..]), Bound::Unbounded);
        let gone: Vec<Vec<u8>> = self
            .paths
            .range::<[u8], _>(below)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect();
        for path in gone {
            self.paths.remove(&path);
        }
        self.opaque.retain(|opaque| opaque != path && !opaque.starts_with(&prefix));
    }

    /// A hard link sets what its entry says on the file that it shares.
    fn link(&mut self, path: &[u8], header: &Header) -> Result<(), ArchiveError> {
        let mut target = Vec::new();
        clean(&header.link, &mut target)?;
        self.remove_below(path);
        // A target on the other side of a symlink is not known by its path, and then seen as the file that it is.
        let Some(&node) = self.paths.get(&target) else {
            self.paths.remove(path);
            return Ok(());
        };
        let shared = &mut self.nodes[node];
        (shared.uid, shared.gid) = (header.uid, header.gid);
        shared.xattrs.extend(header.xattrs.iter().cloned());
        shared.modified = Some(header.modification_time());
        if shared.kind != FileType::Symlink {
            shared.mode = Some(header.mode);
        }
        self.paths.insert(path.to_vec(), node);
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8], header: &Header, hidden: &[u8]) {
        let (parent, name) = split(path);
        if name == OPAQUE {
            self.opaque.push(parent.to_vec());
            return;
        }
        let mut path = parent.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(hidden);
        let mut expected = Expected::new(FileType::CharacterDevice, header);
        // Made without asking the entry for more than its owner.
        (expected.mode, expected.modified) = (None, None);
        expected.device = (0, 0);
        expected.xattrs.clear();
        self.insert(&path, expected);
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
        if let Some(hidden) = split(path).1.strip_prefix(WHITEOUT_PREFIX) {
            self.whiteout(path, header, hidden);
            return Ok(());
        }
        let kind = match header.kind {
            Kind::Regular => FileType::RegularFile,
            Kind::Directory => FileType::Directory,
            Kind::Symlink => FileType::Symlink,
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::HardLink => return self.link(path, header),
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
        self.size = self.size.saturating_add(match kind {
            FileType::RegularFile => expected.size,
            FileType::Symlink => expected.target.len() as u64,
            _ => 0,
        });
        self.insert(path, expected);
        Ok(())
    }
}

impl Expected {
    fn new(kind: FileType, header: &Header) -> Self {
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        Self {
            kind,
            mode: (kind != FileType::Symlink).then_some(header.mode),
            uid: header.uid,
            gid: header.gid,
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
            device: if is_device { (header.major, header.minor) } else { (0, 0) },
            xattrs: header.xattrs.iter().cloned().collect(),
        }
    }
}

/// The attribute of a directory that hides what is below it.
pub(super) fn opaque_attribute() -> &'static str {
    XattrNamespace::Trusted.opaque_attribute()
}

//! A layer that is read and not unpacked.

use std::io::{Read, Write};

use crate::options::Unpacked;
use crate::source::Input;
use crate::split::SplitWriter;
use crate::tar::{Chunks, Header, Kind};
use crate::tree::{Node, Tree, is_whiteout};
use crate::unpack::Source;
use crate::walk::{Content, Repeats, Visitor};
use crate::{ArchiveError, Compression};

/// Reads a compressed layer as [`unpack`](crate::unpack()) does and returns the same, or refuses it for the same, but writes no files.
pub fn inspect_compressed<R: Read + Send>(
    compressed: R,
    compression: Option<Compression>,
    max_tar_size: Option<u64>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let mut look = Look(Tree::new(false));
    let input = Input::new(compressed, progress);
    let source = Source { input, compression, limit: max_tar_size, repeats: Repeats::Refused };
    let mut unpacked = source.run(SplitWriter::disabled(), &mut look)?;
    unpacked.applied.size = look.0.size();
    Ok(unpacked)
}

/// The files that the layer would have, by their sizes.
struct Look(Tree<Size>);

struct Size(u64);

impl Node for Size {
    fn implied() -> Self {
        Self(0)
    }

    fn size(&self) -> u64 {
        self.0
    }

    fn merge(&mut self, _: Self) {}

    fn share(&mut self, _: &Header) {}

    fn mark_opaque(&mut self) {}
}

impl Visitor for Look {
    fn entry<C: Chunks, W: Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        _: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        let size = match header.kind {
            _ if is_whiteout(path) => 0,
            Kind::Regular => u64::try_from(header.size).unwrap_or(0),
            Kind::Symlink => header.link.len() as u64,
            _ => 0,
        };
        self.0.enter(path, header, Size(size))
    }
}

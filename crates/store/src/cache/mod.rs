//! Things that were read and stay in memory, or beside it on the disk, so that they need not be read again.

pub(crate) mod bounded;
pub(crate) mod catalog;
pub(crate) mod images;
pub(crate) mod snapshot;

use spec::ChainId;

/// Facts that follow from a chain ID alone and so stay true, even if the layer goes and comes again.
#[derive(Clone, Debug)]
pub(crate) struct KnownLayer {
    pub(crate) parent: Option<ChainId>,
    pub(crate) size: u64,
}

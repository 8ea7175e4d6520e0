//! Things that were read and stay in memory, or beside it on the disk, so that they need not be read again.

pub(crate) mod catalog;
pub(crate) mod snapshot;

//! What was read and stays in memory, or beside it on the disk, so that it need not be read again.

pub(crate) mod catalog;
pub(crate) mod snapshot;

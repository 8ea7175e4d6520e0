//! Files of a folder or an archive, to read from.

pub(crate) mod archive;
pub(crate) mod blocking;
pub(crate) mod region;
pub(crate) mod tree;

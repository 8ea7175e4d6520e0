//! Result documents: what the engine returns, in the shape that clients of each version of the API expect.

pub(crate) mod check_report;
pub(crate) mod diff;
mod identity;
pub(crate) mod image_inspect;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod prune;

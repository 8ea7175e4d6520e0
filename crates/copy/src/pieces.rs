//! A blob as its source sends it.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::error::Result;

/// The pieces of a blob from a place on, where the first one begins, and the place.
pub(crate) struct Pieces {
    /// The first byte that the pieces have: before what was asked for where a registry knows no ranges.
    pub(crate) start: u64,
    pub(crate) pieces: BoxStream<'static, Result<Bytes>>,
}

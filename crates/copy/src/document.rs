//! Manifests and indexes, as they came.

use bytes::Bytes;
use spec::{Digest, MediaType};

/// A manifest or index as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    /// The type that its sender gives it.
    pub(crate) media_type: Option<MediaType>,
    pub(crate) digest: Digest,
}

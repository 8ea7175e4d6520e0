//! Failures of a copy: each names the place that it happened at.

use registry::RegistryError;
use spec::{Digest, ManifestError};

/// A failure of a copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A registry could not be asked, or said no.
    #[error("{place}: {source}")]
    Registry {
        /// The repository, with its host.
        place: String,
        /// The cause.
        source: Box<RegistryError>,
    },
    /// A manifest or index that cannot be read.
    #[error("{place}: {digest}: {source}")]
    Manifest {
        /// The image.
        place: String,
        /// The document.
        digest: Digest,
        /// The cause.
        source: ManifestError,
    },
    /// Indexes within indexes, deeper than any tool makes them.
    #[error("{place}: indexes are nested more than {limit} deep")]
    Depth {
        /// The image.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// More manifests than any image has.
    #[error("{place}: the index leads to more than {limit} manifests")]
    Documents {
        /// The image.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// The target is to have a digest that the source has not.
    #[error("{target}: the image has the digest {actual}, not {demanded}")]
    OtherDigest {
        /// The target.
        target: String,
        /// The digest in its name.
        demanded: Digest,
        /// The source's.
        actual: Digest,
    },
    /// The image is not for a platform that is wanted.
    #[error("{place}: no image for platform {wanted}; it is for {offered}")]
    NoPlatform {
        /// The source.
        place: String,
        /// The platform.
        wanted: String,
        /// The platforms that there are.
        offered: String,
    },
    /// A blob with other bytes than its digest says.
    #[error(
        "{place}: blob {expected} hashes to {actual}: it was damaged on its way or at its source, and is not copied"
    )]
    Digest {
        /// The source.
        place: String,
        /// The digest that it was asked for by.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// A blob with more bytes than its descriptor says.
    #[error("{place}: blob {digest} has more than the {size} bytes that its descriptor says")]
    Size {
        /// The source.
        place: String,
        /// The blob.
        digest: Digest,
        /// The descriptor's size.
        size: u64,
    },
    /// A blob with fewer bytes than its descriptor says.
    #[error("{place}: blob {digest} ends after {has} of the {size} bytes that its descriptor says")]
    Short {
        /// The source.
        place: String,
        /// The blob.
        digest: Digest,
        /// The bytes that it has.
        has: u64,
        /// The descriptor's size.
        size: u64,
    },
}

impl CopyError {
    /// Says what a registry's failure was about.
    pub(crate) fn registry(place: &dyn std::fmt::Display, source: RegistryError) -> Self {
        Self::Registry { place: place.to_string(), source: Box::new(source) }
    }

    /// Returns the registry's failure, if it is one.
    pub(crate) fn of_registry(&self) -> Option<&RegistryError> {
        match self {
            Self::Registry { source, .. } => Some(source),
            _ => None,
        }
    }
}

pub(crate) type Result<T, E = CopyError> = std::result::Result<T, E>;

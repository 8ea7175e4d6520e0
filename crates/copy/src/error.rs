//! Failures of a copy: each names the place that it happened at.

use std::io;

use registry::RegistryError;
use spec::{Digest, ManifestError};

use crate::files::archive::ArchiveFault;

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
    /// The policy or a verifier refuses the image, or cannot be asked.
    #[error(transparent)]
    Trust(#[from] policy::TrustError),
    /// A signature could not be made or stored.
    #[error("{target}: {source}")]
    Sign {
        /// The image that should have got it.
        target: String,
        /// The cause.
        source: Box<policy::SignError>,
    },
    /// A place where nobody looks for signatures.
    #[error("{target} has no room for a signature: sign at a registry")]
    NoSignatures {
        /// The place.
        target: String,
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
    #[error("{place}: it leads to more than {limit} manifests or indexes")]
    Documents {
        /// The image.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// Referrers of referrers, deeper than anybody needs them.
    #[error("{place}: what refers to the image is referred to again, more than {limit} deep")]
    ReferrersDepth {
        /// The image.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// More referrers than any image has.
    #[error("{place}: more than {limit} manifests refer to the image")]
    Referrers {
        /// The image.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// A place that referrers are not looked for at, or that has no room for them.
    #[error(
        "{source_place} to {target}: what refers to an image is copied from a registry or a layout to a registry, or to a layout in which the image gets a name: oci:FOLDER:NAME, oci-archive:FILE:NAME"
    )]
    NoReferrers {
        /// The source.
        source_place: String,
        /// The archive, or the daemon.
        target: String,
    },
    /// The target is to have a digest that the source has not.
    #[error("{target}: the image has the digest {actual}, not {demanded}")]
    OtherDigest {
        /// Name of the image at the target.
        target: String,
        /// The digest in its name.
        demanded: Digest,
        /// The source's.
        actual: Digest,
    },
    /// An image of which docker's list would have nothing.
    #[error(
        "{place}: what was copied holds no image that docker could load; oci-archive: takes it"
    )]
    NoDockerImage {
        /// The target.
        place: String,
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
    /// A layer that cannot be compressed anew.
    #[error("{place}: layer {layer} cannot be compressed anew: {}", chain(source))]
    Recompress {
        /// The source.
        place: String,
        /// The layer as it is.
        layer: Digest,
        /// The cause.
        source: Box<archive::ArchiveError>,
    },
    /// A layer that cannot be put aside in another compression.
    #[error(
        "{place}: layer {layer} cannot be written to {folder}, the folder for temporary files (TMPDIR): {source}"
    )]
    Aside {
        /// The source.
        place: String,
        /// The layer as it is.
        layer: Digest,
        /// The folder for temporary files.
        folder: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A layer that is another tar than its image's config says.
    #[error(
        "{place}: layer {layer} decompresses to {actual}, and the image's config says {expected}: it is not copied"
    )]
    DiffId {
        /// The source.
        place: String,
        /// The layer as it is.
        layer: Digest,
        /// The hash of the tar by the config.
        expected: String,
        /// The hash of the tar.
        actual: String,
    },
    /// A layer that the wanted format has no type for.
    #[error(
        "{place}: layer {layer} is compressed by zstd, which Docker's format has no type for: add --compression gzip"
    )]
    LayerType {
        /// The source.
        place: String,
        /// Digest of the layer that is compressed by zstd.
        layer: Digest,
    },
    /// Signatures and the like of an image that gets another digest.
    #[error(
        "{place}: what refers to an image refers to its digest, which another compression or format changes: copy one without the other"
    )]
    ReferrersLost {
        /// The source.
        place: String,
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
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A list or document is larger than any honest one.
    #[error("{path} is larger than {limit}, which no image needs")]
    TooLarge {
        /// The file.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// A list is no JSON, or not what it should be.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A file that a list or document names is not there.
    #[error("{path} is missing: the source is not complete")]
    Missing {
        /// The file.
        path: String,
    },
    /// A layer that was left at its URLs is to be copied to where it has to be itself.
    #[error(
        "{path} is missing: it is not to be redistributed and stays at {url}; a registry or layout takes the image without it"
    )]
    Foreign {
        /// The file.
        path: String,
        /// The first of the URLs.
        url: String,
    },
    /// A folder or archive without `index.json`.
    #[error("{place} is no OCI image layout: it has no index.json")]
    NoLayout {
        /// Name of the place that was opened.
        place: String,
    },
    /// An archive without `manifest.json`.
    #[error("{place} is no archive of images: it has no manifest.json")]
    NoArchive {
        /// Name of the place that was opened.
        place: String,
    },
    /// No image with that name, or several where none is named.
    #[error("{place} names no image, or more than one; the images there are: {found}")]
    NoImage {
        /// Name of the place that was searched.
        place: String,
        /// The names that there are.
        found: String,
    },
    /// Images of two repositories that have the same tag, where one repository is to have both.
    #[error("{place}: {other} has the tag {tag}, too: copy one by its whole name, or choose tags")]
    SameTag {
        /// The one.
        place: String,
        /// The tag that both have.
        tag: String,
        /// Name of the other one.
        other: String,
    },
    /// A layer with a compression that manifests have no type for.
    #[error("{path} is compressed in a way that registries do not know")]
    Compression {
        /// The file.
        path: String,
    },
    /// An archive that cannot be read.
    #[error("{place}: {source}")]
    Archive {
        /// Name of the place that has the archive.
        place: String,
        /// The cause.
        source: ArchiveFault,
    },
    /// A place that has one image, where several are asked for.
    #[error("{place} is no repository: it has no tags")]
    NoRepository {
        /// Name of the place that has one image.
        place: String,
    },
    /// A stream where nobody gave one.
    #[error("{place}: there is nothing to read from or write to")]
    NoStream {
        /// Name of the place that means a stream.
        place: String,
    },
}

/// Says an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

impl CopyError {
    /// Says what a registry's failure was about.
    pub(crate) fn registry(place: &dyn std::fmt::Display, source: RegistryError) -> Self {
        Self::Registry { place: place.to_string(), source: Box::new(source) }
    }

    /// Says whether what was asked for is not there, whatever the place is.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
            || self.of_registry().is_some_and(RegistryError::is_not_found)
    }

    /// Returns the file that could not be written for want of room.
    pub fn without_room(&self) -> Option<&str> {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Write { path, source } if is_full(source) => Some(path),
            _ => None,
        }
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

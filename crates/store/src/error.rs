//! Errors of the data root.

use std::io;
use std::path::{Path, PathBuf};

use spec::{ChainId, Digest, ImageId};

use crate::{DriverKind, Room};

/// A failure at the data root, with its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused something.
    #[error("{action} `{}`", .path.display())]
    Io {
        /// The action that was attempted: `write`, `rename` …
        action: &'static str,
        /// The file it was attempted on.
        path: PathBuf,
        /// The answer of the system.
        #[source]
        source: io::Error,
    },
    /// The disk failed to take what was written. All that the failed sync covered is thrown away.
    #[error("the disk of `{}` failed to write what was to be stored, and it was thrown away: check the disk and try again", .root.display())]
    Unwritten {
        /// The data root.
        root: PathBuf,
        /// The answer of the system.
        #[source]
        source: io::Error,
    },
    /// The disk or the quota is full. What was downloaded stays and is used by the next try.
    #[error(
        "{} for `{}`{}; remove images or other files and try again",
        shortage(.cause),
        .path.display(),
        left(*.available)
    )]
    NoSpace {
        /// The file that could not grow, or be made.
        path: PathBuf,
        /// The room that the file system has left, as far as that can be known.
        available: Option<Room>,
        /// The answer of the system, in other words.
        cause: io::Error,
    },
    /// Something cannot fit on the disk, which is known before it starts.
    #[error(
        "no space left on device for `{}`: at least {needed} are needed and {available} are free; remove images or other files and try again",
        .path.display()
    )]
    TooFull {
        /// The file or directory that would be written.
        path: PathBuf,
        /// The room that it takes.
        needed: Room,
        /// The room that the file system has left.
        available: Room,
    },
    /// A dockerd is running on this data root.
    #[error("data root `{}` is in use by {process}: stop it or use another data root", .root.display())]
    InUse {
        /// The data root.
        root: PathBuf,
        /// Its name and process ID, as far as they can be found out.
        process: String,
    },
    /// The data root was made with another driver than the one asked for.
    #[error("data root `{}` uses storage driver {found}, not {wanted}", .root.display())]
    OtherDriver {
        /// The data root.
        root: PathBuf,
        /// The driver that it has.
        found: String,
        /// The driver that was asked for.
        wanted: DriverKind,
    },
    /// The data root is a dockerd's that keeps its images in a way that Longshore has not.
    #[error(
        "data root `{}` keeps its images {how}, which Longshore does not have: save them with `docker save` and load them \
         with `longshore load` into another data root{}",
        .root.display(),
        .advice
    )]
    ForeignStore {
        /// The data root.
        root: PathBuf,
        /// In which way.
        how: String,
        /// Something else that the user can do, with a comma before it; may be empty.
        advice: &'static str,
    },
    /// No image is mounted there.
    #[error("no image is mounted on `{}`", .0.display())]
    NotMounted(PathBuf),
    /// The driver cannot work here.
    #[error("storage driver {driver} cannot be used in `{}`: {reason}", .root.display())]
    DriverUnusable {
        /// The driver asked for.
        driver: DriverKind,
        /// The data root.
        root: PathBuf,
        /// The thing that is missing.
        reason: String,
    },
    /// Bytes are not those that their digest promised. They have been thrown away.
    #[error("content does not match its digest: expected {expected}, got {actual}")]
    Mismatch {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of the bytes that came.
        actual: Digest,
    },
    /// A blob was to be used before all of it was there or read.
    #[error("{digest} is incomplete: {present} of {size} bytes are here")]
    Incomplete {
        /// The blob.
        digest: Digest,
        /// The number of bytes that are here.
        present: u64,
        /// The number of bytes that there should be.
        size: u64,
    },
    /// Something is larger than the store accepts.
    #[error("{what} has {size} bytes, more than the {limit} that are accepted")]
    TooLarge {
        /// The thing, in words.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// A range of a download that cannot be written now.
    #[error("bytes {start} to {end} of {digest} cannot be written: {reason}")]
    Range {
        /// The blob.
        digest: Digest,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// The bound or the state that it does not fit.
        reason: &'static str,
    },
    /// A file of the data root does not hold what it should.
    #[error("`{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage, as a clause.
        reason: String,
    },
    /// There is no such image.
    #[error("no such image: {0}")]
    NoImage(ImageId),
    /// There is no such layer.
    #[error("layer does not exist: {0}")]
    NoLayer(ChainId),
    /// There is no such blob.
    #[error("blob does not exist: {0}")]
    NoBlob(Digest),
    /// An image cannot be removed while something refers to it.
    #[error("image {image} is referenced by {}", .references.join(", "))]
    Referenced {
        /// The image that was to go.
        image: ImageId,
        /// Familiar names that point to it.
        references: Vec<String>,
    },
    /// A digest reference already means another image.
    #[error("cannot overwrite digest {0}")]
    DigestTaken(Digest),
    /// A repository may not be called like a digest algorithm.
    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    AmbiguousName,
    /// A reference was given that has neither a tag nor a digest.
    #[error("reference `{0}` has neither a tag nor a digest")]
    NameOnly(String),
    /// An image has more layers than dockerd mounts.
    #[error("max depth exceeded")]
    MaxDepth,
    /// Only SHA-256 names images and layers, in dockerd's store as here.
    #[error("{0} cannot name an image or a layer: only sha256 can")]
    Algorithm(Digest),
    /// A config that is none.
    #[error("invalid image config")]
    Config(#[source] serde_json::Error),
}

impl StoreError {
    /// Makes an error of what the system said about `path`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let available = Room::at(&path).ok();
                Self::NoSpace { path, available, cause: source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Says whether the disk, the quota or the inodes are used up.
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::TooFull { .. })
    }

    /// Says whether nothing can be written where that failed: a full or read-only file system, or one of somebody else.
    pub fn cannot_write(&self) -> bool {
        let refused = |source: &io::Error| {
            matches!(
                source.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            )
        };
        self.is_shortage() || matches!(self, Self::Io { source, .. } if refused(source))
    }

    /// Says whether a directory is not there in which something was to be done.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_missing(source))
    }

    /// Returns the number of the system's error, if it was one.
    pub(crate) fn os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::NoSpace { cause: source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Makes an error of what a sync of the file system of `root` said.
    pub(crate) fn unwritten(root: &Path, source: io::Error) -> Self {
        match Self::io("sync", root, source) {
            Self::Io { path: root, source, .. } => Self::Unwritten { root, source },
            shortage => shortage,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "takes an error as it comes out of `map_err`"
    )]
    pub(crate) fn damaged(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Damaged { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }
}

/// Says whether there is nothing by the name that the system was given.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns the words for what is used up, which are Linux's.
pub(crate) fn shortage(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::QuotaExceeded => "disk quota exceeded",
        _ => "no space left on device",
    }
}

fn left(available: Option<Room>) -> String {
    available.map(|room| format!(": {room} are free")).unwrap_or_default()
}

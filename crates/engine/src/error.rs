//! Errors of operations, in Docker's words.

mod bad_archive;
mod defect;
mod missing;
mod mistake;

use std::path::PathBuf;
use std::sync::Arc;

use registry::RegistryError;
use spec::{Digest, ManifestError, MediaType, PlatformError, ReferenceError, Schema1Error};

pub use bad_archive::{BadArchive, LeftOutLayers};
pub use defect::Defect;
pub use missing::Missing;
pub use mistake::Mistake;

/// The kind of an error, which a caller can tell without reading it; a daemon answers each with its own HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request makes no sense.
    InvalidParameter,
    /// The registry wants credentials, or other ones.
    Unauthorized,
    /// Somebody does not allow it.
    Forbidden,
    /// Something that is named does not exist, here or at the registry.
    NotFound,
    /// The registry does not do what was asked for.
    Unsupported,
    /// Something stands in the way.
    Conflict,
    /// The registry is asked too often.
    TooManyRequests,
    /// The registry cannot be used for now.
    Unavailable,
    /// The operation was cancelled.
    Cancelled,
    /// Something failed that should not.
    System,
}

/// The error of an operation. Its text equals dockerd's where dockerd has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A reference does not follow the grammar.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A platform does not follow the grammar.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A parameter is wrong in another way.
    #[error("{0}")]
    InvalidParameter(Mistake),
    /// `scratch` names the empty image and nothing else.
    #[error("'scratch' is a reserved name")]
    ReservedName,
    /// No local image has this name or ID.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// No local image has this tag or digest.
    #[error("reference does not exist")]
    NoReference,
    /// Several images have IDs that begin so.
    #[error("ambiguous digest string")]
    AmbiguousId,
    /// An image that is to be saved is for another platform.
    #[error("no suitable export target found for platform {0}")]
    NoExportTarget(spec::Platform),
    /// An archive of images is not what it should be.
    #[error(transparent)]
    BadArchive(BadArchive),
    /// An archive of images cannot be read.
    #[error("invalid archive")]
    ArchiveRead(#[source] archive::ArchiveError),
    /// A local image has this name, for another platform.
    #[error(transparent)]
    PlatformMismatch(#[from] PlatformMismatch),
    /// Nothing to push under this name.
    #[error("An image does not exist locally with the tag: {0}")]
    NoLocalRepository(String),
    /// The repository has images, but not under this tag.
    #[error("tag does not exist: {0}")]
    NoLocalTag(String),
    /// The repository has no tags at all.
    #[error("no tags to push for {0}")]
    NoTagsToPush(String),
    /// A digest names what is at a registry already.
    #[error("cannot push a digest reference")]
    PushDigest,
    /// The registry has no such manifest.
    #[error("manifest for {reference} not found")]
    ManifestNotFound {
        /// The name that was asked for, familiar.
        reference: String,
        /// The registry's answer.
        source: registry::RegistryError,
    },
    /// Of all tags of a repository none is an image that could be here.
    #[error("none of the tags of {repository} (there are {total}) is an image for this machine")]
    NoImages {
        /// The repository, familiar.
        repository: String,
        /// The number of tags.
        total: usize,
    },
    /// Some of all tags of a repository could not be pulled; the others are here.
    #[error("{count} of {total} tags of {repository} could not be pulled ({names})")]
    TagsFailed {
        /// The repository, familiar.
        repository: String,
        /// The number of tags that failed.
        count: usize,
        /// The number of tags.
        total: usize,
        /// The first of those that failed.
        names: String,
        /// The error of the first one.
        source: Box<EngineError>,
    },
    /// The registry has no such manifest, in the words of docker's own command line.
    #[error("no such manifest: {0}")]
    NoSuchManifest(String),
    /// The registry has no such repository.
    #[error("repository {repository} not found")]
    RepositoryNotFound {
        /// The name that was asked for, familiar.
        repository: String,
        /// The registry's answer.
        source: registry::RegistryError,
    },
    /// The registry denies access, which may mean that there is no such repository.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login'"
    )]
    PullDenied {
        /// The name that was asked for, familiar.
        repository: String,
        /// The registry's answer.
        source: registry::RegistryError,
    },
    /// The policy or a verifier refuses the image, or cannot be asked.
    #[error(transparent)]
    Trust(#[from] policy::TrustError),
    /// Another error of a registry.
    #[error(transparent)]
    Registry(registry::RegistryError),
    /// A push needs a user name and a password, and there are none.
    #[error("no basic auth credentials")]
    NoCredentials,
    /// A registry did not accept a login, or could not be asked.
    #[error(transparent)]
    Login(registry::RegistryError),
    /// The index has no image that runs on the platform.
    #[error("no matching manifest for {0} in the manifest list entries")]
    NoMatchingManifest(String),
    /// The same, where nobody counts on docker's words.
    #[error("no matching manifest for {wanted}, the index has {offered}")]
    NoSuchPlatform {
        /// The platform.
        wanted: String,
        /// The platforms that there are.
        offered: String,
    },
    /// The manifest cannot be read, or could be read in two ways.
    #[error("{reference}")]
    Manifest {
        /// The image, familiar.
        reference: String,
        /// The fault in it.
        source: ManifestError,
    },
    /// A manifest of schema 1 cannot be read or made.
    #[error(transparent)]
    FirstSchema(#[from] Schema1Error),
    /// A manifest of schema 1 cannot be signed.
    #[error("failed to sign a manifest of schema 1: {0}")]
    Sign(registry::SignatureError),
    /// Indexes within indexes, deeper than anybody means it.
    #[error("{0}: indexes are nested too deep")]
    IndexDepth(String),
    /// A manifest of something that is not an image.
    #[error("Encountered remote \"{media_type}\"({class}) when fetching")]
    NotAnImage {
        /// The media type of its config.
        media_type: MediaType,
        /// Its kind, in one word.
        class: &'static str,
    },
    /// A layer of a kind that Longshore does not know.
    #[error("unsupported media type {0}")]
    UnsupportedMediaType(MediaType),
    /// The config cannot be read.
    #[error("image config {digest} is not valid")]
    Config {
        /// The config's digest.
        digest: Digest,
        /// The fault in it.
        source: serde_json::Error,
    },
    /// Manifest and config disagree on the layers.
    #[error("layers from manifest don't match image configuration")]
    RootFsMismatch,
    /// A config whose history has more layers than the config itself.
    #[error("too many non-empty layers in History section")]
    HistoryMismatch,
    /// An image for another operating system than this store can unpack.
    #[error(
        "image operating system \"{0}\" cannot be used on this platform: operating system is not supported"
    )]
    OperatingSystem(String),
    /// The bytes of a layer are not what the manifest or config says.
    #[error("filesystem layer verification failed for digest {digest}: {detail}")]
    LayerVerification {
        /// The blob.
        digest: Digest,
        /// The bytes that were found instead, and where they came from.
        detail: String,
    },
    /// A layer cannot be read or unpacked.
    #[error("failed to register layer {digest}")]
    Layer {
        /// The blob.
        digest: Digest,
        /// The fault in it.
        source: archive::ArchiveError,
    },
    /// A layer of the store cannot be read.
    #[error("failed to read layer {digest}")]
    ReadLayer {
        /// Its diff ID.
        digest: Digest,
        /// The fault in it.
        source: archive::ArchiveError,
    },
    /// The store does not take a layer of an image.
    #[error("failed to register layer")]
    RegisterLayer(#[source] store::StoreError),
    /// The tar of an import cannot be read or unpacked.
    #[error(transparent)]
    ImportLayer(archive::ArchiveError),
    /// The tar that the URL of an import gives cannot be read or unpacked.
    #[error("failed to import `{url}`")]
    ImportUrl {
        /// The URL, without a password.
        url: String,
        /// The fault in it.
        source: archive::ArchiveError,
    },
    /// The URL of an import gives nothing.
    #[error(transparent)]
    Download(registry::RegistryError),
    /// A search failed.
    #[error(transparent)]
    Search(registry::RegistryError),
    /// Something uses the image.
    #[error("conflict: unable to delete {id} ({}) - {reason}", if *hard { "cannot be forced" } else { "must be forced" })]
    ImageInUse {
        /// The short image ID.
        id: String,
        /// Set if not even `force` helps.
        hard: bool,
        /// The user of the image.
        reason: String,
    },
    /// A pattern of references does not follow the grammar. Not the caller's fault, if dockerd is asked.
    #[error("syntax error in pattern")]
    Pattern,
    /// One prune at a time.
    #[error("a prune operation is already running")]
    PruneRunning,
    /// A container uses the image that would be left without a name.
    #[error(
        "conflict: unable to remove repository reference \"{reference}\" (must force) - container {container} is using its referenced image {id}"
    )]
    ReferenceInUse {
        /// The name.
        reference: String,
        /// The short ID of the container.
        container: String,
        /// The short image ID.
        id: String,
    },
    /// A blob that is needed is not here and cannot be made.
    #[error("{0}")]
    Missing(Missing),
    /// A file of the store cannot be opened.
    #[error("failed to open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The directory for an unpacked image cannot be made.
    #[error("failed to {action} `{}`", path.display())]
    Directory {
        /// The attempt that failed.
        action: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A directory is none for an image's files.
    #[error("the directory `{}` {reason}", path.display())]
    DirectoryRefused {
        /// The directory, as the caller named it.
        path: PathBuf,
        /// The property for which it is refused.
        reason: DirectoryRefusal,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The operation was cancelled.
    #[error("context canceled")]
    Cancelled,
    /// A task of ours ended abnormally: a defect.
    #[error("internal error: {0}")]
    Internal(Defect),
    /// The disk, the quota or the inodes are used up.
    #[error("{what}: {words}: {detail}")]
    NoSpace {
        /// The work that failed, with the layer or file.
        what: String,
        /// The shortage, in the system's words.
        words: &'static str,
        /// The room that was needed and the room that is there.
        detail: String,
    },
    /// Something could not be removed that nobody needs.
    #[error("not all could be removed: {failed} removals failed, {reclaimed} bytes were reclaimed")]
    Prune {
        /// Removals that failed.
        failed: usize,
        /// Bytes that the others freed.
        reclaimed: u64,
        /// The error of the first.
        #[source]
        first: Box<EngineError>,
    },
    /// The error of a job that several callers waited for.
    #[error(transparent)]
    Shared(Arc<EngineError>),
}

/// An image that is for another platform than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "image with reference {reference} was found but its platform ({actual}) does not match the specified platform ({wanted})"
)]
pub struct PlatformMismatch {
    /// The name that was asked for.
    pub reference: String,
    /// The image's platform.
    pub actual: String,
    /// The caller's.
    pub wanted: String,
}

/// The reason not to unpack an image into a directory, or not to mount it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefusal {
    /// The path is relative: to whose directory, nobody knows.
    #[error("is not an absolute path")]
    NotAbsolute,
    /// The path ends in `..`, and there is nothing.
    #[error("has no name that it could be made under")]
    Nameless,
    /// The path is a symlink that leads to nothing.
    #[error("is a symbolic link to what does not exist")]
    DanglingLink,
    /// Something is in it.
    #[error("is not empty")]
    NotEmpty,
    /// A new file system begins there.
    #[error(
        "is not empty: it has the `lost+found` of its file system; choose a directory below it"
    )]
    LostAndFound,
    /// It belongs to the store.
    #[error("lies in the data root `{}`", .0.display())]
    InDataRoot(PathBuf),
    /// The store could not be found any more.
    #[error("has the data root `{}` in it", .0.display())]
    HasDataRoot(PathBuf),
    /// Somebody else put another one in its place.
    #[error("was exchanged by somebody else while it was being made")]
    Exchanged,
}

impl EngineError {
    /// Returns the error with its causes, joined by colons as Docker does it: the text that clients get.
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors name their cause themselves.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        message
    }

    /// Returns what kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Reference(_)
            | Self::Platform(_)
            | Self::InvalidParameter(_)
            | Self::BadArchive(_)
            | Self::ArchiveRead(_)
            | Self::ReservedName
            | Self::PushDigest
            | Self::NotAnImage { .. }
            | Self::UnsupportedMediaType(_)
            | Self::OperatingSystem(_)
            | Self::Manifest { .. }
            | Self::DirectoryRefused { .. }
            | Self::IndexDepth(_)
            | Self::FirstSchema(_)
            | Self::Registry(RegistryError::FirstSchema { .. }) => ErrorKind::InvalidParameter,
            Self::NoSuchImage(_)
            | Self::NoSuchManifest(_)
            | Self::NoReference
            | Self::PlatformMismatch(_)
            | Self::NoLocalRepository(_)
            | Self::NoLocalTag(_)
            | Self::NoTagsToPush(_)
            | Self::ManifestNotFound { .. }
            | Self::RepositoryNotFound { .. }
            | Self::PullDenied { .. }
            | Self::NoImages { .. }
            | Self::NoSuchPlatform { .. }
            | Self::NoMatchingManifest(_) => ErrorKind::NotFound,
            Self::ImageInUse { .. } | Self::ReferenceInUse { .. } | Self::PruneRunning => {
                ErrorKind::Conflict
            }
            Self::Login(error) if error.is_unauthorized() => ErrorKind::Unauthorized,
            Self::Trust(policy::TrustError::Refused(_)) => ErrorKind::Forbidden,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Shared(error) => error.kind(),
            Self::Prune { first, .. } => first.kind(),
            Self::TagsFailed { source, .. } => source.kind(),
            Self::Download(error) | Self::Search(error) => kind_of_request(error),
            Self::Registry(error) => kind_of_refusal(error),
            Self::Trust(policy::TrustError::Policy { .. })
            | Self::ImportLayer(_)
            | Self::ImportUrl { .. }
            | Self::Login(_)
            | Self::NoCredentials
            | Self::AmbiguousId
            | Self::NoExportTarget(_)
            | Self::Config { .. }
            | Self::RootFsMismatch
            | Self::HistoryMismatch
            | Self::Pattern
            | Self::LayerVerification { .. }
            | Self::RegisterLayer(_)
            | Self::ReadLayer { .. }
            | Self::Layer { .. }
            | Self::Missing(_)
            | Self::Sign(_)
            | Self::Open { .. }
            | Self::Directory { .. }
            | Self::Store(_)
            | Self::NoSpace { .. }
            | Self::Internal(_) => ErrorKind::System,
        }
    }
}

/// Returns the kind of what goes wrong with a download or a search.
fn kind_of_request(error: &RegistryError) -> ErrorKind {
    match error {
        RegistryError::DownloadUrl { .. }
        | RegistryError::DownloadRefused { status: 400, .. }
        | RegistryError::SearchScheme { .. }
        | RegistryError::SearchLimit { .. }
        | RegistryError::SecureIndex { .. }
        | RegistryError::InsecureIndex { .. } => ErrorKind::InvalidParameter,
        RegistryError::DownloadRefused { status: 401, .. } => ErrorKind::Unauthorized,
        RegistryError::DownloadRefused { status: 403, .. } => ErrorKind::Forbidden,
        RegistryError::DownloadRefused { status: 404, .. } => ErrorKind::NotFound,
        _ => ErrorKind::System,
    }
}

/// Returns the kind of a refusal by a registry or its token server, which goes by the code of its first error.
fn kind_of_refusal(error: &RegistryError) -> ErrorKind {
    match error.code_status() {
        Some(400) => ErrorKind::InvalidParameter,
        Some(401) => ErrorKind::Unauthorized,
        Some(403) => ErrorKind::Forbidden,
        Some(404) => ErrorKind::NotFound,
        Some(405) => ErrorKind::Unsupported,
        Some(429) => ErrorKind::TooManyRequests,
        Some(503) => ErrorKind::Unavailable,
        _ => ErrorKind::System,
    }
}

/// The result of an operation.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;

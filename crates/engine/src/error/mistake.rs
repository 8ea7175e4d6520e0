//! Mistakes in a request, or in what it leads to.

use archive::ArchiveError;
use spec::Digest;

/// A parameter that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// A tag is to be made of a reference by digest.
    #[error("refusing to create a tag with a digest reference")]
    TagOfDigest,
    /// A repository is to be called as the algorithm of IDs.
    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    AmbiguousTag,
    /// The config of an image has a digest that is no image's ID.
    #[error("image config {0} cannot name an image: image IDs are sha256")]
    ConfigAlgorithm(Digest),
    /// Several platforms of an image that is for one.
    #[error("multiple platforms are not supported")]
    SeveralPlatforms,
    /// An index lists an index, whose manifests nobody shows.
    #[error("unsupported manifest type: an index within an index")]
    NestedIndex,
    /// The manifests that an index lists are too large together.
    #[error("the manifests of {name} are larger than {max} bytes")]
    ManifestsTooLarge {
        /// The index, familiar.
        name: String,
        /// The bound in bytes.
        max: u64,
    },
    /// Something is to be deleted at a registry, and the name does not say which: a tag, or a manifest.
    #[error(
        "{0} does not say what to delete: give a tag (NAME:TAG) or a digest (NAME@DIGEST), and not both"
    )]
    NeitherTagNorDigest(String),
    /// A registry does not take a blob over from another of its repositories; the sentence is docker's.
    #[error("error mounting {0}")]
    NotMounted(String),
    /// An image's list of users or groups cannot be read.
    #[error("{path}: {error}")]
    UserFile {
        /// The file, below the image's root.
        path: String,
        /// The fault in it.
        error: ArchiveError,
    },
    /// A user of an image is in too many groups.
    #[error("user {user} is in more than the {max} groups that Linux takes")]
    TooManyGroups {
        /// The name, as the image's config has it.
        user: String,
        /// The bound.
        max: usize,
    },
    /// A user or group ID that no runtime takes.
    #[error("user or group ID {0} is out of range")]
    IdOutOfRange(String),
    /// An image has no user of a name.
    #[error("unable to find user {0}: no matching entries in the image's passwd file")]
    NoUser(String),
    /// An image has no group of a name.
    #[error("unable to find group {0}: no matching entries in the image's group file")]
    NoGroup(String),
    /// An import is for a system whose layers cannot be made here.
    #[error("operating system is not supported")]
    ImportPlatform,
    /// A change of an import cannot be read; the sentence is dockerd's.
    #[error("{0}")]
    Change(String),
}

//! Faults of an archive of images.

use spec::{DiffId, ImageId};

/// A fault of an archive of images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadArchive {
    /// Nothing in it says which images it has.
    #[error("invalid archive: does not contain a manifest.json")]
    NoList,
    /// `manifest.json` or `index.json` cannot be read.
    #[error("invalid archive: failed to decode {file}: {error}")]
    List {
        /// Its name in the archive.
        file: &'static str,
        /// The fault in it.
        error: serde_json::Error,
    },
    /// `manifest.json` is `null`.
    #[error("invalid manifest, manifest cannot be null (but can be [])")]
    NullList,
    /// A layer is not what the config says.
    #[error("invalid diffID for layer {index}: expected \"{expected}\", got \"{actual}\"")]
    DiffId {
        /// The layer's number, from 0.
        index: usize,
        /// The config's diff ID.
        expected: DiffId,
        /// That of the layer in the archive.
        actual: DiffId,
    },
    /// An image is listed with more or fewer layers than its config has.
    #[error("invalid manifest, layers length mismatch: expected {listed}, got {configured}")]
    LayerCount {
        /// Layers of the list.
        listed: usize,
        /// Layers of the config.
        configured: usize,
    },
    /// An image was not built from the one that is listed as its parent.
    #[error("image {parent} is not a valid parent for {image}")]
    Parent {
        /// The one that names a parent.
        image: ImageId,
        /// The listed parent.
        parent: ImageId,
    },
    /// An image for a system whose layers cannot be unpacked here.
    #[error("cannot load {0} image on linux")]
    OperatingSystem(String),
    /// A name without a tag.
    #[error("invalid tag \"{0}\"")]
    Tag(String),
    /// A file is not what its path says.
    #[error("invalid archive: the content of {0} does not match its digest")]
    Content(String),
    /// A file is larger than any of its kind.
    #[error("invalid archive: {name} has {size} bytes, more than the {max} that are accepted")]
    FileTooLarge {
        /// The file.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// More entries, or longer names, than any archive has.
    #[error("invalid archive: it has more than {0} entries")]
    TooManyEntries(usize),
    /// A hard link leads to nothing.
    #[error("invalid archive: a hard link to {0}, which is not there")]
    HardLink(String),
    /// A file is missing, in Go's words.
    #[error("open {0}: no such file or directory")]
    NoFile(String),
    /// A path is longer than any, in Go's words.
    #[error("open {0}...: file name too long")]
    LongPath(String),
    /// The archive is cut off, in Go's words.
    #[error("unexpected EOF")]
    CutOff,
}

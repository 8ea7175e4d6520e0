//! Faults of an archive of images.

use std::collections::BTreeMap;
use std::fmt;

use spec::go::{LIST_DIGITS, human_bytes};
use spec::{DiffId, Digest, ImageId, Reference};

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
    /// The bytes of a layer came in a stream, and neither what was unpacked of them nor what is here gives them once more.
    #[error("the bytes of layer {digest} have gone by: load the archive from a file")]
    GoneBy {
        /// The digest that they are wanted by.
        digest: Digest,
        /// The fault in what there is.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is not what its path says.
    #[error("invalid archive: the content of {0} does not match its digest")]
    Content(String),
    /// A document is a tar.
    #[error("invalid archive: {0} is an archive itself")]
    Layer(String),
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
    /// An index lists what is not there, or not all of it.
    #[error("invalid archive: not all that its index lists is there, missing: {0}")]
    Incomplete(String),
    /// No image of it is for a platform that is wanted.
    #[error("no matching manifest for {wanted} in the archive, which has {offered}")]
    NoPlatform {
        /// The platforms that are wanted.
        wanted: String,
        /// Those that there are.
        offered: String,
    },
    /// A hard link leads to nothing.
    #[error("invalid archive: a hard link to {0}, which is not there")]
    HardLink(String),
    /// A file is missing, in Go's words.
    #[error("open {0}: no such file or directory")]
    NoFile(String),
    /// Layers are neither in the archive, which counts on them, nor here.
    #[error("{0}")]
    LeftOut(LeftOutLayers),
    /// A layer is missing, and the document that may say whose it is cannot be read.
    #[error("{missing}; which images the archive was made for cannot be told: {reason}")]
    Untold {
        /// The file that is missing.
        missing: Box<BadArchive>,
        /// Fault in the document.
        reason: Box<BadArchive>,
    },
    /// A path is longer than any, in Go's words.
    #[error("open {0}...: file name too long")]
    LongPath(String),
    /// The archive is cut off, in Go's words.
    #[error("unexpected EOF")]
    CutOff,
}

/// Layers that an archive was made without, for somebody who has other images that have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOutLayers {
    /// The number of all that are not here.
    pub count: usize,
    /// The first of them: digest and size of their files, and the image that has them.
    pub layers: Vec<(Digest, u64, ImageId)>,
    /// These images, with some of their names.
    pub images: BTreeMap<ImageId, Vec<Reference>>,
}

impl fmt::Display for LeftOutLayers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, are) = if self.count == 1 { ("a layer", "is") } else { ("layers", "are") };
        let short = |(id, names): (&ImageId, &Vec<Reference>)| {
            names.first().map_or_else(|| id.to_string(), Reference::familiar)
        };
        let images: Vec<String> = self.images.iter().map(short).collect();
        let images = images.join(" and ");
        write!(
            formatter,
            "the archive leaves out {what} that {are} not here: load or pull {images} first"
        )?;
        for (digest, size, id) in &self.layers {
            let size = human_bytes(*size, LIST_DIGITS);
            write!(formatter, "\nlayer {digest} ({size}) of image {id}")?;
            let names = self.images.get(id).into_iter().flatten().map(Reference::familiar);
            let names: Vec<String> = names.collect();
            if !names.is_empty() {
                write!(formatter, ", which was called {}", names.join(", "))?;
            }
        }
        match self.count.checked_sub(self.layers.len()) {
            None | Some(0) => Ok(()),
            Some(more) => write!(formatter, "\nand {more} more"),
        }
    }
}

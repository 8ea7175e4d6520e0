//! Changes that a comparison finds, and their sums.

use std::sync::Arc;

use archive::LayerFile;

/// Sums of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files that are new.
    pub added: Sum,
    /// Files that were there and are different; the bytes are what they grew by.
    pub changed: Sum,
    /// Files that are gone.
    pub removed: Sum,
}

/// A number of files, and the bytes of their contents. What has several names is counted once in the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The number of files.
    pub files: u64,
    /// The bytes in them.
    pub bytes: i64,
}

/// A file that differs.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its path from the image's root, without a slash at the beginning.
    pub path: Arc<[u8]>,
    /// The file that was there.
    pub before: Option<Arc<LayerFile>>,
    /// The file that is there.
    pub after: Option<Arc<LayerFile>>,
    /// The differences, if both are there.
    pub aspects: Vec<Aspect>,
    /// The place of the layer that brought the change; `None` if the image never had the file.
    pub layer: Option<usize>,
}

/// A property in which two files differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// File, directory, link and so on.
    Kind,
    /// The bytes of a file.
    Content,
    /// The target of a symbolic link, or the number of a device.
    Target,
    /// Permissions.
    Mode,
    /// User or group.
    Owner,
    /// The time of the last change.
    Modified,
    /// Extended attributes.
    Attributes,
}

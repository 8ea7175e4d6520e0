//! The names of the drivers.

use std::fmt;
use std::str::FromStr;

/// The most layers of an image: dockerd's layer store refuses more, and could not run such an image.
const MAX_LAYERS: usize = 125;

/// A way to keep layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// Unpacked, for overlayfs, as dockerd does. Needs root.
    Overlay2,
    /// Not unpacked: the compressed blobs are the only copy. Works anywhere.
    Packed,
}

impl DriverKind {
    /// Returns the most layers that an image may have, where there is such a bound.
    pub fn max_layers(self) -> Option<usize> {
        match self {
            Self::Overlay2 => Some(MAX_LAYERS),
            Self::Packed => None,
        }
    }

    /// Returns the name, which is also that of the directory below `image/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlay2 => "overlay2",
            Self::Packed => "packed",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DriverKind {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        match name {
            "overlay2" => Ok(Self::Overlay2),
            "packed" => Ok(Self::Packed),
            _ => Err(UnknownDriver(name.to_owned())),
        }
    }
}

/// No such driver, or one that only dockerd has.
#[derive(Debug, thiserror::Error)]
#[error("storage driver `{0}` is not supported: use overlay2 or packed")]
pub struct UnknownDriver(String);

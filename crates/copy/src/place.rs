//! Places as a user writes them, spelt as skopeo does.

use std::fmt;

use spec::{Reference, ReferenceError};

/// The transports of skopeo, podman and buildah.
const TRANSPORTS: [&str; 11] = [
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
    "store",
    "tarball",
];

/// A place of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `docker://NAME[:TAG|@DIGEST]`, or the name alone: a registry.
    Registry(Reference),
}

/// A fault of a text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No reference behind `docker://`, or no transport at all.
    #[error("invalid image name {text:?}: {source}")]
    Reference {
        /// The text.
        text: String,
        /// The cause.
        source: ReferenceError,
    },
    /// A transport that Longshore has not.
    #[error(
        "invalid image name {text:?}: longshore cannot copy from or to {transport}:; use docker://"
    )]
    Transport {
        /// The text.
        text: String,
        /// The part before the colon.
        transport: String,
    },
}

impl Place {
    /// Parses a place.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (transport, rest) = match text.split_once(':') {
            Some((transport, rest)) if TRANSPORTS.contains(&transport) => (transport, rest),
            _ => ("", text),
        };
        let name = match transport {
            "" => text,
            "docker" => rest.strip_prefix("//").unwrap_or(text),
            _ => {
                let (text, transport) = (text.to_owned(), transport.to_owned());
                return Err(PlaceError::Transport { text, transport });
            }
        };
        let reference = Reference::parse_familiar(name);
        let wrong = |source| PlaceError::Reference { text: text.to_owned(), source };
        reference.map(Self::Registry).map_err(wrong)
    }

    /// Returns the host of a registry, if it is at one.
    pub fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => Some(reference.repository().domain()),
        }
    }

    /// Says whether it names a repository and none of its images.
    pub fn is_name_only(&self) -> bool {
        match self {
            Self::Registry(reference) => reference.is_name_only(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "docker://{reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spelt_as_skopeo_does() {
        for (text, expected) in [
            ("docker://alpine", "docker://docker.io/library/alpine"),
            ("alpine:3", "docker://docker.io/library/alpine:3"),
            // The image of that name.
            ("docker:24", "docker://docker.io/library/docker:24"),
            ("localhost:5000/a:1", "docker://localhost:5000/a:1"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, expected) in [
            ("docker://", "invalid reference format"),
            ("sif:x", "cannot copy from or to sif:"),
            ("A", "must be lowercase"),
        ] {
            let error = Place::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

//! Places as a user writes them, spelt as skopeo does.

use std::fmt;
use std::path::PathBuf;

use spec::{Digest, Reference, ReferenceError};

/// The transports of skopeo, podman and buildah.
const TRANSPORTS: [&str; 10] = [
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
    "tarball",
];

/// The file that is standard input or output.
const STANDARD: &str = "-";
/// The longest name of an image in a layout.
const MAX_NAME: usize = 1024;

/// The beginnings of digests.
const ALGORITHMS: [&str; 2] = ["sha256:", "sha512:"];

/// A place of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `docker://NAME[:TAG|@DIGEST]`, or the name alone: a registry.
    Registry(Reference),
    /// `oci:FOLDER[:NAME|@DIGEST]`: an OCI image layout.
    Layout(PathBuf, Selection),
    /// `dir:FOLDER`: a folder with one image.
    Directory(PathBuf),
    /// `oci-archive:FILE[:NAME|@DIGEST]`: an image layout in a tar. Without a file it is standard input or output.
    OciArchive(Option<PathBuf>, Selection),
    /// `docker-archive:FILE[:NAME[:TAG]]`: what `docker save` writes. Without a file it is standard input or output.
    DockerArchive(Option<PathBuf>, Option<Reference>),
    /// `docker-daemon:NAME[:TAG]`: the images of a daemon, or of the store of this process.
    Daemon(Reference),
}

/// An image of several in a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The only one.
    Only,
    /// The one with this name.
    Name(String),
    /// The one with this digest.
    Digest(Digest),
}

impl Selection {
    /// Returns the name, if it is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Only | Self::Digest(_) => None,
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Name(name) => write!(f, ":{name}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// A fault of a text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No reference behind `docker://`, or no transport at all.
    #[error("invalid image name {text:?}: {source}")]
    Reference {
        /// The whole name, as it was given.
        text: String,
        /// The cause.
        source: ReferenceError,
    },
    /// A transport that Longshore has not.
    #[error(
        "invalid image name {text:?}: longshore cannot copy from or to {transport}:; use docker://, oci:, oci-archive:, \
         docker-archive:, dir: or docker-daemon:"
    )]
    Transport {
        /// The whole name, as it was given.
        text: String,
        /// The part before the colon.
        transport: String,
    },
    /// No file or folder behind the transport.
    #[error("invalid image name {text:?}: it names no file or folder")]
    Path {
        /// The whole name, as it was given.
        text: String,
    },
    /// No name of an image in a layout behind the folder.
    #[error(
        "invalid image name {text:?}: no name or digest of an image is behind the file or folder"
    )]
    Name {
        /// The whole name, as it was given.
        text: String,
    },
    /// A digest that is none, or behind a name.
    #[error(
        "invalid image name {text:?}: behind the file or folder stands a name or a whole digest, and not both"
    )]
    LayoutDigest {
        /// The whole name, as it was given.
        text: String,
    },
    /// A digest of an image in an archive that has names alone.
    #[error(
        "invalid image name {text:?}: an archive for docker has names and no digests; give NAME:TAG, or use oci-archive:"
    )]
    ArchiveDigest {
        /// The whole name, as it was given.
        text: String,
    },
    /// A digest where a name is to be written.
    #[error(
        "invalid destination {text:?}: the digest of a copy is that of its source and cannot be chosen; give a name, or none"
    )]
    TargetDigest {
        /// The whole name, as it was given.
        text: String,
    },
}

impl Place {
    /// Parses a place. `-` is an archive at standard input or output.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text == STANDARD {
            return Ok(Self::DockerArchive(None, None));
        }
        let (transport, rest) = match text.split_once(':') {
            // Without the slashes it is the image of that name.
            Some(("docker", rest)) if !rest.starts_with("//") => ("", text),
            Some((transport, rest)) if TRANSPORTS.contains(&transport) => (transport, rest),
            _ => ("", text),
        };
        let reference = |name: &str| {
            let wrong = |source| PlaceError::Reference { text: text.to_owned(), source };
            Reference::parse_familiar(name).map_err(wrong)
        };
        let file = |path: &str| match path {
            "" => Err(PlaceError::Path { text: text.to_owned() }),
            STANDARD => Ok(None),
            path => Ok(Some(PathBuf::from(path))),
        };
        let folder = |path: &str| match path {
            "" => Err(PlaceError::Path { text: text.to_owned() }),
            path => Ok(PathBuf::from(path)),
        };
        match transport {
            "" => reference(text).map(Self::Registry),
            "docker" => reference(rest.trim_start_matches("//")).map(Self::Registry),
            "docker-daemon" => reference(rest).map(|name| Self::Daemon(name.with_default_tag())),
            "dir" => folder(rest).map(Self::Directory),
            "oci" => {
                let (path, selection) = selection(text, rest)?;
                Ok(Self::Layout(folder(path)?, selection))
            }
            "oci-archive" => {
                let (path, selection) = selection(text, rest)?;
                Ok(Self::OciArchive(file(path)?, selection))
            }
            "docker-archive" => {
                let (path, name) = match rest.split_once(':') {
                    Some((path, name)) => (path, Some(reference(name)?.with_default_tag())),
                    None => (rest, None),
                };
                if name.as_ref().is_some_and(|name| name.digest().is_some()) {
                    return Err(PlaceError::ArchiveDigest { text: text.to_owned() });
                }
                Ok(Self::DockerArchive(file(path)?, name))
            }
            transport => Err(PlaceError::Transport {
                text: text.to_owned(),
                transport: transport.to_owned(),
            }),
        }
    }

    /// Parses a place to write to.
    pub fn parse_target(text: &str) -> Result<Self, PlaceError> {
        let place = Self::parse(text)?;
        match &place {
            Self::Layout(_, Selection::Digest(_)) | Self::OciArchive(_, Selection::Digest(_)) => {}
            Self::Daemon(name) if name.digest().is_some() => {}
            _ => return Ok(place),
        }
        Err(PlaceError::TargetDigest { text: text.to_owned() })
    }

    /// Returns the host of a registry, if it is at one.
    pub fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => Some(reference.repository().domain()),
            _ => None,
        }
    }

    /// Says whether it is standard input or output.
    pub fn is_standard(&self) -> bool {
        matches!(self, Self::OciArchive(None, _) | Self::DockerArchive(None, _))
    }

    /// Says whether it names a repository, or a layout, and none of its images.
    pub fn is_name_only(&self) -> bool {
        match self {
            Self::Registry(reference) => reference.is_name_only(),
            Self::Layout(_, selection) => *selection == Selection::Only,
            _ => false,
        }
    }

    /// Says whether it may have several images, and names none of them.
    pub fn may_list(&self) -> bool {
        match self {
            Self::OciArchive(_, selection) => *selection == Selection::Only,
            Self::DockerArchive(_, name) => name.is_none(),
            _ => self.is_name_only(),
        }
    }

    /// Returns the file or folder that a copy to there replaces: one name for each, whoever has it.
    pub(crate) fn whole_file(&self) -> Option<PathBuf> {
        let path = match self {
            Self::OciArchive(file, _) | Self::DockerArchive(file, _) => file.as_ref()?,
            Self::Directory(folder) => folder,
            Self::Registry(_) | Self::Layout(..) | Self::Daemon(_) => return None,
        };
        // Without a working directory it stays as it is.
        Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
    }

    /// Says whether several images may be written there, each under a tag of its own.
    pub fn takes_many(&self) -> bool {
        matches!(self, Self::OciArchive(_, Selection::Only)) || self.is_name_only()
    }
}

/// Splits a path from the image behind it.
fn selection<'t>(text: &str, rest: &'t str) -> Result<(&'t str, Selection), PlaceError> {
    let wrong = || PlaceError::Name { text: text.to_owned() };
    // A path may hold an `@`; what is behind the last one is a digest or part of the path.
    if let Some((path, behind)) = rest.rsplit_once('@') {
        match behind.parse() {
            Ok(digest) if !path.contains(':') => return Ok((path, Selection::Digest(digest))),
            Err(_) if !ALGORITHMS.iter().any(|name| behind.starts_with(name)) => {}
            _ => return Err(PlaceError::LayoutDigest { text: text.to_owned() }),
        }
    }
    let Some((path, name)) = rest.split_once(':') else { return Ok((rest, Selection::Only)) };
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(wrong());
    }
    Ok((path, Selection::Name(name.to_owned())))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |file: &Option<PathBuf>| match file {
            Some(path) => path.display().to_string(),
            None => STANDARD.to_owned(),
        };
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout(folder, selection) => write!(f, "oci:{}{selection}", folder.display()),
            Self::Directory(folder) => write!(f, "dir:{}", folder.display()),
            Self::OciArchive(file, selection) => {
                write!(f, "oci-archive:{}{selection}", shown(file))
            }
            Self::DockerArchive(file, Some(name)) => {
                write!(f, "docker-archive:{}:{}", shown(file), name.familiar())
            }
            Self::DockerArchive(file, None) => write!(f, "docker-archive:{}", shown(file)),
            Self::Daemon(name) => write!(f, "docker-daemon:{}", name.familiar()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str =
        "oci:a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn places_are_spelt_as_skopeo_does() {
        for (text, expected) in [
            ("docker://alpine", "docker.io/library/alpine"),
            ("alpine:3", "docker.io/library/alpine:3"),
            // The image of that name.
            ("docker:24", "docker.io/library/docker:24"),
            ("localhost:5000/a:1", "localhost:5000/a:1"),
            ("oci:/a/b", "oci:/a/b"),
            ("oci:a@b:x", "oci:a@b:x"),
            ("oci:a:r.example/x:1", "oci:a:r.example/x:1"),
            (LONG, LONG),
            ("dir:a:b", "dir:a:b"),
            ("-", "docker-archive:-"),
            ("oci-archive:-", "oci-archive:-"),
            ("oci-archive:x.tar:1", "oci-archive:x.tar:1"),
            ("docker-archive:x.tar:a/b", "docker-archive:x.tar:a/b:latest"),
            ("docker-daemon:alpine", "docker-daemon:alpine:latest"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, expected) in [
            ("docker://", "invalid reference format"),
            ("oci:", "names no file or folder"),
            ("oci:a:", "no name or digest"),
            ("dir:", "names no file or folder"),
            ("docker-archive:x:A", "must be lowercase"),
            (
                "oci:a:b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "and not both",
            ),
            ("oci:a@sha256:e3b0", "a whole digest"),
            (
                "docker-archive:x:a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "no digests",
            ),
            ("sif:x", "cannot copy from or to sif:"),
            ("A", "must be lowercase"),
        ] {
            let error = Place::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let digest = &LONG["oci:a".len()..];
        for text in [LONG, &format!("oci-archive:a{digest}"), &format!("docker-daemon:a{digest}")] {
            let error = Place::parse_target(text).unwrap_err().to_string();
            assert!(error.contains("cannot be chosen"), "{error}");
        }
        assert!(Place::parse_target(&format!("r.example/a{digest}")).is_ok());
    }
}

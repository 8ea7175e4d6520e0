//! Faults of a file of copies.

use std::path::Path;

use spec::PlatformError;

use super::version::RangeError;
use crate::{ConversionError, PatternError, Place, PlaceError};

/// The most entries of a file, and of a list in it: each is written by hand or made of a list of repositories.
pub(super) const MAX_ENTRIES: usize = 10_000;
/// The longest regular expression: tags have 128 characters.
pub(super) const MAX_REGEX: usize = 1000;

/// The language of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A table `[[copy]]` for each entry.
    Toml,
    /// A list of entries below `copy`.
    Yaml,
}

impl Syntax {
    /// Returns the language by the file's name: YAML for `.yaml` and `.yml`, TOML for others.
    pub fn of(path: &Path) -> Self {
        let is_yaml = path.extension().is_some_and(|it| it == "yaml" || it == "yml");
        if is_yaml { Self::Yaml } else { Self::Toml }
    }
}

/// A fault of a file, its line, and the key that it is at.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {}{fault}", key.map(|key| format!("{key}: ")).unwrap_or_default())]
pub struct SyncError {
    pub(super) line: usize,
    key: Option<&'static str>,
    fault: Box<Fault>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Syntax(String),
    #[error("unknown key {found:?}{}", near.map(|near| format!("; {near:?} is one")).unwrap_or_default())]
    Key { found: String, near: Option<&'static str> },
    #[error(
        "this is a file of skopeo's, which names no targets: make each repository an entry of \"copy\", with \"tags\" for the list \
         in \"images\", \"tags-regex\" for \"images-by-tag-regex\" and \"versions\" for \"images-by-semver\"; log in with `longshore login`"
    )]
    Skopeo,
    #[error("the key {0:?} stands twice")]
    Twice(String),
    #[error("{key:?} is to be {wanted}")]
    Kind { key: &'static str, wanted: &'static str },
    #[error("{0:?} is missing")]
    Missing(&'static str),
    #[error("more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error("a source with a tag or digest is one image: it has no tags to choose from")]
    Tags,
    #[error(
        "with more than one image the target is a repository, a layout or an oci-archive:, without a tag: {0}"
    )]
    Target(Place),
    #[error(
        "{0}: an entry before has this file or directory as its target, too, and one would replace the other: give each its own"
    )]
    SameFile(Place),
    #[error(
        "{0}: a file of copies names no daemon, and neither standard input nor output; use `longshore copy` for these"
    )]
    Stream(Place),
    #[error(
        "referrers are about digests, which compression and format change: one goes without the other"
    )]
    Referrers,
    #[error("invalid regular expression {text:?}: {source}")]
    Regex { text: String, source: regex_lite::Error },
    #[error("a regular expression has more than {MAX_REGEX} characters")]
    RegexLength,
    #[error(transparent)]
    Range(#[from] RangeError),
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl SyncError {
    pub(super) fn new(line: usize, fault: impl Into<Fault>) -> Self {
        Self { line, key: None, fault: Box::new(fault.into()) }
    }

    pub(super) fn at(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }
}

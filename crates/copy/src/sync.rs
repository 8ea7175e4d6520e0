//! The file of `sync`: what is to be where.
//!
//! ```toml
//! [[copy]]
//! source = "registry.example/lib/alpine"
//! targets = ["mirror.example/alpine", "oci:/srv/alpine"]
//! tags = ["3.*", "latest"]
//! except = ["*-rc*"]
//! platforms = ["linux/amd64", "linux/arm64"]
//! referrers = true # or, as these make other digests: compression = "zstd", format = "oci"
//! ```

use spec::{Platform, PlatformError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Conversion, ConversionError, Pattern, PatternError, Place, PlaceError};

/// The most entries of a file, and of a list in it: each is written by hand or made of a list of repositories.
const MAX_ENTRIES: usize = 10_000;

/// Images of one source, for some targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The source: an image, or a repository with all its tags.
    pub source: Place,
    /// The places that its images go to.
    pub targets: Vec<Place>,
    /// Of these patterns one must fit a tag; none fit all.
    pub tags: Vec<Pattern>,
    /// Of these none may fit.
    pub except: Vec<Pattern>,
    /// The platforms; all if there are none.
    pub platforms: Vec<Platform>,
    /// True if what refers to its images is copied as well.
    pub referrers: bool,
    /// The changes that are asked for.
    pub conversion: Option<Conversion>,
}

/// A fault of a file, and its line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct SyncError {
    line: usize,
    fault: Box<Fault>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Toml(String),
    #[error("unknown key {0:?}")]
    Key(String),
    #[error("{key:?} is to be {wanted}")]
    Kind { key: &'static str, wanted: &'static str },
    #[error("{0:?} is missing")]
    Missing(&'static str),
    #[error("more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error("a source with a tag or digest is one image: it has no tags to choose from")]
    Tags,
    #[error("with more than one image the target is a repository or a layout, without a tag: {0}")]
    Target(Place),
    #[error(
        "{0}: a file of copies names no daemon, and neither standard input nor output; use `longshore copy` for these"
    )]
    Stream(Place),
    #[error(
        "referrers are about digests, which compression and format change: one goes without the other"
    )]
    Referrers,
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl Entry {
    /// Says whether not one image is meant but those of a repository.
    pub fn is_repository(&self) -> bool {
        let chooses = !(self.tags.is_empty() && self.except.is_empty());
        // An archive is one image for the most part.
        self.source.is_name_only() || chooses && self.source.may_list()
    }

    /// Says whether a tag is to be copied.
    pub fn wants(&self, tag: &str) -> bool {
        let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(tag));
        (self.tags.is_empty() || fits(&self.tags)) && !fits(&self.except)
    }

    /// Reads all entries of a file.
    pub fn parse(text: &str) -> Result<Vec<Self>, SyncError> {
        let file = File { text };
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            file.fault(at, Fault::Toml(error.message().to_owned()))
        })?;
        let mut entries = Vec::new();
        for (key, value) in root.get_ref() {
            let at = value.span().start;
            if key.get_ref() != "copy" {
                let key = key.get_ref().to_string();
                return Err(file.fault(at, Fault::Key(key)));
            }
            let wrong = || Fault::Kind { key: "copy", wanted: "a table: [[copy]]" };
            let DeValue::Array(tables) = value.get_ref() else {
                return Err(file.fault(at, wrong()));
            };
            if tables.len() > MAX_ENTRIES {
                return Err(file.fault(at, Fault::TooMany));
            }
            for table in tables {
                let at = table.span().start;
                let DeValue::Table(fields) = table.get_ref() else {
                    return Err(file.fault(at, wrong()));
                };
                entries.push(file.entry(at, fields)?);
            }
        }
        if entries.is_empty() {
            return Err(file.fault(0, Fault::Missing("[[copy]]")));
        }
        Ok(entries)
    }
}

fn source_place(text: &str) -> Result<Place, Fault> {
    file_or_registry(Place::parse(text)?)
}

fn target_place(text: &str) -> Result<Place, Fault> {
    file_or_registry(Place::parse_target(text)?)
}

/// Refuses what a command has once alone, or asks an engine for.
fn file_or_registry(place: Place) -> Result<Place, Fault> {
    if place.is_standard() || matches!(place, Place::Daemon(_)) {
        return Err(Fault::Stream(place));
    }
    Ok(place)
}

/// A file, for the lines of its faults.
struct File<'a> {
    text: &'a str,
}

impl File<'_> {
    fn fault(&self, at: usize, fault: impl Into<Fault>) -> SyncError {
        let before = self.text.as_bytes().iter().take(at);
        SyncError {
            line: before.filter(|byte| **byte == b'\n').count() + 1,
            fault: Box::new(fault.into()),
        }
    }

    fn entry(&self, at: usize, fields: &DeTable<'_>) -> Result<Entry, SyncError> {
        let (mut source, mut referrers) = (None, false);
        let (mut compression, mut format) = (None, None);
        let (mut targets, mut tags, mut except, mut platforms) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, value) in fields {
            match &**key.get_ref() {
                "source" => source = self.list("source", value, source_place)?.pop(),
                "target" => targets.extend(self.list("target", value, target_place)?),
                "targets" => targets.extend(self.list("targets", value, target_place)?),
                "tags" => tags = self.list("tags", value, str::parse::<Pattern>)?,
                "except" => except = self.list("except", value, str::parse::<Pattern>)?,
                "platforms" => platforms = self.list("platforms", value, Platform::parse)?,
                "compression" => compression = self.list("compression", value, str::parse)?.pop(),
                "format" => format = self.list("format", value, str::parse)?.pop(),
                "referrers" => {
                    let DeValue::Boolean(wanted) = value.get_ref() else {
                        let wrong = Fault::Kind { key: "referrers", wanted: "true or false" };
                        return Err(self.fault(value.span().start, wrong));
                    };
                    referrers = *wanted;
                }
                other => return Err(self.fault(value.span().start, Fault::Key(other.to_owned()))),
            }
        }
        let source = source.ok_or_else(|| self.fault(at, Fault::Missing("source")))?;
        if targets.is_empty() {
            return Err(self.fault(at, Fault::Missing("target")));
        }
        let conversion = Conversion::new(compression, format);
        let conversion = conversion.map_err(|error| self.fault(at, error))?;
        if referrers && conversion.is_some() {
            return Err(self.fault(at, Fault::Referrers));
        }
        let entry = Entry { source, targets, tags, except, platforms, referrers, conversion };
        if entry.is_repository() {
            if let Some(target) = entry.targets.iter().find(|target| !target.takes_many()) {
                return Err(self.fault(at, Fault::Target(target.clone())));
            }
        } else if !(entry.tags.is_empty() && entry.except.is_empty()) {
            return Err(self.fault(at, Fault::Tags));
        }
        Ok(entry)
    }

    /// Reads a text, or a list of texts.
    fn list<T, E: Into<Fault>>(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, SyncError> {
        let one = |value: &Spanned<DeValue<'_>>| {
            let at = value.span().start;
            let wrong = Fault::Kind { key, wanted: "a text, or a list of texts" };
            match value.get_ref() {
                DeValue::String(text) => read(text).map_err(|error| self.fault(at, error)),
                _ => Err(self.fault(at, wrong)),
            }
        };
        match value.get_ref() {
            DeValue::Array(values) if values.len() > MAX_ENTRIES => {
                Err(self.fault(value.span().start, Fault::TooMany))
            }
            DeValue::Array(values) if key.ends_with('s') || key == "except" => {
                values.iter().map(one).collect()
            }
            _ => one(value).map(|value| vec![value]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = r#"
# what we mirror
[[copy]]
source = "r.example/a"
targets = ["m.example/a", "oci:/srv/a"]
tags = ["1.*", "latest"]
except = "*-rc*"
platforms = ["linux/amd64", "linux/arm64"]
referrers = true

[[copy]]
source = "r.example/b:1"
target = "m.example/b:2"
"#;
        let entries = Entry::parse(text).unwrap();
        assert_eq!(entries.len(), 2);
        let [first, second] = &entries[..] else { panic!() };
        assert_eq!(first.targets.len(), 2);
        assert!(first.referrers && !second.referrers);
        assert_eq!(first.platforms.len(), 2);
        let wanted = ["1.0", "1.1-rc2", "latest", "2.0"].map(|tag| first.wants(tag));
        assert_eq!(wanted, [true, false, true, false]);
        assert!(first.is_repository() && !second.is_repository());
        assert_eq!(second.targets[0].to_string(), "docker://m.example/b:2");
    }

    #[test]
    fn faults_are_told_with_their_lines() {
        let entry = |rest: &str| format!("[[copy]]\nsource = \"r.example/a\"\n{rest}\n");
        for (text, expected) in [
            (String::new(), "line 1: \"[[copy]]\" is missing"),
            ("copy = 1".to_owned(), "line 1: \"copy\" is to be a table: [[copy]]"),
            ("\nx = 1".to_owned(), "line 2: unknown key \"x\""),
            ("[[copy]]\ntarget = \"a.b/c\"".to_owned(), "line 1: \"source\" is missing"),
            (entry(""), "line 1: \"target\" is missing"),
            (entry("target = \"A\""), "line 3: invalid image name \"A\""),
            (entry("target = 1"), "line 3: \"target\" is to be a text, or a list of texts"),
            (entry("target = \"a.b/c\"\nreferrers = 1"), "line 4: \"referrers\" is to be true or"),
            (entry("target = \"m.example/a:1\""), "without a tag: docker://m.example/a:1"),
            (entry("target = \"m.example/a\"\ntags = [\"[\"]"), "line 4: invalid pattern"),
            (entry("target = \"m.example/a\"\nplatforms = \"*\""), "line 4: \"*\": wildcards"),
            (entry("target = \"-\""), "line 3: docker-archive:-: a file of copies names no daemon"),
            (entry("target = \"docker-daemon:a\""), "line 3: docker-daemon:a:latest: a file"),
            ("a = [".to_owned(), "line 1: "),
        ] {
            let error = Entry::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

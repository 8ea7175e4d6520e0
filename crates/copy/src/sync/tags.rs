//! The tags of a repository that are wanted.

use std::fmt;

use regex_lite::Regex;
use spec::Tag;

use super::version::{Range, Tagged};
use crate::Pattern;

/// A choice among tags: what is said under several keys must all hold, and of each key's list one.
#[derive(Clone, Debug, Default)]
pub struct TagChoice {
    pub(super) patterns: Vec<Pattern>,
    pub(super) regexes: Vec<Regex>,
    pub(super) versions: Vec<Range>,
    pub(super) except: Vec<Pattern>,
    pub(super) except_regexes: Vec<Regex>,
    pub(super) latest: Option<usize>,
    /// The keys and their values, as they are told.
    pub(super) words: Vec<String>,
}

impl fmt::Display for TagChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join("; "))
    }
}

impl TagChoice {
    /// Says whether it is all tags.
    pub(super) fn is_any(&self) -> bool {
        self.patterns.is_empty()
            && self.regexes.is_empty()
            && self.versions.is_empty()
            && self.except.is_empty()
            && self.except_regexes.is_empty()
            && self.latest.is_none()
    }

    /// Says whether tags are told by their texts.
    pub fn is_by_text(&self) -> bool {
        !self.patterns.is_empty() || !self.regexes.is_empty()
    }

    /// Returns the newest of what is wanted, where only some of the newest are; else all, in its order.
    pub fn newest<T>(&self, wanted: Vec<(Tag, T)>) -> Vec<(Tag, T)> {
        let Some(latest) = self.latest else { return wanted };
        let versioned = wanted
            .into_iter()
            .filter_map(|image| Some((self.version(image.0.as_str())?.version, image)));
        let mut versioned: Vec<_> = versioned.collect();
        versioned.sort_by(|(one, _), (other, _)| other.cmp(one));
        versioned.into_iter().take(latest).map(|(_, image)| image).collect()
    }

    /// Says whether a tag is wanted, as far as it alone tells.
    pub fn wants(&self, tag: &str) -> bool {
        let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(tag));
        let matches = |regexes: &[Regex]| regexes.iter().any(|regex| regex.is_match(tag));
        let holds = |tagged: Tagged| self.versions.iter().any(|range| range.holds(&tagged.version));
        (self.patterns.is_empty() || fits(&self.patterns))
            && (self.regexes.is_empty() || matches(&self.regexes))
            && (self.versions.is_empty() || self.version(tag).is_some_and(holds))
            && !fits(&self.except)
            && !matches(&self.except_regexes)
    }

    /// Returns the version that a tag says. Variants and candidates have suffixes: these count where tags are told by their texts,
    /// too, so that nobody gets them who has only asked for versions.
    fn version(&self, tag: &str) -> Option<Tagged> {
        Tagged::parse(tag).filter(|tagged| self.is_by_text() || !tagged.has_suffix)
    }
}

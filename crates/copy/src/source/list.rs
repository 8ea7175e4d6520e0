//! The images of a place that has several.

use std::collections::HashMap;
use std::fmt::Display;

use spec::{Reference, Tag};

use crate::CopyError;
use crate::error::Result;

/// The images of a place, each with the tag that it has there.
#[derive(Debug)]
pub struct Images<S> {
    /// Those that are wanted.
    pub images: Vec<(Tag, S)>,
    /// Those that have no tag, as they are told to a user.
    pub untagged: Vec<String>,
}

/// An image of a layout or archive.
pub(crate) struct Named<S> {
    /// A text by which images differ.
    pub(crate) identity: String,
    /// The name, if there is one.
    pub(crate) name: Option<String>,
    pub(crate) source: S,
}

impl<S: Display> Images<S> {
    /// Chooses those whose tag is wanted. Two images that have one tag, of two repositories, cannot both be meant.
    pub(super) fn of(listed: Vec<Named<S>>, wants: &dyn Fn(&Tag) -> bool) -> Result<Self> {
        let mut seen = HashMap::<Tag, (String, String)>::new();
        let mut found = Self { images: Vec::new(), untagged: Vec::new() };
        for Named { identity, name, source } in listed {
            let Some((tag, name)) = name.and_then(|name| Some((tag(&name)?, name))) else {
                found.untagged.push(source.to_string());
                continue;
            };
            if !wants(&tag) {
                continue;
            }
            match seen.get(&tag) {
                Some((same, _)) if *same == identity => {}
                Some((_, other)) => {
                    return Err(CopyError::SameTag {
                        place: source.to_string(),
                        tag: tag.to_string(),
                        other: other.clone(),
                    });
                }
                None => {
                    seen.insert(tag.clone(), (identity, name));
                    found.images.push((tag, source));
                }
            }
        }
        Ok(found)
    }

    /// Returns the same images as other sources.
    pub(super) fn map<T>(self, change: impl Fn(S) -> T) -> Images<T> {
        let images = self.images.into_iter().map(|(tag, source)| (tag, change(source))).collect();
        Images { images, untagged: self.untagged }
    }
}

/// Returns the tag of a name: all of it, or what is behind its repository.
fn tag(name: &str) -> Option<Tag> {
    name.parse().ok().or_else(|| Reference::parse_familiar(name).ok()?.tag().cloned())
}

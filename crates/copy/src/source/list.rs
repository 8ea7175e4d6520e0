//! The images of a place that has several.

use std::collections::HashMap;

use spec::{Reference, Tag};

use super::Source;
use crate::CopyError;
use crate::error::Result;

/// The images of a place, each with the tag that it has there.
#[derive(Debug, Default)]
pub struct Images {
    /// Those that are wanted.
    pub images: Vec<(Tag, Source)>,
    /// Those that have no tag, as they are told to a user.
    pub untagged: Vec<String>,
}

/// An image of a layout or archive.
pub(crate) struct Named {
    /// A text by which images differ.
    pub(crate) identity: String,
    /// The name, if there is one.
    pub(crate) name: Option<String>,
    pub(crate) source: Source,
}

impl Images {
    /// Chooses those whose tag is wanted. Two images that have one tag, of two repositories, cannot both be meant.
    pub(super) fn of(listed: Vec<Named>, wants: &dyn Fn(&Tag) -> bool) -> Result<Self> {
        let (mut found, mut seen) = (Self::default(), HashMap::<Tag, (String, String)>::new());
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
}

/// Returns the tag of a name: all of it, or what is behind its repository.
fn tag(name: &str) -> Option<Tag> {
    name.parse().ok().or_else(|| Reference::parse_familiar(name).ok()?.tag().cloned())
}

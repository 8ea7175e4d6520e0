//! Listings: tags, repositories, referrers.

use std::fs;
use std::path::Path;

use serde_json::value::RawValue;
use spec::{Digest, MAX_MANIFEST_SIZE};

use crate::error::{IoContext as _, ServerError};
use crate::name::{RepositoryName, is_component};

use super::blob::exists;
use super::publish::names;
use super::{Storage, found};

/// One page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The last name of this page, if another page follows.
    pub(crate) next: Option<String>,
}

impl Page<String> {
    /// The first `count` of the names after `last`, in the order of their bytes.
    fn cut(mut names: Vec<String>, last: Option<&str>, count: usize) -> Page<String> {
        names.retain(|name| last.is_none_or(|last| name.as_str() > last));
        names.sort_unstable();
        let more = names.len() > count;
        names.truncate(count);
        let next = names.last().filter(|_| more).cloned();
        Page { items: names, next }
    }
}

impl Storage {
    /// Lists a repository's tags; `None` for a repository that never had a manifest.
    pub(crate) fn list_tags(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        count: usize,
    ) -> Result<Option<Page<String>>, ServerError> {
        if !exists(&self.repository(repository).join("_manifests"))? {
            return Ok(None);
        }
        Ok(Some(Page::cut(names(&self.tags(repository))?, last, count)))
    }

    /// Lists the repositories that have had a manifest.
    pub(crate) fn list_repositories(
        &self,
        last: Option<&str>,
        count: usize,
    ) -> Result<Page<String>, ServerError> {
        let mut found = Vec::new();
        self.each_repository(|name, folder| {
            if exists(&folder.join("_manifests"))? {
                found.push(name.to_owned());
            }
            Ok(())
        })?;
        Ok(Page::cut(found, last, count))
    }

    /// Visits every folder that is, or contains, a repository. Not recursive: a name may have a
    /// hundred components.
    pub(super) fn each_repository(
        &self,
        mut visit: impl FnMut(&str, &Path) -> Result<(), ServerError>,
    ) -> Result<(), ServerError> {
        let root = self.root.join("repositories");
        let mut waiting = vec![String::new()];
        while let Some(name) = waiting.pop() {
            let folder = root.join(&name);
            if !name.is_empty() {
                visit(&name, &folder)?;
            }
            let children = names(&folder)?.into_iter().filter(|child| is_component(child));
            waiting.extend(children.map(|child| match name.as_str() {
                "" => child,
                parent => format!("{parent}/{child}"),
            }));
        }
        Ok(())
    }

    /// Lists the descriptors of the manifests about `subject`, as stored, up to the size that a
    /// client accepts for an index.
    pub(crate) fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&str>,
    ) -> Result<Page<Box<RawValue>>, ServerError> {
        let folder = self.referrers(repository, subject);
        // Room for the index around the descriptors, and the commas between.
        let mut room = MAX_MANIFEST_SIZE - 1024;
        let mut page = Page { items: Vec::new(), next: None };
        let mut previous = None;
        for name in Page::cut(names(&folder)?, last, usize::MAX).items {
            let path = folder.join(&name);
            let Some(text) = found(fs::read_to_string(&path)).context("read", &path)? else {
                continue;
            };
            let size = text.len() as u64 + 1;
            if size > room && previous.is_some() {
                page.next = previous;
                break;
            }
            let damaged = |_| ServerError::Damaged {
                path: path.clone(),
                reason: "a referrer's file does not hold JSON",
            };
            if has_type(&text, artifact_type).map_err(damaged)? {
                room = room.saturating_sub(size);
                page.items.push(RawValue::from_string(text).map_err(damaged)?);
            }
            previous = Some(name);
        }
        Ok(page)
    }
}

fn has_type(descriptor: &str, artifact_type: Option<&str>) -> Result<bool, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        artifact_type: Option<String>,
    }
    let Some(wanted) = artifact_type else { return Ok(true) };
    let typed: Typed = serde_json::from_str(descriptor)?;
    Ok(typed.artifact_type.as_deref() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let names = || ["b", "a", "c", "B"].map(str::to_owned).to_vec();
        for (last, count, items, next) in [
            (None, 10, vec!["B", "a", "b", "c"], None),
            (None, 4, vec!["B", "a", "b", "c"], None),
            (None, 2, vec!["B", "a"], Some("a")),
            (Some("a"), 2, vec!["b", "c"], None),
            (Some("aa"), 1, vec!["b"], Some("b")),
            (Some("c"), 1, vec![], None),
            (None, 0, vec![], None),
        ] {
            let page = Page::cut(names(), last, count);
            assert_eq!(page.items, items, "after {last:?}, {count}");
            assert_eq!(page.next.as_deref(), next, "after {last:?}, {count}");
        }
    }
}

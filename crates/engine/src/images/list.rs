//! `images`: which images there are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use spec::go::{Glob, GlobError};
use spec::{ChainId, Descriptor, ImageId, Reference};
use store::{Description, References, Store};

use crate::kept::{Kept, KeptManifest};
use crate::{Engine, EngineError, Result, resolve};

/// The columns and the images of a list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Also images that are only steps on the way to another image.
    pub all: bool,
    /// Compute how much of each image others share.
    pub shared_size: bool,
    /// Tell which manifests are kept of each image.
    pub manifests: bool,
    /// The choice of images.
    pub filters: ListFilters,
}

/// A choice of images. Values of one kind are alternatives where that makes sense, kinds must all hold.
#[derive(Clone, Debug, Default)]
pub struct ListFilters {
    /// Only images without a tag, or only those with one.
    pub dangling: Option<bool>,
    /// `key` or `key=value`, all of which must be there.
    pub labels: Vec<String>,
    /// Glob patterns of references, one of which must match.
    pub references: Vec<String>,
    /// Images that must be younger than those listed.
    pub before: Vec<String>,
    /// Images that must be older than those listed.
    pub since: Vec<String>,
    /// Moment before which the listed ones were made.
    pub until: Option<Timestamp>,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The image.
    pub id: ImageId,
    /// The image that it was built on with the classic builder.
    pub parent: Option<ImageId>,
    /// Its tags, familiar, sorted.
    pub repo_tags: Vec<String>,
    /// Its digests at registries, familiar, sorted.
    pub repo_digests: Vec<String>,
    /// The time of its making, in seconds since 1970; 0 if it does not say.
    pub created: i64,
    /// The sum of its layers' unpacked sizes in bytes.
    pub size: u64,
    /// Those of these bytes that belong to other images, too, if that was asked for.
    pub shared_size: Option<u64>,
    /// Its labels, if its config has such an object.
    pub labels: Option<Arc<BTreeMap<String, String>>>,
    /// The manifests that its names lead to, if they were asked for.
    pub manifests: Vec<KeptManifest>,
    /// The bytes of these and of what they mention, as far as they are here.
    pub content: u64,
}

impl Engine {
    /// Lists images, the youngest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<ImageSummary>> {
        self.on_disk(move |store| Listing::open(store)?.run(&options)).await
    }
}

/// All that is needed to answer, read once.
struct Listing<'a> {
    store: &'a Store,
    references: Arc<References>,
    images: Vec<Arc<Description>>,
    parents: HashMap<ImageId, ImageId>,
    /// Sizes of the layers that are there.
    sizes: HashMap<ChainId, u64>,
}

impl<'a> Listing<'a> {
    fn open(store: &'a Store) -> Result<Self> {
        Ok(Self {
            store,
            references: store.references()?,
            images: store.describe_images()?,
            parents: store.parents()?,
            sizes: store.described_sizes()?,
        })
    }

    fn run(self, options: &ListOptions) -> Result<Vec<ImageSummary>> {
        let filters = &options.filters;
        let window = self.window(filters)?;
        let patterns: Result<Vec<Glob>, GlobError> =
            filters.references.iter().map(|pattern| Glob::parse(pattern)).collect();
        // The image that another was built on may be gone, and then the other is none's.
        let parents: HashSet<&ImageId> = self.parents.values().collect();
        let shared = options.shared_size.then(|| self.layer_users());
        let mut documents =
            if options.manifests { self.store.manifests_by_image()? } else { HashMap::new() };
        let mut summaries = Vec::new();
        for (created, image) in self.youngest_first() {
            let id = &image.id;
            let is_parent = parents.contains(id);
            if !window.contains(image.created) || (filters.dangling == Some(true) && is_parent) {
                continue;
            }
            if !filters.labels.iter().all(|wanted| has_label(image.labels.as_deref(), wanted)) {
                continue;
            }
            let (repo_tags, repo_digests) = self.names(id, &patterns)?;
            if !wanted(options, is_parent, &repo_tags, &repo_digests) {
                continue;
            }
            let Some(size) = self.size(&image.layers) else { continue };
            let shared_size = shared.as_ref().map(|users| self.shared(&image.layers, users));
            let kept = self.kept(id, documents.remove(id).unwrap_or_default())?;
            summaries.push(ImageSummary {
                id: id.clone(),
                parent: self.parents.get(id).cloned(),
                repo_tags,
                repo_digests,
                created,
                size,
                shared_size,
                labels: image.labels.clone(),
                manifests: kept.manifests().map(|listed| listed.kept.clone()).collect(),
                content: kept.bytes(self.store)?,
            });
        }
        Ok(summaries)
    }

    /// Returns the images, each with the second of its making, in the order of the list.
    fn youngest_first(&self) -> Vec<(i64, &Description)> {
        let dated = |image: &'_ Arc<Description>| image.created.map_or(0, Timestamp::as_second);
        let mut images: Vec<(i64, &Description)> =
            self.images.iter().map(|image| (dated(image), &**image)).collect();
        images.sort_unstable_by(|(first, one), (second, other)| {
            second.cmp(first).then_with(|| one.id.cmp(&other.id))
        });
        images
    }

    fn kept(&self, id: &ImageId, documents: Vec<Descriptor>) -> Result<Kept> {
        if documents.is_empty() {
            return Ok(Kept::default());
        }
        match self.store.image(id)? {
            Some(image) => Kept::of(self.store, &image, documents),
            None => Ok(Kept::default()),
        }
    }

    fn window(&self, filters: &ListFilters) -> Result<Window> {
        let created = |name: &String| -> Result<Option<Timestamp>> {
            let id = resolve::find(self.store, &self.references, name)?.id;
            Ok(self.images.iter().find(|image| image.id == id).and_then(|image| image.created))
        };
        let mut window = Window::default();
        for name in &filters.before {
            window.end_at(created(name)?);
        }
        window.end_at(filters.until);
        for name in &filters.since {
            window.start = window.start.max(created(name)?);
        }
        Ok(window)
    }

    /// Returns the image's tags and digests, those that match one of the patterns if there are any.
    ///
    /// As with dockerd, nobody minds a pattern that is none as long as there is no name to compare it with.
    fn names(
        &self,
        id: &ImageId,
        patterns: &Result<Vec<Glob>, GlobError>,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let (mut tags, mut digests) = (Vec::new(), Vec::new());
        for reference in self.references.of_image(id) {
            let patterns = patterns.as_deref().map_err(|_| EngineError::Pattern)?;
            if !patterns.is_empty()
                && !patterns.iter().any(|pattern| matches_reference(pattern, reference))
            {
                continue;
            }
            let names = if reference.digest().is_some() { &mut digests } else { &mut tags };
            names.push(reference.familiar());
        }
        Ok((tags, digests))
    }

    /// Returns the size of a stack of layers; `None` if one of them has gone.
    fn size(&self, chain: &[ChainId]) -> Option<u64> {
        chain.iter().try_fold(0_u64, |sum, id| Some(sum.saturating_add(*self.sizes.get(id)?)))
    }

    fn layer_users(&self) -> HashMap<&ChainId, usize> {
        let mut users = HashMap::new();
        for chain_id in self.images.iter().flat_map(|image| &image.layers) {
            *users.entry(chain_id).or_default() += 1;
        }
        users
    }

    fn shared(&self, chain: &[ChainId], users: &HashMap<&ChainId, usize>) -> u64 {
        let shared = chain.iter().filter(|id| users.get(id).is_some_and(|n| *n > 1));
        shared.filter_map(|id| self.sizes.get(id)).sum()
    }
}

/// The rules of dockerd for images without a name that the filters left.
fn wanted(options: &ListOptions, is_parent: bool, tags: &[String], digests: &[String]) -> bool {
    let filters = &options.filters;
    if tags.is_empty() && digests.is_empty() {
        (options.all || !is_parent)
            && filters.dangling != Some(false)
            && filters.references.is_empty()
    } else {
        filters.dangling != Some(true) || tags.is_empty()
    }
}

pub(super) fn has_label(labels: Option<&BTreeMap<String, String>>, wanted: &str) -> bool {
    let Some(labels) = labels else { return false };
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

/// The time between two images, without its ends.
#[derive(Default)]
struct Window {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Window {
    fn end_at(&mut self, end: Option<Timestamp>) {
        if let Some(end) = end {
            self.end = Some(self.end.map_or(end, |other| other.min(end)));
        }
    }

    fn contains(&self, created: Option<Timestamp>) -> bool {
        let after = self.start.is_none_or(|start| created.is_some_and(|created| created > start));
        let before = self.end.is_none_or(|end| created.is_some_and(|created| created < end));
        after && before
    }
}

/// Matches the familiar and the canonical form, with and without the tag.
pub(super) fn matches_reference(pattern: &Glob, reference: &Reference) -> bool {
    let repository = reference.repository();
    [
        reference.familiar(),
        repository.familiar(),
        reference.clone().with_default_tag().to_string(),
        repository.to_string(),
    ]
    .iter()
    .any(|name| pattern.matches(name))
}

#[cfg(test)]
mod tests;

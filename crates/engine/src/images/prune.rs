//! `image prune`: removes what nobody uses, images and the partial downloads of pulls that were given up.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use spec::{ChainId, ImageId};
use store::Description;

use super::list::has_label;
use super::remove::{RemoveOptions, Removed};
use crate::cancel::{CancelOnDrop, Cancelled};
use crate::engine::blocking;
use crate::{Engine, EngineError, ErrorKind, EventKind, Result};

/// The choice of images that go.
#[derive(Clone, Debug, Default)]
pub struct PruneFilters {
    /// Also images that have tags.
    pub all: bool,
    /// `key` or `key=value`, all of which an image must have.
    pub labels: Vec<String>,
    /// `key` or `key=value`; an image that has all of them stays.
    pub without_labels: Vec<String>,
    /// Images made after this moment stay.
    pub until: Option<Timestamp>,
}

/// The result of a prune.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// All that is gone, image by image.
    pub removed: Vec<Removed>,
    /// Bytes of the layers and partial downloads that are gone.
    pub reclaimed: u64,
}

/// The right to prune: one prune runs at a time.
#[derive(Debug)]
pub struct Prune {
    engine: Engine,
    running: Running,
}

#[derive(Debug)]
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Engine {
    /// Begins a prune; fails if one is running.
    pub fn prune(&self) -> Result<Prune> {
        let running = Arc::clone(&self.0.pruning);
        if running.swap(true, Ordering::AcqRel) {
            return Err(EngineError::PruneRunning);
        }
        Ok(Prune { engine: self.clone(), running: Running(running) })
    }
}

impl Prune {
    /// Removes the images that nobody needs, and partial downloads that nobody works on.
    ///
    /// What somebody needs stays, and is no error; what could not be removed is told when all the rest is gone. Dropped, it ends
    /// after the image that it is at.
    pub async fn run(self, filters: PruneFilters) -> Result<Pruned> {
        let (_cancel, cancelled) = CancelOnDrop::new();
        blocking(move || {
            // Another prune may begin when this one is over, not when its caller is gone.
            let Self { engine, running } = self;
            let pruned = engine.prune_now(&filters, &cancelled);
            drop(running);
            pruned
        })
        .await
    }
}

impl Engine {
    fn prune_now(&self, filters: &PruneFilters, cancelled: &Cancelled) -> Result<Pruned> {
        let images = self.prunable(filters)?;
        let sizes = self.layer_sizes(&images)?;
        let mut pruned = Pruned::default();
        let mut failures = Vec::new();
        for image in &images {
            if cancelled.is_set() {
                break;
            }
            for name in self.names_to_remove(&image.id, filters.all)? {
                let options = RemoveOptions { force: false, prune_children: true, platform: None };
                match self.remove_now(&name, options) {
                    Ok(removed) => pruned.removed.extend(removed),
                    // Its name went with another, or somebody needs it: then it stays.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
                    Err(error) => {
                        tracing::warn!(%error, image = name, "an image was not pruned");
                        failures.push(error);
                    }
                }
            }
        }
        for removed in &pruned.removed {
            if let Removed::Deleted(digest) = removed {
                pruned.reclaimed += sizes.get(digest).copied().unwrap_or_default();
            }
        }
        // A download has no labels.
        if filters.labels.is_empty() && !cancelled.is_set() {
            let until = filters.until.map(std::time::SystemTime::from);
            match self.store().discard_partial_downloads(until) {
                Ok(freed) => pruned.reclaimed += freed,
                // The images say it.
                Err(error) if !failures.is_empty() => {
                    tracing::warn!(%error, "partial downloads stay");
                }
                Err(error) => failures.push(error.into()),
            }
        }
        let reclaimed = ("reclaimed".to_owned(), pruned.reclaimed.to_string());
        self.0.events.publish(
            EventKind::Image,
            "prune",
            String::new(),
            BTreeMap::from([reclaimed]),
        );
        let failed = failures.len();
        match failures.into_iter().next() {
            None => Ok(pruned),
            Some(first) => Err(EngineError::Prune {
                failed,
                reclaimed: pruned.reclaimed,
                first: Box::new(first),
            }),
        }
    }

    /// Returns the images that the filters let through, the youngest first. A step on the way to another image goes with that
    /// one.
    fn prunable(&self, filters: &PruneFilters) -> Result<Vec<Arc<Description>>> {
        let store = self.store();
        let references = store.references()?;
        let mut images = store.describe_images()?;
        let there: HashSet<&ImageId> = images.iter().map(|image| &image.id).collect();
        let parents = store.parents()?.into_iter().filter(|(child, _)| there.contains(child));
        let parents: HashSet<ImageId> = parents.map(|(_, parent)| parent).collect();
        let is_step = |id: &ImageId| {
            parents.contains(id) && (!filters.all || references.of_image(id).is_empty())
        };
        images.retain(|image| {
            !is_step(&image.id) && filters.include(image.created, image.labels.as_ref())
        });
        // What is known of an image may be all that is left of it. Its layers, which each removal asks for, are known from now on.
        images.retain(|image| match store.image(&image.id) {
            Ok(image) => image.is_some(),
            Err(error) => {
                tracing::warn!(image = %image.id, %error, "an image cannot be read");
                false
            }
        });
        images.sort_by_cached_key(|image| (std::cmp::Reverse(image.created), image.id.clone()));
        Ok(images)
    }

    /// Returns by which names an image is removed: all of its references, or its ID if it has none. None if it is to stay.
    fn names_to_remove(&self, id: &ImageId, all: bool) -> Result<Vec<String>> {
        let references = self.store().references()?;
        let names = references.of_image(id);
        if names.is_empty() {
            return Ok(vec![id.to_string()]);
        }
        if !all && names.iter().any(|name| name.digest().is_none()) {
            return Ok(Vec::new());
        }
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Returns the sizes of the images' layers, as long as these are there. The layers of what an image was built on are its
    /// own, too.
    fn layer_sizes(&self, images: &[Arc<Description>]) -> Result<HashMap<String, u64>> {
        let layers: BTreeSet<&ChainId> = images.iter().flat_map(|image| &image.layers).collect();
        let mut sizes = HashMap::new();
        for chain_id in layers {
            match self.store().layer_size(chain_id) {
                Ok(size) => sizes.extend(size.map(|size| (chain_id.to_string(), size))),
                Err(store::StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sizes)
    }
}

impl PruneFilters {
    fn include(
        &self,
        created: Option<Timestamp>,
        labels: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let is_old = self.until.is_none_or(|until| created.is_some_and(|created| created <= until));
        let has = |wanted: &[String]| wanted.iter().all(|label| has_label(labels, label));
        is_old
            && has(&self.labels)
            && (self.without_labels.is_empty() || !has(&self.without_labels))
    }
}

#[cfg(test)]
mod tests;

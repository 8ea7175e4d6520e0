//! `image prune`: removes what nobody uses, images and the partial downloads of pulls that were given up.
//!
//! [`policy`] decides what goes, of a [`Survey`] of all that there is; here it is done. A dry run is the decision alone.

mod policy;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use jiff::Timestamp;
use spec::{ImageId, Reference};
use store::{Description, Ledger, Store};

use self::policy::{Candidate, Discard, Plan, Survey, decide};
pub use self::policy::{PrunePolicy, PruneReason, PruneStep, SparedImage};
use super::remove::{RemoveOptions, Removed};
use crate::cancel::{CancelOnDrop, Cancelled};
use crate::engine::blocking;
use crate::{Engine, EngineError, ErrorKind, EventKind, Result};

/// The result of a prune, or of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// All that is gone, image by image; nothing in a dry run.
    pub removed: Vec<Removed>,
    /// Bytes of the layers and partial downloads that are gone, as dockerd counts.
    pub reclaimed: u64,
    /// The images that went, or would go.
    pub steps: Vec<PruneStep>,
    /// The images that stay because they are in use.
    pub spared: Vec<SparedImage>,
    /// Bytes of partial downloads that went, or would go.
    pub downloads: u64,
    /// Bytes of the disk that are free and were not, or would be.
    pub freed: u64,
    /// Bytes of all that was there before.
    pub total: u64,
}

/// All that is there, and the part of it that a prune of all that nobody uses would free.
#[derive(Debug)]
pub(super) struct Reclaimable {
    pub(super) ledger: Ledger,
    pub(super) layers: u64,
    pub(super) content: u64,
    pub(super) downloads: u64,
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

    /// Returns when the last prune by the clock began, if that was noted.
    pub async fn last_scheduled_prune(&self) -> Option<SystemTime> {
        self.on_disk(|store| Ok(store.last_scheduled_prune())).await.unwrap_or_default()
    }

    /// Notes that a prune by the clock begins, for the process that comes after this one.
    pub async fn note_scheduled_prune(&self) {
        // What cannot be noted is told in the log.
        let _ = self
            .on_disk(|store| {
                store.note_scheduled_prune();
                Ok(())
            })
            .await;
    }

    /// Tells what a prune would do.
    pub async fn plan_prune(&self, policy: PrunePolicy) -> Result<Pruned> {
        self.on_disk(move |store| {
            let survey = survey(store, Some(&policy))?;
            let Plan { steps, spared, downloads, .. } = decide(&policy, &survey);
            let downloads = downloads.map_or(0, |discard| discard.bytes);
            let freed = steps.iter().map(|step| step.frees).fold(downloads, u64::saturating_add);
            let total = survey.total();
            Ok(Pruned { steps, spared, downloads, freed, total, ..Pruned::default() })
        })
        .await
    }
}

impl Prune {
    /// Removes the images that the policy does not protect, and partial downloads that nobody works on.
    ///
    /// What somebody needs stays, and is no error; what could not be removed is told when all the rest is gone. Dropped, it ends
    /// after the image that it is at.
    pub async fn run(self, policy: PrunePolicy) -> Result<Pruned> {
        let (_cancel, cancelled) = CancelOnDrop::new();
        blocking(move || {
            // Another prune may begin when this one is over, not when its caller is gone.
            let Self { engine, running } = self;
            let pruned = engine.prune_now(&policy, &cancelled);
            drop(running);
            pruned
        })
        .await
    }
}

impl Engine {
    fn prune_now(&self, policy: &PrunePolicy, cancelled: &Cancelled) -> Result<Pruned> {
        let store = self.store();
        let survey = survey(store, Some(policy))?;
        let Plan { steps, spared, downloads, .. } = decide(policy, &survey);
        let sizes = store.described_sizes()?;
        let sizes: HashMap<String, u64> =
            sizes.into_iter().map(|(chain, size)| (chain.to_string(), size)).collect();
        let mut pruned = Pruned { spared, total: survey.total(), ..Pruned::default() };
        let mut failures = Vec::new();
        for step in steps {
            if cancelled.is_set() {
                break;
            }
            let removed = self.take(&step, &mut failures)?;
            pruned.steps.extend(done(step, &removed));
            pruned.removed.extend(removed);
        }
        let deleted = |removed: &Removed| match removed {
            Removed::Deleted(digest) => sizes.get(digest).copied(),
            Removed::Untagged(_) => None,
        };
        pruned.reclaimed = pruned.removed.iter().filter_map(deleted).sum();
        pruned.freed = freed(&survey, &pruned.removed);
        if let Some(discard) = downloads.filter(|_| !cancelled.is_set()) {
            pruned.downloads = self.discard(discard, &mut failures);
            pruned.reclaimed += pruned.downloads;
            pruned.freed += pruned.downloads;
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

    /// Takes names from an image, and the image with the last of them, unless somebody uses it by now.
    fn take(&self, step: &PruneStep, failures: &mut Vec<EngineError>) -> Result<Vec<Removed>> {
        let store = self.store();
        let mut records = Vec::new();
        if !store.images_in_use([&step.id])?.is_empty() {
            return Ok(records);
        }
        let references = store.references()?;
        let now = references.of_image(&step.id);
        let names: Vec<String> = if step.names.is_empty() && now.is_empty() {
            vec![step.id.to_string()]
        } else {
            step.names.iter().filter(|name| now.contains(name)).map(Reference::to_string).collect()
        };
        for name in names {
            let options =
                RemoveOptions { force: false, prune_children: true, platforms: Vec::new() };
            match self.remove_now(&name, options) {
                Ok(removed) => records.extend(removed),
                // Its name went with another, or somebody needs it: then it stays.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                }
                Err(error) => {
                    tracing::warn!(%error, image = name, "an image was not pruned");
                    failures.push(error);
                }
            }
        }
        Ok(records)
    }

    fn discard(&self, discard: Discard, failures: &mut Vec<EngineError>) -> u64 {
        let until = discard.until.map(SystemTime::from);
        match self.store().discard_partial_downloads(until) {
            Ok(freed) => return freed,
            // The images say it.
            Err(error) if !failures.is_empty() => {
                tracing::warn!(%error, "partial downloads stay");
            }
            Err(error) => failures.push(error.into()),
        }
        0
    }
}

/// Returns what was done of a step; `None` if that is nothing.
fn done(mut step: PruneStep, removed: &[Removed]) -> Option<PruneStep> {
    let is_untagged = |name: &Reference| removed.contains(&Removed::Untagged(name.familiar()));
    step.names.retain(is_untagged);
    let is_gone = removed.contains(&Removed::Deleted(step.id.to_string()));
    if !is_gone {
        step.frees = 0;
    }
    step.is_whole = is_gone;
    (is_gone || !step.names.is_empty()).then_some(step)
}

/// Returns the bytes that are free without the images that were removed.
fn freed(survey: &Survey, removed: &[Removed]) -> u64 {
    let deleted = removed.iter().filter_map(|removed| match removed {
        Removed::Deleted(digest) => digest.parse().ok(),
        Removed::Untagged(_) => None,
    });
    let gone: HashSet<ImageId> = deleted.collect();
    let ledger = &survey.ledger;
    ledger.freed_by(&gone.iter().collect()).into_iter().map(|thing| ledger.size(thing)).sum()
}

/// Returns what a prune of all that nobody uses would free.
pub(super) fn reclaimable(store: &Store) -> Result<Reclaimable> {
    let survey = survey(store, None)?;
    let plan = decide(&PrunePolicy { all: true, ..PrunePolicy::default() }, &survey);
    Ok(Reclaimable {
        layers: plan.frees.layers,
        content: plan.frees.content,
        downloads: plan.downloads.map_or(0, |discard| discard.bytes),
        ledger: survey.ledger,
    })
}

/// Gathers all that decides. With a policy, an image that it may take is looked at: what is known of it may be all that is left.
fn survey(store: &Store, policy: Option<&PrunePolicy>) -> Result<Survey> {
    let references = store.references()?;
    let mut images = store.describe_images()?;
    let ledger = store.ledger(&images)?;
    images.retain(|image| {
        let may_go = |policy: &PrunePolicy| policy.includes(image.created, image.labels.as_deref());
        !policy.is_some_and(may_go) || is_readable(store, image)
    });
    let parents = store.parents()?;
    let users = store.images_in_use(images.iter().map(|image| &image.id))?;
    let dates = store.last_uses(images.iter().map(|image| &image.id))?;
    let images = images.iter().filter_map(|image| {
        Some(Candidate {
            id: image.id.clone(),
            names: references.of_image(&image.id).to_vec(),
            created: image.created,
            // Gone since.
            last_used: *dates.get(&image.id)?,
            labels: image.labels.clone(),
            parent: parents.get(&image.id).cloned(),
            user: users.get(&image.id).cloned(),
        })
    });
    let downloads = store.idle_downloads()?.into_iter();
    let downloads =
        downloads.filter_map(|(at, bytes)| Some((Timestamp::try_from(at).ok()?, bytes)));
    Ok(Survey {
        now: Timestamp::now(),
        images: images.collect(),
        ledger,
        downloads: downloads.collect(),
    })
}

/// Says whether an image can be read. Its layers, which each removal asks for, are known from then on.
fn is_readable(store: &Store, image: &Description) -> bool {
    match store.image(&image.id) {
        Ok(image) => image.is_some(),
        Err(error) => {
            tracing::warn!(image = %image.id, %error, "an image cannot be read");
            false
        }
    }
}

#[cfg(test)]
mod tests;

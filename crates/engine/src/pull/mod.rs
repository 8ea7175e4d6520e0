//! `pull`: an image from a registry into the store.

mod all_tags;
mod begin;
mod first_schema;
mod layer;
mod manifest;
mod operation;
mod parts;
pub(crate) mod plan;
mod referrers;
mod verify;

pub use operation::{Parts, PullRequest};

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use registry::Access;
use spec::{Digest, ImageConfig, ImageId, Reference};
use store::{Commit, DriverKind, NewImage, NewPart, VerifiedBlob};

use crate::error::PlatformMismatch;
use crate::lock::lock;
use crate::progress::ProgressEvent;
use crate::transfer::{Download, PlannedLayer};
use crate::{Engine, EngineError, LayerFacts, LayerState, Progress, Result, resolve};
use begin::Begun;
use layer::LayerTransfer;
use manifest::Resolved;
pub(crate) use manifest::{choose, is_first_schema};
use operation::{Configs, Pull};
use parts::{Part, check_kept};
use plan::Plan;

/// The result of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Set if anything changed here.
    pub newer: bool,
    /// The tag, digest or repository that was asked for, familiar.
    pub reference: String,
    /// Images that are for another platform than was asked for, though nothing said so beforehand.
    pub other_platforms: Vec<PlatformMismatch>,
}

impl Engine {
    /// Pulls an image, or all images of a repository.
    ///
    /// Dropping the future cancels the pull: what is on the disk stays for the next one, and nothing half-done is seen.
    pub async fn pull(&self, request: PullRequest, progress: Progress) -> Result<Pulled> {
        let repository = request.reference.repository().clone();
        if repository.familiar() == "scratch" {
            return Err(EngineError::ReservedName);
        }
        let remote = self
            .client_for(&progress)
            .on_behalf_of(request.caller.clone())
            .remote(&repository, &request.credentials, Access::Pull)
            .await
            .map_err(EngineError::Registry)?
            .with_first_schema();
        let trust = self.network().trust;
        let guard = trust.guard(Some(&remote), &request.credentials).await?;
        let lease = self.lease().await?;
        let other_platforms = Mutex::default();
        let configs = Configs::default();
        let engine = self.clone();
        let pull = Arc::new(Pull {
            engine,
            remote,
            request,
            progress,
            lease,
            other_platforms,
            configs,
            guard,
        });
        let familiar =
            if pull.request.all_tags { repository.familiar() } else { pull.reference().familiar() };
        let newer = if pull.request.all_tags {
            pull.all_tags().await?
        } else {
            pull.one(&pull.reference()).await?
        };
        let other_platforms = std::mem::take(&mut *lock(&pull.other_platforms));
        self.transfer_event("pull", familiar.clone(), repository.familiar()).await;
        Ok(Pulled { newer, reference: familiar, other_platforms })
    }
}

impl Pull {
    fn reference(&self) -> Reference {
        self.request.reference.clone().with_default_tag()
    }

    /// Pulls one image; returns whether anything changed.
    async fn one(&self, reference: &Reference) -> Result<bool> {
        let begun = self.begin(reference, &self.progress).await?;
        self.finish(reference, begun).await
    }

    /// Fetches and unpacks what is missing of an image, and publishes it; returns whether anything changed.
    async fn finish(&self, reference: &Reference, begun: Begun) -> Result<bool> {
        let Begun { resolved, id, config, mut ahead, parts, is_told, findings, .. } = begun;
        let manifest = resolved.manifest.value();
        let plan = match self.plan(reference, manifest, config.value(), &id).await {
            Ok(plan) => plan,
            Err(error) => {
                self.give_up(ahead).await;
                return Err(error);
            }
        };
        // Layers that came here without their blobs, by an archive for instance, are found by the plan only.
        let is_needed = |digest: &Digest| plan.missing().any(|l| l.descriptor.digest == *digest);
        self.give_up(ahead.extract_if(.., |(digest, _)| !is_needed(digest)).collect()).await;
        let (layers, downloads) = try_join(
            self.layers(&plan, ahead, is_told),
            self.fetch_parts(reference, manifest, &parts),
        )
        .await?;
        let config = config.bytes().clone();
        let image = Ready { id, config, plan, layers, parts, downloads, findings };
        self.progress.report(ProgressEvent::PullDone { digest: resolved.digest.clone() });
        self.publish(reference, resolved, image).await
    }

    /// Notes, as dockerd does, when a manifest that lists no platforms turns out to be for another one than was asked for.
    fn check_platform(&self, config: &ImageConfig, reference: &Reference) -> Result<()> {
        if config.os != "linux"
            && !config.os.is_empty()
            && self.engine.store().driver() == DriverKind::Overlay2
        {
            return Err(EngineError::OperatingSystem(config.os.clone()));
        }
        if let Some(wanted) = &self.request.platform
            && !resolve::platform_matches(wanted, &config.platform())
        {
            let mut others = lock(&self.other_platforms);
            others.push(PlatformMismatch {
                reference: reference.familiar(),
                actual: config.platform().to_string(),
                wanted: wanted.to_string(),
            });
        }
        Ok(())
    }

    async fn plan(
        &self,
        reference: &Reference,
        manifest: &spec::ImageManifest,
        config: &ImageConfig,
        id: &ImageId,
    ) -> Result<Plan> {
        let lease = Arc::clone(&self.lease);
        let (manifest, diff_ids, id) =
            (manifest.clone(), config.rootfs.diff_ids.clone(), id.clone());
        let reference = reference.clone();
        self.engine
            .on_disk(move |store| {
                let plan = Plan::make(store, &lease, &id, &manifest, &diff_ids)?;
                for layer in &manifest.layers {
                    check_kept(store, layer, &reference)?;
                }
                Ok(plan)
            })
            .await
    }

    /// Runs the jobs of all layers that are not here, and waits for them. Of the downloads `ahead`, the user may have been told.
    async fn layers(
        &self,
        plan: &Plan,
        mut ahead: Vec<(Digest, Download)>,
        is_told: bool,
    ) -> Result<Vec<LayerTransfer>> {
        let told = |layer: &PlannedLayer| {
            is_told && ahead.iter().any(|(digest, _)| *digest == layer.descriptor.digest)
        };
        for layer in plan.layers.iter().filter(|layer| !told(layer)) {
            let (size, label) = (layer.descriptor.size, layer.label());
            let (facts, state) = if layer.present {
                (LayerFacts::here(size), LayerState::AlreadyExists)
            } else {
                (LayerFacts::wanted(size), LayerState::PullingFsLayer)
            };
            self.progress.facts(&label, facts);
            if !plan.is_complete() {
                self.progress.layer(&label, state);
            }
        }
        if plan.is_complete() {
            return Ok(Vec::new());
        }
        let layers = plan.layers.clone();
        if let Err(error) =
            self.engine.on_disk(move |store| plan::require_room(store, &layers)).await
        {
            self.give_up(ahead).await;
            return Err(error);
        }
        let mut begun = |layer: &PlannedLayer| {
            let at = ahead.iter().position(|(digest, _)| *digest == layer.descriptor.digest)?;
            Some(ahead.swap_remove(at).1)
        };
        let jobs = plan.missing().map(|layer| self.layer(layer, begun(layer)));
        try_join_all(jobs).await
    }

    /// Publishes everything at once and names it; returns whether anything changed.
    async fn publish(
        &self,
        reference: &Reference,
        resolved: Resolved,
        image: Ready,
    ) -> Result<bool> {
        // Two pulls of this process may have staged the same layers: one publishes them, the other then finds them.
        let _turn = self.engine.0.publishing.lock().await;
        let (lease, reference) = (Arc::clone(&self.lease), reference.clone().by_digest());
        self.engine.on_disk(move |store| {
            let references = store.references()?;
            let known = store.parts_of(&image.id)?;
            let is_new = |part: &Part| !known.iter().any(|k| k.digest == part.descriptor.digest);
            let newer = references.get(&reference).as_ref() != Some(&image.id)
                || image.parts.iter().any(is_new);
            let mut commit = Commit { findings: image.findings, ..Commit::default() };
            for transfer in &image.layers {
                commit.layers.extend(transfer.layer.take_staged());
                commit.blobs.extend(transfer.layer.take_blob());
            }
            // What a layer has in common with a part was taken with it.
            let parts = image.downloads.iter().map(|download| download.handle().take_verified());
            commit.blobs.extend(parts.flatten());
            for Part { descriptor, bytes, .. } in &image.parts {
                commit.blobs.push(VerifiedBlob::check(&descriptor.digest, bytes.clone())?);
            }
            let parts = image.parts.into_iter();
            let parts = parts.map(|Part { descriptor, tag, .. }| NewPart { descriptor, tag });
            let parts = parts.collect();
            let repository = reference.repository().clone();
            commit.sources = image.plan.sources(&repository);
            let by_digest = Reference::new(repository, None, Some(resolved.digest.clone()));
            let taken = references.get(&by_digest).is_some_and(|other| other != image.id);
            if taken && reference.tag().is_some() {
                // The same index, pulled for another platform before. dockerd leaves the digest to the first image, too.
                tracing::warn!(%by_digest, "the digest already names an image for another platform");
            } else {
                commit.references.push((by_digest, image.id.clone()));
            }
            // The digest that was asked for may be that of an index of which only the image is taken.
            let is_named = commit.references.iter().any(|(name, _)| *name == reference);
            if !is_named {
                commit.references.push((reference, image.id.clone()));
            }
            commit.blobs.extend(resolved.blobs()?);
            commit.blobs.push(VerifiedBlob::check(image.id.digest(), image.config.clone())?);
            let manifests = resolved.descriptors();
            let used = image.id.clone();
            commit.image = Some(NewImage { id: image.id, config: image.config, manifests, parts });
            store.commit(&lease, commit)?;
            store.note_use(&used);
            Ok(newer)
        })
        .await
    }
}

/// An image whose parts are all here or staged.
struct Ready {
    id: ImageId,
    config: Bytes,
    plan: Plan,
    layers: Vec<LayerTransfer>,
    /// Manifests and indexes that are kept beside it, and what of that was downloaded.
    parts: Vec<Part>,
    downloads: Vec<Download>,
    /// Findings on its own manifests.
    findings: Vec<(Digest, String)>,
}

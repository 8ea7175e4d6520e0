//! `load`: images from an archive into the store.
//!
//! Read are the archives of `docker save` of any age that has a `manifest.json`, those of podman and skopeo, and OCI image
//! layouts; of any compression, with their entries in any order.
//!
//! # Flow
//! body → [`crate::receive`] → layers, unpacked as they come where nothing else is to be kept of them ([`arrived`]), other files in
//! `staging/`, small ones in memory ([`tree`]); of an archive that is a file, places in it ([`plain`]) → what they are ([`contents`]) and whether all is
//! there or here ([`lacking`]) → for each image, what else its index lists ([`whole`]) and what refers to it ([`referrers`]), its missing layers, unpacked at once
//! ([`layers`]) → one commit, or one for many images that need no layer. What was loaded before an
//! error stays.
//!
//! # Trust
//! Nothing is believed: a config is named by its hash, a layer is compared with its diff ID, a blob with the digest that it is
//! kept under, and a reference by digest counts only if the manifest that it names is in the archive and has the image's config.

mod arrived;
mod contents;
mod lacking;
mod layers;
mod list;
mod operation;
mod origin;
mod plain;
mod plan;
mod platforms;
mod publish;
mod referrers;
mod stored;
mod tree;
mod whole;

#[cfg(any(test, fuzzing))]
pub(crate) use lacking::fuzz as fuzz_left_out;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use spec::ImageId;
use store::{Lease, Store};

use crate::cancel::CancelOnDrop;
use crate::engine::blocking;
use crate::error::BadArchive;
use crate::{Engine, EngineError, Platforms, Progress, ProgressEvent, Result, receive};
use contents::Contents;
use list::Listed;
use operation::Load;
use plan::{PlannedImage, PlannedLayer};
use publish::{MAX_BATCH, MAX_BATCH_BYTES, ReadyImage, held};
use tree::Tree;

/// An order to load.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The platforms that are wanted: other images are passed over.
    pub platforms: Platforms,
    /// Say nothing of layers.
    pub quiet: bool,
}

/// The result of a load, beside the names that were told meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImages {
    /// The images in the order of the archive, if it names none, or not the last one; empty if nothing was loaded.
    pub unnamed: Option<Vec<ImageId>>,
}

impl Engine {
    /// Loads the images of an archive. Dropping the future cancels: images that were complete stay, and nothing else.
    pub async fn load(
        &self,
        request: LoadRequest,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
        progress: Progress,
    ) -> Result<LoadedImages> {
        let lease = self.lease().await?;
        let place = self.0.receivers.enter().await;
        let (sender, input) = receive::pipe();
        let held = Arc::clone(&lease);
        let (_cancel, cancelled) = CancelOnDrop::new();
        let engine = self.clone();
        let read = blocking(move || Tree::read(&engine, &held, input, cancelled));
        let (tree, ()) = tokio::join!(read, receive::pump(body, sender, place));
        self.load_tree(request, lease, tree?, progress).await
    }

    /// Loads the images of an archive that is a file; as [`Engine::load`], but that nothing of it is copied that need not be.
    pub async fn load_file(
        &self,
        request: LoadRequest,
        file: File,
        progress: Progress,
    ) -> Result<LoadedImages> {
        let lease = self.lease().await?;
        let held = Arc::clone(&lease);
        let (_cancel, cancelled) = CancelOnDrop::new();
        let engine = self.clone();
        let tree = blocking(move || Tree::open(&engine, &held, file, cancelled)).await?;
        self.load_tree(request, lease, tree, progress).await
    }

    async fn load_tree(
        &self,
        request: LoadRequest,
        lease: Arc<Lease>,
        tree: Tree,
        progress: Progress,
    ) -> Result<LoadedImages> {
        let contents = Arc::new(blocking(move || Contents::read(tree)).await?);
        let layer_progress = if request.quiet { Progress::silent() } else { progress.clone() };
        let platforms = request.platforms;
        let load = Load { engine: self, lease, platforms, progress, layer_progress };
        let loaded = load.run(Arc::clone(&contents)).await;
        // What no image has taken is deleted with it, which may be much.
        blocking(move || {
            drop(contents);
            Ok(())
        })
        .await?;
        loaded
    }
}

impl Load<'_> {
    async fn run(&self, contents: Arc<Contents>) -> Result<LoadedImages> {
        let (listing, platforms) = (Arc::clone(&contents), self.platforms.clone());
        let list = self.engine.on_disk(move |store| {
            let list = listing.list(&platforms)?;
            lacking::check(store, &listing, &list, &platforms)?;
            Ok(list)
        });
        let list = list.await?;
        let wanted = match &self.platforms {
            Platforms::These(wanted) if !list.is_empty() => Some((wanted.clone(), list.clone())),
            _ => None,
        };
        let mut ids = Vec::new();
        let mut parents = Vec::new();
        let mut last_is_named = false;
        let mut ready = Vec::new();
        for listed in list {
            let planned = match self.plan(&contents, listed).await {
                Ok(Some(planned)) => planned,
                Ok(None) => continue,
                Err(error) => {
                    // What came before it is loaded all the same.
                    self.publish(std::mem::take(&mut ready)).await?;
                    return Err(error);
                }
            };
            self.tell_sizes(&planned.layers);
            parents.push((planned.id.clone(), planned.parent.clone()));
            ids.push(planned.id.clone());
            if planned.origin.is_none()
                && contents.has_manifest_of(&planned.id)
                && planned.layers.iter().any(|layer| layer.file.is_none())
            {
                self.progress.report(ProgressEvent::WithoutManifest(planned.id.clone()));
            }
            last_is_named = planned.names.iter().any(|name| planned.bears(name));
            if planned.layers.iter().all(PlannedLayer::is_ready) && planned.blobs.is_empty() {
                ready.push((planned, Vec::new()));
                if ready.len() < MAX_BATCH && held(&ready) < MAX_BATCH_BYTES {
                    continue;
                }
            } else {
                self.publish(std::mem::take(&mut ready)).await?;
                ready.push(self.with_layers(planned).await?);
            }
            self.publish(std::mem::take(&mut ready)).await?;
        }
        self.publish(ready).await?;
        if let Some((wanted, all)) = wanted.filter(|_| ids.is_empty()) {
            return Err(blocking(move || Ok(contents.none_for(&wanted, &all))).await?);
        }
        self.set_parents(parents).await?;
        // As in dockerd, where the last image decides.
        Ok(LoadedImages { unnamed: (!last_is_named).then_some(ids) })
    }

    /// Reads an image's config and finds out what of it is here; `None` if it is not for the platform.
    async fn plan(&self, contents: &Arc<Contents>, listed: Listed) -> Result<Option<PlannedImage>> {
        let (contents, platforms) = (Arc::clone(contents), self.platforms.clone());
        let lease = Arc::clone(&self.lease);
        self.engine
            .on_disk(move |store| plan::plan(store, &lease, &contents, &listed, &platforms))
            .await
    }

    /// Unpacks what is missing of an image.
    async fn with_layers(&self, mut planned: PlannedImage) -> Result<ReadyImage> {
        let mut layers = self.layers(std::mem::take(&mut planned.layers)).await?;
        layers.extend(self.blobs(std::mem::take(&mut planned.blobs)).await?);
        Ok((planned, layers))
    }

    /// Notes which images were built from others of the same archive.
    async fn set_parents(&self, images: Vec<(ImageId, Option<ImageId>)>) -> Result<()> {
        self.engine
            .on_disk(move |store| {
                let loaded: HashSet<&ImageId> = images.iter().map(|(id, _)| id).collect();
                for (id, parent) in &images {
                    let Some(parent) = parent else { continue };
                    if parent == id || !loaded.contains(parent) {
                        continue;
                    }
                    if !is_parent(store, id, parent)? {
                        let (image, parent) = (id.clone(), parent.clone());
                        let fault = BadArchive::Parent { image, parent };
                        return Err(EngineError::BadArchive(fault));
                    }
                    store.set_parent(id, parent)?;
                }
                Ok(())
            })
            .await
    }
}

/// Says whether an image has one step more than another.
fn is_parent(store: &Store, id: &ImageId, parent: &ImageId) -> Result<bool> {
    let (Some(image), Some(parent)) = (store.image(id)?, store.image(parent)?) else {
        return Ok(false);
    };
    let (steps, before) = (&image.config.value().history, &parent.config.value().history);
    let both_empty = steps.is_empty() && before.is_empty();
    Ok(both_empty || (steps.len() == before.len() + 1 && steps.starts_with(before)))
}

#[cfg(test)]
mod tests;

//! Content of an image that is here, brought again because it is damaged or gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use registry::{Access, Remote};
use spec::{
    ChainId, Descriptor, DiffId, ImageId, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, Manifest, MediaType,
    Repository,
};
use store::{Commit, DriverKind, Lease, Store};

use crate::error::Missing;
use crate::transfer::{LayerJob, PlannedLayer, Watcher, Watchers};
use crate::{Engine, EngineError, Progress, Result};

/// A layer, and all that is known of where it can be had.
struct Lost {
    diff_id: DiffId,
    chain_id: ChainId,
    parent: Option<ChainId>,
    /// By the manifests of images that have it.
    descriptors: Vec<Descriptor>,
    repositories: BTreeSet<Repository>,
    images: Vec<ImageId>,
}

impl Engine {
    /// Puts the content of a layer in the place of what is there or should be.
    ///
    /// It comes from the kept blob if that is good, else from a repository that an image with the layer came from, with the
    /// credentials that the process itself has for it.
    pub(crate) async fn restore_layer(
        &self,
        chain: &ChainId,
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<()> {
        let (chain_id, held) = (chain.clone(), Arc::clone(lease));
        let mut lost = self
            .on_disk(move |store| {
                held.hold_layer(&chain_id)?;
                find(store, &chain_id)
            })
            .await?;
        if lost.descriptors.is_empty() && self.restore_documents(&lost.images).await {
            let chain_id = chain.clone();
            lost = self.on_disk(move |store| find(store, &chain_id)).await?;
        }
        if let Some(parent) = lost.parent.clone() {
            self.on_disk(move |store| match store.whole_layer(&parent)? {
                Some(_) => Ok(()),
                None => Err(EngineError::Missing(Missing::WholeLayer(parent))),
            })
            .await?;
        }
        let mut failure = EngineError::Missing(Missing::OriginOfLayer);
        // Without a repository, a kept blob may still do.
        let mut remotes = Vec::new();
        for repository in &lost.repositories {
            match self.reading(repository).await {
                Ok(remote) => remotes.push(remote),
                // Another one may do.
                Err(error) => failure = error,
            }
        }
        for descriptor in &lost.descriptors {
            for remote in std::iter::once(None).chain(remotes.iter().map(Some)) {
                let planned = lost.planned(descriptor.clone());
                match self.restore(planned, remote, lease, progress).await {
                    Ok(()) => return Ok(()),
                    Err(None) => {}
                    Err(Some(error)) => failure = error,
                }
            }
        }
        Err(failure)
    }

    /// Restores a layer from one place; `Err(None)` if it is not there.
    async fn restore(
        &self,
        planned: PlannedLayer,
        remote: Option<&Remote>,
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<(), Option<EngineError>> {
        let digest = planned.descriptor.digest.clone();
        let kept = self
            .on_disk(move |store| {
                store.discard_blob_if_damaged(&digest)?;
                Ok(store.blob(&digest)?.is_some())
            })
            .await
            .map_err(Some)?;
        if !kept && remote.is_none() {
            return Err(None);
        }
        let watchers = Arc::new(Watchers::default());
        let user = Watcher::User { progress: progress.clone(), id: planned.label() };
        watchers.join(user);
        let job = LayerJob {
            engine: self.clone(),
            remote: remote.cloned(),
            lease: Arc::clone(lease),
            planned: planned.clone(),
            watchers,
            ahead: Mutex::default(),
        };
        let ready = job.run().await.map_err(Some)?;
        let Some((staged, record)) = ready.take_staged() else { return Err(None) };
        let blob = ready.take_blob();
        let lease = Arc::clone(lease);
        self.on_disk(move |store| {
            let mut commit = Commit { blobs: blob.into_iter().collect(), ..Commit::default() };
            let has_place = store.driver() == DriverKind::Overlay2
                && matches!(store.layer(&planned.chain_id), Ok(Some(_)));
            if has_place {
                store.replace_layer(&planned.chain_id, &staged, &record)?;
            } else {
                commit.layers.push((staged, record));
            }
            store.commit(&lease, commit)?;
            Ok(())
        })
        .await
        .map_err(Some)
    }

    /// Puts the config of an image in the place of one that is damaged.
    pub(crate) async fn restore_config(&self, id: &ImageId) -> Result<()> {
        let image = id.clone();
        let repositories = self.on_disk(move |store| repositories(store, &image)).await?;
        let mut failure = EngineError::Missing(Missing::OriginOfConfig);
        for repository in repositories {
            let remote = match self.reading(&repository).await {
                Ok(remote) => remote,
                Err(error) => {
                    failure = error;
                    continue;
                }
            };
            let fetched = async {
                let size = remote.blob_size(id.digest()).await?.unwrap_or_default();
                let descriptor = Descriptor::new(MediaType::OciConfig, id.digest().clone(), size);
                remote.blob_bytes(&descriptor, MAX_CONFIG_SIZE).await
            };
            match fetched.await {
                Ok(bytes) => {
                    let id = id.clone();
                    return self.on_disk(move |store| Ok(store.replace_config(&id, &bytes)?)).await;
                }
                Err(error) => failure = EngineError::Registry(error),
            }
        }
        Err(failure)
    }

    pub(super) async fn reading(&self, repository: &Repository) -> Result<Remote> {
        let remote = self.network().client.remote_without_caller(repository, Access::Pull).await;
        remote.map_err(EngineError::Registry)
    }
}

impl Lost {
    fn planned(&self, descriptor: Descriptor) -> PlannedLayer {
        PlannedLayer {
            descriptor,
            diff_id: self.diff_id.clone(),
            chain_id: self.chain_id.clone(),
            parent: self.parent.clone(),
            present: false,
        }
    }
}

/// Finds out what a layer is by the images that have it. Blocking.
fn find(store: &Store, chain: &ChainId) -> Result<Lost> {
    let mut lost: Option<Lost> = None;
    for id in store.images()? {
        // A damaged image tells nothing; another may.
        let Ok(Some(image)) = store.image(&id) else { continue };
        let Some(index) = image.layers.iter().position(|layer| layer == chain) else { continue };
        let lost = lost.get_or_insert_with(|| Lost {
            diff_id: image.config.value().rootfs.diff_ids[index].clone(),
            chain_id: chain.clone(),
            parent: index.checked_sub(1).map(|below| image.layers[below].clone()),
            descriptors: Vec::new(),
            repositories: BTreeSet::new(),
            images: Vec::new(),
        });
        lost.images.push(id.clone());
        for manifest in store.manifests_of(&id)? {
            let Ok(Some(bytes)) = store.read_blob(&manifest.digest, MAX_MANIFEST_SIZE) else {
                continue;
            };
            if let Ok(Manifest::Image(parsed)) = Manifest::parse(Some(&manifest.media_type), &bytes)
                && let Some(layer) = parsed.layers.get(index)
                && !lost.descriptors.contains(layer)
            {
                lost.descriptors.push(layer.clone());
            }
        }
        lost.repositories.extend(repositories(store, &id)?);
    }
    let mut lost = lost.ok_or_else(|| EngineError::Missing(Missing::ImageWithLayer))?;
    for source in store.sources_of(&lost.diff_id)? {
        lost.repositories.insert(source.repository);
    }
    Ok(lost)
}

/// Lists the repositories that an image came from: those in which it has a digest.
pub(super) fn repositories(store: &Store, id: &ImageId) -> Result<BTreeSet<Repository>> {
    let references = store.references()?;
    let by_digest = references.of_image(id).iter().filter(|name| name.digest().is_some());
    Ok(by_digest.map(|name| name.repository().clone()).collect())
}

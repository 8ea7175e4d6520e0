//! Blobs that are kept as they came, the cheapest way to the registry.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::{Mounted, UploadSession};
use spec::{Descriptor, Digest, ImageId, Repository};
use store::{Lease, Store};

use super::index::Listed;
use super::operation::{Push, refused};
use super::upload::{Content, Upload, cancel};
use crate::transfer::{Watcher, Watchers};
use crate::{LayerFacts, LayerState, Result};

/// Repositories that a blob is tried to be mounted from. Each try is a request; more rarely help.
pub(super) const MOUNT_ATTEMPTS: usize = 3;

/// Holds an image with all that is kept of it: which parts are sent is known only when the registry was asked, and somebody may
/// remove parts meanwhile. Blocking.
pub(super) fn hold(store: &Store, lease: &Lease, id: &ImageId) -> Result<()> {
    lease.hold_image(id)?;
    for kept in store.manifests_of(id)?.into_iter().chain(store.parts_of(id)?) {
        lease.hold_blob(&kept.digest)?;
        for blob in Listed::read(store, kept).iter().flat_map(|listed| listed.mentioned.blobs()) {
            lease.hold_blob(&blob.digest)?;
        }
    }
    Ok(())
}

impl Push {
    /// Makes sure that the registry has the blobs of manifests that are kept here.
    pub(super) async fn blobs(&self, listed: &[Listed], siblings: &[Repository]) -> Result<()> {
        let mut seen = HashSet::new();
        let mut blobs = Vec::new();
        for Listed { mentioned, .. } in listed {
            let config = mentioned.config.iter().map(|config| (config, false));
            let all = config.chain(mentioned.layers.iter().map(|layer| (layer, true)));
            blobs.extend(all.filter(|(blob, _)| seen.insert(&blob.digest)));
        }
        for (layer, _) in blobs.iter().filter(|(_, is_told)| *is_told) {
            self.progress.facts(&layer.digest.short(), LayerFacts::wanted(layer.size));
            self.progress.layer(&layer.digest.short(), LayerState::Preparing);
        }
        let at_once = self.engine.network().limits.uploads.saturating_add(1);
        let uploads: Vec<_> =
            blobs.into_iter().map(|(blob, is_told)| self.blob(blob, is_told, siblings)).collect();
        stream::iter(uploads).buffer_unordered(at_once).try_collect().await
    }

    async fn blob(&self, blob: &Descriptor, is_told: bool, siblings: &[Repository]) -> Result<()> {
        let watchers = Arc::new(Watchers::default());
        if is_told {
            let (progress, id) = (self.progress.clone(), blob.digest.short());
            watchers.join(Watcher::User { progress, id });
        }
        if self.leaves(blob) {
            watchers.report(LayerState::SkippedForeignLayer);
            return Ok(());
        }
        let digest = blob.digest.clone();
        let kept = self.engine.on_disk(move |store| Ok(store.blob(&digest)?)).await?;
        // What is not here is at the registry: otherwise nothing would be sent.
        let Some(kept) = kept else { return Ok(()) };
        let _turn = watchers.turn(&self.engine.network().uploads).await?;
        if self.remote.blob_presence(&blob.digest).await.map_err(refused)?.is_some() {
            watchers.tell(&LayerFacts::here(blob.size));
            watchers.report(LayerState::LayerAlreadyExists);
            return Ok(());
        }
        let (from, session) = self.mount_from(&blob.digest, siblings).await;
        if let Some(repository) = from {
            watchers.report(LayerState::MountedFrom { repository });
            return Ok(());
        }
        let content = Content::File(kept.path);
        Upload { push: self, watchers: Arc::clone(&watchers), blob, content }.run(session).await?;
        watchers.report(LayerState::Pushed);
        Ok(())
    }

    /// Tries to have the registry take a blob from other repositories of its own. Returns the path of the one that it was taken from, or
    /// an upload that the registry has begun instead.
    pub(super) async fn mount_from(
        &self,
        digest: &Digest,
        siblings: &[Repository],
    ) -> (Option<String>, Option<UploadSession>) {
        let mut open = None;
        for from in siblings.iter().take(MOUNT_ATTEMPTS) {
            match self.remote.mount(digest, from).await {
                Ok(Mounted::Yes) => {
                    cancel(open).await;
                    return (Some(from.path().to_owned()), None);
                }
                Ok(Mounted::Started(session)) => cancel(open.replace(session)).await,
                // A mount is an optimisation: the upload that follows tells what is really wrong.
                Err(error) => tracing::debug!(%error, %from, "mount failed"),
            }
        }
        (None, open)
    }
}

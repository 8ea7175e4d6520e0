//! Kept content that is damaged or gone, brought again byte for byte: without a manifest, an index or a compressed layer a push would
//! give another digest.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use registry::{Remote, TagOrDigest};
use spec::{Descriptor, Digest, ImageId, MAX_MANIFEST_SIZE, Manifest, Mentioned, Repository};
use store::{Lease, Store, VerifiedBlob};

use super::restore_layer::repositories;
use crate::error::Missing;
use crate::transfer::Watcher;
use crate::{Engine, EngineError, Progress, Result};

/// Images of an index that are looked at for one: more than any name has platforms.
const MAX_ENTRIES: usize = 32;

/// All that is known of a blob.
#[derive(Default)]
struct Origin {
    /// As the manifest of an image describes it; none for a manifest or an index.
    descriptor: Option<Descriptor>,
    repositories: BTreeSet<Repository>,
}

impl Engine {
    /// Puts a kept blob in the place of what is there or should be, from a repository that an image with it came from. What is
    /// there stays if it cannot be had.
    pub(crate) async fn restore_blob(
        &self,
        digest: &Digest,
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<()> {
        let (wanted, held) = (digest.clone(), Arc::clone(lease));
        let origin = self
            .on_disk(move |store| {
                held.hold_blob(&wanted)?;
                find(store, &wanted)
            })
            .await?;
        let mut failure = EngineError::Missing(Missing::OriginOfBlob);
        for repository in &origin.repositories {
            let fetched = match self.reading(repository).await {
                Ok(remote) => match &origin.descriptor {
                    None => self.restore_document(digest, &remote).await,
                    Some(blob) => self.download_again(blob, &remote, lease, progress).await,
                },
                Err(error) => Err(error),
            };
            match fetched {
                Ok(()) => return Ok(()),
                // Another one may have it.
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn restore_document(&self, digest: &Digest, remote: &Remote) -> Result<()> {
        let fetched = remote.manifest(&TagOrDigest::Digest(digest.clone())).await;
        let bytes = fetched.map_err(EngineError::Registry)?.bytes;
        let digest = digest.clone();
        self.on_disk(move |store| {
            let blob = VerifiedBlob::check(&digest, bytes)?;
            Ok(store.replace_blob(&blob)?)
        })
        .await
    }

    async fn download_again(
        &self,
        blob: &Descriptor,
        remote: &Remote,
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<()> {
        let watcher = Watcher::User { progress: progress.clone(), id: blob.digest.short() };
        let download = self.fetch_blob(remote, blob, lease, watcher).await?;
        self.on_disk(move |store| {
            // Somebody who pulled it meanwhile has published it.
            let Some(verified) = download.handle().take_verified() else { return Ok(()) };
            Ok(store.replace_blob(&verified)?)
        })
        .await
    }
}

impl Engine {
    /// Fetches the manifests of images again of which none is kept, by the digests that their names tell; says whether there was one.
    pub(super) async fn restore_documents(&self, images: &[ImageId]) -> bool {
        let mut any = false;
        for id in images {
            match self.documents_of(id).await {
                Ok(found) => any |= found,
                Err(error) => tracing::info!(%error, image = %id, "its manifest cannot be had"),
            }
        }
        any
    }

    async fn documents_of(&self, id: &ImageId) -> Result<bool> {
        let references = self.on_disk(|store| Ok(store.references()?)).await?;
        for name in references.of_image(id) {
            let Some(digest) = name.digest() else { continue };
            let remote = self.reading(name.repository()).await?;
            let documents = documents(&remote, digest, id).await?;
            if documents.is_empty() {
                continue;
            }
            let id = id.clone();
            self.on_disk(move |store| Ok(store.keep_manifests(&id, &documents)?)).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Fetches the manifest of an image by its digest, or by that of an index in which it is; nothing if it is not there.
async fn documents(
    remote: &Remote,
    digest: &Digest,
    id: &ImageId,
) -> Result<Vec<(Descriptor, Bytes)>> {
    let (descriptor, bytes, root) = document(remote, digest).await?;
    let index = match root {
        Manifest::Image(manifest) if manifest.config.digest == *id.digest() => {
            return Ok(vec![(descriptor, bytes)]);
        }
        Manifest::Image(_) => return Ok(Vec::new()),
        Manifest::Index(index) => index,
    };
    let manifests = index.manifests.iter().filter(|entry| entry.media_type.is_manifest());
    for entry in manifests.take(MAX_ENTRIES) {
        let (child, child_bytes, parsed) = document(remote, &entry.digest).await?;
        if matches!(&parsed, Manifest::Image(manifest) if manifest.config.digest == *id.digest()) {
            return Ok(vec![(descriptor, bytes), (child, child_bytes)]);
        }
    }
    Ok(Vec::new())
}

async fn document(remote: &Remote, digest: &Digest) -> Result<(Descriptor, Bytes, Manifest)> {
    let fetched = remote.manifest(&TagOrDigest::Digest(digest.clone())).await;
    let fetched = fetched.map_err(EngineError::Registry)?;
    let parsed = Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes)
        .map_err(|source| EngineError::Manifest { reference: digest.to_string(), source })?;
    let size = fetched.bytes.len() as u64;
    let descriptor = Descriptor::new(parsed.media_type().clone(), digest.clone(), size);
    Ok((descriptor, fetched.bytes, parsed))
}

/// Finds out where a blob came from, by the images that it belongs to. Blocking.
fn find(store: &Store, digest: &Digest) -> Result<Origin> {
    let mut origin = Origin::default();
    for id in store.images()? {
        for manifest in store.manifests_of(&id)?.into_iter().chain(store.parts_of(&id)?) {
            if manifest.digest == *digest {
                origin.repositories.extend(repositories(store, &id)?);
                continue;
            }
            // One that is damaged itself tells nothing.
            let Ok(Some(bytes)) = store.read_blob(&manifest.digest, MAX_MANIFEST_SIZE) else {
                continue;
            };
            let Ok(mentioned) = Mentioned::parse(&bytes) else { continue };
            if let Some(blob) = mentioned.blobs().find(|blob| blob.digest == *digest) {
                origin.descriptor.get_or_insert_with(|| blob.clone());
                origin.repositories.extend(repositories(store, &id)?);
            }
        }
    }
    if let Some(diff_id) = store.diff_id_of(digest)? {
        let sources = store.sources_of(&diff_id)?.into_iter();
        let same = sources.filter(|source| source.digest == *digest);
        origin.repositories.extend(same.map(|source| source.repository));
    }
    Ok(origin)
}

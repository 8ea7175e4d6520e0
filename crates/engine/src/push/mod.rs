//! `push`: an image from the store to a registry.
//!
//! Each layer takes the cheapest honest way: the registry has it already (HEAD), has it in a sibling repository (mount), or gets
//! it from the kept blob, or from a blob that is made anew from the layer's directory. When all layers turn out to be those of
//! the manifest that the image was pulled with, that manifest goes up byte for byte; otherwise one is made. Where the name was pulled as
//! an index, that goes up whole if all that it lists can be had at the registry then, and else the image alone, which is told. A registry
//! that does not take the image's manifest gets one of schema 1, if that is allowed.

mod content;
mod first_schema;
mod index;
mod layer;
mod manifest;
mod operation;
mod referrers;
mod upload;

pub use operation::PushRequest;
pub(crate) use referrers::{Referring, referrers_of, referring};

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use registry::{Access, Credentials, Referral, TagOrDigest};
use spec::{Descriptor, Digest, ImageId, Reference, Repository, Tag};
use store::{Commit, HmacKey, Image, NewImage, Source, StoreError, VerifiedBlob};

use crate::document::Document;
use crate::progress::ProgressEvent;
use crate::{Engine, EngineError, LayerFacts, LayerState, Progress, Result, resolve};
use content::hold;
use index::{Listed, Original};
use manifest::{Origin, PushedLayer};
use operation::{Push, refused};
use upload::cancel;

impl Engine {
    /// Pushes one tag of a repository, or all of them. Dropping the future cancels the push.
    pub async fn push(&self, request: PushRequest, progress: Progress) -> Result<()> {
        let repository = request.repository.clone();
        if repository.familiar() == "scratch" {
            return Err(EngineError::ReservedName);
        }
        progress.report(ProgressEvent::Pushing { repository: repository.to_string() });
        let references = self.associations(&repository).await?;
        let client = self.client_for(&progress).on_behalf_of(request.caller.clone());
        let push = Arc::new(Push {
            engine: self.clone(),
            allows_first_schema: client.allows_first_schema(),
            takes_foreign_layers: client.allows_nondistributable(repository.domain()).await,
            remote: client
                .remote(&repository, &request.credentials, Access::Push)
                .await
                .map_err(refused)?,
            key: hmac_key(&request.credentials),
            request,
            lease: self.reading_lease().await?,
            progress,
        });
        let tags = choose(&repository, push.request.tag.as_ref(), &references)?;
        for (tag, id) in tags {
            push.tag(tag, id).await?;
        }
        let familiar = match &push.request.tag {
            Some(tag) => Reference::new(repository.clone(), Some(tag.clone()), None).familiar(),
            None => repository.familiar(),
        };
        self.transfer_event("push", familiar, repository.familiar()).await;
        Ok(())
    }

    async fn associations(&self, repository: &Repository) -> Result<Vec<(Reference, ImageId)>> {
        let repository = repository.clone();
        self.on_disk(move |store| {
            let references = store.references()?.by_name(&repository);
            if references.is_empty() {
                return Err(EngineError::NoLocalRepository(repository.familiar()));
            }
            Ok(references)
        })
        .await
    }
}

impl Push {
    async fn tag(self: &Arc<Self>, tag: &Tag, id: &ImageId) -> Result<()> {
        if let Some(part) = self.wanted_part(id).await? {
            return self.part_alone(id, &part, tag).await;
        }
        let origin = self.origin(id).await?;
        // dockerd shows the top layer first.
        for layer in origin.layers.iter().rev() {
            if let Some(known) = &layer.known {
                self.progress.facts(&layer.label(), LayerFacts::wanted(known.size));
            }
            self.progress.layer(&layer.label(), LayerState::Preparing);
        }
        let layers = try_join_all(origin.layers.iter().map(|layer| self.layer(layer))).await?;
        let document = origin.document(&layers)?;
        let original = self.original(id, tag).await?;
        let siblings = original.as_ref().map_or(&[][..], |original| &original.siblings);
        self.config(&document.config, &origin.image, siblings).await?;
        let mut whole = None;
        if let Some(original) = &original {
            let index = &original.index.descriptor;
            let referrers = self.referring(id, &index.digest).await?;
            whole = self.index(original, &document, tag, referrers).await?.then_some(index);
        }
        // What is not the image's own manifest is there under a digest of its own.
        let mut other = whole.cloned();
        if whole.is_none() {
            let referrers = self.referring(id, &document.digest).await?;
            let alone = (&document.descriptor(), &document.bytes);
            let put = self.manifest(alone, tag, referrers, siblings).await;
            other = self.or_first_schema(put, &document, tag, &origin.image, &layers).await?;
        }
        if let Some(came_with) = origin.given_up(&document).filter(|_| whole.is_none()) {
            let (tag, came_with) = (tag.to_string(), came_with.clone());
            self.progress.report(ProgressEvent::LayersRemade { tag, came_with });
        }
        let named = other.as_ref().map(|other| other.digest.clone());
        let mut pushed = other.unwrap_or_else(|| document.descriptor());
        let (digest, size) = (pushed.digest.clone(), pushed.size);
        self.progress.report(ProgressEvent::Pushed { tag: tag.to_string(), digest, size });
        if let (Some(original), None) = (&original, whole) {
            pushed.platform = Some(origin.image.config.value().platform());
            let index = Box::new(original.index.descriptor.clone());
            let manifest = Box::new(pushed);
            self.progress.report(ProgressEvent::PushedWithoutIndex { index, manifest });
        }
        match self.remember((document, named), tag, &origin.image, layers).await {
            // Somebody has removed the image or moved the tag: what is gone stays gone.
            Err(EngineError::Store(StoreError::NoImage(id))) => {
                tracing::info!(%id, %tag, "an image is pushed that has lost the tag meanwhile");
                Ok(())
            }
            // All is at the registry; its next push there asks for more.
            Err(EngineError::Store(error)) if error.cannot_write() => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "where an image was pushed to is not noted");
                Ok(())
            }
            remembered => remembered,
        }
    }

    /// Finds the index that a tag of an image was pulled as, unless one platform is asked for.
    async fn original(&self, id: &ImageId, tag: &Tag) -> Result<Option<Original>> {
        if self.request.platform.is_some() {
            return Ok(None);
        }
        let name = Reference::new(self.request.repository.clone(), Some(tag.clone()), None);
        let id = id.clone();
        self.engine.on_disk(move |store| Original::find(store, &id, &name)).await
    }

    /// Finds the part of an image that is for the platform which is asked for, if the image itself is not.
    async fn wanted_part(self: &Arc<Self>, id: &ImageId) -> Result<Option<Listed>> {
        if self.request.platform.is_none() {
            return Ok(None);
        }
        let (push, id) = (Arc::clone(self), id.clone());
        self.engine
            .on_disk(move |store| {
                hold(store, &push.lease, &id)?;
                push.part(store, &id)
            })
            .await
    }

    /// Pushes a part of an image as an image of its own.
    async fn part_alone(&self, id: &ImageId, part: &Listed, tag: &Tag) -> Result<()> {
        self.blobs(std::slice::from_ref(part), &[]).await?;
        let referrers = self.referring(id, &part.descriptor.digest).await?;
        let digest = self.manifest((&part.typed(), &part.bytes), tag, referrers, &[]).await?;
        let tag = tag.to_string();
        let size = part.bytes.len() as u64;
        self.progress.report(ProgressEvent::Pushed { tag, digest, size });
        Ok(())
    }

    /// Puts a manifest, whose blobs are there, under a tag. Whoever sees the tag sees what refers to the manifest.
    async fn manifest(
        &self,
        (manifest, bytes): (&Descriptor, &Bytes),
        tag: &Tag,
        referrers: Vec<Referral>,
        siblings: &[Repository],
    ) -> Result<Digest> {
        let put = |target: TagOrDigest| async move {
            let put = self.remote.put_manifest(&target, &manifest.media_type, bytes.clone());
            put.await.map_err(refused)
        };
        if !referrers.is_empty() {
            put(manifest.digest.clone().into()).await?;
        }
        self.send_referrers(referrers, tag, siblings).await?;
        let digest = put(tag.clone().into()).await?;
        debug_assert_eq!(digest, manifest.digest, "the client compares the digests");
        Ok(digest)
    }

    /// Gathers what is known of an image, and holds it against removal meanwhile.
    async fn origin(&self, id: &ImageId) -> Result<Origin> {
        let (lease, id) = (Arc::clone(&self.lease), id.clone());
        let wanted = self.request.platform.clone();
        self.engine
            .on_disk(move |store| {
                hold(store, &lease, &id)?;
                let name = id.to_string();
                resolve::check_platform(store, &id, &name, wanted.as_ref())?;
                let image = store.image(&id)?.ok_or(EngineError::NoSuchImage(name))?;
                store.note_use(&id);
                Origin::gather(store, &lease, image)
            })
            .await
    }

    /// Uploads the config unless the registry has it, if only in a sibling repository.
    async fn config(
        &self,
        descriptor: &Descriptor,
        image: &Image,
        siblings: &[Repository],
    ) -> Result<()> {
        let known = self.remote.blob_presence(&descriptor.digest).await.map_err(refused)?;
        if known.is_some() {
            return Ok(());
        }
        match self.mount_from(&descriptor.digest, siblings).await {
            (Some(_), _) => Ok(()),
            (None, session) => {
                cancel(session).await;
                self.upload_bytes(descriptor, image.config.bytes().clone()).await
            }
        }
    }

    /// Notes at which registry the image now is, so that its next push there is short. What it has there is the digest `named`, or else
    /// the manifest's.
    async fn remember(
        &self,
        (document, named): (Document, Option<Digest>),
        tag: &Tag,
        image: &Arc<Image>,
        layers: Vec<PushedLayer>,
    ) -> Result<()> {
        let lease = Arc::clone(&self.lease);
        let (image, id) = (Arc::clone(image), image.id.clone());
        let (repository, key) = (self.request.repository.clone(), self.key.clone());
        let tagged = Reference::new(repository.clone(), Some(tag.clone()), None);
        let takes_foreign_layers = self.takes_foreign_layers;
        self.engine
            .on_disk(move |store| {
                let leaves = |layer: &Descriptor| !takes_foreign_layers && !layer.urls.is_empty();
                let source = |layer: PushedLayer| {
                    let digest = layer.descriptor.digest;
                    let hmac = key.sign(&digest, &repository);
                    (layer.diff_id, Source { digest, repository: repository.clone(), hmac })
                };
                // What was left to its own URLs is not at the registry.
                let layers = layers.into_iter().filter(|layer| !leaves(&layer.descriptor));
                let manifests = vec![document.descriptor()];
                let mut commit = Commit {
                    blobs: vec![VerifiedBlob::check(&document.digest, document.bytes)?],
                    sources: layers.map(source).collect(),
                    while_named: Some(tagged),
                    image: Some(NewImage {
                        id: id.clone(),
                        config: image.config.bytes().clone(),
                        manifests,
                        parts: Vec::new(),
                    }),
                    ..Commit::default()
                };
                let digest = named.unwrap_or(document.digest);
                let reference = Reference::new(repository.clone(), None, Some(digest));
                // A digest that names another image already stays with it, as in dockerd.
                if store.references()?.get(&reference).is_none() {
                    commit.references.push((reference, id));
                }
                store.commit(&lease, commit)?;
                Ok(())
            })
            .await
    }
}

/// Returns the tags to push, sorted: the one that is wanted, or all.
fn choose<'r>(
    repository: &Repository,
    wanted: Option<&Tag>,
    references: &'r [(Reference, ImageId)],
) -> Result<Vec<(&'r Tag, &'r ImageId)>> {
    let tagged = references.iter().filter_map(|(reference, id)| Some((reference.tag()?, id)));
    let Some(wanted) = wanted else {
        let tags: Vec<_> = tagged.collect();
        return if tags.is_empty() {
            Err(EngineError::NoTagsToPush(repository.familiar()))
        } else {
            Ok(tags)
        };
    };
    let found: Vec<_> = tagged.filter(|(tag, _)| *tag == wanted).collect();
    if found.is_empty() {
        let reference = Reference::new(repository.clone(), Some(wanted.clone()), None);
        return Err(EngineError::NoLocalTag(reference.familiar()));
    }
    Ok(found)
}

/// Returns what stands for the credentials in the distribution metadata.
fn hmac_key(credentials: &Credentials) -> HmacKey {
    let mut fields = store::Credentials::default();
    match credentials {
        Credentials::Anonymous => {}
        Credentials::Basic { username, password } => {
            fields.username = username;
            fields.password = password;
        }
        Credentials::IdentityToken { username, token } => {
            fields.username = username;
            fields.identity_token = token;
        }
        Credentials::RegistryToken(token) => fields.registry_token = token,
    }
    HmacKey::new(&fields)
}

#[cfg(test)]
mod tests;

//! The index that a name was pulled as, pushed whole: with the manifests of other platforms and of attestations that are here, at the
//! registry already, or in another repository of it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::{Referral, RegistryError, TagOrDigest};
use spec::{
    Descriptor, Digest, ImageId, MAX_MANIFEST_SIZE, MediaType, Mentioned, Reference, Repository,
    Tag,
};
use store::Store;

use super::operation::{Push, refused};
use super::upload::cancel;
use crate::document::Document;
use crate::{EngineError, LayerState, Result};

/// Manifests that are looked for at once.
const MANIFESTS_AT_ONCE: usize = 4;
/// The depth to which indexes may be nested, as in a pull.
const MAX_INDEX_DEPTH: usize = 5;

/// An index, or a manifest that it leads to.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) mentioned: Mentioned,
}

/// The index that a name was pulled as.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) index: Listed,
    /// Other repositories of the registry that is pushed to, which the image came from or went to.
    pub(super) siblings: Vec<Repository>,
}

/// The place of a manifest that an index lists.
enum Found {
    AtTarget,
    Here(Box<Listed>),
    Nowhere,
}

impl Listed {
    fn new(descriptor: Descriptor, bytes: Bytes) -> Option<Self> {
        let mentioned = Mentioned::parse(&bytes).ok()?;
        Some(Self { descriptor, bytes, mentioned })
    }

    /// Reads what is kept under a descriptor. Blocking.
    pub(super) fn read(store: &Store, descriptor: Descriptor) -> Option<Self> {
        let bytes =
            store.read_blob(&descriptor.digest, MAX_MANIFEST_SIZE).unwrap_or_else(|error| {
                let manifest = &descriptor.digest;
                tracing::warn!(%error, %manifest, "a kept manifest cannot be read");
                None
            });
        Self::new(descriptor, bytes?)
    }

    fn lists(&self, digest: &Digest) -> bool {
        self.mentioned.manifests.iter().any(|entry| entry.digest == *digest)
    }

    /// Describes it with the type that it goes up with.
    pub(super) fn typed(&self) -> Descriptor {
        Descriptor { media_type: self.media_type(), ..self.descriptor.clone() }
    }

    /// Returns the type that it goes up with: its own word for it, else that of who lists it.
    fn media_type(&self) -> MediaType {
        let said = [&self.mentioned.media_type, &self.descriptor.media_type];
        let said = said.into_iter().find(|media_type| !media_type.is_generic());
        said.cloned().unwrap_or(if self.mentioned.manifests.is_empty() {
            MediaType::OciManifest
        } else {
            MediaType::OciIndex
        })
    }
}

impl Original {
    /// Finds the index that a name of an image means: the one that it was pulled, loaded or tagged as; if that is not known, the one
    /// that a digest of the repository names, then one that any digest names, and of several the last. Blocking.
    pub(super) fn find(store: &Store, id: &ImageId, name: &Reference) -> Result<Option<Self>> {
        let mut indexes = Vec::new();
        for descriptor in store.manifests_of(id)? {
            let listed = Listed::read(store, descriptor);
            indexes.extend(listed.filter(|listed| !listed.mentioned.manifests.is_empty()));
        }
        let references = store.references()?;
        let digests: Vec<&Reference> =
            references.of_image(id).iter().filter(|name| name.digest().is_some()).collect();
        let index = if let Some(root) = store.root_of(id, name)? {
            // It may be the image's manifest alone.
            indexes.into_iter().find(|index| index.descriptor.digest == root)
        } else {
            likeliest(indexes, &digests, name.repository())
        };
        let target = name.repository();
        let mut siblings: Vec<Repository> = Vec::new();
        for repository in digests.iter().map(|name| name.repository()) {
            let is_sibling = repository.domain() == target.domain() && repository != target;
            if is_sibling && !siblings.contains(repository) {
                siblings.push(repository.clone());
            }
        }
        Ok(index.map(|index| Self { index, siblings }))
    }
}

/// Chooses the index that a name means of which nothing is known.
fn likeliest(
    indexes: Vec<Listed>,
    digests: &[&Reference],
    repository: &Repository,
) -> Option<Listed> {
    let inner: HashSet<Digest> = indexes
        .iter()
        .flat_map(|index| index.mentioned.manifests.iter().map(|entry| entry.digest.clone()))
        .collect();
    let rank = |index: &Listed| {
        let by = digests.iter().filter(|by| by.digest() == Some(&index.descriptor.digest));
        by.map(|by| 1 + usize::from(by.repository() == repository)).max()
    };
    let outer = indexes.into_iter().filter(|index| !inner.contains(&index.descriptor.digest));
    outer.enumerate().max_by_key(|(at, index)| (rank(index), *at)).map(|(_, index)| index)
}

impl Push {
    /// Pushes an index under a tag, with the image's own manifest, whose blobs are there, and all else that it lists; says whether
    /// that could be done. If not, nothing has gone up but what the image needs anyway.
    pub(super) async fn index(
        &self,
        original: &Original,
        own: &Document,
        tag: &Tag,
        referrers: Vec<Referral>,
    ) -> Result<bool> {
        let Original { index, siblings } = original;
        let at_target = TagOrDigest::Digest(index.descriptor.digest.clone());
        if !self.has_manifest(&at_target).await? {
            let Some(children) = self.children(original, &own.digest).await? else {
                return Ok(false);
            };
            self.blobs(&children, siblings).await?;
            if index.lists(&own.digest) || children.iter().any(|child| child.lists(&own.digest)) {
                let target = TagOrDigest::Digest(own.digest.clone());
                let put = self.remote.put_manifest(&target, &own.media_type, own.bytes.clone());
                if !taken(put.await)? {
                    return Ok(false);
                }
            }
            for child in &children {
                let target = TagOrDigest::Digest(child.descriptor.digest.clone());
                if !taken(self.put(&target, child).await)? {
                    return Ok(false);
                }
            }
        }
        if !referrers.is_empty() && !taken(self.put(&at_target, index).await)? {
            return Ok(false);
        }
        self.send_referrers(referrers, tag, siblings).await?;
        taken(self.put(&TagOrDigest::Tag(tag.clone()), index).await)
    }

    pub(super) async fn put(
        &self,
        target: &TagOrDigest,
        listed: &Listed,
    ) -> Result<Digest, RegistryError> {
        self.remote.put_manifest(target, &listed.media_type(), listed.bytes.clone()).await
    }

    /// Lists the manifests that an index leads to and that are not at the registry, those that others list first. `None` if one of
    /// them, or a blob of it, is to be had nowhere.
    pub(super) async fn children(
        &self,
        original: &Original,
        own: &Digest,
    ) -> Result<Option<Vec<Listed>>> {
        let mut children = Vec::new();
        let mut seen = HashSet::from([own.clone()]);
        let mut level = original.index.mentioned.manifests.clone();
        for _ in 0..MAX_INDEX_DEPTH {
            level.retain(|entry| seen.insert(entry.digest.clone()));
            if level.is_empty() {
                children.reverse();
                return Ok(Some(children));
            }
            let found: Vec<_> =
                level.drain(..).map(|entry| self.child(entry, &original.siblings)).collect();
            let mut found = stream::iter(found).buffered(MANIFESTS_AT_ONCE);
            while let Some(found) = found.try_next().await? {
                match found {
                    Found::AtTarget => {}
                    Found::Nowhere => return Ok(None),
                    Found::Here(child) => {
                        level.extend(child.mentioned.manifests.iter().cloned());
                        children.push(*child);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Finds a manifest that an index lists. Blobs of it that are not here are at the registry afterwards, if it is found.
    async fn child(&self, entry: Descriptor, siblings: &[Repository]) -> Result<Found> {
        let target = TagOrDigest::Digest(entry.digest.clone());
        if self.has_manifest(&target).await? {
            return Ok(Found::AtTarget);
        }
        let (wanted, lease) = (entry.clone(), Arc::clone(&self.lease));
        let kept = self.engine.on_disk(move |store| {
            lease.hold_blob(&wanted.digest)?;
            Ok(Listed::read(store, wanted))
        });
        let child = match kept.await? {
            Some(child) => child,
            None => match self.at_sibling(&target, siblings).await {
                Some(bytes) => match Listed::new(entry, bytes) {
                    Some(child) => child,
                    None => return Ok(Found::Nowhere),
                },
                None => return Ok(Found::Nowhere),
            },
        };
        for blob in child.mentioned.blobs().filter(|blob| !self.leaves(blob)) {
            if !self.is_here(blob).await? && !self.without_bytes(blob, siblings).await? {
                return Ok(Found::Nowhere);
            }
        }
        Ok(Found::Here(Box::new(child)))
    }

    /// Fetches a manifest from another repository of the registry.
    async fn at_sibling(&self, target: &TagOrDigest, siblings: &[Repository]) -> Option<Bytes> {
        for repository in siblings {
            let client = self.engine.client_for(&self.progress);
            let client = client.on_behalf_of(self.request.caller.clone());
            let remote =
                client.remote(repository, &self.request.credentials, registry::Access::Pull).await;
            let fetched = match remote {
                Ok(remote) => remote.manifest(target).await,
                Err(error) => Err(error),
            };
            match fetched {
                Ok(fetched) => return Some(fetched.bytes),
                Err(error) => tracing::debug!(%error, %repository, %target, "not there"),
            }
        }
        None
    }

    /// Says whether the registry has a manifest in the repository. One that does not answer the question has not got it.
    pub(super) async fn has_manifest(&self, target: &TagOrDigest) -> Result<bool> {
        match self.remote.find(target).await {
            Ok(found) => Ok(found.is_some()),
            Err(error) if is_everybodys(&error) => Err(refused(error)),
            Err(error) => {
                tracing::debug!(%error, %target, "not known to be there");
                Ok(false)
            }
        }
    }

    async fn is_here(&self, blob: &Descriptor) -> Result<bool> {
        let (lease, digest) = (Arc::clone(&self.lease), blob.digest.clone());
        self.engine
            .on_disk(move |store| {
                lease.hold_blob(&digest)?;
                Ok(store.blob(&digest)?.is_some())
            })
            .await
    }

    /// Has the registry have a blob without sending it; says whether it has.
    async fn without_bytes(&self, blob: &Descriptor, siblings: &[Repository]) -> Result<bool> {
        if self.remote.blob_presence(&blob.digest).await.map_err(refused)?.is_some() {
            return Ok(true);
        }
        let (mounted, session) = self.mount_from(&blob.digest, siblings).await;
        cancel(session).await;
        let Some(repository) = mounted else { return Ok(false) };
        self.progress.layer(&blob.digest.short(), LayerState::MountedFrom { repository });
        Ok(true)
    }
}

/// Says whether the registry took a manifest. One that refuses an index, or what it lists, may still take the image.
fn taken(put: Result<Digest, RegistryError>) -> Result<bool> {
    match put {
        Ok(_) => Ok(true),
        Err(error) if refuses_kind(&error) => {
            tracing::warn!(%error, "the registry does not take the index");
            Ok(false)
        }
        Err(error) => Err(refused(error)),
    }
}

/// Says whether a registry refused what it was sent, and not who sent it or how often.
fn refuses_kind(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Refused(_))
        && !is_everybodys(error)
        && matches!(error.code_status(), Some(400 | 404 | 405))
}

/// Says whether any other question would be answered in the same way.
fn is_everybodys(error: &RegistryError) -> bool {
    error.is_denied()
        || error.is_unauthorized()
        || error.lacks_credentials()
        || error.is_unreachable()
        || error.code_status() == Some(429)
}

impl Push {
    /// Finds the manifest of another platform that is asked for, if it is a part of the image. Blocking.
    pub(super) fn part(&self, store: &Store, id: &ImageId) -> Result<Option<Listed>> {
        let Some(wanted) = &self.request.platform else { return Ok(None) };
        let image = store.image(id)?.ok_or_else(|| EngineError::NoSuchImage(id.to_string()))?;
        if crate::resolve::platform_matches(wanted, &image.config.value().platform()) {
            return Ok(None);
        }
        let parts = store.parts_of(id)?.into_iter().filter_map(|part| {
            let platform = part.platform.as_ref()?;
            Some((wanted.preference(platform)?, part))
        });
        match parts.min_by_key(|(preference, _)| *preference) {
            Some((_, part)) => Ok(Listed::read(store, part)),
            None => Ok(None),
        }
    }
}

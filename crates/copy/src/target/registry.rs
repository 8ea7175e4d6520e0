//! A repository of a registry, to write to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use registry::{
    Access, Attempts, Breaks, FetchedManifest, Mounted, Recovery, RegistryError, Remote,
    TagOrDigest, UploadSession,
};
use spec::{Descriptor, Digest, MediaType, Reference, Repository, Tag};
use tokio::sync::Mutex;

use crate::document::Document;
use crate::error::Result;
use crate::feed::{Feed, body};
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, PrivateKey, Side};

/// Failures of an upload in a row before it is given up: as many as dockerd allows a push.
const ATTEMPTS: u32 = 5;
/// Repositories that a blob is tried to be mounted from. Each try is a request; more rarely help.
const MOUNT_ATTEMPTS: usize = 2;
/// The largest blob that goes up in a single request: it is sent again as quickly as it would be gone on with.
const AT_ONCE: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct RegistryTarget {
    remote: Remote,
    tag: Option<Tag>,
    digest: Option<Digest>,
    /// True if layers that are not to be redistributed may go there.
    takes_foreign_layers: bool,
}

impl fmt::Display for RegistryTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository().fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl RegistryTarget {
    pub(crate) async fn open(reference: &Reference, side: &Side) -> Result<Self> {
        let repository = reference.repository();
        let remote = side.remote(repository, Access::Push).await?;
        let takes_foreign_layers = side.allows_nondistributable(repository.domain()).await;
        let reference = reference.clone().with_default_tag();
        let (tag, digest) = (reference.tag().cloned(), reference.digest().cloned());
        Ok(Self { remote, tag, digest, takes_foreign_layers })
    }

    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        Self { tag: Some(tag.clone()), digest: None, ..self.clone() }
    }

    pub(crate) fn unnamed(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// Lists the manifests that refer to another.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<HashSet<Digest>> {
        let found = self.remote.referrers(subject, None).await;
        let found = found.map_err(|error| self.failed(error))?;
        Ok(found.list.into_iter().map(|referrer| referrer.descriptor.digest).collect())
    }

    pub(crate) fn host(&self) -> &str {
        self.repository().domain()
    }

    pub(crate) fn key(&self) -> String {
        self.repository().to_string()
    }

    pub(crate) fn demanded(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    fn repository(&self) -> &Repository {
        self.remote.repository()
    }

    fn failed(&self, source: RegistryError) -> CopyError {
        failure(self, source)
    }

    /// Says which part of an image a failure was about.
    fn failed_at(&self, digest: &Digest, source: RegistryError) -> CopyError {
        failure(&format_args!("{self}: {digest}"), source)
    }

    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        let name = match (&self.tag, &self.digest) {
            (Some(tag), _) => TagOrDigest::Tag(tag.clone()),
            (None, Some(digest)) => TagOrDigest::Digest(digest.clone()),
            (None, None) => TagOrDigest::Tag(Tag::latest()),
        };
        let found = self.remote.find(&name).await;
        Ok(found.map_err(|error| self.failed(error))?.map(|found| found.descriptor.digest))
    }

    pub(crate) async fn document(&self, digest: &Digest) -> Result<Option<Document>> {
        match self.remote.manifest(&digest.clone().into()).await {
            Ok(FetchedManifest { bytes, media_type, digest, .. }) => {
                Ok(Some(Document { bytes, media_type, digest }))
            }
            Err(RegistryError::DigestMismatch { .. }) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.failed_at(digest, error)),
        }
    }

    pub(crate) async fn put(
        &self,
        is_root: bool,
        digest: &Digest,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<()> {
        let name = match &self.tag {
            Some(tag) if is_root => TagOrDigest::Tag(tag.clone()),
            _ => TagOrDigest::Digest(digest.clone()),
        };
        let stored = if is_root {
            self.remote.put_manifest_surely(&name, media_type, bytes).await
        } else {
            self.remote.put_manifest(&name, media_type, bytes).await
        };
        stored.map(drop).map_err(|error| self.failed_at(digest, error))
    }

    pub(crate) async fn sign(&self, key: &PrivateKey, digest: &Digest) -> Result<bool> {
        let name = Reference::new(self.repository().clone(), self.tag.clone(), None);
        let signed = policy::sign(&self.remote, key, &name, digest).await;
        signed.map_err(|source| CopyError::Sign {
            target: self.to_string(),
            source: Box::new(source),
        })
    }

    pub(crate) async fn blob(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
    ) -> Result<Option<Outcome>> {
        if !blob.urls.is_empty() && !self.takes_foreign_layers {
            return Ok(Some(Outcome::LeftToItsUrls));
        }
        // Held while the blob is on its way: whoever wants it in another repository of this host mounts it then.
        let known = shared.holders(self.host(), &blob.digest);
        let mut holders = known.lock().await;
        if holders.contains(self.repository()) {
            return Ok(None);
        }
        let outcome = self.place(shared, source, blob, &holders).await?;
        holders.push(self.repository().clone());
        Ok(Some(outcome))
    }

    /// Says whether the repository has a blob, and remembers that it does.
    pub(crate) async fn has(&self, shared: &Shared, blob: &Descriptor) -> Result<bool> {
        let known = shared.holders(self.host(), &blob.digest);
        let mut holders = known.lock().await;
        if holders.contains(self.repository()) {
            return Ok(true);
        }
        let _turn = shared.budget.turn(&[Some(self.host())]).await;
        let is_there = self.has_blob(blob).await?;
        if is_there {
            holders.push(self.repository().clone());
        }
        Ok(is_there)
    }

    /// Takes the cheapest way to have a blob in the repository.
    async fn place(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
        holders: &[Repository],
    ) -> Result<Outcome> {
        let same_host =
            |from: &&Repository| from.domain() == self.host() && **from != *self.repository();
        let from = source.repository().filter(same_host);
        let turn = shared.budget.turn(&[Some(self.host())]).await;
        // Where the image is, its blobs are, for the most part.
        if shared.mode.force && self.has_blob(blob).await? {
            return Ok(Outcome::Exists);
        }
        let mut session = None;
        if !shared.mode.dry {
            let sure = holders.iter().rev().chain(from);
            if let Some(mounted) = self.mount(blob, sure, &mut session).await {
                return Ok(mounted);
            }
        }
        if !shared.mode.force && self.has_blob(blob).await? {
            cancel(session).await;
            return Ok(Outcome::Exists);
        }
        if shared.mode.dry {
            let mounted = |from: &Repository| Outcome::Mounted(from.path().to_owned());
            return Ok(holders.last().or(from).map_or(Outcome::Copied, mounted));
        }
        if session.is_none() {
            let remembered = shared.sent.holders(self.host(), &blob.digest).await;
            let remembered = remembered.iter().filter(|from| *from != self.repository());
            if let Some(mounted) = self.mount(blob, remembered, &mut session).await {
                return Ok(mounted);
            }
        }
        drop(turn);
        shared.sent.sending(self.repository(), &blob.digest).await;
        let _turn = shared.budget.turn(&[Some(self.host()), source.host()]).await;
        let feed = Arc::new(Mutex::new(Feed::new(source, blob, &shared.report)));
        self.upload(&feed, blob, session).await?;
        Ok(Outcome::Copied)
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let present = self.remote.blob_presence(&blob.digest).await;
        Ok(present.map_err(|error| self.failed_at(&blob.digest, error))?.is_some())
    }

    /// Tries to mount a blob from some repositories. What upload begins in its place is `session`.
    async fn mount(
        &self,
        blob: &Descriptor,
        candidates: impl Iterator<Item = &Repository>,
        session: &mut Option<UploadSession>,
    ) -> Option<Outcome> {
        for from in candidates.take(MOUNT_ATTEMPTS) {
            match self.remote.mount(&blob.digest, from).await {
                Ok(Mounted::Yes) => {
                    cancel(session.take()).await;
                    return Some(Outcome::Mounted(from.path().to_owned()));
                }
                Ok(Mounted::Started(started)) => cancel(session.replace(started)).await,
                // A mount is an optimisation: the upload that follows tells what is really wrong.
                Err(error) => tracing::debug!(%error, %from, "mount failed"),
            }
        }
        None
    }

    /// Sends a blob. After a failure the upload goes on from what the registry has, or begins anew.
    async fn upload(
        &self,
        feed: &Arc<Mutex<Feed>>,
        blob: &Descriptor,
        mut session: Option<UploadSession>,
    ) -> Result<()> {
        let (mut attempts, mut breaks) = (Attempts::new(ATTEMPTS), Breaks::default());
        let mut at_once = blob.size <= AT_ONCE;
        loop {
            let started = match session.take() {
                Some(session) => Ok(session),
                None => self.remote.start_upload().await,
            };
            let (error, current) = match started {
                Ok(mut current) => match send(&mut current, feed, blob, breaks, at_once).await {
                    Ok(()) => return Ok(()),
                    Err(error) => (error, Some(current)),
                },
                Err(error) => (error, None),
            };
            at_once = false;
            breaks.count(&error);
            let pause = match &error {
                // Each part is smaller than the one before, so that this ends.
                RegistryError::PartTooLarge { .. } => None,
                RegistryError::Source { .. } => return Err(self.failed_at(&blob.digest, error)),
                _ => match attempts.pause(&error) {
                    Some(pause) => Some(pause),
                    None => return Err(self.failed_at(&blob.digest, error)),
                },
            };
            tracing::info!(%error, blob = %blob.digest, ?pause, target = %self, "the upload is tried again");
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            session = reopened(current, &error, blob).await;
            attempts.reached(session.as_ref().map_or(0, UploadSession::offset));
        }
    }
}

fn failure(place: &dyn fmt::Display, source: RegistryError) -> CopyError {
    match source {
        // What the body of a request broke off with is what its feed says.
        RegistryError::Source { source } => match source.downcast::<CopyError>() {
            Ok(error) => error,
            Err(source) => CopyError::registry(place, RegistryError::Source { source }),
        },
        source => CopyError::registry(place, source),
    }
}

/// Sends what the registry has not got, in as many parts as it wants.
async fn send(
    current: &mut UploadSession,
    feed: &Arc<Mutex<Feed>>,
    blob: &Descriptor,
    breaks: Breaks,
    at_once: bool,
) -> Result<(), RegistryError> {
    let (size, digest) = (blob.size, &blob.digest);
    if current.is_whole() || at_once && current.part(size, breaks) == size && current.offset() == 0
    {
        feed.lock().await.seek(0);
        return current.send_whole(body(feed, size), Some(size), digest).await;
    }
    while current.offset() < size {
        let offset = current.offset();
        let part = current.part(size - offset, breaks);
        feed.lock().await.seek(offset);
        current.append(body(feed, offset + part), Some(part)).await?;
    }
    current.finish(digest).await
}

/// Finds out what the registry has kept of an upload that failed. If it does not say so, the next attempt begins anew.
async fn reopened(
    current: Option<UploadSession>,
    error: &RegistryError,
    blob: &Descriptor,
) -> Option<UploadSession> {
    let mut current = current?;
    let is_lost =
        matches!(error, RegistryError::UploadUnknown { .. } | RegistryError::PartsRefused { .. });
    if is_lost
        || error.recovery() == Recovery::Fail
            && !matches!(error, RegistryError::PartTooLarge { .. })
    {
        return None;
    }
    let offset = current.status().await.ok()?;
    (offset <= blob.size).then_some(current)
}

/// Tells the registry that nobody goes on with an upload.
async fn cancel(session: Option<UploadSession>) {
    if let Some(session) = session
        && let Err(error) = session.cancel().await
    {
        tracing::debug!(%error, "an upload that is not needed could not be cancelled");
    }
}

//! Referrers of an image: signatures, SBOMs, attestations, and the referrers of these.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::{MAX_REFERRERS, MAX_REFERRERS_DEPTH, RefersBy, RegistryError};
use spec::{Digest, Manifest};

use super::choice::Root;
use super::documents::Job;
use crate::error::Result;
use crate::progress::Event;
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Target};

/// The most indexes within an index that are read for what they list.
const MAX_INDEXES: usize = 100;
/// Subjects that are asked about together, and referrers that are copied together. Hosts have budgets of their own.
const AT_ONCE: usize = 8;

/// A referrer at the source.
struct Found {
    digest: Digest,
    by: RefersBy,
    /// True if the target has it.
    is_there: bool,
}

/// The referrers of one image on their way.
pub(super) struct Referrers<'a> {
    pub(super) shared: &'a Shared,
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
}

/// Referrers that are not at the target, or not believed to be there whole.
pub(super) struct Missing(Vec<Found>);

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Referrers<'_> {
    /// Looks for all that refer to an image, and to what of it is copied.
    pub(super) async fn missing(&self, root: &Root) -> Result<Missing> {
        let (mut missing, mut count) = (Vec::new(), 0);
        let mut level = self.subjects(root).await?;
        let mut seen: HashSet<Digest> = level.iter().cloned().collect();
        for depth in 0.. {
            let asked = stream::iter(&level).map(|subject| self.of(subject)).buffered(AT_ONCE);
            let found: Vec<Vec<Found>> = asked.try_collect().await?;
            let found: Vec<Found> = found.into_iter().flatten().collect();
            if found.is_empty() {
                break;
            }
            count += found.len();
            let place = || self.source.to_string();
            if depth >= MAX_REFERRERS_DEPTH {
                let (place, limit) = (place(), MAX_REFERRERS_DEPTH);
                return Err(CopyError::ReferrersDepth { place, limit });
            }
            if count > MAX_REFERRERS {
                return Err(CopyError::Referrers { place: place(), limit: MAX_REFERRERS });
            }
            // A list may name what is known, and tags of cosign's each other.
            let new = found.iter().filter(|one| seen.insert(one.digest.clone()));
            level = new.map(|one| one.digest.clone()).collect();
            missing.extend(found.into_iter().filter(|one| !one.is_there || self.shared.mode.force));
        }
        Ok(Missing(missing))
    }

    /// Lists the documents of an image that can be referred to.
    async fn subjects(&self, root: &Root) -> Result<Vec<Digest>> {
        // Nobody refers to an index that was made here.
        let own = (!root.cut).then(|| root.document.digest.clone());
        let mut subjects: Vec<Digest> = own.into_iter().collect();
        let mut seen = HashSet::new();
        let mut within = Vec::new();
        let mut next = Some(root.manifest.clone());
        while let Some(manifest) = next {
            if let Manifest::Index(index) = &manifest {
                let entries = index.manifests.iter();
                for entry in entries.filter(|entry| entry.media_type.may_be_manifest()) {
                    if !seen.insert(entry.digest.clone()) {
                        continue;
                    }
                    subjects.push(entry.digest.clone());
                    if entry.media_type.is_index() {
                        within.push(entry.digest.clone());
                    }
                }
            }
            if seen.len() > MAX_REFERRERS || within.len() > MAX_INDEXES {
                let (place, limit) = (self.source.to_string(), MAX_REFERRERS);
                return Err(CopyError::Documents { place, limit });
            }
            next = match within.pop() {
                Some(digest) => {
                    let document = self.shared.fetch(self.source, Some(&digest)).await?;
                    Some(self.source.parse(&document)?)
                }
                None => None,
            };
        }
        Ok(subjects)
    }

    /// Lists what refers to one document.
    async fn of(&self, subject: &Digest) -> Result<Vec<Found>> {
        let (listed, tags) = {
            let _turn = self.shared.budget.turn(&[self.source.host()]).await;
            (self.source.referrers(subject).await?, self.source.cosign_tags(subject).await?)
        };
        let _turn = self.shared.budget.turn(&[self.target.host()]).await;
        let mut found = Vec::new();
        if !listed.is_empty() {
            let there = self.target.referrers(subject).await?;
            found.extend(listed.into_iter().map(|digest| {
                let is_there = there.contains(&digest);
                Found { digest, by: RefersBy::Subject(subject.clone()), is_there }
            }));
        }
        for (tag, digest) in tags {
            let is_there = self.target.tagged(&tag).digest().await?.as_ref() == Some(&digest);
            found.push(Found { digest, by: RefersBy::Tag(tag), is_there });
        }
        Ok(found)
    }

    /// Copies what is missing.
    pub(super) async fn copy(&self, missing: Missing) -> Result<()> {
        let copied = stream::iter(missing.0).map(|one| async move { self.one(&one).await });
        copied.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn one(&self, found: &Found) -> Result<()> {
        let (digest, shared) = (&found.digest, self.shared);
        let (fetched, target) = match &found.by {
            RefersBy::Subject(_) => {
                (shared.fetch(self.source, Some(digest)).await, self.target.unnamed())
            }
            RefersBy::Tag(tag) => {
                let source = self.source.tagged(tag);
                (shared.meant(&source, Some(digest)).await, self.target.tagged(tag))
            }
        };
        let document = match fetched {
            // The lists that clients keep outlive what they list.
            Err(error) if error.of_registry().is_some_and(RegistryError::is_not_found) => {
                tracing::warn!(%digest, source = %self.source, "a referrer that is listed is not there");
                return Ok(());
            }
            document => document?,
        };
        if !found.by.agrees_with(&document.bytes) {
            tracing::warn!(%digest, by = ?found.by, source = %self.source, "what is listed as a referrer is none");
            return Ok(());
        }
        if !self.source.admits_referrer(&document).await? {
            return Ok(());
        }
        let manifest = self.source.parse(&document)?;
        let job = Job::new(shared, self.source, &target, found.is_there);
        job.whole(&document, &manifest).await?;
        // The target's list may outlive what it lists, too.
        if found.is_there && target.document(shared, &document.digest).await?.is_some() {
            return Ok(());
        }
        target.store(shared, true, &document, manifest.media_type()).await?;
        let (digest, size) = (&document.digest, document.bytes.len() as u64);
        shared.tell(&Event::Document { digest, size });
        shared.tell(&Event::Referrer { digest });
        Ok(())
    }
}

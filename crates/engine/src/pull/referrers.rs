//! Referrers of what a pull keeps: signatures, SBOMs, attestations, and the referrers of these. They are kept as parts of the image,
//! and so as long as it.
//!
//! Anybody who may write to a repository may say there that something refers to an image. What is wrong with that, or too much, is left
//! out and told: it fails no pull.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::{MAX_REFERRERS, MAX_REFERRERS_DEPTH, Referral, RefersBy, RegistryError};
use spec::{Descriptor, Digest, ManifestError, Mentioned, Reference};

use super::operation::{Pull, is_gone, refused};
use super::parts::{Part, Search};
use crate::progress::{PartLeftOut, ProgressEvent};
use crate::{EngineError, Progress, Result};

/// Subjects that are asked about at once.
const SUBJECTS_AT_ONCE: usize = 4;

impl Search<'_> {
    /// Fetches the referrers of all that was found, and of these.
    pub(super) async fn referrers(&mut self) -> Result<()> {
        let parts = self.found.iter().map(|part| &part.descriptor.digest);
        let mut level: Vec<Digest> = self.own.keys().chain(parts).cloned().collect();
        let mut seen: HashSet<Digest> = HashSet::new();
        // Also those that a list names twice count: each costs something.
        let mut left = MAX_REFERRERS;
        for depth in 0.. {
            let asked: Vec<_> = level
                .drain(..)
                .map(|subject| self.pull.referring(subject, self.reference, self.progress))
                .collect();
            let mut listed: Vec<Referral> = Vec::new();
            let mut beyond = None;
            let mut asked = stream::iter(asked).buffered(SUBJECTS_AT_ONCE);
            while let Some(mut found) = asked.try_next().await? {
                let most = if depth < MAX_REFERRERS_DEPTH { left } else { 0 };
                beyond = found.get(most).map(|one| one.descriptor.digest.clone());
                found.truncate(most);
                left -= found.len();
                listed.extend(found);
                if beyond.is_some() {
                    break;
                }
            }
            drop(asked);
            // Attestations that the index lists may refer, too.
            listed.retain(|one| {
                seen.insert(one.descriptor.digest.clone()) && !self.knows(&one.descriptor.digest)
            });
            for referral in listed {
                let digest = referral.descriptor.digest.clone();
                match self.referrer(referral).await? {
                    Ok(()) => level.push(digest),
                    Err(PartLeftOut::Beyond) => {
                        self.left_out(digest, PartLeftOut::Beyond);
                        return Ok(());
                    }
                    Err(reason) => self.left_out(digest, reason),
                }
            }
            if let Some(beyond) = beyond {
                self.left_out(beyond, PartLeftOut::Beyond);
                break;
            }
            if level.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Fetches a referrer, and what it lists if it is an index; or says why it is left out.
    async fn referrer(
        &mut self,
        Referral { descriptor, by }: Referral,
    ) -> Result<Result<(), PartLeftOut>> {
        let before = self.found.len();
        match self.fetch_referrer(descriptor, by).await {
            Ok(fetched) => Ok(fetched),
            Err(error) => {
                let reason = why_left_out(&error).ok_or(error)?;
                // What an index lists goes with it.
                self.found.truncate(before);
                Ok(Err(reason))
            }
        }
    }

    /// Of what the list says only the digest counts, and the type where the document says none: nobody may take a referrer for an
    /// image of a platform.
    async fn fetch_referrer(
        &mut self,
        Descriptor { media_type: listed_type, digest, .. }: Descriptor,
        by: RefersBy,
    ) -> Result<Result<(), PartLeftOut>> {
        let repository = self.reference.repository().clone();
        let name = Reference::new(repository, None, Some(digest.clone()));
        let bytes = match self.pull.whole_document(&digest, &name).await {
            Ok(bytes) => bytes,
            // The lists that clients keep outlive what they list.
            Err(error) if is_gone(&error) => return Ok(Err(PartLeftOut::Gone)),
            Err(error) => return Err(error),
        };
        if !by.agrees_with(&bytes) {
            return Ok(Err(PartLeftOut::RefersElsewhere));
        }
        let tag = match by {
            RefersBy::Subject(_) => None,
            RefersBy::Tag(tag) => Some(tag),
        };
        let Ok(mentioned) = Mentioned::parse(&bytes) else {
            return Ok(Err(PartLeftOut::Kind(listed_type)));
        };
        self.count(bytes.len())?;
        let says = Some(&mentioned.media_type).filter(|said| !said.as_str().is_empty());
        let media_type = says.cloned().unwrap_or(listed_type);
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        let index = (!mentioned.manifests.is_empty()).then(|| bytes.clone());
        let part = Part { descriptor, tag, bytes, mentioned };
        if !self.pull.admits_referrer(self.reference, &part).await? {
            return Ok(Err(PartLeftOut::Refused));
        }
        self.add(part)?;
        if let Some(index) = index {
            let known = self.found.len();
            self.follow(index, None).await?;
            self.found.iter_mut().skip(known).for_each(|part| part.descriptor.platform = None);
        }
        Ok(Ok(()))
    }
}

/// Says why a referrer is left out that cannot be had, if that is not the fault of the registry or of the way to it.
fn why_left_out(error: &EngineError) -> Option<PartLeftOut> {
    match error {
        EngineError::Manifest { source: ManifestError::TooMany { .. }, .. } => {
            Some(PartLeftOut::Beyond)
        }
        EngineError::Manifest { .. } | EngineError::IndexDepth(_) => Some(PartLeftOut::NotWhole),
        EngineError::Registry(error) if error.is_of_content() => Some(PartLeftOut::NotWhole),
        error if is_gone(error) => Some(PartLeftOut::NotWhole),
        _ => None,
    }
}

impl Pull {
    /// Lists what refers to a manifest. A list that cannot be read is told, and counts as none.
    async fn referring(
        &self,
        subject: Digest,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<Vec<Referral>> {
        let or_none = |error: RegistryError| {
            if !error.is_of_content() {
                return Err(refused(error, reference));
            }
            tracing::warn!(%error, %subject, "a list of referrers cannot be read");
            let (digest, reason) = (subject.clone(), PartLeftOut::Referrers);
            progress.report(ProgressEvent::LeftOut { digest, reason });
            Ok(())
        };
        let mut all = Vec::new();
        match self.remote.referrers(&subject, None).await {
            Ok(listed) => all.extend(listed.list.into_iter().map(|referrer| {
                let by = RefersBy::Subject(subject.clone());
                Referral { descriptor: referrer.descriptor, by }
            })),
            Err(error) => or_none(error)?,
        }
        match self.remote.cosign_tags(&subject).await {
            Ok(tags) => all.extend(
                tags.into_iter()
                    .map(|(tag, descriptor)| Referral { descriptor, by: RefersBy::Tag(tag) }),
            ),
            Err(error) => or_none(error)?,
        }
        Ok(all)
    }
}

//! Referrers of what a pull keeps: signatures, SBOMs, attestations, and the referrers of these. They are kept as parts of the image,
//! and so as long as it.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::{MAX_REFERRERS, MAX_REFERRERS_DEPTH};
use spec::{Descriptor, Digest, Mentioned, Reference, Tag};
use store::REF_NAME_ANNOTATION;

use super::operation::{Pull, is_gone, refused};
use super::parts::{Part, Search};
use crate::Result;
use crate::progress::PartLeftOut;

/// Subjects that are asked about at once.
const SUBJECTS_AT_ONCE: usize = 4;

/// A manifest that is listed as a referrer.
struct Referral {
    descriptor: Descriptor,
    by: By,
}

/// The way in which it refers.
enum By {
    Subject(Digest),
    /// By a tag of cosign's.
    Tag(Tag),
}

impl Search<'_> {
    /// Fetches the referrers of all that was found, and of these.
    pub(super) async fn referrers(&mut self) -> Result<()> {
        let parts = self.found.iter().map(|part| &part.descriptor.digest);
        let mut level: Vec<Digest> = self.own.keys().chain(parts).cloned().collect();
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut count = 0;
        for depth in 1.. {
            let asked = level.drain(..).map(|subject| self.pull.referring(subject, self.reference));
            let asked: Vec<_> = asked.collect();
            let mut listed: Vec<Referral> = Vec::new();
            let mut asked = stream::iter(asked).buffered(SUBJECTS_AT_ONCE);
            while let Some(found) = asked.try_next().await? {
                count += found.len();
                self.bound("referrers", count, MAX_REFERRERS)?;
                listed.extend(found);
            }
            drop(asked);
            // Attestations that the index lists may refer, too.
            listed.retain(|one| {
                seen.insert(one.descriptor.digest.clone()) && !self.knows(&one.descriptor.digest)
            });
            if listed.is_empty() {
                break;
            }
            self.bound("levels of referrers", depth, MAX_REFERRERS_DEPTH)?;
            for referral in listed {
                let digest = referral.descriptor.digest.clone();
                match self.referrer(referral).await? {
                    Ok(()) => level.push(digest),
                    Err(reason) => self.left_out(digest, reason),
                }
            }
        }
        Ok(())
    }

    /// Fetches a referrer, and what it lists if it is an index; or says why it is left out.
    async fn referrer(
        &mut self,
        Referral { mut descriptor, by }: Referral,
    ) -> Result<Result<(), PartLeftOut>> {
        let bytes = match self.document(&descriptor).await {
            Ok(bytes) => bytes,
            // The lists that clients keep outlive what they list.
            Err(error) if is_gone(&error) => return Ok(Err(PartLeftOut::Gone)),
            Err(error) => return Err(error),
        };
        match by {
            By::Subject(subject) if registry::subject(&bytes).as_ref() != Some(&subject) => {
                return Ok(Err(PartLeftOut::RefersElsewhere));
            }
            By::Subject(_) => {}
            By::Tag(tag) => {
                descriptor.annotations.insert(REF_NAME_ANNOTATION.to_owned(), tag.to_string());
            }
        }
        let Ok(mentioned) = Mentioned::parse(&bytes) else {
            return Ok(Err(PartLeftOut::Kind(descriptor.media_type)));
        };
        self.count(bytes.len())?;
        let index = (!mentioned.manifests.is_empty()).then(|| bytes.clone());
        self.add(Part { descriptor, bytes, mentioned })?;
        if let Some(index) = index {
            self.follow(index, None).await?;
        }
        Ok(Ok(()))
    }

    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes> {
        let repository = self.reference.repository().clone();
        let name = Reference::new(repository, None, Some(descriptor.digest.clone()));
        self.pull.document(descriptor, &name).await
    }
}

impl Pull {
    /// Lists what refers to a manifest.
    async fn referring(&self, subject: Digest, reference: &Reference) -> Result<Vec<Referral>> {
        let refused = |error| refused(error, reference);
        let listed = self.remote.referrers(&subject, None).await.map_err(refused)?.list;
        let listed = listed.into_iter().map(|referrer| {
            let Descriptor { media_type, digest, size, .. } = referrer.descriptor;
            let by = By::Subject(subject.clone());
            // No more is believed of what the list says: nobody may take it for an image of a platform.
            Referral { descriptor: Descriptor::new(media_type, digest, size), by }
        });
        let mut all: Vec<Referral> = listed.collect();
        for (tag, descriptor) in self.remote.cosign_tags(&subject).await.map_err(refused)? {
            all.push(Referral { descriptor, by: By::Tag(tag) });
        }
        Ok(all)
    }
}

//! Referrers of an image that are kept with it, on their way to the registry: signatures, SBOMs, attestations, and their referrers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use registry::{Referral, RefersBy, TagOrDigest};
use spec::{Descriptor, Digest, ImageId, Repository, Tag};
use store::Store;

use super::index::{Listed, Original};
use super::operation::{Push, refused};
use crate::error::Missing;
use crate::progress::ProgressEvent;
use crate::{EngineError, Result};

impl Push {
    /// Finds what is kept with an image and refers to the manifest or index `root`, or to anything that it leads to. Nothing if that
    /// is not to go along.
    pub(super) async fn referring(&self, id: &ImageId, root: &Digest) -> Result<Vec<Referral>> {
        if !self.request.referrers {
            return Ok(Vec::new());
        }
        let (lease, id, root) = (Arc::clone(&self.lease), id.clone(), root.clone());
        self.engine
            .on_disk(move |store| {
                let found = referring(store, &id, root)?.of_root;
                for one in &found {
                    lease.hold_blob(&one.descriptor.digest)?;
                }
                Ok(found)
            })
            .await
    }

    /// Sends what refers to what is at the registry by now, in an order in which each finds its subject there.
    pub(super) async fn send_referrers(
        &self,
        referrals: Vec<Referral>,
        tag: &Tag,
        siblings: &[Repository],
    ) -> Result<()> {
        if !self.request.referrers {
            return Ok(());
        }
        let (mut sent, mut present) = (0, 0);
        let mut known: HashMap<Digest, HashSet<Digest>> = HashMap::new();
        for Referral { descriptor, by } in referrals {
            let is_there = match &by {
                RefersBy::Subject(subject) => {
                    if !known.contains_key(subject) {
                        let there = self.remote.referrers(subject, None).await.map_err(refused)?;
                        let there = there.list.into_iter().map(|one| one.descriptor.digest);
                        known.insert(subject.clone(), there.collect());
                    }
                    // The lists that clients keep outlive what they list.
                    let target = TagOrDigest::Digest(descriptor.digest.clone());
                    known[subject].contains(&descriptor.digest)
                        && self.has_manifest(&target).await?
                }
                RefersBy::Tag(tag) => {
                    let target = TagOrDigest::Tag(tag.clone());
                    let there = self.remote.find(&target).await.map_err(refused)?;
                    there.is_some_and(|there| there.descriptor.digest == descriptor.digest)
                }
            };
            if is_there {
                present += 1;
            } else {
                self.send_referrer(descriptor, by, siblings).await?;
                sent += 1;
            }
        }
        let tag = tag.to_string();
        self.progress.report(ProgressEvent::Referrers { tag, sent, present });
        Ok(())
    }

    async fn send_referrer(
        &self,
        descriptor: Descriptor,
        by: RefersBy,
        siblings: &[Repository],
    ) -> Result<()> {
        let digest = descriptor.digest.clone();
        let gone = || EngineError::Missing(Missing::BlobGone(digest.clone()));
        let read = self.engine.on_disk(move |store| Ok(Listed::read(store, descriptor)));
        let index = read.await?.ok_or_else(gone)?;
        let original = Original { index, siblings: siblings.to_vec() };
        // One that is an index goes after what it lists.
        let mut all = self.children(&original, &digest).await?.ok_or_else(gone)?;
        all.push(original.index);
        self.blobs(&all, siblings).await?;
        for listed in &all {
            let target = match &by {
                RefersBy::Tag(tag) if listed.descriptor.digest == digest => {
                    TagOrDigest::Tag(tag.clone())
                }
                _ => TagOrDigest::Digest(listed.descriptor.digest.clone()),
            };
            self.put(&target, listed).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// Lists the manifests that are kept with an image and refer to `root`, and to these. Blocking.
pub(crate) fn referrers_of(store: &Store, id: &ImageId, root: &Digest) -> Result<Vec<Digest>> {
    let found = referring(store, id, root.clone())?.of_root.into_iter();
    Ok(found.map(|referral| referral.descriptor.digest).collect())
}

/// Manifests that are kept with an image and refer to something.
pub(crate) struct Referring {
    /// Those that refer to the root, to what that lists, and to the referrers.
    pub(crate) of_root: Vec<Referral>,
    /// The number of those that refer to anything else.
    pub(crate) of_others: usize,
}

/// Finds what is kept with an image and refers to `root`, and what refers to anything else. Blocking.
pub(crate) fn referring(store: &Store, id: &ImageId, root: Digest) -> Result<Referring> {
    let mut by_subject: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
    let mut by_tag: HashMap<String, Descriptor> = HashMap::new();
    let tags = store.part_tags(id)?;
    for part in store.parts_of(id)? {
        if let Some(tag) = tags.get(&part.digest) {
            by_tag.insert(tag.clone(), part);
        } else if let Some(listed) = Listed::read(store, part)
            && let Some(subject) = registry::subject(&listed.bytes)
        {
            by_subject.entry(subject).or_default().push(listed.descriptor);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root.clone()]);
    let mut subjects = VecDeque::from([root]);
    while let Some(subject) = subjects.pop_front() {
        if by_subject.is_empty() && by_tag.is_empty() {
            break;
        }
        let document = Descriptor::new("".into(), subject.clone(), 0);
        let listed = Listed::read(store, document).map(|listed| listed.mentioned.manifests);
        let listed = listed.unwrap_or_default().into_iter().map(|entry| entry.digest);
        subjects.extend(listed.filter(|digest| seen.insert(digest.clone())));
        let tagged = Tag::of_cosign(&subject).into_iter().filter_map(|tag| {
            Some(Referral { descriptor: by_tag.remove(tag.as_str())?, by: RefersBy::Tag(tag) })
        });
        let tagged: Vec<Referral> = tagged.collect();
        let by = RefersBy::Subject(subject.clone());
        let referring = by_subject.remove(&subject).unwrap_or_default().into_iter();
        let referring = referring.map(|descriptor| Referral { descriptor, by: by.clone() });
        for one in referring.chain(tagged) {
            if seen.insert(one.descriptor.digest.clone()) {
                subjects.push_back(one.descriptor.digest.clone());
                found.push(one);
            }
        }
    }
    // An index may list one.
    let others = by_subject.values().flatten().chain(by_tag.values());
    let of_others = others.filter(|other| !seen.contains(&other.digest)).count();
    Ok(Referring { of_root: found, of_others })
}

//! The end of a load: images are published, several at once where they need no layer.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spec::{ImageId, Reference};
use store::{Commit, Committed, NewImage, NewPart, Store, VerifiedBlob};

use super::layers::LoadedLayer;
use super::operation::Load;
use super::origin::Origin;
use super::plan::PlannedImage;
use super::whole::Part;
use crate::Result;
use crate::progress::ProgressEvent;

/// Images that are published at once, and bytes of them that are held in memory until then.
pub(super) const MAX_BATCH: usize = 256;
pub(super) const MAX_BATCH_BYTES: usize = 16 << 20;
/// The share of a name in that, about.
const BYTES_OF_A_NAME: usize = 256;

/// An image with the layers that were unpacked for it.
pub(super) type ReadyImage = (PlannedImage, Vec<LoadedLayer>);

impl Load<'_> {
    /// Publishes images and tells their names.
    pub(super) async fn publish(&self, images: Vec<ReadyImage>) -> Result<()> {
        if images.is_empty() {
            return Ok(());
        }
        let names = images.iter().map(|(planned, _)| {
            let borne = planned.names.iter().filter(|name| planned.bears(name));
            (planned.id.clone(), borne.cloned().collect::<Vec<_>>())
        });
        let names: Vec<(ImageId, Vec<Reference>)> = names.collect();
        let _turn = self.engine.0.publishing.lock().await;
        let lease = Arc::clone(&self.lease);
        let ids: Vec<ImageId> = names.iter().map(|(id, _)| id.clone()).collect();
        let committed = self.engine.on_disk(move |store| {
            let commits = commits(store, images)?;
            let committed = store.commit_all(&lease, commits)?;
            for id in &ids {
                store.note_use(id);
            }
            Ok(committed)
        });
        for ((id, names), committed) in names.into_iter().zip(committed.await?) {
            for name in names {
                self.tell(&id, &name, &committed);
            }
            self.engine.image_event("load", &id, &id.to_string());
        }
        Ok(())
    }

    fn tell(&self, id: &ImageId, name: &Reference, committed: &Committed) {
        let tag = by_tag(name);
        let moved = committed.moved.iter().find(|moved| Some(&moved.reference) == tag.as_ref());
        let before = moved.and_then(|moved| moved.before.clone());
        if let Some((tag, before)) = tag.zip(before.filter(|before| before != id)) {
            let reference = tag.familiar();
            self.progress.report(ProgressEvent::TagTaken { reference, id: before });
        }
        self.progress.report(ProgressEvent::Loaded { reference: name.familiar() });
    }
}

/// Returns the tag of a name; the digest beside it is another matter.
fn by_tag(name: &Reference) -> Option<Reference> {
    let tag = name.tag()?.clone();
    Some(Reference::new(name.repository().clone(), Some(tag), None))
}

/// Adds up the bytes that images hold in memory until they are published.
pub(super) fn held(images: &[ReadyImage]) -> usize {
    let held = |planned: &PlannedImage| {
        let documents = planned.origin.iter().flat_map(|origin| &origin.documents);
        let documents = documents.map(|(_, bytes)| bytes);
        let documents = documents.chain(planned.parts.iter().map(|part| &part.bytes));
        let documents: usize = documents.map(Bytes::len).sum();
        planned.config.bytes().len() + documents + planned.names.len() * BYTES_OF_A_NAME
    };
    images.iter().map(|(planned, _)| held(planned)).sum()
}

/// Says what is to be published of images.
fn commits(store: &Store, images: Vec<ReadyImage>) -> Result<Vec<Commit>> {
    let references = store.references()?;
    let mut taken: HashMap<Reference, ImageId> = HashMap::new();
    let mut commits = Vec::with_capacity(images.len());
    for (PlannedImage { id, config, names, origin, parts, .. }, layers) in images {
        let mut commit = Commit::default();
        for layer in layers {
            commit.layers.extend(layer.staged);
            commit.blobs.extend(layer.blob);
        }
        let mut manifests = Vec::new();
        if let Some(Origin { documents, repo_digests, .. }) = origin {
            for reference in repo_digests {
                // The same index, loaded or pulled for another platform before, keeps its meaning.
                let before = references.get(&reference);
                let before = before.unwrap_or_else(|| {
                    taken.entry(reference.clone()).or_insert_with(|| id.clone()).clone()
                });
                if before == id {
                    commit.references.push((reference, id.clone()));
                }
            }
            for (descriptor, bytes) in documents {
                commit.blobs.push(VerifiedBlob::check(&descriptor.digest, bytes)?);
                manifests.push(descriptor);
            }
            commit.blobs.push(VerifiedBlob::check(id.digest(), config.bytes().clone())?);
        }
        let mut listed = Vec::new();
        for Part { descriptor, bytes, tag } in parts {
            commit.blobs.push(VerifiedBlob::check(&descriptor.digest, bytes)?);
            listed.push(NewPart { descriptor, tag });
        }
        commit.references.extend(names.iter().filter_map(by_tag).map(|tag| (tag, id.clone())));
        commit.image =
            Some(NewImage { id, config: config.bytes().clone(), manifests, parts: listed });
        commits.push(commit);
    }
    Ok(commits)
}

#[cfg(test)]
mod tests;

//! The manifest and indexes that an image of an archive came with, and what they prove.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use spec::{
    Descriptor, Digest, ImageId, ImageManifest, LayerCompression, MAX_MANIFEST_SIZE, Manifest,
    MediaType, Raw, Reference,
};

use super::contents::{Contents, MAX_DOCUMENTS, MAX_INDEX_DEPTH};
use super::whole::Whole;
use crate::save::documents::REPO_DIGESTS_ANNOTATION;
use crate::{EngineError, Result};

/// The most references by digest that an image may claim.
const MAX_CLAIMS: usize = 1000;

/// The manifest and indexes that an image came with, checked.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) manifest: Raw<ImageManifest>,
    /// The manifests and indexes to keep, the outermost first.
    pub(super) documents: Vec<(Descriptor, Bytes)>,
    /// References by digest that these prove.
    pub(super) repo_digests: Vec<Reference>,
}

/// Findings about the digests that lead to one image.
#[derive(Default)]
pub(super) struct Proof {
    /// The digests that were looked at, and the answer of each.
    verdicts: HashMap<Digest, bool>,
    /// The manifests and indexes that do, what an index lists before it.
    documents: Vec<(Descriptor, Bytes)>,
}

impl Contents {
    /// Returns the manifest that an image came with, if all blobs that it names are in the archive or kept already, and worth
    /// being kept: the layers of those that dockerd makes up are no other than what is unpacked.
    ///
    /// `claimed` are references by digest that the image's names claim; `is_kept` tells of a layer by its place.
    pub(super) fn origin(
        &self,
        id: &ImageId,
        layers: usize,
        claimed: &[Reference],
        is_kept: &dyn Fn(usize, &Descriptor) -> Result<bool>,
        whole: Option<&Whole>,
    ) -> Result<Option<Origin>> {
        let descriptors = self.manifests.get(id.digest()).map(Vec::as_slice).unwrap_or_default();
        let indexes = whole.map(|whole| whole.indexes.as_slice()).unwrap_or_default();
        let leading = descriptors.iter().chain(indexes.iter().map(|(index, _)| index));
        let claims = self.claims(leading, claimed);
        for descriptor in descriptors {
            let Some((Manifest::Image(manifest), bytes)) = self.manifest(descriptor)? else {
                continue;
            };
            if manifest.layers.len() == layers
                && (!claims.is_empty()
                    || whole.is_some()
                    || manifest.layers.iter().any(is_compressed))
                && self.has_all(&manifest.layers, is_kept)?
            {
                // By the digest that leads to it.
                let read =
                    Raw::verify(bytes, &descriptor.digest, |_| Ok::<_, EngineError>(*manifest));
                let Some(manifest) = read? else { continue };
                let mut origin = self.with_documents(id, manifest, &claims)?;
                let digests: HashSet<Digest> =
                    origin.documents.iter().map(|(document, _)| document.digest.clone()).collect();
                let new = indexes.iter().filter(|(index, _)| !digests.contains(&index.digest));
                origin.documents.splice(0..0, new.cloned());
                return Ok(Some(origin));
            }
        }
        Ok(None)
    }

    fn has_all(
        &self,
        layers: &[Descriptor],
        is_kept: &dyn Fn(usize, &Descriptor) -> Result<bool>,
    ) -> Result<bool> {
        for (index, layer) in layers.iter().enumerate() {
            let has = match self.tree.blob(&layer.digest) {
                Some(file) => file.size() == layer.size,
                None => is_kept(index, layer)?,
            };
            if !has {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says whether the archive has a manifest of an image.
    pub(super) fn has_manifest_of(&self, id: &ImageId) -> bool {
        self.manifests.contains_key(id.digest())
    }

    /// Adds the references by digest that our own archives note to those that are claimed. What is none is passed over.
    fn claims<'a>(
        &self,
        leading: impl Iterator<Item = &'a Descriptor>,
        claimed: &[Reference],
    ) -> Vec<Reference> {
        let digests: BTreeSet<&Digest> = leading.map(|entry| &entry.digest).collect();
        let entries = self.index.iter().filter(|entry| digests.contains(&entry.digest));
        let mut claims: Vec<Reference> = claimed.iter().take(MAX_CLAIMS).cloned().collect();
        for text in entries.filter_map(|entry| entry.annotations.get(REPO_DIGESTS_ANNOTATION)) {
            for reference in text.split(',').filter_map(|text| Reference::parse_familiar(text).ok())
            {
                if claims.len() < MAX_CLAIMS
                    && reference.digest().is_some()
                    && reference.tag().is_none()
                    && !claims.contains(&reference)
                {
                    claims.push(reference);
                }
            }
        }
        claims
    }

    /// Adds what proves the references by digest: a digest names an image if it is that of a manifest with its config, or
    /// of an index that lists one.
    fn with_documents(
        &self,
        id: &ImageId,
        manifest: Raw<ImageManifest>,
        claims: &[Reference],
    ) -> Result<Origin> {
        let size = manifest.bytes().len() as u64;
        let media_type = manifest.value().media_type.clone();
        let own = Descriptor::new(media_type, manifest.digest().clone(), size);
        let mut documents = vec![(own, manifest.bytes().clone())];
        let mut repo_digests = Vec::new();
        let mut proof = Proof::default();
        for claim in claims {
            let Some(digest) = claim.digest() else { continue };
            if proof.documents.iter().map(|(entry, _)| entry.size).sum::<u64>() > MAX_DOCUMENTS {
                tracing::warn!(%id, "an archive has too much that proves digests");
                break;
            }
            if self.proves(digest, id, 0, &mut proof)? {
                repo_digests.push(claim.clone());
            } else {
                tracing::warn!(%claim, %id, "an archive does not prove a digest that it claims");
            }
        }
        for document in proof.documents {
            if documents.iter().all(|(other, _)| other.digest != document.0.digest) {
                documents.insert(0, document);
            }
        }
        Ok(Origin { manifest, documents, repo_digests })
    }

    /// Says whether a digest leads to an image. Each document is looked at once, however many indexes list it how often.
    pub(super) fn proves(
        &self,
        digest: &Digest,
        id: &ImageId,
        depth: usize,
        proof: &mut Proof,
    ) -> Result<bool> {
        if let Some(known) = proof.verdicts.get(digest) {
            return Ok(*known);
        }
        if depth > MAX_INDEX_DEPTH {
            return Ok(false);
        }
        proof.verdicts.insert(digest.clone(), false);
        // What is not in the archive is another platform's, and what is no manifest proves nothing.
        let Some(bytes) = self.tree.document(digest, MAX_MANIFEST_SIZE)? else { return Ok(false) };
        let Ok(manifest) = Manifest::parse(None, &bytes) else { return Ok(false) };
        let media_type: MediaType = manifest.media_type().clone();
        let proves = match &manifest {
            Manifest::Image(manifest) => manifest.config.digest == *id.digest(),
            Manifest::Index(index) => {
                let mut proves = false;
                for below in &index.manifests {
                    proves = proves || self.proves(&below.digest, id, depth + 1, proof)?;
                }
                proves
            }
        };
        if proves {
            proof.verdicts.insert(digest.clone(), true);
            let descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
            proof.documents.push((descriptor, bytes));
        }
        Ok(proves)
    }
}

fn is_compressed(layer: &Descriptor) -> bool {
    // A type that does not say it mostly stands for gzip.
    layer.media_type.layer_compression() != Some(LayerCompression::None)
}

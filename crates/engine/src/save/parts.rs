//! The parts of one image in an archive: its manifest and layers as they were pulled, or as dockerd makes them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use archive::Compression;
use bytes::Bytes;
use spec::{
    ChainId, Descriptor, DiffId, Digest, ImageManifest, MAX_MANIFEST_SIZE, Manifest, MediaType,
    Reference,
};
use store::{Blob, Image, Store};

use super::choice::Choice;
use super::documents::GeneratedManifest;
use super::select::Selected;
use crate::error::{Defect, Missing};
use crate::kept::Listed;
use crate::{EngineError, Result};

/// The source of the bytes of a layer.
#[derive(Clone, Debug)]
pub(super) enum LayerSource {
    /// A kept blob.
    Blob(Digest),
    /// The layer's directory and tar-split.
    Directory(ChainId, DiffId),
}

/// A layer as it is in the archive.
#[derive(Clone, Debug)]
pub(super) struct LayerPart {
    pub(super) diff_id: DiffId,
    pub(super) descriptor: Descriptor,
    pub(super) source: LayerSource,
}

/// An image as it is in the archive.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) image: Arc<Image>,
    pub(super) layers: Vec<LayerPart>,
    /// The manifest, or the index with several, that the index of the archive lists.
    pub(super) manifest: Descriptor,
    pub(super) manifest_bytes: Bytes,
    /// Set if the manifest is made here, as none that the image came with can be saved.
    pub(super) is_generated: bool,
    /// Set if all of it is as dockerd saves it: no manifest is kept, and the layers are plain tars.
    pub(super) is_dockerds: bool,
    /// Other manifests of the image and the indexes that list them: what references by digest name.
    pub(super) related: Vec<(Digest, Bytes)>,
    /// Blobs of the manifests that an index lists.
    pub(super) others: Vec<Descriptor>,
    /// References by digest that the manifests in the archive prove.
    pub(super) repo_digests: Vec<Reference>,
}

impl Parts {
    /// Decides how an image is saved. Blocking.
    pub(super) fn of(
        store: &Store,
        image: Arc<Image>,
        selected: &Selected,
        choice: Choice,
    ) -> Result<Self> {
        let documents = documents(store, &image)?;
        match choice {
            Choice::Own { .. } => match original(store, &image, &documents)? {
                Some((index, layers)) => {
                    let listed = documents[index].descriptor.digest.clone();
                    Self::kept(store, (image, layers), selected, documents, &listed)
                }
                None => Self::generated(store, image),
            },
            Choice::Part(tree, part) => {
                let mut documents = documents;
                documents.retain(|document| tree.leads(&document.descriptor.digest));
                documents.extend(document(store, &part.kept.descriptor)?);
                let listed = part.kept.descriptor.digest.clone();
                Self::kept(store, of_part(store, &part)?, selected, documents, &listed)
            }
            Choice::Whole { tree, main } => {
                let made = if main.is_of(&image.id) {
                    let layers = listed_layers(store, &image, &main)?;
                    (image, layers)
                } else {
                    of_part(store, &main)?
                };
                let mut documents = documents;
                documents.retain(|document| {
                    document.manifest.is_none() || tree.lists(&document.descriptor.digest)
                });
                let parts = Self::kept(store, made, selected, documents, &tree.root.digest)?;
                let contents = tree.manifests.iter().flat_map(Listed::content);
                let others = contents.chain(&tree.indexes).cloned().collect();
                Ok(Self { others, ..parts })
            }
        }
    }

    /// An image whose manifest is kept: that, or an index of it, is what the archive lists.
    fn kept(
        store: &Store,
        (image, layers): (Arc<Image>, Vec<LayerPart>),
        selected: &Selected,
        mut documents: Vec<Document>,
        listed: &Digest,
    ) -> Result<Self> {
        let references = store.references()?;
        let named: BTreeSet<_> = selected.tags.iter().map(Reference::repository).collect();
        let repo_digests = references
            .of_image(&selected.id)
            .iter()
            .filter(|reference| {
                let is_wanted =
                    named.contains(reference.repository()) || selected.digests.contains(reference);
                let proves =
                    |document: &Document| Some(&document.descriptor.digest) == reference.digest();
                is_wanted && documents.iter().any(proves)
            })
            .cloned()
            .collect();
        let index = documents.iter().position(|document| document.descriptor.digest == *listed);
        let gone = || EngineError::Missing(Missing::BlobGone(listed.clone()));
        let Document { descriptor, bytes, .. } = documents.swap_remove(index.ok_or_else(gone)?);
        documents.sort_by_key(|document| document.descriptor.digest.to_string());
        let related = documents.into_iter().map(|d| (d.descriptor.digest, d.bytes)).collect();
        let manifest =
            Descriptor::new(descriptor.media_type, descriptor.digest, bytes.len() as u64);
        let manifest_bytes = bytes;
        Ok(Self {
            image,
            layers,
            manifest,
            manifest_bytes,
            is_generated: false,
            is_dockerds: false,
            related,
            others: Vec::new(),
            repo_digests,
        })
    }

    fn generated(store: &Store, image: Arc<Image>) -> Result<Self> {
        let diff_ids = image.config.value().rootfs.diff_ids.iter();
        let layers: Vec<LayerPart> = diff_ids
            .zip(&image.layers)
            .map(|(diff_id, chain)| layer_part(store, diff_id, chain))
            .collect::<Result<_>>()?;
        let is_plain = |layer: &LayerPart| layer.descriptor.digest == *layer.diff_id.digest();
        let is_dockerds = layers.iter().all(is_plain);
        let descriptors = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let config_size = image.config.bytes().len() as u64;
        let bytes = spec::to_go_json(&GeneratedManifest::new(&image.id, config_size, descriptors))
            .map_err(|error| EngineError::Internal(Defect::Encode(error)))?;
        Ok(Self {
            image,
            layers,
            manifest: Descriptor::new(
                MediaType::OciManifest,
                Digest::sha256(bytes.as_bytes()),
                bytes.len() as u64,
            ),
            manifest_bytes: bytes.into(),
            is_generated: true,
            is_dockerds,
            related: Vec::new(),
            others: Vec::new(),
            repo_digests: Vec::new(),
        })
    }
}

/// A manifest or index that an image came with.
#[derive(Debug)]
struct Document {
    descriptor: Descriptor,
    bytes: Bytes,
    /// If it is an image's.
    manifest: Option<Box<ImageManifest>>,
}

/// Reads the manifests and indexes that an image came with. What cannot be read is passed over.
fn documents(store: &Store, image: &Image) -> Result<Vec<Document>> {
    let mut documents: Vec<Document> = Vec::new();
    for descriptor in store.manifests_of(&image.id)? {
        let is_known = documents.iter().any(|other| other.descriptor.digest == descriptor.digest);
        if is_known {
            continue;
        }
        let Some(bytes) = store.read_blob(&descriptor.digest, MAX_MANIFEST_SIZE)? else { continue };
        let manifest = match Manifest::parse(Some(&descriptor.media_type), &bytes) {
            Ok(Manifest::Index(_)) => None,
            Ok(Manifest::Image(manifest)) if manifest.config.digest == *image.id.digest() => {
                Some(manifest)
            }
            Ok(Manifest::Image(_)) | Err(_) => {
                tracing::warn!(manifest = %descriptor.digest, "a kept manifest cannot be used");
                continue;
            }
        };
        documents.push(Document { descriptor, bytes, manifest });
    }
    Ok(documents)
}

/// Reads a manifest that an index lists.
fn document(store: &Store, descriptor: &Descriptor) -> Result<Option<Document>> {
    let bytes = store.read_blob(&descriptor.digest, MAX_MANIFEST_SIZE)?;
    let descriptor = descriptor.clone();
    Ok(bytes.map(|bytes| Document { descriptor, bytes, manifest: None }))
}

/// Reads an image that is here as blobs alone.
fn of_part(store: &Store, listed: &Listed) -> Result<(Arc<Image>, Vec<LayerPart>)> {
    let config = || listed.manifest.as_ref().map(|manifest| manifest.config.digest.clone());
    let digest = config().unwrap_or_else(|| listed.kept.descriptor.digest.clone());
    let missing = EngineError::Missing(Missing::Blob(digest));
    let image = listed.image(store).ok_or(missing)?;
    let layers = listed_layers(store, &image, listed)?;
    Ok((Arc::new(image), layers))
}

fn listed_layers(store: &Store, image: &Image, listed: &Listed) -> Result<Vec<LayerPart>> {
    let layers = listed.manifest.as_ref().map(|manifest| kept_layers(store, image, manifest));
    layers.transpose()?.flatten().ok_or(EngineError::RootFsMismatch)
}

/// Finds the manifest of which all blobs are here; of several the one that came last.
fn original(
    store: &Store,
    image: &Image,
    documents: &[Document],
) -> Result<Option<(usize, Vec<LayerPart>)>> {
    for (index, document) in documents.iter().enumerate().rev() {
        let Some(manifest) = &document.manifest else { continue };
        if let Some(layers) = kept_layers(store, image, manifest)? {
            return Ok(Some((index, layers)));
        }
    }
    Ok(None)
}

fn kept_layers(
    store: &Store,
    image: &Image,
    manifest: &ImageManifest,
) -> Result<Option<Vec<LayerPart>>> {
    let diff_ids = &image.config.value().rootfs.diff_ids;
    if manifest.layers.len() != diff_ids.len() {
        return Ok(None);
    }
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
        let blob = store.blob(&descriptor.digest)?;
        if blob.is_none_or(|blob| blob.size != descriptor.size) {
            return Ok(None);
        }
        layers.push(LayerPart {
            diff_id: diff_id.clone(),
            descriptor: descriptor.clone(),
            source: LayerSource::Blob(descriptor.digest.clone()),
        });
    }
    Ok(Some(layers))
}

/// Describes a layer that no manifest describes: the blob where that is all there is, else its tar as dockerd saves it.
fn layer_part(store: &Store, diff_id: &DiffId, chain: &ChainId) -> Result<LayerPart> {
    let layer = store.whole_layer(chain)?;
    let missing = || EngineError::Missing(Missing::WholeLayer(chain.clone()));
    let layer = layer.ok_or_else(missing)?;
    let (media_type, digest, size, source) = if let Some(digest) = layer.blob {
        let blob = store.blob(&digest)?.ok_or_else(missing)?;
        let media_type = media_type_of(&blob)?;
        (media_type, digest.clone(), blob.size, LayerSource::Blob(digest))
    } else {
        let tar_split = store.tar_split(chain)?.ok_or_else(missing)?;
        let failed = |source| EngineError::Layer { digest: diff_id.digest().clone(), source };
        let size = archive::rebuilt_size(tar_split).map_err(failed)?;
        let source = LayerSource::Directory(chain.clone(), diff_id.clone());
        (MediaType::OciLayer, diff_id.digest().clone(), size, source)
    };
    let descriptor = Descriptor::new(media_type, digest, size);
    Ok(LayerPart { diff_id: diff_id.clone(), descriptor, source })
}

fn media_type_of(blob: &Blob) -> Result<MediaType> {
    Ok(match compression_of(blob)? {
        Compression::Gzip => MediaType::OciLayerGzip,
        Compression::Zstd => MediaType::OciLayerZstd,
        // There is no name for the others; a reader finds out as we did.
        Compression::None | Compression::Xz | Compression::Bzip2 => MediaType::OciLayer,
    })
}

/// Finds out by its first bytes how a blob is compressed.
pub(crate) fn compression_of(blob: &Blob) -> Result<Compression> {
    let mut prefix = Vec::new();
    let read = File::open(&blob.path)
        .and_then(|file| file.take(Compression::PREFIX).read_to_end(&mut prefix));
    read.map_err(|source| EngineError::Open { path: blob.path.clone(), source })?;
    Ok(Compression::detect(&prefix))
}

//! The contents of an archive: images by `manifest.json`, or by the index of an OCI image layout.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use serde::Deserialize;
use spec::{
    Algorithm, Descriptor, Digest, ImageId, ImageManifest, Index, LayerCompression,
    MAX_MANIFEST_SIZE, Manifest, MediaType, Platform, Raw, Reference, from_go_json,
};

use super::list::{self, Listed};
use super::tree::Tree;
use crate::error::BadArchive;
use crate::resolve::is_for;
use crate::save::documents::{
    NAME_ANNOTATION, REF_NAME_ANNOTATION, REPO_DIGESTS_ANNOTATION, blob_path,
};
use crate::{EngineError, Result};

/// The largest `manifest.json` or `index.json`: room for some 10,000 images.
const MAX_LIST: u64 = 16 << 20;
/// The depth to which indexes may be nested; dockers and buildx have one within one.
const MAX_INDEX_DEPTH: usize = 4;
/// The most references by digest that an image may claim, and the bytes of what proves them that are enough.
const MAX_CLAIMS: usize = 1000;
const MAX_DOCUMENTS: u64 = 16 << 20;
/// The mark of a manifest that says something of another one.
const REFERENCE_TYPE_ANNOTATION: &str = "vnd.docker.reference.type";

#[derive(Deserialize)]
struct IndexFile {
    // An entry that is nothing names nothing.
    manifests: Vec<Option<Descriptor>>,
}

/// The images and manifests of an archive.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tree: Tree,
    /// The entries of `index.json`.
    index: Vec<Descriptor>,
    /// The manifests of images that it leads to, by the digest of their config.
    manifests: HashMap<Digest, Vec<Descriptor>>,
}

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
struct Proof {
    /// The digests that were looked at, and the answer of each.
    verdicts: HashMap<Digest, bool>,
    /// The manifests and indexes that do, what an index lists before it.
    documents: Vec<(Descriptor, Bytes)>,
}

impl Contents {
    /// Reads what `index.json` lists, if there is one.
    pub(super) fn read(tree: Tree) -> Result<Self> {
        let mut contents = Self { tree, index: Vec::new(), manifests: HashMap::new() };
        let Some(file) = contents.tree.find("index.json") else { return Ok(contents) };
        let bytes = file.read("index.json", MAX_LIST)?;
        match from_go_json::<IndexFile>(&bytes) {
            Ok(index) => contents.index = index.manifests.into_iter().flatten().collect(),
            // What `manifest.json` says is enough.
            Err(error) if contents.tree.find("manifest.json").is_some() => {
                tracing::warn!(%error, "an archive has an index.json that cannot be read");
            }
            Err(error) => {
                let fault = BadArchive::List { file: "index.json", error };
                return Err(EngineError::BadArchive(fault));
            }
        }
        let mut seen = BTreeSet::new();
        for descriptor in contents.index.clone() {
            match contents.walk(&descriptor, 0, &mut seen) {
                Err(error) if contents.tree.find("manifest.json").is_some() => {
                    tracing::warn!(%error, "an archive's index.json leads to what cannot be read");
                }
                walked => walked?,
            }
        }
        Ok(contents)
    }

    /// Notes the manifests that a descriptor leads to. Those that are not in the archive are other platforms'.
    fn walk(
        &mut self,
        descriptor: &Descriptor,
        depth: usize,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<()> {
        if depth > MAX_INDEX_DEPTH || !seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        match self.manifest(descriptor)? {
            Some((Manifest::Image(manifest), _)) => {
                let of_config = self.manifests.entry(manifest.config.digest.clone()).or_default();
                of_config.push(descriptor.clone());
            }
            Some((Manifest::Index(index), _)) => {
                for below in &index.manifests {
                    self.walk(below, depth + 1, seen)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Reads a manifest or index; `None` if it is not here or of something else.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Option<(Manifest, Bytes)>> {
        if !descriptor.media_type.may_be_manifest()
            || descriptor.digest.algorithm() != Algorithm::Sha256
        {
            return Ok(None);
        }
        let Some(bytes) = self.tree.document(&descriptor.digest, MAX_MANIFEST_SIZE)? else {
            return Ok(None);
        };
        match Manifest::parse(Some(&descriptor.media_type), &bytes) {
            Ok(manifest) => Ok(Some((manifest, bytes))),
            Err(source) => {
                let reference = format!("invalid archive: {}", blob_path(&descriptor.digest));
                Err(EngineError::Manifest { reference, source })
            }
        }
    }

    /// Lists the images of the archive.
    pub(super) fn list(&self, platform: Option<&Platform>) -> Result<Vec<Listed>> {
        if let Some(file) = self.tree.find("manifest.json") {
            let mut images = list::read(&file.read("manifest.json", MAX_LIST)?)?;
            self.name_by_index(&mut images, platform);
            return Ok(images);
        }
        if self.tree.find("index.json").is_some() {
            return self.list_layout(platform);
        }
        Err(EngineError::BadArchive(BadArchive::NoList))
    }

    /// Gives the images that `manifest.json` has no name for those that `index.json` has, as builders of OCI archives leave it.
    fn name_by_index(&self, images: &mut [Listed], platform: Option<&Platform>) {
        if images.iter().all(|image| !image.tags.is_empty()) {
            return;
        }
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        let mut barren = HashSet::new();
        for descriptor in &self.index {
            let Some(name) = name_of(descriptor) else { continue };
            // What cannot be read was told of before.
            if let Ok(Some((manifest, _))) = self.choose(descriptor, platform, 0, &mut barren) {
                names.entry(blob_path(&manifest.config.digest)).or_default().push(name);
            }
        }
        for image in images.iter_mut().filter(|image| image.tags.is_empty()) {
            image.tags = names.get(&image.config).cloned().unwrap_or_default();
        }
    }

    /// Lists the images of an image layout, of each index the one for the platform.
    fn list_layout(&self, platform: Option<&Platform>) -> Result<Vec<Listed>> {
        let mut images: Vec<Listed> = Vec::new();
        let mut known = HashMap::new();
        let mut barren = HashSet::new();
        for descriptor in &self.index {
            let chosen = self.choose(descriptor, platform, 0, &mut barren)?;
            let Some((manifest, digest)) = chosen else { continue };
            let name = name_of(descriptor);
            if let Some(&position) = known.get(&digest) {
                let image: &mut Listed = &mut images[position];
                image.tags.extend(name);
                continue;
            }
            known.insert(digest, images.len());
            let odd = manifest.layers.iter().find(|layer| !layer.media_type.may_be_layer());
            if let Some(odd) = odd {
                return Err(EngineError::UnsupportedMediaType(odd.media_type.clone()));
            }
            images.push(Listed {
                config: blob_path(&manifest.config.digest),
                tags: name.into_iter().collect(),
                layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
                parent: None,
            });
        }
        if images.is_empty() {
            let wanted = platform.cloned().unwrap_or_else(Platform::host);
            return Err(EngineError::NoMatchingManifest(wanted.specifier()));
        }
        Ok(images)
    }

    /// Follows a descriptor to the manifest of an image. `barren` are those that are known to lead to none.
    fn choose(
        &self,
        descriptor: &Descriptor,
        platform: Option<&Platform>,
        depth: usize,
        barren: &mut HashSet<Digest>,
    ) -> Result<Option<(ImageManifest, Digest)>> {
        if depth > MAX_INDEX_DEPTH {
            return Err(EngineError::IndexDepth("index.json".to_owned()));
        }
        if barren.contains(&descriptor.digest) {
            return Ok(None);
        }
        match self.manifest(descriptor)? {
            Some((Manifest::Image(manifest), _)) if manifest.config.media_type.is_config() => {
                let wanted = platform.zip(descriptor.platform.as_ref());
                let fits = wanted.is_none_or(|(wanted, offered)| is_for(wanted, offered));
                Ok(fits.then(|| (*manifest, descriptor.digest.clone())))
            }
            Some((Manifest::Index(index), _)) => {
                for candidate in by_preference(&index, platform) {
                    if let Some(found) = self.choose(candidate, platform, depth + 1, barren)? {
                        return Ok(Some(found));
                    }
                }
                barren.insert(descriptor.digest.clone());
                Ok(None)
            }
            _ => {
                barren.insert(descriptor.digest.clone());
                Ok(None)
            }
        }
    }

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
    ) -> Result<Option<Origin>> {
        let descriptors = self.manifests.get(id.digest()).map(Vec::as_slice).unwrap_or_default();
        let claims = self.claims(descriptors, claimed);
        for descriptor in descriptors {
            let Some((Manifest::Image(manifest), bytes)) = self.manifest(descriptor)? else {
                continue;
            };
            if manifest.layers.len() == layers
                && (!claims.is_empty() || manifest.layers.iter().any(is_compressed))
                && self.has_all(&manifest.layers, is_kept)?
            {
                let manifest = Raw::parse(bytes, |_| Ok::<_, EngineError>(*manifest))?;
                return self.with_documents(id, manifest, &claims).map(Some);
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
            let has = layer.digest.algorithm() == Algorithm::Sha256
                && match self.tree.blob(&layer.digest) {
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
    fn claims(&self, manifests: &[Descriptor], claimed: &[Reference]) -> Vec<Reference> {
        let digests: BTreeSet<&Digest> = manifests.iter().map(|entry| &entry.digest).collect();
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
    fn proves(
        &self,
        digest: &Digest,
        id: &ImageId,
        depth: usize,
        proof: &mut Proof,
    ) -> Result<bool> {
        if let Some(known) = proof.verdicts.get(digest) {
            return Ok(*known);
        }
        if depth > MAX_INDEX_DEPTH || digest.algorithm() != Algorithm::Sha256 {
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

/// Returns the name of an entry of an index, with the tag `latest` where it has none. What is no name is passed over, as is
/// a tag alone.
fn name_of(descriptor: &Descriptor) -> Option<String> {
    let parse = |annotation| {
        let text = descriptor.annotations.get(annotation)?;
        Reference::parse_familiar(text).ok().map(|reference| (text, reference))
    };
    let whole = parse(NAME_ANNOTATION).or_else(|| {
        let by_ref_name = parse(REF_NAME_ANNOTATION);
        by_ref_name.filter(|(text, reference)| !reference.is_name_only() || text.contains('/'))
    });
    whole.map(|(_, reference)| reference.with_default_tag().familiar())
}

/// Returns what of an index is for the platform, the best first; of a list for one platform alone that one.
fn by_preference<'a>(index: &'a Index, platform: Option<&Platform>) -> Vec<&'a Descriptor> {
    let is_image = |entry: &&Descriptor| {
        !entry.annotations.contains_key(REFERENCE_TYPE_ANNOTATION)
            && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    };
    let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
    if let Some(wanted) = platform {
        let fits = |entry: &&&Descriptor| {
            entry.platform.as_ref().is_none_or(|offered| is_for(wanted, offered))
        };
        return images.iter().filter(fits).copied().collect();
    }
    if let [only] = *images {
        return vec![only];
    }
    let host = Platform::host();
    let preference = |entry: &Descriptor| match &entry.platform {
        Some(offered) => host.preference(offered),
        None => Some(usize::MAX),
    };
    let mut fitting: Vec<_> =
        images.into_iter().filter_map(|entry| Some((preference(entry)?, entry))).collect();
    fitting.sort_by_key(|(preference, _)| *preference);
    fitting.into_iter().map(|(_, entry)| entry).collect()
}

fn is_compressed(layer: &Descriptor) -> bool {
    // A type that does not say it mostly stands for gzip.
    layer.media_type.layer_compression() != Some(LayerCompression::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[Descriptor]) -> Vec<u8> {
        let entries = serde_json::to_string(entries).unwrap();
        let media_type = MediaType::OciIndex;
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":{entries}}}"#).into()
    }

    /// Followed one by one, a thousand entries on each of four levels would take for ever.
    #[test]
    fn indexes_that_list_one_another_often_are_read_once() {
        let media_type = MediaType::OciManifest;
        let mut below = Descriptor::new(media_type, Digest::sha256(b"not here"), 8);
        let mut files = Vec::new();
        for _ in 0..MAX_INDEX_DEPTH {
            let bytes = index(&vec![below; 1000]);
            let digest = Digest::sha256(&bytes);
            below = Descriptor::new(MediaType::OciIndex, digest.clone(), bytes.len() as u64);
            files.push((blob_path(&digest), bytes));
        }
        files.push(("index.json".to_owned(), index(std::slice::from_ref(&below))));
        let contents = Contents::read(Tree::of(files)).unwrap();
        let listed = contents.list(None);
        assert!(matches!(listed, Err(EngineError::NoMatchingManifest(_))), "{listed:?}");
        let id = ImageId::new(Digest::sha256(b"config"));
        assert!(!contents.proves(&below.digest, &id, 0, &mut Proof::default()).unwrap());
    }
}

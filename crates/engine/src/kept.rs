//! Manifests that are kept of an image: all that its name leads to, here or not, and what each of them is.
//!
//! dockerd's layout knows one image for a name. What its index lists beside it, other platforms and attestations, is told by the rules of
//! dockerd's containerd store: a manifest counts as available when all that it mentions is here, whoever it was fetched for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use spec::{
    ChainId, Descriptor, Digest, ImageConfig, ImageId, ImageManifest, Index, MAX_CONFIG_SIZE,
    MAX_MANIFEST_SIZE, Manifest, Mentioned, Platform, REFERENCE_DIGEST_ANNOTATION,
    REFERENCE_TYPE_ANNOTATION, Raw,
};
use store::{Image, Store};

use crate::Result;

/// The depth to which indexes are followed in others; builders have one within one.
const MAX_DEPTH: usize = 4;
/// The most bytes of manifests that are read for one image, so that a hostile index costs no memory without end: what is beyond
/// counts as not here. The manifests of a real index have some hundred kilobytes together.
const MAX_DOCUMENTS: u64 = 64 << 20;

/// A manifest that a name of an image leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptManifest {
    /// The manifest, as the index lists it.
    pub descriptor: Descriptor,
    /// Its kind: an image's, an attestation, or anything else.
    pub kind: ManifestKind,
    /// True if all that it mentions is here.
    pub available: bool,
    /// Bytes of it and of what it mentions, as far as they are here.
    pub content: u64,
}

/// Kind of a manifest, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// That of an image.
    Image {
        /// The platform that it runs on; one without words if nothing here tells.
        platform: Platform,
        /// The bytes of its layers where they are unpacked, else 0.
        unpacked: u64,
    },
    /// Statement of somebody about another manifest.
    Attestation {
        /// The other one.
        subject: Digest,
    },
    /// Anything else.
    Unknown,
}

impl ManifestKind {
    /// Says whether this is an image for exactly a platform.
    pub(crate) fn is_for(&self, wanted: &Platform) -> bool {
        matches!(self, Self::Image { platform, .. } if wanted.is_exactly(platform))
    }

    /// Says whether this says something of the manifest `digest`.
    pub(crate) fn attests(&self, digest: &Digest) -> bool {
        matches!(self, Self::Attestation { subject } if subject == digest)
    }
}

impl KeptManifest {
    /// Returns the bytes that are here, compressed and unpacked.
    pub fn size(&self) -> u64 {
        match &self.kind {
            ManifestKind::Image { unpacked, .. } => self.content.saturating_add(*unpacked),
            ManifestKind::Attestation { .. } | ManifestKind::Unknown => self.content,
        }
    }
}

/// The platforms of an image that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Platforms {
    /// Those that are here.
    #[default]
    Here,
    /// These, each of which must be there.
    These(Vec<Platform>),
    /// All that the index lists, all of which must be there.
    All,
}

impl Platforms {
    /// Says whether an image for a platform is wanted, if it is there.
    pub(crate) fn include(&self, platform: &Platform) -> bool {
        match self {
            Self::These(wanted) => wanted.iter().any(|wanted| wanted.is_exactly(platform)),
            Self::Here | Self::All => true,
        }
    }
}

/// Documents that a name led to: a manifest, or an index with all that it lists.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The manifest or index that the name led to itself.
    pub(crate) root: Descriptor,
    /// The indexes that are here, `root` the first if it is one.
    pub(crate) indexes: Vec<Descriptor>,
    /// Set if one of these that lies in another lists nothing: no manifest stands for it.
    pub(crate) has_empty_index: bool,
    /// The manifests, in the order of the indexes.
    pub(crate) manifests: Vec<Listed>,
}

/// A manifest of a [`Tree`].
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) kept: KeptManifest,
    /// Its content, if it is here and an image's.
    pub(crate) manifest: Option<Arc<ImageManifest>>,
    /// Blobs and manifests that it mentions, whatever its kind; `None` if it is not here.
    mentioned: Option<Vec<Descriptor>>,
}

/// All that is kept of one image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// One for each manifest or index that a name of the image led to, in the order in which they came.
    pub(crate) trees: Vec<Tree>,
}

impl Kept {
    /// Finds out what is kept of an image that came with `documents`. Blocking.
    pub(crate) fn of(store: &Store, image: &Image, documents: Vec<Descriptor>) -> Result<Self> {
        let mut reading = Reading { store, image, left: MAX_DOCUMENTS, indexes: HashMap::new() };
        for document in documents.iter().filter(|document| document.media_type.is_index()) {
            reading.index(document)?;
        }
        let indexes = reading.indexes.values().flatten();
        let listed: HashSet<Digest> = indexes
            .flat_map(|index| index.manifests.iter().map(|entry| entry.digest.clone()))
            .collect();
        let mut kept = Self::default();
        for root in documents.into_iter().filter(|document| !listed.contains(&document.digest)) {
            let mut tree = Tree {
                root: root.clone(),
                indexes: Vec::new(),
                has_empty_index: false,
                manifests: Vec::new(),
            };
            reading.walk(&root, 0, &mut tree)?;
            kept.trees.push(tree);
        }
        Ok(kept)
    }

    /// Lists the manifests, each once.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Listed> {
        let mut seen = HashSet::new();
        let all = self.trees.iter().flat_map(|tree| &tree.manifests);
        all.filter(move |listed| seen.insert(&listed.kept.descriptor.digest))
    }

    /// Finds what is here for exactly a platform.
    pub(crate) fn for_platform(&self, wanted: &Platform) -> Option<&Listed> {
        self.manifests().find(|listed| listed.kept.available && listed.kept.kind.is_for(wanted))
    }

    /// Adds up the bytes that are here, each blob once.
    pub(crate) fn bytes(&self, store: &Store) -> Result<u64> {
        let mut counted = HashSet::new();
        let mut bytes: u64 = 0;
        for tree in &self.trees {
            let indexes = tree.indexes.iter().chain([&tree.root]);
            for descriptor in indexes.chain(tree.manifests.iter().flat_map(Listed::content)) {
                if counted.insert(&descriptor.digest) {
                    bytes = bytes.saturating_add(here(store, descriptor)?.unwrap_or_default());
                }
            }
        }
        Ok(bytes)
    }
}

impl Tree {
    /// Says whether this is one of the manifests.
    pub(crate) fn lists(&self, digest: &Digest) -> bool {
        self.manifests.iter().any(|listed| listed.kept.descriptor.digest == *digest)
    }

    /// Says whether this is one of the indexes.
    pub(crate) fn leads(&self, digest: &Digest) -> bool {
        self.indexes.iter().any(|index| index.digest == *digest)
    }
}

impl Listed {
    /// Lists the manifest and what it mentions.
    pub(crate) fn content(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.kept.descriptor).chain(self.mentioned.iter().flatten())
    }

    /// Returns what a user may call it: its platform, or what it is.
    pub(crate) fn name(&self) -> String {
        match &self.kept.kind {
            ManifestKind::Image { platform, .. } => platform.specifier(),
            ManifestKind::Attestation { subject } => format!("attestation of {}", subject.short()),
            ManifestKind::Unknown => self.kept.descriptor.digest.to_string(),
        }
    }

    /// Says whether this is the manifest of an image.
    pub(crate) fn is_of(&self, id: &ImageId) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.config.digest == *id.digest())
    }

    /// Says whether it and all that it mentions is here as blobs.
    pub(crate) fn is_complete(&self) -> bool {
        let sizes = self.content().map(|descriptor| descriptor.size);
        self.mentioned.is_some() && sizes.fold(0, u64::saturating_add) == self.kept.content
    }

    /// Reads the image that this is the manifest of, if it is here as blobs. Blocking.
    pub(crate) fn image(&self, store: &Store) -> Option<Image> {
        let config = config(store, &self.manifest.as_ref()?.config.digest)?;
        let layers = ChainId::chain(&config.value().rootfs.diff_ids);
        Some(Image { id: ImageId::new(config.digest().clone()), config, layers })
    }
}

/// The reading of what belongs to one image.
struct Reading<'a> {
    store: &'a Store,
    image: &'a Image,
    /// Bytes that may still be read.
    left: u64,
    /// The indexes that were read; `None` for one that cannot be.
    indexes: HashMap<Digest, Option<Arc<Index>>>,
}

impl Reading<'_> {
    fn document(&mut self, descriptor: &Descriptor) -> Result<Option<Bytes>> {
        let Some(size) = here(self.store, descriptor)?.filter(|size| *size <= self.left) else {
            return Ok(None);
        };
        self.left -= size;
        // What is damaged must not hide the rest: a check tells of it.
        match self.store.read_blob(&descriptor.digest, MAX_MANIFEST_SIZE) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                tracing::warn!(manifest = %descriptor.digest, %error, "a kept manifest cannot be read");
                Ok(None)
            }
        }
    }

    fn index(&mut self, descriptor: &Descriptor) -> Result<Option<Arc<Index>>> {
        if let Some(known) = self.indexes.get(&descriptor.digest) {
            return Ok(known.clone());
        }
        let bytes = self.document(descriptor)?;
        let index = match bytes.map(|bytes| Manifest::parse(Some(&descriptor.media_type), &bytes)) {
            Some(Ok(Manifest::Index(index))) => Some(Arc::new(index)),
            Some(Ok(Manifest::Image(_)) | Err(_)) | None => None,
        };
        self.indexes.insert(descriptor.digest.clone(), index.clone());
        Ok(index)
    }

    fn walk(&mut self, descriptor: &Descriptor, depth: usize, tree: &mut Tree) -> Result<()> {
        if !descriptor.media_type.is_index() {
            let listed = self.manifest(descriptor)?;
            tree.manifests.push(listed);
            return Ok(());
        }
        let is_known = tree.indexes.iter().any(|index| index.digest == descriptor.digest);
        if is_known || depth > MAX_DEPTH {
            return Ok(());
        }
        let Some(index) = self.index(descriptor)? else { return Ok(()) };
        tree.indexes.push(descriptor.clone());
        tree.has_empty_index |= depth > 0 && index.manifests.is_empty();
        index.manifests.iter().try_for_each(|entry| self.walk(entry, depth + 1, tree))
    }

    fn manifest(&mut self, descriptor: &Descriptor) -> Result<Listed> {
        let (manifest, mentioned) = match self.document(descriptor)? {
            Some(bytes) => read(descriptor, &bytes),
            None => (None, None),
        };
        let kept = KeptManifest {
            descriptor: descriptor.clone(),
            kind: ManifestKind::Unknown,
            available: false,
            content: 0,
        };
        let mut listed = Listed { kept, manifest, mentioned };
        let (mut content, mut available) = (0_u64, true);
        for mentioned in listed.content() {
            match here(self.store, mentioned)? {
                Some(size) => content = content.saturating_add(size),
                None => available = false,
            }
        }
        let is_own = listed.is_of(&self.image.id);
        listed.kept.content = content;
        // What is unpacked is here, whether its blobs are or not.
        listed.kept.available = is_own || (available && listed.mentioned.is_some());
        listed.kept.kind = kind(descriptor, listed.manifest.as_deref());
        if let ManifestKind::Image { platform, unpacked } = &mut listed.kept.kind
            && let Some(manifest) = &listed.manifest
        {
            let of_part = if is_own { None } else { config(self.store, &manifest.config.digest) };
            let config = if is_own {
                Some(self.image.config.value())
            } else {
                of_part.as_ref().map(Raw::value)
            };
            if let Some(config) = config {
                if descriptor.platform.is_none() {
                    *platform = config.platform();
                }
                *unpacked = unpacked_size(self.store, config)?;
            }
        }
        Ok(listed)
    }
}

/// Reads a manifest: as that of an image if it is one, and what it mentions, of whichever kind it is.
pub(crate) fn read(
    descriptor: &Descriptor,
    bytes: &[u8],
) -> (Option<Arc<ImageManifest>>, Option<Vec<Descriptor>>) {
    match Manifest::parse(Some(&descriptor.media_type), bytes) {
        Ok(Manifest::Image(manifest)) => {
            let config = std::iter::once(&manifest.config);
            let mentioned = config.chain(&manifest.layers).cloned().collect();
            (Some(Arc::from(manifest)), Some(mentioned))
        }
        Ok(Manifest::Index(_)) => (None, None),
        Err(_) => {
            let mentioned = Mentioned::parse(bytes).ok();
            (None, mentioned.map(|mentioned| mentioned.blobs().cloned().collect()))
        }
    }
}

/// Says what a manifest is, by the rules of dockerd's containerd store. Of one that is not here only the index tells.
pub(crate) fn kind(descriptor: &Descriptor, manifest: Option<&ImageManifest>) -> ManifestKind {
    if descriptor.annotations.contains_key(REFERENCE_TYPE_ANNOTATION) {
        let subject = descriptor.annotations.get(REFERENCE_DIGEST_ANNOTATION);
        let subject = subject.and_then(|subject| subject.parse().ok());
        return subject
            .map_or(ManifestKind::Unknown, |subject| ManifestKind::Attestation { subject });
    }
    let platform = descriptor.platform.clone().unwrap_or_default();
    let is_nobodys = platform.os == "unknown" && platform.architecture == "unknown";
    let has_no_layer = manifest.is_some_and(|manifest| {
        !manifest.layers.is_empty()
            && !manifest.layers.iter().any(|layer| layer.media_type.may_be_layer())
    });
    if is_nobodys || has_no_layer || !descriptor.media_type.may_be_manifest() {
        return ManifestKind::Unknown;
    }
    ManifestKind::Image { platform, unpacked: 0 }
}

/// Returns the size of a blob that is here and is as large as it should be.
fn here(store: &Store, descriptor: &Descriptor) -> Result<Option<u64>> {
    let blob = store.blob(&descriptor.digest)?;
    Ok(blob.map(|blob| blob.size).filter(|size| *size == descriptor.size))
}

fn config(store: &Store, digest: &Digest) -> Option<Raw<ImageConfig>> {
    let bytes = match store.read_blob(digest, MAX_CONFIG_SIZE) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(config = %digest, %error, "a kept config cannot be read");
            None
        }
    };
    Raw::verify(bytes?, digest, ImageConfig::parse).ok().flatten()
}

fn unpacked_size(store: &Store, config: &ImageConfig) -> Result<u64> {
    let mut sum: u64 = 0;
    for chain in ChainId::chain(&config.rootfs.diff_ids) {
        match store.layer_size(&chain)? {
            Some(size) => sum = sum.saturating_add(size),
            None => return Ok(0),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;

//! The plan of an image that is to be loaded: what of it is here, and which files of the archive bring the rest.

use spec::{
    Algorithm, ChainId, Descriptor, DiffId, Digest, ImageConfig, ImageId, MAX_CONFIG_SIZE, Raw,
    Reference,
};
use store::{DriverKind, Lease, Store};

use super::contents::Contents;
use super::list::Listed;
use super::origin::Origin;
use super::stored::StoredFile;
use super::tree::Tree;
use super::whole::{Part, Whole, Wish};
use crate::error::{BadArchive, Mistake};
use crate::save::documents::{blob_path, named_digest};
use crate::{EngineError, Platforms, Result};

/// An image that is to be loaded, and what of it is here.
#[derive(Debug)]
pub(super) struct PlannedImage {
    pub(super) id: ImageId,
    pub(super) config: Raw<ImageConfig>,
    /// As they are written: with a tag, a digest that is claimed, or both.
    pub(super) names: Vec<Reference>,
    pub(super) layers: Vec<PlannedLayer>,
    pub(super) origin: Option<Origin>,
    /// Manifests and indexes that its index lists beside it, and the files that these need.
    pub(super) parts: Vec<Part>,
    pub(super) blobs: Vec<(Digest, StoredFile)>,
    pub(super) parent: Option<ImageId>,
}

/// A layer of an image that is to be loaded.
#[derive(Clone, Debug)]
pub(super) struct PlannedLayer {
    pub(super) index: usize,
    pub(super) diff_id: DiffId,
    pub(super) chain_id: ChainId,
    pub(super) parent: Option<ChainId>,
    /// Set if it is here.
    pub(super) present: bool,
    /// Its file in the archive; one that is here needs none.
    pub(super) file: Option<StoredFile>,
    /// The digest that the file must have, if its name says so.
    pub(super) expected: Option<Digest>,
    /// Set if the file is kept as a blob.
    pub(super) keep: bool,
    /// A kept blob that the archive's manifest takes for this layer, without having it, and nobody has compared with it yet.
    pub(super) unproved: Option<Digest>,
}

impl PlannedLayer {
    /// Says whether nothing is to be done for the layer.
    pub(super) fn is_ready(&self) -> bool {
        self.present && !self.keep && self.unproved.is_none()
    }
}

impl PlannedImage {
    /// Says whether the image has a name afterwards: by its tag, or by a digest that the archive proves.
    pub(super) fn bears(&self, name: &Reference) -> bool {
        let proved = self.origin.iter().flat_map(|origin| &origin.repo_digests);
        name.tag().is_some() || proved.into_iter().any(|proved| proved == name)
    }
}

/// Reads an image's config and finds out what of it is here; `None` if it is not for the platform. Blocking.
pub(super) fn plan(
    store: &Store,
    lease: &Lease,
    contents: &Contents,
    listed: &Listed,
    platforms: &Platforms,
) -> Result<Option<PlannedImage>> {
    let bytes = contents.tree.require(&listed.config)?.read(&listed.config, MAX_CONFIG_SIZE)?;
    let id = ImageId::new(Digest::sha256(&bytes));
    if let Some(named) = named_digest(&listed.config)
        && named != *id.digest()
    {
        if named.algorithm() != Algorithm::Sha256 && named.matches(&bytes) {
            return Err(EngineError::InvalidParameter(Mistake::ConfigAlgorithm(named)));
        }
        return Err(EngineError::BadArchive(BadArchive::Content(listed.config.clone())));
    }
    let invalid = |source| EngineError::Config { digest: id.digest().clone(), source };
    let config = Raw::parse(bytes, ImageConfig::parse).map_err(invalid)?;
    let os = &config.value().os;
    if store.driver() == DriverKind::Overlay2 && !os.is_empty() && !os.eq_ignore_ascii_case("linux")
    {
        return Err(EngineError::BadArchive(BadArchive::OperatingSystem(os.clone())));
    }
    let Some(platform) = contents.wanted_of(id.digest(), config.value(), platforms) else {
        return Ok(None);
    };
    let diff_ids = &config.value().rootfs.diff_ids;
    if listed.layers.len() != diff_ids.len() {
        let (listed, configured) = (listed.layers.len(), diff_ids.len());
        return Err(EngineError::BadArchive(BadArchive::LayerCount { listed, configured }));
    }
    store.check_depth(diff_ids.len())?;
    let names: Vec<Reference> =
        listed.tags.iter().map(|name| parse_name(name)).collect::<Result<_>>()?;
    let claimed: Vec<Reference> = names
        .iter()
        .filter(|name| name.digest().is_some())
        .map(|name| name.clone().by_digest())
        .collect();
    lease.hold_image(&id)?;
    let whole = whole_layers(store, lease, diff_ids)?;
    let is_kept = |index: usize, layer: &Descriptor| {
        // Held before it is looked for.
        lease.hold_blob(&layer.digest)?;
        Ok(index < whole && store.blob(&layer.digest)?.is_some_and(|blob| blob.size == layer.size))
    };
    let wish = Wish { id: &id, platform: &platform, platforms };
    let root = listed.root.as_ref();
    let mut beside = match root {
        Some(root) => contents.whole(store, lease, root, &wish)?,
        None => Whole::default(),
    };
    let own = contents.manifests.get(id.digest()).map(Vec::as_slice).unwrap_or_default();
    contents.add_referrers((store, lease), own, &mut beside)?;
    let has_parts = !beside.parts.is_empty();
    let listed_beside = (root.is_some() || has_parts).then_some(&beside);
    let origin = if store.keep_blobs() || has_parts {
        contents.origin(&id, diff_ids.len(), &claimed, &is_kept, listed_beside)?
    } else {
        None
    };
    if origin.is_none() && has_parts {
        // Nothing but the image's own manifest leads to it.
        tracing::warn!(%id, "an archive has more of an image whose manifest is not whole");
        beside = Whole::default();
    }
    let Whole { parts, blobs, .. } = beside;
    let mut layers =
        plan_layers(store, lease, &contents.tree, listed, &config, (whole, origin.as_ref()))?;
    if let Some(origin) = &origin {
        note_unproved(store, &id, origin, &mut layers)?;
    }
    let parent = listed.parent.clone();
    Ok(Some(PlannedImage { id, config, names, layers, origin, parts, blobs, parent }))
}

/// Holds layers and returns how many, from the bottom, are here. Where one is damaged, it and all that stands on it are made anew.
fn whole_layers(store: &Store, lease: &Lease, diff_ids: &[DiffId]) -> Result<usize> {
    let (mut whole, mut chain_id) = (0, None);
    for (index, diff_id) in diff_ids.iter().enumerate() {
        let chain = ChainId::extend(chain_id.as_ref(), diff_id);
        lease.hold_layer(&chain)?;
        if whole == index && store.whole_layer(&chain)?.is_some() {
            whole += 1;
        }
        chain_id = Some(chain);
    }
    Ok(whole)
}

/// Notes which kept blobs have to be looked at before a manifest may say that they are these layers.
fn note_unproved(
    store: &Store,
    id: &ImageId,
    origin: &Origin,
    layers: &mut [PlannedLayer],
) -> Result<()> {
    let manifest = &origin.manifest;
    if store.manifests_of(id)?.iter().any(|known| known.digest == *manifest.digest()) {
        return Ok(());
    }
    for (layer, descriptor) in layers.iter_mut().zip(&manifest.value().layers) {
        let digest = &descriptor.digest;
        if layer.file.is_none() && store.diff_id_of(digest)?.as_ref() != Some(&layer.diff_id) {
            layer.unproved = Some(digest.clone());
        }
    }
    Ok(())
}

fn plan_layers(
    store: &Store,
    lease: &Lease,
    tree: &Tree,
    listed: &Listed,
    config: &Raw<ImageConfig>,
    (whole, origin): (usize, Option<&Origin>),
) -> Result<Vec<PlannedLayer>> {
    let mut layers: Vec<PlannedLayer> = Vec::new();
    for (index, diff_id) in config.value().rootfs.diff_ids.iter().enumerate() {
        let parent = layers.last().map(|layer| layer.chain_id.clone());
        let chain_id = ChainId::extend(parent.as_ref(), diff_id);
        let present = index < whole;
        let kept = origin.map(|origin| &origin.manifest.value().layers[index].digest);
        let mut keep = false;
        if let Some(digest) = kept {
            lease.hold_blob(digest)?;
            keep = store.keep_blobs() && store.blob(digest)?.is_none();
        }
        let path = kept.map_or_else(|| listed.layers[index].clone(), blob_path);
        let file = if present { tree.find(&path) } else { Some(tree.require(&path)?) };
        let expected = file.and_then(|_| named_digest(&path));
        layers.push(PlannedLayer {
            index,
            diff_id: diff_id.clone(),
            chain_id,
            parent,
            present,
            file: file.cloned(),
            expected,
            keep,
            unproved: None,
        });
    }
    Ok(layers)
}

/// Parses the name of an image; a tag is not made up.
fn parse_name(text: &str) -> Result<Reference> {
    let reference = Reference::parse_familiar(text)?;
    if reference.is_name_only() {
        return Err(EngineError::BadArchive(BadArchive::Tag(text.to_owned())));
    }
    Ok(reference)
}

#[cfg(test)]
mod tests;

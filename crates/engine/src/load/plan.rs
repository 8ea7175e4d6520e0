//! The plan of an image that is to be loaded: what of it is here, and which files of the archive bring the rest.

use spec::{
    ChainId, DiffId, Digest, ImageConfig, ImageId, MAX_CONFIG_SIZE, Platform, Raw, Reference,
};
use store::{DriverKind, Lease, Store};

use super::contents::{Contents, Origin};
use super::list::Listed;
use super::tree::{StoredFile, Tree};
use crate::error::BadArchive;
use crate::resolve::is_for;
use crate::save::documents::blob_path;
use crate::{EngineError, Result};

/// An image that is to be loaded, and what of it is here.
#[derive(Debug)]
pub(super) struct PlannedImage {
    pub(super) id: ImageId,
    pub(super) config: Raw<ImageConfig>,
    /// As they are written: with a tag, a digest that is claimed, or both.
    pub(super) names: Vec<Reference>,
    pub(super) layers: Vec<PlannedLayer>,
    pub(super) origin: Option<Origin>,
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
    platform: Option<&Platform>,
) -> Result<Option<PlannedImage>> {
    let bytes = contents.tree.require(&listed.config)?.read(&listed.config, MAX_CONFIG_SIZE)?;
    let id = ImageId::new(Digest::sha256(&bytes));
    if let Some(named) = named_digest(&listed.config)
        && named != *id.digest()
    {
        return Err(EngineError::BadArchive(BadArchive::Content(listed.config.clone())));
    }
    let invalid = |source| EngineError::Config { digest: id.digest().clone(), source };
    let config = Raw::parse(bytes, ImageConfig::parse).map_err(invalid)?;
    let os = &config.value().os;
    if store.driver() == DriverKind::Overlay2 && !os.is_empty() && !os.eq_ignore_ascii_case("linux")
    {
        return Err(EngineError::BadArchive(BadArchive::OperatingSystem(os.clone())));
    }
    if platform.is_some_and(|wanted| !is_for(wanted, &config.value().platform())) {
        return Ok(None);
    }
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
    let origin =
        if store.keep_blobs() { contents.origin(&id, diff_ids.len(), &claimed)? } else { None };
    let layers = plan_layers(store, lease, &contents.tree, listed, &config, origin.as_ref())?;
    let parent = listed.parent.clone();
    Ok(Some(PlannedImage { id, config, names, layers, origin, parent }))
}

fn plan_layers(
    store: &Store,
    lease: &Lease,
    tree: &Tree,
    listed: &Listed,
    config: &Raw<ImageConfig>,
    origin: Option<&Origin>,
) -> Result<Vec<PlannedLayer>> {
    let mut layers: Vec<PlannedLayer> = Vec::new();
    // Where a layer is damaged, it and all that stands on it are made anew.
    let mut whole = true;
    for (index, diff_id) in config.value().rootfs.diff_ids.iter().enumerate() {
        let parent = layers.last().map(|layer| layer.chain_id.clone());
        let chain_id = ChainId::extend(parent.as_ref(), diff_id);
        lease.hold_layer(&chain_id)?;
        whole = whole && store.whole_layer(&chain_id)?.is_some();
        let kept = origin.map(|origin| &origin.manifest.value().layers[index].digest);
        let mut keep = false;
        if let Some(digest) = kept {
            lease.hold_blob(digest)?;
            keep = store.blob(digest)?.is_none();
        }
        let path = kept.map_or_else(|| listed.layers[index].clone(), blob_path);
        let file = if whole { tree.find(&path) } else { Some(tree.require(&path)?) };
        let expected = named_digest(&path).filter(|digest| digest != diff_id.digest());
        layers.push(PlannedLayer {
            index,
            diff_id: diff_id.clone(),
            chain_id,
            parent,
            present: whole,
            file: file.cloned(),
            expected,
            keep,
        });
    }
    Ok(layers)
}

/// Returns the digest that a blob of an image layout is named by.
fn named_digest(path: &str) -> Option<Digest> {
    let hex = path.strip_prefix("blobs/sha256/")?;
    format!("sha256:{hex}").parse().ok()
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

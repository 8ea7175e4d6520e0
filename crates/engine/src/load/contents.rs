//! The contents of an archive: images by `manifest.json`, or by the index of an OCI image layout.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use serde::Deserialize;
use spec::{
    Descriptor, Digest, ImageManifest, Index, MAX_MANIFEST_SIZE, Manifest, Platform, Reference,
    from_go_json,
};

use super::list::{self, Listed};
use super::referrers::Referrers;
use super::tree::Tree;
use crate::error::BadArchive;
use crate::kept::Platforms;
use crate::save::documents::{NAME_ANNOTATION, REF_NAME_ANNOTATION, blob_path, named_digest};
use crate::{EngineError, Result};

/// The largest `manifest.json` or `index.json`: room for some 10,000 images.
const MAX_LIST: u64 = 16 << 20;
/// The depth to which indexes may be nested; dockers and buildx have one within one.
pub(super) const MAX_INDEX_DEPTH: usize = 4;
/// The most bytes of manifests and indexes that are kept of one image of an archive, or prove its digests.
pub(super) const MAX_DOCUMENTS: u64 = 16 << 20;

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
    pub(super) index: Vec<Descriptor>,
    /// The manifests of images that it leads to, by the digest of their config.
    pub(super) manifests: HashMap<Digest, Vec<Descriptor>>,
    /// The outermost index that leads to an image, by the digest of its config.
    roots: HashMap<Digest, Descriptor>,
    /// Manifests that refer to others.
    pub(super) referrers: Referrers,
}

impl Contents {
    /// Reads what `index.json` lists, if there is one.
    pub(super) fn read(tree: Tree) -> Result<Self> {
        let (manifests, roots) = (HashMap::new(), HashMap::new());
        let (index, referrers) = (Vec::new(), Referrers::default());
        let mut contents = Self { tree, index, manifests, roots, referrers };
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
            match contents.walk(&descriptor, (&descriptor, 0), &mut seen) {
                Err(error) if contents.tree.find("manifest.json").is_some() => {
                    tracing::warn!(%error, "an archive's index.json leads to what cannot be read");
                }
                walked => walked?,
            }
        }
        contents.referrers = Referrers::find(&contents.tree, &contents.index);
        Ok(contents)
    }

    /// Notes the manifests that a descriptor leads to. Those that are not in the archive are other platforms'.
    fn walk(
        &mut self,
        descriptor: &Descriptor,
        (root, depth): (&Descriptor, usize),
        seen: &mut BTreeSet<Digest>,
    ) -> Result<()> {
        if depth > MAX_INDEX_DEPTH || !seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let manifest = match self.manifest(descriptor) {
            // An index may list what is no image; who wants it says so.
            Err(EngineError::Manifest { source, .. }) if depth > 0 => {
                tracing::debug!(%source, digest = %descriptor.digest, "a manifest of another kind");
                None
            }
            manifest => manifest?,
        };
        match manifest {
            Some((Manifest::Image(manifest), _)) => {
                let of_config = self.manifests.entry(manifest.config.digest.clone()).or_default();
                of_config.push(descriptor.clone());
                if depth > 0 {
                    let root = || root.clone();
                    self.roots.entry(manifest.config.digest).or_insert_with(root);
                }
            }
            Some((Manifest::Index(index), _)) => {
                for below in &index.manifests {
                    self.walk(below, (root, depth + 1), seen)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Reads a manifest or index; `None` if it is not here or of something else.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Option<(Manifest, Bytes)>> {
        if !descriptor.media_type.may_be_manifest() {
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

    /// Lists the images of the archive; of each index one, for the platform of this machine if that is wanted, else the first.
    pub(super) fn list(&self, wanted: &Platforms) -> Result<Vec<Listed>> {
        if let Some(file) = self.tree.find("manifest.json") {
            let mut images = list::read(&file.read("manifest.json", MAX_LIST)?)?;
            let mut choice = Choice::of(wanted);
            self.name_by_index(&mut images, &mut choice);
            for image in &mut images {
                self.lead_to_index(image, &mut choice)?;
            }
            return Ok(images);
        }
        if self.tree.find("index.json").is_some() {
            return self.list_layout(&mut Choice::of(wanted));
        }
        Err(EngineError::BadArchive(BadArchive::NoList))
    }

    /// Notes the index that an image of `manifest.json` is of; of that the platform is taken that is wanted, whichever one the list
    /// has.
    fn lead_to_index(&self, image: &mut Listed, choice: &mut Choice) -> Result<()> {
        let config = named_digest(&image.config);
        let root = config.as_ref().and_then(|config| self.roots.get(config)).cloned();
        if let Some(root) = root {
            if choice.is_of_some()
                && let Some((manifest, _)) = self.choose_wanted(&root, choice)?
                && Some(&manifest.config.digest) != config.as_ref()
            {
                image.config = blob_path(&manifest.config.digest);
                image.layers = paths(&manifest.layers)?;
            }
            image.root = Some(root);
        }
        Ok(())
    }

    /// Gives the images that `manifest.json` has no name for those that `index.json` has, as builders of OCI archives leave it.
    fn name_by_index(&self, images: &mut [Listed], choice: &mut Choice) {
        if images.iter().all(|image| !image.tags.is_empty()) {
            return;
        }
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for descriptor in &self.index {
            let Some(name) = name_of(descriptor) else { continue };
            // What cannot be read was told of before.
            if let Ok(Some((manifest, _))) = self.choose_wanted(descriptor, choice) {
                names.entry(blob_path(&manifest.config.digest)).or_default().push(name);
            }
        }
        for image in images.iter_mut().filter(|image| image.tags.is_empty()) {
            image.tags = names.get(&image.config).cloned().unwrap_or_default();
        }
    }

    /// Lists the images of an image layout, of each index the one for the platform.
    fn list_layout(&self, choice: &mut Choice) -> Result<Vec<Listed>> {
        let mut images: Vec<Listed> = Vec::new();
        let mut known = HashMap::new();
        for descriptor in &self.index {
            self.check_listed(descriptor, choice)?;
            let Some((manifest, digest)) = self.choose_wanted(descriptor, choice)? else {
                continue;
            };
            if [&digest, &descriptor.digest].into_iter().any(|it| self.referrers.is_no_image(it)) {
                continue;
            }
            let name = name_of(descriptor);
            if let Some(&position) = known.get(&digest) {
                let image: &mut Listed = &mut images[position];
                image.tags.extend(name);
                continue;
            }
            let is_index = digest != descriptor.digest;
            known.insert(digest, images.len());
            images.push(Listed {
                config: blob_path(&manifest.config.digest),
                tags: name.into_iter().collect(),
                layers: paths(&manifest.layers)?,
                parent: None,
                root: Some(descriptor.clone()).filter(|_| is_index),
            });
        }
        if images.is_empty() {
            let wanted: Vec<Platform> = choice.candidates.iter().flatten().cloned().collect();
            let wanted = if wanted.is_empty() { vec![Platform::host()] } else { wanted };
            return Err(self.none_for(&wanted, &[]));
        }
        Ok(images)
    }

    fn choose_wanted(
        &self,
        descriptor: &Descriptor,
        choice: &mut Choice,
    ) -> Result<Option<(ImageManifest, Digest)>> {
        for (candidate, barren) in choice.candidates.iter().zip(&mut choice.barren) {
            if let Some(found) = self.choose(descriptor, candidate.as_ref(), 0, barren)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Fails if a manifest is not there that the layout itself lists. What an index lists may be elsewhere.
    fn check_listed(&self, entry: &Descriptor, choice: &Choice) -> Result<()> {
        let is_wanted = |candidate: &Option<Platform>| {
            let both = candidate.as_ref().zip(entry.platform.as_ref());
            both.is_none_or(|(wanted, offered)| wanted.is_exactly(offered))
        };
        if entry.media_type.may_be_manifest() && choice.candidates.iter().any(is_wanted) {
            self.tree.require(&blob_path(&entry.digest))?;
        }
        Ok(())
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
                let fits = wanted.is_none_or(|(wanted, offered)| wanted.is_exactly(offered));
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
}

/// The platforms of which one is chosen from each index.
struct Choice {
    /// The first that is there is taken; `None` is the one of this machine.
    candidates: Vec<Option<Platform>>,
    /// For each the descriptors that are known to lead to nothing.
    barren: Vec<HashSet<Digest>>,
}

impl Choice {
    fn of(wanted: &Platforms) -> Self {
        let candidates = match wanted {
            Platforms::Here | Platforms::All => vec![None],
            Platforms::These(list) => {
                let host = Platform::host();
                let mut list = list.clone();
                list.sort_by_key(|platform| host.preference(platform).unwrap_or(usize::MAX));
                list.into_iter().map(Some).collect()
            }
        };
        let barren = candidates.iter().map(|_| HashSet::new()).collect();
        Self { candidates, barren }
    }

    fn is_of_some(&self) -> bool {
        self.candidates.iter().any(Option::is_some)
    }
}

/// Returns the paths of layers.
fn paths(layers: &[Descriptor]) -> Result<Vec<String>> {
    match layers.iter().find(|layer| !layer.media_type.may_be_layer()) {
        Some(odd) => Err(EngineError::UnsupportedMediaType(odd.media_type.clone())),
        None => Ok(layers.iter().map(|layer| blob_path(&layer.digest)).collect()),
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
        !entry.annotations.contains_key(spec::REFERENCE_TYPE_ANNOTATION)
            && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    };
    let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
    if let Some(wanted) = platform {
        let fits = |entry: &&&Descriptor| {
            entry.platform.as_ref().is_none_or(|offered| wanted.is_exactly(offered))
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

#[cfg(test)]
mod tests {
    use spec::{ImageId, MediaType};

    use super::*;
    use crate::load::origin::Proof;

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
        let listed = contents.list(&Platforms::Here);
        assert!(
            matches!(listed, Err(EngineError::BadArchive(BadArchive::NoPlatform { .. }))),
            "{listed:?}"
        );
        let id = ImageId::new(Digest::sha256(b"config"));
        assert!(!contents.proves(&below.digest, &id, 0, &mut Proof::default()).unwrap());
    }
}

//! `load`: images from an archive into the store.
//!
//! Read are the archives of `docker save` of any age that has a `manifest.json`, those of podman and skopeo, and OCI image
//! layouts; of any compression, with their entries in any order.
//!
//! # Flow
//! body → [`receive`](crate::receive) → files in `staging/`, small ones in memory ([`tree`]) → what they are ([`contents`]) → for each image its
//! missing layers, unpacked at once ([`layers`]) → one commit, or one for many images that need no layer. What was loaded before an
//! error stays.
//!
//! # Trust
//! Nothing is believed: a config is named by its hash, a layer is compared with its diff ID, a blob with the digest that it is
//! kept under, and a reference by digest counts only if the manifest that it names is in the archive and has the image's config.

mod contents;
mod layers;
mod list;
mod tree;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use spec::{ChainId, Digest, ImageConfig, ImageId, MAX_CONFIG_SIZE, Platform, Raw, Reference};
use store::{Commit, Committed, DriverKind, Lease, NewImage, SmallBlob, Store};

use crate::cancel::CancelOnDrop;
use crate::engine::blocking;
use crate::progress::ProgressEvent;
use crate::resolve::is_for;
use crate::save::documents::blob_path;
use crate::{Engine, EngineError, Progress, Result, receive};
use contents::{Contents, Listed, Origin};
use layers::{LoadedBlob, LoadedLayer, PlannedLayer};
use tree::Tree;

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The platform of the images that are wanted; others are passed over.
    pub platform: Option<Platform>,
    /// Whether to say nothing of layers.
    pub quiet: bool,
}

/// A load under way.
struct Load<'a> {
    engine: &'a Engine,
    lease: Arc<Lease>,
    platform: Option<Platform>,
    progress: Progress,
    /// Where layers report to.
    layer_progress: Progress,
}

/// How many images are published at once, and how many bytes of what they consist of are held in memory until then.
const MAX_BATCH: usize = 256;
const MAX_BATCH_BYTES: usize = 16 << 20;
/// What a name takes of that, about.
const BYTES_OF_A_NAME: usize = 256;

/// An image with the layers that were unpacked for it.
type ReadyImage = (PlannedImage, Vec<LoadedLayer>);

/// An image that is to be loaded, and what of it is here.
#[derive(Debug)]
struct PlannedImage {
    id: ImageId,
    config: Raw<ImageConfig>,
    /// As they are written: with a tag, a digest that is claimed, or both.
    names: Vec<Reference>,
    layers: Vec<PlannedLayer>,
    origin: Option<Origin>,
    parent: Option<ImageId>,
}

impl Engine {
    /// Loads the images of an archive. Dropping the future cancels: images that were complete stay, and nothing else.
    pub async fn load(
        &self,
        request: LoadRequest,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
        progress: Progress,
    ) -> Result<()> {
        let lease = self.lease().await?;
        let place = self.0.receivers.enter().await;
        let (sender, input) = receive::pipe();
        let held = Arc::clone(&lease);
        let (_cancel, cancelled) = CancelOnDrop::new();
        let read = self.on_disk(move |store| Tree::read(store, &held, input, cancelled));
        let (tree, ()) = tokio::join!(read, receive::pump(body, sender, place));
        let tree = tree?;
        let contents = Arc::new(blocking(move || Contents::read(tree)).await?);
        let layer_progress = if request.quiet { Progress::silent() } else { progress.clone() };
        let platform = request.platform;
        Load { engine: self, lease, platform, progress, layer_progress }.run(contents).await
    }
}

impl Load<'_> {
    async fn run(&self, contents: Arc<Contents>) -> Result<()> {
        let (listing, platform) = (Arc::clone(&contents), self.platform.clone());
        let list = blocking(move || listing.list(platform.as_ref())).await?;
        let mut ids = Vec::new();
        let mut parents = Vec::new();
        let mut last_is_named = false;
        let mut ready = Vec::new();
        for listed in list {
            let planned = match self.plan(&contents, listed).await {
                Ok(Some(planned)) => planned,
                Ok(None) => continue,
                Err(error) => {
                    // What came before it is loaded all the same.
                    self.publish(std::mem::take(&mut ready)).await?;
                    return Err(error);
                }
            };
            parents.push((planned.id.clone(), planned.parent.clone()));
            ids.push(planned.id.clone());
            last_is_named = planned.names.iter().any(|name| planned.bears(name));
            if planned.layers.iter().all(|layer| layer.present && !layer.keep) {
                ready.push((planned, Vec::new()));
                if ready.len() < MAX_BATCH && held(&ready) < MAX_BATCH_BYTES {
                    continue;
                }
            } else {
                self.publish(std::mem::take(&mut ready)).await?;
                ready.push(self.with_layers(planned).await?);
            }
            self.publish(std::mem::take(&mut ready)).await?;
        }
        self.publish(ready).await?;
        self.set_parents(parents).await?;
        // As in dockerd, where the last image decides.
        if !last_is_named {
            self.progress.report(ProgressEvent::LoadedIds { ids });
        }
        Ok(())
    }

    /// Reads an image's config and finds out what of it is here; `None` if it is not for the platform.
    async fn plan(&self, contents: &Arc<Contents>, listed: Listed) -> Result<Option<PlannedImage>> {
        let (contents, platform) = (Arc::clone(contents), self.platform.clone());
        let lease = Arc::clone(&self.lease);
        self.engine
            .on_disk(move |store| plan(store, &lease, &contents, &listed, platform.as_ref()))
            .await
    }

    /// Unpacks what is missing of an image.
    async fn with_layers(&self, mut planned: PlannedImage) -> Result<ReadyImage> {
        let layers = self.layers(std::mem::take(&mut planned.layers)).await?;
        Ok((planned, layers))
    }

    /// Publishes images and tells their names.
    async fn publish(&self, images: Vec<ReadyImage>) -> Result<()> {
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
        let committed = self.engine.on_disk(move |store| {
            let commits = commits(store, images)?;
            Ok(store.commit_all(&lease, commits)?)
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

    /// Notes which images were built from others of the same archive.
    async fn set_parents(&self, images: Vec<(ImageId, Option<ImageId>)>) -> Result<()> {
        self.engine
            .on_disk(move |store| {
                let loaded: HashSet<&ImageId> = images.iter().map(|(id, _)| id).collect();
                for (id, parent) in &images {
                    let Some(parent) = parent else { continue };
                    if parent == id || !loaded.contains(parent) {
                        continue;
                    }
                    if !is_parent(store, id, parent)? {
                        let message = format!("image {parent} is not a valid parent for {id}");
                        return Err(EngineError::BadArchive(message));
                    }
                    store.set_parent(id, parent)?;
                }
                Ok(())
            })
            .await
    }
}

/// Says whether an image has one step more than another.
fn is_parent(store: &Store, id: &ImageId, parent: &ImageId) -> Result<bool> {
    let (Some(image), Some(parent)) = (store.image(id)?, store.image(parent)?) else {
        return Ok(false);
    };
    let (steps, before) = (&image.config.value().history, &parent.config.value().history);
    let both_empty = steps.is_empty() && before.is_empty();
    Ok(both_empty || (steps.len() == before.len() + 1 && steps.starts_with(before)))
}

fn plan(
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
        let message =
            format!("invalid archive: the content of {} does not match its digest", listed.config);
        return Err(EngineError::BadArchive(message));
    }
    let invalid = |source| EngineError::Config { digest: id.digest().clone(), source };
    let config = Raw::parse(bytes, ImageConfig::parse).map_err(invalid)?;
    let os = &config.value().os;
    if store.driver() == DriverKind::Overlay2 && !os.is_empty() && !os.eq_ignore_ascii_case("linux")
    {
        return Err(EngineError::BadArchive(format!("cannot load {os} image on linux")));
    }
    if platform.is_some_and(|wanted| !is_for(wanted, &config.value().platform())) {
        return Ok(None);
    }
    let diff_ids = &config.value().rootfs.diff_ids;
    if listed.layers.len() != diff_ids.len() {
        return Err(EngineError::BadArchive(format!(
            "invalid manifest, layers length mismatch: expected {}, got {}",
            listed.layers.len(),
            diff_ids.len()
        )));
    }
    store.check_depth(diff_ids.len())?;
    let names: Vec<Reference> =
        listed.tags.iter().map(|name| parse_name(name)).collect::<Result<_>>()?;
    let claimed: Vec<Reference> = names
        .iter()
        .filter(|name| name.digest().is_some())
        .map(crate::resolve::by_digest)
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
        return Err(EngineError::BadArchive(format!("invalid tag \"{text}\"")));
    }
    Ok(reference)
}

/// Returns the tag of a name; the digest beside it is another matter.
fn by_tag(name: &Reference) -> Option<Reference> {
    let tag = name.tag()?.clone();
    Some(Reference::new(name.repository().clone(), Some(tag), None))
}

impl PlannedImage {
    /// Says whether the image has a name afterwards: by its tag, or by a digest that the archive proves.
    fn bears(&self, name: &Reference) -> bool {
        let proved = self.origin.iter().flat_map(|origin| &origin.repo_digests);
        name.tag().is_some() || proved.into_iter().any(|proved| proved == name)
    }
}

fn held(images: &[ReadyImage]) -> usize {
    let held = |planned: &PlannedImage| {
        let documents = planned.origin.iter().flat_map(|origin| &origin.documents);
        let documents: usize = documents.map(|(_, bytes)| bytes.len()).sum();
        planned.config.bytes().len() + documents + planned.names.len() * BYTES_OF_A_NAME
    };
    images.iter().map(|(planned, _)| held(planned)).sum()
}

/// Says what is to be published of images.
fn commits(store: &Store, images: Vec<ReadyImage>) -> Result<Vec<Commit>> {
    let references = store.references()?;
    let mut taken: HashMap<Reference, ImageId> = HashMap::new();
    let mut commits = Vec::with_capacity(images.len());
    for (PlannedImage { id, config, names, origin, .. }, layers) in images {
        let mut commit = Commit::default();
        for layer in layers {
            commit.layers.extend(layer.staged);
            match layer.blob {
                Some(LoadedBlob::Deposit(deposit)) => commit.deposits.push(deposit),
                Some(LoadedBlob::Small(blob)) => commit.small_blobs.push(blob),
                None => {}
            }
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
                let digest = descriptor.digest.clone();
                commit.small_blobs.push(SmallBlob { digest, bytes });
                manifests.push(descriptor);
            }
            let (digest, bytes) = (id.digest().clone(), config.bytes().clone());
            commit.small_blobs.push(SmallBlob { digest, bytes });
        }
        commit.references.extend(names.iter().filter_map(by_tag).map(|tag| (tag, id.clone())));
        commit.image = Some(NewImage { id, config: config.bytes().clone(), manifests });
        commits.push(commit);
    }
    Ok(commits)
}

//! Publishing what an operation has prepared: all of it or nothing.
//!
//! ```text
//! outside the lock   check, write aside what is still in memory, note it in the lease, one sync of the file system
//! under the lock     blobs → layer directories → layer entries → config → manifests → sources → references
//! ```
//!
//! Directories are synced between the stages, so that also after a power cut what is there has all that it needs. A crash
//! before the references leaves blobs, layers and perhaps an image that nothing points to, all noted in the lease, which
//! the next start ends. The files of an unpublished layer or blob are never found by anybody.

mod present;
mod tags;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use spec::{
    ChainId, Descriptor, DiffId, Digest, ImageConfig, ImageId, MAX_MANIFEST_SIZE, Reference, Tag,
};

use self::tags::tags_of;
use crate::collect::journal::{Entry, Item};
use crate::content::blob::{BlobFile, BlobSource};
use crate::disk::{self, Durability};
use crate::distribution::Note;
use crate::driver::overlay2::Below;
use crate::lock::Transaction;
use crate::{
    LayerRecord, Lease, Source, StagedFile, StagedLayer, Store, StoreError, VerifiedBlob, files,
};

/// All that is to be published at once.
#[derive(Debug, Default)]
pub struct Commit {
    /// Those in files are kept if the store keeps blobs, and deleted after the commit if not. Those in memory are kept
    /// always: manifests, indexes and configs, and layers only if the caller wants them. A blob may be in several commits.
    pub blobs: Vec<VerifiedBlob>,
    /// New layers; each one's parent comes before it or is in the store already.
    pub layers: Vec<(StagedLayer, LayerRecord)>,
    /// The image that these make, if they make one. Layers without an image are removed at the end of the lease.
    pub image: Option<NewImage>,
    /// The repositories that layers came from.
    pub sources: Vec<(DiffId, Source)>,
    /// Findings on manifests of the image, each as one text, which take the place of earlier ones.
    pub findings: Vec<(Digest, String)>,
    /// References to set, to this image or to one in the store.
    pub references: Vec<(Reference, ImageId)>,
    /// A name that the image must have: if somebody has taken it away, nothing is published, and so nothing comes back.
    pub while_named: Option<Reference>,
}

/// An image to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Its ID, which is checked.
    pub id: ImageId,
    /// The bytes of its config.
    pub config: Bytes,
    /// The manifest that it came with and the indexes through which that was found; all among the blobs, of this
    /// commit or an earlier one.
    pub manifests: Vec<Descriptor>,
    /// Other manifests that are kept of those indexes, as the index describes them, which with all that they mention are among the
    /// blobs, of this commit or an earlier one. Their blobs are kept whether or not the store keeps those of unpacked layers.
    pub parts: Vec<NewPart>,
}

/// A part of a new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// The manifest or index, with its size and type.
    pub descriptor: Descriptor,
    /// The tag that it was found by, if that is how it refers to the image.
    pub tag: Option<Tag>,
}

impl From<Descriptor> for NewPart {
    fn from(descriptor: Descriptor) -> Self {
        Self { descriptor, tag: None }
    }
}

/// The changes that a commit made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The references in the order that they were given in.
    pub moved: Vec<Moved>,
}

/// A reference that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The reference that was set.
    pub reference: Reference,
    /// The image that it meant before.
    pub before: Option<ImageId>,
}

/// A commit whose files are all written, if not yet synced.
struct Prepared {
    blobs: Vec<PreparedBlob>,
    layers: Vec<PreparedLayer>,
    config: Option<(PathBuf, NewImage)>,
    notes: Vec<(PathBuf, DiffId, Vec<Source>, Note)>,
    findings: Vec<(Digest, String)>,
    references: Vec<(Reference, ImageId)>,
    while_named: Option<Reference>,
}

impl Prepared {
    /// Returns what is told of failed writes of the parts: not all need have been written under the lease of the commit.
    fn durabilities(&self) -> impl Iterator<Item = &Arc<Durability>> {
        let layers = self.layers.iter().map(|layer| layer.staged.durability());
        layers.chain(self.blobs.iter().map(|blob| blob.file.durability()))
    }
}

struct PreparedBlob {
    digest: Digest,
    file: Arc<dyn BlobFile>,
    /// Set if it came as a file: what was in memory is noted in the lease.
    is_layer: bool,
    /// Set if it stays after the commit, whether or not layers' blobs do.
    is_needed: bool,
}

struct PreparedLayer {
    chain: ChainId,
    staged: StagedLayer,
    record: LayerRecord,
}

impl Store {
    /// Publishes everything in `commit`, the references last.
    ///
    /// A layer or blob that somebody else has published meanwhile is no error: ours is dropped. On an error the downloads
    /// stay for the next try, and what has been published is removed at the end of the lease unless something uses it.
    pub fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        Ok(self.commit_all(lease, vec![commit])?.pop().unwrap_or_default())
    }

    /// Publishes several commits as [`Store::commit`] does one, with one sync and one change of the references for all: what
    /// many small images need. No layer of one may stand on a new layer of another.
    pub fn commit_all(
        &self,
        lease: &Lease,
        commits: Vec<Commit>,
    ) -> Result<Vec<Committed>, StoreError> {
        commits.iter().try_for_each(check)?;
        if let [commit] = &*commits
            && let Some(committed) = self.present(lease, commit)?
        {
            return Ok(vec![committed]);
        }
        let are_images = commits.iter().all(|commit| commit.image.is_some());
        // Noted is as good as held: what is here from now on stays until this is done.
        let in_memory = commits.iter().flat_map(|commit| &commit.blobs);
        let in_memory = in_memory.filter(|blob| matches!(blob.source, BlobSource::Bytes(_)));
        lease.note(&in_memory.map(|blob| pending_blob(blob.digest())).collect::<Vec<_>>())?;
        let prepared = commits.into_iter().map(|commit| self.prepare(lease, commit));
        let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
        let pending = prepared.iter().map(|prepared| self.pending(prepared));
        lease.note(&pending.collect::<Result<Vec<_>, _>>()?.concat())?;
        let parts = prepared.iter().flat_map(Prepared::durabilities);
        disk::sync_all(std::iter::once(lease.durability()).chain(parts))?;
        let transaction = self.transaction()?;
        prepared.iter().try_for_each(|prepared| self.require_name(prepared))?;
        let mut all_ours = true;
        for prepared in &prepared {
            self.publish_blobs(prepared)?;
            all_ours &= self.publish_layers(&transaction, prepared)?;
        }
        self.publish_images(&transaction, &prepared)?;
        prepared.iter().try_for_each(|prepared| self.publish_sources(prepared))?;
        let committed = self.change_references(&transaction, |references| {
            let mut set = |(reference, id): &(Reference, ImageId)| {
                let before = references.set(reference, id)?;
                Ok(Moved { reference: reference.clone(), before })
            };
            let all = prepared.iter().map(|prepared| {
                let moved = prepared.references.iter().map(&mut set).collect::<Result<_, _>>()?;
                Ok(Committed { moved })
            });
            all.collect::<Result<Vec<_>, _>>()
        })?;
        // A blob of a layer that somebody was faster with may have no use: the end of the lease finds out.
        if are_images && all_ours {
            lease.settle();
        }
        drop(transaction);
        if !self.keep_blobs() {
            let blobs = prepared.iter().flat_map(|prepared| &prepared.blobs);
            blobs.filter(|blob| !blob.is_needed).for_each(|blob| blob.file.discard());
        }
        self.reserve().refill();
        Ok(committed)
    }

    /// Writes all files of a commit aside.
    fn prepare(&self, lease: &Lease, commit: Commit) -> Result<Prepared, StoreError> {
        let scratch = lease.staging_path()?;
        self.disk().make_dir(&scratch, 0o700)?;
        let needed = self.needed_by_parts(&commit)?;
        let mut blobs = Vec::new();
        for (number, blob) in commit.blobs.into_iter().enumerate() {
            let digest = blob.digest().clone();
            let (file, is_layer) = match blob.source {
                BlobSource::File(file) => (file, true),
                BlobSource::Bytes(_) if self.blob(&digest)?.is_some() => continue,
                BlobSource::Bytes(bytes) => {
                    let path = scratch.join(format!("blob-{number}"));
                    (StagedFile::write(self.disk(), path, &bytes, lease)?.into_blob_file(), false)
                }
            };
            let is_needed = !is_layer || needed.contains(&digest);
            blobs.push(PreparedBlob { digest, file, is_layer, is_needed });
        }
        let layers = self.prepare_layers(commit.layers)?;
        let config = match commit.image {
            None => None,
            Some(image) => {
                let path = scratch.join("config");
                self.disk().write_new(&path, &image.config, 0o600)?;
                Some((path, image))
            }
        };
        let mut by_layer: BTreeMap<DiffId, Vec<Source>> = BTreeMap::new();
        for (diff_id, source) in commit.sources {
            by_layer.entry(diff_id).or_default().push(source);
        }
        let mut notes = Vec::new();
        for (diff_id, sources) in by_layer {
            for note in self.source_notes(&diff_id, &sources) {
                let path = scratch.join(format!("note-{}", notes.len()));
                self.disk().write_new(&path, &note.bytes, 0o644)?;
                note.make_directory(self.disk())?;
                notes.push((path, diff_id.clone(), sources.clone(), note));
            }
        }
        let Commit { findings, references, while_named, .. } = commit;
        Ok(Prepared { blobs, layers, config, notes, findings, references, while_named })
    }

    fn prepare_layers(
        &self,
        layers: Vec<(StagedLayer, LayerRecord)>,
    ) -> Result<Vec<PreparedLayer>, StoreError> {
        let mut prepared: Vec<PreparedLayer> = Vec::with_capacity(layers.len());
        for (staged, record) in layers {
            let chain = ChainId::extend(record.parent.as_ref(), &record.diff_id);
            write_entry(&staged, &record)?;
            let below = match &record.parent {
                None => None,
                Some(parent) => Some(match prepared.iter().find(|layer| layer.chain == *parent) {
                    Some(layer) => Below::Staged(&layer.staged),
                    None => Below::Stored(self.require_layer(parent)?.cache_id),
                }),
            };
            self.layer_driver().prepare(&chain, &staged, &record, below.as_ref())?;
            prepared.push(PreparedLayer { chain, staged, record });
        }
        Ok(prepared)
    }

    /// Lists what will be there without anything that points to it, until the references are written.
    fn pending(&self, prepared: &Prepared) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let blobs = prepared.blobs.iter().filter(|blob| blob.is_layer);
        entries.extend(blobs.map(|blob| pending_blob(&blob.digest)));
        entries.extend(prepared.layers.iter().map(|layer| {
            Entry::PendingLayer(layer.chain.clone(), layer.staged.cache_id().to_owned())
        }));
        if let Some((_, image)) = &prepared.config {
            let is_new = !files::exists(&self.paths().config(&image.id))?;
            // An image that is loaded without a name is meant to stay without one.
            let is_named = prepared.references.iter().any(|(_, id)| *id == image.id);
            if is_new && is_named {
                entries.push(Entry::Pending(Item::Image(image.id.clone())));
            }
        }
        Ok(entries)
    }

    fn require_name(&self, prepared: &Prepared) -> Result<(), StoreError> {
        let (Some(name), Some((_, image))) = (&prepared.while_named, &prepared.config) else {
            return Ok(());
        };
        if self.references()?.get(name).as_ref() == Some(&image.id) {
            return Ok(());
        }
        Err(StoreError::NoImage(image.id.clone()))
    }

    fn publish_blobs(&self, prepared: &Prepared) -> Result<(), StoreError> {
        let mut algorithms = Vec::new();
        let keeps_layers = self.keep_blobs();
        for PreparedBlob { digest, file, is_needed, .. } in &prepared.blobs {
            if !is_needed && !keeps_layers {
                continue;
            }
            algorithms.push(digest.algorithm());
            match self.blob(digest)? {
                Some(_) => file.discard(),
                None => file.publish(&self.paths().blob(digest))?,
            }
        }
        algorithms.sort_unstable();
        algorithms.dedup();
        for algorithm in algorithms {
            self.disk().sync_dir(&self.paths().blobs(algorithm))?;
        }
        Ok(())
    }

    /// Publishes the layers that are not there yet; says whether that is all of them.
    fn publish_layers(
        &self,
        transaction: &Transaction,
        prepared: &Prepared,
    ) -> Result<bool, StoreError> {
        let paths = self.paths();
        // Where the parents in this commit are, be they ours or those of somebody who was faster.
        let mut places: HashMap<&ChainId, String> = HashMap::new();
        let mut ours = Vec::new();
        // What stood on a layer that is replaced refers to its old place.
        let mut replaced: HashSet<&ChainId> = HashSet::new();
        for layer in &prepared.layers {
            let stands =
                layer.record.parent.as_ref().is_none_or(|parent| !replaced.contains(parent));
            if stands && let Some(there) = self.whole_layer(&layer.chain)? {
                places.insert(&layer.chain, there.cache_id);
                continue;
            }
            if files::exists(&paths.layer(&layer.chain))? {
                self.discard_layer(transaction, &layer.chain)?;
                replaced.insert(&layer.chain);
            }
            let parent = match &layer.record.parent {
                None => None,
                Some(parent) => Some(self.place(&places, parent)?),
            };
            self.layer_driver().publish(&layer.staged, &layer.record, parent.as_deref())?;
            places.insert(&layer.chain, layer.staged.cache_id().to_owned());
            ours.push(layer);
        }
        let all_ours = ours.len() == prepared.layers.len();
        if ours.is_empty() {
            return Ok(all_ours);
        }
        self.layer_driver().sync_names()?;
        for layer in ours {
            self.disk().rename(&layer.staged.entry(), &paths.layer(&layer.chain))?;
        }
        self.disk().sync_dir(&paths.layers())?;
        Ok(all_ours)
    }

    fn place(
        &self,
        places: &HashMap<&ChainId, String>,
        chain: &ChainId,
    ) -> Result<String, StoreError> {
        if let Some(cache_id) = places.get(chain) {
            return Ok(cache_id.clone());
        }
        Ok(self.require_layer(chain)?.cache_id)
    }

    fn require_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        self.blob(digest)?.map(drop).ok_or_else(|| StoreError::NoBlob(digest.clone()))
    }

    fn publish_images(
        &self,
        transaction: &Transaction,
        prepared: &[Prepared],
    ) -> Result<(), StoreError> {
        let images = || prepared.iter().filter_map(|prepared| prepared.config.as_ref());
        let mut any_new = false;
        for (path, image) in images() {
            let config = ImageConfig::parse(&image.config).map_err(StoreError::Config)?;
            for chain in ChainId::chain(&config.rootfs.diff_ids) {
                if !files::exists(&self.paths().layer(&chain))? {
                    return Err(StoreError::NoLayer(chain));
                }
            }
            image.manifests.iter().try_for_each(|manifest| self.require_blob(&manifest.digest))?;
            self.require_parts(image)?;
            let target = self.paths().config(&image.id);
            if !files::exists(&target)? {
                self.disk().rename(path, &target)?;
                any_new = true;
            }
        }
        if any_new {
            self.disk().sync_dir(&self.paths().configs())?;
        }
        for prepared in prepared {
            let Some((_, image)) = &prepared.config else { continue };
            let tags = tags_of(&prepared.references, &image.id);
            let NewImage { id, manifests, parts, .. } = image;
            self.add_manifests(transaction, id, manifests, parts, &tags)?;
            if !prepared.findings.is_empty() {
                self.note_findings(transaction, id, &prepared.findings)?;
            }
        }
        Ok(())
    }

    /// Returns what the parts of a commit mention, which stays although layers' blobs may go. Their manifests are in the commit, or
    /// here.
    fn needed_by_parts(&self, commit: &Commit) -> Result<HashSet<Digest>, StoreError> {
        let mut needed = HashSet::new();
        for NewPart { descriptor: part, .. } in commit.image.iter().flat_map(|image| &image.parts) {
            let given = commit.blobs.iter().find(|blob| *blob.digest() == part.digest);
            let bytes = match given.map(|blob| &blob.source) {
                Some(BlobSource::Bytes(bytes)) => Some(bytes.clone()),
                _ => self.read_blob(&part.digest, MAX_MANIFEST_SIZE)?,
            };
            let bytes = bytes.ok_or_else(|| StoreError::NoBlob(part.digest.clone()))?;
            needed.extend(self.sizes_in(&part.digest, &bytes)?.into_iter().map(|(blob, _)| blob));
        }
        Ok(needed)
    }

    /// Fails unless all that an image's parts mention is here.
    fn require_parts(&self, image: &NewImage) -> Result<(), StoreError> {
        image.parts.iter().try_for_each(|NewPart { descriptor: part, .. }| {
            self.require_blob(&part.digest)?;
            let links = self.links(&part.digest)?;
            links.iter().flat_map(|links| links.iter()).try_for_each(|blob| self.require_blob(blob))
        })
    }

    fn publish_sources(&self, prepared: &Prepared) -> Result<(), StoreError> {
        let mut directories = Vec::new();
        for (path, diff_id, sources, note) in &prepared.notes {
            if note.is_current() {
                note.publish(self.disk(), path, &self.paths().staging())?;
            } else {
                // Another process noted something of the same layer since.
                for note in self.source_notes(diff_id, sources) {
                    self.disk().replace(
                        &self.paths().staging(),
                        &note.target,
                        &note.bytes,
                        0o644,
                    )?;
                }
            }
            directories.extend(note.target.parent());
        }
        directories.sort_unstable();
        directories.dedup();
        directories.into_iter().try_for_each(|path| self.disk().sync_dir(path))
    }
}

fn pending_blob(digest: &Digest) -> Entry {
    Entry::Pending(Item::Blob(digest.clone()))
}

/// Checks what can be checked without the store.
fn check(commit: &Commit) -> Result<(), StoreError> {
    if let Some(image) = &commit.image {
        check_algorithm(image.id.digest())?;
        VerifiedBlob::check(image.id.digest(), image.config.clone())?;
    }
    for (_, record) in &commit.layers {
        check_algorithm(record.diff_id.digest())?;
    }
    Ok(())
}

/// dockerd finds images and layers below `sha256/` only.
fn check_algorithm(digest: &Digest) -> Result<(), StoreError> {
    match digest.algorithm() {
        spec::Algorithm::Sha256 => Ok(()),
        spec::Algorithm::Sha512 => Err(StoreError::Algorithm(digest.clone())),
    }
}

/// Completes the entry of the layer database, which has its tar-split already.
fn write_entry(staged: &StagedLayer, record: &LayerRecord) -> Result<(), StoreError> {
    let entry = staged.entry();
    let write = |name: &str, text: &str| {
        staged.disk().write_new(&entry.join(name), text.as_bytes(), 0o644).map(drop)
    };
    write("diff", &record.diff_id.to_string())?;
    write("size", &record.size.to_string())?;
    write("cache-id", staged.cache_id())?;
    match &record.parent {
        Some(parent) => write("parent", &parent.to_string()),
        None => Ok(()),
    }
}

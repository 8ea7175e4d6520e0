//! Finding out what is no longer used, and taking it away.
//!
//! Only what a lease was responsible for is looked at, never the whole store: dockerd's build cache has layers that no
//! image mentions, and they are not ours to judge.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::path::PathBuf;

use spec::{ChainId, Digest, ImageId};

use crate::driver::{Driver, packed};
use crate::lock::Transaction;
use crate::{Layer, Store, StoreError, files};

use super::journal::{self, Entry, Item};
use super::pins;
use super::trash::Trash;

/// The result of a collection.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) images: Vec<ImageId>,
    /// Children before parents.
    pub(crate) layers: Vec<ChainId>,
    /// Set if a reader without a lease holds one of the images, so that this has to be done again.
    pub(crate) postponed: bool,
}

impl Store {
    /// Removes those of `candidates` that nothing uses. What another lease holds is left to whoever ends that one.
    ///
    /// `own` is the lease on whose behalf this is done, if it is one's. Done twice it does the same as done once, so after a crash the
    /// lease that lists the candidates is simply ended again.
    pub(crate) fn collect(
        &self,
        transaction: &Transaction,
        candidates: &[Entry],
        own: Option<&str>,
        trash: &mut Trash,
    ) -> Result<Collected, StoreError> {
        let mut collection = Collection {
            store: self,
            transaction,
            own: own.map(|own| self.paths().leases().join(own)),
            holders: self.holders(own)?,
            trash,
            blobs: BTreeSet::new(),
            layers: BTreeSet::new(),
            directories: BTreeSet::new(),
            done: Collected::default(),
        };
        collection.run(candidates)?;
        collection.directories.iter().try_for_each(|path| self.disk().sync_dir(path))?;
        Ok(collection.done)
    }

    /// Returns which living leases, apart from `own`, hold what.
    pub(crate) fn holders(
        &self,
        own: Option<&str>,
    ) -> Result<HashMap<Item, Vec<PathBuf>>, StoreError> {
        let mut holders: HashMap<Item, Vec<PathBuf>> = HashMap::new();
        for id in journal::list(self)?.0.into_iter().filter(|id| Some(&**id) != own) {
            let path = self.paths().leases().join(id);
            for entry in journal::entries(&path)? {
                // What is just being published counts as held, too.
                let item = match entry {
                    Entry::Hold(item) | Entry::Pending(item) => item,
                    Entry::PendingLayer(chain, _) => Item::Layer(chain),
                    Entry::Orphan(_) => continue,
                };
                let paths = holders.entry(item).or_default();
                if paths.last() != Some(&path) {
                    paths.push(path.clone());
                }
            }
        }
        Ok(holders)
    }
}

struct Collection<'a> {
    store: &'a Store,
    transaction: &'a Transaction,
    /// The lease that says what is being removed.
    own: Option<PathBuf>,
    holders: HashMap<Item, Vec<PathBuf>>,
    trash: &'a mut Trash,
    blobs: BTreeSet<Digest>,
    layers: BTreeSet<ChainId>,
    /// The directories in which names were taken away that must not be back after a power cut: by then no lease may cover them.
    directories: BTreeSet<PathBuf>,
    done: Collected,
}

impl Collection<'_> {
    fn run(&mut self, candidates: &[Entry]) -> Result<(), StoreError> {
        let mut images = BTreeSet::new();
        let mut directories = Vec::new();
        for candidate in candidates {
            match candidate {
                Entry::Hold(_) => {}
                Entry::Pending(item) | Entry::Orphan(item) => match item.clone() {
                    Item::Blob(digest) => _ = self.blobs.insert(digest),
                    Item::Layer(chain) => _ = self.layers.insert(chain),
                    Item::Image(id) => _ = images.insert(id),
                },
                Entry::PendingLayer(chain, cache_id) => {
                    self.layers.insert(chain.clone());
                    directories.push((chain, cache_id));
                }
            }
        }
        for id in images {
            self.image(&id)?;
        }
        let Some(used) = Used::find(self.store)? else {
            // An image whose config cannot be read may need anything.
            return Ok(());
        };
        self.unused_layers(&used.layers)?;
        for (chain, cache_id) in directories {
            self.stray_directory(chain, cache_id)?;
        }
        self.unused_blobs(&used.manifests)
    }

    /// Says whether another lease holds `item`, and makes that lease responsible for it.
    fn is_held(&self, item: &Item) -> Result<bool, StoreError> {
        let Some(holders) = self.holders.get(item) else { return Ok(false) };
        for holder in holders {
            self.transaction.insist(|| {
                journal::append(self.store.disk(), holder, &[Entry::Orphan(item.clone())])
            })?;
        }
        Ok(true)
    }

    /// Removes an image that no reference points to; its layers and blobs become candidates.
    fn image(&mut self, id: &ImageId) -> Result<(), StoreError> {
        let store = self.store;
        if !store.references()?.of_image(id).is_empty() || self.is_held(&Item::Image(id.clone()))? {
            return Ok(());
        }
        if pins::is_pinned(&store.paths().config(id))? {
            self.done.postponed = true;
            return Ok(());
        }
        if files::exists(&store.paths().config(id))? {
            let belongings = belongings(store, id)?;
            if let Some(own) = &self.own {
                self.transaction.insist(|| journal::append(store.disk(), own, &belongings))?;
                store.disk().sync_named(own)?;
            }
            for entry in belongings {
                match entry {
                    Entry::Pending(Item::Layer(chain)) => _ = self.layers.insert(chain),
                    Entry::Pending(Item::Blob(digest)) => _ = self.blobs.insert(digest),
                    _ => {}
                }
            }
        }
        for child in store.children(id)? {
            store.forget_parent(&child)?;
            self.directories.insert(store.paths().image_metadata(&child));
        }
        if store.disk().remove_file(&store.paths().config(id))? {
            store.disk().sync_dir(&store.paths().configs())?;
            self.done.images.push(id.clone());
            store.image_cache().forget(id);
            store.forget_use(id);
        }
        if self.trash.take(&store.paths().image_metadata(id))? {
            self.directories.remove(&store.paths().image_metadata(id));
            self.directories.insert(store.paths().image_notes());
        }
        self.blobs.extend(store.remove_manifests(self.transaction, id)?);
        // Its config may be kept without a manifest that mentions it.
        self.blobs.insert(id.digest().clone());
        Ok(())
    }

    /// Removes the layers that nothing uses, the topmost first, and then what they stood on.
    fn unused_layers(&mut self, used: &HashSet<ChainId>) -> Result<(), StoreError> {
        let parents = self.store.layer_parents()?;
        let mut children: HashMap<&ChainId, usize> = HashMap::new();
        for parent in parents.values().flatten() {
            *children.entry(parent).or_default() += 1;
        }
        let depth = |chain: &ChainId| {
            std::iter::successors(Some(chain), |chain| parents.get(*chain)?.as_ref()).count()
        };
        let mut queue: BinaryHeap<(usize, ChainId)> =
            self.layers.iter().map(|chain| (depth(chain), chain.clone())).collect();
        let mut gone = Vec::new();
        while let Some((level, chain)) = queue.pop() {
            let Some(parent) = parents.get(&chain) else { continue };
            let is_used = used.contains(&chain) || children.get(&chain).is_some_and(|n| *n > 0);
            if is_used
                || self.done.layers.contains(&chain)
                || self.is_held(&Item::Layer(chain.clone()))?
            {
                continue;
            }
            gone.push(self.entry(&chain)?);
            self.done.layers.push(chain);
            if let Some(parent) = parent {
                children.entry(parent).and_modify(|count| *count -= 1);
                queue.push((level - 1, parent.clone()));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        // Entries first, and for good: a layer without its files must not be found. Should only some of them last, the lease has all.
        self.store.disk().sync_dir(&self.store.paths().layers())?;
        for layer in gone.into_iter().flatten() {
            self.files(&layer.cache_id)?;
            self.blobs.extend(layer.blob);
        }
        Ok(())
    }

    /// Removes the entry of a layer; returns what it said, if it was not damaged.
    fn entry(&mut self, chain: &ChainId) -> Result<Option<Layer>, StoreError> {
        let store = self.store;
        let layer = store.layer(chain).unwrap_or_else(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "damaged layer removed, its files could not be found");
            None
        });
        self.trash.take_entry(&store.paths().layer(chain))?;
        store.known_layers().forget(chain);
        Ok(layer)
    }

    /// Removes a layer's directory that its entry does not name.
    fn stray_directory(&mut self, chain: &ChainId, cache_id: &str) -> Result<(), StoreError> {
        let Driver::Overlay2(overlay) = self.store.layer_driver() else { return Ok(()) };
        if self.store.layer(chain)?.is_some_and(|layer| layer.cache_id == cache_id) {
            return Ok(());
        }
        self.files(cache_id)?;
        overlay.remove_links_to(cache_id)
    }

    /// Removes what the driver has of a layer.
    fn files(&mut self, cache_id: &str) -> Result<(), StoreError> {
        let driver = self.store.layer_driver();
        self.directories.extend(driver.directories().into_iter().map(|(path, _)| path));
        driver.remove(cache_id, self.trash)
    }

    fn unused_blobs(&mut self, used: &HashSet<Digest>) -> Result<(), StoreError> {
        if self.blobs.iter().all(|digest| used.contains(digest)) {
            return Ok(());
        }
        let mut of_layers = HashSet::new();
        if let Driver::Packed(_) = self.store.layer_driver() {
            for chain in self.store.layer_parents()?.into_keys() {
                of_layers.insert(packed::blob(&self.store.paths().layer(&chain))?);
            }
        }
        for digest in std::mem::take(&mut self.blobs) {
            if used.contains(&digest)
                || of_layers.contains(&digest)
                || self.is_held(&Item::Blob(digest.clone()))?
            {
                continue;
            }
            if self.store.disk().remove_file(&self.store.paths().blob(&digest))? {
                self.directories.insert(self.store.paths().blobs(digest.algorithm()));
            }
            self.store.known_links().forget(&digest);
        }
        Ok(())
    }
}

/// All that images, manifests and containers use.
struct Used {
    layers: HashSet<ChainId>,
    manifests: HashSet<Digest>,
}

impl Used {
    /// `None` if that cannot be known.
    fn find(store: &Store) -> Result<Option<Self>, StoreError> {
        let mut layers = HashSet::new();
        for id in store.images()? {
            match store.layers_of(&id) {
                Ok(Some(of_image)) => layers.extend(of_image.iter().cloned()),
                Ok(None) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, %id, "damaged image, nothing that it may need is removed");
                    return Ok(None);
                }
            }
        }
        match store.mounted_layers() {
            Ok(mounted) => layers.extend(mounted),
            Err(StoreError::Damaged { path, reason }) => {
                tracing::warn!(path = %path.display(), reason, "a mount may need anything, nothing is removed");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let manifests = store.listed_blobs()?.into_iter().collect();
        Ok(Some(Self { layers, manifests }))
    }
}

/// Lists the candidates that come with an image, to be noted before its config, which tells them, is gone.
fn belongings(store: &Store, id: &ImageId) -> Result<Vec<Entry>, StoreError> {
    let blobs = store.blobs_of(id)?.into_iter().chain([id.digest().clone()]).map(Item::Blob);
    // A damaged config tells nothing of its layers.
    let layers = store.layers_of(id).ok().flatten();
    let layers = layers.iter().flat_map(|layers| layers.iter()).cloned().map(Item::Layer);
    Ok(layers.chain(blobs).map(Entry::Pending).collect())
}

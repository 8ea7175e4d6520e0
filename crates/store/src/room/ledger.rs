//! The ledger: what images take of the disk, each thing once, and so what a removal of some of them frees.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::{fs, iter};

use spec::{Algorithm, ChainId, DiffId, Digest, ImageId};

use crate::cache::catalog::Description;
use crate::collect::journal::Item;
use crate::content::image_of;
use crate::driver::{Driver, packed};
use crate::{Store, StoreError, files};

/// Something that takes room, and that several images may share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Thing {
    /// The files of an unpacked layer.
    Layer(ChainId),
    /// A manifest, a config or a compressed layer.
    Blob(Digest),
}

/// The room that images take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes of all that is there.
    pub sizes: HashMap<Thing, u64>,
    /// The things that each image uses.
    pub of_images: HashMap<ImageId, HashSet<Thing>>,
    /// Things that stay whichever images go: running operations, mounts and manifests of others use them.
    pub held: HashSet<Thing>,
}

impl Ledger {
    /// Returns the bytes of everything.
    pub fn total(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Returns what is free when these images are gone.
    pub fn freed_by(&self, gone: &HashSet<&ImageId>) -> HashSet<&Thing> {
        let things = |is_gone: bool| {
            let images = self.of_images.iter();
            images.filter(move |(id, _)| gone.contains(id) == is_gone).flat_map(|(_, of)| of)
        };
        let used: HashSet<&Thing> = things(false).chain(&self.held).collect();
        things(true).filter(|thing| !used.contains(thing)).collect()
    }

    /// Returns the bytes of a thing; none of one that is not there.
    pub fn size(&self, thing: &Thing) -> u64 {
        self.sizes.get(thing).copied().unwrap_or_default()
    }
}

impl Store {
    /// Adds up what is there. Of images only those are in it that were described, which are all that can be read.
    pub fn ledger(&self, images: &[Arc<Description>]) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger { sizes: self.blob_sizes()?, ..Ledger::default() };
        let is_unpacked = matches!(self.layer_driver(), Driver::Overlay2(_));
        if is_unpacked {
            for (chain, size) in self.described_sizes()? {
                let size = size.saturating_add(self.split_size(&chain));
                ledger.sizes.insert(Thing::Layer(chain), size);
            }
        }
        let mut layers: HashMap<&ChainId, Thing> = HashMap::new();
        for chain in images.iter().flat_map(|image| &image.layers) {
            if is_unpacked {
                layers.insert(chain, Thing::Layer(chain.clone()));
            } else if !layers.contains_key(chain)
                && let Ok(blob) = packed::blob(&self.paths().layer(chain))
            {
                layers.insert(chain, Thing::Blob(blob));
            }
        }
        for image in images {
            let own = Thing::Blob(image.id.digest().clone());
            let things = image.layers.iter().filter_map(|chain| layers.get(chain).cloned());
            ledger.of_images.insert(image.id.clone(), things.chain([own]).collect());
        }
        for entry in self.content_index()?.manifests() {
            let id = image_of(entry).and_then(|id| id.parse::<ImageId>().ok());
            let things = self.mentioned(iter::once(entry))?.into_iter().map(Thing::Blob);
            match id.and_then(|id| ledger.of_images.get_mut(&id)) {
                Some(of_image) => of_image.extend(things),
                // Somebody else's, or of an image that cannot be read.
                None => ledger.held.extend(things),
            }
        }
        let (held_layers, held_blobs) = self.held()?;
        ledger.held.extend(held_blobs.into_iter().map(Thing::Blob));
        for stack in images.iter().map(|image| &image.layers) {
            // And what is below.
            if let Some(top) = stack.iter().rposition(|chain| held_layers.contains(chain)) {
                ledger
                    .held
                    .extend(stack[..=top].iter().filter_map(|chain| layers.get(chain).cloned()));
            }
        }
        let Ledger { sizes, of_images, .. } = &mut ledger;
        for things in of_images.values_mut() {
            things.retain(|thing| sizes.contains_key(thing));
        }
        Ok(ledger)
    }

    /// Returns the bytes of compressed layers of a ledger that are there unpacked, too.
    pub fn kept_twice(&self, ledger: &Ledger) -> Result<u64, StoreError> {
        if let Driver::Packed(_) = self.layer_driver() {
            return Ok(0);
        }
        let mut unpacked: HashSet<DiffId> = HashSet::new();
        for name in files::names(&self.paths().layers())? {
            let diff_id = files::read_note(&self.paths().layers().join(name).join("diff"));
            unpacked.extend(diff_id.and_then(|text| text.parse().ok()));
        }
        let mut bytes: u64 = 0;
        for (thing, size) in &ledger.sizes {
            if let Thing::Blob(blob) = thing
                && self.diff_id_of(blob)?.is_some_and(|diff_id| unpacked.contains(&diff_id))
            {
                bytes = bytes.saturating_add(*size);
            }
        }
        Ok(bytes)
    }

    fn blob_sizes(&self) -> Result<HashMap<Thing, u64>, StoreError> {
        let mut sizes = HashMap::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.paths().blobs(algorithm);
            for name in files::names(&folder)? {
                let Ok(digest) = format!("{algorithm}:{name}").parse() else { continue };
                // One may go meanwhile.
                if let Ok(blob) = fs::symlink_metadata(folder.join(name)) {
                    sizes.insert(Thing::Blob(digest), blob.len());
                }
            }
        }
        Ok(sizes)
    }

    /// Returns the bytes that put a layer's tar together again.
    fn split_size(&self, chain: &ChainId) -> u64 {
        let path = self.paths().layer(chain).join("tar-split.json.gz");
        fs::symlink_metadata(path).map_or(0, |split| split.len())
    }

    /// Returns the layers and blobs that leases, mounts and dockerd's containers hold.
    fn held(&self) -> Result<(HashSet<ChainId>, HashSet<Digest>), StoreError> {
        // One that cannot be read keeps removals away, and is told by them.
        let mounted = files::sound(self.mounted_layers().map(Some)).unwrap_or_default();
        let mut layers: HashSet<ChainId> = mounted.into_iter().collect();
        let mut blobs = HashSet::new();
        for item in self.holders(None)?.into_keys() {
            match item {
                Item::Blob(digest) => _ = blobs.insert(digest),
                Item::Layer(chain) => _ = layers.insert(chain),
                Item::Image(_) => {}
            }
        }
        Ok((layers, blobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Root, Sample, drivers};

    fn ledger(store: &Store) -> Ledger {
        store.ledger(&store.describe_images().unwrap()).unwrap()
    }

    #[test]
    fn what_images_share_is_counted_once_and_freed_by_the_last() {
        for driver in drivers() {
            let root = Root::new(driver);
            let store = &root.store;
            let (one, two) =
                (Sample::new("one:1", &["base", "a"]), Sample::new("two:1", &["base", "bb"]));
            one.pull(store).unwrap();
            two.pull(store).unwrap();
            let freed = |gone: &[&Sample]| {
                let ids: Vec<ImageId> = gone.iter().map(|sample| sample.id()).collect();
                let ledger = ledger(store);
                let things = ledger.freed_by(&ids.iter().collect());
                things.into_iter().map(|thing| ledger.size(thing)).sum::<u64>()
            };
            let (first, second, both) = (freed(&[&one]), freed(&[&two]), freed(&[&one, &two]));
            assert!(first > 0 && second > first && both > first + second, "{driver:?}");
            assert_eq!(both, ledger(store).total(), "{driver:?}");
            let content =
                |sample: &Sample| (sample.manifest().len() + sample.config().len()) as u64;
            let times = if driver == crate::DriverKind::Packed { 1 } else { 2 };
            let splits = if times == 2 { 7 } else { 0 };
            assert_eq!(both, content(&one) + content(&two) + 7 * times + splits, "{driver:?}");

            // Nobody takes away what an operation relies on, nor what that stands on.
            let lease = store.lease().unwrap();
            lease.hold_layer(&one.chain()[1]).unwrap();
            lease.hold_blob(&two.blob(1)).unwrap();
            let held = freed(&[&one, &two]);
            let expected = if driver == crate::DriverKind::Packed { 7 } else { 12 };
            assert_eq!(both - held, expected, "{driver:?}");
            drop(lease);

            let before = ledger(store).total();
            one.untag(store);
            store.remove_image(&one.id()).unwrap();
            assert_eq!(before - ledger(store).total(), first, "{driver:?}");
        }
    }

    #[test]
    fn compressed_layers_that_are_unpacked_too_are_there_twice() {
        for driver in drivers() {
            let root = Root::new(driver);
            Sample::new("one:1", &["base", "a"]).pull(&root.store).unwrap();
            let expected = if driver == crate::DriverKind::Packed { 0 } else { 5 };
            assert_eq!(
                root.store.kept_twice(&ledger(&root.store)).unwrap(),
                expected,
                "{driver:?}"
            );
        }
    }
}

//! The catalog: all that a list needs to know of each image, without reading every config.
//!
//! `longshore/catalog` holds it for the images that were there when it was written: their dates, labels and layers, and the
//! sizes of these. All of it follows from an image ID or a chain ID, so it can be incomplete, but not wrong; whether image and
//! layers are still there is looked up each time. What is not in it is read from the configs; when much is, it is written anew.
//!
//! ```text
//! sha256:…                                            of all that follows
//! {"layers":[["sha256:…",1982581],…],
//!  "images":[["sha256:…",[1700000000,0],{"key":"value"},[0,3]],…]}   numbers of layers, the bottom one first
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{ChainId, Digest, ImageId};

use crate::{StoreError, files};

/// An image as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The image.
    pub id: ImageId,
    /// The time at which it was made, if it says so.
    pub created: Option<Timestamp>,
    /// Its labels, if its config has such an object.
    pub labels: Option<Arc<BTreeMap<String, String>>>,
    /// Its layers, the bottom one first.
    pub layers: Vec<ChainId>,
}

/// Descriptions that were read. Empty until the first list.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    is_loaded: bool,
    /// Set if the file on the disk is no catalog, and is to be written anew.
    is_damaged: bool,
    images: HashMap<ImageId, Arc<Description>>,
    sizes: HashMap<ChainId, u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    layers: Vec<(ChainId, u64)>,
    images: Vec<Row>,
}

type Row = (ImageId, Option<(i64, i32)>, Option<BTreeMap<String, String>>, Vec<usize>);

/// The largest catalog that is read: 100,000 images of some labels.
const MAX_CATALOG: u64 = 256 << 20;
/// The number of configs and sizes that a list may read before it writes the catalog anew: that takes as long as reading some.
const MAX_UNLISTED: usize = 16;
/// Bound of the memory for sizes.
const MAX_SIZES: usize = 1 << 16;

impl Catalog {
    /// Describes these images. Of those that are not listed `describe` tells, of layers' sizes `size_of`. Returns as well whether
    /// it is worth writing anew.
    pub(crate) fn describe(
        &mut self,
        ids: &[ImageId],
        describe: impl Fn(&ImageId) -> Result<Option<Description>, StoreError>,
        size_of: impl Fn(&ChainId) -> Result<Option<u64>, StoreError>,
    ) -> (Vec<Arc<Description>>, bool) {
        let mut descriptions = Vec::with_capacity(ids.len());
        let mut unlisted = 0;
        for id in ids {
            if let Some(description) = self.images.get(id) {
                descriptions.push(Arc::clone(description));
                continue;
            }
            match describe(id) {
                Ok(Some(description)) => {
                    let description = Arc::new(description);
                    self.images.insert(id.clone(), Arc::clone(&description));
                    descriptions.push(description);
                    unlisted += 1;
                }
                // Another process may have removed it meanwhile.
                Ok(None) => {}
                // A damaged one must not hide the others.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(image = %id, error, "an image cannot be read");
                }
            }
        }
        unlisted += self.complete_sizes(&descriptions, size_of);
        if self.images.len() > ids.len() {
            let there: HashSet<&ImageId> = ids.iter().collect();
            self.images.retain(|id, _| there.contains(id));
        }
        let is_old = unlisted > MAX_UNLISTED || std::mem::take(&mut self.is_damaged);
        (descriptions, is_old)
    }

    /// Returns the size of a layer of a described image, in bytes.
    pub(crate) fn size(&self, layer: &ChainId) -> Option<u64> {
        self.sizes.get(layer).copied()
    }

    /// Forgets images and layers that are gone.
    pub(crate) fn forget(&mut self, images: &[ImageId], layers: &[ChainId]) {
        for id in images {
            self.images.remove(id);
        }
        for chain in layers {
            self.sizes.remove(chain);
        }
    }

    /// Returns how many images and sizes are in memory.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.images.len(), self.sizes.len())
    }

    /// Reads the catalog on disk, once. One that is missing, torn or of another kind is no catalog.
    pub(crate) fn load(&mut self, path: &Path) {
        if std::mem::replace(&mut self.is_loaded, true) {
            return;
        }
        let document = match files::read(path, MAX_CATALOG) {
            Ok(None) => Document::default(),
            Ok(Some(bytes)) => parse(&bytes).unwrap_or_else(|| {
                self.is_damaged = true;
                Document::default()
            }),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "catalog not read");
                self.is_damaged = true;
                return;
            }
        };
        self.images.reserve(document.images.len());
        for (id, created, labels, numbers) in document.images {
            let layer = |number: usize| Some(document.layers.get(number)?.0.clone());
            let layers: Option<Vec<_>> = numbers.into_iter().map(layer).collect();
            let created = created.map(|(second, nanosecond)| Timestamp::new(second, nanosecond));
            if let (Some(layers), Ok(created)) = (layers, created.transpose()) {
                let labels = labels.map(Arc::new);
                let description = Description { id: id.clone(), created, labels, layers };
                self.images.insert(id, Arc::new(description));
            }
        }
        self.sizes.extend(document.layers);
    }

    /// Looks up the sizes that are not known; returns how many these were.
    fn complete_sizes(
        &mut self,
        images: &[Arc<Description>],
        size_of: impl Fn(&ChainId) -> Result<Option<u64>, StoreError>,
    ) -> usize {
        if self.sizes.len() > MAX_SIZES {
            // Most may be those of images that are long gone.
            self.sizes.clear();
        }
        let mut found = 0;
        for chain in images.iter().flat_map(|image| &image.layers) {
            if self.sizes.contains_key(chain) {
                continue;
            }
            match size_of(chain) {
                Ok(Some(size)) => {
                    self.sizes.insert(chain.clone(), size);
                    found += 1;
                }
                Ok(None) => {}
                // A damaged layer must not hide the images, not even its own.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(layer = %chain, error, "a layer cannot be read");
                }
            }
        }
        found
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut document = Document::default();
        let mut numbers = HashMap::new();
        for image in self.images.values() {
            let mut row = Vec::new();
            for chain in &image.layers {
                // An image with a layer that is not there is read anew each time.
                let Some(size) = self.sizes.get(chain) else { break };
                row.push(*numbers.entry(chain).or_insert_with(|| {
                    document.layers.push((chain.clone(), *size));
                    document.layers.len() - 1
                }));
            }
            if row.len() == image.layers.len() {
                let created =
                    image.created.map(|time| (time.as_second(), time.subsec_nanosecond()));
                let labels = image.labels.as_deref().cloned();
                document.images.push((image.id.clone(), created, labels, row));
            }
        }
        let body = serde_json::to_vec(&document)?;
        let mut bytes = format!("{}\n", Digest::sha256(&body)).into_bytes();
        bytes.extend(body);
        Ok(bytes)
    }
}

/// Finds out whether a catalog, if there is one, can be used.
pub(crate) fn look_at(path: &Path) -> Result<(), StoreError> {
    match files::read(path, MAX_CATALOG)? {
        Some(bytes) if parse(&bytes).is_none() => {
            Err(StoreError::damaged(path, "it is no catalog"))
        }
        _ => Ok(()),
    }
}

fn parse(bytes: &[u8]) -> Option<Document> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (digest, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]);
    let digest: Digest = digest.parse().ok()?;
    digest.matches(body).then(|| serde_json::from_slice(body).ok())?
}

/// Fuzz target: a catalog with the right digest is written as one that reads the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let whole = |body: &[u8]| [format!("{}\n", Digest::sha256(body)).as_bytes(), body].concat();
    assert!(parse(data).is_none_or(|_| data.starts_with(b"sha")));
    let Some(document) = parse(&whole(data)) else { return };
    let write = |document| serde_json::to_vec(document).expect("a catalog cannot be written");
    let body = write(&document);
    let again = parse(&whole(&body)).expect("what was written cannot be read");
    assert_eq!(write(&again), body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(count: u8) -> Catalog {
        let digest = |text: String| Digest::sha256(text.as_bytes());
        let chain = |number: u8| ChainId::new(digest(format!("layer {number}")));
        let mut catalog = Catalog { is_loaded: true, ..Catalog::default() };
        for number in 0..count {
            let id = ImageId::new(digest(format!("image {number}")));
            let description = Description {
                id: id.clone(),
                created: Timestamp::new(i64::from(number), 5).ok().filter(|_| number > 0),
                labels: (number > 1)
                    .then(|| Arc::new(BTreeMap::from([("a".to_owned(), number.to_string())]))),
                layers: vec![chain(100), chain(number)],
            };
            catalog.images.insert(id, Arc::new(description));
            catalog.sizes.extend([(chain(100), 7), (chain(number), u64::from(number))]);
        }
        catalog
    }

    fn load(bytes: &[u8]) -> Option<Catalog> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut loaded = Catalog::default();
        loaded.load(file.path());
        (!loaded.images.is_empty()).then_some(loaded)
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let written = catalog(3);
        let bytes = written.bytes().unwrap();
        let read = load(&bytes).unwrap();
        assert_eq!((&read.images, &read.sizes), (&written.images, &written.sizes));
        for end in [0, 1, 71, 72, bytes.len() - 1] {
            assert!(load(&bytes[..end]).is_none(), "cut at {end}");
        }
        for at in [0, 10, 71, 72, 100, bytes.len() - 2] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(load(&damaged).is_none(), "damaged at {at}");
        }
        let body = br#"{"layers":[],"images":[["sha256:x",null,null,[4]]]}"#;
        let foreign = [format!("{}\n", Digest::sha256(body)).as_bytes(), body].concat();
        assert!(load(&foreign).is_none());
    }

    #[test]
    fn an_image_without_all_of_its_layers_is_not_written() {
        let mut partial = catalog(3);
        partial.sizes.retain(|_, size| *size != 2);
        assert_eq!(load(&partial.bytes().unwrap()).unwrap().images.len(), 2);
    }
}

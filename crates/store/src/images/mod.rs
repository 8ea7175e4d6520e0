//! Images: configs by the digest of their bytes, and two notes about each.

mod descriptions;
mod naming;
pub(crate) mod references;
mod sorted;
mod uses;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::{ChainId, ImageConfig, ImageId, MAX_CONFIG_SIZE, Raw};

use crate::{Image, Store, StoreError, files};

/// The meaning of the beginning of an image ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixMatch {
    /// No image.
    None,
    /// Exactly one.
    One(ImageId),
    /// Several.
    Ambiguous,
}

const PARENT: &str = "parent";
const LAST_UPDATED: &str = "lastUpdated";

impl Store {
    /// Reads an image. Its bytes are checked against `id` when they are first read.
    pub fn image(&self, id: &ImageId) -> Result<Option<Arc<Image>>, StoreError> {
        let path = self.paths().config(id);
        if let Some(image) = self.image_cache().get(id) {
            if files::exists(&path)? {
                return Ok(Some(image));
            }
            // Another process has removed it.
            self.image_cache().forget(id);
            return Ok(None);
        }
        let Some(bytes) = files::read(&path, MAX_CONFIG_SIZE)? else { return Ok(None) };
        let config = Raw::verify(Bytes::from(bytes), id.digest(), ImageConfig::parse)
            .map_err(|error| StoreError::damaged(&path, error))?
            .ok_or_else(|| StoreError::damaged(&path, "its content does not match its name"))?;
        let layers = ChainId::chain(&config.value().rootfs.diff_ids);
        let image = Arc::new(Image { id: id.clone(), config, layers });
        self.image_cache().put(&image);
        Ok(Some(image))
    }

    /// Returns the layers of an image, the bottom one first, without keeping its config in memory for it.
    pub(crate) fn layers_of(&self, id: &ImageId) -> Result<Option<Arc<[ChainId]>>, StoreError> {
        if let Some(layers) = self.image_cache().layers(id) {
            return Ok(files::exists(&self.paths().config(id))?.then_some(layers));
        }
        Ok(self.image(id)?.map(|image| image.layers.as_slice().into()))
    }

    /// Lists all images, in no particular order.
    pub fn images(&self) -> Result<Vec<ImageId>, StoreError> {
        // dockerd's files on the way in have other names.
        let hashes = files::hashes(&self.paths().configs())?;
        Ok(hashes.into_iter().map(ImageId::new).collect())
    }

    /// Finds the image whose ID starts with these hex digits.
    pub fn find_image_prefix(&self, hex: &str) -> Result<PrefixMatch, StoreError> {
        if hex.is_empty() {
            return Ok(PrefixMatch::None);
        }
        let names = files::names(&self.paths().configs())?;
        let mut found = names
            .iter()
            .filter(|name| name.starts_with(hex))
            .filter_map(|name| format!("sha256:{name}").parse().ok());
        Ok(match (found.next(), found.next()) {
            (None, _) => PrefixMatch::None,
            (Some(id), None) => PrefixMatch::One(id),
            (Some(_), Some(_)) => PrefixMatch::Ambiguous,
        })
    }

    /// Returns the image that `id` was built or committed from, if that is known.
    pub fn parent(&self, id: &ImageId) -> Result<Option<ImageId>, StoreError> {
        let text = files::read_note(&self.paths().image_metadata(id).join(PARENT));
        // As dockerd: a note that makes no sense is none.
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Returns the images that images were built or committed from, as far as that is known.
    pub fn parents(&self) -> Result<HashMap<ImageId, ImageId>, StoreError> {
        let directory = self.paths().image_notes();
        let names = files::names(&directory)?;
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        // A thousand names below a long path take less from there.
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = openat(CWD, &directory, flags, Mode::empty())
            .map_err(|error| StoreError::io("open", &directory, error.into()))?;
        let mut parents = HashMap::new();
        for name in names {
            let note = format!("{name}/parent");
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            if openat(&open, &note, flags, Mode::empty()).is_err() {
                continue;
            }
            let Ok(id) = format!("sha256:{name}").parse::<ImageId>() else { continue };
            if let Some(parent) = self.parent(&id)? {
                parents.insert(id, parent);
            }
        }
        Ok(parents)
    }

    /// Notes the image that `id` was built or committed from.
    pub fn set_parent(&self, id: &ImageId, parent: &ImageId) -> Result<(), StoreError> {
        self.note_of_image(id, PARENT, &parent.to_string())
    }

    /// Returns when `id` was last loaded or tagged, if that is known.
    pub fn last_updated(&self, id: &ImageId) -> Result<Option<Timestamp>, StoreError> {
        let text = files::read_note(&self.paths().image_metadata(id).join(LAST_UPDATED));
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Notes when `id` was loaded or tagged.
    pub fn set_last_updated(&self, id: &ImageId, time: Timestamp) -> Result<(), StoreError> {
        self.note_of_image(id, LAST_UPDATED, &time.to_string())
    }

    fn note_of_image(&self, id: &ImageId, name: &str, text: &str) -> Result<(), StoreError> {
        let _transaction = self.transaction()?;
        if !files::exists(&self.paths().config(id))? {
            return Err(StoreError::NoImage(id.clone()));
        }
        let directory = self.paths().image_metadata(id);
        self.disk().make_dir_anew(&directory, 0o700)?;
        let target = directory.join(name);
        self.disk().replace(&self.paths().staging(), &target, text.as_bytes(), 0o600)?;
        self.disk().sync_dir(&directory)?;
        // The directory itself may be new.
        self.disk().sync_dir(&self.paths().image_notes())
    }

    /// Returns the images that were built from `id`.
    pub fn children(&self, id: &ImageId) -> Result<Vec<ImageId>, StoreError> {
        let mut children = Vec::new();
        for (child, parent) in self.parents()? {
            // A note may outlive its image.
            if parent == *id && files::exists(&self.paths().config(&child))? {
                children.push(child);
            }
        }
        Ok(children)
    }

    /// Forgets that `child` was built from another image, which is about to go.
    pub(crate) fn forget_parent(&self, child: &ImageId) -> Result<(), StoreError> {
        self.disk().remove_file(&self.paths().image_metadata(child).join(PARENT)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Root, Sample};

    #[test]
    fn what_is_gone_takes_no_memory() {
        let root = Root::packed();
        let store = &root.store;
        let samples =
            [("one:1", "a"), ("two:1", "b")].map(|(name, word)| Sample::new(name, &[word]));
        for sample in &samples {
            sample.pull(store).unwrap();
            let image = store.image(&sample.id()).unwrap().unwrap();
            assert_eq!(*store.layers_of(&sample.id()).unwrap().unwrap(), *image.layers);
            assert!(store.layer_size(&image.layers[0]).unwrap().is_some());
        }
        assert_eq!(store.describe_images().unwrap().len(), 2);
        let size = store.image_cache().held().1;
        let [ours, others] = &samples;
        ours.untag(store);
        store.remove_image(&ours.id()).unwrap();
        assert_eq!(store.image_cache().held(), (1, size / 2, 1));
        assert_eq!(store.known_layers().len(), 1);
        assert_eq!(store.known_links().len(), 1);
        assert_eq!(store.catalog().held(), (1, 1));
        // By another process, or a dockerd.
        let other = root.reopen();
        others.untag(&other);
        other.remove_image(&others.id()).unwrap();
        assert!(store.image(&others.id()).unwrap().is_none());
        assert_eq!(store.image_cache().held(), (0, 0, 0));
    }
}

//! Images that somebody uses just now, and that nobody should take away meanwhile.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use spec::ImageId;

use super::journal::Item;
use super::pins;
use crate::{Store, StoreError};

/// The user of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageUse {
    /// It is mounted on a directory.
    Mounted(PathBuf),
    /// A container of dockerd's was made of it; its ID.
    Container(String),
    /// An operation that runs relies on it.
    Running,
}

impl Store {
    /// Returns which of `images` are in use, and by whom.
    pub fn images_in_use<'a>(
        &self,
        images: impl IntoIterator<Item = &'a ImageId>,
    ) -> Result<HashMap<ImageId, ImageUse>, StoreError> {
        let images: HashSet<&ImageId> = images.into_iter().collect();
        let mut in_use = HashMap::new();
        // No reader pins an image between two looks at it.
        let _shared = self.no_transaction()?;
        let held = self.holders(None)?;
        for id in images.iter().copied() {
            if held.contains_key(&Item::Image(id.clone()))
                || pins::is_pinned(&self.paths().config(id))?
            {
                in_use.insert(id.clone(), ImageUse::Running);
            }
        }
        // What goes on longer is the better reason.
        let containers = self.containers()?.into_iter();
        let containers = containers.map(|of| (of.image, ImageUse::Container(of.id)));
        let mounts = self.mounts()?.into_iter();
        let mounts = mounts.map(|mount| (mount.image, ImageUse::Mounted(mount.directory)));
        in_use.extend(containers.chain(mounts).filter(|(id, _)| images.contains(id)));
        Ok(in_use)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tests::{Root, Sample};

    #[test]
    fn images_are_in_use_by_operations_readers_containers_and_mounts() {
        let root = Root::packed();
        let store = &root.store;
        let samples: Vec<Sample> =
            ["a", "b", "c", "d", "e"].map(|word| Sample::new(&format!("{word}:1"), &[word])).into();
        let ids: Vec<ImageId> = samples.iter().map(Sample::id).collect();
        for sample in &samples {
            sample.pull(store).unwrap();
        }
        assert!(store.images_in_use(&ids).unwrap().is_empty());

        let lease = store.lease().unwrap();
        lease.hold_image(&ids[0]).unwrap();
        let reader = fs::File::open(store.paths().config(&ids[1])).unwrap();
        reader.lock_shared().unwrap();
        let container = store.root().join("containers/c");
        fs::create_dir_all(&container).unwrap();
        let config = format!(r#"{{"ID":"c0ffee","Image":"{}"}}"#, ids[2]);
        fs::write(container.join("config.v2.json"), config).unwrap();
        // Of another namespace, and so believed.
        let mount = store.paths().mount_notes().join("fedcba9876543210");
        fs::create_dir(&mount).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let note = format!(
            r#"{{"image":"{}","layer":null,"directory":"/mnt","boot":"{}","namespace":"mnt:[0]"}}"#,
            ids[3],
            boot.trim()
        );
        fs::write(mount.join("note"), note).unwrap();

        let in_use = store.images_in_use(&ids).unwrap();
        let uses: Vec<Option<&ImageUse>> = ids.iter().map(|id| in_use.get(id)).collect();
        let expected = [
            Some(ImageUse::Running),
            Some(ImageUse::Running),
            Some(ImageUse::Container("c0ffee".to_owned())),
            Some(ImageUse::Mounted("/mnt".into())),
            None,
        ];
        assert_eq!(uses, expected.each_ref().map(Option::as_ref));
        drop((lease, reader));
        assert_eq!(store.images_in_use(&ids).unwrap().len(), 2);
        assert!(store.images_in_use([&ids[4]]).unwrap().is_empty());
    }
}

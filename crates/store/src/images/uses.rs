//! The last use of each image: the date of an empty file, which is all that a use writes.
//!
//! ```text
//! longshore/used/<image id>     modified when the image was pulled, loaded, tagged, pushed, saved, mounted or unpacked
//! longshore/pruned              modified when the last prune by the clock began
//! ```
//!
//! A use may be lost, as in a power cut, and then an image counts as used when it came here or was tagged last. So nothing is synced,
//! and nothing that uses an image fails because that cannot be noted.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use rustix::fs::OFlags;
use spec::ImageId;

use crate::{Store, StoreError, files};

impl Store {
    /// Notes that an image is used now, if that can be noted.
    pub fn note_use(&self, id: &ImageId) {
        if let Err(error) = self.date_use(id, SystemTime::now()) {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, %id, "the use of an image is not noted");
        }
    }

    fn date_use(&self, id: &ImageId, time: SystemTime) -> Result<(), StoreError> {
        self.date(&self.paths().last_use(id), time)
    }

    /// Dates an empty file, and makes it.
    pub(crate) fn date(&self, path: &Path, time: SystemTime) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("date", path, error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        // Nobody is waited for who might read from a pipe.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed());
        let file = match self.disk().open(path, &options) {
            Err(error) if files::is_missing(&error) => {
                self.disk().make_dir_anew(&self.paths().last_uses(), 0o700)?;
                self.disk().open(path, &options)
            }
            opened => opened,
        };
        file.and_then(|file| file.set_modified(time)).map_err(failed)
    }

    /// Returns the last use of each of the images that are here. One that nobody noted is when the image came here or was tagged last.
    pub fn last_uses<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ImageId>,
    ) -> Result<HashMap<ImageId, Timestamp>, StoreError> {
        let mut uses = HashMap::new();
        for id in ids {
            let Some(came) = modified(&self.paths().config(id))? else { continue };
            // As all of Longshore's own, the note can be done without.
            let noted = files::sound(modified(&self.paths().last_use(id)));
            let tagged = self.last_updated(id)?;
            let last = [noted, tagged].into_iter().flatten().fold(came, Timestamp::max);
            uses.insert(id.clone(), last);
        }
        Ok(uses)
    }

    /// Notes that a prune by the clock begins, if that can be noted.
    pub fn note_scheduled_prune(&self) {
        if let Err(error) = self.date(&self.paths().scheduled_prune(), SystemTime::now()) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the time of a scheduled prune is not noted");
        }
    }

    /// Returns when the last prune by the clock began, if that was noted.
    pub fn last_scheduled_prune(&self) -> Option<SystemTime> {
        fs::symlink_metadata(self.paths().scheduled_prune()).ok()?.modified().ok()
    }

    /// Forgets the uses of an image that is gone.
    pub(crate) fn forget_use(&self, id: &ImageId) {
        if let Err(error) = self.disk().remove_file(&self.paths().last_use(id)) {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, %id, "the use of an image that is gone is not forgotten");
        }
    }

    /// Forgets the uses of images that a dockerd has removed.
    pub(crate) fn sweep_uses(&self) -> Result<(), StoreError> {
        for id in files::hashes(&self.paths().last_uses())?.into_iter().map(ImageId::new) {
            if !files::exists(&self.paths().config(&id))? {
                self.forget_use(&id);
            }
        }
        Ok(())
    }
}

/// Returns the date of a file; `None` if there is none, or none that can be.
fn modified(path: &Path) -> Result<Option<Timestamp>, StoreError> {
    match fs::symlink_metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(Timestamp::try_from(time).ok()),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::io("look at", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::{Root, Sample};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn date(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn the_newest_of_what_is_known_is_the_last_use() {
        let root = Root::packed();
        let store = &root.store;
        let sample = Sample::new("one:1", &["a"]);
        sample.pull(store).unwrap();
        let id = sample.id();
        let last = || store.last_uses([&id]).unwrap()[&id];
        date(&store.paths().config(&id), 100);
        assert_eq!(last(), at(100), "it came here");
        store.set_last_updated(&id, at(200)).unwrap();
        assert_eq!(last(), at(200), "it was tagged");
        store.date_use(&id, SystemTime::UNIX_EPOCH + Duration::from_mins(5)).unwrap();
        assert_eq!(last(), at(300));
        date(&store.paths().last_use(&id), 150);
        assert_eq!(last(), at(200));
        store.note_use(&id);
        assert!(last() > at(1_700_000_000));
        assert_eq!(fs::metadata(store.paths().last_use(&id)).unwrap().len(), 0);

        sample.untag(store);
        store.remove_image(&id).unwrap();
        assert!(files::names(&store.paths().last_uses()).unwrap().is_empty());
        assert!(store.last_uses([&id]).unwrap().is_empty());
    }

    #[test]
    fn a_use_that_cannot_be_noted_hinders_nobody() {
        let root = Root::packed();
        let store = &root.store;
        let sample = Sample::new("one:1", &["a"]);
        sample.pull(store).unwrap();
        let id = sample.id();
        fs::write(store.paths().last_uses(), "no folder").unwrap();
        assert!(!store.last_uses([&id]).unwrap().is_empty());
        store.note_use(&id);
        assert!(store.paths().last_use(&id).is_file(), "the file made way");
        fs::remove_file(store.paths().last_use(&id)).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        let pipe = store.paths().last_use(&id);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        store.note_use(&id);
        fs::remove_file(&pipe).unwrap();
        fs::create_dir(&pipe).unwrap();
        store.note_use(&id);
        sample.untag(store);
        store.remove_image(&id).unwrap();
        assert!(store.images().unwrap().is_empty());
    }

    #[test]
    fn uses_of_images_that_a_dockerd_removed_are_swept() {
        let root = Root::packed();
        let (one, two) = (Sample::new("one:1", &["a"]), Sample::new("two:1", &["b"]));
        for sample in [&one, &two] {
            sample.pull(&root.store).unwrap();
            root.store.note_use(&sample.id());
        }
        one.untag(&root.store);
        fs::remove_file(root.store.paths().config(&one.id())).unwrap();
        let store = root.reopen();
        let names = files::names(&store.paths().last_uses()).unwrap();
        assert_eq!(names, [two.id().digest().hex()]);
    }
}

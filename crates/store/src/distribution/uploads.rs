//! Uploads that a registry has begun: where they go on, for the process that comes after one that was killed.
//!
//! ```text
//! uploads/<hash of repository and digest>   the place at the registry; flocked while somebody sends
//! ```
//!
//! A place may carry secrets, so that nobody else can read the file. What is torn or garbage is no place that a registry
//! knows, and the upload starts anew. Two that sent to one place would spoil each other's upload: who finds a note with a
//! flock on it begins an upload of its own, without a note.

use std::fs::{OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use spec::{Digest, Repository};

use crate::disk::Disk;
use crate::files::Flocked;
use crate::{Store, StoreError, files};

/// The longest place that is kept: registries have their state in it, of a kilobyte or two.
const MAX_PLACE: usize = 64 << 10;
/// The age at which a place is forgotten. Registries forget uploads after a week at the latest.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// The most places kept: as many blobs as anybody sends at once, many times over.
const MAX_PLACES: usize = 1024;

impl Store {
    /// Takes the note of the upload of a blob for whoever sends it now; `None` if somebody else does.
    pub fn take_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<UploadNote>, StoreError> {
        let directory = self.paths().uploads();
        let disk = self.disk().clone();
        disk.make_dir_anew(&directory, 0o700)?;
        let path = self.upload(repository, digest);
        if !files::exists(&path)? {
            make_room(&disk, &directory)?;
        }
        let Some(file) = open_locked(&disk, &path, true)? else { return Ok(None) };
        let bytes = files::read_open(&file, &path, MAX_PLACE as u64)?;
        let place = String::from_utf8(bytes).ok().filter(|place| !place.is_empty());
        Ok(Some(UploadNote { disk, directory, path, file, place }))
    }

    fn upload(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        let name = Digest::sha256(format!("{repository}@{digest}").as_bytes());
        self.paths().uploads().join(name.hex())
    }
}

/// The note of an upload that this process sends. Dropping it leaves the place to whoever comes next.
#[derive(Debug)]
pub struct UploadNote {
    disk: Disk,
    directory: PathBuf,
    path: PathBuf,
    /// Open and flocked: nobody else goes on with the upload meanwhile.
    file: Flocked,
    place: Option<String>,
}

impl UploadNote {
    /// Returns where the upload goes on, if it has begun.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Keeps where the upload goes on; one too long to keep counts as none.
    pub fn remember(&mut self, place: &str) -> Result<(), StoreError> {
        let place = Some(place).filter(|place| place.len() <= MAX_PLACE);
        let bytes = place.unwrap_or_default().as_bytes();
        // The new file is locked before it has the name, and the old one until after.
        self.file = self.disk.replace_locked(&self.directory, &self.path, bytes, 0o600)?;
        self.place = place.map(str::to_owned);
        self.disk.sync_dir(&self.directory)
    }

    /// Forgets an upload that is over.
    pub fn forget(mut self) -> Result<(), StoreError> {
        self.place = None;
        self.remove()
    }

    fn remove(&self) -> Result<(), StoreError> {
        if files::is_at(&self.file, &self.path)? {
            self.disk.remove_file(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for UploadNote {
    fn drop(&mut self) {
        // An empty note that stays is no harm.
        if self.place.is_none()
            && let Err(error) = self.remove()
        {
            tracing::debug!(%error, "a note of an upload stays");
        }
    }
}

/// Opens a note for this process alone, and makes it if it is to be; `None` if somebody else has it, or there is none.
fn open_locked(disk: &Disk, path: &Path, create: bool) -> Result<Option<Flocked>, StoreError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false).mode(0o600);
        let file = match disk.open(path, &options) {
            Ok(file) => file,
            Err(error) if !create && files::is_missing(&error) => return Ok(None),
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        if !files::is_file(&file, path)? {
            return Err(StoreError::damaged(path, "it is no file"));
        }
        let file = match file.try_lock() {
            Ok(()) => Flocked::new(file),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        };
        // Between opening and locking the owner may have replaced or removed it.
        if files::is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Removes a note that nobody holds.
fn remove_idle(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    let Some(_locked) = open_locked(disk, path, false)? else { return Ok(()) };
    disk.remove_file(path).map(drop)
}

/// Removes what is too old, and the oldest where there are too many.
fn make_room(disk: &Disk, directory: &Path) -> Result<(), StoreError> {
    let mut kept = Vec::new();
    for name in files::names(directory)? {
        let path = directory.join(name);
        let written = path.symlink_metadata().and_then(|metadata| metadata.modified());
        let Ok(written) = written else { continue };
        if SystemTime::now().duration_since(written).is_ok_and(|age| age > MAX_AGE) {
            remove_idle(disk, &path)?;
        } else {
            kept.push((written, path));
        }
    }
    kept.sort();
    let extra = (kept.len() + 1).saturating_sub(MAX_PLACES);
    kept.iter().take(extra).try_for_each(|(_, path)| remove_idle(disk, path))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tests::Root;

    fn place(store: &Store, repository: &Repository, digest: &Digest) -> Option<String> {
        store.take_upload(repository, digest).unwrap().unwrap().place().map(str::to_owned)
    }

    fn remember(store: &Store, repository: &Repository, digest: &Digest, place: &str) {
        store.take_upload(repository, digest).unwrap().unwrap().remember(place).unwrap();
    }

    /// A child that another thread is starting has every open file until it runs.
    #[test]
    fn a_note_is_free_when_it_is_dropped_and_not_when_its_file_is_closed() {
        let root = Root::packed();
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let digest = Digest::sha256(b"blob");
        let mut note = root.store.take_upload(&here, &digest).unwrap().unwrap();
        note.remember("https://registry.corp/1").unwrap();
        let childs = note.file.try_clone().unwrap();
        assert!(root.store.take_upload(&here, &digest).unwrap().is_none());
        drop(note);
        assert!(place(&root.store, &here, &digest).is_some());
        drop(childs);
    }

    #[test]
    fn a_place_is_kept_for_one_who_takes_it() {
        let root = Root::packed();
        let store = &root.store;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let there = Repository::parse_familiar("registry.corp/other").unwrap();
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!(place(store, &here, &one), None);
        assert_eq!(files::names(&store.paths().uploads()).unwrap(), [""; 0]);
        remember(store, &here, &one, "https://registry.corp/1?secret");
        remember(store, &here, &one, "https://registry.corp/2?secret");
        let names = files::names(&store.paths().uploads()).unwrap();
        assert_eq!(names.len(), 1);
        let mode = store.paths().uploads().join(&names[0]).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for (repository, digest) in [(&here, &two), (&there, &one)] {
            assert_eq!(place(store, repository, digest), None);
        }
        let kept = place(store, &here, &one);
        assert_eq!(kept.as_deref(), Some("https://registry.corp/2?secret"));

        remember(store, &here, &one, &"x".repeat(MAX_PLACE + 1));
        assert_eq!(place(store, &here, &one), None);
        remember(store, &here, &one, "a");
        store.take_upload(&here, &one).unwrap().unwrap().forget().unwrap();
        assert_eq!(files::names(&store.paths().uploads()).unwrap(), [""; 0]);
        // Garbage is no place.
        fs::write(store.upload(&here, &one), b"\xff\xfe").unwrap();
        assert_eq!(place(store, &here, &one), None);
    }

    #[test]
    fn an_upload_that_somebody_sends_is_nobody_elses() {
        let root = Root::packed();
        let store = &root.store;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let digest = Digest::sha256(b"1");
        let take = || store.take_upload(&here, &digest).unwrap();
        let mut note = take().unwrap();
        assert!(take().is_none(), "before it has a place");
        for at in ["https://registry.corp/1", "https://registry.corp/2"] {
            note.remember(at).unwrap();
            assert!(take().is_none(), "{at}");
        }
        drop(note);
        let note = take().unwrap();
        assert_eq!(note.place(), Some("https://registry.corp/2"));
        assert!(take().is_none(), "taken over");
        note.forget().unwrap();
        assert_eq!(take().unwrap().place(), None);
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let root = Root::packed();
        let store = &root.store;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let digest = |n: usize| Digest::sha256(n.to_string().as_bytes());
        let age = |n: usize| {
            let file = File::options().write(true).open(store.upload(&here, &digest(n))).unwrap();
            file.set_modified(SystemTime::now() - MAX_AGE * 2).unwrap();
        };
        remember(store, &here, &digest(0), "old");
        age(0);
        let mut held = store.take_upload(&here, &digest(3)).unwrap().unwrap();
        held.remember("old, and being sent").unwrap();
        age(3);
        remember(store, &here, &digest(1), "new");
        assert_eq!(place(store, &here, &digest(0)), None);
        assert!(files::exists(&store.upload(&here, &digest(3))).unwrap());
        held.forget().unwrap();

        let directory = store.paths().uploads();
        for n in 0..MAX_PLACES {
            fs::write(directory.join(n.to_string()), "x").unwrap();
        }
        remember(store, &here, &digest(2), "newest");
        assert_eq!(files::names(&directory).unwrap().len(), MAX_PLACES);
        assert_eq!(place(store, &here, &digest(2)).as_deref(), Some("newest"));
    }
}

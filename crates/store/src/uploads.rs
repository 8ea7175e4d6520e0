//! Uploads that a registry has begun: where they go on, for the process that comes after one that was killed.
//!
//! ```text
//! uploads/<hash of repository and digest>   the place at the registry
//! ```
//!
//! A place may carry secrets, so that nobody else can read the file. What is torn or garbage is no place that a registry
//! knows, and the upload starts anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use spec::{Digest, Repository};

use crate::{Store, StoreError, files};

/// The longest place that is kept: registries have their state in it, of a kilobyte or two.
const MAX_PLACE: usize = 64 << 10;
/// How long a place is kept. Registries forget uploads after a week at the latest.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// The most places kept: as many blobs as anybody sends at once, many times over.
const MAX_PLACES: usize = 1024;

impl Store {
    /// Keeps where the upload of a blob goes on.
    pub fn remember_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
        place: &str,
    ) -> Result<(), StoreError> {
        if place.len() > MAX_PLACE {
            return self.forget_upload(repository, digest);
        }
        let directory = self.paths().uploads();
        files::make_dir(&directory, 0o700)?;
        let path = self.upload(repository, digest);
        if !files::exists(&path)? {
            make_room(&directory)?;
        }
        files::replace(&directory, &path, place.as_bytes(), 0o600)?;
        files::sync_dir(&directory)
    }

    /// Takes where the upload of a blob goes on, so that nobody else goes on with it at the same time.
    pub fn take_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<String>, StoreError> {
        let path = self.upload(repository, digest);
        let Some(bytes) = files::read(&path, MAX_PLACE as u64)? else { return Ok(None) };
        // Only one of several removes it.
        let ours = files::remove_file(&path)?;
        Ok(String::from_utf8(bytes).ok().filter(|_| ours))
    }

    /// Forgets an upload that is over.
    pub fn forget_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        files::remove_file(&self.upload(repository, digest)).map(drop)
    }

    fn upload(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        let name = Digest::sha256(format!("{repository}@{digest}").as_bytes());
        self.paths().uploads().join(name.hex())
    }
}

/// Removes what is too old, and the oldest where there are too many.
fn make_room(directory: &Path) -> Result<(), StoreError> {
    let mut kept = Vec::new();
    for name in files::names(directory)? {
        let path = directory.join(name);
        let written = path.metadata().and_then(|metadata| metadata.modified());
        let Ok(written) = written else { continue };
        if SystemTime::now().duration_since(written).is_ok_and(|age| age > MAX_AGE) {
            files::remove_file(&path)?;
        } else {
            kept.push((written, path));
        }
    }
    kept.sort();
    let extra = (kept.len() + 1).saturating_sub(MAX_PLACES);
    kept.iter().take(extra).try_for_each(|(_, path)| files::remove_file(path).map(drop))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tests::Root;

    #[test]
    fn a_place_is_kept_for_one_who_takes_it() {
        let root = Root::packed();
        let store = &root.store;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let there = Repository::parse_familiar("registry.corp/other").unwrap();
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!(store.take_upload(&here, &one).unwrap(), None);
        store.remember_upload(&here, &one, "https://registry.corp/1?secret").unwrap();
        store.remember_upload(&here, &one, "https://registry.corp/2?secret").unwrap();
        let names = files::names(&store.paths().uploads()).unwrap();
        assert_eq!(names.len(), 1);
        let mode = store.paths().uploads().join(&names[0]).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for (repository, digest) in [(&here, &two), (&there, &one)] {
            assert_eq!(store.take_upload(repository, digest).unwrap(), None);
        }
        let place = store.take_upload(&here, &one).unwrap();
        assert_eq!(place.as_deref(), Some("https://registry.corp/2?secret"));
        assert_eq!(store.take_upload(&here, &one).unwrap(), None);

        store.remember_upload(&here, &one, &"x".repeat(MAX_PLACE + 1)).unwrap();
        assert_eq!(store.take_upload(&here, &one).unwrap(), None);
        store.remember_upload(&here, &one, "a").unwrap();
        store.forget_upload(&here, &one).unwrap();
        assert_eq!(store.take_upload(&here, &one).unwrap(), None);
        // Garbage is no place.
        fs::write(store.upload(&here, &one), b"\xff\xfe").unwrap();
        assert_eq!(store.take_upload(&here, &one).unwrap(), None);
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let root = Root::packed();
        let store = &root.store;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let digest = |n: usize| Digest::sha256(n.to_string().as_bytes());
        store.remember_upload(&here, &digest(0), "old").unwrap();
        let file = File::options().write(true).open(store.upload(&here, &digest(0))).unwrap();
        file.set_modified(SystemTime::now() - MAX_AGE * 2).unwrap();
        store.remember_upload(&here, &digest(1), "new").unwrap();
        assert_eq!(store.take_upload(&here, &digest(0)).unwrap(), None);

        let directory = store.paths().uploads();
        for n in 0..MAX_PLACES {
            fs::write(directory.join(n.to_string()), "x").unwrap();
        }
        store.remember_upload(&here, &digest(2), "newest").unwrap();
        assert_eq!(files::names(&directory).unwrap().len(), MAX_PLACES);
        assert_eq!(store.take_upload(&here, &digest(2)).unwrap().as_deref(), Some("newest"));
    }
}

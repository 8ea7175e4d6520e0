//! Longshore's own state: what of it cannot be used. All of it can be done without, so it is removed.

use std::path::{Path, PathBuf};

use spec::Algorithm;

use crate::cache::catalog;
use crate::collect::{journal, sweep, trash};
use crate::{Store, StoreError, distribution, files, mounts};

use super::{Check, Fix, Subject};

impl Check<'_> {
    pub(super) fn own(&mut self) -> Result<(), StoreError> {
        for (path, problem) in damages(self.store)? {
            let shown = self.relative(&path);
            self.found(Subject::Path(shown), problem, Fix::Own(path));
        }
        Ok(())
    }
}

/// Says whether `path` is still something that cannot be used.
pub(super) fn is_damaged(store: &Store, path: &Path) -> Result<bool, StoreError> {
    Ok(damages(store)?.iter().any(|(damaged, _)| damaged == path))
}

/// Lists what cannot be used, and why.
fn damages(store: &Store) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let paths = store.paths();
    let mut damages = Damages(Vec::new());
    // One that is gone is made anew when it is needed.
    let odd = store.missing_directories().into_iter().filter(|path| path.exists());
    damages.0.extend(odd.map(|path| (path, "it is no directory".to_owned())));
    for folder in sweep::own_folders(store).into_iter().chain([paths.trash()]) {
        for name in files::all_names(&folder)?.iter().filter(|name| name.to_str().is_none()) {
            damages.0.push((folder.join(name), "nobody gives such a name".to_owned()));
        }
    }
    damages.each(&paths.leases(), |path| journal::entries(path).map(drop))?;
    damages.each(&paths.ingest(), |path| files::open(path).map(drop))?;
    damages.each(&paths.mount_notes(), mounts::look_at)?;
    damages.each(&paths.trash(), trash::look_at)?;
    damages.look(&paths.catalog(), catalog::look_at);
    damages.look(&paths.content_layout(), |path| files::read_text(path).map(drop));
    damages.distribution(store)?;
    Ok(damages.0)
}

struct Damages(Vec<(PathBuf, String)>);

impl Damages {
    fn look(&mut self, path: &Path, look: impl FnOnce(&Path) -> Result<(), StoreError>) {
        let problem = match look(path) {
            Ok(()) => return,
            Err(StoreError::Damaged { reason, .. }) => reason,
            Err(StoreError::Io { source, .. }) => format!("it cannot be read: {source}"),
            Err(error) => error.to_string(),
        };
        self.0.push((path.to_owned(), problem));
    }

    fn each(
        &mut self,
        folder: &Path,
        look: impl Fn(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for name in files::names(folder)? {
            self.look(&folder.join(name), &look);
        }
        Ok(())
    }

    /// Looks at the notes of blobs' layers, and of the places that layers came from.
    fn distribution(&mut self, store: &Store) -> Result<(), StoreError> {
        let paths = store.paths();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            self.each(&paths.diff_ids(algorithm), distribution::look_at_diff_id)?;
            self.each(&paths.sources(algorithm), distribution::look_at_sources)?;
        }
        Ok(())
    }
}

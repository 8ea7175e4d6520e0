//! Opening a data root.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use spec::Algorithm;

use crate::collect::sweep;
use crate::disk::{Disk, System};
use crate::dockerd::DockerdLock;
use crate::lock::Transaction;
use crate::{DriverKind, Store, StoreError, content, driver, files};

/// Options for opening a data root.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The directory; created if it is missing.
    pub root: PathBuf,
    /// The driver; by default the one that the root has, else `overlay2` where it can work, else `packed`.
    pub driver: Option<DriverKind>,
    /// Set if compressed layers stay after they have been unpacked, so that a push sends the very same bytes.
    pub keep_blobs: bool,
}

impl Store {
    /// Opens a data root: creates what is missing and removes what dead processes left.
    ///
    /// Fails if a dockerd is running on it, or if it was made with another driver.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_on(Disk::new(System), options)
    }

    pub(crate) fn open_on(disk: Disk, options: StoreOptions) -> Result<Self, StoreError> {
        let StoreOptions { root, driver, keep_blobs } = options;
        let root = create_root(&disk, root)?;
        let dockerd = DockerdLock::new(&root);
        dockerd.exclude()?;
        let driver = driver::choose(&root, driver)?;
        let store = Self::new(disk, (root, driver), keep_blobs, dockerd);
        store.refuse_links()?;
        match store.make_whole().and_then(|()| sweep::sweep(&store)) {
            Ok(()) => store.reserve().refill(),
            // Whoever only reads can do without; what writes says what is in the way.
            Err(error) if error.cannot_write() && files::exists(store.paths().image())? => {
                let error: &dyn std::error::Error = &error;
                tracing::info!(error, "the data root can only be read");
            }
            Err(error) => return Err(error),
        }
        Ok(store)
    }

    /// Refuses a root whose swept directories are somewhere else.
    fn refuse_links(&self) -> Result<(), StoreError> {
        let paths = self.paths();
        for swept in [
            paths.leases(),
            paths.staging(),
            paths.trash(),
            paths.ingest(),
            paths.mount_notes(),
            paths.uploads(),
            paths.reserve(),
        ] {
            if swept.is_symlink() {
                let reason = "it is a symbolic link, and what is in it would be removed";
                return Err(StoreError::damaged(swept, reason));
            }
        }
        Ok(())
    }

    /// Creates what is missing, be it that the root is new, that a backup left it out or that somebody removed it meanwhile.
    pub(crate) fn make_whole(&self) -> Result<(), StoreError> {
        // Whoever only reads needs no lock, and waits for nobody.
        if self.is_whole() { Ok(()) } else { self.transaction().map(drop) }
    }

    fn is_whole(&self) -> bool {
        let paths = self.paths();
        let files =
            [paths.lock(), paths.content_layout(), paths.content_index(), paths.repositories()];
        files.iter().all(|path| path.is_file()) && self.missing_directories().is_empty()
    }

    /// Lists the directories that are not there, or are none.
    pub(crate) fn missing_directories(&self) -> Vec<PathBuf> {
        let directories = self.directories().into_iter().map(|(path, _)| path);
        directories.filter(|path| !path.is_dir()).collect()
    }

    /// As [`Store::make_whole`], with dockerd's modes. A file in the place of a directory of Longshore's own goes.
    pub(crate) fn create_missing(&self, transaction: &Transaction) -> Result<(), StoreError> {
        if self.is_whole() {
            return Ok(());
        }
        let paths = self.paths();
        for (path, mode) in &self.directories() {
            // What was noted of images and blobs can be done without as well.
            let is_needed = path.starts_with(paths.image())
                && ![paths.distribution(), paths.image_notes()].contains(path);
            let make = if is_needed { Disk::make_dir } else { Disk::make_dir_anew };
            make(self.disk(), path, *mode)?;
        }
        content::initialize(self, transaction)?;
        self.initialize_references(transaction)
    }

    /// Returns all directories that a store needs, parents first.
    fn directories(&self) -> Vec<(PathBuf, u32)> {
        let paths = self.paths();
        let (own, image) = (paths.longshore(), paths.image());
        let mut directories = vec![(own.to_owned(), 0o700)];
        for name in ["leases", "staging", "trash", "ingest", "mounts", "uploads", "reserve"] {
            directories.push((own.join(name), 0o700));
        }
        directories.extend([(paths.content(), 0o700), (paths.content().join("blobs"), 0o700)]);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            directories.push((paths.blobs(algorithm), 0o700));
        }
        directories.extend([(paths.root().join("image"), 0o700), (image.to_owned(), 0o700)]);
        for (name, mode) in [
            ("imagedb", 0o700),
            ("imagedb/content", 0o700),
            ("imagedb/content/sha256", 0o700),
            ("imagedb/metadata", 0o700),
            ("imagedb/metadata/sha256", 0o700),
            ("layerdb", 0o700),
            ("layerdb/sha256", 0o755),
            ("layerdb/tmp", 0o755),
            ("distribution", 0o700),
        ] {
            directories.push((image.join(name), mode));
        }
        directories.extend(self.layer_driver().directories());
        directories
    }
}

/// Creates the data root as dockerd does and resolves symbolic links on the way to it.
fn create_root(disk: &Disk, root: PathBuf) -> Result<PathBuf, StoreError> {
    if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| StoreError::io("create", parent, error))?;
    }
    disk.make_dir(&root, 0o710)?;
    root.canonicalize().map_err(|error| StoreError::io("open", root, error))
}

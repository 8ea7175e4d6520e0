//! Opening a data root.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use spec::{ChainId, Digest};

use crate::content::ContentIndex;
use crate::images::ImageCache;
use crate::layers::Known;
use crate::lock::Dockerd;
use crate::paths::Paths;
use crate::references::References;
use crate::snapshot::Snapshot;
use crate::{DriverKind, StoreError, content, driver, files, sweep};

/// How to open a data root.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The directory; created if it is missing.
    pub root: PathBuf,
    /// How layers are kept; by default what the root has, else `overlay2` where it can work, else `packed`.
    pub driver: Option<DriverKind>,
    /// Whether compressed layers stay after they have been unpacked, so that a push sends the very same bytes.
    pub keep_blobs: bool,
}

/// A data root. Clones share what they have read.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    paths: Paths,
    driver: DriverKind,
    keep_blobs: bool,
    dockerd: Dockerd,
    /// The root directory, open all the time so that [`files::sync_file_system`] reports every failed write.
    root: File,
    references: Snapshot<References>,
    content_index: Snapshot<ContentIndex>,
    images: ImageCache,
    layers: Mutex<HashMap<ChainId, Known>>,
    links: Mutex<HashMap<Digest, Arc<[Digest]>>>,
}

/// `repositories.json` and `index.json` grow by less than a kilobyte an image: room for 100,000.
const MAX_DOCUMENT: u64 = 64 << 20;

impl Store {
    /// Opens a data root: creates what is missing and removes what dead processes left.
    ///
    /// Fails if a dockerd is running on it, or if it was made with another driver.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let StoreOptions { root, driver, keep_blobs } = options;
        let root = create_root(root)?;
        let dockerd = Dockerd::new(&root);
        dockerd.exclude()?;
        let driver = driver::choose(&root, driver)?;
        let open = File::open(&root).map_err(|error| StoreError::io("open", &root, error))?;
        let store = Self(Arc::new(Inner {
            paths: Paths::new(root, driver),
            driver,
            // Of a packed layer the blob is the only copy.
            keep_blobs: keep_blobs || driver == DriverKind::Packed,
            dockerd,
            root: open,
            references: Snapshot::new(MAX_DOCUMENT),
            content_index: Snapshot::new(MAX_DOCUMENT),
            images: ImageCache::default(),
            layers: Mutex::default(),
            links: Mutex::default(),
        }));
        store.create_directories()?;
        sweep::sweep(&store)?;
        Ok(store)
    }

    /// Returns how layers are kept.
    pub fn driver(&self) -> DriverKind {
        self.0.driver
    }

    /// Returns the data root, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        self.0.paths.root()
    }

    /// Says whether the compressed layers of a pull stay.
    pub fn keep_blobs(&self) -> bool {
        self.0.keep_blobs
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.0.paths
    }

    pub(crate) fn dockerd(&self) -> &Dockerd {
        &self.0.dockerd
    }

    pub(crate) fn reference_snapshot(&self) -> &Snapshot<References> {
        &self.0.references
    }

    pub(crate) fn content_snapshot(&self) -> &Snapshot<ContentIndex> {
        &self.0.content_index
    }

    pub(crate) fn image_cache(&self) -> &ImageCache {
        &self.0.images
    }

    pub(crate) fn known_layers(&self) -> &Mutex<HashMap<ChainId, Known>> {
        &self.0.layers
    }

    pub(crate) fn known_links(&self) -> &Mutex<HashMap<Digest, Arc<[Digest]>>> {
        &self.0.links
    }

    /// Returns how many bytes the file system of the data root has room for.
    pub fn free_space(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::fstatvfs(&self.0.root)
            .map_err(|error| StoreError::io("look at", self.root(), error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Writes everything that was prepared to the disk, as [`Store::commit`] does by itself.
    pub fn sync(&self) -> Result<(), StoreError> {
        files::sync_file_system(&self.0.root, self.root())
    }

    /// Creates the directories with dockerd's modes.
    fn create_directories(&self) -> Result<(), StoreError> {
        let paths = self.paths();
        let image = paths.image();
        let own = paths.longshore();
        let _transaction = {
            files::make_dir(own, 0o700)?;
            self.transaction()?
        };
        for path in ["leases", "staging", "trash", "ingest", "content", "content/blobs"] {
            files::make_dir(&own.join(path), 0o700)?;
        }
        content::initialize(paths)?;
        files::make_dir(&paths.root().join("image"), 0o700)?;
        files::make_dir(image, 0o700)?;
        for (path, mode) in [
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
            files::make_dir(&image.join(path), mode)?;
        }
        if self.driver() == DriverKind::Overlay2 {
            files::make_dir(&paths.overlay(), 0o710)?;
            files::make_dir(&paths.overlay_links(), 0o700)?;
        }
        self.initialize_references()
    }
}

/// Creates the data root as dockerd does and resolves symbolic links on the way to it.
fn create_root(root: PathBuf) -> Result<PathBuf, StoreError> {
    if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| StoreError::io("create", parent, error))?;
    }
    files::make_dir(&root, 0o710)?;
    root.canonicalize().map_err(|error| StoreError::io("open", root, error))
}

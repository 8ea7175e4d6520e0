//! The paths of everything in the data root.

use std::path::{Path, PathBuf};

use spec::{ChainId, DiffId, Digest, ImageId};

use crate::DriverKind;

/// The data root and the names in it. Only checked types become part of a path.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
    image: PathBuf,
    longshore: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: PathBuf, driver: DriverKind) -> Self {
        let image = root.join("image").join(driver.as_str());
        let longshore = root.join("longshore");
        Self { root, image, longshore }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// dockerd's metadata of the driver.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    pub(crate) fn longshore(&self) -> &Path {
        &self.longshore
    }

    /// Returns the place of the key that signs manifests.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.longshore.join("key.json")
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        // Image IDs do not say which driver keeps the layers, sizes and layers of an image are the same with each.
        self.longshore.join("catalog")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.longshore.join("lock")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.longshore.join("leases")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.longshore.join("staging")
    }

    pub(crate) fn mount_notes(&self) -> PathBuf {
        self.longshore.join("mounts")
    }

    /// A file for each image that was used.
    pub(crate) fn last_uses(&self) -> PathBuf {
        self.longshore.join("used")
    }

    /// Dated when the last prune by the clock began.
    pub(crate) fn scheduled_prune(&self) -> PathBuf {
        self.longshore.join("pruned")
    }

    pub(crate) fn last_use(&self, id: &ImageId) -> PathBuf {
        self.last_uses().join(id.digest().hex())
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.longshore.join("trash")
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.longshore.join("ingest")
    }

    /// A download under the name by which it is continued.
    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.ingest().join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.longshore.join("uploads")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.longshore.join("reserve")
    }

    pub(crate) fn content(&self) -> PathBuf {
        self.longshore.join("content")
    }

    /// The file that says that `content/` is an OCI image layout.
    pub(crate) fn content_layout(&self) -> PathBuf {
        self.content().join("oci-layout")
    }

    pub(crate) fn content_index(&self) -> PathBuf {
        self.content().join("index.json")
    }

    pub(crate) fn blobs(&self, algorithm: spec::Algorithm) -> PathBuf {
        self.content().join("blobs").join(algorithm.as_str())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.image.join("repositories.json")
    }

    /// Configs; dockerd names images by SHA-256 only.
    pub(crate) fn configs(&self) -> PathBuf {
        self.image.join("imagedb/content/sha256")
    }

    pub(crate) fn config(&self, id: &ImageId) -> PathBuf {
        keyed(&self.image.join("imagedb/content"), id.digest())
    }

    pub(crate) fn image_metadata(&self, id: &ImageId) -> PathBuf {
        keyed(&self.image.join("imagedb/metadata"), id.digest())
    }

    /// A directory for each image with notes on it.
    pub(crate) fn image_notes(&self) -> PathBuf {
        self.image.join("imagedb/metadata/sha256")
    }

    /// Layer entries; dockerd names layers by SHA-256 only.
    pub(crate) fn layers(&self) -> PathBuf {
        self.image.join("layerdb/sha256")
    }

    pub(crate) fn layer(&self, chain: &ChainId) -> PathBuf {
        keyed(&self.image.join("layerdb"), chain.digest())
    }

    pub(crate) fn mounts(&self) -> PathBuf {
        self.image.join("layerdb/mounts")
    }

    pub(crate) fn distribution(&self) -> PathBuf {
        self.image.join("distribution")
    }

    pub(crate) fn diff_ids(&self, algorithm: spec::Algorithm) -> PathBuf {
        self.distribution().join("diffid-by-digest").join(algorithm.as_str())
    }

    pub(crate) fn diff_id_of(&self, blob: &Digest) -> PathBuf {
        self.diff_ids(blob.algorithm()).join(blob.hex())
    }

    pub(crate) fn sources(&self, algorithm: spec::Algorithm) -> PathBuf {
        self.distribution().join("v2metadata-by-diffid").join(algorithm.as_str())
    }

    pub(crate) fn sources_of(&self, diff_id: &DiffId) -> PathBuf {
        self.sources(diff_id.digest().algorithm()).join(diff_id.digest().hex())
    }

    pub(crate) fn overlay(&self) -> PathBuf {
        self.root.join("overlay2")
    }

    pub(crate) fn overlay_layer(&self, cache_id: &str) -> PathBuf {
        self.overlay().join(cache_id)
    }

    pub(crate) fn overlay_links(&self) -> PathBuf {
        self.overlay().join("l")
    }
}

fn keyed(base: &Path, digest: &Digest) -> PathBuf {
    base.join(digest.algorithm().as_str()).join(digest.hex())
}

/// Checks the name of a layer's directory before it becomes part of a path.
pub(crate) fn is_cache_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

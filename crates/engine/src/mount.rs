//! `mount` and `umount`: an image's files to be read in place.
//!
//! With the driver `overlay2` the layers' own directories are put on each other. Where layers are not unpacked, the files are
//! unpacked for as long as the image is mounted.

use std::path::{Path, PathBuf};

use spec::{ImageId, Platform};
use store::{DriverKind, Mount, Store};

use crate::cancel::CancelOnDrop;
use crate::engine::blocking;
use crate::unpack::{Work, image_for};
use crate::{Engine, EngineError, Progress, Result};

/// What to mount, and where.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// The image, by name or ID.
    pub name: String,
    /// The platform that it must be for.
    pub platform: Option<Platform>,
    /// The absolute path of a directory.
    pub directory: PathBuf,
}

impl Engine {
    /// Mounts an image read-only. It cannot be removed until it is unmounted.
    pub async fn mount(&self, request: MountRequest, progress: Progress) -> Result<()> {
        let lease = self.reading_lease().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let store = self.store().clone();
        blocking(move || {
            let image = image_for(&store, &lease, &request.name, request.platform.as_ref())?;
            let directory = real(&request.directory)?;
            let rootfs = match store.driver() {
                DriverKind::Overlay2 => None,
                DriverKind::Packed => {
                    let rootfs = store.stage_directory(&lease)?;
                    Work { store: &store, image: &image, cancelled, progress: &progress }
                        .layers(&rootfs)?;
                    Some(rootfs)
                }
            };
            Ok(store.mount(&image.id, &directory, rootfs.as_deref())?)
        })
        .await
    }

    /// Takes an image off a directory.
    pub async fn unmount(&self, directory: PathBuf) -> Result<()> {
        let store = self.store().clone();
        blocking(move || Ok(store.unmount(&real(&directory)?)?)).await
    }

    /// Lists the mounted images, by their directories.
    pub async fn mounts(&self) -> Result<Vec<Mount>> {
        let store = self.store().clone();
        blocking(move || Ok(store.mounts()?)).await
    }
}

/// Says where an image is mounted, if it is.
pub(crate) fn mounted_at(store: &Store, id: &ImageId) -> Result<Option<PathBuf>> {
    let mounts = store.mounts()?;
    Ok(mounts.into_iter().find(|mount| mount.image == *id).map(|mount| mount.directory))
}

/// Returns the path by which the kernel knows a directory.
fn real(directory: &Path) -> Result<PathBuf> {
    if !directory.is_absolute() {
        let text = format!("the directory `{}` is not an absolute path", directory.display());
        return Err(EngineError::InvalidParameter(text));
    }
    directory.canonicalize().map_err(|source| EngineError::Directory {
        action: "find",
        path: directory.to_owned(),
        source,
    })
}

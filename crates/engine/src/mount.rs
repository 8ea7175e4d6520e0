//! `mount` and `umount`: an image's files to be read in place.
//!
//! With the driver `overlay2` the layers' own directories are put on each other. Where layers are not unpacked, with the driver `packed` or
//! of another platform that is kept beside an image, the files are unpacked for as long as it is mounted.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::Platform;
use store::{DriverKind, Mount, Store};

use crate::cancel::CancelOnDrop;
use crate::error::DirectoryRefusal;
use crate::unpack::{DataRoot, Work, image_for};
use crate::{Engine, EngineError, Progress, Result, space};

/// An order to mount.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// The image, by name or ID.
    pub name: String,
    /// The platform that is wanted: the image's own, or another one of its index.
    pub platform: Option<Platform>,
    /// The absolute path of a directory.
    pub directory: PathBuf,
}

impl Engine {
    /// Mounts an image read-only. It cannot be removed until it is unmounted; another platform of its index has files of its own, and can.
    pub async fn mount(&self, request: MountRequest, progress: Progress) -> Result<()> {
        let (lease, part) = self.part_layers(&request.name, request.platform.as_ref()).await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        self.on_disk(move |store| {
            let (image, is_unpacked) = match part {
                // One that has a name of its own has its layers, too.
                Some(part) => {
                    let is_unpacked = store.image(&part.id)?.is_some();
                    (Arc::new(part), is_unpacked)
                }
                None => (image_for(store, &lease, &request.name, request.platform.as_ref())?, true),
            };
            let directory = open(&request.directory)?;
            check_data_root(store, &directory, &request.directory)?;
            let rootfs = if is_unpacked && store.driver() == DriverKind::Overlay2 {
                None
            } else {
                let rootfs = store.stage_directory(&lease)?;
                space::require_unpacked(store, &image, &rootfs)?;
                let work = Work { store, image: &image, cancelled, progress: &progress };
                let opened = File::open(&rootfs).map_err(failed("open", &rootfs))?;
                work.layers(opened.as_fd())?;
                Some(rootfs)
            };
            Ok(store.mount(&image, directory.as_fd(), rootfs.as_deref())?)
        })
        .await
    }

    /// Takes an image off a directory.
    pub async fn unmount(&self, directory: PathBuf) -> Result<()> {
        self.on_disk(move |store| Ok(store.unmount(&real(&directory)?)?)).await
    }

    /// Lists the mounted images, by their directories.
    pub async fn mounts(&self) -> Result<Vec<Mount>> {
        self.on_disk(|store| Ok(store.mounts()?)).await
    }
}

/// Opens the directory that is mounted on: once, so that nobody exchanges it meanwhile.
fn open(directory: &Path) -> Result<OwnedFd> {
    check_absolute(directory)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, directory, flags, Mode::empty())
        .map_err(|errno| failed("find", directory)(errno.into()))
}

fn check_data_root(store: &Store, directory: &OwnedFd, path: &Path) -> Result<()> {
    let root = DataRoot::find(store.root())?;
    let reason = if root.holds(directory).map_err(failed("find", path))? {
        DirectoryRefusal::InDataRoot(root.path().to_owned())
    } else if root.is_in(directory).map_err(failed("find", path))? {
        DirectoryRefusal::HasDataRoot(root.path().to_owned())
    } else {
        return Ok(());
    };
    Err(EngineError::DirectoryRefused { path: path.to_owned(), reason })
}

/// Returns the path by which the kernel knows a directory.
fn real(directory: &Path) -> Result<PathBuf> {
    check_absolute(directory)?;
    directory.canonicalize().map_err(failed("find", directory))
}

fn check_absolute(directory: &Path) -> Result<()> {
    if directory.is_absolute() {
        return Ok(());
    }
    let reason = DirectoryRefusal::NotAbsolute;
    Err(EngineError::DirectoryRefused { path: directory.to_owned(), reason })
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> EngineError + 'a {
    move |source| EngineError::Directory { action, path: path.to_owned(), source }
}

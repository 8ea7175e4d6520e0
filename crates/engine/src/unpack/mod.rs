//! `unpack`: an image as a root file system in a directory, or as a bundle for an OCI runtime.
//!
//! The layers are unpacked one on the other in a [`site`] and put in place when all is well.

mod bundle;
mod data_root;
mod site;
mod users;

use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use archive::{ApplyOptions, Whiteouts};
use spec::{ChainId, DiffId, Platform};
use store::{Image, Lease, Store};

use crate::cancel::{CancelOnDrop, Cancelled};
use crate::error::Missing;
use crate::progress::ProgressEvent;
use crate::{Engine, EngineError, Progress, Result, resolve, space};
pub(crate) use data_root::DataRoot;
use data_root::real_path;
use site::Site;

/// An order to unpack.
#[derive(Clone, Debug)]
pub struct UnpackRequest {
    /// The image, by name or ID.
    pub name: String,
    /// The platform that is wanted: the image's own, or another one of its index.
    pub platform: Option<Platform>,
    /// An absolute path at which there is nothing, or an empty directory, which may be a mount point or behind a symlink.
    pub directory: PathBuf,
    /// Put the files into `rootfs` there, and a `config.json` for an OCI runtime beside it.
    pub bundle: bool,
}

impl Engine {
    /// Unpacks an image into a directory.
    ///
    /// As root the files get their owners, devices and attributes, else those that this user may set.
    pub async fn unpack(&self, request: UnpackRequest, progress: Progress) -> Result<()> {
        let (lease, part) = self.part_layers(&request.name, request.platform.as_ref()).await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        self.on_disk(move |store| {
            let image = match part {
                Some(part) => Arc::new(part),
                None => image_for(store, &lease, &request.name, request.platform.as_ref())?,
            };
            space::require_unpacked(store, &image, &request.directory)?;
            let site = Site::new(&request.directory, &DataRoot::find(store.root())?)?;
            let work = Work { store, image: &image, cancelled, progress: &progress };
            if request.bundle {
                let rootfs = site.make_directory("rootfs")?;
                work.layers(rootfs.as_fd())?;
                let config = runtime_config(&image, rootfs.as_fd())?;
                site.write_file("config.json", config.as_bytes())?;
            } else {
                work.layers(site.root())?;
            }
            site.finish()
        })
        .await
    }
}

/// Finds an image and holds it. Blocking.
pub(crate) fn image_for(
    store: &Store,
    lease: &Lease,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Arc<Image>> {
    let references = store.references()?;
    let id = resolve::find(store, &references, name)?.id;
    lease.hold_image(&id)?;
    resolve::check_platform(store, &id, name, platform)?;
    let image = store.image(&id)?.ok_or_else(|| EngineError::NoSuchImage(name.to_owned()))?;
    store.note_use(&id);
    Ok(image)
}

/// The unpacking of one image.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) image: &'a Image,
    pub(crate) cancelled: Cancelled,
    pub(crate) progress: &'a Progress,
}

impl Work<'_> {
    /// Unpacks all layers into a directory. Blocking.
    pub(crate) fn layers(&self, rootfs: BorrowedFd<'_>) -> Result<()> {
        let diff_ids = &self.image.config.value().rootfs.diff_ids;
        let total = diff_ids.len();
        for (number, (chain, diff_id)) in (1..).zip(self.image.layers.iter().zip(diff_ids)) {
            self.progress.report(ProgressEvent::Unpacking {
                number,
                total,
                layer: diff_id.clone(),
            });
            self.layer(chain, diff_id, rootfs)?;
        }
        Ok(())
    }

    fn layer(&self, chain: &ChainId, diff_id: &DiffId, rootfs: BorrowedFd<'_>) -> Result<()> {
        let unpacked = match self.blob(chain)? {
            Some(blob) => self.extract(blob, diff_id, rootfs)?,
            None => self.rebuild(chain, diff_id, rootfs)?,
        };
        if unpacked == *diff_id {
            return Ok(());
        }
        let detail = format!("the layer's files give {unpacked}");
        Err(EngineError::LayerVerification { digest: diff_id.digest().clone(), detail })
    }

    /// Opens the compressed layer, where that is the only copy.
    fn blob(&self, chain: &ChainId) -> Result<Option<File>> {
        let layer = self.store.layer(chain)?;
        let layer = layer.ok_or_else(|| EngineError::Missing(Missing::LayerGone(chain.clone())))?;
        let Some(digest) = layer.blob else { return Ok(None) };
        let blob = self.store.blob(&digest)?;
        let blob = blob.ok_or_else(|| EngineError::Missing(Missing::BlobGone(digest.clone())))?;
        match File::open(&blob.path) {
            Ok(file) => Ok(Some(file)),
            Err(source) => Err(EngineError::Open { path: blob.path, source }),
        }
    }

    fn extract(
        &self,
        layer: impl Read + Send,
        diff_id: &DiffId,
        rootfs: BorrowedFd<'_>,
    ) -> Result<DiffId> {
        let options = ApplyOptions {
            whiteouts: Whiteouts::Remove,
            owners: is_root(),
            ..ApplyOptions::default()
        };
        let layer = self.cancelled.clone().guard(layer);
        let unpacked =
            archive::extract(layer, rootfs, None, &options, &|_| {}).map_err(|error| {
                let path = real_path(rootfs).unwrap_or_default();
                space::layer_failed("unpack", diff_id.digest(), &path, error)
            })?;
        Ok(unpacked.applied.diff_id)
    }

    /// Unpacks what another thread puts together from the layer's directory.
    fn rebuild(&self, chain: &ChainId, diff_id: &DiffId, rootfs: BorrowedFd<'_>) -> Result<DiffId> {
        let gone = || EngineError::Missing(Missing::FilesGone(chain.clone()));
        let root = self.store.layer_path(chain)?.ok_or_else(gone)?;
        let tar_split = self.store.tar_split(chain)?.ok_or_else(gone)?;
        let (reader, writer) = io::pipe().map_err(|source| {
            let source = archive::ArchiveError::Read(source);
            EngineError::Layer { digest: diff_id.digest().clone(), source }
        })?;
        std::thread::scope(|scope| {
            let rebuilding = scope.spawn(|| archive::rebuild(tar_split, &root, Sink(writer)));
            let extracted = self.extract(reader, diff_id, rootfs);
            let rebuilt =
                rebuilding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match rebuilt {
                // What ended the reader is the cause.
                Ok(_) | Err(archive::ArchiveError::Sink(_)) => extracted,
                Err(source) => {
                    Err(EngineError::ReadLayer { digest: diff_id.digest().clone(), source })
                }
            }
        })
    }
}

/// The end of the pipe that is closed when the tar is complete.
struct Sink(PipeWriter);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn runtime_config(image: &Image, rootfs: BorrowedFd<'_>) -> Result<String> {
    let config = image.config.value();
    let user = config.config.as_ref().and_then(|config| config.get("User")?.as_str());
    let user = users::find(rootfs, user.unwrap_or_default())?;
    let rootless = (!is_root()).then(|| bundle::Rootless {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    });
    Ok(format!("{:#}\n", bundle::runtime_config(config, &user, rootless)))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests;

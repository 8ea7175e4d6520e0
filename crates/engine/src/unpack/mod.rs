//! `unpack`: an image as a root file system in a directory, or as a bundle for an OCI runtime.
//!
//! The layers are unpacked one on the other beside the place where they are to be, and put there when all is well: the
//! directory is complete or it is not there.

mod bundle;
mod users;

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, PipeWriter, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use archive::{ApplyOptions, StreamOptions, Whiteouts};
use spec::{ChainId, DiffId, Platform};
use store::{Image, Lease, Store};

use crate::cancel::{CancelOnDrop, Cancelled};
use crate::engine::blocking;
use crate::progress::ProgressEvent;
use crate::{Engine, EngineError, Progress, Result, resolve, space};

/// What to unpack, and where.
#[derive(Clone, Debug)]
pub struct UnpackRequest {
    /// The image, by name or ID.
    pub name: String,
    /// The platform that it must be for.
    pub platform: Option<Platform>,
    /// An absolute path at which there is nothing, or an empty directory.
    pub directory: PathBuf,
    /// Put the files into `rootfs` there, and a `config.json` for an OCI runtime beside it.
    pub bundle: bool,
}

impl Engine {
    /// Unpacks an image into a directory.
    ///
    /// As root the files get their owners, devices and attributes, else those that this user may set.
    pub async fn unpack(&self, request: UnpackRequest, progress: Progress) -> Result<()> {
        let lease = self.reading_lease().await?;
        let (_cancel, cancelled) = CancelOnDrop::new();
        let store = self.store().clone();
        blocking(move || {
            let image = image_for(&store, &lease, &request.name, request.platform.as_ref())?;
            space::require_unpacked(&store, &image, &request.directory)?;
            let site = Site::new(&request.directory)?;
            let rootfs = if request.bundle { site.path.join("rootfs") } else { site.path.clone() };
            if request.bundle {
                make_directory(&rootfs)?;
            }
            let work = Work { store: &store, image: &image, cancelled, progress: &progress };
            work.layers(&rootfs)?;
            if request.bundle {
                write_config(&image, &rootfs, &site.path.join("config.json"))?;
            }
            site.finish(&request.directory)
        })
        .await
    }
}

/// The place where the directory is made, beside where it is to be. Dropped before it is finished, it is removed; what a
/// process that died left is removed by the next one that unpacks there.
#[derive(Debug)]
struct Site {
    path: PathBuf,
    finished: bool,
    /// Keeps a flock, by which others see that somebody works here.
    _lock: File,
}

impl Site {
    fn new(directory: &Path) -> Result<Self> {
        if !directory.is_absolute() {
            let text = format!("the directory `{}` is not an absolute path", directory.display());
            return Err(EngineError::InvalidParameter(text));
        }
        let is_free = match fs::read_dir(directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(failed("look at", directory)(error)),
        };
        let (Some(parent), Some(name), true) = (directory.parent(), directory.file_name(), is_free)
        else {
            let text = format!("the directory `{}` is not empty", directory.display());
            return Err(EngineError::InvalidParameter(text));
        };
        let prefix = format!(".{}.longshore-", name.to_string_lossy());
        remove_leftovers(parent, &prefix);
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{prefix}{}-{number}", std::process::id()));
        make_directory(&path)?;
        let lock = File::open(&path).map_err(failed("open", &path))?;
        lock.try_lock().map_err(|error| failed("lock", &path)(error.into()))?;
        Ok(Self { path, finished: false, _lock: lock })
    }

    /// Puts what was made where it is to be.
    fn finish(mut self, directory: &Path) -> Result<()> {
        fs::rename(&self.path, directory).map_err(failed("create", directory))?;
        self.finished = true;
        Ok(())
    }
}

/// Tells the sites of one process apart.
static SITES: AtomicU64 = AtomicU64::new(0);

/// Removes what processes that died were making.
fn remove_leftovers(parent: &Path, prefix: &str) {
    // Where the parent cannot be read, making something in it says why.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_site = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix))
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_site && File::open(entry.path()).is_ok_and(|site| site.try_lock().is_ok()) {
            // A failure is not in the way of a new one.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            let path = self.path.display();
            tracing::warn!(%error, %path, "what was unpacked so far is not removed");
        }
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
    store.image(&id)?.ok_or_else(|| EngineError::NoSuchImage(name.to_owned()))
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
    pub(crate) fn layers(&self, rootfs: &Path) -> Result<()> {
        let diff_ids = &self.image.config.value().rootfs.diff_ids;
        let total = diff_ids.len();
        for (number, (chain, diff_id)) in (1..).zip(self.image.layers.iter().zip(diff_ids)) {
            let what = format!("layer {}", diff_id.digest().short());
            self.progress.report(ProgressEvent::Step { action: "Unpacking", number, total, what });
            self.layer(chain, diff_id, rootfs)?;
        }
        Ok(())
    }

    fn layer(&self, chain: &ChainId, diff_id: &DiffId, rootfs: &Path) -> Result<()> {
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
        let layer = layer.ok_or_else(|| EngineError::Missing(format!("layer {chain} is gone")))?;
        let Some(digest) = layer.blob else { return Ok(None) };
        let blob = self.store.blob(&digest)?;
        let blob = blob.ok_or_else(|| EngineError::Missing(format!("blob {digest} is gone")))?;
        match File::open(&blob.path) {
            Ok(file) => Ok(Some(file)),
            Err(source) => Err(EngineError::Open { path: blob.path, source }),
        }
    }

    fn extract(&self, layer: impl Read + Send, diff_id: &DiffId, rootfs: &Path) -> Result<DiffId> {
        let options = ApplyOptions {
            whiteouts: Whiteouts::Remove,
            owners: is_root(),
            ..ApplyOptions::default()
        };
        let layer = self.cancelled.clone().guard(layer);
        let stream = StreamOptions::default();
        let unpacked = archive::extract(layer, rootfs, &stream, &options, &|_| {})
            .map_err(|error| space::layer_failed("unpack", diff_id.digest(), rootfs, error))?;
        Ok(unpacked.applied.diff_id)
    }

    /// Unpacks what another thread puts together from the layer's directory.
    fn rebuild(&self, chain: &ChainId, diff_id: &DiffId, rootfs: &Path) -> Result<DiffId> {
        let gone = || EngineError::Missing(format!("the files of layer {chain} are gone"));
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
                Err(source) => Err(EngineError::Layer { digest: diff_id.digest().clone(), source }),
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

fn write_config(image: &Image, rootfs: &Path, path: &Path) -> Result<()> {
    let config = image.config.value();
    let user = config.config.as_ref().and_then(|config| config.get("User")?.as_str());
    let user = users::find(rootfs, user.unwrap_or_default())?;
    let rootless = (!is_root()).then(|| bundle::Rootless {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    });
    let document = format!("{:#}\n", bundle::runtime_config(config, &user, rootless));
    fs::write(path, document).map_err(failed("write", path))
}

fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o755).create(path).map_err(failed("create", path))
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> EngineError + 'a {
    move |source| EngineError::Directory { action, path: path.to_owned(), source }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_living_one_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        fs::create_dir_all(folder.path().join(".target.longshore-1-0/bin")).unwrap();
        fs::create_dir(folder.path().join(".other.longshore-1-0")).unwrap();
        let first = Site::new(&target).unwrap();
        let second = Site::new(&target).unwrap();
        assert!(first.path.exists() && second.path.exists() && first.path != second.path);
        assert_eq!(names().len(), 3, "{:?}", names());
        first.finish(&target).unwrap();
        drop(second);
        let mut left = names();
        left.sort();
        assert_eq!(left, [".other.longshore-1-0", "target"]);
    }
}

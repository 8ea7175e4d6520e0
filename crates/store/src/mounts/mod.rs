//! Images that are mounted somewhere for reading.
//!
//! ```text
//! longshore/mounts/<id>/note       which image is mounted where, and in which mount namespace of which boot
//! longshore/mounts/<id>/empty/     overlayfs wants two directories to put one on the other
//! longshore/mounts/<id>/rootfs/    the files, where the layers are not unpacked or the image has none
//! ```
//!
//! A mount outlives the process that made it, so its note is what keeps the layers. A note whose mount is gone, by
//! `umount` or a reboot, is swept when the data root is opened.

mod containers;

pub use self::containers::Container;

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use serde::{Deserialize, Serialize};
use spec::{ChainId, ImageId};

use crate::collect::trash::Trash;
use crate::driver::Driver;
use crate::lock::Transaction;
use crate::{Image, Lease, Store, StoreError, files};

/// The largest note, in bytes: a path and some hashes.
const MAX_NOTE: u64 = 16 << 10;
/// The largest `mountinfo`, in bytes: tens of thousands of mounts.
const MAX_MOUNTINFO: u64 = 64 << 20;

/// A mounted image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The image that is mounted.
    pub image: ImageId,
    /// The directory that it is mounted on.
    pub directory: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    image: ImageId,
    layer: Option<ChainId>,
    directory: PathBuf,
    boot: String,
    namespace: String,
}

impl Store {
    /// Makes a directory for files that are being prepared. It goes with the lease, unless it is mounted.
    pub fn stage_directory(&self, lease: &Lease) -> Result<PathBuf, StoreError> {
        let path = lease.staging_path()?;
        self.disk().make_dir(&path, 0o755)?;
        Ok(path)
    }

    /// Mounts an image read-only on an open directory. `rootfs` has its files, where its layers are not unpacked; it goes with the mount.
    ///
    /// The image, or its layers where they are what is mounted, stay as long as it is. Needs root, and Linux 6.5 or later.
    pub fn mount(
        &self,
        image: &Image,
        directory: BorrowedFd<'_>,
        rootfs: Option<&Path>,
    ) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        if rootfs.is_none() && self.image(&image.id)?.is_none() {
            return Err(StoreError::NoImage(image.id.clone()));
        }
        let folder = self.paths().mount_notes();
        let name = files::random_hex(8)?;
        let own = folder.join(&name);
        self.disk().make_dir(&own, 0o700)?;
        let mounted = self.mount_noted(image, directory, rootfs, (&own, &name));
        if mounted.is_err() {
            let mut trash = Trash::new(self);
            trash.take(&own)?;
            drop(transaction);
            trash.empty();
        }
        mounted
    }

    fn mount_noted(
        &self,
        image: &Image,
        directory: BorrowedFd<'_>,
        rootfs: Option<&Path>,
        (own, name): (&Path, &str),
    ) -> Result<(), StoreError> {
        let empty = own.join("empty");
        self.disk().make_dir(&empty, 0o755)?;
        let mut lower = match rootfs {
            Some(rootfs) => {
                self.disk().rename(rootfs, &own.join("rootfs"))?;
                vec![own.join("rootfs")]
            }
            None => self.stack_of(image.layers.last())?,
        };
        if lower.is_empty() {
            // An image without layers.
            let also_empty = own.join("rootfs");
            self.disk().make_dir(&also_empty, 0o755)?;
            lower.push(also_empty);
        }
        lower.push(empty);
        let path = real_path(directory)?;
        let note = Note {
            image: image.id.clone(),
            // Files of its own need no layer.
            layer: image.layers.last().filter(|_| rootfs.is_none()).cloned(),
            directory: path.clone(),
            boot: boot()?,
            namespace: namespace()?,
        };
        let text = serde_json::to_vec(&note)
            .map_err(|error| StoreError::damaged(own.join("note"), error))?;
        self.disk().write_new(&own.join("note"), &text, 0o600)?;
        // No power cut leaves a mount, so that the note need not last through one.
        attach(&lower, directory, &source(name))
            .map_err(|error| StoreError::io("mount on", path, error.into()))
    }

    /// Lists the directories of an image, the topmost first.
    fn stack_of(&self, chain: Option<&ChainId>) -> Result<Vec<PathBuf>, StoreError> {
        let (Some(chain), Driver::Overlay2(overlay)) = (chain, self.layer_driver()) else {
            return Ok(Vec::new());
        };
        let stack = overlay.stack(&self.require_layer(chain)?.cache_id)?;
        Ok(stack.links().map(|link| self.paths().overlay().join(link)).collect())
    }

    /// Takes the image off a directory that [`Store::mount`] put it on.
    pub fn unmount(&self, directory: &Path) -> Result<(), StoreError> {
        let mut trash = Trash::new(self);
        let transaction = self.transaction()?;
        let mounted = read_mounted()?;
        let noted = self.notes()?;
        let is_it = |name: &str, note: &Note| {
            note.directory == directory && mounted.iter().any(|source_| *source_ == source(name))
        };
        let Some((name, _)) = noted.iter().rev().find(|(name, note)| is_it(name, note)) else {
            return Err(StoreError::NotMounted(directory.to_owned()));
        };
        detach(directory).map_err(|error| StoreError::io("unmount", directory, error.into()))?;
        trash.take(&self.paths().mount_notes().join(name))?;
        drop(transaction);
        trash.empty();
        Ok(())
    }

    /// Lists the mounted images, by their directories.
    pub fn mounts(&self) -> Result<Vec<Mount>, StoreError> {
        let mounted = read_mounted()?;
        let mut mounts = Vec::new();
        for (name, note) in self.notes()? {
            if note.is_alive(&name, &mounted)? {
                mounts.push(Mount { image: note.image, directory: note.directory });
            }
        }
        mounts.sort_by(|a, b| a.directory.cmp(&b.directory));
        Ok(mounts)
    }

    /// Lists the topmost layers of the mounted images.
    ///
    /// Fails if the note of one cannot be read: it may need any layer.
    pub(crate) fn noted_layers(&self) -> Result<Vec<ChainId>, StoreError> {
        let mut layers = Vec::new();
        for name in files::names(&self.paths().mount_notes())? {
            match self.note(&name) {
                Ok(note) => layers.extend(note.and_then(|note| note.layer)),
                Err(error) if read_mounted()?.contains(&source(&name)) => return Err(error),
                // The next start removes it.
                Err(_) => {}
            }
        }
        Ok(layers)
    }

    /// Removes the notes of mounts that are gone.
    pub(crate) fn sweep_mounts(
        &self,
        _: &Transaction,
        trash: &mut Trash,
    ) -> Result<(), StoreError> {
        let folder = self.paths().mount_notes();
        let names = files::names(&folder)?;
        if names.is_empty() {
            return Ok(());
        }
        let mounted = read_mounted()?;
        for name in names {
            let alive = match files::sound(self.note(&name)) {
                Some(note) => note.is_alive(&name, &mounted)?,
                // Never mounted, as the note comes first, or damaged.
                None => mounted.contains(&source(&name)),
            };
            if !alive {
                trash.take(&folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Reads all notes that can be read.
    fn notes(&self) -> Result<Vec<(String, Note)>, StoreError> {
        let mut notes = Vec::new();
        for name in files::names(&self.paths().mount_notes())? {
            if let Some(note) = files::sound(self.note(&name)) {
                notes.push((name, note));
            }
        }
        Ok(notes)
    }

    fn note(&self, name: &str) -> Result<Option<Note>, StoreError> {
        read_note(&self.paths().mount_notes().join(name))
    }
}

/// Finds out whether a mount's note can be read. As long as the image is mounted nothing is wrong with it: the mount stands on what
/// is beside the note.
pub(crate) fn look_at(mount: &Path) -> Result<(), StoreError> {
    let name = mount.file_name().unwrap_or_default().to_string_lossy();
    match read_note(mount) {
        Err(_) if read_mounted()?.contains(&source(&name)) => Ok(()),
        note => note.map(drop),
    }
}

fn read_note(mount: &Path) -> Result<Option<Note>, StoreError> {
    let path = mount.join("note");
    let Some(bytes) = files::read(&path, MAX_NOTE)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::damaged(path, error))
}

impl Note {
    /// Says whether the image is still mounted, as far as can be seen from here: other namespaces have mounts of their own.
    fn is_alive(&self, name: &str, mounted: &[String]) -> Result<bool, StoreError> {
        if self.boot != boot()? {
            return Ok(false);
        }
        Ok(self.namespace != namespace()? || mounted.contains(&source(name)))
    }
}

/// Returns the name of a mount in `mountinfo`.
fn source(name: &str) -> String {
    format!("longshore-{name}")
}

fn boot() -> Result<String, StoreError> {
    Ok(files::read_text(Path::new("/proc/sys/kernel/random/boot_id"))?.unwrap_or_default())
}

fn namespace() -> Result<String, StoreError> {
    const PATH: &str = "/proc/self/ns/mnt";
    let link = fs::read_link(PATH).map_err(|error| StoreError::io("read", PATH, error))?;
    Ok(link.to_string_lossy().into_owned())
}

/// Reads what is mounted here, by the sources.
fn read_mounted() -> Result<Vec<String>, StoreError> {
    let bytes = files::read(Path::new("/proc/self/mountinfo"), MAX_MOUNTINFO)?;
    Ok(sources(&String::from_utf8_lossy(&bytes.unwrap_or_default())))
}

/// `36 35 98:0 / /mnt rw,noatime shared:1 - overlay longshore-0a1b rw,lowerdir=…`
fn sources(mountinfo: &str) -> Vec<String> {
    let source = |line: &str| {
        let (_, rest) = line.split_once(" - ")?;
        rest.split(' ').nth(1).map(str::to_owned)
    };
    mountinfo.lines().filter_map(source).collect()
}

/// Unmounts what is mounted on a directory. Its parent is held, not the directory itself: that would be in use.
fn detach(directory: &Path) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(Errno::BUSY);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat2(CWD, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let link = format!("/proc/self/fd/{}", parent.as_raw_fd());
    unmount(Path::new(&link).join(name), UnmountFlags::NOFOLLOW)
}

/// Returns the path by which the kernel knows an open directory.
fn real_path(directory: BorrowedFd<'_>) -> Result<PathBuf, StoreError> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    fs::read_link(&link).map_err(|error| StoreError::io("read", link, error))
}

/// Mounts directories on each other, the topmost first, onto an open directory, whatever its path leads to by now.
fn attach(lower: &[PathBuf], directory: BorrowedFd<'_>, source: &str) -> Result<(), Errno> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&overlay, "source", source)?;
    for path in lower {
        // One by one: all in one option would have to fit into a page.
        fsconfig_set_string(&overlay, "lowerdir+", path)?;
    }
    fsconfig_set_flag(&overlay, "ro")?;
    fsconfig_create(&overlay)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    let mount = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount, "", directory, "", flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_from_mountinfo() {
        let text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                    37 35 0:40 / /m\\040nt ro - overlay longshore-0a1b ro,lowerdir=/a:/b\n\
                    broken\n";
        assert_eq!(sources(text), ["/dev/root", "longshore-0a1b"]);
    }
}

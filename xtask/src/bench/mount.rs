//! The file system of the stores.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};

use crate::shell::output;

/// Sparse: it takes what is in it.
const SIZE: u64 = 40 << 30;

/// An ext4 with a journal in a file, mounted over a loop device with direct I/O; unmounted and
/// removed when dropped.
#[derive(Debug)]
pub(super) struct Mount {
    image: PathBuf,
    path: PathBuf,
}

impl Mount {
    pub(super) fn new(folder: &Path) -> Result<Mount> {
        let mount = Mount { image: folder.join("stores.img"), path: folder.join("stores") };
        // What an earlier run left that was killed.
        mount.remove();
        let file = File::create(&mount.image)
            .with_context(|| format!("cannot make `{}`", mount.image.display()))?;
        file.set_len(SIZE).context("cannot size the file of the stores")?;
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
        output(make.arg(&mount.image))?;
        fs::create_dir_all(&mount.path).context("cannot make the mount point")?;
        let mut attach = Command::new("mount");
        output(attach.args(["-o", "loop,noatime"]).arg(&mount.image).arg(&mount.path))?;
        let mut find = Command::new("findmnt");
        let device = output(find.args(["-no", "SOURCE"]).arg(&mount.path))?;
        // Otherwise everything is in the page cache twice, and a `sync` is that of the outer file.
        output(Command::new("losetup").args(["--direct-io=on", device.trim()]))?;
        Ok(mount)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) {
        // Stores mount within themselves; what is left of that goes along. Each of these fails
        // where there is nothing to do.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.path);
        let _ = fs::remove_file(&self.image);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.remove();
    }
}

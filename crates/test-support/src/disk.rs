//! A disk that fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::syncfs;
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::servers::{find_program, installed};

/// Size of the disk, and the most that its file may take: the rest of it are holes until they are written to.
const SIZE: u64 = 24 << 20;
/// Room that [`FORMAT`] keeps for itself: 64 blocks of inodes, and before them what describes the one group of blocks. It is no hole, so
/// what fails is the content of files.
const METADATA: usize = 72 * 4096;
const FORMAT: [&str; 7] = ["-q", "-O", "^has_journal,^resize_inode", "-b", "4096", "-N", "1024"];

/// Number of attempts to unmount.
const ATTEMPTS: usize = 100;

/// A mounted ext4 whose writes can be made to fail, as those of a broken disk do: after they were taken into memory.
///
/// It lies on a loop device in a sparse file on a tmpfs. As long as that is full, no hole of the file can be filled.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    device: String,
}

impl Disk {
    /// Mounts an empty one. Fails without root, loop devices or the programs that it takes.
    pub fn mount() -> io::Result<Self> {
        if !geteuid().is_root() || !installed(&["mkfs.ext4", "losetup", "mount", "umount"]) {
            return Err(io::Error::other("needs root, e2fsprogs and losetup"));
        }
        let mut disk = Self { folder: TempDir::new()?, device: String::new() };
        disk.build()?;
        Ok(disk)
    }

    fn build(&mut self) -> io::Result<()> {
        for folder in [self.memory(), self.path()] {
            fs::create_dir(folder)?;
        }
        let size = format!("size={SIZE}");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &text(&self.memory())])?;
        let image = self.memory().join("image");
        File::create(&image)?.set_len(SIZE)?;
        run("mkfs.ext4", &[&FORMAT[..], &[&text(&image)]].concat())?;
        let bytes = fs::read(&image)?;
        File::options().write(true).open(&image)?.write_all(&bytes[..METADATA])?;
        let device = run("losetup", &["-f", "--show", &text(&image)])?;
        device.trim().clone_into(&mut self.device);
        self.attach()
    }

    fn attach(&self) -> io::Result<()> {
        // What is freed is a hole again.
        run("mount", &["-o", "discard", &self.device, &text(&self.path())]).map(drop)
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Has all that was written so far reach the disk, and nothing of what is written from now on.
    pub fn fail(&self) -> io::Result<()> {
        self.sync()?;
        let mut filler = File::create(self.filler())?;
        while filler.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Has writes succeed again. What failed before is lost, though it can still be read.
    pub fn recover(&self) -> io::Result<()> {
        fs::remove_file(self.filler())
    }

    /// Shows what has reached the disk.
    pub fn remount(&self) -> io::Result<()> {
        let unmount = || run("umount", &[&text(&self.path())]);
        // A process that another thread is just starting has all files open until it becomes its program.
        let mut attempts = 0;
        while let Err(error) = unmount() {
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err(error);
            }
        }
        self.attach()
    }

    /// Writes all to the disk, by a file description of its own. A failure is then told to nobody who comes later.
    pub fn sync(&self) -> io::Result<()> {
        Ok(syncfs(File::open(self.path())?)?)
    }

    fn memory(&self) -> PathBuf {
        self.folder.path().join("memory")
    }

    fn filler(&self) -> PathBuf {
        self.memory().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A failure is seen as what is left in the system's folder of temporary files.
        let _ = run("umount", &[&text(&self.path())]);
        if !self.device.is_empty() {
            let _ = run("losetup", &["-d", &self.device]);
        }
        let _ = run("umount", &[&text(&self.memory())]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs a program of the system to its end and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let path = find_program(program).ok_or(io::ErrorKind::NotFound)?;
    let output = Command::new(path).args(arguments).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{program}: {error}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_read_until_the_disk_is_mounted_again() {
        let Ok(disk) = Disk::mount() else { return };
        let path = disk.path().join("file");
        fs::write(&path, "before").unwrap();
        disk.fail().unwrap();
        let lost = disk.path().join("lost");
        fs::write(&lost, "after").unwrap();
        disk.sync().unwrap_err();
        disk.sync().unwrap();
        assert_eq!(fs::read_to_string(&lost).unwrap(), "after");
        disk.recover().unwrap();
        disk.remount().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_ne!(fs::read(&lost).unwrap(), b"after");
    }
}

//! Files that are written aside and appear under their names when they are whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Advice, AtFlags, CWD, Mode, OFlags, fadvise, openat, renameat, unlinkat};
use rustix::io::Errno;

/// The bytes of a file's name that the name of the file aside repeats: with the rest it stays below the 255 bytes that a name may
/// have.
const MAX_NAME: usize = 200;
/// Bytes that are written before their way to the disk begins.
const WRITE_BACK: u64 = 8 << 20;

/// A file that appears under its name when all of it is there; dropped before that, it is removed.
///
/// Its directory is opened once: who may exchange directories on the way, or names in this one, gets no other file
/// written or replaced.
#[derive(Debug)]
pub(crate) struct Aside {
    directory: OwnedFd,
    temporary: OsString,
    file: File,
    name: OsString,
    written: u64,
    /// Those of `written` that are on their way to the disk.
    written_back: u64,
    published: bool,
}

impl Aside {
    /// Creates the file in the directory of `path`, with the mode that it is to have.
    pub(crate) fn new(path: &Path, mode: u32) -> io::Result<Self> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent, flags, Mode::empty())?;
        let (temporary, file) = create(&directory, &name, Mode::from_raw_mode(mode))?;
        let (written, written_back, published) = (0, 0, false);
        Ok(Self { directory, temporary, file, name, written, written_back, published })
    }

    /// Adds to the content.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.written_back >= WRITE_BACK {
            self.write_back();
        }
        Ok(())
    }

    /// Has what is new go to the disk while the rest comes, so that the sync at the end finds little to do. Linux begins to write what it is
    /// told is not needed; whether that went well the sync says.
    fn write_back(&mut self) {
        let new = NonZeroU64::new(self.written - self.written_back);
        // A file system that takes no advice writes at the sync.
        let _ = fadvise(&self.file, self.written_back, new, Advice::DontNeed);
        self.written_back = self.written;
    }

    /// Gives the file its name, in the place of what had it.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        renameat(&self.directory, &self.temporary, &self.directory, &self.name)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.published {
            // What is left over is the user's to see.
            let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// Creates a file of a name that nobody has.
fn create(directory: &OwnedFd, name: &OsStr, mode: Mode) -> Result<(OsString, File), Errno> {
    let shown = &name.as_bytes()[..name.len().min(MAX_NAME)];
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let chance = RandomState::new().hash_one(std::process::id());
        let mut temporary = OsString::from(".tmp-");
        temporary.push(OsStr::from_bytes(shown));
        temporary.push(format!("{chance:016x}"));
        match openat(directory, &temporary, flags, mode) {
            Ok(file) => return Ok((temporary, File::from(file))),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        fs::write(&path, "old").unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();

        let mut given_up = Aside::new(&path, 0o600).unwrap();
        given_up.write(b"half").unwrap();
        assert_eq!(names(), 2);
        drop(given_up);
        assert_eq!((names(), fs::read(&path).unwrap()), (1, b"old".to_vec()));

        let mut whole = Aside::new(&path, 0o600).unwrap();
        whole.write(b"new").unwrap();
        whole.publish().unwrap();
        assert_eq!((names(), fs::read(&path).unwrap()), (1, b"new".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Aside::new(&folder.path().join("n".repeat(255)), 0o644).unwrap().publish().unwrap();
        assert_eq!(names(), 2);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "old").unwrap();
        std::os::unix::fs::symlink("precious", at("link")).unwrap();
        Aside::new(&at("link"), 0o644).unwrap().publish().unwrap();
        assert_eq!(fs::read(at("precious")).unwrap(), b"old");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_file());
    }

    #[test]
    fn who_exchanges_the_directory_gets_no_other_file_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        fs::create_dir(at("victim")).unwrap();
        fs::write(at("victim/x"), "precious").unwrap();
        for publishes in [true, false] {
            let mut file = Aside::new(&at("theirs/x"), 0o600).unwrap();
            file.write(b"new").unwrap();
            let temporary = file.temporary.clone();
            fs::copy(at("victim/x"), at("victim").join(&temporary)).unwrap();
            fs::rename(at("theirs"), at("moved")).unwrap();
            std::os::unix::fs::symlink(at("victim"), at("theirs")).unwrap();
            if publishes {
                file.publish().unwrap();
                assert_eq!(fs::read(at("moved/x")).unwrap(), b"new");
            } else {
                drop(file);
                assert!(!at("moved").join(&temporary).exists());
            }
            assert_eq!(fs::read(at("victim/x")).unwrap(), b"precious");
            assert!(at("victim").join(&temporary).exists());
            fs::remove_file(at("theirs")).unwrap();
            fs::rename(at("moved"), at("theirs")).unwrap();
        }
    }
}

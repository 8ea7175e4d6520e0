//! File operations that name the file in their errors and leave either the old state or the new.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat, renameat};

use crate::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Creates a directory with exactly `mode`, whatever the umask. One that exists is left as it is.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| StoreError::io("set mode of", path, error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(StoreError::io("create", path, error)),
    }
}

/// As [`make_dir`], for what can be done without: a file in its place goes.
pub(crate) fn make_dir_anew(path: &Path, mode: u32) -> Result<()> {
    match make_dir(path, mode) {
        Err(_) if path.is_file() => {
            tracing::warn!(path = %path.display(), "it is no directory and makes way for one");
            remove_file(path)?;
            make_dir(path, mode)
        }
        result => result,
    }
}

/// Creates a file that must not exist yet, with exactly `mode`.
pub(crate) fn create_new(path: &Path, mode: u32) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| StoreError::io("create", path, error))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(|error| StoreError::io("set mode of", path, error))?;
    Ok(file)
}

/// Writes a new file without syncing it.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<File> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes).map_err(|error| StoreError::io("write", path, error))?;
    Ok(file)
}

/// Replaces `target` by `bytes` through a synced file beside it, which is gone if this fails.
///
/// The caller holds the store's lock exclusively and syncs the directory when its transaction is done.
pub(crate) fn replace(aside: &Path, target: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    replace_with(aside, target, bytes, mode, sync_all).map(drop)
}

/// As [`replace`], with a flock on the new file from before it is there. Returns what holds it.
pub(crate) fn replace_locked(aside: &Path, target: &Path, bytes: &[u8], mode: u32) -> Result<File> {
    replace_with(aside, target, bytes, mode, |file, path| {
        // Nobody else can have it yet.
        file.lock().map_err(|error| StoreError::io("lock", path, error))?;
        sync_all(file, path)
    })
}

fn sync_all(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| StoreError::io("sync", path, error))
}

/// As [`replace`], for what may be torn or lost in a power cut.
pub(crate) fn replace_unsynced(aside: &Path, target: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    replace_with(aside, target, bytes, mode, |_, _| Ok(())).map(drop)
}

fn replace_with(
    directory: &Path,
    target: &Path,
    bytes: &[u8],
    mode: u32,
    finish: impl FnOnce(&File, &Path) -> Result<()>,
) -> Result<File> {
    let aside = directory.join(format!("{TRANSACTION_PREFIX}{}", random_hex(8)?));
    let written = write_new(&aside, bytes, mode).and_then(|file| {
        finish(&file, &aside)?;
        make_way(target, directory)?;
        rename(&aside, target)?;
        Ok(file)
    });
    if written.is_err() {
        // What failed is reported; the file would be swept at the next start anyway.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// How the files of [`replace`] are called in `staging/`. They belong to whoever holds the lock.
pub(crate) const TRANSACTION_PREFIX: &str = "transaction-";

/// Renames over whatever is there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| StoreError::io("rename to", to, error))
}

/// Makes the names in a directory last through a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::io("sync", path, error))
}

/// Makes a file last through a power cut, its name included.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io("sync", path, error))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Opens a file for reading; `None` if there is none. A directory, a pipe or a device in its place is damage.
pub(crate) fn open(path: &Path) -> Result<Option<File>> {
    let failed = |error| StoreError::io("open", path, error);
    // Nobody is waited for who might write to a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from) {
        Ok(file) => File::from(file),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_file(&file, path)? {
        Ok(Some(file))
    } else {
        Err(StoreError::damaged(path, "it is no file"))
    }
}

/// Says whether what was opened at `path` is a file, not a directory, a pipe or a device.
pub(crate) fn is_file(file: &File, path: &Path) -> Result<bool> {
    let metadata = file.metadata().map_err(|error| StoreError::io("look at", path, error))?;
    Ok(metadata.is_file())
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    read_open(&file, path, limit).map(Some)
}

/// Reads an open file of at most `limit` bytes.
pub(crate) fn read_open(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let size = file.metadata().map_err(|error| StoreError::io("read", path, error))?.len();
    let refused = |size| {
        let what = format!("`{}`", path.display());
        StoreError::TooLarge { what, size, limit }
    };
    if size > limit {
        return Err(refused(size));
    }
    // One byte more than there is, or finding the end costs a second buffer.
    let expected = usize::try_from(size.min(limit)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(expected + 1);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::io("read", path, error))?;
    let length = bytes.len() as u64;
    if length > limit { Err(refused(length)) } else { Ok(bytes) }
}

/// Reads a short text without the white space around it; `None` if there is no such file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    // Digests, sizes and IDs: the longest is `lower` with 128 links of 28 characters.
    const LIMIT: u64 = 8192;
    let Some(bytes) = read(path, LIMIT)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| StoreError::damaged(path, error))?;
    Ok(Some(text.trim().to_owned()))
}

/// Reads a short text that can be done without: what cannot be read is told in the log and counts as missing.
pub(crate) fn read_note(path: &Path) -> Option<String> {
    sound(read_text(path))
}

/// Returns what was read, or nothing if it could not be, which is told in the log.
pub(crate) fn sound<T>(read: Result<Option<T>>) -> Option<T> {
    read.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "what cannot be read counts as missing");
        None
    })
}

/// Takes whatever is at `path` and is no file away to `attic`, so that a file can be put there. Says whether there was something.
pub(crate) fn make_way(path: &Path, attic: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(false),
        Ok(_) => {
            tracing::warn!(path = %path.display(), "it is no file and makes way for one");
            rename(path, &attic.join(random_hex(16)?)).map(|()| true)
        }
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(StoreError::io("look at", path, error)),
    }
}

/// Removes a file; says whether there was one.
pub(crate) fn remove_file(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(StoreError::io("remove", path, error)),
    }
}

/// Lists the names in a directory that are UTF-8, as all of the store's are; nothing if it does not exist.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    Ok(all_names(path)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// Lists all names in a directory, also those that nobody should have made; nothing if it does not exist.
pub(crate) fn all_names(path: &Path) -> Result<Vec<OsString>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", path, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io("list", path, error))?;
        names.push(entry.file_name());
    }
    Ok(names)
}

/// Says whether something by this name exists, be it a dangling link.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(StoreError::io("look at", path, error)),
    }
}

/// Says whether an open file is the one at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    let failed = |error| StoreError::io("look at", path, error);
    let open = file.metadata().map_err(failed)?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns `length` random bytes.
pub(crate) fn random(length: usize) -> Result<Vec<u8>> {
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = vec![0; length];
    File::open(SOURCE)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| StoreError::io("read", SOURCE, error))?;
    Ok(bytes)
}

/// Returns `length` random bytes in hex.
pub(crate) fn random_hex(length: usize) -> Result<String> {
    Ok(hex(&random(length)?))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Removes a tree, however deep: what a layer holds was named by a stranger.
///
/// `attic` is a directory of the same file system where deep parts may be put meanwhile.
pub(crate) fn remove_tree(path: &Path, attic: &Path) -> Result<()> {
    let mut trees = vec![path.to_owned()];
    while let Some(tree) = trees.pop() {
        let error = match fs::remove_dir_all(&tree) {
            Ok(()) => continue,
            Err(error) if is_missing(&error) => continue,
            Err(error) => error,
        };
        // The standard library holds a descriptor a level: thousands of levels run out of them. Cut the tree in two.
        let Some(part) = cut(&tree, attic)? else {
            return Err(StoreError::io("remove", &tree, error));
        };
        trees.push(tree);
        trees.push(part);
    }
    Ok(())
}

/// Moves a directory deep inside of `tree` into `attic`; `None` if there is none in it.
///
/// The standard library removed what came before the place where it gave up, so the first directory of each level leads
/// there.
fn cut(tree: &Path, attic: &Path) -> Result<Option<PathBuf>> {
    // Far below the 1024 descriptors that a process has at least.
    const LEVELS: usize = 256;
    let failed = |error: rustix::io::Errno| StoreError::io("remove", tree, error.into());
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(CWD, tree, flags, Mode::empty()).map_err(failed)?;
    let mut deepest = None;
    for _ in 0..LEVELS {
        let Some(name) = first_directory(&at).map_err(failed)? else { break };
        let next = openat(&at, &*name, flags, Mode::empty()).map_err(failed)?;
        deepest = Some((at, name));
        at = next;
    }
    let Some((parent, name)) = deepest else { return Ok(None) };
    let part = attic.join(random_hex(16)?);
    renameat(&parent, &*name, CWD, &part).map_err(failed)?;
    Ok(Some(part))
}

fn first_directory(at: &OwnedFd) -> rustix::io::Result<Option<CString>> {
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Writes everything of the file system that `file` is on to the disk, and reports what failed to get there since `file` was
/// opened or last told.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Writes everything to the disk.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(_file: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_no_more_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read(&path, 3).unwrap(), None);
        fs::write(&path, b"abc").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"abc");
        let error = read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("has 3 bytes, more than the 2"), "{error}");
        assert_eq!(read(&path.join("below a file"), 3).unwrap(), None);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        replace(dir.path(), &target, b"old", 0o600).unwrap();
        replace(dir.path(), &target.join("below a file"), b"new", 0o600).unwrap_err();
        assert_eq!(names(dir.path()).unwrap(), ["target"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_no_file_is_damage_and_makes_way() {
        let dir = tempfile::tempdir().unwrap();
        let attic = dir.path().join("attic");
        fs::create_dir(&attic).unwrap();
        let target = dir.path().join("target");
        let make: [fn(&Path); 3] = [
            |path| fs::create_dir_all(path.join("full")).unwrap(),
            |path| {
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, 0).unwrap();
            },
            |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
        ];
        for make in make {
            make(&target);
            assert_eq!(sound(read(&target, 9)), None);
            replace(&attic, &target, b"new", 0o600).unwrap();
            assert_eq!(read(&target, 9).unwrap().unwrap(), b"new");
            fs::remove_file(&target).unwrap();
        }
        assert!(!make_way(&target, &attic).unwrap());
        fs::write(&target, [0xff]).unwrap();
        assert_eq!(read_note(&target), None);
    }

    #[test]
    fn removes_trees_that_are_deeper_than_the_descriptors_reach() {
        use rustix::fs::mkdirat;
        let dir = tempfile::tempdir().unwrap();
        let (tree, attic) = (dir.path().join("tree"), dir.path().join("attic"));
        fs::create_dir(&attic).unwrap();
        fs::create_dir(&tree).unwrap();
        let mut at = openat(CWD, &tree, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        remove_tree(&tree, &attic).unwrap();
        assert!(!tree.exists());
        assert!(names(&attic).unwrap().is_empty());
    }
}

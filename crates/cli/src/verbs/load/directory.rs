//! A directory as the archive that it was or could be: an OCI image layout, or an unpacked `docker save`.
//!
//! It is sent as a tar of its files, sorted by name. Links are sent as the files that they lead to, and none leads out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use archive::{TarEntry, TarWriter};
use bytes::{Bytes, BytesMut};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat,
};
use rustix::io::Errno;

use crate::client::{Feed, RequestBody, Source, body_by};
use crate::error::{CliError, in_go_words};

/// The most files, as of any archive that is loaded.
const MAX_FILES: usize = 100_000;
/// The deepest directory: the blobs of a layout are in the second level.
const MAX_DEPTH: usize = 8;
/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;

/// Begins to read a directory for a request.
pub(super) fn open(path: &Path) -> Result<(RequestBody, Source), CliError> {
    let failed = |error: &io::Error| {
        CliError::Refused(format!("open {}: {}", path.display(), in_go_words(error)))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| failed(&errno.into()))?;
    let files = list(&root).map_err(|error| failed(&error))?;
    if !files.contains("manifest.json") && !files.contains("index.json") {
        return Err(CliError::Refused(format!(
            "{} is neither an OCI image layout nor an unpacked archive: it has no index.json and no manifest.json",
            path.display()
        )));
    }
    Ok(body_by(path.display().to_string(), move |feed| send(&root, &files, feed)))
}

/// Lists the files and links of a directory and those in it, by their paths.
fn list(root: &OwnedFd) -> io::Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![(String::new(), root.try_clone()?, 0)];
    while let Some((prefix, folder, depth)) = folders.pop() {
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let text = name.to_str().map_err(|_| {
                let name = name.to_string_lossy();
                io::Error::other(format!("the name {name:?} is not UTF-8"))
            })?;
            let path = format!("{prefix}{text}");
            let kind = match entry.file_type() {
                FileType::Unknown => FileType::from_raw_mode(
                    statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode,
                ),
                kind => kind,
            };
            match kind {
                FileType::Directory if depth < MAX_DEPTH => {
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let below = openat(&folder, name, flags, Mode::empty())?;
                    folders.push((format!("{path}/"), below, depth + 1));
                }
                FileType::RegularFile | FileType::Symlink => _ = files.insert(path),
                _ => {}
            }
            if files.len() > MAX_FILES {
                return Err(io::Error::other(format!("it has more than {MAX_FILES} files")));
            }
        }
    }
    Ok(files)
}

fn send(root: &OwnedFd, files: &BTreeSet<String>, feed: &Feed) -> io::Result<()> {
    let mut tar = TarWriter::new(Chunks { feed, buffer: BytesMut::with_capacity(CHUNK) });
    for path in files {
        let named = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe => error,
            kind => io::Error::new(kind, format!("read {path}: {}", in_go_words(&error))),
        };
        match send_file(root, path, &mut tar).map_err(named) {
            // Nobody reads any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent?,
        }
    }
    match tar.finish() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Sends a file. A link that leads to no file is left out, as what it stands for is not here.
fn send_file(root: &OwnedFd, path: &str, tar: &mut TarWriter<Chunks<'_>>) -> io::Result<()> {
    // Not blocking, should a FIFO have taken its place.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root.as_fd(), path, flags, Mode::empty(), within) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::XDEV) => return Err(io::Error::other("it is a link out of the directory")),
        Err(errno) => return Err(errno.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    let size = metadata.len();
    tar.start(&TarEntry { name: path, mode: 0o644, modified: 0, size })?;
    let mut left = size;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        match (&file).read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::Error::other("it became shorter meanwhile")),
            Ok(read) => {
                tar.write_content(&buffer[..read])?;
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Collects what is written and sends it in large pieces.
struct Chunks<'a> {
    feed: &'a Feed,
    buffer: BytesMut,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let full: Bytes = std::mem::take(&mut self.buffer).freeze();
        if full.is_empty() || self.feed.blocking_send(full) {
            return Ok(());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use http_body_util::BodyExt as _;

    use super::*;

    /// The files of a tar, or what is said of the directory.
    fn sent(folder: &Path) -> Result<Vec<(String, u64)>, String> {
        let (body, _) = open(folder).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(body.collect()).map_err(|error| error.to_string())?.to_bytes();
        let mut files = Vec::new();
        archive::read_entries(&*bytes, u64::MAX, |entry, _| {
            files.push((String::from_utf8(entry.path).unwrap(), entry.size));
            Ok::<_, archive::ArchiveError>(())
        })
        .unwrap();
        Ok(files)
    }

    #[test]
    fn files_are_sent_in_order_and_links_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        let at = |path: &str| root.join(path);
        std::fs::write(at("x"), "outside").unwrap();
        std::fs::rename(at("x"), folder.path().join("x")).unwrap();
        let said = sent(&root).unwrap_err();
        assert!(said.contains("neither an OCI image layout"), "{said}");
        std::fs::write(at("manifest.json"), "[]").unwrap();
        std::fs::write(at("b/c/blob"), vec![7; 300_000]).unwrap();
        std::fs::write(at("a"), "").unwrap();
        symlink("../b/c/blob", at("b/link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("b", at("folder")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let expected = [("a", 0), ("b/c/blob", 300_000), ("b/link", 300_000), ("manifest.json", 2)];
        let expected: Vec<_> = expected.map(|(path, size)| (path.to_owned(), size)).into();
        assert_eq!(sent(&root).unwrap(), expected);
        for target in ["../x".to_owned(), folder.path().join("x").display().to_string()] {
            symlink(target, at("z")).unwrap();
            let said = sent(&root).unwrap_err();
            assert!(said.contains("read z: it is a link out of the directory"), "{said}");
            std::fs::remove_file(at("z")).unwrap();
        }
    }
}

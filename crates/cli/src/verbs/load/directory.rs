//! A directory as the archive that it was or could be: an OCI image layout, or an unpacked `docker save`.
//!
//! It is sent as a tar of the files that such an archive has, sorted by name; whatever else lies there is nobody's business. Links are
//! sent as the files that they lead to, and none leads out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use archive::{TarEntry, TarWriter};
use bytes::{Bytes, BytesMut};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;
use serde::Deserialize;
use spec::{Algorithm, Digest};

use crate::client::{Feed, RequestBody, Source, body_by};
use crate::error::{CliError, in_go_words};

/// The documents of an archive: which images it has, and what it leaves out of them.
const DOCUMENTS: [&str; 5] =
    ["index.json", "longshore-left-out.json", MANIFEST, "oci-layout", "repositories"];
/// The list that names its files itself.
const MANIFEST: &str = "manifest.json";
/// The largest such list, as for who loads it.
const MAX_LIST: u64 = 16 << 20;
/// The most files, as of any archive that is loaded.
const MAX_FILES: usize = 100_000;
/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;

/// An image of a `manifest.json`, as far as it names files.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    layers: Vec<String>,
}

/// Begins to read a directory for a request.
pub(super) fn open(path: &Path) -> Result<(RequestBody, Source), CliError> {
    let failed = |error: &io::Error| {
        CliError::Refused(format!("open {}: {}", path.display(), in_go_words(error)))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| failed(&errno.into()))?;
    let is_there = |name: &str| statat(&root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if !is_there(MANIFEST) && !is_there("index.json") {
        return Err(CliError::Refused(format!(
            "{} is neither an OCI image layout nor an unpacked archive: it has no index.json and no manifest.json",
            path.display()
        )));
    }
    if !is_there("index.json") && is_one_image(&root).map_err(|error| failed(&error))? {
        let shown = path.display();
        let error = format!("{shown} is no archive but one image as skopeo's `dir:` has it");
        let hint = format!("`longshore copy dir:{shown} docker-daemon:NAME:TAG` brings it here");
        return Err(CliError::Advised { error: Box::new(CliError::Refused(error)), hint });
    }
    let files = files(&root).map_err(|error| failed(&error))?;
    let (body, source) = body_by(path.display().to_string(), move |feed| send(&root, &files, feed));
    Ok((body, source.of_folder()))
}

/// Says whether `manifest.json` is the manifest of an image, and no list of images.
fn is_one_image(root: &OwnedFd) -> io::Result<bool> {
    let document = serde_json::from_slice::<serde_json::Map<_, _>>(&list(root)?);
    Ok(document.is_ok_and(|document| document.contains_key("schemaVersion")))
}

/// Lists the files that an archive in a directory has, by their paths, there or not.
fn files(root: &OwnedFd) -> io::Result<BTreeSet<String>> {
    let mut files: BTreeSet<String> = DOCUMENTS.map(str::to_owned).into();
    let mut add = |path: String| {
        files.insert(path);
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!("it has more than {MAX_FILES} files")));
        }
        Ok(())
    };
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let folder = format!("blobs/{algorithm}");
        let opened = open_beneath(root, &folder, OFlags::DIRECTORY);
        let Some(blobs) = opened.map_err(|error| named(&folder, &error))? else { continue };
        for entry in Dir::read_from(blobs)? {
            let entry = entry?;
            let Ok(hex) = entry.file_name().to_str() else { continue };
            if format!("{algorithm}:{hex}").parse::<Digest>().is_ok() {
                add(format!("{folder}/{hex}"))?;
            }
        }
    }
    for Listed { config, layers } in listed(root)? {
        for path in layers.iter().chain([&config]).filter_map(|path| within(path)) {
            add(path)?;
        }
    }
    Ok(files)
}

/// Reads which images `manifest.json` lists. Who loads it says what is wrong with it.
fn listed(root: &OwnedFd) -> io::Result<Vec<Listed>> {
    let bytes = list(root)?;
    Ok(spec::from_first_go_json::<Option<Vec<Listed>>>(&bytes).ok().flatten().unwrap_or_default())
}

/// Reads `manifest.json`; nothing if there is none.
fn list(root: &OwnedFd) -> io::Result<Vec<u8>> {
    let opened = open_beneath(root, MANIFEST, OFlags::NONBLOCK);
    let mut bytes = Vec::new();
    if let Some(file) = opened.map_err(|error| named(MANIFEST, &error))?
        && file.metadata()?.is_file()
    {
        file.take(MAX_LIST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Returns a path of a list as that of the file which a load takes it for: the directory is all that there is.
fn within(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    (!parts.is_empty() && !path.contains('\0')).then(|| parts.join("/"))
}

/// Says which file it was that could not be read.
fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("read {path}: {}", in_go_words(error)))
}

/// Opens what is at a path, or where links from there lead; `None` if there is nothing.
fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<Option<File>> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root.as_fd(), path, flags, Mode::empty(), within) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(Errno::XDEV) => Err(io::Error::other("it is a link out of the directory")),
        Err(errno) => Err(errno.into()),
    }
}

fn send(root: &OwnedFd, files: &BTreeSet<String>, feed: &Feed) -> io::Result<()> {
    let mut tar = TarWriter::new(Chunks { feed, buffer: BytesMut::with_capacity(CHUNK) });
    for path in files {
        match send_file(root, path, &mut tar).map_err(|error| named(path, &error)) {
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

/// Sends a file. One that is not there, or is none, is left out: who loads the archive says what it lacks.
fn send_file(root: &OwnedFd, path: &str, tar: &mut TarWriter<Chunks<'_>>) -> io::Result<()> {
    // Not blocking, should it be a FIFO.
    let Some(file) = open_beneath(root, path, OFlags::NONBLOCK)? else { return Ok(()) };
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
    fn what_an_archive_has_is_sent_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let hex = |digit: &str| digit.repeat(64);
        let blob = format!("blobs/sha256/{}", hex("a"));
        std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        let at = |path: &str| root.join(path);
        let said = sent(&root).unwrap_err();
        assert!(said.contains("neither an OCI image layout"), "{said}");
        std::fs::write(at(&blob), vec![7; 300_000]).unwrap();
        std::fs::write(at("config"), "{}").unwrap();
        std::fs::write(at("b/c/layer"), "layer").unwrap();
        symlink("../b/c/layer", at("b/link")).unwrap();
        symlink("c", at("b/d")).unwrap();
        let list = r#"[{"Config":"config","RepoTags":["a:1"],"Layers":["b/link","/b/d/.//layer","../gone","b","dangling"]},
            {"config":"../config","layers":null}]"#;
        std::fs::write(at(MANIFEST), list).unwrap();

        // What nobody needs: large, odd, out of reach, or a lie.
        File::create(at("notes")).unwrap().set_len(1 << 40).unwrap();
        File::create(at("blobs/sha256/other")).unwrap().set_len(1 << 40).unwrap();
        symlink("/etc/hostname", at("hostname")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        std::fs::create_dir(at(&format!("blobs/sha256/{}", hex("b")))).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let list = list.len() as u64;
        let expected =
            [("b/d/layer", 5), ("b/link", 5), (&blob, 300_000), ("config", 2), (MANIFEST, list)];
        let expected: Vec<_> = expected.map(|(path, size)| (path.to_owned(), size)).into();
        assert_eq!(sent(&root).unwrap(), expected);

        // What is needed, and lies elsewhere.
        std::fs::write(folder.path().join("x"), "outside").unwrap();
        let outside = folder.path().join("x").display().to_string();
        for (link, target) in
            [("b/link", "../../x"), ("oci-layout", &outside), (&blob, "../../../x")]
        {
            _ = std::fs::remove_file(at(link));
            symlink(target, at(link)).unwrap();
            let said = sent(&root).unwrap_err();
            let expected = format!("read {link}: it is a link out of the directory");
            assert!(said.contains(&expected), "{said}");
            std::fs::remove_file(at(link)).unwrap();
        }
        std::fs::remove_dir_all(at("blobs")).unwrap();
        symlink("../blobs", at("blobs")).unwrap();
        let said = sent(&root).unwrap_err();
        assert!(said.ends_with("read blobs/sha256: it is a link out of the directory"), "{said}");
    }

    /// A list that cannot be read is sent as it is, for who loads it to say what is wrong.
    #[test]
    fn a_list_that_is_none_names_nothing() {
        for list in [
            "null",
            "{",
            "{}",
            r#"[{"Config":7}]"#,
            r#"[{"Config":"","Layers":["",".","..","a\u0000"]}]"#,
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(MANIFEST), list).unwrap();
            assert_eq!(sent(folder.path()).unwrap(), [(MANIFEST.to_owned(), list.len() as u64)]);
        }
    }
}

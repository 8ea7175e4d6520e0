//! The files of an archive: where each is in it, or, if it is compressed or a stream, in a file without a name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use archive::{ArchiveError, Compression, EntryKind, read_entries, read_entries_in_place};

use super::region::Region;

/// The most entries of an archive of images: some thousand images of a hundred layers.
const MAX_ENTRIES: usize = 1 << 20;
/// The longest chain of links to a file: dockers make one.
const MAX_LINKS: usize = 8;
/// The bytes by which a compression is known.
const MAGIC: u64 = 16;
/// No archive is this large; the disk ends before.
const MAX_SIZE: u64 = 1 << 50;

/// The files of an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Arc<File>,
    entries: HashMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
enum Entry {
    At {
        start: u64,
        size: u64,
    },
    /// A link to this path from the root.
    Link(Vec<u8>),
}

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no room to put aside what it holds.
    #[error(
        "cannot write what it holds to {folder}, the folder for temporary files (TMPDIR): {source}"
    )]
    Scratch {
        /// The folder for temporary files.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// It is none.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It has more entries than any.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
}

impl Archive {
    /// Reads which files an archive has. One that is not compressed is read in place. Blocking.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self, ArchiveFault> {
        let mut file = File::open(path)?;
        let mut magic = Vec::new();
        (&mut file).take(MAGIC).read_to_end(&mut magic)?;
        let is_file = file.metadata()?.is_file();
        if !is_file || Compression::detect(&magic) != Compression::None {
            let whole = io::Cursor::new(magic).chain(file);
            return Self::receive(whole, scratch);
        }
        let mut entries = HashMap::new();
        read_entries_in_place(&file, MAX_SIZE, |entry, content| {
            // A sparse file is not in one piece; no tool that makes such archives writes one.
            let start = content.start().unwrap_or_default();
            let size = if content.start().is_some() { entry.size } else { 0 };
            add(&mut entries, entry.path, &entry.kind, Entry::At { start, size })
        })?;
        Ok(Self { file: Arc::new(file), entries })
    }

    /// Puts the files of a stream aside, in a file without a name. Blocking.
    pub(crate) fn receive(stream: impl Read + Send, scratch: &Path) -> Result<Self, ArchiveFault> {
        let aside = |source| {
            let folder = scratch.display().to_string();
            ArchiveFault::Scratch { folder, source }
        };
        let mut file = BufWriter::new(tempfile::tempfile_in(scratch).map_err(aside)?);
        let (mut entries, mut end) = (HashMap::new(), 0);
        read_entries(stream, MAX_SIZE, |entry, content| {
            let start = end;
            if entry.kind == EntryKind::File {
                content.copy(|bytes| {
                    end += bytes.len() as u64;
                    file.write_all(bytes).map_err(aside)
                })?;
            }
            let at = Entry::At { start, size: end - start };
            add(&mut entries, entry.path, &entry.kind, at)
        })?;
        let file = file.into_inner().map_err(|error| aside(error.into_error()))?;
        Ok(Self { file: Arc::new(file), entries })
    }

    /// Finds a file by its path, through links.
    pub(crate) fn find(&self, path: &[u8]) -> Option<Region> {
        let mut path = path;
        for _ in 0..=MAX_LINKS {
            match self.entries.get(path)? {
                Entry::At { start, size } => {
                    let file = Arc::clone(&self.file);
                    return Some(Region { file, start: *start, size: *size });
                }
                Entry::Link(target) => path = target,
            }
        }
        None
    }
}

fn add(
    entries: &mut HashMap<Vec<u8>, Entry>,
    path: Vec<u8>,
    kind: &EntryKind,
    at: Entry,
) -> Result<(), ArchiveFault> {
    if entries.len() >= MAX_ENTRIES {
        return Err(ArchiveFault::TooMany);
    }
    let entry = match kind {
        EntryKind::File => at,
        EntryKind::HardLink(target) => Entry::Link(target.clone()),
        EntryKind::Symlink(target) => Entry::Link(beside(&path, target)),
        EntryKind::Directory | EntryKind::Other => return Ok(()),
    };
    entries.insert(path, entry);
    Ok(())
}

/// Returns where a symbolic link of a file leads, from the root. No path leads out of an archive: it is looked up among the
/// paths of the archive alone.
fn beside(path: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    if !target.starts_with(b"/") {
        parts.extend(path.split(|byte| *byte == b'/'));
        parts.pop();
    }
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

//! The files that an image is read from.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::archive::Archive;
use super::region::Region;

/// The files that an image is read from. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// A folder. Links are followed, as some tools make layouts of links: what they lead to has to have the digest that is wanted.
    Folder(Arc<PathBuf>),
    Archive(Arc<Archive>),
}

impl Tree {
    /// Finds a file by its path from the root; nothing if there is none. Blocking.
    pub(crate) fn find(&self, path: &str) -> io::Result<Option<Region>> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::Archive(archive) => return Ok(archive.find(path.as_bytes())),
        };
        let path = folder.join(path);
        // A pipe or device would be waited for when it is opened.
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {
                let file = File::open(path)?;
                let size = file.metadata()?.len();
                Ok(Some(Region { file: Arc::new(file), start: 0, size }))
            }
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

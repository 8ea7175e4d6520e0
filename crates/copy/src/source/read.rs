//! Documents and blobs that are files.

use bytes::Bytes;
use futures_util::StreamExt as _;
use spec::{Digest, MAX_MANIFEST_SIZE};

use crate::CopyError;
use crate::error::Result;
use crate::files::blocking::blocking;
use crate::files::region::Region;
use crate::files::tree::Tree;
use crate::pieces::Pieces;

/// Finds a file of `place`.
pub(crate) async fn file(tree: &Tree, place: &str, path: &str) -> Result<Option<Region>> {
    let (tree, wanted) = (tree.clone(), path.to_owned());
    let found = blocking(move || tree.find(&wanted)).await;
    found.map_err(|source| CopyError::Read { path: format!("{place}/{path}"), source })
}

/// Reads a file of at most `limit` bytes.
pub(crate) async fn read(file: Region, path: String, limit: u64) -> Result<Bytes> {
    match blocking(move || file.read(limit)).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(CopyError::TooLarge { path, limit }),
        Err(source) => Err(CopyError::Read { path, source }),
    }
}

/// Reads a manifest or index, with a digest if it has to have one.
pub(crate) async fn document(
    tree: &Tree,
    place: &str,
    path: String,
    digest: Option<&Digest>,
) -> Result<Bytes> {
    let file = file(tree, place, &path).await?;
    let shown = format!("{place}/{path}");
    let file = file.ok_or_else(|| CopyError::Missing { path: shown.clone() })?;
    let bytes = read(file, shown.clone(), MAX_MANIFEST_SIZE).await?;
    let Some(expected) = digest else { return Ok(bytes) };
    let mut hasher = expected.hasher();
    hasher.update(&bytes);
    match hasher.finish() {
        actual if actual == *expected => Ok(bytes),
        actual => Err(CopyError::Digest { place: shown, expected: expected.clone(), actual }),
    }
}

/// Opens a blob at a place in it.
pub(crate) async fn open_blob(
    tree: &Tree,
    place: &str,
    path: String,
    start: u64,
) -> Result<Pieces> {
    let file = file(tree, place, &path).await?;
    let path = format!("{place}/{path}");
    let file = file.ok_or_else(|| CopyError::Missing { path: path.clone() })?;
    let pieces = file
        .stream(start)
        .map(move |piece| piece.map_err(|source| CopyError::Read { path: path.clone(), source }));
    Ok(Pieces { start, pieces: pieces.boxed() })
}

//! Paths of a layer, followed component by component as the kernel follows them in a chroot.
//!
//! One walk for two kinds of layers: those in a directory, whose entries lie where symlinks of the same layer lead, and those
//! that are only looked at ([`Tree`](crate::tree::Tree)). So both end at the same place, or at the same error.

use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::failed;
use crate::path::split;
use crate::tar::MAX_NAME;

/// The most symlinks on the way: the kernel's own bound.
const MAX_LINKS: usize = 40;

/// What stands under a name.
pub(crate) enum Found<D> {
    Nothing,
    Directory(D),
    Symlink(Vec<u8>),
    Other,
}

/// A directory and its path without symlinks.
pub(crate) type Resolved<D> = (D, Vec<u8>);

/// Directories that can be walked. A directory's `path` leads to it from the root without symlinks.
pub(crate) trait Walked {
    type Directory: Clone;

    /// Opens a directory by its path.
    fn at(&mut self, path: &[u8]) -> Result<Self::Directory, ArchiveError>;

    /// Looks at the last component of `path` in its directory.
    fn look_up(
        &mut self,
        directory: &Self::Directory,
        path: &[u8],
    ) -> Result<Found<Self::Directory>, ArchiveError>;

    /// Makes a directory that the tar leaves out, as the last component of `path`.
    fn imply(
        &mut self,
        directory: &Self::Directory,
        path: &[u8],
    ) -> Result<Self::Directory, ArchiveError>;
}

/// Follows `name` to a directory; returns it with its path. Makes what is not there, also behind a dangling symlink, if
/// `create` says so; else there is `None`.
pub(crate) fn resolve<W: Walked>(
    walked: &mut W,
    name: &[u8],
    create: bool,
) -> Result<Option<Resolved<W::Directory>>, ArchiveError> {
    let mut directory = walked.at(b"")?;
    let mut path = Vec::new();
    let mut links = 0;
    let mut rest = name.to_vec();
    while let Some(component) = take_component(&mut rest) {
        if component == b".." {
            path.truncate(split(&path).0.len());
            directory = walked.at(&path)?;
            continue;
        }
        let parent = path.len();
        append(&mut path, &component)?;
        match walked.look_up(&directory, &path)? {
            Found::Directory(found) => directory = found,
            Found::Nothing if create => directory = walked.imply(&directory, &path)?,
            Found::Nothing => return Ok(None),
            Found::Other => return Err(failed("open the directory", name)(Errno::NOTDIR)),
            Found::Symlink(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(failed("open the directory", name)(Errno::LOOP));
                }
                path.truncate(if target.starts_with(b"/") { 0 } else { parent });
                if path.is_empty() {
                    directory = walked.at(b"")?;
                }
                rest = [&target[..], b"/", &rest].concat();
            }
        }
    }
    Ok(Some((directory, path)))
}

/// Appends a component to a path from the root.
pub(crate) fn append(path: &mut Vec<u8>, component: &[u8]) -> Result<(), ArchiveError> {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(component);
    // By symlinks a layer could nest its directories deeper than any path can name.
    if path.len() >= MAX_NAME {
        return Err(failed("open the directory", path)(Errno::NAMETOOLONG));
    }
    Ok(())
}

/// Takes the first component that means anything off a path.
fn take_component(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let start = rest.iter().position(|byte| *byte != b'/')?;
        let end = rest[start..].iter().position(|byte| *byte == b'/');
        let end = end.map_or(rest.len(), |length| start + length);
        let component = rest[start..end].to_vec();
        rest.drain(..end);
        if component != b"." {
            return Some(component);
        }
    }
}

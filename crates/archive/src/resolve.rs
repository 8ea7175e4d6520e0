//! Paths of a layer, followed component by component as the kernel follows them in a chroot.
//!
//! One walk for two kinds of layers: those in a directory, whose entries lie where symlinks of the same layer lead, and those
//! that are only looked at ([`Tree`](crate::tree::Tree)). So both end at the same place, or at the same error.

use rustix::io::Errno;

use crate::ArchiveError;
use crate::error::failed;
use crate::path::split;
use crate::tar::MAX_NAME;

/// The most symlinks on the way: the kernel's own bound.
const MAX_LINKS: usize = 40;
/// The most bytes that all symlinks on the way lead through: as many as one may. With the kernel's 40 times as many, a layer
/// could make each of its entries cost a hundred thousand steps.
const MAX_FOLLOWED: usize = MAX_NAME;

/// The thing that stands under a name.
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
    let refused = |errno| Err(failed("open the directory", name)(errno));
    let mut path = Vec::new();
    // Only what is looked into is opened, so that a row of `..` costs nothing.
    let mut directory = None;
    let mut links = 0;
    let mut followed = 0;
    // The next one comes last.
    let mut ahead: Vec<Vec<u8>> = components_reversed(name).collect();
    while let Some(component) = ahead.pop() {
        if component == b".." {
            path.truncate(split(&path).0.len());
            directory = None;
            continue;
        }
        let parent = path.len();
        let within = match directory.take() {
            Some(within) => within,
            None => walked.at(&path)?,
        };
        append(&mut path, &component)?;
        directory = match walked.look_up(&within, &path)? {
            Found::Directory(found) => Some(found),
            Found::Nothing if create => Some(walked.imply(&within, &path)?),
            Found::Nothing => return Ok(None),
            Found::Other => return refused(Errno::NOTDIR),
            Found::Symlink(target) => {
                links += 1;
                followed += target.len();
                if links > MAX_LINKS {
                    return refused(Errno::LOOP);
                }
                if followed > MAX_FOLLOWED {
                    return refused(Errno::NAMETOOLONG);
                }
                ahead.extend(components_reversed(&target));
                path.truncate(if target.starts_with(b"/") { 0 } else { parent });
                (path.len() == parent).then_some(within)
            }
        };
    }
    let directory = match directory {
        Some(directory) => directory,
        None => walked.at(&path)?,
    };
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

/// The components of a path that mean anything, the last one first.
fn components_reversed(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let components = path.split(|byte| *byte == b'/').rev();
    components.filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of the directory `d` and the symlinks `0`, `1`, …, which counts its steps.
    struct Links {
        targets: Vec<Vec<u8>>,
        steps: usize,
    }

    impl Walked for Links {
        type Directory = Vec<u8>;

        fn at(&mut self, path: &[u8]) -> Result<Vec<u8>, ArchiveError> {
            self.steps += 1;
            Ok(path.to_vec())
        }

        fn look_up(
            &mut self,
            directory: &Vec<u8>,
            path: &[u8],
        ) -> Result<Found<Vec<u8>>, ArchiveError> {
            self.steps += 1;
            let (parent, name) = split(path);
            assert_eq!(parent, directory);
            let number = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            Ok(match number.and_then(|number: usize| self.targets.get(number)) {
                Some(target) => Found::Symlink(target.clone()),
                None if name == b"d" => Found::Directory(path.to_vec()),
                None => Found::Nothing,
            })
        }

        fn imply(&mut self, _: &Vec<u8>, path: &[u8]) -> Result<Vec<u8>, ArchiveError> {
            Ok(path.to_vec())
        }
    }

    /// Follows a name through symlinks; returns where it leads, or the error, and the number of steps.
    fn follow(name: &str, targets: &[&str]) -> (String, usize) {
        let targets = targets.iter().map(|target| target.as_bytes().to_vec()).collect();
        let mut links = Links { targets, steps: 0 };
        let end = match resolve(&mut links, name.as_bytes(), false) {
            Ok(Some((directory, path))) => {
                assert_eq!(directory, path);
                String::from_utf8(path).unwrap()
            }
            Ok(None) => "nothing".to_owned(),
            Err(ArchiveError::Io { source, .. }) => format!("{:?}", source.raw_os_error()),
            Err(error) => error.to_string(),
        };
        (end, links.steps)
    }

    #[test]
    fn names_lead_where_the_kernel_says() {
        for (name, targets, expected) in [
            ("", &[][..], ""),
            ("d/d", &[], "d/d"),
            ("./d//d/.", &[], "d/d"),
            ("d/../../d", &[], "d"),
            ("d/d/..", &[], "d"),
            ("d/..", &[], ""),
            ("d/x", &[], "nothing"),
            ("d/0/d", &["d"], "d/d/d"),
            ("d/0/d", &["/d"], "d/d"),
            ("d/0/d", &["/"], "d"),
            ("d/0/d", &[".."], "d"),
            ("d/d/0/d", &["../1/d", "d/d"], "d/d/d/d/d"),
            ("0/d", &["1/../d", "d/d"], "d/d/d"),
            ("0", &["x"], "nothing"),
        ] {
            assert_eq!(follow(name, targets).0, expected, "{name} {targets:?}");
        }
    }

    #[test]
    fn symlinks_are_followed_so_far_and_no_further() {
        let chain = |count: usize, target: &dyn Fn(usize) -> String| {
            let targets: Vec<_> = (1..=count).map(target).collect();
            let mut targets: Vec<_> = targets.iter().map(String::as_str).collect();
            targets.push("d");
            follow("0", &targets)
        };
        let code = |errno: Errno| format!("{:?}", Some(errno.raw_os_error()));
        assert_eq!(chain(39, &|next| next.to_string()).0, "d");
        assert_eq!(chain(40, &|next| next.to_string()).0, code(Errno::LOOP));
        // One of the longest, and several that are as long together.
        assert_eq!(chain(1, &|_| format!("{}d/../1", "./".repeat(2044))).0, "d");
        assert_eq!(chain(2, &|next| format!("{}{next}", "./".repeat(1000))).0, "d");
        for padding in ["./", "d/../", "../"] {
            let longest = |next| format!("{}{next}", padding.repeat(4090 / padding.len()));
            let (end, steps) = chain(39, &longest);
            assert_eq!(end, code(Errno::NAMETOOLONG), "{padding}");
            assert!(steps < 2 * MAX_FOLLOWED, "{padding}: {steps}");
        }
        let (end, steps) = follow(&"d/".repeat(2000), &[]);
        assert_eq!((end.len(), steps), (3999, 2001));
        let climb = format!("{}0", "d/".repeat(1000));
        assert_eq!(follow(&climb, &[&"../".repeat(1000)]), (String::new(), 1003));
    }
}

//! The directory that a layer's entries make, as a thought: what unpacking would leave, without a file.
//!
//! It takes an entry as the extractor does, in the same order and with the same refusals, so that a layer which is only looked at
//! is refused for what unpacking it would be, and so that its files can be compared with it.
//!
//! # Limits
//! A name costs some 40 to 60 bytes; of names only keyed hashes are kept, so an attacker cannot aim at a collision.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rustix::io::Errno;

use crate::ArchiveError;
use crate::apply::{device_number, unsupported};
use crate::error::failed;
use crate::error::printable;
use crate::path::{clean, split};
use crate::resolve::{Found, Walked, append, resolve};
use crate::seen::ByHash;
use crate::tar::{Header, Kind, MAX_ENTRIES, MAX_NAME};
use crate::walk::{OPAQUE, WHITEOUT_PREFIX};

/// The longest component of a path, in bytes: Linux's `NAME_MAX`.
const MAX_COMPONENT: usize = 255;
/// The index of the root.
const ROOT: u32 = 0;

/// A file of the tree, as far as it is known.
pub(crate) trait Node {
    /// A directory that the tar leaves out.
    fn implied() -> Self;

    /// The bytes that it counts for in the layer's size.
    fn size(&self) -> u64;

    /// Takes what another entry says of a directory that is there already.
    fn merge(&mut self, other: Self);

    /// Takes what the entry of a hard link says of the file.
    fn share(&mut self, link: &Header);

    /// Marks a directory as opaque.
    fn mark_opaque(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Directory,
    Symlink,
    Other,
}

/// One name in one directory.
#[derive(Debug)]
struct Name {
    directory: u32,
    /// The index of its file, which hard links share.
    file: u32,
    shape: Shape,
    /// Something else took its place.
    gone: bool,
}

/// The directory.
#[derive(Debug)]
pub(crate) struct Tree<N> {
    names: Vec<Name>,
    files: Vec<N>,
    /// The targets of symlinks, by their files.
    targets: HashMap<u32, Box<[u8]>>,
    /// Names by the hash of their directory's index and their last component.
    places: ByHash<u32>,
    keys: RandomState,
    /// The last components of the names, where they are wanted.
    components: Option<Vec<Box<[u8]>>>,
    implied: u64,
    /// The parent of the entry before: its name, and where that leads.
    last: Option<(Vec<u8>, u32, Vec<u8>)>,
}

/// Says whether a path is that of a whiteout.
pub(crate) fn is_whiteout(path: &[u8]) -> bool {
    split(path).1.starts_with(WHITEOUT_PREFIX)
}

impl<N: Node> Tree<N> {
    /// A tree with nothing in it; one that keeps its names can tell [each](Self::each) of them.
    pub(crate) fn new(keeps_names: bool) -> Self {
        let root = Name { directory: ROOT, file: 0, shape: Shape::Directory, gone: false };
        Self {
            names: vec![root],
            files: vec![N::implied()],
            targets: HashMap::new(),
            places: ByHash::default(),
            keys: RandomState::new(),
            components: keeps_names.then(|| vec![Box::default()]),
            implied: 0,
            last: None,
        }
    }

    /// Takes an entry; `path` is its cleaned name, `node` what becomes of it, for a whiteout the device.
    pub(crate) fn enter(
        &mut self,
        path: &[u8],
        header: &Header,
        node: N,
    ) -> Result<(), ArchiveError> {
        if path.is_empty() {
            return Ok(());
        }
        let (parent, name) = split(path);
        let (directory, mut real) = self.parent(parent)?;
        if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
            return self.whiteout((directory, &real), header, hidden, node);
        }
        append(&mut real, name)?;
        check_component("create", &real)?;
        let found = self.get(directory, name);
        match header.kind {
            Kind::Directory => {
                if let Some(there) = found
                    && self.names[index(there)].shape == Shape::Directory
                {
                    let file = self.names[index(there)].file;
                    self.files[index(file)].merge(node);
                    return Ok(());
                }
                self.put((directory, name), found, Shape::Directory, node)?;
            }
            Kind::Regular | Kind::Fifo => {
                self.put((directory, name), found, Shape::Other, node)?;
            }
            Kind::Character | Kind::Block => {
                device_number(header)?;
                self.put((directory, name), found, Shape::Other, node)?;
            }
            Kind::Symlink => {
                check_target(&header.link, &real)?;
                let link = self.put((directory, name), found, Shape::Symlink, node)?;
                let file = self.names[index(link)].file;
                self.targets.insert(file, header.link.clone().into());
            }
            Kind::HardLink => self.link((directory, &real), found, header)?,
            other => return Err(unsupported(header, other)),
        }
        Ok(())
    }

    /// The layer's size as dockerd counts it.
    pub(crate) fn size(&self) -> u64 {
        let mut counted = vec![false; self.files.len()];
        let mut size: u64 = 0;
        for name in self.present() {
            let file = index(self.names[name].file);
            if !std::mem::replace(&mut counted[file], true) {
                size = size.saturating_add(self.files[file].size());
            }
        }
        size
    }

    /// Lists what is there in the end, by its path without symlinks; the root is not in it.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Vec<u8>, &N)> {
        let present = self.present().into_iter().filter(|name| *name != index(ROOT));
        present.map(|name| (self.path(name), &self.files[index(self.names[name].file)]))
    }

    fn path(&self, mut name: usize) -> Vec<u8> {
        let mut components = Vec::new();
        while name != index(ROOT) {
            components.extend(self.components.as_ref().and_then(|all| all.get(name)));
            name = index(self.names[name].directory);
        }
        components.reverse();
        components.iter().map(|component| &component[..]).collect::<Vec<_>>().join(&b'/')
    }

    /// Says whether there is something under a path without symlinks.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &[u8]) -> Option<u32> {
        let components = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let mut place = ROOT;
        for component in components {
            place = self.get(place, component)?;
        }
        Some(place)
    }

    /// The names that are there in the end.
    fn present(&self) -> Vec<usize> {
        let mut present = vec![false; self.names.len()];
        for (number, name) in self.names.iter().enumerate() {
            // A directory comes before what is in it.
            let parent = number == index(ROOT) || present[index(name.directory)];
            present[number] = !name.gone && parent;
        }
        (0..present.len()).filter(|number| present[*number]).collect()
    }

    fn parent(&mut self, name: &[u8]) -> Result<(u32, Vec<u8>), ArchiveError> {
        if let Some((last, directory, path)) = &self.last
            && last == name
        {
            return Ok((*directory, path.clone()));
        }
        let missing = || failed("open the directory", name)(Errno::NOENT);
        let (directory, path) = resolve(self, name, true)?.ok_or_else(missing)?;
        self.last = Some((name.to_vec(), directory, path.clone()));
        Ok((directory, path))
    }

    fn key(&self, directory: u32, name: &[u8]) -> u64 {
        self.keys.hash_one((directory, name))
    }

    fn get(&self, directory: u32, name: &[u8]) -> Option<u32> {
        self.places.get(&self.key(directory, name)).copied()
    }

    /// Puts something at a place, in the stead of what is there; returns its index.
    fn put(
        &mut self,
        place: (u32, &[u8]),
        there: Option<u32>,
        shape: Shape,
        node: N,
    ) -> Result<u32, ArchiveError> {
        self.remove(there);
        let file = u32::try_from(self.files.len()).map_err(too_many)?;
        self.files.push(node);
        self.add(place, shape, file)
    }

    fn add(
        &mut self,
        (directory, name): (u32, &[u8]),
        shape: Shape,
        file: u32,
    ) -> Result<u32, ArchiveError> {
        let number = u32::try_from(self.names.len()).map_err(too_many)?;
        self.names.push(Name { directory, file, shape, gone: false });
        if let Some(components) = &mut self.components {
            components.push(name.into());
        }
        let key = self.key(directory, name);
        self.places.insert(key, number);
        Ok(number)
    }

    /// Takes something away. What was in it can no longer be found.
    fn remove(&mut self, there: Option<u32>) {
        if let Some(there) = there {
            let name = &mut self.names[index(there)];
            name.gone = true;
            if name.shape != Shape::Other {
                // Paths may mean something else now.
                self.last = None;
            }
        }
    }

    fn is_present(&self, mut place: u32) -> bool {
        while place != ROOT {
            let name = &self.names[index(place)];
            if name.gone {
                return false;
            }
            place = name.directory;
        }
        true
    }

    fn link(
        &mut self,
        (directory, path): (u32, &[u8]),
        there: Option<u32>,
        header: &Header,
    ) -> Result<(), ArchiveError> {
        let mut target = Vec::new();
        clean(&header.link, &mut target);
        if target.is_empty() {
            return Err(ArchiveError::Breakout { name: printable(&header.link) });
        }
        let missing = || failed("link to", &target)(Errno::NOENT);
        let (parent, name) = split(&target);
        let (parent, _) = resolve(self, parent, false)?.ok_or_else(missing)?;
        let gone = || failed("link", path)(Errno::NOENT);
        let target = self.get(parent, name).ok_or_else(gone)?;
        self.remove(there);
        // It may be what had to go, or in it.
        if !self.is_present(target) {
            return Err(gone());
        }
        let Name { file, shape, .. } = self.names[index(target)];
        if shape == Shape::Directory {
            return Err(failed("link", path)(Errno::PERM));
        }
        self.files[index(file)].share(header);
        self.add((directory, split(path).1), shape, file)?;
        Ok(())
    }

    fn whiteout(
        &mut self,
        (directory, parent): (u32, &[u8]),
        header: &Header,
        hidden: &[u8],
        node: N,
    ) -> Result<(), ArchiveError> {
        let invalid = |problem| ArchiveError::Whiteout { name: printable(&header.name), problem };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(invalid("it names nothing"));
        }
        let name = [WHITEOUT_PREFIX, hidden].concat();
        if name == OPAQUE {
            let file = self.names[index(directory)].file;
            self.files[index(file)].mark_opaque();
            return Ok(());
        }
        if let Some(there) = self.get(directory, &name) {
            self.remove(Some(there));
            let key = self.key(directory, &name);
            self.places.remove(&key);
        }
        if self.get(directory, hidden).is_some() {
            return Err(invalid("the same layer has the file that it hides"));
        }
        let mut path = parent.to_vec();
        append(&mut path, hidden)?;
        check_component("create", &path)?;
        self.put((directory, hidden), None, Shape::Other, node)?;
        Ok(())
    }
}

impl<N: Node> Walked for Tree<N> {
    type Directory = u32;

    fn at(&mut self, path: &[u8]) -> Result<u32, ArchiveError> {
        self.find(path).ok_or_else(|| failed("open the directory", path)(Errno::NOENT))
    }

    fn look_up(&mut self, directory: &u32, path: &[u8]) -> Result<Found<u32>, ArchiveError> {
        let name = split(path).1;
        check_component("open the directory", path)?;
        let Some(found) = self.get(*directory, name) else { return Ok(Found::Nothing) };
        let Name { file, shape, .. } = self.names[index(found)];
        Ok(match shape {
            Shape::Directory => Found::Directory(found),
            Shape::Symlink => {
                Found::Symlink(self.targets.get(&file).map_or_else(Vec::new, |t| t.to_vec()))
            }
            Shape::Other => Found::Other,
        })
    }

    fn imply(&mut self, directory: &u32, path: &[u8]) -> Result<u32, ArchiveError> {
        self.implied += 1;
        if self.implied > MAX_ENTRIES {
            return Err(too_many(()));
        }
        self.put((*directory, split(path).1), None, Shape::Directory, N::implied())
    }
}

fn too_many<E>(_: E) -> ArchiveError {
    ArchiveError::TooManyEntries { limit: MAX_ENTRIES }
}

fn check_component(action: &'static str, path: &[u8]) -> Result<(), ArchiveError> {
    if split(path).1.len() > MAX_COMPONENT {
        return Err(failed(action, path)(Errno::NAMETOOLONG));
    }
    Ok(())
}

/// A symlink's target, as the kernel has it.
fn check_target(target: &[u8], path: &[u8]) -> Result<(), ArchiveError> {
    match target.len() {
        0 => Err(failed("create", path)(Errno::NOENT)),
        length if length >= MAX_NAME => Err(failed("create", path)(Errno::NAMETOOLONG)),
        _ => Ok(()),
    }
}

/// Indices are kept in 32 bits, as there are few enough of them and many places that have one.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

//! Layers as directories for overlayfs, laid out as dockerd's driver of the same name does.
//!
//! Each layer has a short name, in `link`, by which mounts refer to its `diff`: `l/<short name>` → `../<cache id>/diff`. So a
//! mount of many layers fits into the page that the kernel gives its options. `lower` lists the layers below, the nearest
//! first; a layer that is another's parent has an empty file `committed`, which makes dockerd mount it read-only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::collect::trash::Trash;
use crate::disk::Disk;
use crate::paths::Paths;
use crate::{StagedLayer, StoreError, files};

/// The most layers below one: more do not fit into the options of a mount.
const MAX_LOWER: usize = 128;
/// Characters of a short name, five bits each.
const LINK_LENGTH: usize = 26;

/// The short names of a layer and of those below, the nearest first: all that a layer above needs to know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack(Vec<String>);

impl Stack {
    /// Reads the stack of the layer in `directory`.
    pub(crate) fn of(directory: &Path) -> Result<Self, StoreError> {
        let link = Self::link_of(directory)?;
        let mut stack = vec![format!("l/{link}")];
        if let Some(lower) = files::read_text(&directory.join("lower"))? {
            stack.extend(lower.split(':').map(str::to_owned));
        }
        Ok(Self(stack))
    }

    /// Reads the short name of the layer in `directory`.
    pub(crate) fn link_of(directory: &Path) -> Result<String, StoreError> {
        let path = directory.join("link");
        let link = files::read_text(&path)?.filter(|link| is_link(link));
        link.ok_or_else(|| StoreError::damaged(&path, "it names no link"))
    }

    /// Returns the short names, the topmost layer's first, relative to the driver's directory.
    pub(crate) fn links(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns the text of `lower` of a layer on top.
    pub(crate) fn lower(&self) -> Result<String, StoreError> {
        if self.0.len() > MAX_LOWER {
            return Err(StoreError::MaxDepth);
        }
        Ok(self.0.join(":"))
    }
}

/// The layer right below one that is being published.
#[derive(Clone, Debug)]
pub(crate) enum Below<'a> {
    /// One of the same commit.
    Staged(&'a StagedLayer),
    /// One that is in the store, by the name of its directory.
    Stored(String),
}

/// The driver `overlay2`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overlay2<'a> {
    disk: &'a Disk,
    paths: &'a Paths,
}

impl<'a> Overlay2<'a> {
    pub(super) fn new(disk: &'a Disk, paths: &'a Paths) -> Self {
        Self { disk, paths }
    }

    pub(super) fn directories(self) -> Vec<(PathBuf, u32)> {
        vec![(self.paths.overlay(), 0o710), (self.paths.overlay_links(), 0o700)]
    }

    pub(super) fn stage(self, staged: &StagedLayer) -> Result<(), StoreError> {
        self.disk.make_dir(&staged.layer(), 0o710)?;
        self.disk.make_dir(staged.path(), 0o755)
    }

    /// Returns the short names of a layer and of those below it.
    pub(crate) fn stack(self, cache_id: &str) -> Result<Stack, StoreError> {
        Stack::of(&self.paths.overlay_layer(cache_id))
    }

    /// Completes the directory of a staged layer.
    pub(super) fn prepare(
        self,
        staged: &StagedLayer,
        below: Option<&Below<'_>>,
    ) -> Result<(), StoreError> {
        let below = match below {
            None => None,
            Some(Below::Staged(parent)) => {
                self.mark_committed(&parent.layer())?;
                Some(Stack::of(&parent.layer())?)
            }
            Some(Below::Stored(cache_id)) => Some(self.stack(cache_id)?),
        };
        let directory = staged.layer();
        self.disk.write_new(&directory.join("link"), new_link()?.as_bytes(), 0o644)?;
        if let Some(below) = below {
            self.disk.make_dir(&directory.join("work"), 0o700)?;
            self.disk.write_new(&directory.join("lower"), below.lower()?.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Marks the layer in `directory` as somebody's parent; says whether it was not yet.
    pub(crate) fn mark_committed(self, directory: &Path) -> Result<bool, StoreError> {
        let path = directory.join("committed");
        if files::exists(&path)? {
            return Ok(false);
        }
        self.disk.create_new(&path, 0o600)?;
        Ok(true)
    }

    /// Puts a prepared and synced layer where mounts find it.
    pub(super) fn publish(
        self,
        staged: &StagedLayer,
        parent_cache_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let directory = staged.layer();
        if let Some(parent) = parent_cache_id {
            let parent = self.paths.overlay_layer(parent);
            if self.mark_committed(&parent)? {
                self.disk.sync_dir(&parent)?;
            }
            // Another process may have committed its own copy of the parent since `prepare`.
            let lower = Stack::of(&parent)?.lower()?;
            let path = directory.join("lower");
            if files::read_text(&path)?.as_deref() != Some(&*lower) {
                self.disk.replace(&self.paths.staging(), &path, lower.as_bytes(), 0o644)?;
                self.disk.sync_dir(&directory)?;
            }
        }
        let link = files::read_text(&directory.join("link"))?.unwrap_or_default();
        let path = self.paths.overlay_links().join(link);
        self.disk.symlink(&link_target(staged.cache_id()), &path)?;
        self.disk.rename(&directory, &self.paths.overlay_layer(staged.cache_id()))
    }

    pub(super) fn sync_names(self) -> Result<(), StoreError> {
        self.disk.sync_dir(&self.paths.overlay_links())?;
        self.disk.sync_dir(&self.paths.overlay())
    }

    /// Takes the directory of a layer and its short name away.
    pub(crate) fn remove(self, cache_id: &str, trash: &mut Trash) -> Result<(), StoreError> {
        let directory = self.paths.overlay_layer(cache_id);
        match files::read_note(&directory.join("link")).filter(|link| is_link(link)) {
            Some(link) => _ = self.disk.remove_file(&self.paths.overlay_links().join(link))?,
            // A power cut may have left the link where the directory is gone.
            None => self.remove_links_to(cache_id)?,
        }
        trash.take(&directory)?;
        Ok(())
    }

    /// Removes the links that lead to `cache_id`, whose directory a crash kept from being there.
    pub(crate) fn remove_links_to(self, cache_id: &str) -> Result<(), StoreError> {
        let links = self.paths.overlay_links();
        let target = link_target(cache_id);
        for name in files::names(&links)? {
            let path = links.join(name);
            if fs::read_link(&path).is_ok_and(|to| to == target) {
                self.disk.remove_file(&path)?;
            }
        }
        Ok(())
    }

    pub(super) fn describe(self, cache_id: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let directory = self.paths.overlay_layer(cache_id);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut data = BTreeMap::from([
            ("MergedDir".to_owned(), text(&directory.join("merged"))),
            ("UpperDir".to_owned(), text(&directory.join("diff"))),
            ("WorkDir".to_owned(), text(&directory.join("work"))),
        ]);
        let Stack(stack) = Stack::of(&directory)?;
        let mut below = Vec::new();
        for link in &stack[1..] {
            let path = self.paths.overlay().join(link);
            let target =
                fs::read_link(&path).map_err(|error| StoreError::io("read", &path, error))?;
            // Relative to `l`.
            let inside = target.strip_prefix("..").unwrap_or(&target);
            below.push(text(&self.paths.overlay().join(inside)));
        }
        if !below.is_empty() {
            data.insert("LowerDir".to_owned(), below.join(":"));
        }
        Ok(data)
    }
}

/// Returns the place that the short name of a layer leads to, relative to `l`.
pub(crate) fn link_target(cache_id: &str) -> PathBuf {
    PathBuf::from(format!("../{cache_id}/diff"))
}

/// Makes up a short name as dockerd does: random, in base 32.
pub(crate) fn new_link() -> Result<String, StoreError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bytes = files::random(LINK_LENGTH)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// Checks a name before it becomes part of a path.
fn is_link(link: &str) -> bool {
    !link.is_empty() && link.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Says why layers cannot be kept unpacked in `root`; `None` if they can.
#[cfg(target_os = "linux")]
pub(crate) fn obstacle(root: &Path) -> Result<Option<String>, StoreError> {
    const OVERLAYFS: u64 = 0x794c_7630;
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("it needs root".to_owned()));
    }
    let on =
        rustix::fs::statfs(root).map_err(|error| StoreError::io("look at", root, error.into()))?;
    if u64::try_from(on.f_type).is_ok_and(|kind| kind == OVERLAYFS) {
        return Ok(Some("the file system is itself an overlay".to_owned()));
    }
    let probe = root.join(format!("longshore-probe-{}", files::random_hex(8)?));
    fs::create_dir(&probe).map_err(|error| StoreError::io("create", &probe, error))?;
    let found = probe_whiteouts(&probe);
    fs::remove_dir_all(&probe).map_err(|error| StoreError::io("remove", &probe, error))?;
    found
}

/// Tries what an unpacked layer needs: whiteout devices, opaque directories, and types in directory listings.
#[cfg(target_os = "linux")]
fn probe_whiteouts(probe: &Path) -> Result<Option<String>, StoreError> {
    use rustix::fs::{CWD, Dir, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
    let whiteout = probe.join("whiteout");
    if let Err(error) =
        mknodat(CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))
    {
        return Ok(Some(format!("whiteouts cannot be made: {error}")));
    }
    if let Err(error) = setxattr(probe, "trusted.overlay.opaque", b"y", XattrFlags::empty()) {
        return Ok(Some(format!("directories cannot be made opaque: {error}")));
    }
    let failed = |error: rustix::io::Errno| StoreError::io("list", probe, error.into());
    let open = fs::File::open(probe).map_err(|error| StoreError::io("open", probe, error))?;
    for entry in Dir::read_from(&open).map_err(failed)? {
        if entry.map_err(failed)?.file_type() == FileType::Unknown {
            return Ok(Some("the file system does not support d_type".to_owned()));
        }
    }
    Ok(None)
}

/// Says why layers cannot be kept unpacked in `root`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn obstacle(_root: &Path) -> Result<Option<String>, StoreError> {
    Ok(Some("it needs Linux".to_owned()))
}

/// Returns the name that dockerd has for the file system of `root`.
#[cfg(target_os = "linux")]
pub(crate) fn backing_file_system(root: &Path) -> &'static str {
    let kind = rustix::fs::statfs(root).map(|on| u64::try_from(on.f_type).unwrap_or_default());
    match kind {
        Ok(0xef53) => "extfs",
        Ok(0x5846_5342) => "xfs",
        Ok(0x9123_683e) => "btrfs",
        Ok(0x0102_1994) => "tmpfs",
        Ok(0x2fc1_2fc1) => "zfs",
        Ok(0xf2f5_2010) => "f2fs",
        Ok(0x6969) => "nfs",
        Ok(0x794c_7630) => "overlayfs",
        _ => "<unknown>",
    }
}

/// Returns the name that dockerd has for the file system of `root`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn backing_file_system(_root: &Path) -> &'static str {
    "<unknown>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_dockerds() {
        let link = new_link().unwrap();
        assert_eq!(link.len(), 26);
        assert!(
            link.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)),
            "{link}"
        );
        assert!(is_link(&link) && !is_link("") && !is_link("../x") && !is_link("a/b"));
        assert_ne!(link, new_link().unwrap());
    }

    #[test]
    fn a_stack_lists_the_nearest_first_and_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("link"), "B").unwrap();
        assert_eq!(Stack::of(dir.path()).unwrap().lower().unwrap(), "l/B");
        fs::write(dir.path().join("lower"), "l/A").unwrap();
        assert_eq!(Stack::of(dir.path()).unwrap().lower().unwrap(), "l/B:l/A");
        fs::write(dir.path().join("lower"), vec!["l/A"; 127].join(":")).unwrap();
        assert!(Stack::of(dir.path()).unwrap().lower().is_ok());
        fs::write(dir.path().join("lower"), vec!["l/A"; 128].join(":")).unwrap();
        let error = Stack::of(dir.path()).unwrap().lower().unwrap_err();
        assert_eq!(error.to_string(), "max depth exceeded");
        fs::write(dir.path().join("link"), "../etc").unwrap();
        Stack::of(dir.path()).unwrap_err();
    }
}

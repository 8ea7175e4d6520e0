//! A directory to unpack into, beside one that must stay as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use archive::{Applied, ApplyOptions, ArchiveError, Whiteouts, XattrNamespace};
use flate2::bufread::GzDecoder;

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The owner of what this process creates.
pub(crate) fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// The options under which this process can unpack.
pub(crate) fn options() -> ApplyOptions {
    let namespace = if is_root() { XattrNamespace::Trusted } else { XattrNamespace::User };
    let whiteouts = Whiteouts::Overlay { namespace };
    ApplyOptions { whiteouts, owners: is_root(), ..ApplyOptions::default() }
}

/// Temporary directories; removed when dropped.
pub(crate) struct Fixture {
    base: tempfile::TempDir,
    outside: BTreeMap<PathBuf, String>,
}

/// A layer that was unpacked.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) applied: Applied,
    pub(crate) tar_split: Vec<u8>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("root")).unwrap();
        fs::create_dir_all(base.path().join("outside/sub")).unwrap();
        fs::write(base.path().join("outside/secret"), "secret").unwrap();
        fs::write(base.path().join("outside/sub/secret"), "secret").unwrap();
        let outside = snapshot(&base.path().join("outside"));
        Self { base, outside }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.path().join("root")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.base.path().join("outside")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn apply(&self, tar: &[u8]) -> Result<Layer, ArchiveError> {
        self.apply_with(tar, &options())
    }

    pub(crate) fn apply_with(
        &self,
        tar: &[u8],
        options: &ApplyOptions,
    ) -> Result<Layer, ArchiveError> {
        let mut tar_split = Vec::new();
        let applied = archive::apply(tar, &self.root(), &mut tar_split, options);
        self.assert_confined();
        Ok(Layer { applied: applied?, tar_split })
    }

    /// Unpacks `tar` on top of the layers that are there.
    pub(crate) fn extract(&self, tar: &[u8]) -> Result<Applied, ArchiveError> {
        self.extract_with(tar, &ApplyOptions { whiteouts: Whiteouts::Remove, ..options() })
    }

    pub(crate) fn extract_with(
        &self,
        tar: &[u8],
        options: &ApplyOptions,
    ) -> Result<Applied, ArchiveError> {
        let root = fs::File::open(self.root()).unwrap();
        let unpacked = archive::extract(tar, root.as_fd(), None, options, &|_| {});
        self.assert_confined();
        Ok(unpacked?.applied)
    }

    /// Unpacks `tar` and looks at it without unpacking it: either is refused as the other, or both say the same, all is whole,
    /// and the tar comes back to the byte.
    pub(crate) fn apply_all_ways(&self, tar: &[u8]) -> Result<Layer, ArchiveError> {
        let inspected = archive::inspect_compressed(tar, None, None, &|_| {});
        let layer = match (self.apply(tar), inspected) {
            (Ok(layer), Ok(inspected)) => {
                assert_eq!(inspected.applied, layer.applied);
                layer
            }
            (Err(error), Err(inspected)) => {
                assert_eq!(inspected.to_string(), error.to_string());
                return Err(error);
            }
            (layer, inspected) => {
                panic!("{:?} against {:?}", layer.map(|layer| layer.applied), inspected)
            }
        };
        assert_eq!(layer.applied.size, self.walked_size());
        let verified = archive::verify(&layer.tar_split[..], &self.root()).unwrap();
        assert_eq!(verified.damages, []);
        assert_eq!(verified.size, layer.applied.size);
        let mut rebuilt = Vec::new();
        archive::rebuild(&layer.tar_split[..], &self.root(), &mut rebuilt).unwrap();
        assert!(rebuilt == tar);
        // dockerd reads no tar-split that has a name twice.
        let mut names = layer.names();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), layer.names().len(), "{:?}", layer.names());
        Ok(layer)
    }

    /// Panics if anything beside the root is not what it was.
    pub(crate) fn assert_confined(&self) {
        assert_eq!(snapshot(&self.outside()), self.outside, "something outside was touched");
        let mut names: Vec<_> = fs::read_dir(self.base.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "root"]);
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn stat(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.stat(path).permissions().mode() & 0o7777
    }

    /// The layer's size by walking it, as dockerd does.
    pub(crate) fn walked_size(&self) -> u64 {
        let mut inodes = BTreeMap::new();
        walk(&self.root(), &mut |_, stat| {
            if !stat.is_dir() {
                inodes.insert(stat.ino(), stat.len());
            }
        });
        inodes.values().sum()
    }
}

impl Layer {
    /// The lines of the tar-split.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let mut text = String::new();
        GzDecoder::new(&self.tar_split[..]).read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the file entries of the tar-split.
    pub(crate) fn names(&self) -> Vec<String> {
        let lines = self.lines();
        let files = lines.iter().filter(|line| line["type"] == 1);
        files.map(|line| line["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stat = fs::symlink_metadata(&path).unwrap();
        visit(&path, &stat);
        if stat.is_dir() {
            walk(&path, visit);
        }
    }
}

fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut describe = |path: &Path, stat: &fs::Metadata| {
        let times = (stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec());
        let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        let text = format!("{:o} {} {} {times:?} {content:?}", stat.mode(), stat.uid(), stat.gid());
        found.insert(path.to_owned(), text);
    };
    describe(directory, &fs::symlink_metadata(directory).unwrap());
    walk(directory, &mut describe);
    found
}

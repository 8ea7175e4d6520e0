//! Model of a disk: the names and contents that are on it, and those that are only in memory yet.
//!
//! Names and contents are apart, as on a file system: a directory may have the name of a file whose content it has not, and a
//! file may be whole under no name. Each change of names is atomic, a rename too. Nothing else is promised: of what no sync has
//! covered any subset may be on the disk, in any order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Extent;

/// A file, a directory or a link, whatever it is called.
type Node = usize;
const ROOT: Node = 0;

/// A name in a directory.
type Name = (Node, Arc<OsString>);

/// One change of names: what each means from then on.
#[derive(Clone, Debug)]
struct Change(Vec<(Name, Option<Node>)>);

#[derive(Debug)]
enum Kind {
    Directory,
    Link(PathBuf),
    File(Content),
}

/// The content of a file.
#[derive(Debug)]
struct Content {
    /// The bytes that reading gives.
    now: Arc<[u8]>,
    /// The bytes on the disk.
    durable: Arc<[u8]>,
    /// The bytes that the disk failed to write and memory takes for written.
    lost: Option<Arc<[u8]>>,
    errors: Errors,
    /// Size and time of change when it was last read; `None` if it was written to since.
    read_at: Option<(u64, i64, i64)>,
}

/// Failed writes, as Linux counts them (`lib/errseq.c`): each description that was open is told once, and one that is opened later
/// if nobody was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Errors {
    count: u64,
    is_told: bool,
}

impl Errors {
    fn add(&mut self) {
        *self = Self { count: self.count + 1, is_told: false };
    }

    /// Returns what a new description has been told.
    pub(super) fn sample(self) -> u64 {
        if self.is_told { self.count } else { 0 }
    }

    /// Says whether there is something to tell a description that has been told `since`.
    pub(super) fn tell(&mut self, since: &mut u64) -> bool {
        let news = *since != self.count;
        self.is_told |= news;
        *since = self.count;
        news
    }
}

/// Fate of something that no sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// Of a content: the beginning is there, the rest is as it was or zeros.
    Torn,
}

/// Something that no sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsynced {
    /// A change of names, by its number among those that are unsynced.
    Change(usize),
    /// The content of a file.
    Content(Node),
}

#[derive(Debug)]
pub(super) struct Model {
    root: PathBuf,
    nodes: Vec<Kind>,
    inodes: HashMap<u64, Node>,
    now: BTreeMap<Name, Node>,
    durable: BTreeMap<Name, Node>,
    pending: Vec<Change>,
    pub(super) errors: Errors,
}

impl Model {
    /// Takes all that is in `root` for written.
    pub(super) fn new(root: &Path) -> Self {
        let mut model = Self {
            root: root.to_owned(),
            nodes: vec![Kind::Directory],
            inodes: HashMap::from([(fs::metadata(root).unwrap().ino(), ROOT)]),
            now: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            errors: Errors::default(),
        };
        model.look();
        model.sync_all();
        model
    }

    /// Finds out what has changed, be it by an operation of the store or by who writes the files of a layer.
    pub(super) fn look(&mut self) {
        let mut seen = BTreeMap::new();
        let mut created = Vec::new();
        self.list(&self.root.clone(), ROOT, &mut seen, &mut created);
        let mut gone: Vec<(Name, Node)> = Vec::new();
        self.now.retain(|name, node| {
            let stays = seen.get(name) == Some(node);
            if !stays {
                gone.push((name.clone(), *node));
            }
            stays
        });
        for (name, node) in created {
            let mut change = vec![(name.clone(), Some(node))];
            // What has one name less and one more was renamed.
            if let Some(from) = gone.iter().position(|(_, other)| *other == node) {
                change.insert(0, (gone.swap_remove(from).0, None));
            }
            gone.retain(|(other, _)| *other != name);
            self.now.insert(name, node);
            self.pending.push(Change(change));
        }
        self.pending.extend(gone.into_iter().map(|(name, _)| Change(vec![(name, None)])));
        // The number of an inode that is gone may be another's soon.
        let live: HashSet<Node> = seen.into_values().chain([ROOT]).collect();
        self.inodes.retain(|_, node| live.contains(node));
    }

    /// Lists a directory of the real tree, with the names that are new.
    fn list(
        &mut self,
        path: &Path,
        directory: Node,
        seen: &mut BTreeMap<Name, Node>,
        created: &mut Vec<(Name, Node)>,
    ) {
        let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind) = ((directory, Arc::new(entry.file_name())), entry.file_type());
            let (kind, path) = (kind.unwrap(), entry.path());
            let node = *self.inodes.entry(entry.ino()).or_insert_with(|| {
                self.nodes.push(if kind.is_dir() {
                    Kind::Directory
                } else if kind.is_symlink() {
                    Kind::Link(fs::read_link(&path).unwrap())
                } else {
                    Kind::File(Content::empty())
                });
                self.nodes.len() - 1
            });
            if let Kind::File(content) = &mut self.nodes[node] {
                content.look(&path);
            }
            if self.now.get(&name) != Some(&node) {
                created.push((name.clone(), node));
            }
            seen.insert(name, node);
            if kind.is_dir() {
                self.list(&path, node, seen, created);
            }
        }
    }

    /// Reads a file anew the next time, whatever its times say. It was written to, and so the disk is to write it again.
    pub(super) fn touch(&mut self, inode: u64) {
        if let Some(content) = self.content(inode) {
            (content.read_at, content.lost) = (None, None);
        }
    }

    fn content(&mut self, inode: u64) -> Option<&mut Content> {
        match &mut self.nodes[*self.inodes.get(&inode)?] {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    pub(super) fn errors_of(&mut self, inode: u64) -> Option<&mut Errors> {
        self.content(inode).map(|content| &mut content.errors)
    }

    /// Does what a sync does.
    pub(super) fn sync(&mut self, extent: Extent<'_>) {
        match extent {
            Extent::File(file) => {
                let inode = file.metadata().unwrap().ino();
                if let Some(content) = self.content(inode) {
                    content.sync();
                }
            }
            Extent::Directory(path) => {
                let inode = fs::metadata(path).unwrap().ino();
                self.sync_names(self.inodes[&inode]);
            }
            Extent::FileSystem(_) => self.sync_all(),
        }
    }

    fn sync_all(&mut self) {
        self.pending.clear();
        self.durable = self.now.clone();
        for kind in &mut self.nodes {
            if let Kind::File(content) = kind {
                content.sync();
            }
        }
    }

    /// Writes all changes of the names in a directory, and the other halves of renames with them.
    fn sync_names(&mut self, directory: Node) {
        let pending = std::mem::take(&mut self.pending);
        let is_synced =
            |change: &Change| change.0.iter().any(|((within, _), _)| *within == directory);
        for change in pending {
            if is_synced(&change) {
                apply(&mut self.durable, &change);
                // What it replaces happened before it, for good.
                for earlier in &mut self.pending {
                    earlier.0.retain(|(name, _)| change.0.iter().all(|(other, _)| name != other));
                }
                self.pending.retain(|earlier| !earlier.0.is_empty());
            } else {
                self.pending.push(change);
            }
        }
    }

    /// Has the disk fail to write all contents that it does not have yet.
    pub(super) fn lose_contents(&mut self) {
        let mut failed = false;
        for kind in &mut self.nodes {
            if let Kind::File(content) = kind
                && content.is_dirty()
            {
                content.lost = Some(Arc::clone(&content.now));
                content.errors.add();
                failed = true;
            }
        }
        if failed {
            self.errors.add();
        }
    }

    /// Lists what no sync has covered, the newest change of names last.
    pub(super) fn unsynced(&self) -> Vec<Unsynced> {
        let contents = self.nodes.iter().enumerate().filter_map(|(node, kind)| match kind {
            Kind::File(content) if content.is_dirty() => Some(Unsynced::Content(node)),
            _ => None,
        });
        contents.chain((0..self.pending.len()).map(Unsynced::Change)).collect()
    }

    /// Names something for a message.
    pub(super) fn describe(&self, what: Unsynced) -> String {
        let path = |node: Node| {
            let found = self.now.iter().find(|(_, other)| **other == node);
            found.map_or_else(|| format!("#{node}"), |(name, _)| self.path_of(name))
        };
        match what {
            Unsynced::Content(node) => format!("the content of {}", path(node)),
            Unsynced::Change(number) => {
                let names = self.pending[number].0.iter().map(|(name, node)| match node {
                    Some(_) => format!("+{}", self.path_of(name)),
                    None => format!("-{}", self.path_of(name)),
                });
                names.collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn path_of(&self, (directory, name): &Name) -> String {
        let name = name.to_string_lossy();
        if *directory == ROOT {
            return name.into_owned();
        }
        let parent = self.now.iter().find(|(_, node)| *node == directory);
        let parent = parent.map_or_else(|| format!("#{directory}"), |(name, _)| self.path_of(name));
        format!("{parent}/{name}")
    }

    /// Returns what the disk has after a power cut.
    pub(super) fn after(&self, fate: impl Fn(Unsynced) -> Fate) -> Image {
        let mut names = self.durable.clone();
        for (number, change) in self.pending.iter().enumerate() {
            if fate(Unsynced::Change(number)) == Fate::Kept {
                apply(&mut names, change);
            }
        }
        let mut image = Image::default();
        self.walk(ROOT, Path::new(""), &names, &fate, &mut image);
        image
    }

    fn walk(
        &self,
        directory: Node,
        path: &Path,
        names: &BTreeMap<Name, Node>,
        fate: &impl Fn(Unsynced) -> Fate,
        image: &mut Image,
    ) {
        let first = (directory, Arc::new(OsString::new()));
        for ((_, name), node) in names.range(first..).take_while(|((d, _), _)| *d == directory) {
            let path = path.join(&**name);
            let item = match &self.nodes[*node] {
                Kind::Directory => Item::Directory,
                Kind::Link(target) => Item::Link(target.clone()),
                Kind::File(content) => Item::File(content.after(fate(Unsynced::Content(*node)))),
            };
            let is_directory = matches!(item, Item::Directory);
            image.0.push((path.clone(), item));
            if is_directory {
                self.walk(*node, &path, names, fate, image);
            }
        }
    }
}

/// Applies a change. What it places somewhere has no other name any more.
fn apply(names: &mut BTreeMap<Name, Node>, Change(sets): &Change) {
    for (name, node) in sets {
        match node {
            Some(node) => {
                names.retain(|_, other| other != node);
                names.insert(name.clone(), *node);
            }
            None => _ = names.remove(name),
        }
    }
}

impl Content {
    fn empty() -> Self {
        Self {
            now: Arc::default(),
            durable: Arc::default(),
            lost: None,
            errors: Errors::default(),
            read_at: None,
        }
    }

    fn look(&mut self, path: &Path) {
        let metadata = fs::metadata(path).unwrap();
        let at = Some((metadata.len(), metadata.ctime(), metadata.ctime_nsec()));
        if self.read_at != at {
            self.now = fs::read(path).unwrap().into();
            self.read_at = at;
        }
    }

    fn is_dirty(&self) -> bool {
        self.now != self.durable && self.lost.as_ref() != Some(&self.now)
    }

    fn sync(&mut self) {
        if self.is_dirty() {
            self.durable = Arc::clone(&self.now);
            self.lost = None;
        }
    }

    fn after(&self, fate: Fate) -> Arc<[u8]> {
        match fate {
            _ if !self.is_dirty() => Arc::clone(&self.durable),
            Fate::Kept => Arc::clone(&self.now),
            Fate::Lost => Arc::clone(&self.durable),
            Fate::Torn => {
                let half = self.now.len() / 2;
                let old = |index| self.durable.get(index).copied().unwrap_or_default();
                let new = self.now[..half].iter().copied();
                new.chain((half..self.now.len()).map(old)).collect()
            }
        }
    }
}

/// A tree as it is found after a power cut: parents first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Image(Vec<(PathBuf, Item)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Directory,
    Link(PathBuf),
    File(Arc<[u8]>),
}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Directory => {}
            Self::Link(target) => target.hash(state),
            // The reserve is large, and nothing but zeros.
            Self::File(bytes) => (bytes.len(), &bytes[..bytes.len().min(512)]).hash(state),
        }
    }
}

const ZEROS: [u8; 4096] = [0; 4096];

impl Image {
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Makes the tree in an empty directory.
    pub(super) fn write(&self, root: &Path) {
        for (path, item) in &self.0 {
            let path = root.join(path);
            match item {
                Item::Directory => fs::create_dir(path).unwrap(),
                Item::Link(target) => symlink(target, path).unwrap(),
                Item::File(bytes)
                    if bytes.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part)) =>
                {
                    fs::File::create(path).unwrap().set_len(bytes.len() as u64).unwrap();
                }
                Item::File(bytes) => fs::write(path, bytes).unwrap(),
            }
        }
    }
}

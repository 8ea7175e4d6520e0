//! A disk that forgets.
//!
//! It does all operations on a real directory, as the system does, and knows by its [`Model`] what of that a power cut may take.
//! Before each operation it hands every loss that is worth a look to whoever watches. It can run full at an operation, and it can
//! fail to write what is in memory and tell so once to each open file description.

mod losses;
mod model;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rustix::io::Errno;

pub(super) use self::losses::Loss;
use self::losses::{Moment, Watch};
use self::model::Model;
use crate::disk::{Extent, Operations, System};

/// The sync that is taken out of this run: the line that wants it, and of what it is.
const WITHOUT: &str = "LONGSHORE_TEST_WITHOUT_SYNC";
/// A file for the syncs that each test came to.
const SYNCS: &str = "LONGSHORE_TEST_SYNCS";

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// From an operation on there is no room, but for what is removed and synced.
    Full(usize),
    /// Before an operation the disk fails to write all that is in memory only.
    WriteBack(usize),
}

#[derive(Clone)]
pub(super) struct Forgetful(Arc<Mutex<State>>);

struct State {
    /// `None` until the root is there.
    model: Option<Model>,
    watch: Option<Box<Watch>>,
    fault: Option<Fault>,
    /// Operations from the beginning to the end.
    count: usize,
    is_ended: bool,
    /// Failed writes that each open description has been told of: of its file, and of the whole file system.
    told: HashMap<RawFd, (u64, u64)>,
    /// Room on a full disk in bytes, and what there will be when the removals are on the disk.
    room: (u64, u64),
    syncs: BTreeSet<String>,
}

impl fmt::Debug for Forgetful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgetful")
    }
}

impl Forgetful {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            model: None,
            watch: None,
            fault: None,
            count: 0,
            is_ended: true,
            told: HashMap::new(),
            room: (0, 0),
            syncs: BTreeSet::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Takes all that is in `root` for written, and counts operations from now on.
    pub(super) fn begin(&self, root: &Path, fault: Option<Fault>) {
        let mut state = self.state();
        state.model = Some(Model::new(root));
        (state.count, state.is_ended) = (0, false);
        (state.room, state.fault) = ((0, 0), fault);
    }

    /// Hands `watch` what each operation from now on may lose.
    pub(super) fn watch(&self, watch: impl FnMut(Loss, &dyn Fn() -> String) + Send + 'static) {
        self.state().watch = Some(Box::new(watch));
    }

    /// Has the losses of this moment looked at, and no more; nothing goes wrong from now on. Returns how many operations there were.
    pub(super) fn end(&self) -> usize {
        let mut state = self.state();
        state.cut("the end", Moment::After);
        (state.watch, state.fault, state.is_ended) = (None, None, true);
        state.count
    }

    /// Says whether all that was written is on the disk.
    pub(super) fn is_synced(&self) -> bool {
        let mut state = self.state();
        let model = state.model.as_mut().unwrap();
        model.look();
        model.unsynced().is_empty()
    }

    /// Returns what is there when the disk works again: all, but for what it failed to write.
    pub(super) fn remains(&self) -> Loss {
        let mut state = self.state();
        let model = state.model.as_mut().unwrap();
        model.look();
        losses::nothing(model)
    }

    /// Does an operation that takes `room` in bytes.
    fn operate<T>(
        &self,
        name: &str,
        room: u64,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.before(name, Moment::Between);
        if let Some(Fault::Full(from)) = state.fault
            && state.count > from
        {
            if state.room.0 < room {
                return Err(Errno::NOSPC.into());
            }
            state.room.0 -= room;
        }
        work()
    }

    fn wrote(&self, file: &File) {
        if let Some(model) = &mut self.state().model {
            model.touch(file.metadata().unwrap().ino());
        }
    }
}

impl State {
    /// Counts an operation, and looks at what may be lost when the power goes now.
    fn before(&mut self, name: &str, moment: Moment) {
        if self.fault == Some(Fault::WriteBack(self.count))
            && let Some(model) = &mut self.model
        {
            model.look();
            model.lose_contents();
        }
        self.count += usize::from(!self.is_ended);
        self.cut(name, moment);
    }

    /// Looks at what may be lost when the power goes now.
    fn cut(&mut self, before: &str, moment: Moment) {
        let State { model: Some(model), watch: Some(watch), count, .. } = self else { return };
        model.look();
        losses::each(model, &format!("{before} (operation {count})"), moment, watch);
    }

    /// Removes something of `size` bytes: there is room for others when that is on the disk.
    fn freed(&mut self, size: u64) {
        self.room.1 += size;
    }
}

/// Says whether this sync is the one that is taken out.
fn is_taken_out(sync: &str) -> bool {
    static WITHOUT_SYNC: OnceLock<Option<String>> = OnceLock::new();
    WITHOUT_SYNC.get_or_init(|| std::env::var(WITHOUT).ok()).as_deref() == Some(sync)
}

/// Bytes that a new file, directory or link takes, and that the smallest one gives back.
const BLOCK: u64 = 4096;

impl Operations for Forgetful {
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        let room = if path.exists() { 0 } else { BLOCK };
        self.operate("create a directory", room, || System.create_dir(path, mode))
    }

    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let room = if path.exists() { 0 } else { BLOCK };
        let file = self.operate("open", room, || System.open(path, options))?;
        let mut state = self.state();
        let inode = file.metadata()?.ino();
        if let Some(model) = &mut state.model {
            model.look();
            let own = model.errors_of(inode).map(|errors| errors.sample()).unwrap_or_default();
            let told = (own, model.errors.sample());
            state.told.insert(file.as_raw_fd(), told);
        }
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        let written = self.operate("write", bytes.len() as u64, || System.write(file, bytes))?;
        self.wrote(file);
        Ok(written)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = bytes.len() as u64;
        self.operate("write", room, || System.write_at(file, bytes, offset))?;
        self.wrote(file);
        Ok(())
    }

    fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        self.operate("set the size", 0, || System.set_size(file, size))?;
        self.wrote(file);
        Ok(())
    }

    fn allocate(&self, file: &File, size: u64) -> io::Result<()> {
        self.operate("allocate", size, || System.allocate(file, size))?;
        self.wrote(file);
        Ok(())
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.operate("create a link", BLOCK, || System.symlink(target, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate("rename", 0, || System.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let size = path.symlink_metadata().map_or(0, |metadata| metadata.len());
        self.operate("remove a file", 0, || System.remove_file(path))?;
        self.state().freed(size.max(BLOCK));
        Ok(())
    }

    fn remove_tree(&self, path: &Path, attic: &Path) -> io::Result<()> {
        self.operate("remove a tree", 0, || System.remove_tree(path, attic))?;
        self.state().freed(BLOCK);
        Ok(())
    }

    fn sync(&self, extent: Extent<'_>, site: &'static Location<'static>) -> io::Result<()> {
        let kind = match extent {
            Extent::File(_) => "file",
            Extent::Directory(_) => "directory",
            Extent::FileSystem(_) => "file system",
        };
        let sync = format!("{}:{} {kind}", site.file(), site.line());
        let mut state = self.state();
        state.before(&format!("sync {sync}"), Moment::Before);
        if state.syncs.insert(sync.clone()) {
            note(&sync);
        }
        if is_taken_out(&sync) {
            return Ok(());
        }
        System.sync(extent, site)?;
        let State { model: Some(model), told, room, .. } = &mut *state else { return Ok(()) };
        model.look();
        model.sync(extent);
        *room = (room.0 + room.1, 0);
        let mut default = (0, 0);
        let is_told = match extent {
            Extent::Directory(_) => false,
            Extent::File(file) => {
                let (own, _) = told.get_mut(&file.as_raw_fd()).unwrap_or(&mut default);
                let errors = model.errors_of(file.metadata()?.ino());
                errors.is_some_and(|errors| errors.tell(own))
            }
            Extent::FileSystem(file) => {
                let (_, all) = told.get_mut(&file.as_raw_fd()).unwrap_or(&mut default);
                model.errors.tell(all)
            }
        };
        if is_told {
            return Err(Errno::IO.into());
        }
        state.cut(&format!("what follows the sync {sync}"), Moment::After);
        Ok(())
    }
}

/// Notes that a test came to a sync, for who takes out one after the other.
fn note(sync: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os(SYNCS) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let thread = std::thread::current();
        // All at once: other tests write to it, too.
        let line = format!("{sync} {}\n", thread.name().unwrap_or_default());
        file.write_all(line.as_bytes()).unwrap();
    }
}

//! A data root on a disk that forgets, and what has been promised of it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::disk::{Disk, System};
use crate::tests::forgetful::{Fault, Forgetful, Loss};
use crate::tests::support::assert_sound;
use crate::{DriverKind, Store, StoreError, StoreOptions};

/// Something that was reported done, so that no power cut may undo it.
type Promise = Arc<dyn Fn(&Store) + Send + Sync>;

/// Facts that must be true of a data root.
#[derive(Clone, Default)]
struct Expected {
    /// Counts the changes of it.
    version: usize,
    promises: Vec<Promise>,
    /// Set while something is damaged: a repair must then make the root sound, whatever a power cut left of an earlier one.
    is_damaged: bool,
}

/// A tree that a power cut may leave, what must be true of it, and its story.
type Case = (Loss, Expected, String);

#[derive(Default)]
struct Cases {
    seen: HashSet<(u64, usize)>,
    found: Vec<Case>,
}

/// A data root whose every operation may be the last.
pub(super) struct Stage {
    pub(super) disk: Forgetful,
    pub(super) driver: DriverKind,
    pub(super) store: Store,
    expected: Arc<Mutex<Expected>>,
    cases: Arc<Mutex<Cases>>,
    directory: TempDir,
}

impl Stage {
    pub(super) fn new(driver: DriverKind) -> Self {
        let directory = in_memory();
        let disk = Forgetful::new();
        let root = directory.path().join("root");
        let store = open(Disk::new(disk.clone()), &root, driver).unwrap();
        Self::on(directory, disk, store)
    }

    /// A root that is not there yet, whose first start may be the last.
    pub(super) fn empty(driver: DriverKind) -> Self {
        let directory = in_memory();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let disk = Forgetful::new();
        let (expected, cases) = Default::default();
        watch(&disk, &root, &expected, &cases);
        let store = open(Disk::new(disk.clone()), &root, driver).unwrap();
        Self { disk, driver, store, expected, cases, directory }
    }

    fn on(directory: TempDir, disk: Forgetful, store: Store) -> Self {
        let (expected, cases) = (Arc::default(), Arc::default());
        Self { disk, driver: store.driver(), store, expected, cases, directory }
    }

    /// Opens what a power cut left, on a disk whose every operation may be the last.
    fn recover(loss: &Loss, driver: DriverKind) -> Self {
        let directory = in_memory();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        loss.write(&root);
        let disk = Forgetful::new();
        let (expected, cases) = Default::default();
        watch(&disk, &root, &expected, &cases);
        let store = open(Disk::new(disk.clone()), &root, driver).unwrap();
        Self { disk, driver, store, expected, cases, directory }
    }

    /// Takes all that is there for written, and what comes for what may be lost.
    pub(super) fn begin(&self) {
        watch(&self.disk, self.store.root(), &self.expected, &self.cases);
    }

    /// From now on this must be true after each power cut.
    pub(super) fn promise(&self, promise: impl Fn(&Store) + Send + Sync + 'static) {
        promise(&self.store);
        let mut expected = self.expected.lock().unwrap();
        expected.version += 1;
        expected.promises.push(Arc::new(promise));
    }

    /// Takes back what was promised last: it is about to be changed.
    pub(super) fn withdraw(&self) {
        let mut expected = self.expected.lock().unwrap();
        expected.version += 1;
        expected.promises.pop();
    }

    /// Has the root be sound after each power cut if a check finds nothing now, and else be so after a repair.
    pub(super) fn expect_damages(&self) {
        // A check is an operation as well, and looks at what is expected.
        let is_damaged = !damages(&self.store).is_empty();
        let mut expected = self.expected.lock().unwrap();
        expected.version += 1;
        expected.is_damaged = is_damaged;
    }

    /// Looks at all that power cuts leave. Where only the process died, or something is damaged, `again` goes on.
    pub(super) fn finish(self, again: impl Fn(&Store)) -> usize {
        self.disk.end();
        let Self { store, cases, driver, directory, .. } = self;
        drop((store, directory));
        let found = std::mem::take(&mut cases.lock().unwrap().found);
        let count = found.len();
        for case in &found {
            verify(case, driver, &again);
        }
        count
    }

    /// As [`Stage::finish`]; then has the power go while some of what was left is being opened.
    pub(super) fn finish_twice(self) -> usize {
        const OPENED: usize = 6;
        self.disk.end();
        let driver = self.driver;
        let found = std::mem::take(&mut self.cases.lock().unwrap().found);
        drop(self);
        let step = found.len() / OPENED + 1;
        let mut count = 0;
        for (loss, expected, story) in found.into_iter().step_by(step) {
            let stage = Self::recover(&loss, driver);
            stage.disk.end();
            let again = std::mem::take(&mut stage.cases.lock().unwrap().found);
            drop(stage);
            count += again.len();
            for (loss, _, then) in again {
                let story = format!("{story}; then, in the start after that, {then}");
                verify(&(loss, expected.clone(), story), driver, |_| {});
            }
        }
        count
    }
}

fn watch(
    disk: &Forgetful,
    root: &Path,
    expected: &Arc<Mutex<Expected>>,
    cases: &Arc<Mutex<Cases>>,
) {
    disk.begin(root, None);
    let (expected, cases) = (Arc::clone(expected), Arc::clone(cases));
    disk.watch(move |loss, story| {
        let (expected, mut cases) = (expected.lock().unwrap(), cases.lock().unwrap());
        if cases.seen.insert((loss.key(), expected.version)) {
            cases.found.push((loss, expected.clone(), story()));
        }
    });
}

/// Opens what is there when a disk that failed to write works again.
pub(super) fn verify_remains(disk: &Forgetful, driver: DriverKind, promise: fn(&Store)) {
    let promises: Vec<Promise> = vec![Arc::new(promise)];
    let expected = Expected { promises, ..Expected::default() };
    verify(&(disk.remains(), expected, "after a failed write".to_owned()), driver, |_| {});
}

/// Opens what a power cut left and looks whether it is as it must be.
fn verify((loss, expected, how): &Case, driver: DriverKind, again: impl Fn(&Store)) {
    let directory = in_memory();
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    loss.write(&root);
    let looked = catch_unwind(AssertUnwindSafe(|| {
        let store = open(Disk::new(System), &root, driver).unwrap();
        if expected.is_damaged {
            return again(&store);
        }
        assert_eq!(damages(&store), [""; 0], "a check finds nothing");
        assert_sound(&store);
        let layout = std::fs::read_to_string(store.paths().content_layout()).unwrap();
        assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#);
        for promise in &expected.promises {
            promise(&store);
        }
        if loss.is_none {
            again(&store);
        }
    }));
    assert!(looked.is_ok(), "{driver}: the power went {how}");
}

fn damages(store: &Store) -> Vec<String> {
    store.check().unwrap().findings.iter().map(ToString::to_string).collect()
}

pub(super) fn open(disk: Disk, root: &Path, driver: DriverKind) -> Result<Store, StoreError> {
    let root = root.to_owned();
    Store::open_on(disk, StoreOptions { root, driver: Some(driver), keep_blobs: true })
}

/// A directory in memory, where there is such a file system: nothing of this is for a disk.
pub(super) fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { PathBuf::from(memory) } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).unwrap()
}

/// Runs `work` with one fault after the other: from its first operation on, from its second, and so on. It is given the store that
/// `prepare` made, and then what is left.
pub(super) fn each_fault(
    driver: DriverKind,
    fault: fn(usize) -> Fault,
    prepare: impl Fn(&Store),
    work: impl Fn(&Store, &Forgetful),
) {
    for at in 0.. {
        let stage = Stage::new(driver);
        prepare(&stage.store);
        stage.disk.begin(stage.store.root(), Some(fault(at)));
        let done = catch_unwind(AssertUnwindSafe(|| work(&stage.store, &stage.disk)));
        assert!(done.is_ok(), "{driver}: {:?}", fault(at));
        if stage.disk.end() < at {
            return;
        }
    }
}

//! Processes that die at any operation.

use std::fs::{File, OpenOptions};
use std::io;
use std::panic::Location;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::stage::open;
use crate::disk::{Disk, Extent, Operations, System};
use crate::tests::concurrency::churn;
use crate::tests::support::{Root, assert_sound, drivers};
use crate::{DriverKind, Store};

const ROOT: &str = "LONGSHORE_TEST_ROOT";
const DRIVER: &str = "LONGSHORE_TEST_DRIVER";
const OPERATIONS: &str = "LONGSHORE_TEST_OPERATIONS";

/// The system, as long as this process lives.
#[derive(Debug)]
struct Mortal(AtomicUsize);

impl Mortal {
    fn live(&self) -> System {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            std::process::abort();
        }
        System
    }
}

impl Operations for Mortal {
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.live().create_dir(path, mode)
    }

    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        self.live().open(path, options)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.live().write(file, bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.live().write_at(file, bytes, offset)
    }

    fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        self.live().set_size(file, size)
    }

    fn allocate(&self, file: &File, size: u64) -> io::Result<()> {
        self.live().allocate(file, size)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.live().symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.live().remove_file(path)
    }

    fn remove_tree(&self, path: &Path, attic: &Path) -> io::Result<()> {
        self.live().remove_tree(path, attic)
    }

    fn sync(&self, extent: Extent<'_>, site: &'static Location<'static>) -> io::Result<()> {
        self.live().sync(extent, site)
    }
}

/// Runs [`child`] in a process that dies at an operation; returns whether it got to its end.
pub(in crate::tests) fn run_child(store: &Store, operations: usize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::process::child", "--nocapture", "--test-threads=1"])
        .env(ROOT, store.root())
        .env(DRIVER, store.driver().as_str())
        .env(OPERATIONS, operations.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{operations}: {errors}");
    output.status.success()
}

/// Not a test by itself: what the tests run in another process.
#[test]
fn child() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let driver: DriverKind = std::env::var(DRIVER).unwrap().parse().unwrap();
    let operations = std::env::var(OPERATIONS).unwrap().parse().unwrap();
    let mortal = Mortal(AtomicUsize::new(operations));
    churn(&open(Disk::new(mortal), Path::new(&root), driver).unwrap(), 1);
}

#[test]
fn processes_that_die_do_not_disturb_those_that_live() {
    for driver in drivers() {
        let root = Root::new(driver);
        std::thread::scope(|scope| {
            scope.spawn(|| churn(&root.store, 2));
            for operations in [30, 200, 700, 1500] {
                assert!(!run_child(&root.store, operations));
            }
        });
        assert_sound(&root.reopen());
    }
}

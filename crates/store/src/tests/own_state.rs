//! State of Longshore's own that is damaged, missing or something else: no command that can do without it fails.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use spec::{Algorithm, Repository};

use super::support::{Root, Sample, assert_sound, drivers};
use crate::{Remedy, Store, Subject, files};

/// The image before the damage, and the one that is pulled after it: they share a layer.
fn old() -> Sample {
    Sample::new("old:1", &["a", "bb"])
}

fn new() -> Sample {
    Sample::new("new:1", &["a", "cc"])
}

/// A place in a data root.
type Place = fn(&Store) -> PathBuf;

/// Files, most of which are there only when a process has died.
const FILES: [Place; 14] = [
    |store| store.paths().trash().join("entry-ab/cache-id"),
    |store| store.paths().trash().join("entry-ab/longshore-blob"),
    |store| store.paths().trash().join("ab"),
    |store| store.paths().staging().join("ab.cd"),
    |store| store.paths().staging().join(odd()),
    |store| store.paths().leases().join(odd()),
    |store| store.paths().leases().join("ab"),
    (|store| store.paths().ingest().join(format!("sha256-{}", new().blob(1).hex()))),
    (|store| store.paths().ingest().join(format!("sha256-{}.state", new().blob(1).hex()))),
    |store| store.paths().mount_notes().join("ab/note"),
    |store| store.paths().catalog(),
    |store| store.paths().diff_id_of(&old().blob(0)),
    |store| store.paths().sources_of(&old().diff_ids()[0]),
    |store| store.paths().content_layout(),
];

/// Directories that may go while a store is open, or that a backup leaves out.
const DIRECTORIES: [Place; 12] = [
    |store| store.paths().trash(),
    |store| store.paths().staging(),
    |store| store.paths().leases(),
    |store| store.paths().ingest(),
    |store| store.paths().mount_notes(),
    |store| store.paths().uploads(),
    |store| store.paths().reserve(),
    |store| store.paths().sources(Algorithm::Sha256),
    |store| store.paths().distribution().join("diffid-by-digest"),
    |store| store.paths().distribution(),
    |store| store.paths().blobs(Algorithm::Sha512),
    |store| store.paths().image_notes(),
];

fn odd() -> &'static OsStr {
    OsStr::from_bytes(b"ab.\xff\xfe")
}

/// A kind of damage.
struct Damage(&'static str, fn(&Path));

const DAMAGES: [Damage; 7] = [
    Damage("empty", |path| fs::write(path, "").unwrap()),
    Damage("torn", |path| fs::write(path, r#"{"image":"sha2"#).unwrap()),
    Damage("no text", |path| fs::write(path, (128..192).collect::<Vec<u8>>()).unwrap()),
    Damage("huge", |path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
    Damage("a directory", |path| fs::create_dir_all(path.join("full")).unwrap()),
    Damage("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap()),
    Damage("a link to nothing", |path| std::os::unix::fs::symlink("nowhere", path).unwrap()),
];

/// A damage done to a directory.
const LOSSES: [Damage; 2] =
    [Damage("gone", |_| ()), Damage("a file", |path| fs::write(path, "x").unwrap())];

fn harm(path: &Path, damage: &Damage) {
    if fs::create_dir_all(path.parent().unwrap()).is_err() {
        // What it is in was harmed itself.
        return;
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
    (damage.1)(path);
}

/// Does all that a user does.
fn use_it(store: &Store, what: &str) {
    let done = || -> Result<(), crate::StoreError> {
        store.references()?;
        store.describe_images()?;
        store.mounts()?;
        store.partial_downloads()?;
        store.check()?;
        store.sources_of(&old().diff_ids()[0])?;
        let here = Repository::parse_familiar("registry.corp/app").unwrap();
        let take = || store.take_upload(&here, &new().blob(1));
        take()?.unwrap().remember("https://registry.corp/1")?;
        assert!(take()?.is_some_and(|note| note.place().is_some()), "{what}");
        new().pull(store)?;
        assert!(store.missing_directories().is_empty(), "{what}");
        store.set_last_updated(&new().id(), jiff::Timestamp::UNIX_EPOCH)?;
        old().untag(store);
        assert_eq!(store.remove_image(&old().id())?.layers.len(), 1, "{what}");
        Ok(())
    };
    done().unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Harms all places of a kind in the same way, in a data root with an image.
fn each(mut test: impl FnMut(Root, &dyn Fn(&Store), Vec<PathBuf>, &str)) {
    let files = DAMAGES.iter().map(|damage| (&FILES[..], damage));
    let directories = LOSSES.iter().map(|damage| (&DIRECTORIES[..], damage));
    for (places, damage) in files.chain(directories) {
        for driver in drivers() {
            let root = Root::new(driver);
            old().pull(&root.store).unwrap();
            let paths = |store: &Store| places.iter().map(|place| place(store)).collect();
            let harm_all = |store: &Store| {
                let paths: Vec<PathBuf> = paths(store);
                for path in &paths {
                    harm(path, damage);
                }
            };
            let all = paths(&root.store);
            test(root, &harm_all, all, &format!("{driver}: {}", damage.0));
        }
    }
}

#[test]
fn damaged_state_of_our_own_stops_nothing() {
    each(|root, harm_all, _, what| {
        harm_all(&root.store);
        use_it(&root.store, what);
        // And for the next process.
        harm_all(&root.store);
        let next = root.reopen();
        use_it_again(&next, what);
        assert_sound(&root.reopen());
    });
}

fn use_it_again(store: &Store, what: &str) {
    // A list writes the catalog anew.
    store.describe_images().unwrap();
    old().pull(store).unwrap_or_else(|error| panic!("{what}: {error}"));
    for finding in store.check().unwrap().findings {
        let is_left = finding.subject == Subject::Path("longshore/content/oci-layout".to_owned());
        assert!(is_left && store.mend(&finding).unwrap(), "{what}: {finding}");
    }
    use_it(store, what);
}

#[test]
fn a_check_names_it_and_a_repair_clears_it() {
    each(|root, harm_all, paths, what| {
        let store = &root.store;
        harm_all(store);
        let found = store.check().unwrap().findings;
        if what.ends_with(": a file") {
            for path in paths.iter().filter(|path| path.is_file()) {
                let shown = path.strip_prefix(store.root()).unwrap().display().to_string();
                let named = found.iter().any(|one| one.subject == Subject::Path(shown.clone()));
                assert!(named, "{what}: {shown}");
            }
        }
        for finding in &found {
            let Subject::Path(named) = &finding.subject else { panic!("{what}: {finding}") };
            let is_one = paths.iter().any(|path| {
                let shown = path.strip_prefix(store.root()).unwrap().display().to_string();
                shown.starts_with(named)
            });
            assert!(is_one && finding.remedy() == Remedy::Remove, "{what}: {finding}");
            assert!(store.mend(finding).unwrap(), "{what}: {finding}");
        }
        let left = store.check().unwrap().findings;
        assert!(left.is_empty(), "{what}: {left:?}");
        use_it(store, what);
    });
    // What is named is what cannot be used: a few of many.
    let root = Root::packed();
    harm(&root.store.paths().leases().join("ab"), &DAMAGES[4]);
    harm(&root.store.paths().catalog(), &DAMAGES[1]);
    let found: Vec<_> =
        root.store.check().unwrap().findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["longshore/catalog: it is no catalog", "longshore/leases/ab: it is no file"]
    );
    assert!(files::exists(&root.store.paths().catalog()).unwrap(), "a check changes nothing");
}

#[test]
fn a_repair_leaves_what_a_mount_stands_on() {
    let root = Root::packed();
    let store = &root.store;
    let id = files::random_hex(8).unwrap();
    let note = store.paths().mount_notes().join(&id).join("note");
    harm(&note, &DAMAGES[1]);
    let found = store.check().unwrap().findings;
    assert_eq!(found.len(), 1, "{found:?}");
    let at = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).arg(at.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !run("mount", &["-t", "tmpfs", &format!("longshore-{id}")]) {
        eprintln!("skipped: needs the right to mount");
        return;
    }
    let (mounted, mended) = (store.check(), store.mend(&found[0]));
    let stayed = note.exists();
    assert!(run("umount", &["--lazy"]));
    assert!(mounted.unwrap().findings.is_empty() && mended.is_ok() && stayed);
    let left = store.check().unwrap().findings;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(store.mend(&left[0]).unwrap() && !note.exists());
}

/// Images that were loaded have no manifest, so that the list of manifests is older than they are, for ever.
#[test]
fn a_start_looks_for_removed_images_once() {
    for driver in drivers() {
        let root = Root::new(driver);
        old().pull(&root.store).unwrap();
        let (configs, index) = (root.store.paths().configs(), root.store.paths().content_index());
        let note = root.store.paths().last_uses().join("0".repeat(64));
        let date = |path: &Path, seconds: u64| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::open(path).unwrap().set_modified(time).unwrap();
        };
        date(&index, 1000);
        fs::create_dir_all(root.store.paths().last_uses()).unwrap();
        // By whom an image was removed, and when; whether a start finds the note about an image that is gone.
        for (removed, looks) in [(2000, true), (2000, false), (3000, true)] {
            date(&configs, removed);
            File::create(&note).unwrap();
            root.reopen();
            assert_eq!(note.exists(), !looks, "{removed}");
        }
        assert_sound(&root.store);
    }
}

#![expect(clippy::single_range_in_vec_init, reason = "lists of one range are meant as such")]

use std::fs::{self, File, FileTimes};
use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::file::STATE_SUFFIX;
use super::sweep::MAX_AGE;
use super::*;
use crate::content::blob::BlobSource;
use crate::tests::Root;

const S: u64 = SEGMENT_SIZE;

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect()
}

fn slice(bytes: &[u8], range: &Range<u64>) -> Vec<u8> {
    bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
}

#[test]
fn a_reader_follows_writers_that_come_out_of_order() {
    let root = Root::packed();
    let bytes = content(3 * S + 17);
    let lease = root.store.lease().unwrap();
    let digest = Digest::sha256(&bytes);
    let ingest = root.store.ingest(&lease, &digest, bytes.len() as u64).unwrap();
    let parts = ingest.missing_in(4);
    assert!(parts.len() > 1, "{parts:?}");
    let mut reader = ingest.reader();
    let size = bytes.len() as u64;
    thread::scope(|scope| {
        let applier = scope.spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            let verified = reader.verify().unwrap();
            (read, verified)
        });
        let writers: Vec<_> = parts
            .iter()
            .rev()
            .map(|part| (part.clone(), ingest.writer(part.clone()).unwrap()))
            .collect();
        for (part, mut writer) in writers {
            let bytes = slice(&bytes, &part);
            scope.spawn(move || {
                for chunk in bytes.chunks(65_537) {
                    writer.write(chunk).unwrap();
                }
                assert_eq!(writer.remaining(), 0);
            });
        }
        let (read, verified) = applier.join().unwrap();
        assert!(read == bytes);
        assert_eq!((verified.digest(), verified.size()), (&digest, size));
    });
    assert!(ingest.missing().is_empty());
}

#[test]
fn what_was_written_is_there_after_a_restart_to_the_byte() {
    let root = Root::packed();
    let bytes = content(2 * S + 100);
    let digest = Digest::sha256(&bytes);
    let size = bytes.len() as u64;
    let lease = root.store.lease().unwrap();
    let open = || root.store.ingest(&lease, &digest, size).unwrap();

    let ingest = open();
    ingest.writer(0..size).unwrap().write(&bytes[..1001]).unwrap();
    let range = 2 * S..size;
    ingest.writer(range.clone()).unwrap().write(&slice(&bytes, &range)[..40]).unwrap();
    drop(ingest);

    let ingest = open();
    assert_eq!(ingest.missing(), [1001..2 * S, 2 * S + 40..size]);
    assert_eq!(ingest.present(), 1041);
    for range in ingest.missing() {
        ingest.writer(range.clone()).unwrap().write(&slice(&bytes, &range)).unwrap();
    }
    assert!(ingest.missing().is_empty());
    drop(ingest);

    let ingest = open();
    assert_eq!(*ingest.verify().unwrap().digest(), digest);
    drop(ingest);

    // Another size for the same digest is another blob: nothing of this one counts.
    let ingest = root.store.ingest(&lease, &digest, size - 1).unwrap();
    assert_eq!(ingest.missing(), [0..size - 1]);
}

#[test]
fn a_killed_process_is_continued() {
    // What a kill leaves: the bytes and counters as they are, no lock.
    let root = Root::packed();
    let bytes = content(5000);
    let digest = Digest::sha256(&bytes);
    let lease = root.store.lease().unwrap();
    let ingest = root.store.ingest(&lease, &digest, 5000).unwrap();
    ingest.writer(0..5000).unwrap().write(&bytes[..3000]).unwrap();
    let path = ingest.source.shared.path.clone();
    let copy = [fs::read(&path).unwrap(), fs::read(state_path(&path)).unwrap()];
    drop(ingest);

    for (what, data, state, expected) in [
        ("as it was", &copy[0][..], &copy[1][..], 3000),
        ("bytes cut short", &copy[0][..4999], &copy[1], 0),
        ("counters cut short", &copy[0], &copy[1][..23], 0),
        ("counters of zeros", &copy[0], &[0; 24], 0),
        ("no bytes", &[], &copy[1], 0),
    ] {
        fs::write(&path, data).unwrap();
        fs::write(state_path(&path), state).unwrap();
        let ingest = root.store.ingest(&lease, &digest, 5000).unwrap();
        assert_eq!(ingest.present(), expected, "{what}");
    }
}

#[test]
fn ranges_that_cannot_be_written_are_refused() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let size = 2 * S + 10;
    let ingest = root.store.ingest(&lease, &Digest::sha256(b"x"), size).unwrap();
    ingest.writer(0..size).unwrap().write(&[7; 100]).unwrap();
    let busy = ingest.writer(S..2 * S).unwrap();
    for (range, allowed) in [
        (0..50, true),
        (50..S, true),
        (100..S, true),
        (101..S, false),
        (0..S + 1, false),
        (S + 5..S + 6, false),
        (2 * S..size, true),
        (2 * S..size + 1, false),
        (size..size, false),
        (S..S, false),
        (u64::MAX - 1..u64::MAX, false),
    ] {
        assert_eq!(ingest.writer(range.clone()).is_ok(), allowed, "{range:?}");
    }
    drop(busy);
    ingest.writer(S..2 * S).unwrap();

    let mut writer = ingest.writer(100..104).unwrap();
    writer.write(&[1; 3]).unwrap();
    assert!(writer.write(&[1; 2]).unwrap_err().to_string().contains("more bytes came"));
    assert_eq!((writer.position(), ingest.present()), (103, 103));
}

#[test]
fn bytes_that_are_here_are_not_written_again() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let bytes = content(S + 50);
    let digest = Digest::sha256(&bytes);
    let ingest = root.store.ingest(&lease, &digest, S + 50).unwrap();
    ingest.writer(0..S).unwrap().write(&bytes[..2000]).unwrap();
    ingest.writer(S..S + 50).unwrap().write(&slice(&bytes, &(S..S + 20))).unwrap();
    // A server that ignores ranges and sends something else where a reader has been.
    let mut whole = bytes.clone();
    whole[..2000].fill(0);
    whole[usize::try_from(S).unwrap()..][..20].fill(0);
    ingest.writer(0..S + 50).unwrap().write(&whole).unwrap();
    ingest.verify().unwrap();
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let digest = Digest::sha256(b"right");
    let attempt = || {
        let ingest = root.store.ingest(&lease, &digest, 5).unwrap();
        assert_eq!(ingest.missing(), [0..5], "nothing of the last try is used");
        ingest
    };
    let ingest = attempt();
    let error = ingest.verify().unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { present: 0, size: 5, .. }));
    ingest.writer(0..5).unwrap().write(b"wrong").unwrap();
    let error = ingest.verify().unwrap_err().to_string();
    assert!(error.contains(&digest.to_string()), "{error}");
    assert!(error.contains(&Digest::sha256(b"wrong").to_string()), "{error}");
    drop(ingest);

    let ingest = attempt();
    ingest.writer(0..5).unwrap().write(b"right").unwrap();
    ingest.discard();
    drop(attempt());
}

#[test]
fn a_part_is_not_verified() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let ingest = root.store.ingest(&lease, &Digest::sha256(b"right"), 5).unwrap();
    ingest.writer(0..5).unwrap().write(b"right").unwrap();
    let mut reader = ingest.reader();
    reader.read_exact(&mut [0; 4]).unwrap();
    let error = reader.verify().unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { present: 4, size: 5, .. }), "{error}");
    ingest.verify().unwrap();
}

type End = fn(Ingest, SegmentWriter);

#[test]
fn readers_never_wait_for_nobody() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let end: [(&str, End); 4] = [
        ("failed", |ingest, writer| {
            ingest.fail("the registry is gone");
            drop((ingest, writer));
        }),
        ("dropped", |ingest, writer| drop((ingest, writer))),
        ("discarded", |ingest, _| ingest.discard()),
        ("panicked", |ingest, writer| {
            thread::spawn(move || {
                let _both = (ingest, writer);
                std::panic::resume_unwind(Box::new(()));
            })
            .join()
            .unwrap_err();
        }),
    ];
    for (what, end) in end {
        let ingest = root.store.ingest(&lease, &Digest::sha256(what.as_bytes()), 100).unwrap();
        let mut writer = ingest.writer(0..100).unwrap();
        let mut reader = ingest.reader();
        let (send, waiting) = mpsc::channel();
        let applier = thread::spawn(move || {
            reader.read_exact(&mut [0; 10]).unwrap();
            send.send(()).unwrap();
            reader.read_exact(&mut [0; 10]).unwrap_err().to_string()
        });
        writer.write(&[1; 10]).unwrap();
        waiting.recv().unwrap();
        end(ingest, writer);
        let error = applier.join().unwrap();
        assert!(error.contains("ended after 10 of 100 bytes"), "{what}: {error}");
        assert_eq!(error.contains("the registry is gone"), what == "failed", "{error}");
    }
}

#[test]
fn the_empty_blob_is_complete_at_once() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let digest = Digest::sha256(b"");
    let ingest = root.store.ingest(&lease, &digest, 0).unwrap();
    assert!(ingest.missing().is_empty());
    assert_eq!(ingest.reader().read(&mut [0; 1]).unwrap(), 0);
    ingest.verify().unwrap();
    ingest.writer(0..0).unwrap_err();
}

#[test]
fn sizes_that_a_stranger_made_up_cost_nothing() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    for size in [MAX_BLOB_SIZE + 1, u64::MAX] {
        let error = root.store.ingest(&lease, &Digest::sha256(b""), size).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    }
    assert!(files::names(&root.store.paths().ingest()).unwrap().is_empty());
}

#[test]
fn two_at_once_get_a_file_each_and_both_may_win() {
    let root = Root::packed();
    let lease = root.store.lease().unwrap();
    let digest = Digest::sha256(b"abc");
    let both = [
        root.store.ingest(&lease, &digest, 3).unwrap(),
        root.store.ingest(&lease, &digest, 3).unwrap(),
    ];
    let paths = both.each_ref().map(|ingest| ingest.shared().path.clone());
    assert_ne!(paths[0], paths[1]);
    let verified = both.map(|ingest| {
        ingest.writer(0..3).unwrap().write(b"abc").unwrap();
        match ingest.verify().unwrap().source {
            BlobSource::File(file) => file,
            BlobSource::Bytes(_) => unreachable!("a download is a file"),
        }
    });
    let target = root.store.paths().blob(&digest);
    for verified in &verified {
        verified.publish(&target).unwrap();
    }
    assert_eq!(fs::read(target).unwrap(), b"abc");
    assert!(files::names(&root.store.paths().ingest()).unwrap().is_empty());
    // A file that is no longer the one that was verified is neither published nor deleted.
    let next = root.store.ingest(&lease, &digest, 3).unwrap();
    let path = &next.source.shared.path;
    assert_eq!(*path, paths[0]);
    verified[0].publish(&root.store.paths().blob(&digest)).unwrap_err();
    verified[0].discard();
    assert!(path.exists());
}

#[test]
fn a_start_keeps_what_can_be_continued_and_removes_the_rest() {
    let root = Root::packed();
    let directory = root.store.paths().ingest();
    let old = SystemTime::now() - MAX_AGE - Duration::from_mins(1);
    let name = |text: &str| format!("sha256-{}", Digest::sha256(text.as_bytes()).hex());
    let make = |name: &str, modified: Option<SystemTime>| {
        for name in [name.to_owned(), format!("{name}{STATE_SUFFIX}")] {
            let file = File::create(directory.join(name)).unwrap();
            if let Some(modified) = modified {
                file.set_times(FileTimes::new().set_modified(modified)).unwrap();
            }
        }
    };
    make(&name("fresh"), None);
    make(&name("old"), Some(old));
    make(&name("busy"), Some(old));
    let busy = File::open(directory.join(name("busy"))).unwrap();
    busy.lock().unwrap();
    make(&format!("{}.0123", name("alone")), None);
    make(&format!("{}.0123", name("fresh")), None);
    File::create(directory.join(format!("{}{STATE_SUFFIX}", name("lost")))).unwrap();

    root.reopen();
    let mut left = files::names(&directory).unwrap();
    left.retain(|name| !name.ends_with(STATE_SUFFIX));
    left.sort();
    let mut expected = ["fresh", "busy", "alone"].map(name);
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(files::names(&directory).unwrap().len(), 6);
}

/// Leaves a partial download of `size` bytes that was last written `age` ago.
fn leave(root: &Root, text: &str, size: u64, age: Duration) -> PathBuf {
    let lease = root.store.lease().unwrap();
    let ingest = root.store.ingest(&lease, &Digest::sha256(text.as_bytes()), size + 1).unwrap();
    ingest.writer(0..size).unwrap().write(&content(size)).unwrap();
    let shared = ingest.shared();
    let times = FileTimes::new().set_modified(SystemTime::now() - age);
    shared.file.set_times(times).unwrap();
    shared.path.clone()
}

#[test]
fn what_nobody_holds_is_counted_and_can_be_given_up() {
    const SIZE: u64 = 64 << 10;
    let root = Root::packed();
    assert_eq!(root.store.discard_partial_downloads(None).unwrap(), 0);
    let old = leave(&root, "old", SIZE, Duration::from_hours(2));
    let new = leave(&root, "new", SIZE, Duration::ZERO);
    let lease = root.store.lease().unwrap();
    let held = root.store.ingest(&lease, &Digest::sha256(b"held"), SIZE).unwrap();
    held.writer(0..SIZE).unwrap().write(&content(SIZE)).unwrap();
    assert_eq!(root.store.partial_downloads().unwrap(), 2 * SIZE);

    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    assert_eq!(root.store.discard_partial_downloads(Some(hour_ago)).unwrap(), SIZE);
    assert!(!old.exists() && !state_path(&old).exists() && new.exists());
    assert_eq!(root.store.discard_partial_downloads(None).unwrap(), SIZE);
    assert!(!new.exists() && held.shared().path.exists());
    assert_eq!(fs::read(&held.shared().path).unwrap(), content(SIZE));
}

#[test]
fn room_is_made_by_the_oldest_if_that_is_enough() {
    const SIZE: u64 = 64 << 10;
    let bytes = |bytes| Room { bytes, inodes: None };
    let root = Root::packed();
    let directory = root.store.paths().ingest();
    let [first, second, third] =
        [3, 2, 1].map(|hours| leave(&root, &hours.to_string(), SIZE, Duration::from_hours(hours)));
    assert_eq!(
        leftover::make_room(
            root.store.disk(),
            &directory,
            std::slice::from_ref(&first),
            bytes(2 * SIZE + 1)
        )
        .unwrap(),
        0
    );
    assert_eq!(
        leftover::make_room(
            root.store.disk(),
            &directory,
            std::slice::from_ref(&first),
            bytes(SIZE + 1)
        )
        .unwrap(),
        2 * SIZE
    );
    assert!(first.exists() && !second.exists() && !third.exists());
    assert_eq!(
        leftover::make_room(root.store.disk(), &directory, std::slice::from_ref(&second), bytes(1))
            .unwrap(),
        SIZE
    );
    assert!(!first.exists());
}

#[test]
fn a_full_disk_gives_up_what_nobody_holds() {
    const DISK: u64 = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::tmpfs(folder.path(), DISK) else { return };
    let root = Root::within(folder.path(), crate::DriverKind::Packed);
    let lease = root.store.lease().unwrap();
    let left = leave(&root, "left", DISK / 2, Duration::ZERO);
    // It cannot fit beside the other: that one goes before the first byte.
    let size = DISK * 5 / 8;
    let ingest = root.store.ingest(&lease, &Digest::sha256(&content(size)), size).unwrap();
    assert!(!left.exists());
    // Something else fills the disk while this one is written.
    let left = leave(&root, "left again", DISK / 4, Duration::ZERO);
    let filler = vec![0; usize::try_from(DISK / 4).unwrap()];
    let _ = fs::write(folder.path().join("filler"), filler);
    ingest.writer(0..size).unwrap().write(&content(size)).unwrap();
    assert!(!left.exists());
    ingest.verify().unwrap();
    drop(ingest);

    let left = leave(&root, "left once more", DISK / 16, Duration::ZERO);
    let mut staged = root.store.staged_file(&lease).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut staged).unwrap_err();
    assert!(!left.exists(), "what came in an archive is worth more, too");
    drop(staged);

    let error = root.store.ingest(&lease, &Digest::sha256(b"more"), DISK).unwrap_err();
    assert!(matches!(error, StoreError::TooFull { .. }), "{error}");
}

/// A small disk of its own.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(at: &'a Path, size: u64) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("skipped: needs the right to mount");
        None
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // The store is still open here: it is taken off when it is closed.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

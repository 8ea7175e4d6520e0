//! Files with holes, in every format.

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;

use archive::ArchiveError;

use crate::builder::{Entry, Format, Tar, file, tar};
use crate::fixture::Fixture;

const SIZE: usize = 3 << 20;

/// A file with content at its start, in the middle and before a hole at the end.
fn expected() -> (Vec<(usize, usize)>, Vec<u8>, Vec<u8>) {
    let fragments = vec![(0, 512), (1 << 20, 1024), (2 << 20, 100)];
    let mut whole = vec![0; SIZE];
    let mut dense = Vec::new();
    for (index, &(offset, length)) in fragments.iter().enumerate() {
        let byte = b'a' + u8::try_from(index).unwrap();
        whole[offset..offset + length].fill(byte);
        dense.extend(std::iter::repeat_n(byte, length));
    }
    (fragments, dense, whole)
}

fn old_gnu() -> Vec<u8> {
    let (fragments, dense, _) = expected();
    let mut entry = Entry::new(b"f", b'S').format(Format::Gnu).content(&dense);
    for (index, &(offset, length)) in fragments.iter().enumerate() {
        let at = 386 + 24 * index;
        entry = entry.octal(at, 12, offset as u64).octal(at + 12, 12, length as u64);
    }
    tar([entry.octal(483, 12, SIZE as u64)])
}

fn old_gnu_extended() -> Vec<u8> {
    let (fragments, dense, _) = expected();
    let entry = Entry::new(b"f", b'S').format(Format::Gnu).size(dense.len() as u64);
    let entry = entry.octal(386, 12, 0).octal(398, 12, 512).bytes(482, &[1]);
    let mut extension = Entry::new(b"", 0);
    extension.block.fill(0);
    for (index, &(offset, length)) in fragments[1..].iter().enumerate() {
        let at = 24 * index;
        extension = extension.octal(at, 12, offset as u64).octal(at + 12, 12, length as u64);
    }
    let entry = entry.octal(483, 12, SIZE as u64);
    Tar::new().add(entry).raw(&extension.block).raw(&dense).pad(512).finish()
}

fn pax_0(version: Option<&str>) -> Vec<u8> {
    let (fragments, dense, _) = expected();
    let mut entry = file("dense", dense).pax("GNU.sparse.size", SIZE.to_string());
    entry = entry.pax("GNU.sparse.numblocks", fragments.len().to_string());
    if let Some(minor) = version {
        entry = entry.pax("GNU.sparse.major", "0").pax("GNU.sparse.minor", minor);
    }
    if version == Some("0") {
        for (offset, length) in fragments {
            entry = entry.pax("GNU.sparse.offset", offset.to_string());
            entry = entry.pax("GNU.sparse.numbytes", length.to_string());
        }
    } else {
        let pairs: Vec<_> = fragments.iter().map(|(at, length)| format!("{at},{length}")).collect();
        entry = entry.pax("GNU.sparse.map", pairs.join(","));
    }
    tar([entry.pax("GNU.sparse.name", "f")])
}

fn pax_1() -> Vec<u8> {
    let (fragments, dense, _) = expected();
    let mut map = format!("{}\n", fragments.len());
    for (offset, length) in fragments {
        write!(map, "{offset}\n{length}\n").unwrap();
    }
    let mut content = map.into_bytes();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend(dense);
    let entry = file("GNUSparseFile.1/f", content)
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "f")
        .pax("GNU.sparse.realsize", SIZE.to_string());
    tar([entry])
}

#[test]
fn every_format_unpacks_with_holes_and_rebuilds() {
    let (_, _, whole) = expected();
    let cases = [
        ("old gnu", old_gnu()),
        ("old gnu with extension", old_gnu_extended()),
        ("pax 0.0", pax_0(Some("0"))),
        ("pax 0.1", pax_0(Some("1"))),
        ("pax 0.1 without version", pax_0(None)),
        ("pax 1.0", pax_1()),
    ];
    for (what, tar) in cases {
        let fixture = Fixture::new();
        let layer = fixture.apply(&tar).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(std::fs::read(fixture.path("f")).unwrap() == whole, "{what}");
        assert!(fixture.stat("f").blocks() * 512 < SIZE as u64 / 2, "{what}: holes");
        assert_eq!(layer.applied.size, SIZE as u64, "{what}");
        assert_eq!(layer.names(), ["f"], "{what}");
        let mut rebuilt = Vec::new();
        archive::rebuild(&layer.tar_split[..], &fixture.root(), &mut rebuilt).unwrap();
        assert!(rebuilt == tar, "{what}: rebuilt");
        for limit in [SIZE - 1, 2 * SIZE] {
            let mut found = Vec::new();
            let read = archive::read_entries(&tar[..], limit as u64, |entry, content| {
                assert_eq!((&entry.path[..], entry.size), (&b"f"[..], SIZE as u64), "{what}");
                content.copy(|bytes| {
                    found.extend_from_slice(bytes);
                    Ok::<_, ArchiveError>(())
                })
            });
            if limit < SIZE {
                assert!(matches!(read, Err(ArchiveError::TarTooLarge { .. })), "{what}: {read:?}");
            } else {
                read.unwrap();
                assert!(found == whole, "{what}: an entry of an archive");
            }
        }
        // An entry that nobody reads is passed over.
        let mut two = tar[..tar.len() - 1024].to_vec();
        two.extend(crate::builder::tar([file("g", "x")]));
        let mut names = Vec::new();
        archive::read_entries(&two[..], u64::MAX, |entry, _| {
            names.push(entry.path);
            Ok::<_, ArchiveError>(())
        })
        .unwrap();
        assert_eq!(names, [b"f", b"g"], "{what}");
    }
}

#[test]
fn refuses_broken_maps() {
    let map = |map: &str, count: &str, size: &str| {
        let entry = file("f", "0123456789").pax("GNU.sparse.map", map);
        tar([entry.pax("GNU.sparse.numblocks", count).pax("GNU.sparse.size", size)])
    };
    let content = |text: &str| {
        let mut content = text.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        let entry = file("f", content).pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
        tar([entry.pax("GNU.sparse.realsize", "100")])
    };
    let cases = [
        ("beyond the size", map("95,10", "1", "100")),
        ("less than the content", map("0,5", "1", "100")),
        ("more than the content", map("0,20", "1", "100")),
        ("overlapping", map("0,6,5,4", "2", "100")),
        ("backwards", map("50,5,0,5", "2", "100")),
        ("negative", map("-5,10", "1", "100")),
        ("odd", map("0,5,10", "1", "100")),
        ("wrong count", map("0,10", "2", "100")),
        ("negative size", map("0,10", "1", "-100")),
        ("no count", map("0,10", "", "100")),
        ("huge", map("9223372036854775807,10", "1", "9223372036854775807")),
        ("1.0 without numbers", content("")),
        ("1.0 with a huge count", content("4611686018427387904\n")),
        ("1.0 with content missing", content("1\n0\n10\n")),
        ("ustar", tar([Entry::new(b"f", b'S')])),
    ];
    for (what, tar) in cases {
        match Fixture::new().apply(&tar) {
            Err(ArchiveError::Header { .. } | ArchiveError::Truncated { .. }) => {}
            Err(error) => panic!("{what}: {error:?}"),
            Ok(_) => panic!("{what}: accepted"),
        }
    }
}

//! Header blocks and extended headers, right and wrong.

use archive::ArchiveError;

use crate::builder::{Entry, Format, Tar, directory, file, record, seal, tar};
use crate::fixture::Fixture;

/// Unpacks and returns the names that the reader saw.
fn names(tar: &[u8]) -> Result<Vec<String>, ArchiveError> {
    Ok(Fixture::new().apply(tar)?.names())
}

#[test]
fn names_in_every_format() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
    let full = "n".repeat(100);
    let signed_sum = {
        let mut entry = file("caf\u{e9}", "");
        seal(&mut entry.block);
        let sum: i32 = entry.block.iter().enumerate().fold(0, |sum, (index, byte)| {
            sum + if (148..156).contains(&index) { 32 } else { i32::from(byte.cast_signed()) }
        });
        entry.block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        Tar::new().raw(&entry.block).finish()
    };
    let cases = [
        ("v7", tar([file("a", "x").format(Format::V7)]), vec!["a"]),
        ("v7 directory", tar([Entry::new(b"a/", 0).format(Format::V7)]), vec!["a/"]),
        ("ustar prefix", tar([file("b", "x").bytes(345, b"some/prefix")]), vec!["some/prefix/b"]),
        ("v7 has no prefix", tar([file("b", "x").format(Format::V7).bytes(345, b"no")]), vec!["b"]),
        ("star prefix", tar([file("b", "x").format(Format::Star).bytes(345, b"p")]), vec!["p/b"]),
        (
            "gnu times are no prefix",
            tar([file("b", "x").format(Format::Gnu).octal(345, 12, 1).octal(357, 12, 2)]),
            vec!["b"],
        ),
        (
            "old Go wrote a prefix into gnu headers",
            tar([file("b", "x").format(Format::Gnu).bytes(345, b"from/old/go")]),
            vec!["from/old/go/b"],
        ),
        ("full name field", tar([file(&full, "")]), vec![&*full]),
        (
            "gnu long name",
            Tar::new().long(long.as_bytes(), file("short", "x")).finish(),
            vec![&*long],
        ),
        ("pax path", tar([file("short", "x").pax("path", &long)]), vec![&*long]),
        ("empty pax path", tar([file("short", "x").pax("path", "")]), vec!["short"]),
        (
            "gnu name wins over pax",
            Tar::new().long(b"gnu", file("short", "x").pax("path", "pax")).finish(),
            vec!["gnu"],
        ),
        ("signed checksum", signed_sum, vec!["caf\u{e9}"]),
        (
            "global header is ignored",
            tar([
                Entry::new(b"pax_global_header", b'g').content(&record("path", b"elsewhere")),
                file("a", "x"),
            ]),
            vec!["a"],
        ),
    ];
    for (what, tar, expected) in cases {
        assert_eq!(
            names(&tar).unwrap_or_else(|error| panic!("{what}: {error}")),
            expected,
            "{what}"
        );
    }
}

#[test]
fn sizes_and_owners_beyond_octal() {
    let fixture = Fixture::new();
    let base256 = b"\x80\0\0\0\0\0\0\0\0\0\0\x03";
    let entries = [
        file("binary", "abc").bytes(124, base256),
        file("pax", "abc").size(0).pax("size", "3"),
        directory("sized").size(1_000_000),
        file("last", "x"),
    ];
    let layer = fixture.apply(&tar(entries)).unwrap();
    assert_eq!(layer.names(), ["binary", "pax", "sized", "last"]);
    assert_eq!((fixture.read("binary"), fixture.read("pax")), ("abc".into(), "abc".into()));
}

#[test]
fn ends_that_go_accepts() {
    let whole = Tar::new().add(file("a", "content"));
    let bytes = whole.clone().unfinished();
    let cases = [
        ("nothing at all", Vec::new(), 0),
        ("only the end mark", Tar::new().finish(), 0),
        ("no end mark", bytes.clone(), 1),
        ("no padding", bytes[..512 + 7].to_vec(), 1),
        ("half the padding", bytes[..512 + 300].to_vec(), 1),
        ("one zero block", whole.clone().raw(&[0; 512]).unfinished(), 1),
        ("record padding", whole.clone().raw(&[0; 1024]).pad(10240).unfinished(), 1),
        ("garbage after the end", whole.clone().raw(&[0; 1024]).raw(b"garbage").unfinished(), 1),
        (
            "an extended header without an entry",
            Tar::new().add(Entry::new(b"x", b'x').content(&record("path", b"a"))).unfinished(),
            0,
        ),
    ];
    for (what, tar, entries) in cases {
        let layer = Fixture::new().apply(&tar).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(layer.applied.entries, entries, "{what}");
        assert_eq!(layer.applied.tar_size, tar.len() as u64, "{what}");
    }
}

type Check = fn(&ArchiveError) -> bool;

#[test]
fn refuses_broken_archives() {
    let sealed = tar([file("a", "content")]);
    let mut wrong_sum = sealed.clone();
    wrong_sum[0] = b'b';
    let negative = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let extended = |content: &[u8]| {
        Tar::new().add(Entry::new(b"x", b'x').content(content)).add(file("a", "")).finish()
    };
    let header: Check = |error| matches!(error, ArchiveError::Header { .. });
    let truncated: Check = |error| matches!(error, ArchiveError::Truncated { .. });
    let too_long: Check = |error| matches!(error, ArchiveError::FieldTooLong { .. });
    let cases = [
        ("wrong checksum", wrong_sum, header),
        ("text", b"this is no tar".repeat(100), header),
        ("text of less than a block", b"this is no tar".to_vec(), truncated),
        ("cut in the header", sealed[..100].to_vec(), truncated),
        ("cut in the content", sealed[..515].to_vec(), truncated),
        ("more content than there is", tar([file("a", "x").size(5000)]), truncated),
        ("negative size", tar([file("a", "").bytes(124, negative)]), header),
        ("negative pax size", tar([file("a", "").pax("size", "-1")]), header),
        ("pax size is no number", tar([file("a", "").pax("size", "1x")]), header),
        ("pax time is no number", tar([file("a", "").pax("ctime", "now")]), header),
        ("mode is no number", tar([file("a", "").bytes(100, b"rw-r--r-")]), header),
        ("device is no number", tar([file("a", "").bytes(329, b"xx")]), header),
        ("a single zero block", Tar::new().raw(&[0; 512]).add(file("a", "")).finish(), header),
        ("malformed record", extended(b"path=a\n"), header),
        ("record beyond the header", extended(b"99 path=a\n"), header),
        ("cut in an extended header", extended(&record("path", b"a"))[..520].to_vec(), truncated),
        ("huge extended header", extended(&vec![b'x'; (1 << 20) + 1]), too_long),
        ("huge long name", Tar::new().long(&vec![b'n'; 1 << 20], file("a", "")).finish(), too_long),
        ("long path", Tar::new().long(&b"n/".repeat(2049), file("a", "")).finish(), too_long),
        ("long link", tar([file("a", "").pax("linkpath", "l".repeat(4097))]), too_long),
        (
            "extended headers without end",
            (0..20)
                .fold(Tar::new(), |tar, _| {
                    tar.add(Entry::new(b"x", b'x').content(&record("k", &vec![b'v'; 1 << 19])))
                })
                .finish(),
            too_long,
        ),
        (
            "socket or worse",
            tar([Entry::new(b"a", b'Z')]),
            |error| matches!(error, ArchiveError::UnsupportedType { kind, .. } if kind == "Z"),
        ),
        (
            "a second volume",
            tar([Entry::new(b"a", b'M').format(Format::Gnu).content(b"rest")]),
            |error| matches!(error, ArchiveError::Continuation { name } if name == "a"),
        ),
        (
            "the same file twice",
            tar([file("a", "x"), file("./a", "y")]),
            |error| matches!(error, ArchiveError::Duplicate { name } if name == "./a"),
        ),
    ];
    for (what, tar, expected) in cases {
        match names(&tar) {
            Ok(names) => panic!("{what}: accepted as {names:?}"),
            Err(error) => assert!(expected(&error), "{what}: {error:?}"),
        }
    }
}

#[test]
fn messages_name_what_is_wrong_and_stay_short() {
    let evil = format!("{}\n", "x".repeat(2000));
    let entry = Entry::new(b"a", b'Z');
    let Err(error) = names(&Tar::new().long(evil.as_bytes(), entry).finish()) else {
        panic!("accepted")
    };
    let message = error.to_string();
    assert!(message.starts_with("tar entry `xxx"), "{message}");
    assert!(message.len() < 700 && !message.contains('\n'), "{message}");
}

/// GNU tar's `-V` and `-g`, and contiguous files: read as GNU tar reads them, and rebuilt to the byte.
#[test]
fn labels_and_incremental_dumps_are_read_as_gnu_tar_reads_them() {
    let gnu = |name: &[u8], kind| Entry::new(name, kind).format(Format::Gnu);
    let archive = tar([
        gnu(b"label", b'V').content(b"of no use"),
        gnu(b"d/", b'D').mode(0o750).content(b"Yf\0Ygone\0\0"),
        gnu(b"d/f", b'0').content(b"content"),
        gnu(b"c", b'7').content(b"contiguous"),
        // A file may have the label's name.
        gnu(b"label", b'0').content(b"a file"),
    ]);
    let fixture = Fixture::new();
    let layer = fixture.apply(&archive).unwrap();
    assert_eq!(fixture.mode("d"), 0o750);
    for (name, content) in [("d/f", "content"), ("c", "contiguous"), ("label", "a file")] {
        assert_eq!(fixture.read(name), content);
    }
    assert_eq!(layer.applied.size, 23);
    let mut rebuilt = Vec::new();
    archive::rebuild(&layer.tar_split[..], &fixture.root(), &mut rebuilt).unwrap();
    assert!(rebuilt == archive);
    let verified = archive::verify(&layer.tar_split[..], &fixture.root()).unwrap();
    assert_eq!((verified.damages, verified.diff_id), (Vec::new(), layer.applied.diff_id.clone()));
    let looked_at = archive::inspect_compressed(&archive[..], None, None, &|_| {}).unwrap();
    assert_eq!(looked_at.applied, layer.applied);

    let mut entries = Vec::new();
    archive::read_entries(&archive[..], u64::MAX, |entry, _| {
        entries.push((String::from_utf8(entry.path).unwrap(), entry.size));
        Ok::<_, ArchiveError>(())
    })
    .unwrap();
    let expected = [("d", 10), ("d/f", 7), ("c", 10), ("label", 6)];
    assert_eq!(entries, expected.map(|(name, size)| (name.to_owned(), size)));
}

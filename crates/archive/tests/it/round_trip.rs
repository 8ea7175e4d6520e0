//! Tars rebuilt from what they were unpacked to.

use std::fs;
use std::io::Write;

use archive::{ArchiveError, inspect_compressed, rebuild, rebuilt_size};
use flate2::write::GzEncoder;

use crate::builder::{Entry, Format, Tar, directory, file, hard_link, record, symlink, tar};
use crate::fixture::{Fixture, Layer, is_root};

fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let body = || {
        Tar::new()
            .add(directory("./"))
            .add(directory("d/"))
            .add(file("d/f", "some content"))
            .add(file("d/empty", ""))
            .add(file("d/block", [7; 512]))
            .add(symlink("d/s", "f"))
            .add(hard_link("d/h", "d/f"))
    };
    let big: Vec<u8> =
        (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        ("nothing", Vec::new()),
        ("end mark", Tar::new().finish()),
        ("plain", body().finish()),
        ("no end mark", body().unfinished()),
        ("record padding", body().raw(&[0; 1024]).pad(10_240).unfinished()),
        (
            "garbage after the end",
            body().raw(&[0; 1024]).raw(&b"garbage".repeat(300_000)).unfinished(),
        ),
        ("cut padding", Tar::new().add(file("f", "x")).unfinished()[..600].to_vec()),
        (
            "dirty padding",
            Tar::new()
                .add(file("a", "x"))
                .raw(b"")
                .unfinished()
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if at > 513 { 9 } else { byte })
                .collect(),
        ),
        (
            "pax",
            tar([file("x", "content")
                .pax("path", "long/".repeat(60) + "name")
                .pax("mtime", "1.5")]),
        ),
        ("gnu long", Tar::new().long(&b"long/".repeat(60), directory("x")).finish()),
        ("v7", tar([file("f", "x").format(Format::V7), Entry::new(b"d/", 0).format(Format::V7)])),
        (
            "global headers",
            tar([
                // Its name is none of a file.
                Entry::new(b"g", b'g').content(&record("path", b"f")),
                file("f", "x"),
                Entry::new(b"g", b'g').content(&record("comment", b"y")),
            ]),
        ),
        (
            "sizes on entries without content",
            tar([
                file("f", "x"),
                directory("d").size(99),
                symlink("s", "f").size(1),
                hard_link("h", "f").size(1),
            ]),
        ),
        ("content of the root", tar([file("./", "strange"), file("f", "x")])),
        ("big file", tar([file("big", &big), file("after", "x")])),
        (
            "names that JSON escapes",
            tar([
                Entry::new(b"\xff\xfe", b'0').content(b"1"),
                Entry::new(b"<&>\"\\\x01\n", b'0').content(b"2"),
                Entry::new("\u{2028}\u{e9}".as_bytes(), b'0').content(b"3"),
            ]),
        ),
        ("through a symlink", tar([directory("d"), symlink("l", "/d"), file("l/f", "x")])),
    ]
}

fn rebuilt(fixture: &Fixture, layer: &Layer) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    let diff_id = rebuild(&layer.tar_split[..], &fixture.root(), &mut bytes)?;
    assert_eq!(rebuilt_size(&layer.tar_split[..])?, bytes.len() as u64);
    assert_eq!(diff_id, layer.applied.diff_id);
    Ok(bytes)
}

#[test]
fn every_shape_comes_back_to_the_byte() {
    for (what, tar) in shapes() {
        let fixture = Fixture::new();
        let layer = fixture.apply(&tar).unwrap_or_else(|error| panic!("{what}: {error}"));
        let bytes = rebuilt(&fixture, &layer).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(bytes == tar, "{what}");
        assert_eq!(layer.applied.diff_id.digest(), &spec::Digest::sha256(&tar), "{what}");
        for (position, line) in layer.lines().iter().enumerate() {
            assert_eq!(line["position"], position, "{what}");
        }
    }
}

#[test]
fn inspecting_tells_what_unpacking_does() {
    for (what, tar) in shapes() {
        let layer = Fixture::new().apply(&tar).unwrap();
        let inspected = inspect_compressed(&tar[..], None, None, &|_| {}).unwrap();
        assert_eq!(inspected.applied, layer.applied, "{what}");
    }
}

#[test]
fn damage_is_found_and_named() {
    type Damage = fn(&Fixture);
    let cases: &[(&str, Damage)] = &[
        ("content differs", |fixture| fs::write(fixture.path("d/f"), "SOME content").unwrap()),
        ("size differs", |fixture| fs::write(fixture.path("d/f"), "some").unwrap()),
        ("is gone", |fixture| fs::remove_file(fixture.path("d/f")).unwrap()),
        ("is gone", |fixture| fs::remove_dir_all(fixture.path("d")).unwrap()),
        ("a symlink", |fixture| {
            fs::rename(fixture.path("d/f"), fixture.path("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../elsewhere", fixture.path("d/f")).unwrap();
        }),
        ("no regular file", |fixture| {
            fs::remove_file(fixture.path("d/f")).unwrap();
            fs::create_dir(fixture.path("d/f")).unwrap();
        }),
        ("is gone", |fixture| {
            // A parent that leads outside, where a file of that name is.
            fs::rename(fixture.path("d"), fixture.path("../outside/moved")).unwrap();
            std::os::unix::fs::symlink(fixture.path("../outside/moved"), fixture.path("d"))
                .unwrap();
        }),
    ];
    for (expected, damage) in cases {
        let fixture = Fixture::new();
        let layer = fixture.apply(&tar([directory("d"), file("d/f", "some content")])).unwrap();
        damage(&fixture);
        match rebuilt(&fixture, &layer) {
            Err(ArchiveError::Damaged { name, problem }) => {
                assert_eq!(name, "d/f");
                assert!(problem.contains(expected), "{problem}");
            }
            other => panic!("{expected}: {:?}", other.map(|bytes| bytes.len())),
        }
    }
}

#[test]
fn a_dockerd_s_tar_split_is_read() {
    // Its last line is an empty segment, as dockerd 20.10 writes it; `name_raw` and fields in another order occur too.
    let fixture = Fixture::new();
    fs::write(fixture.path("f"), "a").unwrap();
    let lines = concat!(
        "{\"type\":2,\"payload\":\"aGVhZGVy\",\"position\":0}\n",
        "{\"position\":1,\"type\":1,\"name_raw\":\"Zg==\",\"size\":1,\"payload\":\"NCAAAAAAAAA=\"}\n",
        "{\"type\":1,\"name\":\"d\\u0026\",\"payload\":null,\"position\":2}\n",
        "{\"type\":2,\"payload\":\"\",\"position\":3}\n",
    );
    let mut bytes = Vec::new();
    rebuild(&gzip(lines)[..], &fixture.root(), &mut bytes).unwrap();
    assert_eq!(bytes, b"headera");
}

#[test]
fn refuses_what_is_no_tar_split() {
    let lines = [
        "hello\n",
        "{}\n",
        "{\"type\":3,\"payload\":\"\",\"position\":0}\n",
        "{\"type\":2,\"payload\":\"*\",\"position\":0}\n",
        "{\"type\":1,\"name\":\"f\",\"size\":-1,\"payload\":\"NCAAAAAAAAA=\"}\n",
        "{\"type\":1,\"name\":\"f\",\"size\":1,\"payload\":\"NCAA\"}\n",
        "{\"type\":1,\"name\":\"f\",\"size\":1,\"payload\":null}\n",
        "{\"type\":1,\"name_raw\":\"*\",\"size\":1,\"payload\":\"NCAAAAAAAAA=\"}\n",
    ];
    for line in lines {
        let fixture = Fixture::new();
        fs::write(fixture.path("f"), "a").unwrap();
        let result = rebuild(&gzip(line)[..], &fixture.root(), Vec::new());
        assert!(matches!(result, Err(ArchiveError::Split { line: 1, .. })), "{line}");
    }
    let outside =
        "{\"type\":1,\"name\":\"../outside/secret\",\"size\":6,\"payload\":\"NCAAAAAAAAA=\"}\n";
    // What a name climbs to is in the layer, as when it was unpacked; here there is nothing.
    let result = rebuild(&gzip(outside)[..], &Fixture::new().root(), Vec::new());
    assert!(matches!(result, Err(error) if error.to_string().contains("it is gone")));
    let cut = gzip(lines[2]);
    let result = rebuild(&cut[..cut.len() - 4], &Fixture::new().root(), Vec::new());
    assert!(matches!(result, Err(ArchiveError::SplitRead(_) | ArchiveError::Split { .. })));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn sinks_that_fail_are_told_apart() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = Fixture::new();
    let tar = tar([file("f", "x")]);
    let layer = fixture.apply(&tar).unwrap();
    let result = rebuild(&layer.tar_split[..], &fixture.root(), Full);
    assert!(matches!(result, Err(ArchiveError::Sink(_))));
    let other = Fixture::new();
    let result = archive::apply(&tar[..], &other.root(), Full, &crate::fixture::options());
    assert!(matches!(result, Err(ArchiveError::SplitWrite(_))));
    let _ = is_root();
}

use std::sync::Arc;

use archive::LayerFile;
use futures_util::stream;
use test_support::image::{Compression, Image, Layer};
use test_support::tar::{Entry, Kind, PaxSparse, Writer};

use super::*;
use crate::testing::Fixture;
use crate::{LoadRequest, Progress};

/// Loads an image of these layers.
fn load(fixture: &Fixture, name: &str, layers: &[Vec<Entry>]) {
    let image = layers.iter().fold(Image::builder(), |image, entries| {
        image.layer(Layer::new(Compression::Gzip, entries))
    });
    let image = image.build();
    let mut tar = Writer::new(Vec::new());
    let mut paths = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        paths.push(format!("{number}.tar"));
        tar.append(&Entry::file(format!("{number}.tar"), layer.blob.read().unwrap())).unwrap();
    }
    tar.append(&Entry::file("c", image.config.read().unwrap())).unwrap();
    let list = serde_json::json!([{ "Config": "c", "RepoTags": [name], "Layers": paths }]);
    tar.append(&Entry::file("manifest.json", list.to_string())).unwrap();
    let mut body = stream::iter([Ok(tar.finish().unwrap().into())]);
    let loaded = fixture.engine.load(LoadRequest::default(), &mut body, Progress::silent());
    fixture.run(loaded).unwrap();
}

fn fixtures() -> impl Iterator<Item = Fixture> {
    [Some(Fixture::new(&[])), Fixture::unpacked(&[])].into_iter().flatten()
}

/// The changes as lines: `C3 etc/passwd 5>7 content`.
fn shown(fixture: &Fixture, from: Option<&str>, to: &str) -> (Vec<String>, ImageDiff) {
    let request = DiffRequest { from: from.map(str::to_owned), to: to.to_owned() };
    let diff = fixture.run(fixture.engine.diff(request)).unwrap();
    let line = |change: &Change| {
        let letter = match (&change.before, &change.after) {
            (None, _) => 'A',
            (_, None) => 'D',
            _ => 'C',
        };
        let layer = change.layer.map_or("-".to_owned(), |layer| (layer + 1).to_string());
        let path = String::from_utf8_lossy(&change.path);
        let size =
            |file: &Option<Arc<LayerFile>>| file.as_ref().map(|file| file.size().to_string());
        let sizes: Vec<String> =
            [size(&change.before), size(&change.after)].into_iter().flatten().collect();
        let aspects: Vec<String> =
            change.aspects.iter().map(|aspect| format!(" {aspect:?}")).collect();
        format!("{letter}{layer} {path} {}{}", sizes.join(">"), aspects.concat())
    };
    (diff.changes.iter().map(line).collect(), diff)
}

fn base() -> Vec<Entry> {
    vec![
        Entry::directory("etc"),
        Entry::file("etc/passwd", *b"root"),
        Entry::file("etc/shadow", *b"secret"),
        Entry::directory("old"),
        Entry::file("old/a", *b"12345"),
        Entry::directory("old/b"),
        Entry::file("old/b/c", *b"1234567"),
        Entry::file("old-not", *b"1"),
        Entry::symlink("link", "etc"),
        Entry::directory("keep"),
        Entry::file("keep/x", *b"x"),
    ]
}

#[test]
fn two_images_are_compared_by_what_overlayfs_shows() {
    let first = vec![
        Entry::file("etc/passwd", *b"rooT"),
        Entry::file("etc/shadow", *b"secret").mode(0o600).owner(5, 6),
        Entry::whiteout("old"),
        Entry::symlink("link", "usr"),
    ];
    let second = vec![
        Entry::directory("keep"),
        Entry::opaque("keep"),
        Entry::file("keep/y", *b"yy"),
        Entry::hard_link("keep/z", "keep/y"),
        // Implied: the directory below is what it was.
        Entry::file("etc/new", *b"new"),
    ];
    for fixture in fixtures() {
        load(&fixture, "a:1", &[base()]);
        load(&fixture, "b:1", &[base(), first.clone(), second.clone()]);
        let (lines, diff) = shown(&fixture, Some("a:1"), "b:1");
        assert_eq!(
            lines,
            [
                "A3 etc/new 3",
                "C2 etc/passwd 4>4 Content",
                "C2 etc/shadow 6>6 Mode Owner",
                "D3 keep/x 1",
                "A3 keep/y 2",
                "A3 keep/z 2",
                "C2 link 0>0 Target",
                "D2 old 0",
                "D2 old/a 5",
                "D2 old/b 0",
                "D2 old/b/c 7",
            ]
        );
        let sum = |files, bytes| Sum { files, bytes };
        let totals = Totals { added: sum(3, 5), changed: sum(3, 0), removed: sum(5, 13) };
        assert_eq!(diff.totals, totals, "a file of two names counts once");
        let of = |layer: usize| diff.layers[layer].totals;
        assert_eq!(of(0), Totals::default());
        assert_eq!(of(1), Totals { added: sum(0, 0), changed: sum(3, 0), removed: sum(4, 12) });
        assert_eq!(of(2), Totals { added: sum(3, 5), changed: sum(0, 0), removed: sum(1, 1) });
        let shared: Vec<bool> = diff.layers.iter().map(|layer| layer.is_shared).collect();
        assert_eq!(shared, [true, false, false]);
        assert_eq!(diff.layers[1].created_by, "layer 2");

        // The other way round nothing of the image took anything away.
        let (lines, _) = shown(&fixture, Some("b:1"), "a:1");
        assert!(lines.contains(&"D- etc/new 3".to_owned()), "{lines:?}");
        assert!(lines.contains(&"A1 old/b/c 7".to_owned()), "{lines:?}");
        assert_eq!(lines.len(), 11);
        assert!(shown(&fixture, Some("b:1"), "b:1").0.is_empty());
    }
}

#[test]
fn every_kind_and_property_is_told_of() {
    let fifo = |path: &str| Entry::of(path, Kind::Fifo);
    let table: [(Entry, Entry, &str); 11] = [
        (Entry::file("f", *b"1"), Entry::file("f", *b"22"), "C2 f 1>2 Content"),
        (Entry::file("f", *b"1"), Entry::file("f", *b"1").modified(9, 5), "C2 f 1>1 Modified"),
        (Entry::file("f", *b""), Entry::file("f", *b"").mode(0o755), "C2 f 0>0 Mode"),
        (
            Entry::file("f", *b"1"),
            Entry::file("f", *b"1").xattr("user.x", *b"y"),
            "C2 f 1>1 Attributes",
        ),
        (Entry::file("f", *b"1"), Entry::file("f", *b"1"), ""),
        (Entry::symlink("f", "a"), Entry::symlink("f", "b"), "C2 f 0>0 Target"),
        (Entry::symlink("f", "a"), Entry::symlink("f", "a"), ""),
        (Entry::directory("f"), Entry::directory("f").owner(1, 0), "C2 f 0>0 Owner"),
        (Entry::directory("f").mode(0o644), fifo("f"), "C2 f 0>0 Kind"),
        (fifo("f"), Entry::file("f", *b"123"), "C2 f 0>3 Kind"),
        (Entry::file("f", *b"123"), Entry::directory("f").mode(0o644), "C2 f 3>0 Kind"),
    ];
    for fixture in fixtures() {
        for (number, (before, after, expected)) in table.iter().enumerate() {
            let tag = format!("t:{number}");
            // Another file, so that no two layers are one.
            let other = Entry::file("other", format!("{number}"));
            load(&fixture, &tag, &[vec![before.clone(), other], vec![after.clone()]]);
            let (lines, _) = shown(&fixture, None, &tag);
            let of_second: Vec<&String> =
                lines.iter().filter(|line| line.contains("2 f ")).collect();
            let expected: Vec<&str> =
                [*expected].into_iter().filter(|line| !line.is_empty()).collect();
            assert_eq!(of_second, expected, "{before:?} {after:?}");
        }
    }
}

#[test]
fn layers_that_differ_may_have_the_same_files() {
    for fixture in fixtures() {
        let sparse = Entry::of("s", Kind::Sparse(10, vec![(4, b"data".to_vec())]))
            .sparse_as(PaxSparse::V1_0);
        load(&fixture, "a:1", &[base(), vec![Entry::file("app", *b"app"), sparse]]);
        let plain = Entry::file("s", *b"\0\0\0\0data\0\0");
        let rebuilt = vec![plain, Entry::file("app", *b"app"), Entry::file("more", *b"m")];
        load(&fixture, "b:1", &[vec![Entry::directory("etc")], base(), rebuilt]);
        assert_eq!(shown(&fixture, Some("a:1"), "b:1").0, ["A3 more 1"]);
        // The same layer on others is read once, and its files are the same.
        load(&fixture, "c:1", &[vec![Entry::file("first", *b"1")], base()]);
        load(&fixture, "d:1", &[vec![Entry::file("first", *b"2")], base()]);
        assert_eq!(shown(&fixture, Some("c:1"), "d:1").0, ["C1 first 1>1 Content"]);
    }
}

#[test]
fn each_layer_is_compared_with_those_below_it() {
    for fixture in fixtures() {
        let second =
            vec![Entry::file("etc/passwd", *b"root").mode(0o600), Entry::whiteout("old/a")];
        // A file in the place of a directory takes all of it away.
        let third = vec![Entry::file("old", *b"file"), Entry::whiteout("never-there")];
        load(&fixture, "a:1", &[base(), second, third]);
        let (lines, diff) = shown(&fixture, None, "a:1");
        let above: Vec<&String> = lines.iter().filter(|line| !line.starts_with("A1")).collect();
        assert_eq!(
            above,
            [
                "C2 etc/passwd 4>4 Mode",
                "D2 old/a 5",
                "C3 old 0>4 Kind Mode",
                "D3 old/b 0",
                "D3 old/b/c 7"
            ]
        );
        assert_eq!(lines.len() - above.len(), base().len());
        assert_eq!(diff.layers[0].totals.added.files, base().len() as u64);
        assert_eq!(diff.totals.changed, Sum { files: 2, bytes: 4 }, "of what was there before");
        assert!(diff.from.is_none() && diff.layers.iter().all(|layer| !layer.is_shared));
    }
}

#[test]
fn what_is_not_there_is_told() {
    let fixture = Fixture::new(&["web tags=web:1"]);
    for (from, to) in [(Some("gone"), "web:1"), (Some("web:1"), "gone"), (None, "gone")] {
        let request = DiffRequest { from: from.map(str::to_owned), to: to.to_owned() };
        let said = fixture.run(fixture.engine.diff(request)).unwrap_err().to_string();
        assert_eq!(said, "No such image: gone:latest");
    }
}

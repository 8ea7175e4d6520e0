use std::fs;
use std::path::PathBuf;

use futures_util::stream;
use serde_json::json;
use spec::{Digest, Reference};
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::tar::{Entry, Writer};

use super::*;
use crate::cancel::{CancelOnDrop, Cancelled};
use crate::testing::Fixture;

/// Bytes that no compression makes less of, and too many to be kept in memory.
fn noise(word: &str) -> Vec<u8> {
    let mut seed = word.bytes().fold(1_u32, |seed, byte| seed.wrapping_mul(31) + u32::from(byte));
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed.to_le_bytes()
    };
    (0..50_000).flat_map(|_| next()).collect()
}

fn layer(compression: Compression, word: &str) -> Layer {
    Layer::new(compression, &[Entry::file(word, noise(word)), Entry::directory("etc")])
}

fn image(layers: &[&Layer]) -> Image {
    let image = Image::builder().format(Format::Oci);
    layers.iter().fold(image, |image, layer| image.layer((*layer).clone())).build()
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for entry in entries {
        tar.append(entry).unwrap();
    }
    tar.finish().unwrap()
}

fn hex_path(layer: &Layer) -> String {
    format!("{}.tar", layer.diff_id.digest().hex())
}

fn file_of(path: &str, layer: &Layer) -> Entry {
    Entry::file(path, layer.blob.read().unwrap())
}

/// An archive as docker and others save it: layers, each once, then configs, and the list last.
fn archive(images: &[(&str, &Image)]) -> Vec<u8> {
    let (mut entries, mut paths) = (Vec::new(), HashSet::new());
    let mut list = Vec::new();
    for (name, image) in images {
        for layer in &image.layers {
            let path = hex_path(layer);
            if paths.insert(path.clone()) {
                entries.push(file_of(&path, layer));
            }
        }
        entries.push(Entry::file(format!("{name}.json"), image.config.read().unwrap()));
        let layers: Vec<String> = image.layers.iter().map(hex_path).collect();
        let config = format!("{name}.json");
        list.push(json!({ "Config": config, "RepoTags": [format!("{name}:1")], "Layers": layers }));
    }
    entries.push(Entry::file("manifest.json", json!(list).to_string()));
    tar(&entries)
}

/// The files of an image layout, in the order in which docker and skopeo have them.
fn layout(write: impl FnOnce(&std::path::Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let blobs = fs::read_dir(folder.path().join("blobs/sha256")).unwrap();
    let mut names: Vec<String> = blobs
        .map(|blob| format!("blobs/sha256/{}", blob.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names.extend(["index.json".to_owned(), "oci-layout".to_owned()]);
    let read = |name: String| {
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        Entry::file(name, bytes)
    };
    tar(&names.into_iter().map(read).collect::<Vec<_>>())
}

fn load_pieces(fixture: &Fixture, pieces: Vec<io::Result<Bytes>>) -> Result<LoadedImages> {
    let mut body = stream::iter(pieces);
    fixture.run(fixture.engine.load(LoadRequest::default(), &mut body, Progress::silent()))
}

fn load(fixture: &Fixture, archive: &[u8]) -> Result<LoadedImages> {
    // Of a size that no boundary within the archive is a multiple of.
    let pieces = archive.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece)));
    load_pieces(fixture, pieces.collect())
}

fn read(fixture: &Fixture, lease: &Lease, archive: &[u8]) -> Tree {
    fixture
        .run(async { Tree::read(&fixture.engine, lease, archive, Cancelled::default()) })
        .unwrap()
}

fn staged(fixture: &Fixture) -> Vec<PathBuf> {
    let folder = fixture.store().root().join("longshore/staging");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Compares all that there is of an image with what it was made of.
fn assert_is_whole(fixture: &Fixture, image: &Image) {
    let store = fixture.store();
    let found = store.image(&image.id()).unwrap().expect("it was loaded");
    for (chain, layer) in found.layers.iter().zip(&image.layers) {
        let split = store.tar_split(chain).unwrap().unwrap();
        let mut tar = Vec::new();
        archive::rebuild(split, &store.layer_path(chain).unwrap().unwrap(), &mut tar).unwrap();
        assert_eq!(Digest::sha256(&tar), *layer.diff_id.digest());
    }
}

#[test]
fn a_layer_that_arrives_is_written_once_as_what_it_will_be() {
    let fixtures = [Some(Fixture::new(&[])), Fixture::unpacked(&[])];
    for fixture in fixtures.into_iter().flatten() {
        let unpacks = fixture.store().driver() == store::DriverKind::Overlay2;
        let lease = fixture.store().lease().unwrap();
        let [plain, gzip] = [Compression::None, Compression::Gzip].map(|it| layer(it, "a"));
        let blob = |layer: &Layer| format!("blobs/sha256/{}", layer.blob.digest.hex());
        for (path, bytes, is_unpacked) in [
            ("a/layer.tar", plain.blob.read().unwrap(), true),
            ("a.tar.gz", gzip.blob.read().unwrap(), true),
            (&*blob(&plain), plain.blob.read().unwrap(), true),
            // The compressed bytes may be what is kept.
            (&*blob(&gzip), gzip.blob.read().unwrap(), false),
            // Nothing but SHA-256 is known of what is unpacked.
            ("blobs/sha512/00", plain.blob.read().unwrap(), false),
            ("a/layer.tar", noise("no tar"), false),
        ] {
            let archive = tar(&[Entry::file(path, bytes.clone())]);
            let tree = read(&fixture, &lease, &archive);
            let [there] = &*staged(&fixture) else { panic!("{path}: written once") };
            assert_eq!(there.is_dir(), is_unpacked && unpacks, "{path}");
            assert_eq!(tree.find(path).unwrap().size(), bytes.len() as u64);
            drop(tree);
            // So that slow senders do not take all there is.
            let all = fixture.engine.0.arrivals.try_acquire_many(8).unwrap();
            let tree = read(&fixture, &lease, &archive);
            let [there] = &*staged(&fixture) else { panic!("{path}: written once") };
            assert!(there.is_file(), "{path}");
            drop((tree, all));
            assert!(staged(&fixture).is_empty(), "{path}: nobody wants it");
        }
    }
}

/// Loaded once more, or with others on top, an image is no more than what is new of it.
#[test]
fn what_is_here_already_is_not_written() {
    let [x, y, z] = ["x", "y", "z"].map(|word| layer(Compression::None, word));
    let gzip = layer(Compression::Gzip, "gzip");
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    load(&fixture, &archive(&[("a", &image(&[&x, &y]))])).unwrap();
    let kept = image(&[&gzip]);
    load(&fixture, &layout(|folder| kept.write_layout(folder, "kept:1").unwrap())).unwrap();
    let lease = fixture.store().lease().unwrap();
    let blob = format!("blobs/sha256/{}", gzip.blob.digest.hex());
    let plain = format!("blobs/sha256/{}", y.blob.digest.hex());
    let (x_path, y_path, z_path) = (hex_path(&x), hex_path(&y), hex_path(&z));
    for (path, layer, is_here) in [
        (&x_path, &x, true),
        (&y_path, &y, true),
        (&plain, &y, true),
        (&blob, &gzip, true),
        (&z_path, &z, false),
        (&"a/layer.tar".to_owned(), &x, false),
    ] {
        let archive = tar(&[file_of(path, layer)]);
        let tree = read(&fixture, &lease, &archive);
        assert_eq!(staged(&fixture).is_empty(), is_here, "{path}");
        let file = tree.find(path).unwrap();
        assert_eq!(file.size(), layer.blob.size);
        let plain = file
            .plain((fixture.store(), &lease), layer.diff_id.digest(), &Cancelled::default())
            .unwrap();
        assert!(plain.read(path, 1 << 20).unwrap() == layer.blob.read().unwrap(), "{path}");
    }
    // Of another size it is another file, whatever its name says.
    let mut short = x.blob.read().unwrap();
    short.truncate(short.len() - 512);
    let tree = read(&fixture, &lease, &tar(&[Entry::file(&*x_path, short)]));
    assert!(!staged(&fixture).is_empty());
    drop(tree);
    // On another base they are other layers.
    let turned = image(&[&z, &y, &x, &gzip]);
    load(&fixture, &archive(&[("b", &turned)])).unwrap();
    assert_is_whole(&fixture, &turned);
}

#[test]
fn layers_that_were_unpacked_are_those_of_all_images_that_have_them() {
    let [x, y, z] = ["x", "y", "z"].map(|word| layer(Compression::None, word));
    let gzip = layer(Compression::Gzip, "gzip");
    let images = [
        image(&[&x, &y]),
        // On another base, twice, and compressed.
        image(&[&y]),
        image(&[&y, &x, &y]),
        image(&[&gzip, &z, &gzip, &x]),
    ];
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    let names = ["a", "b", "c", "d"];
    let listed: Vec<_> = names.into_iter().zip(&images).collect();
    load(&fixture, &archive(&listed)).unwrap();
    for (name, image) in listed {
        assert_is_whole(&fixture, image);
        let name = Reference::parse_familiar(&format!("{name}:1")).unwrap();
        assert_eq!(fixture.store().references().unwrap().get(&name), Some(image.id()));
    }
    assert!(staged(&fixture).is_empty());
}

/// Bytes that were not written cannot be read again; who has the archive as a file is told that this helps.
#[test]
fn what_has_gone_by_and_cannot_be_had_here_is_told() {
    let [x, y] = ["x", "y"].map(|word| layer(Compression::None, word));
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    let first = image(&[&x]);
    load(&fixture, &archive(&[("a", &first)])).unwrap();
    let chain = &fixture.store().image(&first.id()).unwrap().unwrap().layers[0];
    fs::write(fixture.store().layer_path(chain).unwrap().unwrap().join("x"), "other").unwrap();
    let second = archive(&[("b", &image(&[&y, &x]))]);
    let told = load(&fixture, &second).unwrap_err().message();
    let digest = x.diff_id.digest();
    let expected =
        format!("the bytes of layer {digest} have gone by: load the archive from a file: ");
    assert!(told.starts_with(&expected) && told.contains("file `x`"), "{told}");
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, &second).unwrap();
    let request = LoadRequest::default();
    fixture.run(fixture.engine.load_file(request, file, Progress::silent())).unwrap();
}

#[test]
fn a_layer_is_put_together_again_once_and_by_nobody_who_has_gone() {
    let x = layer(Compression::None, "x");
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    let lease = fixture.store().lease().unwrap();
    let path = hex_path(&x);
    let tree = read(&fixture, &lease, &tar(&[file_of(&path, &x)]));
    let file = tree.find(&path).unwrap();
    let plain = |cancelled| file.plain((fixture.store(), &lease), x.diff_id.digest(), &cancelled);
    let (cancel, cancelled) = CancelOnDrop::new();
    drop(cancel);
    assert!(matches!(plain(cancelled), Err(EngineError::Cancelled)));
    assert_eq!(staged(&fixture).len(), 1, "the layer alone");
    let plain = [0, 1].map(|_| plain(Cancelled::default()).unwrap());
    assert_eq!(staged(&fixture).len(), 2, "the layer, and its bytes once");
    for plain in plain {
        assert!(plain.read(&path, 1 << 20).unwrap() == x.blob.read().unwrap());
    }
    drop(tree);
    assert!(staged(&fixture).is_empty());
}

#[test]
fn links_lead_to_what_was_unpacked() {
    let x = layer(Compression::None, "x");
    let image = image(&[&x]);
    let list = json!([{ "Config": "c", "RepoTags": ["x:1"], "Layers": ["b/layer.tar"] }]);
    for link in [
        Entry::symlink("b/layer.tar", "../a/layer.tar"),
        Entry::hard_link("b/layer.tar", "a/layer.tar"),
    ] {
        let Some(fixture) = Fixture::unpacked(&[]) else { return };
        let archive = tar(&[
            file_of("a/layer.tar", &x),
            link,
            Entry::file("c", image.config.read().unwrap()),
            Entry::file("manifest.json", list.to_string()),
        ]);
        load(&fixture, &archive).unwrap();
        assert_is_whole(&fixture, &image);
    }
}

/// An index that is kept whole has its layers as they are, and so the tar of one that was unpacked.
#[test]
fn the_bytes_of_what_was_unpacked_are_kept_where_they_are_wanted() {
    let x = layer(Compression::None, "x");
    let image = image(&[&x]);
    let other = Image::builder().format(Format::Oci).architecture("s390x");
    let other = other.layer(layer(Compression::None, "other")).build();
    let index = Index::new(Format::Oci, vec![image.clone(), other.clone()]);
    let archive = layout(|folder| index.write_layout(folder, "x:1").unwrap());
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    // When it is here already, too.
    for _ in 0..2 {
        load(&fixture, &archive).unwrap();
        assert_is_whole(&fixture, &image);
        for layer in image.layers.iter().chain(&other.layers) {
            let blob = fixture.store().blob(&layer.blob.digest).unwrap().unwrap();
            assert!(fs::read(&blob.path).unwrap() == layer.blob.read().unwrap());
        }
        assert!(staged(&fixture).is_empty());
        fs::remove_file(fixture.store().blob(&x.blob.digest).unwrap().unwrap().path).unwrap();
    }
}

/// A tar that was put together again for one image has become a blob of the store when the next wants it.
#[test]
fn a_layer_of_two_images_is_there_for_both() {
    let [a, b, x] = ["a", "b", "x"].map(|word| layer(Compression::None, word));
    let images = [image(&[&a, &x]), image(&[&b, &x])];
    let archive = layout(|folder| {
        let lists = images.each_ref().map(|image| {
            let index = Index::new(Format::Oci, vec![image.clone()]);
            index.write_layout(folder, "it:1").unwrap();
            let list = fs::read(folder.join("index.json")).unwrap();
            serde_json::from_slice::<serde_json::Value>(&list).unwrap()
        });
        let [mut list, other] = lists;
        let entry = other["manifests"][0].clone();
        list["manifests"].as_array_mut().unwrap().push(entry);
        fs::write(folder.join("index.json"), list.to_string()).unwrap();
    });
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    load(&fixture, &archive).unwrap();
    for image in &images {
        assert_is_whole(&fixture, image);
    }
    assert!(staged(&fixture).is_empty());
}

#[test]
fn what_cannot_be_unpacked_is_refused_where_it_is_a_layer_and_else_passed_over() {
    let x = layer(Compression::None, "x");
    let mut broken = x.blob.read().unwrap();
    // The header of the second entry.
    let second = broken.windows(4).rposition(|bytes| bytes == b"etc/").unwrap();
    broken[second] = b'E';
    let image = image(&[&x]);
    let config = Entry::file("c", image.config.read().unwrap());
    for (used, expected) in [("x.tar", None), ("broken.tar", Some("failed to register layer"))] {
        let Some(fixture) = Fixture::unpacked(&[]) else { return };
        let list = json!([{ "Config": "c", "RepoTags": ["x:1"], "Layers": [used] }]);
        let archive = tar(&[
            Entry::file("broken.tar", broken.clone()),
            file_of("x.tar", &x),
            config.clone(),
            Entry::file("manifest.json", list.to_string()),
        ]);
        let loaded = load(&fixture, &archive);
        match expected {
            None => assert_is_whole(&fixture, &image),
            Some(expected) => {
                let told = loaded.unwrap_err().to_string();
                let expected = format!("{expected} {}", x.diff_id);
                assert!(told.starts_with(&expected), "{told}");
                assert!(fixture.store().image(&image.id()).unwrap().is_none());
            }
        }
        assert!(staged(&fixture).is_empty());
    }
}

#[test]
fn a_layer_that_is_another_than_the_config_says_is_refused() {
    let [x, y] = ["x", "y"].map(|word| layer(Compression::None, word));
    let mut archive = archive(&[("x", &image(&[&x]))]);
    let (ours, theirs) = (x.blob.read().unwrap(), y.blob.read().unwrap());
    let start = archive.windows(512).position(|block| *block == ours[..512]).unwrap();
    archive[start..start + theirs.len()].copy_from_slice(&theirs);
    let Some(fixture) = Fixture::unpacked(&[]) else { return };
    let told = load(&fixture, &archive).unwrap_err().to_string();
    assert!(told.starts_with("invalid diffID for layer 0: expected "), "{told}");
    assert!(staged(&fixture).is_empty() && fixture.names().is_empty());
}

#[test]
fn an_archive_that_breaks_off_within_a_layer_leaves_nothing() {
    let archive = archive(&[("x", &image(&[&layer(Compression::None, "x")]))]);
    let begin = || Ok(Bytes::copy_from_slice(&archive[..100_000]));
    for (end, expected) in [
        (None, "unexpected EOF"),
        (Some(Err(io::Error::other("connection reset"))), "connection reset"),
    ] {
        let Some(fixture) = Fixture::unpacked(&[]) else { return };
        let pieces = [begin()].into_iter().chain(end).collect();
        let error = load_pieces(&fixture, pieces).unwrap_err();
        assert!(error.message().contains(expected), "{}", error.message());
        assert!(staged(&fixture).is_empty());
    }
}

/// The blob would be another than the one that the manifest has, and nothing would ever lead to it.
#[test]
fn a_compressed_file_that_is_named_by_its_diff_id_is_refused() {
    let gzip = layer(Compression::Gzip, "x");
    let mut named = gzip.clone();
    named.blob.digest = gzip.diff_id.digest().clone();
    let image = image(&[&named]);
    let archive = layout(|folder| image.write_layout(folder, "x:1").unwrap());
    let fixtures = [Some(Fixture::new(&[])), Fixture::unpacked(&[])];
    for fixture in fixtures.into_iter().flatten() {
        let error = load(&fixture, &archive).unwrap_err();
        assert!(matches!(error, EngineError::LayerVerification { .. }), "{error}");
        assert!(fixture.store().blob(&gzip.blob.digest).unwrap().is_none());
        assert!(staged(&fixture).is_empty());
    }
}

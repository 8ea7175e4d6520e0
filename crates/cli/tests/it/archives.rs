//! `save` and `load`: what comes back, and what archives that nobody should trust are answered.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use spec::{Digest, Platform};
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::{Entry, Writer};

use super::support::{
    Bench, Done, FRONTS, Front, Home, files_below, noise, run, small_image, without_hints,
};

pub(super) const DRIVERS: [&str; 2] = ["packed", "overlay2"];

/// The binary in-process with a driver; `None` where that cannot work.
pub(super) fn with_driver(home: &Home, driver: &str, arguments: &[&str]) -> Option<Done> {
    if driver == "overlay2" && !super::support::is_root() {
        println!("skipped: overlay2 needs root");
        return None;
    }
    let mut command = home.longshore();
    Some(run(command.args(["--storage-driver", driver]).args(arguments), ""))
}

pub(super) fn manifest_digest(registry: &LocalRegistry, repository: &str) -> String {
    let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
    let path = format!("/v2/{repository}/manifests/1");
    let answer = registry.client().send("GET", &path, &[("Accept", accept)], &[]).unwrap();
    Digest::sha256(&answer.expect(200).unwrap().body).to_string()
}

pub(super) fn listing(bench: &Bench) -> String {
    bench.run(&["images", "--digests", "--no-trunc"]).success()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_was_pulled_comes_back_with_every_digest() {
    let registry = LocalRegistry::start().unwrap();
    let other = Image::builder()
        .format(Format::Oci)
        .platform(Platform::parse("linux/s390x").unwrap())
        .layer(Layer::new(Compression::Zstd, &[Entry::file("other", *b"other")]))
        .build();
    let image = small_image(1);
    let index = Index::new(Format::Docker, vec![image.clone(), other]);
    index.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", "-q", &name]).success();
        let before = listing(&bench);
        assert!(before.contains(&index.manifest.digest.to_string()), "{before}");
        let archive = bench.home.path().join("app.tar");
        bench.run(&["save", "-o", text(&archive), &name]).success();
        let bytes = std::fs::read(&archive).unwrap();
        let output = bench.command().args(["image", "save", &name]).output().unwrap();
        assert!(output.stdout == bytes, "{front:?}: the same archive twice");

        bench.run(&["rmi", &name]).success();
        let said = bench.run(&["load", "-i", text(&archive)]).success();
        assert_eq!(said, format!("Loaded image: {name}\n"), "{front:?}");
        assert_eq!(listing(&bench), before, "{front:?}");
        let output = bench.command().args(["save", &name]).output().unwrap();
        assert!(output.stdout == bytes, "{front:?}: the same archive of what was loaded");

        let copy = format!("{}/copy:1", registry.address());
        bench.run(&["tag", &name, &copy]).success();
        bench.run(&["push", "-q", &copy]).success();
        assert_eq!(manifest_digest(&registry, "copy"), index.manifest.digest.to_string());

        for driver in DRIVERS {
            let home = Home::new();
            let Some(done) = with_driver(&home, driver, &["load", "-i", text(&archive)]) else {
                continue;
            };
            done.success();
            let after = home.run(&["images", "--digests", "--no-trunc"]).success();
            assert_eq!(after, before, "{front:?} {driver}");
            let id = home.run(&["images", "-q", "--no-trunc"]).success();
            let by_id = home.path().join("id.tar");
            home.run(&["save", "-o", text(&by_id), id.trim()]).success();
            home.run(&["rmi", id.trim()]).success();
            let said = home.run(&["load", "-q", "-i", text(&by_id)]).success();
            assert_eq!(said, format!("Loaded image ID: {id}"), "saved without a name");
        }
    }
}

/// An archive as dockers wrote it before 25: a folder for each layer, and a layer that occurs twice is a link.
pub(super) fn old_archive(image: &Image, tags: &[&str]) -> Vec<u8> {
    let config = format!("{}.json", image.config.digest.hex());
    let mut entries = vec![Entry::file(&config, image.config.read().unwrap())];
    let mut paths = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let path = format!("{number}/layer.tar");
        let same = image.layers[..number].iter().position(|l| l.blob.digest == layer.blob.digest);
        entries.push(match same {
            Some(first) => Entry::symlink(&path, format!("../{first}/layer.tar")),
            None => Entry::file(&path, layer.blob.read().unwrap()),
        });
        paths.push(path);
    }
    let manifest = serde_json::json!([{ "Config": config, "RepoTags": tags, "Layers": paths }]);
    entries.push(Entry::file("manifest.json", manifest.to_string()));
    tar(&entries)
}

pub(super) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for entry in entries {
        tar.append(entry).unwrap();
    }
    tar.finish().unwrap()
}

pub(super) fn load(home: &Home, archive: &[u8], flags: &[&str]) -> Done {
    let mut command = home.longshore();
    let mut child = command
        .arg("load")
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let archive = archive.to_vec();
    // A load that fails early need not read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&archive)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Done {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An image with a layer that occurs twice, once compressed and once not.
pub(super) fn doubled_image() -> Image {
    let plain = || Layer::new(Compression::None, &[Entry::file("f", noise(7, 100_000))]);
    let gzip = Layer::new(Compression::Gzip, &[Entry::file("g", noise(8, 100_000))]);
    Image::builder().layer(plain()).layer(gzip).layer(plain()).build()
}

#[test]
fn old_archives_are_read_and_what_has_no_manifest_is_saved_as_dockerd_does() {
    let registry = LocalRegistry::start().unwrap();
    let image = doubled_image();
    let name = format!("{}/old:1", registry.address());
    let archive = Home::new();
    let path = archive.path().join("old.tar");
    std::fs::write(&path, old_archive(&image, &[&name])).unwrap();
    for driver in DRIVERS {
        let home = Home::new();
        let Some(done) = with_driver(&home, driver, &["load", "-i", text(&path)]) else { continue };
        assert_eq!(done.success(), format!("Loaded image: {name}\n"));
        let id = home.run(&["images", "-q", "--no-trunc"]).success();
        assert_eq!(id.trim(), image.id().to_string());
        let first = home.longshore().args(["save", &name]).output().unwrap().stdout;
        assert!(!first.is_empty());
        // Loaded again from our own archive, it gives the same archive again.
        home.run(&["rmi", &name]).success();
        load(&home, &first, &[]).success();
        let second = home.longshore().args(["save", &name]).output().unwrap().stdout;
        assert!(first == second, "{driver}");
        home.run(&["push", "-q", &name]).success();
        let other = Home::new();
        other.run(&["pull", "-q", &name]).success();
        let id = other.run(&["images", "-q", "--no-trunc"]).success();
        assert_eq!(id.trim(), image.id().to_string(), "{driver}: pushed from what was loaded");
    }
}

#[test]
fn tags_move_and_platforms_are_obeyed() {
    let home = Home::new();
    let foreign = |layer: &[u8]| {
        Image::builder()
            .platform(Platform::parse("linux/arm64/v8").unwrap())
            .layer(Layer::new(Compression::None, &[Entry::file("f", layer)]))
            .build()
    };
    let (first, second) = (foreign(b"1"), foreign(b"2"));
    let said = load(&home, &old_archive(&first, &["x:1", "x:latest"]), &[]).success();
    assert_eq!(said, "Loaded image: x:1\nLoaded image: x:latest\n");
    let said = load(&home, &old_archive(&second, &["x:1"]), &["-q"]).success();
    let moved = format!(
        "The image x:1 already exists, renaming the old one with ID {} to empty string\n",
        first.id()
    );
    assert_eq!(said, format!("{moved}Loaded image: x:1\n"));

    let save = |platform: &str| {
        let output = home.longshore().args(["save", "--platform", platform, "x:1"]).output();
        let output = output.unwrap();
        (output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (archive, _) = save("linux/arm64");
    assert!(!archive.is_empty());
    assert_eq!(
        save("linux/amd64").1,
        "Error response from daemon: no suitable export target found for platform linux/amd64\n"
    );
    home.run(&["rmi", "-f", &second.id().to_string()]).success();
    let none = load(&home, &archive, &["--platform", "linux/amd64"]).failure();
    let told = "no matching manifest for linux/amd64 in the archive, which has linux/arm64";
    assert!(none.contains(told), "{none}");
    let said = load(&home, &archive, &["--platform", "linux/arm64/v8"]).success();
    assert_eq!(said, "Loaded image: x:1\n");
}

#[test]
fn what_cannot_be_saved_leaves_no_file() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", "-q", &name]).success();
        let archive = bench.home.path().join("out.tar");
        let save = |names: &[&str]| {
            let mut arguments = vec!["save", "-o", text(&archive)];
            arguments.extend(names);
            bench.run(&arguments).failure()
        };
        let nothing = name.replace(":1", ":2");
        for (names, expected) in [
            (vec!["nosuch"], "No such image: nosuch"),
            (vec![&*name, "nosuch"], "No such image: nosuch"),
            (vec![&*nothing], "reference does not exist"),
            (
                vec!["UPPER"],
                "invalid reference format: repository name (library/UPPER) must be lowercase",
            ),
        ] {
            let said = save(&names);
            assert_eq!(
                without_hints(&said).trim_end(),
                format!("Error response from daemon: {expected}"),
                "{front:?}"
            );
        }
        // A blob that is no longer what it was is found out while it is sent.
        let blob = image.layers[1].blob.digest.hex();
        let blob = bench.home.data_root().join("longshore/content/blobs/sha256").join(blob);
        let mut bytes = std::fs::read(&blob).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&blob, bytes).unwrap();
        if front != Front::Docker {
            let error = save(&[&name]);
            assert!(error.contains("the kept blob hashes to"), "{front:?}: {error}");
            let piped = bench.run(&["save", &name]).failure();
            assert_eq!(piped, error, "{front:?}");
            let beside = files_below(bench.home.path());
            assert!(!beside.iter().any(|path| path.contains("out.tar")), "{front:?}: {beside:?}");
        }
    }
}

/// A file of a layer that is not what it was is found out while the archive is on its way.
#[test]
fn a_save_that_breaks_off_says_which_file_is_damaged() {
    if !super::support::is_root() {
        println!("skipped: overlay2 needs root");
        return;
    }
    let layer = Layer::new(Compression::None, &[Entry::file("usr/php.ini", noise(7, 300_000))]);
    let archive = old_archive(&Image::builder().layer(layer).build(), &["x:1"]);
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &["--storage-driver", "overlay2"]);
        let file = bench.home.path().join("x.tar");
        std::fs::write(&file, &archive).unwrap();
        bench.run(&["load", "-q", "-i", text(&file)]).success();
        let overlay = bench.home.data_root().join("overlay2");
        let damaged = files_below(&overlay).into_iter().find(|path| path.ends_with("usr/php.ini"));
        std::fs::write(overlay.join(damaged.unwrap()), vec![0; 300_000]).unwrap();
        let output = bench.home.path().join("y.tar");
        let error = bench.run(&["save", "-o", text(&output), "x:1"]).failure();
        assert!(
            error.contains("failed to read layer") && error.contains("`usr/php.ini`"),
            "{error}"
        );
        assert!(!output.exists(), "{front:?}");
    }
}

/// Of an archive that is cut, the user is told which it is and where it ends.
#[test]
fn a_cut_archive_is_named_with_its_end() {
    let image = small_image(1);
    let plain = old_archive(&image, &["x:1"]);
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    let file = bench.home.path().join("cut.tar");
    std::fs::write(&file, &plain).unwrap();
    assert!(bench.home.clean("gzip").arg("--keep").arg(&file).status().unwrap().success());
    let gzip = std::fs::read(file.with_extension("tar.gz")).unwrap();
    for whole in [plain, gzip] {
        let half = &whole[..whole.len() / 2];
        std::fs::write(&file, half).unwrap();
        let expected = format!("hint: {} ends after {} bytes", text(&file), half.len());
        for arguments in [vec!["load", "-i", text(&file)], vec!["import", text(&file)]] {
            let error = bench.run(&arguments).failure();
            assert!(error.contains(&expected), "{arguments:?}: {error}");
        }
    }
}

/// Insists that nothing of a load stayed.
pub(super) fn assert_empty(home: &Home, what: &str) {
    assert_eq!(home.run(&["images", "-aq"]).success(), "", "{what}");
    let own = home.data_root().join("longshore");
    for folder in ["ingest", "staging", "leases", "trash", "content/blobs"] {
        assert_eq!(files_below(&own.join(folder)), [""; 0], "{what}: {folder}");
    }
    for driver in DRIVERS {
        let layers = home.data_root().join("image").join(driver).join("layerdb/sha256");
        assert_eq!(std::fs::read_dir(layers).map_or(0, Iterator::count), 0, "{what}");
    }
}

/// Archives that must be refused: what is wrong with each, and what is said of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let image = doubled_image();
    let whole = old_archive(&image, &["x:1"]);
    let config = image.config.read().unwrap();
    let layer = image.layers[0].blob.read().unwrap();
    let manifest = |config: &str, layers: &[&str]| {
        let json = serde_json::json!([{ "Config": config, "RepoTags": ["x:1"], "Layers": layers }]);
        Entry::file("manifest.json", json.to_string())
    };
    let three = ["a", "a", "a"];
    let blob = format!("blobs/sha256/{}", image.config.digest.hex());
    let wrong_index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": format!("sha256:{}", "0".repeat(64)), "size": 2 }]});
    let many = || (0..100_001).map(|n| Entry::file(format!("f{n}"), *b"x")).collect::<Vec<_>>();
    let long = manifest(&"a/".repeat(4 << 20), &[]);
    vec![
        ("nothing", Vec::new(), "invalid archive: does not contain a manifest.json"),
        ("no tar", b"garbage\n".to_vec(), "unexpected EOF"),
        ("cut", whole[..whole.len() / 2].to_vec(), "unexpected EOF"),
        ("cut within a layer", whole[..whole.len() - 40_000].to_vec(), "unexpected EOF"),
        ("an empty tar", tar(&[]), "invalid archive: does not contain a manifest.json"),
        ("null", tar(&[Entry::file("manifest.json", *b"null")]), "manifest cannot be null"),
        ("no JSON", tar(&[Entry::file("manifest.json", *b"[{")]), "failed to decode manifest.json"),
        ("a way out", tar(&[Entry::file("../../x", *b"x")]), "does not contain a manifest"),
        (
            "a link to a file of ours",
            tar(&[Entry::symlink("manifest.json", "/etc/passwd")]),
            "does not contain a manifest.json",
        ),
        (
            "a config of ours",
            tar(&[manifest("../../../../etc/passwd", &[])]),
            "open ../../../../etc/passwd: no such file or directory",
        ),
        (
            "no layer",
            tar(&[Entry::file("c", config.clone()), manifest("c", &three)]),
            "open a: no such file or directory",
        ),
        (
            "too few layers",
            tar(&[Entry::file("c", config.clone()), manifest("c", &["a"])]),
            "invalid manifest, layers length mismatch: expected 1, got 3",
        ),
        (
            "another layer",
            tar(&[
                Entry::file("c", config.clone()),
                Entry::file("a", layer),
                manifest("c", &three),
            ]),
            "invalid diffID for layer 1: expected",
        ),
        (
            "a config under a wrong digest",
            tar(&[Entry::file(&blob, *b"{}"), manifest(&blob, &[])]),
            "does not match its digest",
        ),
        (
            "a manifest under a wrong digest",
            tar(&[
                Entry::file(format!("blobs/sha256/{}", "0".repeat(64)), *b"{}"),
                Entry::file("index.json", wrong_index.to_string()),
            ]),
            "does not match its digest",
        ),
        (
            "a list of what is not there",
            tar(&[Entry::file("index.json", wrong_index.to_string())]),
            "open blobs/sha256/0000000000000000000000000000000000000000000000000000000000000000: no such file",
        ),
        (
            "a large list",
            tar(&[Entry::file("manifest.json", vec![b' '; 17 << 20])]),
            "manifest.json has 17825792 bytes, more than the 16777216 that are accepted",
        ),
        ("many entries", tar(&many()), "it has more than 100000 entries"),
        ("a long path", tar(&[long]), "a/a/...: file name too long"),
        ("a loop", tar(&[Entry::symlink("manifest.json", "manifest.json")]), "does not contain"),
    ]
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    for (what, archive, expected) in hostile() {
        let home = Home::new();
        let said = load(&home, &archive, &[]).failure();
        assert!(said.contains(expected), "{what}: {said}");
        assert_empty(&home, what);
        // A file is not sent, but read where it lies.
        let file = home.path().join("archive.tar");
        std::fs::write(&file, &archive).unwrap();
        let said = home.run(&["load", "-i", text(&file)]).failure();
        assert!(said.contains(expected), "{what}, in place: {said}");
        assert_empty(&home, what);
        assert!(std::fs::read(&file).unwrap() == archive, "{what}: it is the user's");
    }
}

/// Of a file as standard input, what was read already is no part of the archive.
#[test]
fn standard_input_that_is_a_file_is_read_from_where_it_is() {
    let archive = old_archive(&small_image(1), &["x:1"]);
    for before in [0, 512] {
        let home = Home::new();
        let path = home.path().join("archive.tar");
        std::fs::write(&path, [vec![b'x'; before], archive.clone()].concat()).unwrap();
        let mut file = std::fs::File::open(&path).unwrap();
        file.seek(SeekFrom::Start(before as u64)).unwrap();
        let done = home.longshore().arg("load").stdin(file).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert_eq!(said, "Loaded image: x:1\n", "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_claim_that_the_archive_does_not_prove_counts_for_nothing() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(3);
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let home = Home::new();
    home.run(&["pull", "-q", &name]).success();
    let archive = home.longshore().args(["save", &name]).output().unwrap().stdout;
    let claim = format!("app@{}", image.manifest.digest);
    let false_claim = format!("app@{}", image.config.digest);
    let at = archive.windows(claim.len()).position(|bytes| bytes == claim.as_bytes()).unwrap();
    let mut forged = archive;
    forged[at..at + claim.len()].copy_from_slice(false_claim.as_bytes());
    let other = Home::new();
    load(&other, &forged, &[]).success();
    let listed = other.run(&["images", "--digests", "--no-trunc"]).success();
    assert!(listed.contains(&image.id().to_string()) && listed.contains("<none>"), "{listed}");
}

#[test]
fn a_load_that_is_killed_leaves_a_store_that_works() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(2);
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let source = Home::new();
    source.run(&["pull", "-q", &name]).success();
    let archive = source.longshore().args(["save", &name]).output().unwrap().stdout;
    for step in 0..=10 {
        let home = Home::new();
        let mut command = home.longshore();
        let mut child = command
            .arg("load")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&archive[..archive.len() * step / 10]).unwrap();
        if step == 10 {
            // All is there: it may be anywhere between the first layer and the commit.
            drop(stdin);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        load(&home, &archive, &[]).success();
        super::support::assert_holds_only(&home.data_root(), &image);
    }
}

/// Returns the path of a test's archive.
pub(super) fn saved(home: &Home, name: &str, file: &str) -> PathBuf {
    let path = home.path().join(file);
    home.run(&["save", "-o", text(&path), name]).success();
    path
}

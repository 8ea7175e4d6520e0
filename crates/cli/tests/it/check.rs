//! `system check`: each kind of damage is named, nothing is touched without `--repair`, and what can be is put right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::{DockerRegistry, Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, Front, Home, files_below, is_root, noise, run};

/// Three layers, each with something that can be damaged.
fn image() -> Image {
    let layer = |entries: &[Entry]| Layer::new(Compression::Gzip, entries);
    Image::builder()
        .layer(layer(&[
            Entry::directory("bin"),
            Entry::file("bin/tool", noise(7, 40_000)).mode(0o755),
        ]))
        .layer(layer(&[Entry::file("bin/other", "other"), Entry::whiteout("bin/gone")]))
        .layer(layer(&[Entry::file("data", noise(8, 9_000))]))
        .build()
}

/// The path of a file of the image within the data root.
fn place(root: &Path, file: &str) -> PathBuf {
    let layers = fs::read_dir(root.join("overlay2")).unwrap();
    let places = layers.map(|layer| layer.unwrap().path().join("diff").join(file));
    places.into_iter().find(|path| path.symlink_metadata().is_ok()).unwrap()
}

/// The directory of the layer with this file.
fn layer_of(root: &Path, file: &str) -> PathBuf {
    let path = place(root, file);
    let layer = path.ancestors().find(|path| path.ends_with("diff")).unwrap();
    layer.parent().unwrap().to_owned()
}

fn config_of(root: &Path, image: &Image) -> PathBuf {
    root.join("image/overlay2/imagedb/content/sha256").join(image.id().digest().hex())
}

/// Returns the paths of the image's compressed layers.
fn kept_blobs(root: &Path, image: &Image) -> Vec<PathBuf> {
    let blobs = root.join("longshore/content/blobs/sha256");
    image.layers.iter().map(|layer| blobs.join(layer.blob.digest.hex())).collect()
}

/// A damage of a data root, and what must be said of it.
struct Case {
    what: &'static str,
    harm: fn(&Path, &Image),
    /// True if only a look at every file tells.
    deep: bool,
    said: &'static str,
}

const CASES: [Case; 10] = [
    Case {
        what: "a truncated file",
        harm: |root, _| {
            fs::File::options()
                .write(true)
                .open(place(root, "bin/tool"))
                .unwrap()
                .set_len(9)
                .unwrap();
        },
        deep: true,
        said: "bin/tool: its size is 9 instead of 40000 bytes",
    },
    Case {
        what: "a missing file",
        harm: |root, _| fs::remove_file(place(root, "data")).unwrap(),
        deep: true,
        said: "data: it is gone",
    },
    Case {
        what: "a changed mode",
        harm: |root, _| {
            let mode = fs::Permissions::from_mode(0o4711);
            fs::set_permissions(place(root, "bin/tool"), mode).unwrap();
        },
        deep: true,
        said: "bin/tool: its mode is 4711 instead of 0755",
    },
    Case {
        what: "a missing whiteout",
        harm: |root, _| fs::remove_file(place(root, "bin/gone")).unwrap(),
        deep: true,
        said: "bin/gone: it is gone",
    },
    Case {
        what: "a missing link",
        harm: |root, _| fs::remove_file(layer_of(root, "bin/other").join("link")).unwrap(),
        deep: false,
        said: "/link: it names no link",
    },
    Case {
        what: "a broken lower",
        harm: |root, _| fs::write(layer_of(root, "data").join("lower"), "l/NOWHERE").unwrap(),
        deep: false,
        said: "/lower does not list the layers below it",
    },
    Case {
        what: "a config that does not hash to its name",
        harm: |root, image| fs::write(config_of(root, image), "{}").unwrap(),
        deep: false,
        said: "its config does not match its ID",
    },
    Case {
        what: "a reference to nothing",
        harm: |root, _| {
            let path = root.join("image/overlay2/repositories.json");
            let text = fs::read_to_string(&path).unwrap();
            let zeros = "0".repeat(64);
            let more = format!(r#"{{"Repositories":{{"b":{{"b:1":"sha256:{zeros}"}},"#);
            fs::write(&path, text.replacen(r#"{"Repositories":{"#, &more, 1)).unwrap();
        },
        deep: false,
        said: "reference b:1: its image",
    },
    Case {
        what: "an orphan layer",
        harm: |root, _| {
            // As a dockerd leaves one that is killed between two steps: an entry that no image mentions.
            let layers = root.join("image/overlay2/layerdb/sha256");
            let diff = format!("sha256:{}", "ab".repeat(32));
            let entry = layers.join("ab".repeat(32));
            fs::create_dir(&entry).unwrap();
            fs::write(entry.join("diff"), diff).unwrap();
            fs::write(entry.join("size"), "0").unwrap();
            fs::write(entry.join("cache-id"), "cafe").unwrap();
            fs::write(entry.join("tar-split.json.gz"), "").unwrap();
            fs::create_dir_all(root.join("overlay2/cafe/diff")).unwrap();
            fs::write(root.join("overlay2/cafe/link"), "CAFE").unwrap();
            std::os::unix::fs::symlink("../cafe/diff", root.join("overlay2/l/CAFE")).unwrap();
        },
        deep: false,
        said: "nothing uses it",
    },
    Case {
        what: "a directory that is gone",
        harm: |root, _| fs::remove_dir_all(layer_of(root, "bin/other").join("diff")).unwrap(),
        deep: false,
        said: "/diff is gone",
    },
];

#[test]
fn each_damage_is_named_and_put_right() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for (front, keeps_blobs) in [(Front::InProcess, true), (Front::Longshore, false)] {
        let bench = Bench::new(front, &[]);
        let root = bench.home.data_root();
        bench.run(&["pull", "-q", &name]).success();
        let text = bench.run(&["system", "check", "--deep"]).success();
        assert!(text.starts_with("0 problems in 2 references, 1 image, 3 layers"), "{text}");
        for Case { what, harm, deep, said } in CASES {
            if !keeps_blobs {
                // Then damaged content has to come from the registry again.
                for blob in kept_blobs(&root, &image) {
                    fs::remove_file(blob).ok();
                }
            }
            harm(&root, &image);
            let before = files_below(&root);
            let shallow = bench.run(&["system", "check"]);
            assert_eq!(shallow.ok, deep, "{what}: {shallow:?}");
            let found = bench.run(&["system", "check", "--deep"]);
            assert!(!found.ok && found.stdout.contains(said), "{what}: {found:?}");
            assert!(found.stderr.contains("--repair"), "{what}: {found:?}");
            assert_eq!(files_below(&root), before, "{what}: a check changes nothing");
            let repaired = bench.run(&["system", "check", "--deep", "--repair"]);
            assert!(repaired.ok && repaired.stdout.contains(said), "{what}: {repaired:?}");
            let text = bench.run(&["system", "check", "--deep"]).success();
            assert!(text.starts_with("0 problems in 2 references"), "{what}: {text}");
        }
        // All that it takes is there: a push reads everything.
        let copy = format!("{}/copy:1", registry.address());
        bench.run(&["tag", &name, &copy]).success();
        bench.run(&["push", "-q", &copy]).success();
    }
}

#[test]
fn what_cannot_be_put_right_is_said() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let root = bench.home.data_root();
    bench.run(&["pull", "-q", &format!("{}/app:1", registry.address())]).success();
    for blob in kept_blobs(&root, &image) {
        fs::remove_file(blob).unwrap();
    }
    drop(registry);
    fs::remove_file(place(&root, "data")).unwrap();
    let done = bench.run(&["system", "check", "--deep", "--repair"]);
    assert!(!done.ok && done.stdout.contains("data: it is gone (not repaired: "), "{done:?}");
    assert!(done.stderr.contains("1 problem is left"), "{done:?}");
    let json = bench.run(&["system", "check", "--deep", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["Findings"][0]["File"], "data");
    assert_eq!(report["Findings"][0]["Remedy"], "fetch");

    // The files of a layer whose entry does not name them any more may be the only copy.
    let directory = layer_of(&root, "bin/tool");
    let layers = root.join("image/overlay2/layerdb/sha256");
    let cache_id = directory.file_name().unwrap().to_str().unwrap();
    let is_its =
        |entry: &PathBuf| fs::read_to_string(entry.join("cache-id")).is_ok_and(|id| id == cache_id);
    let mut entries = fs::read_dir(layers).unwrap().map(|entry| entry.unwrap().path());
    let entry = entries.find(is_its).unwrap();
    fs::write(entry.join("cache-id"), "../damaged").unwrap();
    let done = bench.run(&["system", "check", "--repair"]);
    assert!(!done.ok && done.stdout.contains("it is kept until every layer is whole"), "{done:?}");
    assert!(directory.join("diff/bin/tool").exists());
}

#[test]
fn what_is_behind_a_password_is_fetched_with_the_login() {
    if !is_root() || !installed(&["docker-registry", "htpasswd"]) {
        println!("skipped: needs root, docker-registry and htpasswd");
        return;
    }
    let registry = DockerRegistry::builder().password("ann", "s3cret").start().unwrap();
    let open = DockerRegistry::builder().storage(registry.storage()).start().unwrap();
    let image = image();
    image.push(&open.client(), "app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let root = bench.home.data_root();
    let address = registry.address();
    bench.run_with(&["login", "-u", "ann", "--password-stdin", address], "s3cret").success();
    bench.run(&["pull", "-q", &format!("{address}/app:1")]).success();
    for blob in kept_blobs(&root, &image) {
        fs::remove_file(blob).unwrap();
    }
    fs::remove_file(place(&root, "data")).unwrap();
    bench.run(&["system", "check", "--deep", "--repair"]).success();
    bench.run(&["logout", address]).success();
    fs::remove_file(place(&root, "data")).unwrap();
    for blob in kept_blobs(&root, &image) {
        fs::remove_file(blob).ok();
    }
    let done = bench.run(&["system", "check", "--deep", "--repair"]);
    assert!(!done.ok && done.stdout.contains("data: it is gone (not repaired: "), "{done:?}");
}

#[test]
fn a_dockerd_is_told_from_a_failure() {
    if !is_root() || !installed(&["dockerd"]) {
        println!("skipped: needs root and dockerd");
        return;
    }
    let (home, dockerd) = (Home::new(), Dockerd::builder().start().unwrap());
    let target = home.path().join("target");
    let path = target.to_str().unwrap();
    for (arguments, expected) in [
        (&["system", "check"][..], "cannot check its data root: stop it"),
        (&["registry", "check", "r.example/x"], "cannot say whom it would ask: without -H"),
        (&["unpack", "x", path], "cannot unpack images: pull the image"),
        (&["mount", "x", path], "cannot mount images: use"),
        (&["mount"], "cannot mount images: use"),
        (&["umount", path], "cannot mount images: use"),
    ] {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        command.args(["-H", &dockerd.host()]).args(arguments);
        let error = run(&mut command, "").failure();
        let expected = format!("this daemon is not Longshore's and {expected}");
        assert!(error.contains(&expected), "{arguments:?}: {error}");
        assert!(!target.exists());
    }
}

/// Accidents of kept content of which a push takes the very bytes.
struct Loss {
    what: &'static str,
    /// The file, by the digests of the index, the image's manifest, its config and its top layer.
    file: fn(&[String; 4]) -> String,
    harm: fn(&Path),
    said: &'static str,
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[5] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn blob(hex: &str) -> String {
    format!("blobs/sha256/{hex}")
}

const LOSSES: [Loss; 7] = [
    Loss {
        what: "a damaged manifest",
        file: |[_, manifest, ..]| blob(manifest),
        harm: flip,
        said: "its content does not match its digest",
    },
    Loss {
        what: "a missing manifest",
        file: |[_, manifest, ..]| blob(manifest),
        harm: |path| fs::remove_file(path).unwrap(),
        said: "it is listed and gone",
    },
    Loss {
        what: "a damaged index",
        file: |[index, ..]| blob(index),
        harm: flip,
        said: "its content does not match its digest",
    },
    Loss {
        what: "a damaged copy of the config",
        file: |[_, _, config, _]| blob(config),
        harm: flip,
        said: "its content does not match its digest",
    },
    Loss {
        what: "a damaged layer",
        file: |[.., layer]| blob(layer),
        harm: flip,
        said: "its content does not match its digest",
    },
    Loss {
        what: "a torn list",
        file: |_| "index.json".to_owned(),
        harm: |path| fs::write(path, "{\"manifests\":[").unwrap(),
        said: "longshore/content/index.json: EOF while parsing",
    },
    Loss {
        what: "no list",
        file: |_| "index.json".to_owned(),
        harm: |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir_all(path.join("full")).unwrap();
        },
        said: "longshore/content/index.json: it is no file",
    },
];

#[test]
fn a_repair_makes_no_less_of_an_image() {
    let registry = LocalRegistry::start().unwrap();
    let index = Index::new(Format::Docker, vec![image()]);
    index.push(&registry.client(), "app", "1").unwrap();
    let image = &index.images[0];
    let hexes = [
        index.manifest.digest.hex(),
        image.manifest.digest.hex(),
        image.id().digest().hex(),
        image.layers[2].blob.digest.hex(),
    ];
    let name = format!("{}/app:1", registry.address());
    let drivers: &[&str] = if is_root() { &["overlay2", "packed"] } else { &["packed"] };
    for driver in drivers {
        let bench = Bench::new(Front::InProcess, &["--storage-driver", driver]);
        let content = bench.home.data_root().join("longshore/content");
        bench.run(&["pull", "-q", &name]).success();
        let whole = files_below(&content);
        for Loss { what, file, harm, said } in LOSSES {
            let path = content.join(file(&hexes));
            harm(&path);
            let found = bench.run(&["system", "check", "--deep"]);
            assert!(!found.ok && found.stdout.contains(said), "{driver} {what}: {found:?}");
            bench.run(&["images"]).success();
            let repaired = bench.run(&["system", "check", "--deep", "--repair"]);
            assert!(repaired.ok && repaired.stdout.contains(said), "{driver} {what}: {repaired:?}");
            bench.run(&["system", "check", "--deep"]).success();
            assert_eq!(files_below(&content), whole, "{driver} {what}");
            let copy = format!("{}/copy:1", registry.address());
            bench.run(&["tag", &name, &copy]).success();
            let pushed = bench.run(&["push", &copy]).success();
            let digest = index.manifest.digest.to_string();
            assert!(pushed.contains(&digest), "{driver} {what}: {pushed}");
        }
    }
}

#[test]
fn what_cannot_be_had_again_costs_nothing_else() {
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let content = bench.home.data_root().join("longshore/content");
    let name = format!("{}/app:1", registry.address());
    bench.run(&["pull", "-q", &name]).success();
    drop(registry);
    flip(&content.join(blob(&image.manifest.digest.hex())));
    let before = files_below(&content);
    for _ in 0..2 {
        let done = bench.run(&["system", "check", "--repair"]);
        assert!(
            !done.ok && done.stdout.contains("does not match its digest (not repaired: "),
            "{done:?}"
        );
        assert_eq!(files_below(&content), before);
    }
    bench.run(&["rmi", &name]).success();
}

#[test]
fn an_image_whose_config_is_gone_is_brought_back_with_its_names() {
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let driver = if is_root() { "overlay2" } else { "packed" };
    for has_copy in [true, false] {
        let bench = Bench::new(Front::InProcess, &[]);
        let root = bench.home.data_root();
        bench.run(&["pull", "-q", &name]).success();
        let hex = image.id().digest().hex();
        fs::remove_file(root.join("image").join(driver).join("imagedb/content/sha256").join(&hex))
            .unwrap();
        if !has_copy {
            fs::remove_file(root.join("longshore/content").join(blob(&hex))).unwrap();
        }
        let done = bench.run(&["system", "check", "--repair"]);
        assert!(done.ok && done.stdout.contains("is not here"), "{done:?}");
        let ids = bench.run(&["images", "-q", "--no-trunc"]).success();
        assert_eq!(ids.trim(), image.id().to_string());
        let text = bench.run(&["system", "check", "--deep"]).success();
        assert!(text.starts_with("0 problems in 2 references, 1 image, 3 layers"), "{text}");
    }
}

#[test]
fn content_that_is_gone_as_a_whole_comes_back_by_the_names() {
    let registry = LocalRegistry::start().unwrap();
    let index = Index::new(Format::Docker, vec![image()]);
    index.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    let content = bench.home.data_root().join("longshore/content");
    bench.run(&["pull", "-q", &name]).success();
    let whole = files_below(&content);
    fs::remove_dir_all(&content).unwrap();
    let done = bench.run(&["system", "check", "--repair"]);
    assert!(done.ok && done.stdout.contains("is gone (repaired)"), "{done:?}");
    bench.run(&["system", "check", "--deep"]).success();
    let config = blob(&index.images[0].id().digest().hex());
    let back: Vec<String> = whole.into_iter().filter(|file| *file != config).collect();
    assert_eq!(files_below(&content), back, "all but the copy of the config");
    let copy = format!("{}/copy:1", registry.address());
    bench.run(&["tag", &name, &copy]).success();
    let pushed = bench.run(&["push", &copy]).success();
    assert!(pushed.contains(&index.manifest.digest.to_string()), "{pushed}");
}

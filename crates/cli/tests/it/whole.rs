//! Whole indexes: what is seen of their platforms, and archives that have all of them.

mod layout;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use spec::{Algorithm, Digest};
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::{Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use self::layout::{Layout, path};
use super::archives::{DRIVERS, text, with_driver};
use super::support::{Bench, FRONTS, Front, Home, is_root, noise, run};

const NAME: &str = "many:1";
const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/s390x"];

/// The blobs of an archive, and its `index.json`.
fn contents(archive: &Path) -> (BTreeMap<String, Vec<u8>>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = std::process::Command::new("tar");
    run(tar.arg("-xf").arg(archive).arg("-C").arg(folder.path()), "").success();
    let mut blobs = BTreeMap::new();
    for algorithm in ["sha256", "sha512"] {
        let names = std::fs::read_dir(folder.path().join("blobs").join(algorithm));
        for entry in names.into_iter().flatten() {
            let entry = entry.unwrap();
            let name = format!("blobs/{algorithm}/{}", entry.file_name().to_str().unwrap());
            blobs.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    let index = std::fs::read(folder.path().join("index.json")).unwrap();
    (blobs, serde_json::from_slice(&index).unwrap())
}

/// Every blob of a layout comes back, and `index.json` leads to the index.
#[track_caller]
fn same(layout: &Layout, archive: &Path) {
    let (blobs, index) = contents(archive);
    assert_eq!(index["manifests"][0]["digest"], layout.index["digest"]);
    for (name, bytes) in layout.files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert!(blobs.get(name) == Some(bytes), "{name}");
    }
}

/// An index within that lists nothing is a document of the outer one all the same.
#[test]
fn an_empty_index_within_comes_back() {
    let empty = |layout: &mut Layout| {
        let kind = "application/vnd.oci.image.index.v1+json";
        let empty = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [] });
        layout.put(Algorithm::Sha256, kind, empty.to_string().into_bytes())
    };
    let mut many = Layout::new(Algorithm::Sha256, Algorithm::Sha256);
    let mut one = many.clone();
    let listed = [many.manifests.clone(), vec![empty(&mut many)]].concat();
    many.lists(&listed);
    let listed = [one.manifests[0].clone(), empty(&mut one)];
    one.lists(&listed);
    let image = &one.images[0];
    let blobs = image.blobs().map(|blob| blob.digest.to_string());
    let documents =
        listed.iter().chain([&one.index]).map(|it| it["digest"].as_str().unwrap().to_owned());
    let own: Vec<String> = blobs.chain(documents).map(|digest| path(&digest)).collect();
    one.files.retain(|name, _| !name.starts_with("blobs/") || own.contains(name));
    for layout in [many, one] {
        let home = Home::new();
        let archive = layout.write(home.path());
        home.run(&["load", "-q", "-i", text(&archive)]).success();
        let saved = home.path().join("saved.tar");
        for flags in [&[][..], &["--all-platforms"]] {
            home.run(&[&["save", "-o", text(&saved)], flags, &[NAME]].concat()).success();
            same(&layout, &saved);
        }
        home.run(&["rmi", NAME]).success();
        home.run(&["load", "-q", "-i", text(&saved)]).success();
        home.run(&["system", "check", "--deep"]).success();
    }
}

fn tree(bench: &Bench) -> String {
    bench.run(&["images", "--tree"]).success()
}

#[test]
fn a_whole_index_comes_back_with_every_digest() {
    let layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256).with_artifact();
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let archive = layout.write(bench.home.path());
        let said = bench.run(&["load", "-i", text(&archive)]).success();
        assert_eq!(said, format!("Loaded image: {NAME}\n"), "{front:?}");
        let shown = tree(&bench);
        for platform in PLATFORMS {
            assert!(shown.contains(&format!("─ {platform}")), "{front:?}: {shown}");
        }
        let saved = bench.home.path().join("saved.tar");
        bench.run(&["save", "-o", text(&saved), NAME]).success();
        same(&layout, &saved);
        // The same again from what it was loaded into, whatever the layers are there.
        for driver in DRIVERS {
            let home = Home::new();
            let load = ["load", "--all-platforms", "-i", text(&saved)];
            let Some(loaded) = with_driver(&home, driver, &load) else { continue };
            loaded.success();
            let again = home.path().join("again.tar");
            let save = ["save", "--all-platforms", "-o", text(&again), NAME];
            with_driver(&home, driver, &save).unwrap().success();
            let (first, second) = (std::fs::read(&saved), std::fs::read(&again));
            assert!(first.unwrap() == second.unwrap(), "{front:?} {driver}");
            let found = with_driver(&home, driver, &["system", "check", "--deep"]).unwrap();
            assert!(found.ok, "{front:?} {driver}: {found:?}");
        }
        bench.run(&["rmi", NAME]).success();
        assert_eq!(blobs_left(&bench), 0, "{front:?}: all of it goes with the name");
    }
}

fn blobs_left(bench: &Bench) -> usize {
    let blobs = bench.home.data_root().join("longshore/content/blobs/sha256");
    std::fs::read_dir(blobs).map_or(0, Iterator::count)
}

#[test]
fn platforms_are_chosen_when_they_are_saved_and_loaded() {
    let layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256).with_artifact();
    let [amd64, arm64, s390x] = [0, 1, 2].map(|number| layout.images[number].id().to_string());
    let home = Home::new();
    let archive = layout.write(home.path());
    home.run(&["load", "-i", text(&archive)]).success();
    let at = |name: &str| home.path().join(name);
    let save = |platforms: &str, name: &str| {
        home.run(&["save", "--platform", platforms, "-o", text(&at(name)), NAME])
    };
    save("linux/arm64", "one.tar").success();
    save("linux/s390x,linux/arm64", "two.tar").success();
    let error = save("linux/arm64,linux/386", "none.tar").failure();
    assert!(error.contains("no suitable export target found for platform linux/386"), "{error}");
    let (blobs, index) = contents(&at("one.tar"));
    assert_eq!(index["manifests"][0]["digest"], layout.manifests[1]["digest"]);
    assert!(!blobs.contains_key(&path(layout.manifests[2]["digest"].as_str().unwrap())));
    let (blobs, index) = contents(&at("two.tar"));
    assert_eq!(index["manifests"][0]["digest"], layout.index["digest"]);
    let has = |number: usize| {
        blobs.contains_key(&path(layout.manifests[number]["digest"].as_str().unwrap()))
    };
    assert_eq!([0, 1, 2, 3, 4].map(has), [false, true, true, false, false]);

    let (one, two) = (at("one.tar"), at("two.tar"));
    for (from, platforms, id, others) in [
        (&archive, &["--platform", "linux/arm64"][..], Some(&arm64), ""),
        (&archive, &["--platform", "linux/s390x,linux/amd64"], Some(&amd64), "linux/s390x"),
        (
            &archive,
            &["--platform", "linux/s390x", "--platform", "linux/arm64"],
            Some(&s390x),
            "linux/arm64",
        ),
        (
            &archive,
            &["--platform", "linux/arm64,linux/386"],
            None,
            "layout.tar: no matching manifest for linux/386 in the archive, which has linux/",
        ),
        (
            &archive,
            &["--platform", "linux/386"],
            None,
            "layout.tar: no matching manifest for linux/386 in the archive, which has linux/",
        ),
        (&one, &[], Some(&arm64), ""),
        (&two, &[], Some(&s390x), "linux/arm64"),
        (&two, &["--platform", "linux/arm64"], Some(&arm64), ""),
        (
            &two,
            &["--all-platforms"],
            None,
            "not all that its index lists is there, missing: linux/amd64",
        ),
    ] {
        let other = Home::new();
        let mut arguments = vec!["load", "-i", text(from)];
        arguments.extend(platforms);
        let done = other.run(&arguments);
        let Some(id) = id else {
            let error = done.failure();
            assert!(error.contains(others), "{platforms:?}: {error}");
            assert_eq!(other.run(&["images", "-aq"]).success(), "", "{platforms:?}");
            continue;
        };
        done.success();
        let shown = other.run(&["images", "-q", "--no-trunc"]).success();
        assert_eq!(shown.trim(), id, "{platforms:?}");
        let shown = other.run(&["image", "inspect", "-f", "json", NAME]).success();
        assert!(shown.contains(id), "{platforms:?}");
        for platform in PLATFORMS {
            let inspected = other.run(&["image", "inspect", "--platform", platform, NAME]);
            let own = inspected.ok && inspected.stdout.contains(id);
            assert_eq!(inspected.ok, own || others == platform, "{platforms:?} {platform}");
        }
    }
}

#[test]
fn a_platform_of_an_index_is_looked_at_and_tagged() {
    let layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256);
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let archive = layout.write(bench.home.path());
        bench.run(&["load", "-q", "-i", text(&archive)]).success();
        let inspected =
            bench.run(&["image", "inspect", "--platform", "linux/arm64", NAME]).success();
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        let inspected = &inspected[0];
        let image = &layout.images[1];
        assert_eq!(inspected["Id"], image.id().to_string(), "{front:?}");
        assert_eq!(inspected["Architecture"], "arm64");
        assert_eq!(inspected["RepoTags"], json!([NAME]));
        assert_eq!(inspected["Config"]["Labels"]["number"], "3");
        assert_eq!(inspected["Descriptor"]["digest"], layout.manifests[1]["digest"]);
        let history =
            ["history", "--platform", "linux/arm64", "--format", "{{.CreatedBy}} {{.Size}}", NAME];
        let history = bench.run(&history).success();
        assert_eq!(history, "layer 2 0B\nlayer 1 70kB\n", "{front:?}: the lower one is shared");
        let error = bench.run(&["image", "inspect", "--platform", "linux/386", NAME]).failure();
        let expected = format!(
            "image with reference {NAME} was found but its platform (linux/amd64) does not match the specified platform (linux/386)"
        );
        assert!(error.contains(&expected), "{front:?}: {error}");
        if front == Front::Docker {
            continue;
        }
        let files = bench.home.path().join("s390x");
        bench.run(&["unpack", "--platform", "linux/s390x", NAME, text(&files)]).success();
        assert!(std::fs::read(files.join("top")).unwrap() == noise(4, 3000));
        bench.run(&["tag", "--platform", "linux/arm64", NAME, "arm:1"]).success();
        let id = |name| bench.run(&["inspect", "-f", "{{.Id}} {{.RepoTags}}", name]).success();
        assert_eq!(id("arm:1"), format!("{} [arm:1]\n", image.id()), "{front:?}");
        assert_eq!(id(NAME), format!("{} [{NAME}]\n", layout.images[0].id()), "{front:?}");
        let files = bench.home.path().join("files");
        bench.run(&["unpack", "arm:1", text(&files)]).success();
        assert!(std::fs::read(files.join("top")).unwrap() == noise(3, 3000));
        bench.run(&["tag", "--platform", "linux/amd64", NAME, "same:1"]).success();
        assert!(id("same:1").starts_with(&layout.images[0].id().to_string()));
        let error = bench.run(&["tag", "--platform", "linux/386", NAME, "no:1"]).failure();
        assert!(error.contains(&expected), "{front:?}: {error}");
        // What is an image now stays when the index goes.
        bench.run(&["rmi", NAME, "same:1"]).success();
        let saved = bench.home.path().join("arm.tar");
        bench.run(&["save", "-o", text(&saved), "arm:1"]).success();
        let (_, index) = contents(&saved);
        assert_eq!(index["manifests"][0]["digest"], layout.manifests[1]["digest"], "{front:?}");
    }
}

/// A refused load leaves nothing behind.
#[test]
fn parts_that_are_not_what_they_should_be_are_refused() {
    type Harm = fn(&mut Layout);
    let harms: [(&str, Harm, &str); 4] = [
        (
            "a layer of another platform",
            |layout| {
                let digest = layout.images[1].layers[1].blob.digest.to_string();
                layout.files.get_mut(&path(&digest)).unwrap()[20] ^= 1;
            },
            "does not match its digest",
        ),
        (
            "a manifest of another platform",
            |layout| {
                let manifest = layout.manifests[1].clone();
                layout.file(&manifest)[20] ^= 1;
            },
            "does not match its digest",
        ),
        (
            "an index",
            |layout| {
                let index = layout.index.clone();
                layout.file(&index)[20] ^= 1;
            },
            "does not match its digest",
        ),
        (
            "a layer of another size",
            |layout| {
                let digest = layout.images[1].layers[1].blob.digest.to_string();
                layout.files.get_mut(&path(&digest)).unwrap().push(0);
            },
            "missing: linux/arm64",
        ),
    ];
    for (what, harm, expected) in harms {
        let mut layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256);
        harm(&mut layout);
        let home = Home::new();
        let archive = layout.write(home.path());
        let error = home.run(&["load", "--all-platforms", "-i", text(&archive)]).failure();
        assert!(error.contains(expected), "{what}: {error}");
        assert_eq!(home.run(&["images", "-aq"]).success(), "", "{what}");
        let blobs = home.data_root().join("longshore/content/blobs/sha256");
        assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0, "{what}");
    }
}

/// Longer names than a header of a tar has room for, and images that only a part may be.
#[test]
fn digests_of_sha512_go_through_archives() {
    let layout = Layout::new(Algorithm::Sha512, Algorithm::Sha512);
    let home = Home::new();
    let archive = layout.write(home.path());
    home.run(&["load", "-i", text(&archive)]).success();
    let saved = home.path().join("saved.tar");
    home.run(&["save", "--all-platforms", "-o", text(&saved), NAME]).success();
    same(&layout, &saved);
    let other = Home::new();
    other.run(&["load", "--all-platforms", "-i", text(&saved)]).success();
    let again = other.path().join("again.tar");
    other.run(&["save", "-o", text(&again), NAME]).success();
    assert!(std::fs::read(&saved).unwrap() == std::fs::read(&again).unwrap());
    other.run(&["system", "check", "--deep"]).success();
    let inspect = ["image", "inspect", "-f", "{{.Id}}", "--platform", "linux/arm64", NAME];
    assert!(other.run(&inspect).success().starts_with("sha512:"));
    let refused = "cannot name an image: image IDs are sha256";
    let error = other.run(&["tag", "--platform", "linux/arm64", NAME, "arm:1"]).failure();
    assert!(error.contains(refused), "{error}");
    let third = Home::new();
    let error = third.run(&["load", "--platform", "linux/arm64", "-i", text(&archive)]).failure();
    assert!(error.contains(refused), "{error}");
}

/// By the index's own digest.
#[test]
fn digests_of_sha512_go_through_registries() {
    let layout = Layout::new(Algorithm::Sha512, Algorithm::Sha512);
    let registry = LocalRegistry::start().unwrap();
    layout.push(&registry.client(), "many", "1");
    let digest = layout.index["digest"].as_str().unwrap();
    let home = Home::new();
    let name = format!("{}/many@{digest}", registry.address());
    let said = home.run(&["pull", "--all-platforms", &name]).success();
    assert!(said.contains(&format!("Digest: {digest}")), "{said}");
    home.run(&["system", "check", "--deep"]).success();
    let id = home.run(&["images", "-q", "--no-trunc"]).success();
    home.run(&["tag", id.trim(), NAME]).success();
    let saved = home.path().join("saved.tar");
    home.run(&["save", "--all-platforms", "-o", text(&saved), NAME]).success();
    same(&layout, &saved);
}

/// Told by the digest that was asked for, to wherever it goes, and there the second time, whatever algorithm a registry prefers.
#[test]
fn digests_of_sha512_are_copied() {
    let layout = Layout::new(Algorithm::Sha512, Algorithm::Sha512);
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    layout.push(&a.client(), "many", "1");
    let digest = layout.index["digest"].as_str().unwrap();
    let home = Home::new();
    let from = format!("{}/many@{digest}", a.address());
    let file = |name: &str| home.path().join(name).display().to_string();
    for to in [
        format!("{}/copy:1", b.address()),
        format!("{}/named@{digest}", b.address()),
        format!("oci:{}:x", file("oci")),
        format!("dir:{}", file("dir")),
    ] {
        let said = home.run(&["copy", &from, &to]).success();
        assert!(said.contains(&format!("digest: {digest} moved")), "{to}: {said}");
        let said = home.run(&["copy", &from, &to]).success();
        assert!(said.contains(&format!("digest: {digest} up to date")), "{to}: {said}");
    }
    // The digest in the name is of the bytes that the tag means.
    let (tagged, named) =
        (format!("{}/many:1", a.address()), format!("{}/by@{digest}", b.address()));
    home.run(&["copy", &tagged, &named]).success();
    let bytes = &layout.files[&path(digest)];
    for name in ["copy/manifests/1".to_owned(), format!("by/manifests/{digest}")] {
        let stored = b.client().get(&format!("/v2/{name}")).unwrap().expect(200).unwrap();
        assert!(stored.body == *bytes, "{name}");
    }
    for kind in ["oci-archive", "docker-archive"] {
        let archive = home.path().join(kind);
        let place = format!("{kind}:{}", archive.display());
        home.run(&["copy", &from, &format!("{place}:{NAME}")]).success();
        same(&layout, &archive);
        let back = format!("{}/back:{kind}", b.address());
        let said = home.run(&["copy", &place, &back]).success();
        assert!(said.contains(&format!("digest: {digest} moved")), "{said}");
        let other = Home::new();
        other.run(&["load", "--all-platforms", "-i", text(&archive)]).success();
        other.run(&["system", "check", "--deep"]).success();
    }
}

#[test]
fn digests_of_sha512_are_pushed() {
    let layout = Layout::new(Algorithm::Sha512, Algorithm::Sha512);
    let registry = LocalRegistry::start().unwrap();
    let home = Home::new();
    let archive = layout.write(home.path());
    home.run(&["load", "--all-platforms", "-i", text(&archive)]).success();
    let name = format!("{}/pushed:1", registry.address());
    home.run(&["tag", NAME, &name]).success();
    home.run(&["push", &name]).success();
    let client = registry.client();
    for (path, bytes) in layout.files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
        let digest = path["blobs/".len()..].replace('/', ":");
        let kind = |it: &Value| it["digest"] == *digest;
        let is_manifest = layout.manifests.iter().any(kind);
        let stored = if layout.index["digest"] == *digest {
            client.get("/v2/pushed/manifests/1")
        } else {
            let kind = if is_manifest { "manifests" } else { "blobs" };
            client.get(&format!("/v2/pushed/{kind}/{digest}"))
        };
        assert!(stored.unwrap().expect(200).unwrap().body == *bytes, "{path}");
    }
}

#[test]
fn skopeo_and_podman_read_and_write_whole_archives() {
    if !installed(&["skopeo", "podman"]) {
        return;
    }
    let layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256);
    let home = Home::new();
    let archive = layout.write(home.path());
    home.run(&["load", "-i", text(&archive)]).success();
    let saved = home.path().join("saved.tar");
    home.run(&["save", "-o", text(&saved), NAME]).success();
    let skopeo = |from: &str, to: &str| {
        let mut skopeo = home.clean("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--all", from, to]);
        run(&mut skopeo, "").success();
    };
    let folder = home.path().join("oci");
    let theirs = home.path().join("theirs.tar");
    skopeo(
        &format!("oci-archive:{}", saved.display()),
        &format!("oci:{}:{NAME}", folder.display()),
    );
    let index: Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], layout.index["digest"]);
    skopeo(
        &format!("oci:{}:{NAME}", folder.display()),
        &format!("oci-archive:{}:{NAME}", theirs.display()),
    );
    let other = Home::new();
    let said = other.run(&["load", "--all-platforms", "-i", text(&theirs)]).success();
    assert_eq!(said, format!("Loaded image: {NAME}\n"));
    let again = other.path().join("again.tar");
    other.run(&["save", "--all-platforms", "-o", text(&again), NAME]).success();
    same(&layout, &again);

    let root = home.path().join("podman");
    let podman = |arguments: &[&str]| {
        let mut podman = home.clean("podman");
        // podman insists on a file in that folder.
        podman.env_remove("DOCKER_CONFIG");
        podman.arg("--root").arg(root.join("root")).arg("--runroot").arg(root.join("run"));
        podman.args(["--storage-driver", "vfs"]).args(arguments);
        run(&mut podman, "").success()
    };
    let id = podman(&["pull", "-q", &format!("oci-archive:{}", saved.display())]);
    assert_eq!(format!("sha256:{}", id.trim()), layout.images[0].id().to_string());
}

/// A docker that knows no indexes takes the image that the name means.
#[test]
fn an_old_dockerd_loads_the_image_of_a_whole_archive() {
    if !is_root() || !installed(&["dockerd", "docker"]) {
        println!("skipped: needs root, dockerd and docker");
        return;
    }
    let layout = Layout::new(Algorithm::Sha256, Algorithm::Sha256);
    let home = Home::new();
    let archive = layout.write(home.path());
    home.run(&["load", "-i", text(&archive)]).success();
    let saved = home.path().join("saved.tar");
    home.run(&["save", "-o", text(&saved), NAME]).success();
    let dockerd = Dockerd::builder().start().unwrap();
    let loaded = dockerd.docker(&["load", "-i", text(&saved)]).unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    let shown = dockerd.docker(&["images", "-q", "--no-trunc", NAME]).unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), layout.images[0].id().to_string());
    let digest: Digest = layout.index["digest"].as_str().unwrap().parse().unwrap();
    let (blobs, _) = contents(&saved);
    assert!(digest.matches(&blobs[&path(&digest.to_string())]));
}

/// As an index that has each image with two compressions.
#[test]
fn several_manifests_of_one_config_stay() {
    let image = |compression| {
        let layer = Layer::new(compression, &[Entry::file("file", noise(1, 1000))]);
        Image::builder().format(Format::Oci).layer(layer).build()
    };
    let index = Index::new(Format::Oci, vec![image(Compression::Gzip), image(Compression::Zstd)]);
    assert_eq!(index.images[0].config.digest, index.images[1].config.digest);
    let (from, to) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    index.push(&from.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", from.address());
    let bench = Bench::new(Front::InProcess, &[]);
    let archive = bench.home.path().join("app.tar");
    bench.run(&["pull", "-q", "--all-platforms", &name]).success();
    bench.run(&["save", "--all-platforms", "-o", text(&archive), &name]).success();
    bench.run(&["rmi", &name]).success();
    bench.run(&["load", "--all-platforms", "-i", text(&archive)]).success();
    let copy = format!("{}/app:1", to.address());
    bench.run(&["tag", &name, &copy]).success();
    let pushed = bench.run(&["push", &copy]).success();
    assert!(pushed.contains(&index.manifest.digest.to_string()), "{pushed}");
    bench.run(&["system", "check", "--deep"]).success();
}

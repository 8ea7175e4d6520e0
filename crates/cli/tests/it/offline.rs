//! Moving images without a network: archives that leave out what the other side has, and what differs between images.

use std::path::Path;

use spec::{Descriptor, MediaType};
use test_support::image::{Compression, Image, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use super::archives::{
    DRIVERS, assert_empty, doubled_image, load, manifest_digest, old_archive, tar, text,
    with_driver,
};
use super::support::{
    Bench, Front, Home, files_below, is_root, noise, run, small_image, without_hints,
};

/// The size of the layer that two images share.
const BASE: usize = 300_000;

/// An image, and one that is built on it.
fn base_and_app() -> (Image, Image) {
    let base = || Layer::new(Compression::Gzip, &[Entry::file("base", noise(1, BASE))]);
    let app = Layer::new(Compression::Gzip, &[Entry::file("app", noise(2, 20_000))]);
    (Image::builder().layer(base()).build(), Image::builder().layer(base()).layer(app).build())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn an_archive_since_an_image_is_as_large_as_what_is_new() {
    let registry = LocalRegistry::start().unwrap();
    let (base, app) = base_and_app();
    base.push(&registry.client(), "base", "1").unwrap();
    app.push(&registry.client(), "app", "1").unwrap();
    let name = |repository: &str| format!("{}/{repository}:1", registry.address());
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", "-q", &name("base")]).success();
        bench.run(&["pull", "-q", &name("app")]).success();
        let at = |file: &str| bench.home.path().join(file);
        let (full, new, first) = (at("full.tar"), at("new.tar"), at("base.tar"));
        // An alias that nobody knows who gets the archive, and that comes first in any order.
        bench.run(&["tag", &name("base"), "aaa:1"]).success();
        bench.run(&["save", "-o", text(&full), &name("app")]).success();
        bench.run(&["save", "-o", text(&first), &name("base")]).success();
        bench.run(&["save", "--since", &name("base"), "-o", text(&new), &name("app")]).success();
        let (left_out, sent) = (&app.layers[0].blob, &app.layers[1].blob);
        assert!(size(&full) > left_out.size + sent.size);
        assert!(size(&new) < sent.size + 12_000, "{} of {}", size(&new), size(&full));

        for driver in DRIVERS {
            let other = Home::new();
            let load = |file: &Path| with_driver(&other, driver, &["load", "-i", text(file)]);
            let Some(refused) = load(&new) else { continue };
            let said = refused.failure();
            let line = format!("layer {} (", left_out.digest);
            assert!(
                said.contains(&format!("load or pull {} first\n{line}", name("base"))),
                "{said}"
            );
            assert!(
                said.contains(&format!(
                    "of image {}, which was called {}",
                    base.id(),
                    name("base")
                )),
                "{said}"
            );
            assert_empty(&other, "a base that is not there");
            load(&first).unwrap().success();
            load(&new).unwrap().success();
            // By the blobs that the base brought, it is as it was pulled.
            let again = at("again.tar");
            with_driver(&other, driver, &["save", "-o", text(&again), &name("app")])
                .unwrap()
                .success();
            assert!(std::fs::read(&again).unwrap() == std::fs::read(&full).unwrap(), "{driver}");
            let copy = format!("{}/copy-{driver}:1", registry.address());
            other.run(&["tag", &name("app"), &copy]).success();
            other.run(&["push", "-q", &copy]).success();
            let pushed = manifest_digest(&registry, &format!("copy-{driver}"));
            assert_eq!(pushed, app.manifest.digest.to_string(), "{front:?} {driver}");
            // Once more, it is nothing new.
            load(&new).unwrap().success();
        }
    }
}

/// Of a base in another form the image comes without its manifest, and that is told.
#[test]
fn a_base_in_another_form_is_told_of() {
    let registry = LocalRegistry::start().unwrap();
    let (base, app) = base_and_app();
    app.push(&registry.client(), "app", "1").unwrap();
    let source = Home::new();
    let name = format!("{}/app:1", registry.address());
    source.run(&["pull", "-q", &name]).success();
    load(&source, &old_archive(&base, &["base:1"]), &[]).success();
    let archive = source.longshore().args(["save", "--since", "base:1", &name]).output().unwrap();
    // The same layer, as a plain tar.
    let plain = Layer::new(Compression::None, &[Entry::file("base", noise(1, BASE))]);
    let plain = Image::builder().layer(plain).build();
    assert_eq!(plain.diff_ids(), base.diff_ids());
    let other = Home::new();
    load(&other, &old_archive(&plain, &["base:1"]), &[]).success();
    let done = load(&other, &archive.stdout, &[]);
    assert!(done.stderr.contains("is loaded without the manifest"), "{}", done.stderr);
    assert_eq!(done.success(), format!("Loaded image: {name}\n"));
    let listed = other.run(&["images", "--digests", "--no-trunc"]).success();
    assert!(!listed.contains(&app.manifest.digest.to_string()), "{listed}");
    assert!(listed.contains(&app.id().to_string()), "{listed}");
}

#[test]
fn save_to_a_dash_is_standard_output() {
    let home = Home::new();
    load(&home, &old_archive(&small_image(1), &["x:1"]), &[]).success();
    let saved = |arguments: &[&str]| home.longshore().args(arguments).output().unwrap().stdout;
    let expected = saved(&["save", "x:1"]);
    assert!(!expected.is_empty() && saved(&["save", "-o", "-", "x:1"]) == expected);
    assert!(!files_below(home.path()).contains(&"-".to_owned()));
    let said = home.run(&["save", "--since", "gone:1", "-o", "-", "x:1"]).failure();
    assert_eq!(without_hints(&said), "Error response from daemon: reference does not exist\n");
    assert!(said.contains("hint: gone:1 is not here: "), "{said}");
    let said = home.run(&["save", "-o", "x.tar", "x:1", "lost:1"]).failure();
    assert!(said.contains("`longshore pull lost:1`"), "{said}");
}

/// A layout or an unpacked archive, and a URL, are as good as the archive; a slip is told of.
#[test]
fn directories_and_urls_are_loaded() {
    let home = Home::new();
    let image = small_image(1);
    let layout = home.path().join("layout");
    image.write_layout(&layout, "app:1").unwrap();
    let unpacked = home.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let old = home.path().join("old.tar");
    std::fs::write(&old, old_archive(&doubled_image(), &["old:1"])).unwrap();
    run(home.clean("tar").args(["-C", text(&unpacked), "-xf", text(&old)]), "").success();
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        let loaded = |input: &str| bench.run(&["load", "-i", input]);
        assert_eq!(loaded(text(&layout)).success(), "Loaded image: app:1\n");
        assert_eq!(loaded(text(&unpacked)).success(), "Loaded image: old:1\n");
        let said = loaded(text(home.path())).failure();
        assert!(said.contains("neither an OCI image layout nor an unpacked archive"), "{said}");
        assert_eq!(bench.run(&["images", "-q"]).success().lines().count(), 2);
    }
    std::fs::remove_file(layout.join("blobs/sha256").join(image.layers[1].blob.digest.hex()))
        .unwrap();
    let other = Home::new();
    let said = other.run(&["load", "-i", text(&layout)]).failure();
    assert!(said.contains("no such file or directory"), "{said}");
    let expected = format!("hint: {} has no blobs/sha256/", layout.display());
    assert!(said.contains(&expected), "{said}");
    assert_empty(&other, "a layout without a blob");
    let config = layout.join("blobs/sha256").join(image.layers[0].blob.digest.hex());
    let cut = std::fs::read(&config).unwrap();
    image.write_layout(&layout, "app:1").unwrap();
    std::fs::write(&config, &cut[..cut.len() / 2]).unwrap();
    let said = other.run(&["load", "-i", text(&layout)]).failure();
    assert!(said.contains("hint: ") && !said.contains("ends after"), "{said}");
    let said = run(other.longshore().arg("load"), "").failure();
    assert!(said.contains("hint: nothing came from standard input"), "{said}");
    // One image as skopeo has it is for `copy`.
    let folder = home.path().join("dir");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("manifest.json"), image.manifest.read().unwrap()).unwrap();
    let said = other.run(&["load", "-i", text(&folder)]).failure();
    assert!(said.contains(&format!("`longshore copy dir:{} ", folder.display())), "{said}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let whole = Answer::status(200).header("ETag", "\"1\"").body(std::fs::read(&old).unwrap());
    let rest = std::fs::read(&old).unwrap();
    let range = format!("bytes 100000-{}/{}", rest.len() - 1, rest.len());
    let part = Answer::status(206).header("ETag", "\"1\"").header("Content-Range", range);
    let part = part.body(rest[100_000..].to_vec());
    server.on("GET", "/old.tar", [whole.cut_after(100_000), part]);
    let said = other.run(&["load", "-i", &format!("{}/old.tar", server.url())]).success();
    assert_eq!(said, "Loaded image: old:1\n");
    // A success that is not all of the file is none.
    for (status, line) in
        [(202, "202 Accepted"), (206, "206 Partial Content"), (204, "204 No Content")]
    {
        let answer = Answer::status(status);
        let body = if status == 204 { Vec::new() } else { std::fs::read(&old).unwrap() };
        server.on("GET", "/later.tar", [answer.body(body)]);
        let said = other.run(&["load", "-i", &format!("{}/later.tar", server.url())]).failure();
        assert_eq!(without_hints(&said), format!("get {}/later.tar: {line}\n", server.url()));
    }
    let said = other.run(&["load", "-i", &format!("{}/gone.tar", server.url())]).failure();
    let expected = format!("get {}/gone.tar: 404 Not Found\n", server.url());
    assert_eq!(without_hints(&said), expected);
}

/// Bytes that are not those of their digest are told as that, whatever a reader of tars makes of them.
#[test]
fn a_damaged_layer_is_told_as_damaged() {
    let home = Home::new();
    let (image, _) = base_and_app();
    let layout = home.path().join("layout");
    image.write_layout(&layout, "app:1").unwrap();
    let path = format!("blobs/sha256/{}", image.layers[0].blob.digest.hex());
    let mut bytes = std::fs::read(layout.join(&path)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 600].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(layout.join(&path), &bytes).unwrap();
    for driver in DRIVERS {
        let other = Home::new();
        let Some(done) = with_driver(&other, driver, &["load", "-i", text(&layout)]) else {
            continue;
        };
        let said = done.failure();
        let expected =
            format!("invalid archive: the content of {path} does not match its digest\n");
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.contains("hint: the archive is damaged"), "{said}");
    }
}

/// A file that one image of an archive lacks is told of before another of it is loaded.
#[test]
fn an_archive_that_lacks_a_file_changes_nothing() {
    let (base, app) = base_and_app();
    let config = |image: &Image| image.config.read().unwrap();
    let item = |image: &Image, config: &str, layers: &[&str]| serde_json::json!({ "Config": config, "RepoTags": [format!("{}:1", image.layers.len())], "Layers": layers });
    let archive = |second: serde_json::Value| {
        let items = serde_json::json!([item(&base, "base", &["b"]), second]);
        tar(&[
            Entry::file("manifest.json", items.to_string()),
            Entry::file("base", config(&base)),
            Entry::file("app", config(&app)),
            Entry::file("b", base.layers[0].blob.read().unwrap()),
        ])
    };
    for (second, expected) in [
        (item(&app, "app", &["b", "gone/layer.tar"]), "open gone/layer.tar: no such file"),
        (item(&app, "no/config", &["b", "b"]), "open no/config: no such file"),
    ] {
        let home = Home::new();
        let said = load(&home, &archive(second), &[]).failure();
        assert!(said.contains(expected), "{said}");
        assert_empty(&home, expected);
    }
}

/// The document of what is left out says nothing of a layer that is lost, and is not asked where nothing is lacking.
#[test]
fn what_is_lost_is_told_apart_from_what_is_left_out() {
    let (base, app) = base_and_app();
    let (left_out, lost) = (&base.layers[0].blob, &app.layers[1].blob);
    let path = |digest: &spec::Digest| format!("blobs/sha256/{}", digest.hex());
    let images = serde_json::json!([{ "Config": "app", "RepoTags": ["app:1"],
        "Layers": [path(&left_out.digest), path(&lost.digest)] }]);
    let archive = |document: &str, layers: &[&test_support::image::Blob]| {
        let mut entries = vec![
            Entry::file("manifest.json", images.to_string()),
            Entry::file("longshore-left-out.json", document.as_bytes().to_vec()),
            Entry::file("app", app.config.read().unwrap()),
        ];
        let blobs = layers.iter().map(|blob| (path(&blob.digest), blob.read().unwrap()));
        entries.extend(blobs.map(|(path, bytes)| Entry::file(path, bytes)));
        tar(&entries)
    };
    let document = serde_json::json!({ "since": [{ "id": base.id(), "names": ["base:1"] }],
        "files": { path(&left_out.digest): { "size": left_out.size, "of": 0 } } })
    .to_string();
    let home = Home::new();
    let said = |document: &str, layers: &[&test_support::image::Blob]| {
        without_hints(&load(&home, &archive(document, layers), &[]).failure())
    };
    assert!(said(&document, &[lost]).contains("load or pull base:1 first"));
    let open = |blob: &test_support::image::Blob| {
        format!("open {}: no such file or directory\n", path(&blob.digest))
    };
    assert_eq!(said(&document, &[]), open(lost));
    assert_eq!(said(&document, &[left_out]), open(lost));
    let torn = said(&document[..20], &[lost]);
    assert!(torn.starts_with(open(left_out).trim_end()), "{torn}");
    assert!(torn.contains("failed to decode longshore-left-out.json"), "{torn}");
    assert_empty(&home, "what is lost");
    load(&home, &archive("{", &[left_out, lost]), &[]).success();
}

/// An archive in which the manifest of an image takes a kept blob for a layer that it is not, or says wrong things of what is left out.
#[test]
fn an_archive_that_lies_of_what_it_leaves_out_is_refused() {
    let (base, app) = base_and_app();
    let other = Image::builder()
        .layer(Layer::new(Compression::Gzip, &[Entry::file("other", noise(9, BASE))]))
        .build();
    let (wrong, new) = (&other.layers[0].blob, &app.layers[1].blob);
    let describe = |digest: &spec::Digest, size| {
        Descriptor::new(MediaType::OciLayerGzip, digest.clone(), size)
    };
    let config = app.config.read().unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest,
        "config": Descriptor::new(MediaType::OciConfig, app.config.digest.clone(), config.len() as u64),
        "layers": [describe(&wrong.digest, wrong.size), describe(&new.digest, new.size)],
    })
    .to_string();
    let digest = spec::Digest::sha256(manifest.as_bytes());
    let blob = |digest: &spec::Digest| format!("blobs/sha256/{}", digest.hex());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
        Descriptor::new(MediaType::OciManifest, digest.clone(), manifest.len() as u64) ]});
    let list = serde_json::json!([{ "Config": blob(&app.config.digest), "RepoTags": ["app:1"],
        "Layers": [blob(&wrong.digest), blob(&new.digest)] }]);
    let lie = |document: serde_json::Value| {
        tar(&[
            Entry::file("manifest.json", list.to_string()),
            Entry::file("index.json", index.to_string()),
            Entry::file("longshore-left-out.json", document.to_string()),
            Entry::file(blob(&app.config.digest), config.clone()),
            Entry::file(blob(&digest), manifest.clone()),
            Entry::file(blob(&new.digest), new.read().unwrap()),
        ])
    };
    let home = Home::new();
    let both = |image: &Image, tag: &str| {
        let folder = home.path().join(tag);
        image.write_layout(&folder, &format!("{tag}:1")).unwrap();
        let packed = run(
            home.clean("tar").args([
                "-C",
                text(&folder),
                "-cf",
                text(&folder.with_extension("tar")),
                ".",
            ]),
            "",
        );
        packed.success();
        home.run(&["load", "-q", "-i", text(&folder.with_extension("tar"))]).success();
    };
    both(&base, "base");
    both(&other, "other");
    let said = load(&home, &lie(serde_json::json!({})), &[]).failure();
    assert!(said.contains("invalid diffID for layer 0: expected"), "{said}");
    assert!(!home.run(&["images", "--no-trunc"]).success().contains(&app.id().to_string()));

    // Whatever the document says, no file of ours is looked for, and none of the words reach a terminal.
    for document in [
        serde_json::json!({ "since": [], "files": { blob(&wrong.digest): { "size": 1, "of": 7 } } }),
        serde_json::json!({ "since": [{ "id": base.id() }], "files": { "../../etc/passwd": { "size": 1, "of": 0 } } }),
    ] {
        let empty = Home::new();
        let said = load(&empty, &lie(document), &[]).failure();
        assert!(said.contains(&format!("open {}: no such file", blob(&wrong.digest))), "{said}");
        assert_empty(&empty, "a lie");
    }
    for (document, expected) in [
        (
            serde_json::json!({ "since": [{ "id": "../x" }] }),
            "no such file or directory; which images the archive was made for cannot be told: invalid archive: failed to decode longshore-left-out.json",
        ),
        (
            serde_json::json!({ "since": [{ "id": base.id(), "names": ["\u{1b}[31mred", "x:y:z", "good:1"] }],
                "files": { blob(&wrong.digest): { "size": 1, "of": 0 } } }),
            "load or pull good:1 first",
        ),
    ] {
        let empty = Home::new();
        let said = load(&empty, &lie(document), &[]).failure();
        assert!(said.contains(expected) && !said.contains("red"), "{said}");
        assert_empty(&empty, expected);
    }
}

#[test]
fn a_dockerd_refuses_what_is_left_out_and_takes_it_with_the_base() {
    if !is_root() || !installed(&["dockerd", "docker"]) {
        println!("skipped: needs root, dockerd and docker");
        return;
    }
    let home = Home::new();
    let (base, app) = base_and_app();
    load(&home, &old_archive(&base, &["base:1"]), &[]).success();
    load(&home, &old_archive(&app, &["app:1"]), &[]).success();
    let at = |file: &str| home.path().join(file);
    home.run(&["save", "-o", text(&at("base.tar")), "base:1"]).success();
    home.run(&["save", "--since", "base:1", "-o", text(&at("app.tar")), "app:1"]).success();
    let dockerd = Dockerd::builder().start().unwrap();
    let docker = |arguments: &[&str]| dockerd.docker(arguments);
    let refused = docker(&["load", "-i", text(&at("app.tar"))]).unwrap_err();
    assert!(refused.to_string().contains("no such file"), "{refused}");
    docker(&["load", "-i", text(&at("base.tar"))]).unwrap();
    docker(&["load", "-i", text(&at("app.tar"))]).unwrap();
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", "app:1"]).unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&id).trim(), app.id().to_string());
    // It would send everything, so nothing is asked for less.
    let said = run(
        home.clean(env!("CARGO_BIN_EXE_longshore")).args([
            "-H",
            &dockerd.host(),
            "save",
            "--since",
            "base:1",
            "-o",
            text(&at("x.tar")),
            "app:1",
        ]),
        "",
    );
    assert!(said.failure().contains("not Longshore's and cannot leave layers out"));
    assert!(!at("x.tar").exists());
}

#[test]
fn images_are_compared_by_their_files() {
    let base = || {
        let entries = [
            Entry::file("etc/a", noise(1, 2000)),
            Entry::file("etc/b", *b"b"),
            Entry::file("gone", noise(2, 500)),
        ];
        Layer::new(Compression::Gzip, &entries)
    };
    let top = Layer::new(
        Compression::Gzip,
        &[
            Entry::file("etc/a", noise(3, 2100)),
            Entry::file("etc/b", *b"b").mode(0o600),
            Entry::file("new", noise(4, 1234)),
            Entry::whiteout("gone"),
        ],
    );
    let first = Image::builder().layer(base()).build();
    let second = Image::builder().layer(base()).layer(top).build();
    for front in [Front::InProcess, Front::Longshore] {
        for driver in DRIVERS {
            if driver == "overlay2" && !is_root() {
                println!("skipped: overlay2 needs root");
                continue;
            }
            let bench = Bench::new(front, &["--storage-driver", driver]);
            for (image, tag) in [(&first, "first:1"), (&second, "second:1")] {
                let file = bench.home.path().join("x.tar");
                std::fs::write(&file, old_archive(image, &[tag])).unwrap();
                bench.run(&["load", "-q", "-i", text(&file)]).success();
            }
            let said = bench.run(&["image", "diff", "first:1", "second:1"]).success();
            let expected = "\
CHANGE  LAYER  SIZE       PATH
C       2      +100B      /etc/a (content)
C       2      0B         /etc/b (mode)
D       2      -500B      /gone
A       2      1.23kB     /new
1 (1.23kB) added, 2 (+100B) changed, 1 (-500B) removed
";
            assert_eq!(said, expected, "{front:?} {driver}");
            assert_eq!(bench.run(&["image", "diff", "first:1", "first:1"]).success(), "");
            let paths = bench.run(&[
                "image",
                "diff",
                "--format",
                "{{.Change}} {{.Path}}",
                "second:1",
                "first:1",
            ]);
            assert_eq!(paths.success(), "C /etc/a\nC /etc/b\nA /gone\nD /new\n");
            let json =
                bench.run(&["image", "diff", "--format", "json", "first:1", "second:1"]).success();
            assert_eq!(
                json.lines().next().unwrap(),
                r#"{"Change":"C","Path":"/etc/a","Type":"file","Size":2100,"SizeBefore":2000,"Layer":2,"Differs":["content"]}"#
            );
            let layers = bench.run(&[
                "image",
                "diff",
                "--layers",
                "--format",
                "{{.Layer}} {{.Added}} {{.Removed}}",
                "second:1",
            ]);
            assert_eq!(layers.success(), "1 4 (2.5kB) 0\n2 1 (1.23kB) 1 (-500B)\n");
            let error = bench.run(&["image", "diff", "first:1", "gone:1"]).failure();
            let error = error.trim_start_matches("Error response from daemon: ");
            let error = without_hints(error);
            assert_eq!(error, "No such image: gone:1\n", "{front:?} {driver}");
            let error = bench.run(&["image", "diff", "--format", "{{.Nope}}", "first:1"]).failure();
            assert!(error.starts_with("template parsing error"), "{error}");
        }
    }
}

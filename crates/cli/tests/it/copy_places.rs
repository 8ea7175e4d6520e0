//! `copy` and `sync`: places of several images, and what is refused before anything is moved.

use test_support::image::Image;
use test_support::servers::{LocalRegistry, installed};

use super::support::{Home, run, small_image};

fn push(registry: &LocalRegistry, tags: &[&str]) -> Vec<Image> {
    let images: Vec<Image> = (1..).map(small_image).take(tags.len()).collect();
    for (image, tag) in images.iter().zip(tags) {
        image.push(&registry.client(), "app", tag).unwrap();
    }
    images
}

fn has(registry: &LocalRegistry, name: &str, image: Option<&Image>) {
    let stored = registry.client().get(&format!("/v2/{name}")).unwrap();
    match image {
        Some(image) => assert_eq!(stored.body, image.manifest.read().unwrap(), "{name}"),
        None => assert_eq!(stored.status, 404, "{name}"),
    }
}

#[test]
fn all_tags_of_archives_and_layouts_are_copied() {
    let registry = LocalRegistry::start().unwrap();
    let images = push(&registry, &["1.0", "1.1"]);
    let home = Home::new();
    let file = |name: &str| home.path().join(name).display().to_string();
    let at = |name: &str| format!("{}/{name}", registry.address());
    let archive = format!("oci-archive:{}", file("a.tar"));
    home.run(&["copy", "--all-tags", &at("app"), &archive]).success();
    let done = home.run(&["copy", "--tags", "1.1", &archive, &at("one")]).success();
    assert!(done.contains("1 image: 1 copied"), "{done}");
    has(&registry, "one/manifests/1.1", Some(&images[1]));
    has(&registry, "one/manifests/1.0", None);
    let error = home.run(&["copy", "--tags", "2.*", &archive, &at("one")]).failure();
    assert!(error.contains("a.tar: no tag there fits"), "{error}");

    // What is saved for docker has whole names.
    for (tag, name) in [("1.0", "r.example/x:a"), ("1.1", "r.example/x:b")] {
        home.run(&["copy", &at(&format!("app:{tag}")), &format!("docker-daemon:{name}")]).success();
    }
    let saved = file("saved.tar");
    home.run(&["save", "-o", &saved, "r.example/x:a", "r.example/x:b"]).success();
    home.run(&["copy", "-a", &format!("docker-archive:{saved}"), &at("saved")]).success();
    for (tag, image) in ["a", "b"].iter().zip(&images) {
        has(&registry, &format!("saved/manifests/{tag}"), Some(image));
    }

    let layout = format!("oci:{}", file("layout"));
    home.run(&["copy", &at("app:1.0"), &layout]).success();
    home.run(&["copy", &at("app:1.1"), &format!("{layout}:x")]).success();
    let told = home.run(&["copy", "-a", &layout, &at("named")]);
    let unnamed = format!("WARNING: {layout}@{}: the image has no tag", images[0].manifest.digest);
    assert!(told.stderr.contains(&unnamed), "{told:?}");
    told.success();
    has(&registry, "named/manifests/x", Some(&images[1]));
}

/// As docker wrote archives before image layouts.
#[test]
fn old_archives_have_tags_too() {
    if !installed(&["skopeo"]) {
        println!("skipped: needs skopeo");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    push(&registry, &["1"]);
    let home = Home::new();
    let archive = format!("docker-archive:{}", home.path().join("a.tar").display());
    let mut skopeo = home.clean("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    skopeo.args(["--additional-tag", "r.example/x:two"]);
    skopeo.arg(format!("docker://{}/app:1", registry.address()));
    run(skopeo.arg(format!("{archive}:r.example/x:one")), "").success();
    let to = format!("{}/copy", registry.address());
    let done = home.run(&["copy", "-a", &archive, &to]).success();
    assert!(done.contains("2 images: 2 copied"), "{done}");
    let manifests = ["one", "two"].map(|tag| {
        registry
            .client()
            .get(&format!("/v2/copy/manifests/{tag}"))
            .unwrap()
            .expect(200)
            .unwrap()
            .body
    });
    assert_eq!(manifests[0], manifests[1]);
}

#[test]
fn with_force_what_is_up_to_date_is_looked_through() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let images = push(&a, &["1"]);
    let home = Home::new();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    home.run(&["copy", &from, &to]).success();
    let blob = format!("/v2/copy/blobs/{}", images[0].layers[0].blob.digest);
    b.client().send("DELETE", &blob, &[], b"").unwrap().expect(202).unwrap();
    let file = home.path().join("sync.toml");
    let text = format!("[[copy]]\nsource = \"{from}\"\ntarget = \"{to}\"\n");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let told = home.run(&["sync", file]).success();
    assert!(told.contains("0 copied, 1 up to date"), "{told}");
    let told = home.run(&["sync", "--force", file]).success();
    assert!(told.contains("1 copied, 0 up to date") && told.contains("in 1 blob, "), "{told}");
    b.client().get(&blob).unwrap().expect(200).unwrap();
    let told = home.run(&["copy", "--force", &from, &to]).success();
    assert!(told.contains("up to date; moved 0B in 0 blobs"), "{told}");
}

#[test]
fn a_sync_tells_of_what_fits_nothing_and_refuses_streams() {
    let registry = LocalRegistry::start().unwrap();
    push(&registry, &["1.0"]);
    let home = Home::new();
    let address = registry.address();
    let file = home.path().join("sync.toml");
    let sync = |rest: &str| {
        let text = format!("[[copy]]\nsource = \"{address}/app\"\n{rest}\n");
        std::fs::write(&file, text).unwrap();
        home.run(&["sync", file.to_str().unwrap()])
    };
    let none = sync(&format!("target = \"{address}/copy\"\ntags = \"2.*\""));
    let warning = format!(
        "WARNING: {}: line 1: {address}/app: no tag there fits (tags: 2.*), and nothing is copied",
        file.display()
    );
    assert!(none.stderr.contains(&warning), "{none:?}");
    assert!(none.success().contains("0 images: 0 copied, 0 up to date, 0 failed"));
    // Programs are told of each image in fields.
    let there = format!("{address}/told");
    for (target, outcome) in
        [(&*there, "copied"), (&*there, "present"), ("127.0.0.1:1/x", "failed")]
    {
        let text = format!("[[copy]]\nsource = \"{address}/app\"\ntarget = \"{target}\"\n");
        std::fs::write(&file, text).unwrap();
        let told = home.run(&["sync", "--progress", "json", file.to_str().unwrap()]).stdout;
        let mut lines = told.lines().map(|line| serde_json::from_str(line).unwrap());
        let image: serde_json::Value =
            lines.find(|line: &serde_json::Value| line["type"] == "image").unwrap();
        let told = (image["image"].as_str().unwrap(), image["outcome"].as_str().unwrap());
        assert_eq!(told, (&*format!("{target}:1.0"), outcome));
        assert_eq!(image["digest"].is_string(), outcome != "failed", "{image}");
        assert!(!image["text"].as_str().unwrap().is_empty());
    }
    // Of several failures each has its own advice.
    let entry = |source: &str| format!("[[copy]]\nsource = \"{source}\"\ntarget = \"{there}\"\n");
    let (gone, nobody) = (format!("{address}/app:gone"), "127.0.0.1:1/x:1");
    std::fs::write(&file, entry(&gone) + &entry(nobody)).unwrap();
    let said = home.run(&["sync", file.to_str().unwrap()]).failure();
    let hints = said.split_once("hint: ").unwrap().1;
    assert!(hints.contains(&format!("{gone}: `longshore registry tags ")), "{said}");
    assert!(hints.contains(&format!("{nobody}: nobody listens at 127.0.0.1:1")), "{said}");
    for target in ["-", "oci-archive:-", "docker-daemon:r.example/x:1"] {
        let error = sync(&format!("targets = [\"{address}/copy\", \"{target}\"]")).failure();
        assert!(error.contains("sync.toml: line 3: ") && error.contains("no daemon"), "{error}");
    }
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let error = sync(&format!("target = \"oci:x@{digest}\"")).failure();
    assert!(error.contains("line 3: ") && error.contains("cannot be chosen"), "{error}");
    has(&registry, "copy/manifests/1.0", None);
}

#[test]
fn the_file_of_the_digest_is_opened_before_anything_is_moved() {
    let registry = LocalRegistry::start().unwrap();
    let images = push(&registry, &["1"]);
    let home = Home::new();
    let at = |name: &str| format!("{}/{name}", registry.address());
    let copy =
        |file: &str, from: &str, to: &str| home.run(&["copy", "--digest-file", file, from, to]);
    let file = |name: &str| home.path().join(name).display().to_string();
    let error = copy(&file("none/digest"), &at("app:1"), &at("copy:1")).failure();
    assert!(error.contains(&format!("cannot write {}: ", file("none/digest"))), "{error}");
    has(&registry, "copy/manifests/1", None);
    // One that was made goes where nothing is copied, and one that was there stays as it was.
    std::fs::write(file("old"), "x".repeat(200)).unwrap();
    for name in ["new", "old"] {
        copy(&file(name), &at("app:none"), &at("copy:1")).failure();
    }
    assert!(!home.path().join("new").exists());
    assert_eq!(std::fs::read_to_string(file("old")).unwrap().len(), 200);
    copy(&file("old"), &at("app:1"), &at("copy:1")).success();
    let digest = std::fs::read_to_string(file("old")).unwrap();
    assert_eq!(digest, images[0].manifest.digest.to_string());
    let to = format!("oci:{}@{digest}", file("layout"));
    let error = home.run(&["copy", &at("app:1"), &to]).failure();
    assert!(error.contains("cannot be chosen"), "{error}");
    // An error names the digest that is missing.
    let blob = &images[0].layers[0].blob.digest;
    let path = format!("/v2/app/blobs/{blob}");
    registry.client().send("DELETE", &path, &[], b"").unwrap().expect(202).unwrap();
    let error = home.run(&["copy", &at("app:1"), &format!("dir:{}", file("d"))]).failure();
    assert!(error.contains(&format!("{}: blob {blob}: ", at("app:1"))), "{error}");
}

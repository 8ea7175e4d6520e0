//! `copy`: between registries, and to and from what other tools write.

use test_support::image::{Compression, Format, Image, ImageBuilder, Index, Layer, Referrer};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};
use test_support::tar::Entry;

use test_support::http::Client;

use super::registries::base64;
use super::support::{Home, run, small_image};

/// Returns what a registry has, as it is: without the header docker's converts.
fn stored(client: &Client, repository: &str, name: &str) -> Vec<u8> {
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let path = format!("/v2/{repository}/manifests/{name}");
    client.send("GET", &path, &[("Accept", accept)], b"").unwrap().expect(200).unwrap().body
}

fn layer(seed: u8) -> Layer {
    Layer::new(Compression::Gzip, &[Entry::file("file", vec![seed; 1000])])
}

fn index() -> Index {
    Index::new(Format::Oci, vec![small_image(1), small_image(2)])
}

#[test]
fn tags_go_from_one_kind_of_registry_to_the_other_and_back() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let (docker, own) =
        (DockerRegistry::builder().start().unwrap(), LocalRegistry::start().unwrap());
    let (index, image) = (index(), small_image(3));
    index.push(&docker.client(), "lib/app", "1.0").unwrap();
    image.push(&docker.client(), "lib/app", "1.1").unwrap();
    image.push(&docker.client(), "lib/app", "edge").unwrap();
    let home = Home::new();
    let (a, b) = (format!("{}/lib/app", docker.address()), format!("{}/copy", own.address()));
    let dry = home.run(&["copy", "--dry-run", "--tags", "1.*", &a, &b]).success();
    assert!(
        dry.contains("2 images: 2 would be copied, 0 up to date, 0 failed; would move "),
        "{dry}"
    );
    let copied = home.run(&["copy", "--tags", "1.*", &a, &b]).success();
    assert!(
        copied.contains(&format!("{b}:1.0: digest: {} copied", index.manifest.digest)),
        "{copied}"
    );
    assert!(copied.contains("2 images: 2 copied, 0 up to date, 0 failed; moved "), "{copied}");
    let again = home.run(&["copy", "--tags", "1.*", &a, &b]).success();
    assert!(
        again.contains("2 images: 0 copied, 2 up to date, 0 failed; moved 0B in 0 blobs"),
        "{again}"
    );

    let file = home.path().join("digest");
    let back = format!("{}/back/app", docker.address());
    let copied = home.run(&[
        "copy",
        "--digest-file",
        file.to_str().unwrap(),
        &format!("docker://{b}:1.0"),
        &format!("docker://{back}:x"),
    ]);
    let copied = copied.success();
    // What the registry has in another repository it does not tell, and so all is sent.
    assert!(
        copied.contains(&format!("{back}:x: digest: {} moved ", index.manifest.digest)),
        "{copied}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), index.manifest.digest.to_string());
    assert_eq!(stored(&docker.client(), "back/app", "x"), index.manifest.read().unwrap());
    assert!(!home.data_root().exists(), "no data root is needed");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let home = Home::new();
    for (arguments, expected) in [
        (&["copy", "a"][..], "requires"),
        (
            &["copy", "-a", "r.example/a:1", "r.example/b"],
            "the source is a repository, a layout or an archive, without a tag",
        ),
        (&["copy", "-a", "--tags", "x", "r.example/a", "r.example/b"], "contradict each other"),
        (&["copy", "--tags", "[", "r.example/a", "r.example/b"], "a `[` is not closed"),
        (&["copy", "sif:x", "r.example/b"], "cannot copy from or to sif:"),
        (
            &["copy", "--platform", "linux/*", "r.example/a", "r.example/b"],
            "wildcards not yet supported",
        ),
        (&["copy", "--src-creds", ":x", "r.example/a", "r.example/b"], "USER:PASSWORD"),
    ] {
        let error = home.run(arguments).failure();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn each_side_has_credentials_of_its_own() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let start =
        |user, password| DockerRegistry::builder().password(user, password).start().unwrap();
    let (a, b) = (start("ann", "one"), start("bob", "two"));
    let basic = |text: &str| format!("Basic {}", base64(text));
    let image = small_image(1);
    image.push(&a.client().with_authorization(basic("ann:one")), "app", "1").unwrap();
    let home = Home::new();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/app:1", b.address()));
    let refused = home.run(&["copy", "--src-creds", "ann:one", &from, &to]).failure();
    assert!(
        refused.contains(b.address()) && refused.contains("no basic auth credentials"),
        "{refused}"
    );
    home.run(&["copy", "--src-creds", "ann:one", "--dest-creds", "bob:two", &from, &to]).success();
    let client = b.client().with_authorization(basic("bob:two"));
    assert_eq!(stored(&client, "app", "1"), image.manifest.read().unwrap());
}

/// Another tool's command: it knows nothing of this machine's configuration.
fn skopeo(home: &Home, source: &str, target: &str) {
    let mut skopeo = home.clean("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--all"]);
    skopeo.args(["--src-tls-verify=false", "--dest-tls-verify=false", source, target]);
    run(&mut skopeo, "").success();
}

#[test]
fn other_tools_read_what_is_written_and_the_other_way_round() {
    if !installed(&["skopeo"]) {
        println!("skipped: needs skopeo");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    // Of OCI's types, as skopeo converts Docker's for a layout.
    let images =
        [1, 2].map(|seed| Image::builder().format(Format::Oci).layer(layer(seed)).layer(layer(0)));
    let index = Index::new(Format::Oci, images.map(ImageBuilder::build).to_vec());
    let (client, image) = (registry.client(), small_image(3));
    index.push(&client, "app", "all").unwrap();
    image.push(&client, "app", "one").unwrap();
    let home = Home::new();
    let at = |name: &str| format!("docker://{}/{name}", registry.address());
    let file = |name: &str| home.path().join(name).display().to_string();
    let copy = |from: &str, to: &str| home.run(&["copy", from, to]).success();
    for (name, place) in [
        ("layout", format!("oci:{}:v1", file("layout"))),
        ("archive", format!("oci-archive:{}:v1", file("archive.tar"))),
        ("folder", format!("dir:{}", file("folder"))),
    ] {
        let digest = index.manifest.digest.to_string();
        assert!(copy(&at("app:all"), &place).contains(&digest), "{name}");
        // Theirs of ours, and ours of ours.
        skopeo(&home, &place, &at(&format!("theirs/{name}:1")));
        assert_eq!(stored(&client, &format!("theirs/{name}"), "1"), index.manifest.read().unwrap());
        copy(&place, &at(&format!("ours/{name}:1")));
        assert_eq!(stored(&client, &format!("ours/{name}"), "1"), index.manifest.read().unwrap());
        // Ours of theirs.
        let theirs = place.replace(&file(""), &format!("{}/their-", home.path().display()));
        skopeo(&home, &at("app:all"), &theirs);
        copy(&theirs, &at(&format!("back/{name}:1")));
        assert_eq!(stored(&client, &format!("back/{name}"), "1"), index.manifest.read().unwrap());
    }
    // A second time nothing is written, and what is missing is fetched alone.
    let layout = format!("oci:{}:v1", file("layout"));
    assert!(copy(&at("app:all"), &layout).contains("up to date"));
    let blob = file(&format!("layout/blobs/sha256/{}", index.images[0].config.digest.hex()));
    std::fs::remove_file(blob).unwrap();
    let again = copy(&at("app:all"), &layout.replace("v1", "v2"));
    assert!(again.contains("in 1 blob, 4 already there"), "{again}");

    let archive = format!("docker-archive:{}:r.example/app:one", file("docker.tar"));
    copy(&at("app:one"), &archive);
    skopeo(&home, &archive, &at("theirs/docker:1"));
    let configs = |bytes: Vec<u8>| {
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        manifest["config"]["digest"].clone()
    };
    let config = serde_json::json!(image.config.digest.to_string());
    assert_eq!(configs(stored(&client, "theirs/docker", "1")), config);
    // The digest stays where the archive has the manifest, too.
    copy(&archive, &at("ours/docker:1"));
    assert_eq!(stored(&client, "ours/docker", "1"), image.manifest.read().unwrap());
    let theirs = format!("docker-archive:{}:r.example/app:one", file("their.tar"));
    let mut single = home.clean("skopeo");
    single.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    run(single.args([&at("app:one"), &theirs]), "").success();
    copy(&theirs, &at("back/docker:1"));
    assert_eq!(configs(stored(&client, "back/docker", "1")), config);
}

#[test]
fn the_store_of_this_process_is_a_place_and_a_stream_is_one() {
    let registry = LocalRegistry::start().unwrap();
    let (client, image) = (registry.client(), small_image(3));
    image.push(&client, "app", "one").unwrap();
    let home = Home::new();
    let at = |name: &str| format!("docker://{}/{name}", registry.address());
    home.run(&["copy", &at("app:one"), "docker-daemon:r.example/app:one"]).success();
    let listed = home.run(&["images", "--no-trunc", "-q", "r.example/app:one"]).success();
    assert_eq!(listed.trim(), image.id().to_string());
    home.run(&["copy", "docker-daemon:r.example/app:one", &at("back:1")]).success();
    assert_eq!(stored(&client, "back", "1"), image.manifest.read().unwrap());

    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    let output = command.args(["copy", &at("app:one"), "oci-archive:-"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let file = home.path().join("stream.tar");
    std::fs::write(&file, output.stdout).unwrap();
    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    command
        .args(["copy", "oci-archive:-", &at("stream:1")])
        .stdin(std::fs::File::open(file).unwrap());
    assert!(command.output().unwrap().status.success());
    assert_eq!(stored(&client, "stream", "1"), image.manifest.read().unwrap());
}

#[test]
fn a_file_of_copies_is_synced_and_one_failure_does_not_stop_the_others() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let (index, image) = (index(), small_image(3));
    index.push(&a.client(), "lib/app", "1.0").unwrap();
    image.push(&a.client(), "lib/app", "1.1-rc1").unwrap();
    image.push(&a.client(), "lib/other", "x").unwrap();
    let home = Home::new();
    let layout = home.path().join("layout").display().to_string();
    let (from, to) = (a.address(), b.address());
    let text = format!(
        "[[copy]]\nsource = \"{from}/lib/app\"\ntargets = [\"{to}/app\", \"oci:{layout}\"]\nexcept = \"*-rc*\"\n\
         [[copy]]\nsource = \"{from}/lib/other:x\"\ntarget = \"{to}/other:y\"\n"
    );
    let file = home.path().join("sync.toml");
    std::fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    let dry = home.run(&["sync", "--dry-run", file]).success();
    assert!(dry.contains("3 images: 3 would be copied"), "{dry}");
    let done = home.run(&["sync", file]).success();
    assert!(done.contains("3 images: 3 copied, 0 up to date, 0 failed"), "{done}");
    assert_eq!(stored(&b.client(), "app", "1.0"), index.manifest.read().unwrap());
    assert_eq!(stored(&b.client(), "other", "y"), image.manifest.read().unwrap());
    let again = home.run(&["sync", file]).success();
    assert!(again.contains("3 images: 0 copied, 3 up to date, 0 failed; moved 0B"), "{again}");

    let missing = format!("{text}[[copy]]\nsource = \"{from}/none:1\"\ntarget = \"{to}/none\"\n");
    std::fs::write(file, missing).unwrap();
    let failed = home.run(&["sync", file]);
    assert!(failed.stdout.contains("4 images: 0 copied, 3 up to date, 1 failed"), "{failed:?}");
    let error = failed.failure();
    assert!(error.contains(&format!("{from}/none:1: ")), "{error}");
    std::fs::write(file, "[[copy]]\nsource = 1\n").unwrap();
    let error = home.run(&["sync", file]).failure();
    assert!(error.contains("sync.toml: line 2: \"source\" is to be a text"), "{error}");
}

#[test]
fn a_file_of_yaml_chooses_tags_by_versions() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    for tag in ["1.9", "1.10", "v1.11.2", "1.12-rc1", "2.0", "latest"] {
        image.push(&registry.client(), "app", tag).unwrap();
    }
    let home = Home::new();
    let text = format!(
        "copy:\n- source: {0}/app\n  target: {0}/mirror\n  versions: \">=1.9 <2\"\n  latest: 2\n",
        registry.address()
    );
    let file = home.path().join("sync.yaml");
    std::fs::write(&file, &text).unwrap();
    home.run(&["sync", file.to_str().unwrap()]).success();
    let tags = registry.client().get("/v2/mirror/tags/list").unwrap().json()["tags"].clone();
    assert_eq!(tags, serde_json::json!(["1.10", "v1.11.2"]));
    std::fs::write(&file, text.replace("latest:", "lastest:")).unwrap();
    let error = home.run(&["sync", file.to_str().unwrap()]).failure();
    let expected = "sync.yaml: line 5: unknown key \"lastest\"; \"latest\" is one";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn referrers_go_along_where_they_are_asked_for() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = index();
    index.push(&a.client(), "app", "1").unwrap();
    let sbom = Referrer::new("test/sbom", "an sbom", &index.images[0].manifest);
    sbom.push(&a.client(), "app").unwrap();
    let home = Home::new();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    home.run(&["copy", &from, &to]).success();
    let told = home.run(&["copy", "--referrers", &from, &to]).success();
    assert!(told.contains("up to date; moved") && told.contains(", 1 referrer, in"), "{told}");
    let digest = sbom.manifest.digest.to_string();
    assert_eq!(stored(&b.client(), "copy", &digest), sbom.manifest.read().unwrap());
    let text = format!("[[copy]]\nsource = \"{from}\"\ntarget = \"{to}\"\nreferrers = true\n");
    let file = home.path().join("sync.toml");
    std::fs::write(&file, text.replace("/copy:1", "/sync:1")).unwrap();
    let told = home.run(&["sync", file.to_str().unwrap()]).success();
    assert!(told.contains("1 copied") && told.contains(", 1 referrer, in"), "{told}");
    assert_eq!(stored(&b.client(), "sync", &digest), sbom.manifest.read().unwrap());
}

#[test]
fn archives_and_repositories_are_targets_of_a_sync() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1.0").unwrap();
    let home = Home::new();
    let (address, folder) = (registry.address(), home.path().display().to_string());
    let text = format!(
        "[[copy]]\nsource = \"{address}/app:1.0\"\ntargets = [\"{address}/copy\", \"oci-archive:{folder}/a.tar:x\", \"docker-archive:{folder}/b.tar:a/b:1\"]\n"
    );
    let file = home.path().join("sync.toml");
    std::fs::write(&file, text).unwrap();
    home.run(&["sync", file.to_str().unwrap()]).success();
    assert_eq!(stored(&registry.client(), "copy", "1.0"), image.manifest.read().unwrap());
    home.run(&["copy", &format!("oci-archive:{folder}/a.tar:x"), &format!("oci:{folder}/back:x")])
        .success();
    let loaded = home.run(&["load", "-i", &format!("{folder}/b.tar")]).success();
    assert_eq!(loaded, "Loaded image: a/b:1\n");
}

/// A folder may be somebody else's: no link in it leads a copy out, and a pipe is no blob.
#[test]
fn what_stands_where_a_blob_is_to_come_is_not_written_to() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1").unwrap();
    let home = Home::new();
    let hex = image.layers[0].blob.digest.hex();
    let victim = home.path().join("victim");
    for what in ["link", "name", "pipe"] {
        std::fs::write(&victim, "precious").unwrap();
        let layout = home.path().join(what);
        let aside = layout.join(".longshore-partial");
        std::fs::create_dir_all(&aside).unwrap();
        let place = aside.join(format!("sha256-{hex}"));
        match what {
            "link" => std::os::unix::fs::symlink(&victim, place).unwrap(),
            "name" => std::fs::hard_link(&victim, place).unwrap(),
            _ => {
                run(std::process::Command::new("mkfifo").arg(place), "").success();
            }
        }
        let target = format!("oci:{}:x", layout.display());
        home.run(&["copy", &format!("{}/app:1", registry.address()), &target]).success();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious", "{what}");
        let blob = layout.join("blobs/sha256").join(&hex);
        assert!(blob.symlink_metadata().unwrap().is_file(), "{what}");
    }
}

#[test]
fn what_docker_cannot_load_is_no_archive_for_it() {
    let home = Home::new();
    let layout = home.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    // As umoci writes it.
    std::fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    let registry = LocalRegistry::start().unwrap();
    Index::new(Format::Oci, vec![]).push(&registry.client(), "empty", "1").unwrap();
    let empty = format!("{}/empty:1", registry.address());
    home.run(&["copy", &empty, &format!("oci:{}:x", layout.display())]).success();
    let archive = home.path().join("a.tar");
    let target = format!("docker-archive:{}:a/b:1", archive.display());
    let error = home.run(&["copy", &empty, &target]).failure();
    assert!(error.contains("holds no image that docker could load"), "{error}");
    assert!(!archive.exists());
}

/// `--compression` and `--format`: what is told, and what skopeo and podman say of it.
#[test]
fn other_bytes_are_made_for_who_asks_and_told() {
    if !installed(&["skopeo", "podman"]) {
        println!("skipped: needs skopeo and podman");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let (client, image) = (registry.client(), small_image(3));
    let attested = Index::attested(vec![image.clone()]);
    attested.push(&client, "app", "all").unwrap();
    image.push(&client, "app", "one").unwrap();
    let home = Home::new();
    let at = |name: &str| format!("docker://{}/{name}", registry.address());
    let file = home.path().join("digest");
    let flag = format!("--digest-file={}", file.display());
    let (from, to) = (at("app:all"), at("z:1"));
    let dry = home.run(&["copy", "--dry-run", &flag, "--compression", "zstd", &from, &to]);
    let dry = dry.success();
    let old = &attested.manifest.digest;
    assert!(dry.contains("z:1: digest: known once its layers are compressed would move"), "{dry}");
    assert!(!file.exists());
    assert!(dry.contains(&format!("Note: the digest would change from {old}: ")), "{dry}");
    assert_eq!(client.get("/v2/z/manifests/1").unwrap().status, 404);

    let told = home.run(&["copy", "--compression=zstd:9", &flag, &at("app:all"), &at("z:1")]);
    let told = told.success();
    let digest = std::fs::read_to_string(&file).unwrap();
    let why = "2 layers compressed by zstd, 1 document of OCI's types, 1 attestation still of the old digests";
    let note = format!("Note: the digest changed from {old} to {digest}: {why}\n");
    assert!(told.ends_with(&note), "{told}");
    let index: serde_json::Value = serde_json::from_slice(&stored(&client, "z", "1")).unwrap();
    assert_eq!(index["manifests"][0]["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    let told = home.run(&["copy", "--compression=zstd", &at("app:all"), &at("z:1")]).success();
    assert!(told.contains("up to date"), "{told}");

    // skopeo reads it, and podman unpacks it to the image that it was.
    let layout = format!("oci:{}:x", home.path().join("layout").display());
    skopeo(&home, &at("z:1"), &layout);
    for (flags, name) in [(&["--compression", "zstd"][..], "z:2"), (&["--format", "oci"], "o:1")] {
        home.run(&[&["copy"], flags, &[&at("app:one"), &at(name)]].concat()).success();
        let storage = home.path().join("podman");
        let mut podman = home.clean("podman");
        // podman insists on a file in that folder.
        podman.env_remove("DOCKER_CONFIG");
        podman.args(["--storage-driver=vfs", "--root"]).arg(&storage);
        podman.arg("--runroot").arg(home.path().join("run"));
        podman
            .args(["pull", "-q", "--tls-verify=false"])
            .arg(format!("{}/{name}", registry.address()));
        let id = run(&mut podman, "").success();
        assert_eq!(id.trim(), image.config.digest.hex(), "{name}");
    }
    for (arguments, expected) in [
        (&["--compression=lz4"][..], "there are gzip and zstd"),
        (&["--compression=zstd", "--format=docker"], "has no type for layers that are compressed"),
        (&["--format=oci", "--referrers"], "use one without the other"),
    ] {
        let all = [&["copy"], arguments, &["r.example/a", "r.example/b"]].concat();
        let error = home.run(&all).failure();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }

    let text = format!(
        "[[copy]]\nsource = \"{0}/app\"\ntarget = \"{0}/sync\"\ncompression = \"zstd\"\nformat = \"oci\"\n",
        registry.address()
    );
    let file = home.path().join("sync.toml");
    std::fs::write(&file, text).unwrap();
    let done = home.run(&["sync", file.to_str().unwrap()]).success();
    assert_eq!(done.matches("Note: the digest changed").count(), 2, "{done}");
    let again = home.run(&["sync", file.to_str().unwrap()]).success();
    assert!(again.contains("2 images: 0 copied, 2 up to date, 0 failed; moved 0B"), "{again}");
}

//! Whole images: every platform and attestation of an index, from registry to registry.

use std::fs;

use serde_json::json;
use spec::Platform;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::{DockerRegistry, Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, Done, FRONTS, Front, is_root, noise, run};

const ACCEPTED: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
const PLATFORMS: [&str; 7] = [
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "windows/amd64",
];

fn image(platform: Platform, seed: u64) -> Image {
    let layer = |seed| Layer::new(Compression::Gzip, &[Entry::file("file", noise(seed, 20_000))]);
    // All have one layer in common, as those of a static program do.
    let builder = Image::builder().format(Format::Oci).platform(platform);
    builder.layer(layer(1)).layer(layer(seed)).build()
}

/// An index of eight platforms, this machine's in the middle, with as many attestations.
fn index(seed: u64) -> Index {
    let others = PLATFORMS.iter().map(|platform| Platform::parse(platform).unwrap());
    let mut platforms: Vec<Platform> = others.collect();
    platforms.insert(4, Platform::host());
    let images = platforms.into_iter().zip(seed..).map(|(platform, seed)| image(platform, seed));
    Index::attested(images.collect())
}

fn own(index: &Index) -> &Image {
    &index.images[4]
}

/// The digest that a registry has for a tag.
fn digest(registry: &DockerRegistry, repository: &str, tag: &str) -> String {
    let place = format!("/v2/{repository}/manifests/{tag}");
    let answer = registry.client().send("HEAD", &place, &[("Accept", ACCEPTED)], b"").unwrap();
    answer.header("Docker-Content-Digest").unwrap_or_default().to_owned()
}

/// Insists that a repository has all that an index leads to.
fn assert_whole(registry: &DockerRegistry, repository: &str, index: &Index) {
    for image in &index.images {
        let manifest = image.manifest.digest.to_string();
        assert_eq!(digest(registry, repository, &manifest), manifest);
        for blob in image.blobs() {
            let place = format!("/v2/{repository}/blobs/{}", blob.digest);
            assert_eq!(registry.client().send("HEAD", &place, &[], b"").unwrap().status, 200);
        }
    }
}

/// Runs our command line at the engine, also where the bench is of another client.
fn ours(bench: &Bench, front: Front, arguments: &[&str]) -> Done {
    if front != Front::Docker {
        return bench.run(arguments);
    }
    let host = format!("unix://{}", bench.home.path().join("longshore.sock").display());
    let mut command = bench.home.clean(env!("CARGO_BIN_EXE_longshore"));
    run(command.args(["-H", &host]).args(arguments), "")
}

/// A registry with an index, its name there, and a bench that has pulled all of it.
fn pulled_whole(seed: u64) -> (DockerRegistry, Index, String, Bench) {
    let registry = DockerRegistry::builder().start().unwrap();
    let index = index(seed);
    index.push(&registry.client(), "me/app", "1").unwrap();
    let name = format!("{}/me/app:1", registry.address());
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["pull", "--all-platforms", &name]).success();
    (registry, index, name, bench)
}

#[test]
fn an_index_goes_whole_from_registry_to_registry() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    for front in FRONTS {
        if front == Front::Docker && !installed(&["docker"]) {
            println!("skipped: needs docker");
            continue;
        }
        let [from, to] = [(); 2].map(|()| DockerRegistry::builder().start().unwrap());
        let index = index(100);
        index.push(&from.client(), "me/app", "1").unwrap();
        let source = format!("{}/me/app:1", from.address());
        let target = format!("{}/you/app:1", to.address());
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", &source]).success();
        bench.run(&["tag", &source, &target]).success();

        // The image alone, which is told.
        let (whole, alone) =
            (index.manifest.digest.to_string(), own(&index).manifest.digest.to_string());
        let done = bench.run(&["push", &target]);
        let hint = "hint: `longshore pull --all-platforms`";
        assert_eq!(done.stderr.contains(hint), front != Front::Docker, "{}", done.stderr);
        let told = done.success();
        assert!(told.contains(&format!("1: digest: {alone} size: ")), "{told}");
        let is_old_docker =
            front == Front::Docker && !super::equality::docker_is_the_recorded_one();
        if !is_old_docker {
            assert!(told.contains("\n Info -> Not all multiplatform-content is present and only the available single-platform image was pushed\n"), "{told}");
            let change = format!("         \x1b[31m{whole}\x1b[0m -> \x1b[32m{alone}\x1b[0m\n");
            assert!(told.ends_with(&change), "{told:?}");
        }
        assert_eq!(digest(&to, "you/app", "1"), alone);

        // All of it.
        ours(&bench, front, &["pull", "--all-platforms", &source]).success();
        let done = bench.run(&["push", &target]);
        assert!(!done.stderr.contains("hint:"), "{}", done.stderr);
        let told = done.success();
        assert!(
            told.contains(&format!("1: digest: {whole} size: {}", index.manifest.size)),
            "{told}"
        );
        assert!(!told.contains("Info ->"), "{told}");
        assert_eq!(digest(&to, "you/app", "1"), whole);
        assert_whole(&to, "you/app", &index);
        let digests =
            bench.run(&["inspect", "--format", "{{json .RepoDigests}}", &target]).success();
        assert!(digests.contains(&format!("{}/you/app@{whole}", to.address())), "{digests}");
        ours(&bench, front, &["rmi", "-f", &source, &target]).success();
    }
}

#[test]
fn a_second_pull_of_everything_asks_once_and_the_first_brings_nothing_twice() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().access_log().start().unwrap();
    let index = index(200);
    index.push(&registry.client(), "me/app", "1").unwrap();
    let name = format!("{}/me/app:1", registry.address());
    let bench = Bench::new(Front::InProcess, &[]);
    let before = registry.requests().len();
    bench.run(&["pull", "--platform", "linux/arm64,linux/s390x", &name]).success();
    bench.run(&["pull", "--all-platforms", &name]).success();
    let mut fetched = registry.requests().split_off(before);
    fetched.retain(|request| request.starts_with("GET "));
    let all = fetched.len();
    // The index; of eight images manifest, config and layer, and the layer of all; the same of what attests each.
    assert_eq!(all, 1 + 8 * 3 + 1 + 8 * 3, "{fetched:?}");
    fetched.sort();
    fetched.dedup();
    assert_eq!(fetched.len(), all, "nothing twice");
    // The first of several is what the name means.
    let shown = bench.run(&["inspect", "--format", "{{.Architecture}}", &name]).success();
    assert_eq!(
        shown,
        format!("{}\n", Platform::host().architecture),
        "the last pull was for this machine"
    );

    let before = registry.requests().len();
    let told = bench.run(&["pull", "--all-platforms", &name]).success();
    assert!(told.contains("Status: Image is up to date"), "{told}");
    assert_eq!(registry.requests()[before..], ["HEAD /v2/me/app/manifests/1"]);
    bench.run(&["system", "check", "--deep"]).success();
}

#[test]
fn what_another_repository_of_the_registry_has_is_mounted() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().access_log().start().unwrap();
    let index = index(300);
    index.push(&registry.client(), "me/app", "1").unwrap();
    let [source, target] =
        ["me/app:1", "you/app:2"].map(|it| format!("{}/{it}", registry.address()));
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["pull", &source]).success();
    bench.run(&["tag", &source, &target]).success();
    let before = registry.requests().len();
    let told = bench.run(&["push", &target]).success();
    assert!(told.contains(&format!("2: digest: {} size: ", index.manifest.digest)), "{told}");
    assert!(told.contains("Mounted from me/app"), "{told}");
    assert_eq!(digest(&registry, "you/app", "2"), index.manifest.digest.to_string());
    assert_whole(&registry, "you/app", &index);
    // Every blob by one request that mounts it.
    let asked = registry.requests().split_off(before);
    let sends = |request: &&String| {
        request.starts_with("PATCH ")
            || (request.starts_with("PUT ") && request.contains("/blobs/"))
    };
    assert_eq!(asked.iter().filter(sends).count(), 0, "{asked:?}");
    let mounts = asked.iter().filter(|request| request.contains("from=me"));
    assert_eq!(mounts.count(), 8 * 2 + 1 + 8 * 2, "{asked:?}");
}

#[test]
fn one_platform_is_pushed_and_removed_alone() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let (registry, index, name, bench) = pulled_whole(400);
    let other = format!("{}/you/app:1", registry.address());
    bench.run(&["tag", &name, &other]).success();
    let told = bench.run(&["push", "--platform", "linux/s390x", &other]).success();
    let wanted = index.images[5].manifest.digest.to_string();
    assert!(told.contains(&format!("1: digest: {wanted} size: ")), "{told}");
    assert_eq!(digest(&registry, "you/app", "1"), wanted);
    let failed = bench.run(&["push", "--platform", "linux/mips64le", &other]).failure();
    assert!(failed.contains("does not match the specified platform (linux/mips64le)"), "{failed}");

    let kept = || {
        fs::read_dir(bench.home.data_root().join("longshore/content/blobs/sha256")).unwrap().count()
    };
    let before = kept();
    let told = bench.run(&["rmi", "--platform", "linux/s390x,linux/arm64", &name]).success();
    assert!(told.starts_with(&format!("Deleted: {wanted}\n")), "{told}");
    // A manifest, a config and a layer of each, and three files of what attests it.
    assert_eq!(kept(), before - 12, "{told}");
    let failed = bench.run(&["rmi", "--platform", "linux/s390x", &name]).failure();
    assert!(failed.contains("does not match the specified platform (linux/s390x)"), "{failed}");
    let host = Platform::host().to_string();
    let failed = bench.run(&["rmi", "--platform", &host, &name]).failure();
    assert!(failed.contains("images for other platforms are kept beside it"), "{failed}");
    assert_eq!(bench.run(&["system", "check"]).success().lines().count(), 1);
    bench.run(&["rmi", "-f", &name, &other]).success();
    assert_eq!(kept(), 0);
}

/// Two images for this machine, of which the first has the name, and an index that lists nothing.
#[test]
fn an_index_may_list_a_platform_twice_and_an_index_of_nothing() {
    let registry = LocalRegistry::start().unwrap();
    let put = |tag: &str, kind: &str, bytes: &[u8]| {
        let place = format!("/v2/me/app/manifests/{tag}");
        let headers = [("Content-Type", kind)];
        registry.client().send("PUT", &place, &headers, bytes).unwrap().expect(201).unwrap();
    };
    let kind = "application/vnd.oci.image.index.v1+json";
    let empty = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [] }).to_string();
    let empty_digest = spec::Digest::sha256(empty.as_bytes());
    put(&empty_digest.to_string(), kind, empty.as_bytes());
    let mut manifests = Vec::new();
    for (tag, seed) in [("own", 700), ("twin", 701)] {
        let image = image(Platform::host(), seed);
        image.push(&registry.client(), "me/app", tag).unwrap();
        let Platform { os, architecture, .. } = Platform::host();
        manifests.push(json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.size,
            "platform": { "os": os, "architecture": architecture },
        }));
    }
    manifests.push(json!({ "mediaType": kind, "digest": empty_digest, "size": empty.len() }));
    let twin = manifests[1]["digest"].clone();
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
    put("1", kind, index.to_string().as_bytes());

    let name = format!("{}/me/app:1", registry.address());
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["pull", "--all-platforms", &name]).success();
    let archive = bench.home.path().join("saved.tar").display().to_string();
    bench.run(&["save", "--all-platforms", "-o", &archive, &name]).success();
    let blobs = bench.home.data_root().join("longshore/content/blobs/sha256");
    // What is removed is the image that has the name, with all of it.
    let told = bench.run(&["rmi", "--platform", &Platform::host().to_string(), &name]).success();
    assert!(told.starts_with(&format!("Untagged: {name}\n")), "{told}");
    assert!(!told.contains(twin.as_str().unwrap()), "{told}");
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
    bench.run(&["load", "-i", &archive]).success();
    assert!(blobs.join(empty_digest.hex()).exists());
    let told = bench.run(&["push", &name]).success();
    let digest = spec::Digest::sha256(index.to_string().as_bytes());
    assert!(told.contains(&format!("1: digest: {digest} size: ")), "{told}");
}

#[test]
fn what_is_lost_of_other_platforms_is_fetched_again() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let (_registry, index, _, bench) = pulled_whole(500);
    let blobs = bench.home.data_root().join("longshore/content/blobs/sha256");
    let (other, attested) = (&index.images[0], &index.images[8]);
    // A manifest and a layer of it: the second is missed when the first is back.
    for lost in [&other.manifest, &other.layers[1].blob, &attested.layers[0].blob] {
        fs::remove_file(blobs.join(lost.digest.hex())).unwrap();
    }
    let told = bench.run(&["system", "check"]);
    assert!(!told.ok);
    assert!(!told.stdout.contains("nothing mentions it"), "{}", told.stdout);
    bench.run(&["system", "check", "--repair"]).success();
    assert!(bench.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
    for image in &index.images {
        for blob in image.blobs().chain([&image.manifest]) {
            assert!(blobs.join(blob.digest.hex()).exists(), "{}", blob.digest);
        }
    }
}

#[test]
fn a_dockerd_works_on_a_root_with_whole_images() {
    if !is_root() || !installed(&["docker-registry", "dockerd", "docker"]) {
        println!("skipped: needs root, docker-registry and dockerd");
        return;
    }
    let (registry, index, name, bench) = pulled_whole(600);
    let other = format!("{}/you/app:1", registry.address());
    bench.run(&["tag", &name, &other]).success();
    let home = bench.into_home();
    let dockerd = Dockerd::builder().data_root(&home.data_root()).start().unwrap();
    let docker = |arguments: &[&str]| {
        let output = dockerd.docker(arguments).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let listed = String::from_utf8(docker(&["images", "--no-trunc", "-q"])).unwrap();
    assert_eq!(listed, format!("{0}\n{0}\n", own(&index).id()));
    assert!(docker(&["save", &name]).len() > 40_000);
    docker(&["push", &other]);
}

#[test]
fn another_daemon_is_not_asked_for_what_it_does_not_know() {
    if !is_root() || !installed(&["dockerd"]) {
        println!("skipped: needs root and dockerd");
        return;
    }
    let dockerd = Dockerd::builder().start().unwrap();
    let home = super::support::Home::new();
    for (flags, told) in [
        (&["--all-platforms"][..], "--all-platforms"),
        (&["--platform", "linux/arm64,linux/amd64"], "--platform with several platforms"),
    ] {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        command.args(["-H", &dockerd.host(), "pull"]).args(flags).arg("me/app:1");
        let expected = format!("the daemon is not Longshore's, and does not know {told}\n");
        assert_eq!(run(&mut command, "").failure(), expected);
    }
}

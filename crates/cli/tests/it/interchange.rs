//! Images from and for other engines, and the trees that they make of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::image::{Compression, Format, Image, Layer};
use test_support::servers::{DockerRegistry, Dockerd, installed};
use test_support::tar::{Entry, Kind};

use super::support::{Home, is_root, run};

fn can_run(programs: &[&str]) -> bool {
    let can = is_root() && installed(programs);
    if !can {
        println!("skipped: needs root and {programs:?}");
    }
    can
}

/// An image with everything that a layer can hold.
fn rich_image() -> Image {
    let base = [
        Entry::directory("bin").mode(0o755),
        Entry::file("bin/tool", *b"#!/bin/sh\n").mode(0o4755).owner(0, 0),
        Entry::file("bin/capable", *b"x").mode(0o755).xattr(
            "security.capability",
            b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
        ),
        Entry::hard_link("bin/alias", "bin/tool"),
        Entry::symlink("bin/relative", "../etc/file"),
        Entry::symlink("absolute", "/etc/file"),
        Entry::directory("etc").mode(0o750).owner(1000, 1001).modified(1_000_000_000, 123_456_789),
        Entry::file("etc/file", *b"content")
            .owner(12_345, 54_321)
            .modified(1_500_000_000, 987_654_321),
        Entry::file("etc/gone", *b"gone"),
        Entry::file("etc/replaced", *b"a file"),
        Entry::file("etc/user", *b"u").xattr("user.note", *b"kept"),
        Entry::directory("tmp").mode(0o1777),
        Entry::directory("opaque"),
        Entry::file("opaque/hidden", *b"hidden"),
        Entry::of("pipe", Kind::Fifo).mode(0o600),
        Entry::file("implied/parents/of/this", *b"deep"),
        Entry::directory("long"),
        Entry::file(format!("long/{}", "n".repeat(180)), *b"long"),
        Entry::file("empty", *b""),
    ];
    let top = [
        Entry::directory("bin"),
        Entry::directory("etc").mode(0o700),
        Entry::whiteout("etc/gone"),
        Entry::directory("opaque"),
        Entry::opaque("opaque"),
        Entry::file("opaque/shown", *b"shown"),
        Entry::directory("etc/replaced").mode(0o700),
        Entry::file("etc/replaced/inside", *b"now a directory"),
        Entry::file("bin/tool", *b"#!/bin/bash\n").mode(0o755),
    ];
    Image::builder()
        .layer(Layer::new(Compression::Gzip, &base))
        .layer(Layer::new(Compression::Gzip, &top))
        .build()
}

/// Lists a store's layers: chain ID, size, and every file with all that it has.
fn layers(data_root: &Path) -> Vec<String> {
    let database = data_root.join("image/overlay2/layerdb/sha256");
    let mut chains: Vec<PathBuf> =
        std::fs::read_dir(database).unwrap().map(|entry| entry.unwrap().path()).collect();
    chains.sort();
    let mut lines = Vec::new();
    for chain in chains {
        let read = |name: &str| std::fs::read_to_string(chain.join(name)).unwrap();
        lines.push(
            format!("{} size {}", chain.display(), read("size"))
                .replace(data_root.to_str().unwrap(), ""),
        );
        let diff = data_root.join("overlay2").join(read("cache-id")).join("diff");
        let script = "find . -mindepth 1 -printf '%P %y %m %U %G %T@ %s %n %l\\n' | sort; \
                      stat -c '%n %t:%T %a %u:%g' .; \
                      find . | sort | getfattr -d -h -m - -e hex - 2>/dev/null";
        let output = Command::new("sh").args(["-c", script]).current_dir(&diff).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        lines.extend(text.lines().map(without_chance));
    }
    lines
}

/// Leaves out the times that are those of the unpacking: of directories that no entry names, and of whiteouts.
fn without_chance(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        [path, kind @ ("d" | "c"), mode, user, group, ..]
            if *kind == "c" || path.starts_with("implied") =>
        {
            format!("{path} {kind} {mode} {user} {group}")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn a_tree_equals_dockerds_own() {
    if !can_run(&["dockerd", "docker", "docker-registry", "getfattr"]) {
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    rich_image().push(&registry.client(), "rich", "1").unwrap();
    let name = format!("{}/rich:1", registry.address());
    let dockerd = Dockerd::builder().start().unwrap();
    let output = dockerd.docker(&["pull", &name]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let home = Home::new();
    home.run(&["pull", &name]).success();
    let (ours, theirs) = (layers(&home.data_root()), layers(dockerd.data_root()));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn what_dockerd_pushed_keeps_its_digest() {
    if !can_run(&["dockerd", "docker", "docker-registry"]) {
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    rich_image().push(&registry.client(), "rich", "1").unwrap();
    let source = format!("{}/rich:1", registry.address());
    let pushed = format!("{}/by-dockerd:1", registry.address());
    let dockerd = Dockerd::builder().start().unwrap();
    for arguments in [vec!["pull", &source], vec!["tag", &source, &pushed], vec!["push", &pushed]] {
        let output = dockerd.docker(&arguments).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let other = DockerRegistry::builder().start().unwrap();
    let copy = format!("{}/copy:1", other.address());
    let home = Home::new();
    home.run(&["pull", &pushed]).success();
    home.run(&["tag", &pushed, &copy]).success();
    home.run(&["push", &copy]).success();
    assert_eq!(manifest_digest(&registry, "by-dockerd"), manifest_digest(&other, "copy"),);
}

#[test]
fn others_pull_what_longshore_pushed() {
    if !can_run(&["dockerd", "docker", "docker-registry", "podman", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    for (format, compression, readers) in [
        (Format::Docker, Compression::Gzip, &["docker", "podman", "skopeo"][..]),
        // The dockerd at hand is too old for Zstandard.
        (Format::Oci, Compression::Zstd, &["podman", "skopeo"]),
    ] {
        let layer = Layer::new(compression, &[Entry::file("hello", *b"hello")]);
        let image = Image::builder().format(format).layer(layer).build();
        image.push(&registry.client(), "source", "1").unwrap();
        let home = Home::new();
        let (source, target) = (
            format!("{}/source:1", registry.address()),
            format!("{}/target:1", registry.address()),
        );
        home.run(&["pull", &source]).success();
        home.run(&["tag", &source, &target]).success();
        home.run(&["push", &target]).success();
        assert_eq!(manifest_digest(&registry, "target"), image.manifest.digest.to_string());
        for reader in readers {
            read_by(reader, &target, &image, &home);
        }
    }
}

fn read_by(reader: &str, name: &str, image: &Image, home: &Home) {
    let id = image.id().to_string();
    match reader {
        "docker" => {
            let dockerd = Dockerd::builder().start().unwrap();
            let output = dockerd.docker(&["pull", name]).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let output = dockerd.docker(&["images", "-q", "--no-trunc"]).unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), id);
        }
        "podman" => {
            let root = home.path().join("podman");
            let mut podman = home.clean("podman");
            // podman insists on a file in that folder.
            podman
                .env_remove("DOCKER_CONFIG")
                .arg("--root")
                .arg(root.join("root"))
                .arg("--runroot")
                .arg(root.join("run"));
            podman.args(["--storage-driver", "vfs", "pull", "-q", "--tls-verify=false", name]);
            assert_eq!(format!("sha256:{}", run(&mut podman, "").success().trim()), id);
        }
        _ => {
            let folder = home.path().join("skopeo");
            let mut skopeo = home.clean("skopeo");
            skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false"]);
            skopeo.arg(format!("docker://{name}")).arg(format!("dir:{}", folder.display()));
            run(&mut skopeo, "").success();
            let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
            assert_eq!(spec::Digest::sha256(&manifest), image.manifest.digest);
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// Asks a registry for the digest of `repository:1`.
fn manifest_digest(registry: &DockerRegistry, repository: &str) -> String {
    let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
    let path = format!("/v2/{repository}/manifests/1");
    let answer = registry.client().send("GET", &path, &[("Accept", accept)], &[]).unwrap();
    spec::Digest::sha256(&answer.expect(200).unwrap().body).to_string()
}

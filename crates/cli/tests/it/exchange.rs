//! Archives to and from other engines.

use std::path::Path;
use std::process::Command;

use test_support::image::Image;
use test_support::servers::{DockerRegistry, Dockerd, installed};

use super::archives::saved;
use super::support::{Bench, Front, Home, is_root, run, small_image};

const TOOLS: [&str; 6] = ["dockerd", "docker", "docker-registry", "podman", "skopeo", "umoci"];

fn can_run() -> bool {
    let can = is_root() && installed(&TOOLS);
    if !can {
        println!("skipped: needs root and {TOOLS:?}");
    }
    can
}

fn podman(home: &Home) -> Command {
    let mut podman = home.clean("podman");
    let root = home.path().join("podman");
    // Its own configuration is not in that folder.
    podman.env_remove("DOCKER_CONFIG").arg("--root").arg(root.join("root"));
    podman.arg("--runroot").arg(root.join("run")).args(["--storage-driver", "vfs"]);
    podman
}

fn skopeo(home: &Home, source: &str, target: &str) {
    let mut skopeo = home.clean("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    run(skopeo.args([source, target]), "").success();
}

/// An image in a registry and in a store of ours.
struct Fixture {
    registry: DockerRegistry,
    image: Image,
    name: String,
    home: Home,
}

fn fixture() -> Fixture {
    let registry = DockerRegistry::builder().start().unwrap();
    let image = small_image(5);
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let home = Home::new();
    home.run(&["pull", "-q", &name]).success();
    Fixture { registry, image, name, home }
}

#[test]
fn others_read_what_longshore_saved() {
    if !can_run() {
        return;
    }
    let Fixture { image, name, home, registry: _registry } = fixture();
    let pulled = saved(&home, &name, "pulled.tar");
    // The form of what has no manifest: loaded from dockerd's own archive.
    let dockerd = Dockerd::builder().start().unwrap();
    let docker = |arguments: &[&str]| dockerd.docker(arguments).unwrap();
    docker(&["load", "-i", pulled.to_str().unwrap()]);
    let id = || docker(&["image", "inspect", "-f", "{{.Id}}", &name]).stdout;
    assert_eq!(String::from_utf8(id()).unwrap().trim(), image.id().to_string());
    let theirs = home.path().join("dockerd.tar");
    docker(&["save", "-o", theirs.to_str().unwrap(), &name]);
    docker(&["rmi", &name]);
    let other = Home::new();
    other.run(&["load", "-i", theirs.to_str().unwrap()]).success();
    let made = saved(&other, &name, "made.tar");
    docker(&["load", "-i", made.to_str().unwrap()]);
    assert_eq!(String::from_utf8(id()).unwrap().trim(), image.id().to_string());

    for archive in [&pulled, &made] {
        let path = archive.display();
        run(podman(&home).args(["load", "-q", "-i"]).arg(archive), "").success();
        let listed = run(podman(&home).args(["images", "--no-trunc", "-q"]), "").success();
        assert!(listed.contains(&image.id().to_string()), "{path}: {listed}");
        run(podman(&home).args(["rmi", &name]), "").success();
        for transport in ["docker-archive", "oci-archive"] {
            let folder = home.path().join("copy");
            let target = format!("dir:{}", folder.display());
            skopeo(&home, &format!("{transport}:{path}"), &target);
            let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
            assert!(
                String::from_utf8_lossy(&manifest).contains(&image.config.digest.to_string()),
                "{transport}:{path}"
            );
            if transport == "oci-archive" && archive == &pulled {
                assert_eq!(spec::Digest::sha256(&manifest), image.manifest.digest);
            }
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
fn longshore_reads_what_others_saved() {
    if !can_run() {
        return;
    }
    let Fixture { registry: _registry, image, name, home } = fixture();
    let at = |file: &str| home.path().join(file).display().to_string();
    let dockerd = Dockerd::builder().start().unwrap();
    dockerd.docker(&["pull", &name]).unwrap();
    dockerd.docker(&["save", "-o", &at("dockerd"), &name]).unwrap();
    run(podman(&home).args(["pull", "-q", "--tls-verify=false", &name]), "").success();
    for format in ["docker-archive", "oci-archive"] {
        let file = at(&format!("podman-{format}"));
        run(podman(&home).args(["save", "-q", "--format", format, "-o", &file, &name]), "")
            .success();
    }
    let source = format!("docker://{name}");
    skopeo(&home, &source, &format!("docker-archive:{}:me/app:1", at("skopeo-docker-archive")));
    skopeo(&home, &source, &format!("oci-archive:{}:me/app:1", at("skopeo-oci-archive")));
    skopeo(&home, &source, &format!("oci:{}:latest", at("layout")));
    pack(Path::new(&at("layout")), &at("umoci"), &home);

    let named = format!("Loaded image: {name}\n");
    let mine = "Loaded image: me/app:1\n".to_owned();
    // Docker's config becomes OCI's on the way through skopeo, which drops fields.
    let id = Some(image.id().to_string());
    let table = [
        ("dockerd", named.clone(), id.clone()),
        ("podman-docker-archive", named.clone(), id.clone()),
        ("podman-oci-archive", named, None),
        ("skopeo-docker-archive", mine.clone(), id),
        ("skopeo-oci-archive", mine, None),
        ("umoci", "Loaded image ID: sha256:".to_owned(), None),
    ];
    for driver in ["overlay2", "packed"] {
        for (file, said, id) in &table {
            let other = Home::new();
            let mut load = other.longshore();
            load.args(["--storage-driver", driver, "load", "-i", &at(file)]);
            let stdout = run(&mut load, "").success();
            assert!(stdout.starts_with(said), "{driver} {file}: {stdout}");
            let listed = other.run(&["images", "-q", "--no-trunc"]).success();
            assert_eq!(listed.lines().count(), 1, "{driver} {file}: {listed}");
            if let Some(id) = id {
                assert_eq!(listed.trim(), id, "{driver} {file}");
            }
        }
    }
}

/// Adds a tag with umoci and makes an archive of the layout.
fn pack(layout: &Path, archive: &str, home: &Home) {
    let mut umoci = home.clean("umoci");
    let image = format!("{}:latest", layout.display());
    run(umoci.args(["tag", "--image", &image, "latest-too"]), "").success();
    run(home.clean("tar").args(["-C", layout.to_str().unwrap(), "-cf", archive, "."]), "")
        .success();
}

#[test]
fn compressed_archives_are_read() {
    if !installed(&["gzip", "zstd", "xz", "bzip2"]) {
        println!("skipped: needs compressors");
        return;
    }
    let registry = test_support::servers::LocalRegistry::start().unwrap();
    small_image(6).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let home = Home::new();
    home.run(&["pull", "-q", &name]).success();
    let archive = saved(&home, &name, "app.tar");
    for program in ["gzip", "zstd", "xz", "bzip2"] {
        let compressed = home.clean(program).arg("-c").arg(&archive).output().unwrap().stdout;
        let path = home.path().join(program);
        std::fs::write(&path, compressed).unwrap();
        let other = Home::new();
        let said = other.run(&["load", "-i", path.to_str().unwrap()]).success();
        assert_eq!(said, format!("Loaded image: {name}\n"), "{program}");
    }
}

/// skopeo speaks version 1.22 of the API.
#[test]
fn skopeo_copies_from_and_to_the_daemon() {
    if !can_run() {
        return;
    }
    let Fixture { registry: _registry, image, name, home } = fixture();
    let bench = Bench::new(Front::Docker, &[]);
    let host = format!("unix://{}", bench.home.path().join("longshore.sock").display());
    let mut to = home.clean("skopeo");
    to.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    to.args(["--dest-daemon-host", &host, &format!("docker://{name}"), "docker-daemon:in/app:1"]);
    run(&mut to, "").success();
    let id = bench.run(&["images", "-q", "--no-trunc", "in/app:1"]).success();
    assert_eq!(id.trim(), image.id().to_string());

    bench.run(&["pull", "-q", &name]).success();
    for name in ["in/app:1", &name] {
        let folder = home.path().join("out");
        let mut from = home.clean("skopeo");
        from.args(["--insecure-policy", "copy", "--quiet", "--src-daemon-host", &host]);
        from.args([&format!("docker-daemon:{name}"), &format!("dir:{}", folder.display())]);
        run(&mut from, "").success();
        let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
        assert!(manifest.contains(&image.config.digest.to_string()), "{manifest}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

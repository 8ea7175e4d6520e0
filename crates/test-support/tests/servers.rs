//! The programs that this crate starts, through the stock tools: what the tests of other crates
//! rely on.

// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output};

use test_support::image::{Compression, Format, Image, Layer};
use test_support::servers::{DockerRegistry, Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

fn image() -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::directory("d"), Entry::file("d/f", "text")]);
    Image::builder().format(Format::Oci).layer(layer).build()
}

fn skopeo(arguments: &[&str]) -> Output {
    Command::new("skopeo").arg("--insecure-policy").args(arguments).output().unwrap()
}

#[test]
fn a_password_is_asked_for() {
    if !installed(&["docker-registry", "htpasswd", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::builder().password("me", "secret").start().unwrap();
    check_credentials(&registry);
}

#[test]
fn a_token_is_asked_for() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::builder().token("me", "secret").start().unwrap();
    check_credentials(&registry);
    assert!(registry.token_server().unwrap().issued() > 0);
}

fn check_credentials(registry: &DockerRegistry) {
    let folder = tempfile::tempdir().unwrap();
    image().write_layout(folder.path(), "1").unwrap();
    let from = format!("oci:{}:1", folder.path().display());
    let to = format!("docker://{}/a/b:1", registry.address());
    let push = |credentials: &str| {
        let to = to.as_str();
        let output = skopeo(&["copy", "--dest-tls-verify=false", credentials, &from, to]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(!push("--dest-creds=me:wrong").0);
    assert!(!push("--dest-no-creds").0);
    let (pushed, said) = push("--dest-creds=me:secret");
    assert!(pushed, "{said}\n{}", registry.process().log());
}

#[test]
fn a_certificate_is_of_its_authority() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::builder().tls().start().unwrap();
    let plain = DockerRegistry::builder().storage(registry.storage()).start().unwrap();
    image().push(&plain.client(), "a", "1").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = &registry.identity().unwrap().authority;
    fs::write(folder.path().join("ca.crt"), authority).unwrap();
    let certificates = format!("--cert-dir={}", folder.path().display());
    let there = format!("docker://{}/a:1", registry.address());
    assert!(skopeo(&["inspect", "--raw", &certificates, &there]).status.success());
    assert!(!skopeo(&["inspect", "--raw", &there]).status.success());
}

#[test]
fn a_mirror_fetches_from_its_origin() {
    if !installed(&["docker-registry"]) {
        return;
    }
    let origin = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&origin.client(), "library/a", "1").unwrap();
    let url = format!("http://{}", origin.address());
    let mirror = DockerRegistry::builder().mirror_of(&url).start().unwrap();
    let accept = [("Accept", image.manifest.media_type.as_str())];
    let path = "/v2/library/a/manifests/1";
    let manifest = mirror.client().send("GET", path, &accept, b"").unwrap();
    assert!(manifest.body == image.manifest.read().unwrap(), "{}", manifest.text());
}

#[test]
fn dockerd_pulls_what_is_built() {
    if !installed(&["dockerd", "docker"]) || !rustix::process::geteuid().is_root() {
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "a", "1").unwrap();
    let daemon = Dockerd::builder().start().unwrap();
    let name = format!("{}/a:1", registry.address());
    daemon.docker(&["pull", &name]).unwrap();
    let listed = daemon.docker(&["images", "--no-trunc", "--quiet"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), image.id().to_string());
    // And back.
    daemon.docker(&["tag", &name, &format!("{}/b:2", registry.address())]).unwrap();
    daemon.docker(&["push", &format!("{}/b:2", registry.address())]).unwrap();
    assert_eq!(registry.client().get("/v2/b/manifests/2").unwrap().status, 200);
}

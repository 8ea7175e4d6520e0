//! Other programs that read a `policy.json`: they say of it what is said here.

use std::fs;
use std::path::Path;

use test_support::image::Signature;
use test_support::servers::installed;

use super::super::support::{Bench, Done, Front, Home, is_root, run, small_image};
use super::{Place, Signer, statement};

/// Debian's podman and skopeo know all of a policy but the signatures of sigstore, which Debian has switched off.
#[test]
fn podman_and_skopeo_read_a_policy_as_longshore_does() {
    if !is_root() || !installed(&["podman", "skopeo"]) {
        println!("skipped: needs root, podman and skopeo");
        return;
    }
    let place = Place::new();
    small_image(1).push(&place.client(), "me/app", "1").unwrap();
    let storage = Home::new();
    let host = place.registry.address().to_string();
    let name = place.name("me/app:1");
    let allow = r#"[{"type":"insecureAcceptAnything"}]"#;
    let reject = r#"[{"type":"reject"}]"#;
    let docker = |default: &str, scopes: &str| {
        format!(r#"{{"default":{default},"transports":{{"docker":{{{scopes}}}}}}}"#)
    };
    for (policy, allowed) in [
        (format!(r#"{{"default":{allow}}}"#), true),
        (format!(r#"{{"default":{reject}}}"#), false),
        (docker(reject, &format!(r#""{host}":{allow}"#)), true),
        (docker(allow, &format!(r#""{host}":{reject}"#)), false),
        (docker(reject, &format!(r#""{host}/me":{allow}"#)), true),
        (docker(allow, &format!(r#""{host}/m":{reject}"#)), true),
        (docker(reject, &format!(r#""{host}/me/app":{allow}"#)), true),
        (docker(allow, &format!(r#""{host}":{allow},"{host}/me/app:1":{reject}"#)), false),
        (docker(allow, &format!(r#""{host}":{reject},"{host}/me/app:2":{allow}"#)), false),
        (docker(allow, &format!(r#""":{reject}"#)), false),
        (docker(allow, &format!(r#""*.0.0.1":{reject}"#)), false),
        (docker(allow, &format!(r#""*.0.1":{reject},"*.0.0.1":{allow}"#)), true),
        (docker(allow, &format!(r#""127.0.0.1":{reject}"#)), true),
        (format!(r#"{{"default":{allow},"transports":{{"dir":{{"":{reject}}}}}}}"#), true),
        (format!(r#"{{"default":{allow},"default":{allow}}}"#), false),
        (docker(allow, &format!(r#""a":{allow},"a":{allow}"#)), false),
        (format!(r#"{{"default":{allow},"x":1}}"#), false),
        (r#"{"default":[]}"#.to_owned(), false),
        (r#"{"default":[{"type":"insecureAcceptAnything","x":1}]}"#.to_owned(), false),
        (r#"{"default":[{"type":"sigstoreSigned"}]}"#.to_owned(), false),
        (
            docker(
                reject,
                &format!(
                    r#""{host}/me/app":[{{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}}]"#
                ),
            ),
            false,
        ),
        (
            format!(
                r#"{{"default":{allow},"transports":{{"docker-archive":{{"/srv":{reject}}}}}}}"#
            ),
            false,
        ),
        (format!(r#"{{"default":{allow},"transports":{{"dir":{{"srv":{reject}}}}}}}"#), false),
        (
            format!(r#"{{"default":{allow},"transports":{{"oci":{{"/srv/../x":{reject}}}}}}}"#),
            false,
        ),
    ] {
        let file = place.write("policy.json", &policy);
        let home = Home::new();
        let mut skopeo = home.clean("skopeo");
        skopeo.args(["--policy", &file, "copy", "--src-tls-verify=false"]);
        skopeo
            .args([format!("docker://{name}"), format!("dir:{}", home.path().join("x").display())]);
        assert_eq!(run(&mut skopeo, "").ok, allowed, "skopeo: {policy}");
        let pulled = podman(&storage, &file, &name);
        assert_eq!(pulled.ok, allowed, "podman: {policy}: {}", pulled.stderr);
        let bench = Bench::new(Front::InProcess, &["--image-policy", &file]);
        assert_eq!(bench.run(&["pull", "-q", &name]).ok, allowed, "{policy}");
        let copied = copy(&bench, &name, &home.path().join("y"));
        assert_eq!(copied.ok, allowed, "{policy}");
    }
}

fn copy(bench: &Bench, name: &str, folder: &Path) -> Done {
    bench.run(&["copy", "-q", name, &format!("dir:{}", folder.display())])
}

/// Pulls with podman, by a policy.
fn podman(storage: &Home, policy: &str, name: &str) -> Done {
    let folder = storage.path();
    let mut podman = storage.clean("podman");
    // podman insists on a file in that folder.
    podman.env_remove("DOCKER_CONFIG").env("HOME", folder);
    podman.args(["--storage-driver=vfs", "--root"]).arg(folder.join("podman"));
    podman.arg("--runroot").arg(folder.join("run"));
    podman.args(["pull", "-q", "--tls-verify=false", "--signature-policy", policy, name]);
    run(&mut podman, "")
}

/// Of signatures podman says the same, where it is built with them.
#[test]
fn podman_believes_the_signatures_that_longshore_believes() {
    if !is_root() || !installed(&["podman", "openssl", "docker-registry"]) {
        println!("skipped: needs root, podman, openssl and docker-registry");
        return;
    }
    let place = Place::new();
    let storage = Home::new();
    // podman looks for cosign's tags where it is told to.
    let folder = storage.path().join(".config/containers/registries.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n")
        .unwrap();
    let image = small_image(1);
    image.push(&place.client(), "me/app", "1").unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    let stranger = Signer::new(place.files.path(), "stranger");
    let policy = place.policy(&place.signed("matchExact"));
    let good = statement(digest, &name);
    let elsewhere = statement(digest, &place.name("me/other:1"));
    let other = statement(&spec::Digest::sha256(b"other"), &name);
    for (signatures, allowed) in [
        (vec![], false),
        (vec![stranger.sign(&good)], false),
        (vec![place.signer.sign(&elsewhere)], false),
        (vec![place.signer.sign(&other)], false),
        (vec![stranger.sign(&good), place.signer.sign(&good)], true),
    ] {
        Signature::push(&place.client(), "me/app", digest, &signatures).unwrap();
        let bench = Bench::new(Front::InProcess, &["--image-policy", &policy]);
        assert_eq!(bench.run(&["pull", "-q", &name]).ok, allowed, "{signatures:?}");
        let pulled = podman(&storage, &policy, &name);
        let is_off = pulled.stderr.contains("sigstore disabled");
        assert!(is_off || pulled.ok == allowed, "podman: {signatures:?}: {}", pulled.stderr);
    }
}

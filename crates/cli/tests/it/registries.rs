//! The same verbs against registries of all kinds, by every front end.

use test_support::servers::{DockerRegistry, installed};

use super::support::{Bench, FRONTS, Front, small_image};

const USER: &str = "ann";
const PASSWORD: &str = "s3cret pass";

/// Pulls, tags, pushes and removes; returns the digest that the push reported.
fn all_verbs(bench: &Bench, source: &str, registry: &str, digest: &str) {
    let pulled = bench.run(&["pull", source]).success();
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    assert!(pulled.contains("Status: Downloaded newer image for"), "{pulled}");
    let again = bench.run(&["pull", source]).success();
    assert!(again.contains("Status: Image is up to date for"), "{again}");

    let target = format!("{registry}/copy/app:2");
    bench.run(&["tag", source, &target]).success();
    let pushed = bench.run(&["push", &target]).success();
    assert!(pushed.contains(&format!("2: digest: {digest} size: ")), "{pushed}");
    let listed = bench.run(&["images", "--digests", "--no-trunc"]).success();
    assert_eq!(listed.matches(digest).count(), 2, "{listed}");

    bench.run(&["rmi", source]).success();
    let removed = bench.run(&["rmi", &target]).success();
    assert!(removed.contains("Deleted: sha256:"), "{removed}");
    assert_eq!(bench.run(&["images", "-q"]).success(), "");
    let back = bench.run(&["pull", "-q", &target]).success();
    assert_eq!(back.trim(), target);
}

fn login(bench: &Bench, registry: &str) {
    let wrong = bench.run_with(&["login", "-u", USER, "--password-stdin", registry], "wrong");
    let refusal = wrong.failure().to_lowercase();
    assert!(refusal.contains("unauthorized"), "{refusal}");
    let right = bench.run_with(&["login", "-u", USER, "--password-stdin", registry], PASSWORD);
    assert!(right.success().contains("Login Succeeded"));
}

fn skip(programs: &[&str]) -> bool {
    let missing = !installed(programs);
    if missing {
        println!("skipped: needs {programs:?}");
    }
    missing
}

#[test]
fn basic_authentication() {
    if skip(&["docker-registry", "docker"]) {
        return;
    }
    let registry = DockerRegistry::builder().password(USER, PASSWORD).start().unwrap();
    let image = small_image(1);
    let credentials = "Basic ".to_owned() + &base64(&format!("{USER}:{PASSWORD}"));
    let client = registry.client().with_authorization(credentials);
    image.push(&client, "lib/app", "1").unwrap();
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let source = format!("{}/lib/app:1", registry.address());
        let refused = bench.run(&["pull", &source]).failure();
        assert!(refused.contains("no basic auth credentials"), "{front:?}: {refused}");
        login(&bench, registry.address());
        all_verbs(&bench, &source, registry.address(), &image.manifest.digest.to_string());
        bench.run(&["logout", registry.address()]).success();
        bench.run(&["rmi", "-f", &format!("{}/copy/app:2", registry.address())]).success();
        bench.run(&["pull", &source]).failure();
    }
}

#[test]
fn token_authentication() {
    if skip(&["docker-registry", "docker"]) {
        return;
    }
    let registry = DockerRegistry::builder().token(USER, PASSWORD).start().unwrap();
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        login(&bench, registry.address());
        let image = seed(&bench, registry.address());
        let source = format!("{}/lib/app:1", registry.address());
        all_verbs(&bench, &source, registry.address(), &image);
    }
    assert!(registry.token_server().unwrap().issued() > 0);
}

#[test]
fn tls_with_a_private_authority() {
    if skip(&["docker-registry", "docker"]) {
        return;
    }
    let registry = DockerRegistry::builder().tls().start().unwrap();
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let image = seed(&bench, registry.address());
        let source = format!("{}/lib/app:1", registry.address());
        all_verbs(&bench, &source, registry.address(), &image);
    }
}

#[test]
fn a_mirror_of_docker_hub() {
    if skip(&["docker-registry", "docker"]) {
        return;
    }
    // To its client a mirror is a registry that has what Docker Hub has.
    let mirror = DockerRegistry::builder().start().unwrap();
    let image = small_image(2);
    image.push(&mirror.client(), "library/app", "1").unwrap();
    let proxy = DockerRegistry::builder()
        .mirror_of(&format!("http://{}", mirror.address()))
        .start()
        .unwrap();
    let target = DockerRegistry::builder().start().unwrap();
    for mirror in [mirror.address(), proxy.address()] {
        let mirror = format!("http://{mirror}");
        for front in FRONTS {
            let bench = Bench::new(front, &["--registry-mirror", &mirror]);
            let digest = image.manifest.digest.to_string();
            all_verbs(&bench, "app:1", target.address(), &digest);
        }
    }
}

#[test]
fn a_mirror_that_is_down_is_passed_over() {
    let bench = Bench::new(Front::InProcess, &["--registry-mirror", "http://127.0.0.1:1"]);
    let error = bench.run(&["pull", "app:1"]).failure();
    // Without a network the origin cannot answer; that it was asked is what counts.
    assert!(error.contains("registry-1.docker.io"), "{error}");
}

/// Puts an image into a registry that plain clients cannot use: from another registry, by the verbs under test.
fn seed(bench: &Bench, registry: &str) -> String {
    let plain = DockerRegistry::builder().start().unwrap();
    let image = small_image(3);
    image.push(&plain.client(), "seed/app", "1").unwrap();
    let source = format!("{}/seed/app:1", plain.address());
    let target = format!("{registry}/lib/app:1");
    bench.run(&["pull", "-q", &source]).success();
    bench.run(&["tag", &source, &target]).success();
    bench.run(&["push", "-q", &target]).success();
    bench.run(&["rmi", &source]).success();
    bench.run(&["rmi", &target]).success();
    image.manifest.digest.to_string()
}

pub(crate) fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

//! `copy`: between registries, and to and from what other tools write.

use test_support::image::{Format, Index};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};

use super::registries::base64;
use super::support::{Home, small_image};

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
    let stored = docker.client().get("/v2/back/app/manifests/x").unwrap();
    assert_eq!(stored.body, index.manifest.read().unwrap());
    assert!(!home.data_root().exists(), "no data root is needed");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let home = Home::new();
    for (arguments, expected) in [
        (&["copy", "a"][..], "requires"),
        (
            &["copy", "-a", "r.example/a:1", "r.example/b"],
            "the source is a repository, without a tag",
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
    let stored =
        b.client().with_authorization(basic("bob:two")).get("/v2/app/manifests/1").unwrap();
    assert_eq!(stored.body, image.manifest.read().unwrap());
}

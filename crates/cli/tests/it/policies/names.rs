//! Names with a tag and a digest: a policy for the tag holds for them, too.

use serde_json::{Value, json};
use test_support::servers::{DockerRegistry, Notary, installed};

use super::super::support::{Bench, Front, is_root, run, small_image};
use super::{FRONTS, Place, can_sign};

/// A policy in which a name has requirements of its own, and all else may be anything.
fn all_but(place: &Place, name: &str, requirements: &Value) -> String {
    let policy = json!({
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker": {name: requirements}},
    });
    place.write("policy.json", &policy.to_string())
}

#[test]
fn a_digest_beside_a_tag_does_not_lead_around_the_tags_policy() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let image = small_image(1);
    image.push(&place.client(), "me/app", "1").unwrap();
    let digest = &image.manifest.digest;
    let (tagged, both) = (place.name("me/app:1"), place.name(&format!("me/app:1@{digest}")));
    let by_digest = place.name(&format!("me/app@{digest}"));
    let reject = json!([{"type": "reject"}]);
    for front in FRONTS {
        let policy = all_but(&place, &tagged, &reject);
        let bench = Bench::new(front, &["--image-policy", &policy]);
        for verb in ["pull", "verify"] {
            for name in [&tagged, &both] {
                let done = bench.run(&[verb, name]);
                assert!(!done.ok, "{verb} {name}: {done:?}");
                let told = [done.stdout, done.stderr].concat();
                assert!(told.contains(&format!("(docker: {tagged})")), "{told}");
            }
        }
        bench.run(&["pull", &by_digest]).success();

        // Signed for another tag of the repository, which counts for a digest alone.
        place.sign("me/app", digest, &place.name("me/app:2"));
        place.policy(&place.signed("matchRepoDigestOrExact"));
        let error = bench.run(&["pull", &both]).failure();
        assert!(error.contains("which signedIdentity does not accept"), "{error}");
        bench.run(&["pull", &by_digest]).success();
        for identity in ["matchExact", "matchRepoDigestOrExact"] {
            place.sign("me/app", digest, &tagged);
            place.policy(&place.signed(identity));
            let pulled = bench.run(&["pull", &both]).success();
            // As by docker, which does not tell its daemon of the tag.
            assert!(pulled.contains(&format!("for {by_digest}\n")), "{pulled}");
        }
    }
    let policy = all_but(&place, &tagged, &reject);
    let bench = Bench::new(Front::InProcess, &["--image-policy", &policy]);
    let target = format!("oci:{}:1", place.files.path().join("layout").display());
    let error = bench.run(&["copy", "-q", &both, &target]).failure();
    assert!(error.contains(&format!("(docker: {tagged})")), "{error}");
}

/// With content trust it is a digest that is pulled, and the tag that is meant.
#[test]
fn content_trust_does_not_lead_around_a_policy() {
    if !is_root() || !installed(&["docker-registry", "notary-server", "openssl"]) {
        println!("skipped: needs root, docker-registry, notary-server and openssl");
        return;
    }
    let place = Place::new();
    let (registry, notary) = (DockerRegistry::builder().start().unwrap(), Notary::start().unwrap());
    small_image(1).push(&registry.client(), "me/app", "1").unwrap();
    let name = format!("{}/me/app:1", registry.address());
    for front in FRONTS {
        let policy = all_but(&place, &name, &json!([{"type": "insecureAcceptAnything"}]));
        let bench = Bench::new(front, &["--image-policy", &policy]);
        let trusted = |arguments: &[&str]| {
            let mut command = bench.command();
            command
                .env("DOCKER_CONTENT_TRUST", "1")
                .env("DOCKER_CONTENT_TRUST_SERVER", notary.url())
                .env("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "root passphrase")
                .env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "repository passphrase");
            run(command.args(arguments), "")
        };
        bench.run(&["pull", &name]).success();
        if front == FRONTS[0] {
            trusted(&["push", &name]).success();
        }
        bench.run(&["rmi", "-f", &name]).success();
        all_but(&place, &name, &json!([{"type": "reject"}]));
        let error = trusted(&["pull", &name]).failure();
        assert!(error.contains(&format!("(docker: {name})")), "{error}");
        assert_eq!(bench.run(&["images", "-aq"]).success(), "");
        all_but(&place, &name, &json!([{"type": "insecureAcceptAnything"}]));
        trusted(&["pull", &name]).success();
        bench.run(&["inspect", &name]).success();
    }
}

//! Images of schema 1 under a policy: what is signed is the payload of their manifest.

use serde_json::json;
use test_support::image::{self, Compression, Layer, Signature};
use test_support::servers::{DockerRegistry, installed};
use test_support::tar::Entry;

use super::super::first_schema::{SWITCH, entry, manifest, put};
use super::super::support::{Bench, Done, Front, run, small_image};
use super::{Place, nothing_there, statement};

#[test]
fn an_image_of_schema_1_is_judged_by_the_digest_of_what_is_signed_of_it() {
    if !installed(&["docker-registry", "openssl"]) {
        println!("skipped: needs docker-registry and openssl");
        return;
    }
    let place = Place::new();
    let registry = DockerRegistry::builder().first_schema().start().unwrap();
    let client = registry.client();
    let layer = Layer::new(Compression::Gzip, &[Entry::file("a", "b")]);
    // What brings the layer to the registry.
    let with_layer = image::Image::builder().layer(layer.clone()).build();
    with_layer.push(&client, "me/app", "2").unwrap();
    small_image(1).push(&client, "me/app", "3").unwrap();
    let document = manifest("me/app", &[&layer], &[entry('a', None, &json!({}))]);
    let signed = image::Signer::new().unwrap().sign(&document).unwrap();
    let digest: spec::Digest = put(&registry, "me/app", "1", &signed).parse().unwrap();
    let name = format!("{}/me/app:1", registry.address());
    let by_digest = format!("{}/me/app@{digest}", registry.address());
    let policy = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {registry.address(): place.signed("matchRepoDigestOrExact")}},
    });
    let policy = place.write("policy.json", &policy.to_string());
    let pull = |bench: &Bench, verb: &str, name: &str| -> Done {
        run(bench.command().env(SWITCH, "1").args([verb, name]), "")
    };
    let push = |signatures: &[Signature]| {
        Signature::push(&client, "me/app", &digest, signatures).unwrap();
    };
    let other = spec::Digest::sha256(b"another payload");
    for (signatures, expected) in [
        (vec![], "a signature is required, and there is none"),
        (vec![place.signer.sign(statement(&other, &name))], "it is for sha256:"),
        (vec![place.signer.sign(statement(&digest, "r.example/x:1"))], "for the name"),
        (vec![place.signer.sign(statement(&digest, &name))], ""),
    ] {
        push(&signatures);
        for name in [&name, &by_digest] {
            let bench = Bench::new(Front::InProcess, &["--image-policy", &policy]);
            let judged = pull(&bench, "verify", name);
            let pulled = pull(&bench, "pull", name);
            if expected.is_empty() {
                assert!(judged.ok, "{judged:?}");
                let said = pulled.success();
                assert!(said.contains(&format!("Digest: {digest}\n")), "{said}");
                continue;
            }
            nothing_there(&bench);
            assert!(!judged.ok && judged.stdout.contains(expected), "{judged:?}");
            let error = pulled.failure();
            assert!(error.contains(&format!("({digest}) is refused by the policy")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
    // Where schema 1 is off, that is what is said, whoever has signed it.
    let bench = Bench::new(Front::InProcess, &["--image-policy", &policy]);
    let check = bench.run(&["registry", "check", &name]);
    assert!(check.stdout.contains("the image cannot be judged: "), "{check:?}");
}

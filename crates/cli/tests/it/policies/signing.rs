//! Images that are signed as they are sent, and copies that a policy decides on.

use std::fs;

use serde_json::{Value, json};
use spec::Digest;
use test_support::http::Client;
use test_support::image::{Format, Image, Index};
use test_support::servers::LocalRegistry;

use super::super::support::{Bench, Front, run, small_image};
use super::{FRONTS, Place, Signer, can_sign, nothing_there};

/// The keys of the unit tests: encrypted as cosign does, with the passphrase `secret`.
const COSIGN_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/src/key/cosign.key");
const COSIGN_PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/src/key/cosign.pub");

/// Returns the signatures beside a manifest.
fn signatures(client: &Client, repository: &str, digest: &Digest) -> Vec<Value> {
    let path = format!("/v2/{repository}/manifests/sha256-{}.sig", digest.hex());
    let found = client.get(&path).unwrap();
    if found.status == 404 {
        return Vec::new();
    }
    found.json()["layers"].as_array().unwrap().clone()
}

#[test]
fn what_is_signed_on_its_way_is_pulled_by_who_trusts_the_key() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let image = small_image(1);
    let digest = &image.manifest.digest;
    image.push(&client, "from/app", "1").unwrap();
    let (from, name) = (place.name("from/app:1"), place.name("me/app:1"));
    for front in FRONTS {
        let sender = Bench::new(front, &[]);
        let private = place.signer.private();
        sender.run(&["pull", &from]).success();
        sender.run(&["tag", &from, &name]).success();
        let pushed = sender.run(&["push", "--sign-by-key", &private, &name]).success();
        assert!(
            pushed.ends_with("\n1: signed\n") || pushed.ends_with("\n1: signed already\n"),
            "{pushed}"
        );
        let again = sender.run(&["push", "--sign-by-key", &private, &name]).success();
        assert!(again.ends_with("\n1: signed already\n"), "{again}");
        assert_eq!(signatures(&client, "me/app", digest).len(), 1);
        // The tag is signed with it.
        let bench = place.bench(front, &place.signed("matchExact"));
        bench.run(&["pull", &name]).success();
        let error = bench.run(&["pull", &from]).failure();
        assert!(error.contains("a signature is required, and there is none"), "{error}");
    }
    // A key of cosign, whose signature comes to the one that is there.
    let copy = |password: Option<&str>| {
        let bench = Bench::new(Front::InProcess, &[]);
        let mut command = bench.command();
        command.args(["copy", "--sign-by-key", COSIGN_KEY, &from, &name]);
        if let Some(password) = password {
            command.env("COSIGN_PASSWORD", password);
        }
        run(&mut command, "")
    };
    let error = copy(Some("wrong")).failure();
    assert_eq!(
        error,
        format!("key {COSIGN_KEY}: the key cannot be decrypted: the passphrase is wrong\n")
    );
    let copied = copy(Some("secret")).success();
    assert!(copied.contains("up to date") && copied.contains("; signed"), "{copied}");
    assert_eq!(signatures(&client, "me/app", digest).len(), 2);
    let key = json!([{"type": "sigstoreSigned", "keyPath": COSIGN_PUBLIC}]);
    place.bench(Front::InProcess, &key).run(&["pull", &name]).success();
    place.bench(Front::InProcess, &place.signed("matchExact")).run(&["pull", &name]).success();
}

#[test]
fn a_key_that_cannot_sign_is_told_before_anything_is_sent() {
    let place = Place::new();
    small_image(1).push(&place.client(), "from/app", "1").unwrap();
    let (from, name) = (place.name("from/app:1"), place.name("me/app:1"));
    let bench = Bench::new(Front::InProcess, &[]);
    let public = place.signer.public();
    let gone = place.files.path().join("gone").display().to_string();
    for (key, target, expected) in [
        (&gone, name.clone(), "No such file or directory".to_owned()),
        (
            &public,
            name.clone(),
            format!("key {public}: a key in the form \"PUBLIC KEY\" is not read; "),
        ),
        (&place.signer.private(), format!("dir:{gone}"), "has no room for a signature".to_owned()),
    ] {
        let error = bench.run(&["copy", "--sign-by-key", key, &from, &target]).failure();
        assert!(error.contains(&expected), "{error}");
    }
    assert!(!place.files.path().join("gone").exists());
    let tags = place.client().get("/v2/me/app/tags/list").unwrap();
    assert_eq!(tags.status, 404);
}

#[test]
fn a_copy_is_held_to_the_policy() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let target = LocalRegistry::start().unwrap();
    let platform = |name: &str| spec::Platform::parse(name).unwrap();
    let of = |name: &str| {
        let layer = small_image(7).layers[0].clone();
        Image::builder().format(Format::Oci).platform(platform(name)).layer(layer).build()
    };
    let index = Index::new(Format::Oci, vec![of("linux/amd64"), of("linux/s390x")]);
    index.push(&client, "me/app", "1").unwrap();
    let (name, to) = (place.name("me/app:1"), format!("{}/copy:1", target.address()));
    let bench = place.bench(Front::InProcess, &place.signed("matchExact"));
    let copy =
        |arguments: &[&str]| bench.run(&[&["copy", "-q"], arguments, &[&name, &to]].concat());
    let refused = |arguments: &[&str]| {
        let error = copy(arguments).failure();
        assert!(error.contains("is refused by the policy"), "{error}");
        assert_eq!(target.client().get("/v2/copy/tags/list").unwrap().status, 404);
    };
    refused(&[]);
    refused(&["--platform", "linux/amd64"]);
    // One platform's signature is for that one alone.
    place.sign("me/app", &index.images[0].manifest.digest, &name);
    refused(&[]);
    refused(&["--platform", "linux/s390x"]);
    copy(&["--platform", "linux/amd64"]).success();
    place.sign("me/app", &index.manifest.digest, &name);
    copy(&[]).success();
    copy(&["--platform", "linux/s390x,linux/amd64"]).success();
    // What was copied before is not so once more where nobody vouches for it.
    test_support::image::Signature::push(&client, "me/app", &index.manifest.digest, &[]).unwrap();
    let error = copy(&[]).failure();
    assert!(error.contains("is refused by the policy"), "{error}");
    // A tag of all.
    let error = bench.run(&[
        "copy",
        "-q",
        "-a",
        &place.name("me/app"),
        &format!("{}/all", target.address()),
    ]);
    assert!(error.failure().contains("is refused by the policy"));

    // Files have scopes of their own.
    let folder = place.files.path().join("layout");
    index.write_layout(&folder, "1").unwrap();
    let source = format!("oci:{}:1", folder.display());
    for (requirement, allowed) in [("insecureAcceptAnything", true), ("reject", false)] {
        let policy = json!({
            "default": [{"type": "reject"}],
            "transports": {"oci": {place.files.path().display().to_string(): [{"type": requirement}]}},
        });
        let file = place.write("files.json", &policy.to_string());
        let bench = Bench::new(Front::InProcess, &["--image-policy", &file]);
        assert_eq!(bench.run(&["copy", "-q", &source, &to]).ok, allowed);
        // All of a layout are judged as the one is, each under its name.
        let layout = format!("oci:{}", folder.display());
        let all = bench.run(&["copy", "-q", "-a", &layout, &format!("{}/all", target.address())]);
        assert_eq!(all.ok, allowed, "{all:?}");
        let told = format!("image {source} (");
        assert!(allowed || all.stderr.contains(&told), "{all:?}");
    }
}

/// The image comes from a mirror that has no signatures; the registry has them, and the name is the registry's.
#[test]
fn an_image_of_a_mirror_is_judged_under_its_own_name() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let mirror = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&place.client(), "me/app", "1").unwrap();
    image.push(&mirror.client(), "me/app", "1").unwrap();
    let certs = place.files.path().join("certs");
    let folder = certs.join(place.registry.address().to_string());
    fs::create_dir_all(&folder).unwrap();
    let hosts =
        format!("[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n", mirror.address());
    fs::write(folder.join("hosts.toml"), hosts).unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    let policy = place.policy(&place.signed("matchExact"));
    let certs = certs.display().to_string();
    for front in FRONTS {
        let bench = || Bench::new(front, &["--image-policy", &policy, "--certs-dir", &certs]);
        place.sign("me/app", digest, &format!("{}/me/app:1", mirror.address()));
        let refusing = bench();
        let error = refusing.run(&["pull", &name]).failure();
        assert!(error.contains("which signedIdentity does not accept"), "{error}");
        nothing_there(&refusing);
        place.sign("me/app", digest, &name);
        // The registry has the signature alone: whatever else there is comes from the mirror.
        for blob in image.blobs() {
            let path = format!("/v2/me/app/blobs/{}", blob.digest);
            place.client().send("DELETE", &path, &[], b"").unwrap();
        }
        bench().run(&["pull", &name]).success();
    }
}

/// Nobody signs for a stranger.
#[test]
fn a_stranger_is_told_from_the_signer() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let stranger = Signer::new(place.files.path(), "stranger");
    small_image(1).push(&place.client(), "from/app", "1").unwrap();
    let (from, name) = (place.name("from/app:1"), place.name("me/app:1"));
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["copy", "--sign-by-key", &stranger.private(), &from, &name]).success();
    bench.run(&["verify", "--key", &stranger.public(), &name]).success();
    let done = bench.run(&["verify", "--key", &place.signer.public(), &name]);
    assert!(done.stdout.contains("it is not made by a trusted key"), "{}", done.stdout);
    done.failure();
}

/// Whoever reads signatures has a bound, and an image under the tag of signatures is none of them.
#[test]
fn a_signature_of_ones_own_comes_first_and_nothing_else_is_mixed_with_it() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let image = small_image(1);
    let digest = &image.manifest.digest;
    image.push(&client, "from/app", "1").unwrap();
    image.push(&client, "me/app", "1").unwrap();
    let (from, name) = (place.name("from/app:1"), place.name("me/app:1"));
    let strangers = Signer::new(place.files.path(), "stranger").sign("{}");
    let many = vec![strangers; 70];
    test_support::image::Signature::push(&client, "me/app", digest, &many).unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let private = place.signer.private();
    let sign = ["copy", "-q", "--sign-by-key", &private, &from, &name];
    bench.run(&sign).success();
    assert_eq!(signatures(&client, "me/app", digest).len(), 71);
    place.bench(Front::InProcess, &place.signed("matchExact")).run(&["pull", &name]).success();

    let tag = format!("sha256-{}.sig", digest.hex());
    small_image(2).push(&client, "me/app", &tag).unwrap();
    let error = bench.run(&sign).failure();
    assert!(error.contains(&format!("{tag} is no list of signatures")), "{error}");
    let there = client.get(&format!("/v2/me/app/manifests/{tag}")).unwrap();
    assert_eq!(Digest::sha256(&there.body), small_image(2).manifest.digest);
}

/// A referrer that may be an image is none that anybody has vouched for.
#[test]
fn a_copy_takes_no_images_along_as_referrers_that_nobody_signed() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let target = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&client, "me/app", "1").unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    place.sign("me/app", digest, &name);
    // An SBOM, an image under a tag of cosign's, and an index that says it refers to the image.
    let sbom = test_support::image::Referrer::new("test/sbom", "an sbom", &image.manifest);
    sbom.push(&client, "me/app").unwrap();
    let strangers = small_image(66);
    strangers.push(&client, "me/app", &format!("sha256-{}.sbom", digest.hex())).unwrap();
    let index = Index::new(Format::Oci, vec![strangers.clone()]).referring_to(&image.manifest);
    index.push(&client, "me/app", "stranger").unwrap();
    let there = |manifest: &test_support::image::Blob| {
        let place = format!("/v2/copy/manifests/{}", manifest.digest);
        target.client().get(&place).unwrap().status == 200
    };
    let bench = place.bench(Front::InProcess, &place.signed("matchExact"));
    let copy = ["copy", "-q", "--referrers", &name, &format!("{}/copy:1", target.address())];
    bench.run(&copy).success();
    assert!(there(&image.manifest) && there(&sbom.manifest));
    assert!(!there(&strangers.manifest) && !there(&index.manifest));
    // Who signs the index wants it.
    place.sign("me/app", &index.manifest.digest, &name);
    bench.run(&copy).success();
    assert!(there(&index.manifest) && there(&strangers.manifest));
}

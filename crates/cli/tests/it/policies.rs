//! Policies, signatures and verifier programs: what is refused leaves nothing, and what openssl signed by itself is taken.

mod first_schema;
mod identity;
mod killed;
mod names;
mod others;
mod packages;
mod parts;
mod signer;
mod signing;
mod verifiers;

use std::fs;

use serde_json::{Value, json};
use spec::Digest;
use test_support::http::Client;
use test_support::image::{Format, Image, Index, Signature};
use test_support::servers::{LocalRegistry, installed};

use self::signer::{Signer, statement};
use super::support::{Bench, Front, Home, files_below, small_image};

const FRONTS: [Front; 2] = [Front::InProcess, Front::Longshore];

/// A registry, and engines with a policy for it.
struct Place {
    registry: LocalRegistry,
    /// Keys, policies and scripts.
    files: Home,
    signer: Signer,
}

impl Place {
    fn new() -> Self {
        let files = Home::new();
        let signer = Signer::new(files.path(), "signer");
        Self { registry: LocalRegistry::start().unwrap(), files, signer }
    }

    fn client(&self) -> Client {
        self.registry.client()
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.address())
    }

    /// Writes a policy with these requirements for the registry, and returns its file.
    fn policy(&self, requirements: &Value) -> String {
        let host = self.registry.address().to_string();
        let policy = json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {host: requirements}},
        });
        self.write("policy.json", &policy.to_string())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A policy that allows everything, in the file that the others are in.
    fn anything(&self) -> String {
        self.policy(&json!([{"type": "insecureAcceptAnything"}]))
    }

    /// A demand of a signature by the signer.
    fn signed(&self, identity: &str) -> Value {
        json!([{
            "type": "sigstoreSigned",
            "keyPath": self.signer.public(),
            "signedIdentity": {"type": identity},
        }])
    }

    fn bench(&self, front: Front, requirements: &Value) -> Bench {
        Bench::new(front, &["--image-policy", &self.policy(requirements)])
    }

    /// Puts a signature of the signer for a name beside a manifest.
    fn sign(&self, repository: &str, digest: &Digest, name: &str) {
        let signature = self.signer.sign(statement(digest, name));
        Signature::push(&self.client(), repository, digest, &[signature]).unwrap();
    }
}

/// Insists that an image is refused with these words, and that nothing of it is there.
#[track_caller]
fn refused(bench: &Bench, name: &str, expected: &str) {
    let done = bench.run(&["pull", name]);
    nothing_there(bench);
    let error = done.failure();
    assert!(error.contains(expected), "{error}\nlacks {expected}");
}

#[track_caller]
fn nothing_there(bench: &Bench) {
    assert_eq!(bench.run(&["images", "-aq"]).success(), "");
    let root = bench.home.data_root();
    for place in
        ["image/overlay2/layerdb/sha256", "overlay2", "longshore/ingest", "longshore/staging"]
    {
        let left = files_below(&root.join(place));
        assert!(left.is_empty(), "{place}: {left:?}");
    }
    assert!(files_below(&root.join("longshore/content/blobs")).is_empty());
}

/// Makes an index of images for this machine and for another one, and says for which.
fn index_of_two() -> (Index, [String; 2]) {
    let host = spec::Platform::host().architecture;
    let foreign = if host == "s390x" { "ppc64le" } else { "s390x" };
    let architectures = [host, foreign.to_owned()];
    let of = |architecture: &String| {
        let platform = spec::Platform::parse(&format!("linux/{architecture}")).unwrap();
        let layer = small_image(9).layers[0].clone();
        Image::builder().format(Format::Oci).platform(platform).layer(layer).build()
    };
    (Index::new(Format::Oci, architectures.iter().map(of).collect()), architectures)
}

fn can_sign() -> bool {
    let can = installed(&["openssl"]);
    if !can {
        println!("skipped: needs openssl");
    }
    can
}

#[test]
fn only_what_the_trusted_key_signed_for_this_name_and_digest_is_pulled() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let stranger = Signer::new(place.files.path(), "stranger");
    let (image, other) = (small_image(1), small_image(2));
    let digest = &image.manifest.digest;
    for front in FRONTS {
        let bench = place.bench(front, &place.signed("matchRepoDigestOrExact"));
        image.push(&client, "me/app", "1").unwrap();
        other.push(&client, "me/app", "other").unwrap();
        let name = place.name("me/app:1");
        let by = format!(
            "image {name} ({digest}) is refused by the policy {} (docker: {}): sigstoreSigned: ",
            place.files.path().join("policy.json").display(),
            place.registry.address()
        );
        let push = |signatures: &[Signature]| {
            Signature::push(&client, "me/app", digest, signatures).unwrap()
        };
        // Unsigned. The first front leaves a signature to the second one, which takes it away.
        push(&[]);
        refused(&bench, &name, &format!("{by}a signature is required, and there is none"));
        // Signed by somebody else.
        let good = statement(digest, &name);
        push(&[stranger.sign(&good)]);
        let first = format!("{by}signature 1 of {digest}: ");
        refused(&bench, &name, &format!("{first}it is not made by a trusted key"));
        // A good signature under another statement.
        let signature = place.signer.sign(&good).signature;
        let elsewhere = statement(digest, &place.name("me/app:2"));
        push(&[Signature { statement: elsewhere, signature: signature.clone() }]);
        refused(&bench, &name, &format!("{first}it is not made by a trusted key"));
        // A good signature of another image.
        push(&[place.signer.sign(statement(&other.manifest.digest, &name))]);
        let told = format!("{first}it is for {}, and not for {digest}", other.manifest.digest);
        refused(&bench, &name, &told);
        // For another repository, another tag, and no tag.
        for rest in ["you/app:1", "me/app:2", "me/app"] {
            let other = place.name(rest);
            place.sign("me/app", digest, &other);
            let told = format!(
                "{first}it is for the name \"{other}\", which signedIdentity does not accept"
            );
            refused(&bench, &name, &told);
        }
        // The statement is gone when it is asked for.
        let statements = push(&[place.signer.sign(&good)]);
        let blob = format!("/v2/me/app/blobs/{}", statements[0]);
        client.send("DELETE", &blob, &[], b"").unwrap().expect(202).unwrap();
        refused(&bench, &name, &format!("{first}its payload cannot be had: "));
        // No statement at all.
        push(&[place.signer.sign(b"{\"critical\": {}}")]);
        refused(&bench, &name, &format!("{first}what is signed is no statement on an image"));
        // Signed, and the tag moved to another image since.
        push(&[place.signer.sign(&good)]);
        other.push(&client, "me/app", "1").unwrap();
        refused(&bench, &name, "a signature is required, and there is none");
        image.push(&client, "me/app", "1").unwrap();
        // One signature among others is enough.
        push(&[stranger.sign(&good), place.signer.sign(&good)]);
        let pulled = bench.run(&["pull", &name]).success();
        assert!(pulled.contains(&format!("Digest: {digest}\n")), "{pulled}");
        // By digest any tag of the repository will do, and by another name it is another image.
        let by_digest = place.name(&format!("me/app@{digest}"));
        bench.run(&["pull", &by_digest]).success();
        image.push(&client, "me/app", "latest").unwrap();
        let error = bench.run(&["pull", &place.name("me/app")]).failure();
        assert!(error.contains("which signedIdentity does not accept"), "{error}");
    }
}

#[test]
fn an_index_counts_for_its_images_and_an_image_for_itself_alone() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let (index, [host, foreign]) = index_of_two();
    index.push(&client, "me/app", "1").unwrap();
    let [own, other] = [0, 1].map(|at| &index.images[at].manifest.digest);
    let (root, name) = (&index.manifest.digest, place.name("me/app:1"));
    let unsign = |digest: &Digest| {
        Signature::push(&client, "me/app", digest, &[]).unwrap();
    };
    let bench = || place.bench(Front::InProcess, &place.signed("matchExact"));
    // The image of another platform says nothing of this one.
    place.sign("me/app", other, &name);
    refused(&bench(), &name, "a signature is required, and there is none");
    unsign(other);
    // The image of this platform is enough for itself, and for no other.
    place.sign("me/app", own, &name);
    bench().run(&["pull", &name]).success();
    for flags in
        [&["--all-platforms"][..], &["--platform", &format!("linux/{host},linux/{foreign}")]]
    {
        let bench = bench();
        let error = bench.run(&[&["pull", &name], flags].concat()).failure();
        assert!(error.contains(&format!("({other}) is refused by the policy")), "{error}");
        assert_eq!(bench.run(&["images", "-aq"]).success(), "");
    }
    unsign(own);
    // The index is enough for all.
    place.sign("me/app", root, &name);
    bench().run(&["pull", "--all-platforms", &name]).success();
}

#[test]
fn a_policy_that_is_not_understood_refuses_everything() {
    let place = Place::new();
    small_image(1).push(&place.client(), "me/app", "1").unwrap();
    let name = place.name("me/app:1");
    let key = place.files.path().join("gone");
    for (requirements, expected) in [
        (json!([{"type": "reject"}]), "reject: nothing from there is allowed"),
        (
            json!([{"type": "insecureAcceptAnything"}, {"type": "reject"}]),
            "reject: nothing from there is allowed",
        ),
        (
            json!([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]),
            "signedBy: requirements of this type cannot be checked here",
        ),
        (json!([{"type": "sigstoreSigned", "keyPath": key}]), "No such file or directory"),
        (json!([{"type": "sigstoreSigned"}]), "exactly one of keyPath, keyPaths, keyData"),
        (json!([{"type": "notary"}]), "unknown variant `notary`"),
        (json!([]), "the list of requirements of docker: 127.0.0.1:"),
    ] {
        for front in FRONTS {
            refused(&place.bench(front, &requirements), &name, expected);
        }
    }
    let bench = Bench::new(Front::InProcess, &["--image-policy", ""]);
    assert_eq!(bench.run(&["pull", &name]).failure(), "invalid image-policy: there is no file\n");
    let bench = Bench::new(Front::InProcess, &["--image-policy", "/no/policy"]);
    refused(&bench, &name, "image policy /no/policy cannot be used: No such file or directory");
    // What is allowed is pulled, by a daemon that reads its policy for each pull.
    for front in FRONTS {
        let bench = place.bench(front, &json!([{"type": "reject"}]));
        refused(&bench, &name, "nothing from there is allowed");
        place.policy(&json!([{"type": "insecureAcceptAnything"}]));
        bench.run(&["pull", &name]).success();
    }
}

/// A policy for one process is not taken for that of a daemon.
#[test]
fn a_policy_is_not_asked_of_a_daemon_that_has_another() {
    let bench = Bench::new(Front::Longshore, &[]);
    for verb in [&["pull", "alpine"][..], &["verify", "alpine"], &["registry", "check", "alpine"]] {
        let error = bench.run(&[&["--image-policy", "/policy"], verb].concat()).failure();
        assert!(error.contains("--image-policy is for the engine in this process"), "{error}");
    }
}

#[test]
fn verify_and_check_tell_which_policy_holds_and_why() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let image = small_image(1);
    image.push(&place.client(), "me/app", "1").unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    let file = place.files.path().join("policy.json").display().to_string();
    let scope = format!("docker: {}", place.registry.address());
    for front in FRONTS {
        Signature::push(&place.client(), "me/app", digest, &[]).unwrap();
        let bench = place.bench(front, &place.signed("matchRepository"));
        let told = format!(
            "Policy:    {file} ({scope})\n  sigstoreSigned does not hold\n    a signature is required, and there is none\n"
        );
        let done = bench.run(&["verify", &name]);
        assert_eq!(
            done.stdout,
            format!("Name:      {name}\nDigest:    {digest}\n{told}Verdict:   refused\n")
        );
        assert_eq!(done.failure(), format!("{name} is refused\n"));
        let check = bench.run(&["registry", "check", &name]).success();
        assert!(check.ends_with(&format!("\n\n{told}")), "{check}");
        // A key that the user names stands in for the policy.
        let key = place.signer.public();
        bench.run(&["verify", "--key", &key, &name]).failure();

        place.sign("me/app", digest, &name);
        let held = format!(
            "  sigstoreSigned holds\n    {digest} is signed as {name}\n    by the key {}\n",
            place.signer.fingerprint()
        );
        let told = format!("Policy:    {file} ({scope})\n{held}");
        assert_eq!(
            bench.run(&["verify", &name]).success(),
            format!("Name:      {name}\nDigest:    {digest}\n{told}Verdict:   allowed\n")
        );
        let check = bench.run(&["registry", "check", &name]).success();
        assert!(check.ends_with(&format!("\n\n{told}")), "{check}");
        let by_key = bench.run(&["verify", "--key", &key, &name]).success();
        assert!(by_key.contains(&format!("Policy:    --key (default)\n{held}")), "{by_key}");
        let format = "{{.Allowed}} {{range .Requirements}}{{.Signature.Identity}}{{end}}";
        let formatted = bench.run(&["verify", "--format", format, &name]).success();
        assert_eq!(formatted, format!("true {name}\n"));
        nothing_there(&bench);

        place.write("policy.json", "{");
        let check = bench.run(&["registry", "check", &name]).success();
        assert!(check.contains("  policy does not hold\n    image policy "), "{check}");
    }
    let bench = Bench::new(Front::InProcess, &[]);
    let done = bench.run(&["verify", &name]);
    assert!(
        done.stdout.ends_with("Policy:    none\nVerdict:   nobody was asked\n"),
        "{}",
        done.stdout
    );
    assert!(done.failure().starts_with("there is no policy and no verifier"));
}

//! Referrers in archives of `save` and `copy`, which `load` reads.

use std::fs;

use serde_json::json;
use spec::{MediaType, Platform};
use test_support::image::{Blob, Format, Index, Referrer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::LocalRegistry;

use super::{Signed, image, serve};
use crate::support::{Bench, Front, is_root};

/// Without a registry in between they come along as well, from one store to another and from a registry to a store.
#[test]
fn they_go_through_an_archive() {
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    let source = format!("{}/me/app:1", from.address());
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        let at = |name: &str| bench.home.path().join(name).to_str().unwrap().to_owned();
        bench.run(&["pull", "-q", "--referrers", "--all-platforms", &source]).success();
        let plain = bench.run(&["save", "--all-platforms", "-o", &at("plain.tar"), &source]);
        assert!(plain.stderr.contains("1 without 4 referrers ("), "{}", plain.stderr);
        assert!(plain.stderr.contains("`save --referrers`"), "{}", plain.stderr);
        let saved = bench.run(&["save", "--referrers", "-o", &at("saved.tar"), &source]);
        assert_eq!(saved.stderr, "");
        saved.success();
        let archive = format!("oci-archive:{}", at("copied.tar"));
        bench.run(&["copy", "-q", "--referrers", &source, &format!("{archive}:1")]).success();
        let copied = bench.run(&["copy", "-q", &archive, &format!("dir:{}", at("one"))]);
        copied.success();
        for (file, there) in [("plain.tar", false), ("saved.tar", true), ("copied.tar", true)] {
            let (other, to) = (Bench::new(front, &[]), LocalRegistry::start().unwrap());
            let told = other.run(&["load", "-i", &at(file)]).success();
            let id = other.run(&["images", "-q", "--no-trunc"]).success();
            assert_eq!(id.lines().count(), 1, "{file}: {told}{id}");
            let target = format!("{}/you/app:1", to.address());
            other.run(&["tag", id.trim(), &target]).success();
            other.run(&["push", "--referrers", &target]).success();
            assert_eq!(signed.there(&to.client(), "you/app", false), [there; 4], "{file}");
        }
    }
}

/// Those of what is not saved would refer to nothing there.
#[test]
fn those_that_stay_behind_are_told() {
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    let source = format!("{}/me/app:1", from.address());
    let kinds = "(signatures, SBOMs, attestations)";
    let elsewhere = |count: &str| {
        format!(
            "saved {source} without {count} {kinds} of an index or a platform that is not saved: `pull --all-platforms --referrers`, \
             then `save --all-platforms --referrers` takes them along"
        )
    };
    let unwanted = format!(
        "saved {source} without 2 referrers {kinds} that `pull --referrers` kept: `save --referrers` takes them along"
    );
    for (front, all) in
        [(Front::InProcess, false), (Front::Longshore, false), (Front::InProcess, true)]
    {
        let bench = Bench::new(front, &[]);
        let file = bench.home.path().join("saved.tar").to_str().unwrap().to_owned();
        let parts: &[&str] = if all { &["--all-platforms"] } else { &[] };
        bench.run(&[&["pull", "-q", "--referrers", &source], parts].concat()).success();
        let host = spec::Platform::host().specifier();
        let alone = ["save", "--platform", &host, "-o", &file, &source];
        let plain = bench.run(&alone);
        assert_eq!(plain.stderr.trim_end(), format!("{unwanted}; {}", elsewhere("2 referrers")));
        let saved = bench.run(&[&alone[..], &["--referrers"]].concat());
        assert_eq!(saved.stderr.trim_end(), elsewhere("2 referrers"));
        assert!(plain.ok && saved.ok);
        bench.run(&["pull", "-q", "--all-platforms", "--referrers", &source]).success();
        let saved = bench.run(&["save", "--all-platforms", "--referrers", "-o", &file, &source]);
        assert_eq!(saved.stderr, "", "that is true");
        saved.success();
    }

    if !is_root() {
        println!("skipped in part: not root, and of packed layers the blobs are the only copy");
        return;
    }
    // The image goes with a manifest that nobody has signed.
    let bench = Bench::new(Front::Longshore, &["--keep-blobs=manifests"]);
    let file = bench.home.path().join("saved.tar").to_str().unwrap().to_owned();
    bench.run(&["pull", "-q", "--referrers", &source]).success();
    let saved = bench.run(&["save", "--referrers", "-o", &file, &source]);
    let remade = format!(
        "saved {source} without 4 referrers {kinds}: its manifest is a new one, as its layers are not kept as they came (keep-blobs); \
         `copy --referrers` takes them along from the registry"
    );
    assert_eq!(saved.stderr.trim_end(), remade);
    saved.success();
}

/// One that is an index comes with what it lists, manifests of all kinds and indexes.
#[test]
fn an_index_that_refers_to_an_image_goes_with_what_it_lists() {
    let from = LocalRegistry::start().unwrap();
    let signed = image(Platform::host(), 1);
    signed.push(&from.client(), "me/app", "1").unwrap();
    let other = Platform::parse("linux/s390x").unwrap();
    let inner = Index::new(Format::Oci, vec![image(other, 2)]);
    inner.push(&from.client(), "me/app", &inner.manifest.digest.to_string()).unwrap();
    let part = Referrer::new("test/part", "a part", &signed.layers[0].blob);
    part.push(&from.client(), "me/app").unwrap();
    let set = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciIndex,
        "artifactType": "test/set",
        "manifests": [part.manifest.descriptor(), inner.manifest.descriptor()],
        "subject": signed.manifest.descriptor(),
    });
    let set = Blob::json(MediaType::OciIndex, &set);
    let place = format!("/v2/me/app/manifests/{}", set.digest);
    let headers = [("Content-Type", set.media_type.as_str())];
    let put = from.client().send("PUT", &place, &headers, &set.read().unwrap());
    put.unwrap().expect(201).unwrap();

    let source = format!("{}/me/app:1", from.address());
    let bench = Bench::new(Front::InProcess, &[]);
    let at = |name: &str| bench.home.path().join(name).to_str().unwrap().to_owned();
    bench.run(&["pull", "-q", "--referrers", &source]).success();
    let saved = bench.run(&["save", "--referrers", "-o", &at("saved.tar"), &source]);
    assert_eq!(saved.stderr, "");
    saved.success();
    let archive = format!("oci-archive:{}:1", at("copied.tar"));
    bench.run(&["copy", "-q", "--referrers", &source, &archive]).success();
    for (file, front) in [
        ("saved.tar", Front::InProcess),
        ("saved.tar", Front::Longshore),
        ("copied.tar", Front::InProcess),
    ] {
        let (there, to) = (Bench::new(front, &[]), LocalRegistry::start().unwrap());
        there.run(&["load", "-i", &at(file)]).success();
        let id = there.run(&["images", "-q", "--no-trunc"]).success();
        let target = format!("{}/you/app:1", to.address());
        there.run(&["tag", id.trim(), &target]).success();
        let told = there.run(&["push", "--referrers", &target]).success();
        assert!(told.contains("1: referrers: 1 pushed, 0 already there\n"), "{file}: {told}");
        let has = |kind: &str, blob: &Blob| {
            let place = format!("/v2/you/app/{kind}/{}", blob.digest);
            let got = to.client().send("GET", &place, &[("Accept", super::ACCEPTED)], b"").unwrap();
            assert_eq!((got.status, got.body), (200, blob.read().unwrap()), "{file}: {place}");
        };
        for manifest in [&set, &inner.manifest, &inner.images[0].manifest, &part.manifest] {
            has("manifests", manifest);
        }
        inner.images[0].blobs().chain(&part.blobs).for_each(|blob| has("blobs", blob));
        assert!(there.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
    }
}

/// Manifests of artifacts, from before the OCI's 1.1, list blobs and are of a type of their own.
#[test]
fn the_manifest_of_an_artifact_goes_through_an_archive() {
    // No registry that is at hand takes one.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = runtime.block_on(Scripted::start()).unwrap();
    let signed = image(Platform::host(), 1);
    let content = Blob::of("test/thing".into(), "a thing".into());
    for blob in signed.blobs().chain([&content]) {
        let place = format!("/v2/me/app/blobs/{}", blob.digest);
        registry.on("GET", &place, [Answer::default().body(blob.read().unwrap())]);
    }
    let kind = "application/vnd.oci.artifact.manifest.v1+json";
    let artifact = json!({
        "mediaType": kind,
        "artifactType": "test/thing",
        "blobs": [content.descriptor()],
        "subject": signed.manifest.descriptor(),
    });
    let artifact = Blob::json(kind.into(), &artifact);
    serve(&registry, "1", &signed.manifest);
    serve(&registry, &artifact.digest.to_string(), &artifact);
    let list = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciIndex,
        "manifests": [artifact.descriptor()],
    });
    let list = Answer::default()
        .header("Content-Type", MediaType::OciIndex.as_str())
        .body(list.to_string().into_bytes());
    let place = format!("/v2/me/app/referrers/{}", signed.manifest.digest);
    registry.on("GET", &place, [list]);

    let source = format!("{}/me/app:1", registry.host());
    let (bench, there) = (Bench::new(Front::InProcess, &[]), Bench::new(Front::InProcess, &[]));
    let file = bench.home.path().join("saved.tar").to_str().unwrap().to_owned();
    bench.run(&["pull", "-q", "--referrers", &source]).success();
    bench.run(&["save", "--referrers", "-o", &file, &source]).success();
    there.run(&["load", "-i", &file]).success();
    let blobs = there.home.data_root().join("longshore/content/blobs/sha256");
    for blob in [&artifact, &content] {
        let kept = fs::read(blobs.join(blob.digest.hex())).unwrap();
        assert_eq!(kept, blob.read().unwrap());
    }
    // It is known as what refers to the image.
    let told = there.run(&["save", "-o", &file, &source]);
    assert!(told.stderr.contains("1 without 1 referrer ("), "{}", told.stderr);
    assert!(there.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
}

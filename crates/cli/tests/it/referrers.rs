//! Referrers of an image come with it and go along with it: signatures, SBOMs, and what cosign keeps by its tags.

use std::fs;

use serde_json::json;
use spec::Platform;
use test_support::http::Client;
use test_support::image::{Blob, Compression, Format, Image, Index, Layer, Referrer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, Front, Home, noise, run};

mod archived;

const ACCEPTED: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

fn image(platform: Platform, seed: u64) -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("file", noise(seed, 5_000))]);
    Image::builder().format(Format::Oci).platform(platform).layer(layer).build()
}

/// Has a registry answer with a manifest, by a name and by its digest.
fn serve(registry: &Scripted, name: &str, manifest: &Blob) {
    let digest = manifest.digest.to_string();
    let answer = Answer::default().header("Content-Type", manifest.media_type.as_str());
    let answer = answer.header("Docker-Content-Digest", &digest).body(manifest.read().unwrap());
    for target in [name, &digest] {
        for method in ["HEAD", "GET"] {
            registry.on(method, &format!("/v2/me/app/manifests/{target}"), [answer.clone()]);
        }
    }
}

/// An index, an SBOM of this machine's image, a signature of that, a signature of the index, and one under cosign's tag.
struct Signed {
    index: Index,
    referrers: [Referrer; 3],
    cosign: (String, Image),
}

impl Signed {
    fn new() -> Self {
        let other = Platform::parse("linux/s390x").unwrap();
        let index = Index::attested(vec![image(other.clone(), 1), image(Platform::host(), 2)]);
        let sbom = Referrer::new("test/sbom", "an sbom", &index.images[1].manifest);
        let of_sbom = Referrer::new("test/signature", "of the sbom", &sbom.manifest);
        let signature = Referrer::new("test/signature", "of the index", &index.manifest);
        let tag = format!("sha256-{}.sig", index.manifest.digest.hex());
        Self { index, referrers: [sbom, of_sbom, signature], cosign: (tag, image(other, 3)) }
    }

    fn push(&self, registry: &Client) {
        self.index.push(registry, "me/app", "1").unwrap();
        self.referrers.iter().for_each(|referrer| referrer.push(registry, "me/app").unwrap());
        self.cosign.1.push(registry, "me/app", &self.cosign.0).unwrap();
    }

    /// Lists which of the referrers are at a registry, whole, and listed there, and last whether cosign's tag is.
    fn there(&self, registry: &Client, repository: &str, by_tag: bool) -> Vec<bool> {
        let get = |kind: &str, name: &str| {
            let place = format!("/v2/{repository}/{kind}/{name}");
            registry.send("GET", &place, &[("Accept", ACCEPTED)], b"").unwrap()
        };
        let has = |one: &Referrer| {
            let stored = get("manifests", &one.manifest.digest.to_string());
            let (tag, _) = &one.fallback;
            let listed = if by_tag {
                get("manifests", tag)
            } else {
                get("referrers", &tag.replacen('-', ":", 1))
            };
            let digest = one.manifest.digest.to_string();
            let is_listed = String::from_utf8(listed.body).unwrap().contains(&digest);
            let has_blobs =
                || one.blobs.iter().all(|it| get("blobs", &it.digest.to_string()).status == 200);
            let stored = stored.status == 200 && stored.body == one.manifest.read().unwrap();
            assert!(stored == is_listed && (!stored || has_blobs()), "{digest}");
            stored
        };
        let mut there: Vec<bool> = self.referrers.iter().map(has).collect();
        let cosign = get("manifests", &self.cosign.0);
        there.push(cosign.status == 200 && cosign.body == self.cosign.1.manifest.read().unwrap());
        there
    }
}

#[test]
fn they_are_kept_with_an_image_and_pushed_with_it() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    for front in [Front::InProcess, Front::Longshore] {
        let to = LocalRegistry::start().unwrap();
        let old = DockerRegistry::builder().start().unwrap();
        let source = format!("{}/me/app:1", from.address());
        let target = format!("{}/you/app:1", to.address());
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", &source]).success();
        bench.run(&["tag", &source, &target]).success();
        let told = bench.run(&["push", "--referrers", &target]).success();
        assert!(told.contains("1: no referrers of it are here (pull --referrers keeps them)\n"));

        // The image alone goes, and so what refers to it.
        let told = bench.run(&["pull", "--referrers", &source]).success();
        assert!(told.contains("Status: Downloaded newer image"), "{told}");
        let told = bench.run(&["push", &target]).success();
        assert!(!told.contains("referrers"), "{told}");
        assert_eq!(signed.there(&to.client(), "you/app", false), [false; 4]);
        let told = bench.run(&["push", "--referrers", &target]).success();
        assert!(told.contains("1: referrers: 2 pushed, 0 already there\n"), "{told}");
        assert_eq!(signed.there(&to.client(), "you/app", false), [true, true, false, false]);

        // All of it, and once.
        bench.run(&["pull", "--referrers", "--all-platforms", &source]).success();
        let told = bench.run(&["push", "--referrers", &target]).success();
        assert!(told.contains("1: referrers: 2 pushed, 2 already there\n"), "{told}");
        assert_eq!(signed.there(&to.client(), "you/app", false), [true; 4]);
        let told = bench.run(&["push", "--referrers", &target]).success();
        assert!(told.contains("1: referrers: 0 pushed, 4 already there\n"), "{told}");
        let told = bench.run(&["pull", "--referrers", "--all-platforms", &source]).success();
        assert!(told.contains("Status: Image is up to date"), "{told}");

        // To a registry that does not list them.
        let target = format!("{}/you/app:1", old.address());
        bench.run(&["tag", &source, &target]).success();
        bench.run(&["push", "--referrers", &target]).success();
        assert_eq!(signed.there(&old.client(), "you/app", true), [true; 4]);

        // And from there.
        let other = Bench::new(front, &[]);
        other.run(&["pull", "--referrers", "--all-platforms", &target]).success();
        let last = LocalRegistry::start().unwrap();
        let next = format!("{}/you/app:1", last.address());
        other.run(&["tag", &target, &next]).success();
        other.run(&["push", "--referrers", &next]).success();
        assert_eq!(signed.there(&last.client(), "you/app", false), [true; 4]);
    }
}

#[test]
fn they_live_as_long_as_the_image() {
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    let name = format!("{}/me/app:1", from.address());
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["pull", "--referrers", &name]).success();
    let content = bench.home.data_root().join("longshore/content");
    let kept = |digest: &spec::Digest| content.join("blobs/sha256").join(digest.hex());
    let one = &signed.referrers[2];
    for lost in [&one.manifest, &one.blobs[1]] {
        fs::remove_file(kept(&lost.digest)).unwrap();
    }
    assert!(!bench.run(&["system", "check"]).ok);
    bench.run(&["system", "check", "--repair"]).success();
    bench.run(&["system", "check", "--repair"]).success();
    assert!(kept(&one.manifest.digest).exists() && kept(&one.blobs[1].digest).exists());

    // The list is found out anew from what is here.
    fs::remove_file(content.join("index.json")).unwrap();
    let target = format!("{}/you/app:1", from.address());
    bench.run(&["tag", &name, &target]).success();
    bench.run(&["push", "--referrers", &target]).success();
    assert_eq!(signed.there(&from.client(), "you/app", false), [true, true, true, false]);

    let of_other = Referrer::new("test/sbom", "of another", &signed.index.images[0].manifest);
    of_other.push(&from.client(), "me/app").unwrap();
    bench.run(&["pull", "--referrers", "--all-platforms", &name]).success();
    assert!(kept(&of_other.manifest.digest).exists());
    let told = bench.run(&["rmi", "--platform", "linux/s390x", &name]).success();
    assert!(told.contains(&format!("Deleted: {}\n", of_other.manifest.digest)), "{told}");
    assert!(!kept(&of_other.blobs[1].digest).exists() && kept(&one.blobs[1].digest).exists());
    assert!(bench.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
    bench.run(&["rmi", "-f", &name, &target]).success();
    assert_eq!(fs::read_dir(content.join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn sizes_that_lie_are_refused_whatever_is_here() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    // The small registry would refuse them itself.
    let registry = DockerRegistry::builder().start().unwrap();
    let index = Index::attested(vec![
        image(Platform::parse("linux/s390x").unwrap(), 1),
        image(Platform::host(), 2),
    ]);
    index.push(&registry.client(), "me/app", "1").unwrap();
    let name = |tag: &str| format!("{}/me/app:{tag}", registry.address());
    let put = |tag: &str, kind: &str, bytes: &[u8]| {
        let place = format!("/v2/me/app/manifests/{tag}");
        let put = registry.client().send("PUT", &place, &[("Content-Type", kind)], bytes);
        put.unwrap().expect(201).unwrap();
    };
    let bench = Bench::new(Front::InProcess, &[]);
    bench.run(&["pull", "--all-platforms", &name("1")]).success();
    let (other, own) = (&index.images[0], &index.images[1]);
    let lie = |document: &[u8], blob: &test_support::image::Blob| {
        let digest = blob.digest.to_string();
        let mut parsed: serde_json::Value = serde_json::from_slice(document).unwrap();
        let fields = parsed.as_object_mut().unwrap();
        let lists = ["manifests", "layers"].map(|list| fields.remove(list));
        let lied = |mut list: serde_json::Value| {
            for entry in list.as_array_mut().unwrap() {
                if entry["digest"] == digest.as_str() {
                    entry["size"] = (blob.size + 1).into();
                }
            }
            list
        };
        for (name, list) in ["manifests", "layers"].into_iter().zip(lists) {
            fields.extend(list.map(|list| (name.to_owned(), lied(list))));
        }
        if let Some(config) = fields.remove("config") {
            let config = lied(json!([config]))[0].clone();
            fields.insert("config".to_owned(), config);
        }
        parsed.to_string()
    };
    let whole = index.manifest.read().unwrap();
    let alone = own.manifest.read().unwrap();
    let image_type = own.manifest.media_type.as_str();
    for (number, (document, kind, blob)) in [
        (&whole, index.manifest.media_type.as_str(), &other.manifest),
        (&alone, image_type, &own.config),
        (&alone, image_type, &own.layers[0].blob),
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("lie{number}");
        put(&tag, kind, lie(document, blob).as_bytes());
        let told = bench.run(&["pull", "--all-platforms", &name(&tag)]).failure();
        let (digest, size) = (&blob.digest, blob.size);
        let expected =
            format!("size of {digest} is {size} bytes, its descriptor says {}", size + 1);
        assert!(told.contains(&expected), "{told}");
        assert!(!bench.run(&["inspect", &name(&tag)]).ok);
    }
    assert!(bench.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
}

/// The lists that clients keep are anybody's word.
#[test]
fn what_is_listed_and_is_none_is_left_out_and_told() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let image = image(Platform::host(), 1);
    image.push(&registry.client(), "me/app", "1").unwrap();
    let other = Referrer::new("test/sbom", "of another", &image.layers[0].blob);
    other.push(&registry.client(), "me/app").unwrap();
    let tag = format!("sha256-{}", image.manifest.digest.hex());
    let own = Referrer::new("test/sbom", "of the image", &image.manifest);
    own.push(&registry.client(), "me/app").unwrap();
    let listed = |one: &Referrer, size: u64| {
        let kind = &one.manifest.media_type;
        json!({ "mediaType": kind, "digest": one.manifest.digest, "size": size })
    };
    let kind = "application/vnd.oci.image.index.v1+json";
    let place = format!("/v2/me/app/manifests/{tag}");
    let put = |list: &serde_json::Value| {
        let list = list.to_string();
        let put = registry.client().send("PUT", &place, &[("Content-Type", kind)], list.as_bytes());
        put.unwrap().expect(201).unwrap();
    };
    // The size of one that is a referrer is a lie, too, and nobody believes it.
    let of_other = listed(&other, other.manifest.size);
    let manifests = json!([of_other, listed(&own, 1 << 60)]);
    put(&json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests }));
    let name = format!("{}/me/app:1", registry.address());
    let bench = Bench::new(Front::InProcess, &[]);
    let told = bench.run(&["pull", "--referrers", &name]).success();
    let line = format!(
        "{}: Left out: it is listed as a referrer of something else than it says\n",
        other.manifest.digest.short()
    );
    assert!(told.contains(&line), "{told}");
    let content = bench.home.data_root().join("longshore/content/blobs/sha256");
    assert!(!content.join(other.manifest.digest.hex()).exists());
    assert!(content.join(own.manifest.digest.hex()).exists());

    // What the list of the target names is not believed to be there, nor does a list that is too long fail a pull.
    let target = format!("{}/you/app:1", registry.address());
    bench.run(&["tag", &name, &target]).success();
    bench.run(&["push", "--referrers", &target]).success();
    let there = format!("/v2/you/app/manifests/{}", own.manifest.digest);
    registry.client().send("DELETE", &there, &[], b"").unwrap().expect(202).unwrap();
    let told = bench.run(&["push", "--referrers", &target]).success();
    assert!(told.contains("1: referrers: 1 pushed, 0 already there\n"), "{told}");
    let entries = vec![of_other; 4001];
    put(&json!({ "schemaVersion": 2, "mediaType": kind, "manifests": entries }));
    let told = bench.run(&["pull", "--referrers", &name]).success();
    assert!(told.contains("there would be too many\n"), "{told}");
}

/// An index may list what is no manifest, as those of build caches do, and the manifests of artifacts, which list blobs.
#[test]
fn what_an_index_lists_is_kept_or_told() {
    // No registry that is at hand takes the manifest of an artifact.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = runtime.block_on(Scripted::start()).unwrap();
    let image = image(Platform::host(), 1);
    let cached = Referrer::new("test/cache", "a layer of a cache", &image.manifest);
    for blob in image.blobs().chain(&cached.blobs) {
        let place = format!("/v2/me/app/blobs/{}", blob.digest);
        registry.on("GET", &place, [Answer::default().body(blob.read().unwrap())]);
    }
    let own = &image.manifest;
    serve(&registry, &own.digest.to_string(), own);
    let described = |kind: &str, digest: &spec::Digest, size: u64| {
        let entry = [("mediaType", json!(kind)), ("digest", json!(digest)), ("size", json!(size))];
        entry.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let blob = &cached.blobs[1];
    let artifact_type = "application/vnd.oci.artifact.manifest.v1+json";
    let artifact = json!({
        "mediaType": artifact_type,
        "artifactType": "test/thing",
        "blobs": [described("test/thing", &blob.digest, blob.size)],
    })
    .to_string();
    let artifact = Blob::of(artifact_type.into(), artifact.into());
    serve(&registry, &artifact.digest.to_string(), &artifact);
    let layer = &image.layers[0].blob;
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [
        described(own.media_type.as_str(), &own.digest, own.size),
        described("application/vnd.oci.image.layer.v1.tar+gzip", &layer.digest, layer.size),
        described(artifact_type, &artifact.digest, artifact.size),
    ]});
    serve(&registry, "1", &Blob::json(kind.into(), &index));
    let name = format!("{}/me/app:1", registry.host());
    let bench = Bench::new(Front::InProcess, &[]);
    let told = bench.run(&["pull", "--all-platforms", &name]).success();
    let line = format!(
        "{}: Left out: it is no manifest, but application/vnd.oci.image.layer.v1.tar+gzip\n",
        layer.digest.short()
    );
    assert!(told.contains(&line), "{told}");
    let content = bench.home.data_root().join("longshore/content/blobs/sha256");
    assert!(
        content.join(artifact.digest.hex()).exists() && content.join(blob.digest.hex()).exists()
    );
    assert!(bench.run(&["system", "check", "--deep"]).success().starts_with("0 problems"));
    bench.run(&["rmi", &name]).success();
    assert_eq!(fs::read_dir(content).unwrap().count(), 0);
}

/// The bytes of what an index lists are counted while they come.
#[test]
fn an_index_of_huge_manifests_is_given_up_at_the_bound() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().access_log().start().unwrap();
    let client = registry.client();
    let image = image(Platform::host(), 1);
    image.push(&client, "me/app", "image").unwrap();
    let own = &image.manifest;
    let mut manifests = vec![json!({
        "mediaType": own.media_type, "digest": own.digest, "size": own.size,
    })];
    let put = |tag: &str, kind: &str, bytes: &[u8]| {
        let place = format!("/v2/me/app/manifests/{tag}");
        client.send("PUT", &place, &[("Content-Type", kind)], bytes).unwrap().expect(201).unwrap();
    };
    let mut document: serde_json::Value = serde_json::from_slice(&own.read().unwrap()).unwrap();
    for number in 0..16 {
        document["annotations"] =
            json!({ "number": number.to_string(), "padding": "x".repeat(4_000_000) });
        let bytes = document.to_string();
        let digest = spec::Digest::sha256(bytes.as_bytes());
        put(&digest.to_string(), own.media_type.as_str(), bytes.as_bytes());
        manifests.push(json!({
            "mediaType": own.media_type, "digest": digest, "size": bytes.len(),
        }));
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
    put("1", kind, index.to_string().as_bytes());
    let before = registry.requests().len();
    let bench = Bench::new(Front::InProcess, &[]);
    let name = format!("{}/me/app:1", registry.address());
    let told = bench.run(&["pull", "--all-platforms", &name]).failure();
    assert!(told.contains("bytes of manifests, more than the 33554432 that are allowed"), "{told}");
    let mut asked = registry.requests().split_off(before);
    asked.retain(|request| request.starts_with("GET ") && request.contains("/manifests/"));
    // The index, the image's own, nine that are too much together, and those that were under way.
    assert!(asked.len() <= 2 + 9 + 3, "{asked:?}");
}

/// A daemon that does not know the parameter sends what it always does.
#[test]
fn a_save_by_an_older_daemon_is_none() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let home = Home::new();
    let path = home.path().join("a.tar");
    for (named, flag, expected) in [
        ("Longshore/0.2.0 (linux)", "--referrers", "is an older one and keeps no referrers"),
        ("Longshore/0.2.0 (linux)", "--since=b", "is an older one and cannot leave layers out"),
        ("Docker/28.2.2 (linux)", "--referrers", "is not Longshore's and keeps no referrers"),
    ] {
        let answer = || Answer::status(200).header("Server", named).header("Api-Version", "1.41");
        server.on("HEAD", "/_ping", [answer()]);
        server.on("GET", "/v1.41/images/get", [answer().body("an archive")]);
        let host = format!("tcp://{}", server.host());
        let arguments = ["-H", &host, "save", flag, "-o", path.to_str().unwrap(), "a"];
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        let told = run(command.args(arguments), "").failure();
        assert!(told.contains(expected) && !path.exists(), "{told}");
    }
}

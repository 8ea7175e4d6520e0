//! `longshore registry …`: what registries have and what is changed there, in this process and by a daemon, at Docker's
//! registry and at Longshore's.

use std::fs;

use serde_json::{Value, json};
use spec::{Digest, Tag};
use test_support::http::Client;
use test_support::image::{Blob, Compression, Format, Image, Index, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, Front, run, without_hints};

const FRONTS: [Front; 2] = [Front::InProcess, Front::Longshore];

fn image(architecture: &str) -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("file", vec![7; 100])]);
    let platform = spec::Platform::parse(&format!("linux/{architecture}")).unwrap();
    let image = Image::builder().format(Format::Oci).platform(platform).label("a", "b");
    image.created("2024-01-02T03:04:05Z").layer(layer).build()
}

fn index() -> Index {
    Index::new(Format::Oci, vec![image("amd64"), image("arm64")])
}

fn can_run() -> bool {
    let can = installed(&["docker-registry"]);
    if !can {
        println!("skipped: needs docker-registry");
    }
    can
}

/// Docker's registry and Longshore's.
struct Registries {
    docker: DockerRegistry,
    own: LocalRegistry,
}

impl Registries {
    fn start() -> Self {
        let docker = DockerRegistry::builder().start().unwrap();
        Self { docker, own: LocalRegistry::start().unwrap() }
    }

    fn clients(&self) -> [Client; 2] {
        [self.docker.client(), self.own.client()]
    }
}

#[test]
fn what_a_registry_has_is_listed_shown_and_changed() {
    if !can_run() {
        return;
    }
    let registries = Registries::start();
    for (client, front) in registries.clients().iter().zip(FRONTS) {
        let bench = Bench::new(front, &[]);
        let own = |arguments: &[&str]| bench.run(&[&["registry"], arguments].concat());
        let host = client.address();
        let name = format!("{host}/me/app");
        let at = |tag: &str| format!("{name}:{tag}");
        let index = index();
        index.push(client, "me/app", "2").unwrap();
        index.push(client, "me/app", "10").unwrap();
        image("amd64").push(client, "other", "latest").unwrap();

        assert_eq!(own(&["ls", host]).success(), format!("{name}\n{host}/other\n"));
        assert_eq!(own(&["tags", &name]).success(), "10\n2\n");
        let rows = own(&["tags", "--format", "json", &name]).success();
        assert_eq!(
            rows.lines().next().unwrap(),
            format!(r#"{{"Repository":"{name}","Tag":"10"}}"#)
        );
        assert_eq!(own(&["tags", "--format", "{{.Tag}}!", &name]).success(), "10!\n2!\n");
        let digest = index.manifest.digest.to_string();
        assert_eq!(own(&["digest", &at("2")]).success(), format!("{digest}\n"));
        let arm = index.images[1].manifest.digest.to_string();
        let asked = own(&["digest", "--platform", "linux/arm64", &at("2")]);
        assert_eq!(asked.success(), format!("{arm}\n"));

        let tagged = own(&["tag", &at("2"), "three"]).success();
        assert!(tagged.starts_with(&format!("three: digest: {digest} size: ")), "{tagged}");
        own(&["tag", "--platform", "linux/arm64", &at("2"), "arm"]).success();
        assert_eq!(own(&["digest", &at("arm")]).success(), format!("{arm}\n"));

        // A tag goes alone, by whatever way the registry has.
        assert_eq!(own(&["rm", &at("2")]).success(), format!("Untagged: {}\n", at("2")));
        assert_eq!(own(&["tags", &name]).success(), "10\narm\nthree\n");
        assert_eq!(own(&["digest", &at("three")]).success(), format!("{digest}\n"));
        let gone = own(&["rm", &at("2"), &at("10")]);
        assert_eq!(gone.stdout, format!("Untagged: {}\n", at("10")));
        let error = without_hints(&gone.failure());
        let unknown = |name: &str| {
            let by = if front == Front::InProcess { "" } else { "Error response from daemon: " };
            format!("{by}{name}: manifest unknown: manifest unknown\n")
        };
        assert!(error.ends_with(&unknown(&at("2"))), "{error}");
        // A manifest goes with its tags.
        let by_digest = format!("{name}@{digest}");
        assert_eq!(own(&["rm", &by_digest]).success(), format!("Deleted: {by_digest}\n"));
        assert_eq!(own(&["tags", &name]).success(), "arm\n");

        for (arguments, error) in [
            (&["digest", &at("2")][..], unknown(&at("2"))),
            (&["inspect", &at("2")], unknown(&at("2"))),
            (&["tag", &at("2"), "x"], unknown(&at("2"))),
            (
                &["tag", &at("arm"), "not a tag"],
                "not a tag: invalid tag format: the tag alone is wanted, as in `1.2`\n".to_owned(),
            ),
            (
                &["digest", "UPPER"],
                "invalid reference format: repository name (library/UPPER) must be lowercase\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(without_hints(&own(arguments).failure()), error, "{arguments:?}");
        }
        let vague = own(&["rm", &name]).failure();
        assert!(vague.contains("does not say what to delete: give a tag"), "{vague}");
        let no_host = own(&["ls", &at("arm")]).failure();
        assert!(no_host.contains("is no registry's host"), "{no_host}");
    }
}

#[test]
fn an_image_is_summed_up_or_shown_byte_for_byte() {
    let registry = LocalRegistry::start().unwrap();
    let (client, index) = (registry.client(), index());
    index.push(&client, "me/app", "1").unwrap();
    let name = format!("{}/me/app:1", client.address());
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let inspect =
            |flags: &[&str]| bench.run(&[&["registry", "inspect"], flags, &[&name]].concat());
        let shown = inspect(&["--platform", "linux/arm64"]).success();
        for part in [
            format!("Name:          {name}\n"),
            format!("Digest:        {}\n", index.manifest.digest),
            "Media type:    application/vnd.oci.image.index.v1+json\n".to_owned(),
            format!("  {}  linux/amd64  ", index.images[0].manifest.digest),
            "Image for linux/arm64:\n".to_owned(),
            "  Created:       2024-01-02T03:04:05Z\n  Size: ".to_owned(),
            "  Labels:\n    a=b\n".to_owned(),
            "  application/vnd.oci.image.layer.v1.tar+gzip\n".to_owned(),
        ] {
            assert!(shown.contains(&part), "{part}\n{shown}");
        }
        let bytes = |done: super::support::Done| done.success().into_bytes();
        assert_eq!(bytes(inspect(&["--raw"])), index.manifest.read().unwrap());
        let arm = &index.images[1];
        let of_arm = ["--platform", "linux/arm64"];
        let raw = inspect(&[&["--raw"][..], &of_arm].concat());
        assert_eq!(bytes(raw), arm.manifest.read().unwrap());
        let config = inspect(&[&["--config"][..], &of_arm].concat());
        assert_eq!(bytes(config), arm.config.read().unwrap());
        let json: Value = serde_json::from_str(&inspect(&["--format", "json"]).success()).unwrap();
        assert_eq!(json["Manifests"][1]["Platform"], "linux/arm64");
        let size: u64 = arm.blobs().map(|blob| blob.size).sum();
        assert_eq!(json["Manifests"][1]["ImageSize"], size);
        assert_eq!(
            inspect(&["--format", "{{.Digest}}"]).success(),
            format!("{}\n", index.manifest.digest)
        );
        let other = inspect(&["--platform", "windows/amd64"]).failure();
        let told =
            ": no matching manifest for windows/amd64, the index has linux/amd64, linux/arm64";
        assert!(other.contains(told), "{other}");
    }
}

/// An artifact that refers to a manifest.
fn artifact(subject: &Blob, kind: &str) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": kind,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256(b"{}"), "size": 2 },
        "layers": [],
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
    })
    .to_string()
}

#[test]
fn referrers_are_found_whoever_lists_them() {
    if !can_run() {
        return;
    }
    let registries = Registries::start();
    for (client, (front, by)) in
        registries.clients().iter().zip([(FRONTS[0], "tag"), (FRONTS[1], "registry")])
    {
        let bench = Bench::new(front, &[]);
        let index = index();
        index.push(client, "me/app", "1").unwrap();
        let subject = &index.manifest;
        let put = |reference: &str, media_type: &str, body: &str| {
            let path = format!("/v2/me/app/manifests/{reference}");
            let headers = [("Content-Type", media_type)];
            client.send("PUT", &path, &headers, body.as_bytes()).unwrap().expect(201).unwrap();
        };
        let empty = format!("/v2/me/app/blobs/uploads/?digest={}", Digest::sha256(b"{}"));
        let upload = client.send("POST", &empty, &[], b"{}").unwrap();
        if upload.status == 202 {
            let place = upload.location().unwrap();
            let separator = if place.contains('?') { '&' } else { '?' };
            let place = format!("{place}{separator}digest={}", Digest::sha256(b"{}"));
            client.send("PUT", &place, &[], b"{}").unwrap().expect(201).unwrap();
        }
        let oci = "application/vnd.oci.image.manifest.v1+json";
        let mut entries = Vec::new();
        for kind in ["application/spdx+json", "application/example"] {
            let document = artifact(subject, kind);
            let digest = Digest::sha256(document.as_bytes());
            put(&digest.to_string(), oci, &document);
            entries.push(json!({ "mediaType": oci, "digest": digest, "size": document.len(), "artifactType": kind }));
        }
        if by == "tag" {
            let list = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries });
            let tag = Tag::of_referrers(&subject.digest);
            put(tag.as_str(), "application/vnd.oci.image.index.v1+json", &list.to_string());
        }
        let [signature, ..] = Tag::of_cosign(&subject.digest);
        image("amd64").push(client, "me/app", signature.as_str()).unwrap();

        let name = format!("{}/me/app:1", client.address());
        let list = |flags: &[&str]| {
            bench.run(&[&["registry", "referrers"], flags, &[&name]].concat()).success()
        };
        let format = ["--format", "{{.ArtifactType}} {{.ListedBy}}"];
        let expected = format!(
            "application/example {by}\napplication/spdx+json {by}\n cosign ({signature})\n"
        );
        assert_eq!(list(&format), expected);
        let filter = ["--artifact-type", "application/spdx+json"];
        assert_eq!(list(&[&format[..], &filter].concat()), format!("application/spdx+json {by}\n"));
        let table = list(&filter);
        assert!(table.starts_with("DIGEST "), "{table}");
        assert!(table.contains(&entries[0]["digest"].as_str().unwrap().to_owned()), "{table}");
        assert_eq!(list(&["--platform", "linux/amd64", "--format", "json"]), "");

        // What is deleted is listed no more.
        let gone =
            format!("{}/me/app@{}", client.address(), entries[0]["digest"].as_str().unwrap());
        bench.run(&["registry", "rm", &gone]).success();
        let expected = format!("application/example {by}\n cosign ({signature})\n");
        assert_eq!(list(&format), expected);
    }
}

#[test]
fn a_registry_that_deletes_nothing_is_told_of_and_nothing_is_lost() {
    if !can_run() {
        return;
    }
    let registry = DockerRegistry::builder().without_deletion().start().unwrap();
    let index = index();
    index.push(&registry.client(), "me/app", "1").unwrap();
    let bench = Bench::new(Front::InProcess, &[]);
    let name = format!("{}/me/app", registry.address());
    for what in [format!("{name}:1"), format!("{name}@{}", index.manifest.digest)] {
        let error = bench.run(&["registry", "rm", &what]).failure();
        assert!(error.starts_with(&format!("{what}: unsupported")), "{error}");
        assert!(error.contains("REGISTRY_STORAGE_DELETE_ENABLED=true"), "{error}");
    }
    let digest = bench.run(&["registry", "digest", &format!("{name}:1")]).success();
    assert_eq!(digest, format!("{}\n", index.manifest.digest));
}

#[test]
fn behind_tokens_all_of_it_works_with_credentials_and_nothing_without() {
    if !can_run() {
        return;
    }
    // Filled by one without tokens.
    let open = DockerRegistry::builder().start().unwrap();
    index().push(&open.client(), "me/app", "1").unwrap();
    let registry =
        DockerRegistry::builder().storage(open.storage()).token("me", "secret").start().unwrap();
    let name = format!("{}/me/app", registry.address());
    for front in FRONTS {
        let bench = Bench::new(front, &[]);
        let own = |arguments: &[&str]| bench.run(&[&["registry"], arguments].concat());
        // Who is not known may read and no more.
        own(&["digest", &format!("{name}:1")]).success();
        let refused = own(&["ls", registry.address()]).failure();
        assert!(refused.contains("registry:catalog:*"), "{refused}");
        let refused = own(&["rm", &format!("{name}:1")]).failure();
        assert!(refused.contains("denied") || refused.contains("unauthorized"), "{refused}");

        let mut login = bench.command();
        login.args(["login", "-u", "me", "--password-stdin", registry.address()]);
        run(&mut login, "secret").success();
        assert_eq!(own(&["ls", registry.address()]).success(), format!("{name}\n"));
        own(&["tag", &format!("{name}:1"), "2"]).success();
        own(&["rm", &format!("{name}:2")]).success();
        assert_eq!(own(&["tags", &name]).success(), "1\n");
    }
}

#[test]
fn mirrors_are_read_and_never_written_to() {
    let [mirror, registry] = [(); 2].map(|()| LocalRegistry::start().unwrap());
    index().push(&mirror.client(), "me/app", "1").unwrap();
    index().push(&registry.client(), "me/app", "2").unwrap();
    let certs = tempfile::TempDir::new().unwrap();
    let folder = certs.path().join("reg.example");
    fs::create_dir(&folder).unwrap();
    let text = format!(
        "server = \"http://{}\"\n[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
        registry.address(),
        mirror.address()
    );
    fs::write(folder.join("hosts.toml"), text).unwrap();
    let certs = certs.path().to_str().unwrap();
    for front in FRONTS {
        let bench = Bench::new(front, &["--certs-dir", certs]);
        let own = |arguments: &[&str]| bench.run(&[&["registry"], arguments].concat());
        assert_eq!(own(&["tags", "reg.example/me/app"]).success(), "1\n");
        own(&["digest", "reg.example/me/app:1"]).success();
        // What only the registry has is found, too.
        own(&["inspect", "reg.example/me/app:2"]).success();
        assert_eq!(own(&["ls", "reg.example"]).success(), "reg.example/me/app\n");
        own(&["tag", "reg.example/me/app:2", "3"]).success();
        let unknown = own(&["rm", "reg.example/me/app:1"]).failure();
        assert!(unknown.contains("manifest unknown"), "{unknown}");
        own(&["rm", "reg.example/me/app:3"]).success();
    }
    let tags = |registry: &LocalRegistry| {
        registry.client().get("/v2/me/app/tags/list").unwrap().json()["tags"].clone()
    };
    assert_eq!((tags(&mirror), tags(&registry)), (json!(["1"]), json!(["2"])));
}

/// Docker Hub counts each manifest that is fetched, and says so with each.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_that_are_counted_are_not_spent_on_sizes() {
    let server = Scripted::start().await.unwrap();
    let index = index();
    let at = |reference: &str| format!("/v2/me/app/manifests/{reference}");
    let answer = |blob: &Blob| {
        Answer::status(200)
            .header("content-type", blob.media_type.as_str())
            .header("docker-content-digest", blob.digest.to_string())
            .body(blob.read().unwrap())
    };
    let head = answer(&index.manifest)
        .header("ratelimit-limit", "100;w=21600")
        .header("ratelimit-remaining", "76;w=21600");
    server.on("HEAD", &at("1"), [head]);
    let [amd, arm] = [0, 1].map(|of| &index.images[of]);
    for blob in [&index.manifest, &amd.manifest, &arm.manifest] {
        server.on("GET", &at(&blob.digest.to_string()), [answer(blob)]);
    }
    let config = format!("/v2/me/app/blobs/{}", amd.config.digest);
    server.on("GET", &config, [answer(&amd.config)]);
    let bench = Bench::new(Front::InProcess, &[]);
    let name = format!("{}/me/app:1", server.host());
    let shown = bench.run(&["registry", "inspect", "--platform", "linux/amd64", &name]).success();
    assert!(shown.contains("Pulls left:    76 of 100 in 6h\n"), "{shown}");
    assert!(shown.contains("Image for linux/amd64:\n"), "{shown}");
    let fetches = |image: &Blob| server.count("GET", &at(&image.digest.to_string()));
    assert_eq!((fetches(&amd.manifest), fetches(&arm.manifest)), (1, 0));
}

#[test]
fn a_registry_is_served_by_its_verb_and_by_none() {
    let bench = Bench::new(Front::InProcess, &[]);
    let help = bench.run(&["registry"]);
    assert!(help.ok && help.stderr.contains("longshore registry COMMAND"), "{}", help.stderr);
    assert!(!help.stderr.contains("--root"), "{}", help.stderr);
    let missing = bench.run(&["registry", "serve"]).failure();
    assert!(missing.contains(r#"required flag(s) "root" not set"#), "{missing}");
}

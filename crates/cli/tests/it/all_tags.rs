//! `pull --all-tags` from repositories that hold more than images.

use bytes::Bytes;
use spec::Digest;
use test_support::image::{Blob, Image};
use test_support::scripted::{Answer, Scripted};
use tokio::runtime::Runtime;

use super::support::{Home, small_image};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// A repository `app` with tags of all kinds.
struct Repository {
    // Dropped before the runtime that serves it.
    server: Scripted,
    _runtime: Runtime,
    home: Home,
}

impl Repository {
    fn new(tags: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Scripted::start()).unwrap();
        let list = serde_json::json!({ "name": "app", "tags": tags }).to_string();
        server.on("GET", "/v2/app/tags/list", [Answer::status(200).json(list)]);
        Self { server, _runtime: runtime, home: Home::new() }
    }

    fn manifest(&self, tag: &str, media_type: &str, bytes: impl Into<Bytes>) -> &Self {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes).to_string();
        let answer = Answer::default()
            .header("Content-Type", media_type)
            .header("Docker-Content-Digest", &digest)
            .body(bytes);
        for target in [tag, &digest] {
            for method in ["HEAD", "GET"] {
                self.server.on(method, &format!("/v2/app/manifests/{target}"), [answer.clone()]);
            }
        }
        self
    }

    fn blob(&self, blob: &Blob) -> Answer {
        let bytes: Bytes = blob.read().unwrap().into();
        let answer = Answer::default().body(bytes);
        self.server.on("GET", &path(&blob.digest), [answer.clone()]);
        answer
    }

    fn image(&self, tag: &str, image: &Image) {
        let manifest = &image.manifest;
        self.manifest(tag, manifest.media_type.as_str(), manifest.read().unwrap());
        for blob in image.blobs() {
            self.blob(blob);
        }
    }

    /// Something else that has a manifest.
    fn artifact(&self, tag: &str, config: &str, layer: &str) {
        let digest = Digest::sha256(b"{}").to_string();
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": { "mediaType": config, "size": 2, "digest": digest },
            "layers": [{ "mediaType": layer, "size": 2, "digest": digest }],
        });
        self.manifest(tag, OCI, document.to_string());
        let path = format!("/v2/app/blobs/{digest}");
        self.server.on("GET", &path, [Answer::default().body("{}")]);
    }

    fn name(&self) -> String {
        format!("{}/app", self.server.host())
    }

    fn tags_here(&self) -> Vec<String> {
        let listed = self.home.run(&["images", "--format", "{{.Tag}}"]).success();
        let mut tags: Vec<_> = listed.lines().map(str::to_owned).collect();
        tags.sort();
        tags
    }
}

fn path(digest: &Digest) -> String {
    format!("/v2/app/blobs/{digest}")
}

#[test]
fn several_tags_are_under_way_at_once_and_told_of_in_turn() {
    let repository = Repository::new(&["a", "b", "same"]);
    let (first, second) = (small_image(31), small_image(32));
    repository.image("a", &first);
    repository.image("b", &second);
    repository.image("same", &first);
    // The first one's config comes only once the second tag was asked for.
    let late = repository.blob(&first.config).after("/v2/app/manifests/b");
    repository.server.on("GET", &path(&first.config.digest), [late]);
    let told = repository.home.run(&["pull", "-a", &repository.name()]).success();
    let pulling = |tag: &str| format!("{tag}: Pulling from app");
    let digest = |image: &Image| format!("Digest: {}", image.manifest.digest);
    let expected = [
        pulling("a"),
        digest(&first),
        pulling("b"),
        digest(&second),
        pulling("same"),
        digest(&first),
        format!("Status: Downloaded newer image for {}", repository.name()),
        repository.name(),
    ];
    let layers = |line: &&str| line.contains(": Pull") && !line.contains("Pulling from");
    let already = |line: &&str| line.contains("Already exists");
    let other: Vec<&str> = told
        .lines()
        .filter(|line| !layers(line) && !already(line) && !line.contains("Download complete"))
        .filter(|line| !line.contains("Verifying Checksum") && !line.contains("Waiting"))
        .collect();
    assert_eq!(other, expected, "{told}");
    // As if one had been pulled after the other: the lower layer is shared, and the last tag needs none.
    assert_eq!(told.lines().filter(already).count(), 1, "{told}");
    for image in [&first, &second] {
        for blob in image.blobs() {
            assert_eq!(repository.server.count("GET", &path(&blob.digest)), 1, "{told}");
        }
    }
    assert_eq!(repository.tags_here(), ["a", "b", "same"]);
}

#[test]
fn the_next_tag_gets_on_while_one_is_ended() {
    let repository = Repository::new(&["a", "b"]);
    let (first, second) = (small_image(31), small_image(32));
    repository.image("a", &first);
    repository.image("b", &second);
    // All that the first tag begins with is there before the second one's manifest, and its layers come only after that.
    let manifest = Answer::default()
        .header("Content-Type", second.manifest.media_type.as_str())
        .body(second.manifest.read().unwrap());
    let manifest_path = format!("/v2/app/manifests/{}", second.manifest.digest);
    repository.server.on("GET", &manifest_path, [manifest.after(&path(&first.config.digest))]);
    for layer in &first.layers {
        let late = repository.blob(&layer.blob).after(&path(&second.config.digest));
        repository.server.on("GET", &path(&layer.blob.digest), [late]);
    }
    repository.home.run(&["pull", "-a", &repository.name()]).success();
    assert_eq!(repository.tags_here(), ["a", "b"]);
}

#[test]
fn what_is_no_image_is_passed_over_with_a_line() {
    let tags = ["a", "chart", "sha256-00.sig", "gone", "lost", "other", "z"];
    let repository = Repository::new(&tags);
    repository.image("a", &small_image(31));
    repository.image("z", &small_image(32));
    let chart = "application/vnd.cncf.helm.config.v1+json";
    repository.artifact("chart", chart, "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    let signature = "application/vnd.dev.cosign.simplesigning.v1+json";
    let config = "application/vnd.oci.image.config.v1+json";
    repository.artifact("sha256-00.sig", config, signature);
    let lost = Answer::status(404).json(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
    repository.server.on("GET", "/v2/app/manifests/lost", [lost]);
    repository.server.on("GET", "/v2/app/manifests/gone", [Answer::status(404)]);
    let index = "application/vnd.oci.image.index.v1+json";
    let entry = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": index,
        "manifests": [{
            "mediaType": OCI,
            "size": 3,
            "digest": Digest::sha256(b"elsewhere").to_string(),
            "platform": { "os": "plan9", "architecture": "mips" },
        }],
    });
    repository.manifest("other", index, entry.to_string());
    let told = repository.home.run(&["pull", "-a", &repository.name()]).success();
    let skipped: Vec<&str> = told.lines().filter(|line| line.contains(": Skipped: ")).collect();
    assert_eq!(skipped.len(), 5, "{told}");
    for (line, expected) in skipped.iter().zip([
        format!("chart: Skipped: not an image ({chart})"),
        format!("sha256-00.sig: Skipped: not an image ({signature})"),
        "gone: Skipped: the registry has no manifest for it".to_owned(),
        "lost: Skipped: the registry has no manifest for it".to_owned(),
        "other: Skipped: no image for ".to_owned(),
    ]) {
        assert!(line.starts_with(&expected), "{line}: {expected}");
    }
    assert_eq!(repository.tags_here(), ["a", "z"]);
}

#[test]
fn an_image_that_fails_is_told_at_the_end_and_does_not_stop_the_others() {
    let repository = Repository::new(&["a", "broken", "z"]);
    let broken = small_image(33);
    for (tag, image) in [("a", &small_image(31)), ("broken", &broken), ("z", &small_image(32))] {
        repository.image(tag, image);
    }
    let missing = Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    repository.server.on("GET", &path(&broken.layers[1].blob.digest), [missing]);
    let done = repository.home.run(&["pull", "-a", &repository.name()]);
    assert!(done.stdout.contains("broken: Failed: "), "{}", done.stdout);
    let error = done.failure();
    let expected = format!("1 of 3 tags of {} could not be pulled (broken): ", repository.name());
    assert!(error.starts_with(&expected) && error.contains("blob unknown"), "{error}");
    assert_eq!(repository.tags_here(), ["a", "z"]);

    let charts = Repository::new(&["chart"]);
    charts.artifact("chart", "application/vnd.cncf.helm.config.v1+json", "application/x");
    let error = charts.home.run(&["pull", "-a", &charts.name()]).failure();
    assert!(error.contains("none of the tags of"), "{error}");
}

#[test]
fn a_manifest_of_the_first_schema_is_told_and_fails() {
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let manifest = serde_json::json!({
        "schemaVersion": 1, "name": "app", "tag": "old", "architecture": "amd64",
        "fsLayers": [], "history": [], "signatures": [],
    });
    for media_type in
        [signed, "application/vnd.docker.distribution.manifest.v1+json", "application/json"]
    {
        let repository = Repository::new(&["old"]);
        repository.manifest("old", media_type, manifest.to_string());
        for options in [&["pull", "-a"][..], &["pull", "-q", "-a"]] {
            let done = repository.home.run(&[options, &[&repository.name()]].concat());
            let error = done.failure();
            assert!(error.contains("schema 1 support has been removed"), "{media_type}: {error}");
        }
    }
}

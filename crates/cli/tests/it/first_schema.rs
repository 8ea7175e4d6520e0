//! Images of schema 1, pulled and pushed as dockerd 20.10 does.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use test_support::http::Client;
use test_support::image::{Compression, Image, Layer, SIGNED, Signer, with_signatures};
use test_support::scripted::{Answer, Received, Scripted};
use test_support::servers::{DockerRegistry, Dockerd, installed};
use test_support::tar::Entry;
use tokio::runtime::Runtime;

use super::random_layers::tree::Tree;
use super::support::{Bench, Done, Front, Home, files_below, is_root, noise, run, small_image};

pub(super) const SWITCH: &str = "DOCKER_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE";
const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Runs the binary in-process with the switch on.
fn allowed(home: &Home, arguments: &[&str]) -> Done {
    run(home.longshore().env(SWITCH, "1").args(arguments), "")
}

fn can_run() -> bool {
    let can = is_root() && installed(&["dockerd", "docker", "docker-registry", "podman"]);
    if !can {
        println!("skipped: needs root, dockerd, docker, docker-registry and podman");
    }
    can
}

/// A manifest of layers and the documents of these, the newest first.
pub(super) fn manifest(name: &str, layers: &[&Layer], history: &[Value]) -> String {
    let layers: Vec<_> =
        layers.iter().map(|layer| json!({ "blobSum": layer.blob.digest.to_string() })).collect();
    let history: Vec<_> =
        history.iter().map(|entry| json!({ "v1Compatibility": entry.to_string() })).collect();
    let manifest = json!({
        "schemaVersion": 1, "name": name, "tag": "1", "architecture": "amd64", "fsLayers": layers, "history": history,
    });
    serde_json::to_string_pretty(&manifest).unwrap()
}

pub(super) fn entry(id: char, parent: Option<char>, more: &Value) -> Value {
    let name = |digit: char| digit.to_string().repeat(64);
    let mut entry = json!({
        "id": name(id), "created": "2015-04-01T10:00:00.120Z", "container_config": {"Cmd": ["sh", "-c", format!("make <{id}> &")]},
        "author": "Ä <a@b>", "os": "linux", "architecture": "amd64",
    });
    let fields = entry.as_object_mut().unwrap();
    fields.extend(parent.map(|parent| ("parent".to_owned(), name(parent).into())));
    fields.extend(more.as_object().unwrap().clone());
    entry
}

pub(super) fn put(registry: &DockerRegistry, name: &str, tag: &str, signed: &str) -> String {
    let place = format!("/v2/{name}/manifests/{tag}");
    let client = registry.client();
    let put = client.send("PUT", &place, &[("Content-Type", SIGNED)], signed.as_bytes()).unwrap();
    put.expect(201).unwrap().header("docker-content-digest").unwrap().to_owned()
}

/// A way to a registry as old ones are: what is asked for by tag is converted to schema 1, and schema 2 is refused.
struct Old {
    server: Scripted,
    _runtime: Runtime,
}

impl Old {
    fn before(registry: &DockerRegistry) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Scripted::start()).unwrap();
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"] {
            let client = Arc::new(registry.client());
            server.reply(method, "/v2/*", move |request| forward(&client, request));
        }
        Self { server, _runtime: runtime }
    }
}

fn forward(client: &Client, request: &Received) -> Answer {
    let is_manifest = request.path().contains("/manifests/");
    let kind = request.header("content-type").unwrap_or_default();
    if request.method == "PUT" && is_manifest && kind == SCHEMA_2 {
        return Answer::error(400, "MANIFEST_INVALID", "manifest invalid");
    }
    let passed = ["content-type", "range", "content-range"];
    let headers = passed.iter().filter_map(|name| Some((*name, request.header(name)?)));
    let headers: Vec<_> = headers.collect();
    let answer =
        client.send(request.method.as_str(), &request.target, &headers, &request.body).unwrap();
    let kept = [
        "content-type",
        "content-range",
        "docker-content-digest",
        "docker-distribution-api-version",
        "docker-upload-uuid",
        "location",
        "range",
    ];
    let mut copy = Answer::status(answer.status);
    for (name, value) in &answer.headers {
        let is_kept = kept.contains(&name.as_str());
        if is_kept || request.method == "HEAD" && name == "content-length" {
            copy = copy.header(name, value);
        }
    }
    copy.body(answer.body)
}

/// The trees of an image's layers in a data root of dockerd's layout, the bottom one first.
fn trees(data_root: &Path, rootfs: &str) -> Vec<Tree> {
    let layers: Vec<String> = serde_json::from_str(rootfs).unwrap();
    let diff_ids: Vec<spec::DiffId> =
        layers.iter().map(|layer| spec::DiffId::new(layer.parse().unwrap())).collect();
    let chains = spec::ChainId::chain(&diff_ids);
    let tree = |chain: &spec::ChainId| {
        let entry = data_root.join("image/overlay2/layerdb/sha256").join(chain.digest().hex());
        let cache_id = fs::read_to_string(entry.join("cache-id")).unwrap();
        Tree::of(&data_root.join("overlay2").join(cache_id.trim()).join("diff"))
    };
    chains.iter().map(tree).collect()
}

const FACTS: &str =
    "{{.Id}} {{json .RepoDigests}} {{json .RepoTags}} {{.Author}} {{.Architecture}}";
const ROOT_FS: &str = "{{json .RootFS.Layers}}";

/// Insists that dockerd and Longshore, which have pulled the same name, have the same image.
fn assert_same(dockerd: &Dockerd, bench: &Bench, name: &str) {
    let theirs = |arguments: &[&str]| {
        let output = dockerd.docker(arguments).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let history = "{{.CreatedAt}} {{.CreatedBy}} {{.Size}} {{.Comment}} {{.ID}}";
    for arguments in [
        &["image", "inspect", "-f", FACTS, name][..],
        &["history", "--no-trunc", "--human=false", "--format", history, name],
    ] {
        assert_eq!(bench.run(arguments).success(), theirs(arguments), "{name}: {arguments:?}");
    }
    let rootfs = theirs(&["image", "inspect", "-f", ROOT_FS, name]);
    let ours = trees(&bench.home.data_root(), &rootfs);
    let theirs = trees(dockerd.data_root(), &rootfs);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ours.compare(theirs).unwrap();
    }
}

#[test]
fn images_of_schema_1_are_those_that_dockerd_makes() {
    if !can_run() {
        return;
    }
    let registry = DockerRegistry::builder().first_schema().start().unwrap();
    let image = small_image(7);
    image.push(&registry.client(), "me/app", "new").unwrap();
    let [base, top] = &*image.layers else { panic!("two layers") };
    let signer = Signer::new().unwrap();
    let make = |layers: &[&Layer], history: &[Value]| {
        signer.sign(&manifest("me/app", layers, history)).unwrap()
    };
    let config = json!({"config": {"Env": ["A=<b>"], "Cmd": ["sh"], "Labels": {"a": "b"}}});
    let run = json!({"docker_version": "1.13.1", "comment": "last", "config": {"Cmd": ["sh"], "User": "me"}});
    put(&registry, "me/app", "one", &make(&[base], &[entry('a', None, &config)]));
    let steps = [
        entry('c', Some('b'), &run),
        entry('b', Some('a'), &json!({"throwaway": true})),
        entry('a', None, &json!({})),
    ];
    let digest = put(&registry, "me/app", "empty", &make(&[top, base, base], &steps));
    let steps =
        [entry('b', Some('a'), &run), entry('b', Some('a'), &run), entry('a', None, &json!({}))];
    put(&registry, "me/app", "twice", &make(&[top, top, base], &steps));
    let old = Old::before(&registry);
    let name = |rest: &str| format!("{}/me/app{rest}", registry.address());

    let dockerd = Dockerd::builder().start().unwrap();
    let folder = Home::new();
    let file = folder.path().join("daemon.json");
    fs::write(&file, r#"{"allow-schema1": true}"#).unwrap();
    let bench = Bench::new(Front::Longshore, &["--config-file", file.to_str().unwrap()]);
    for name in [
        name(":one"),
        name(":empty"),
        name(&format!("@{digest}")),
        name(":twice"),
        format!("{}/me/app:new", old.server.host()),
    ] {
        dockerd.docker(&["pull", &name]).unwrap();
        let told = bench.run(&["pull", &name]).success();
        assert!(told.contains("[DEPRECATION NOTICE] Docker Image Format v1"), "{told}");
        assert_eq!(
            told.matches(": Download complete").count(),
            told.matches(": Pull complete").count(),
            "{told}"
        );
        assert_same(&dockerd, &bench, &name);
        let again = bench.run(&["pull", &name]).success();
        assert!(again.contains("Image is up to date"), "{again}");
        assert!(!again.contains("Pulling fs layer"), "{again}");
    }
    bench.run(&["system", "check", "--deep"]).success();

    // Without a daemon, with a driver that unpacks nothing: the same images.
    let id = ["image", "inspect", "-f", "{{.Id}}", &name(":empty")];
    let packed = Home::new();
    let packed_run = |arguments: &[&str]| {
        allowed(&packed, &[&["--storage-driver", "packed"], arguments].concat()).success()
    };
    packed_run(&["pull", "-q", &name(":empty")]);
    assert_eq!(packed_run(&id), bench.run(&id).success());
    packed_run(&["system", "check", "--deep"]);
    // What is kept goes up as schema 2, with the layers as they came.
    let target = name(":again");
    bench.run(&["tag", &name(":empty"), &target]).success();
    let pushed = bench.run(&["push", &target]).success();
    assert!(pushed.contains("Layer already exists"), "{pushed}");
    let manifest =
        registry.client().send("GET", "/v2/me/app/manifests/again", &[("Accept", SCHEMA_2)], b"");
    let manifest = manifest.unwrap().json();
    let blobs: Vec<_> = image.layers.iter().map(|layer| layer.blob.digest.to_string()).collect();
    assert_eq!(manifest["layers"][0]["digest"], blobs[0].as_str());
    assert_eq!(manifest["layers"][1]["digest"], blobs[1].as_str());
}

#[test]
fn a_registry_that_refuses_schema_2_gets_schema_1() {
    if !can_run() {
        return;
    }
    let registry = DockerRegistry::builder().first_schema().start().unwrap();
    let old = Old::before(&registry);
    let image = Image::builder()
        .layer(Layer::new(Compression::Gzip, &[Entry::file("a", noise(1, 5000))]))
        .layer(Layer::new(Compression::Gzip, &[Entry::file("b", noise(2, 5000))]))
        .document(json!({"architecture": "amd64", "os": "linux", "created": "2020-01-02T03:04:08Z", "config": {"Cmd": ["a < b & c"]}, "history": [
            {"created": "2020-01-02T03:04:05.600Z", "created_by": "ADD <a>", "author": "me"},
            {"created": "2020-01-02T03:04:06Z", "created_by": "ENV a=b", "comment": "&", "empty_layer": true},
            {"created": "2020-01-02T03:04:07Z", "created_by": "ADD b"},
            {"created": "2020-01-02T03:04:08Z", "created_by": "CMD", "empty_layer": true},
        ]}))
        .build();
    let source = DockerRegistry::builder().start().unwrap();
    image.push(&source.client(), "app", "1").unwrap();
    let source = format!("{}/app:1", source.address());
    let name = format!("{}/me/app:1", old.server.host());

    let home = Home::new();
    home.run(&["pull", "-q", &source]).success();
    home.run(&["tag", &source, &name]).success();
    let refused = home.run(&["push", &name]).failure();
    assert!(refused.contains("manifest invalid"), "{refused}");
    let told = allowed(&home, &["push", &name]).success();
    let notice = format!("Please contact admins of the {} registry NOW", old.server.host());
    assert!(told.contains(&notice), "{told}");
    let line = told.lines().find(|line| line.starts_with("1: digest: ")).unwrap().to_owned();

    // The key is the data root's, and the next push is signed by it.
    let key = home.data_root().join("longshore/key.json");
    let text = fs::read_to_string(&key).unwrap();
    allowed(&home, &["push", &name]).success();
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    let pulled = registry.client().get("/v2/me/app/manifests/1").unwrap();
    assert_eq!(pulled.header("content-type"), Some(SIGNED));

    // dockerd pushes the same: nothing in it says when or by whom.
    let switch = ("DOCKER_ALLOW_SCHEMA1_PUSH_DONOTUSE".into(), "1".into());
    let dockerd = Dockerd::builder().environment(vec![switch]).start().unwrap();
    dockerd.docker(&["pull", &source]).unwrap();
    dockerd.docker(&["tag", &source, &name]).unwrap();
    let theirs = dockerd.docker(&["push", &name]).unwrap();
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    assert!(theirs.contains(&line), "{theirs}{line}");

    // Pulled back, it is the same image for all.
    allowed(&home, &["push", &name]).success();
    dockerd.docker(&["rmi", &name, &source]).unwrap();
    dockerd.docker(&["pull", &name]).unwrap();
    let folder = Home::new();
    let file = folder.path().join("daemon.json");
    fs::write(&file, r#"{"allow-schema1": true}"#).unwrap();
    let bench = Bench::new(Front::InProcess, &["--config-file", file.to_str().unwrap()]);
    bench.run(&["pull", &name]).success();
    assert_same(&dockerd, &bench, &name);
    let mut podman: Command = home.clean("podman");
    let root = home.path().join("podman");
    podman.env_remove("DOCKER_CONFIG").arg("--root").arg(root.join("root"));
    podman.arg("--runroot").arg(root.join("run")).args(["--storage-driver", "vfs"]);
    run(podman.args(["pull", "-q", "--tls-verify=false", &name]), "").success();
}

/// A manifest that is signed well and one that is not differ by a sentence, and only the first leaves anything here.
#[test]
fn what_is_not_as_it_was_signed_is_refused() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let layer = Layer::new(Compression::Gzip, &[Entry::file("a", "b")]);
    let content = layer.blob.read().unwrap();
    let blob = Answer::status(200).body(content);
    let path = format!("/v2/app/blobs/{}", layer.blob.digest);
    server.on("GET", &path, [blob.clone()]).on("HEAD", &path, [blob]);
    let good = manifest("app", &[&layer], &[entry('a', None, &json!({}))]);
    let other = manifest("app", &[&layer], &[entry('b', None, &json!({}))]);
    let signer = Signer::new().unwrap();
    let body = good.strip_suffix("\n}").unwrap();
    let signature = |length, tail| signer.signature(&good, length, tail).unwrap();
    let mine = signature(body.len(), "\n}");
    let with = |signatures: &[Value]| with_signatures(body, signatures);
    let mut none = mine.clone();
    none["header"]["alg"] = json!("none");
    let letter = body.find('Ä').unwrap() + 1;
    let digest = |text: &str| spec::Digest::sha256(text.as_bytes()).to_string();
    let tampered = signer.sign(&good).unwrap().replace(&"a".repeat(64), &"b".repeat(64));
    let failed = |why: &str| format!("(schema 1) failed: {why}");
    for (document, asked, expected) in [
        (tampered, "1".to_owned(), failed("invalid signature")),
        (with(&[signature(1 << 20, "\n}")]), "1".to_owned(), failed("invalid format length")),
        (
            with(&[signature(letter, "\n}")]),
            "1".to_owned(),
            failed("invalid format length: it ends within a letter"),
        ),
        (
            with(&[mine.clone(), signature(body.len() - 1, "\n}")]),
            "1".to_owned(),
            failed("conflicting format length"),
        ),
        (good.clone(), "1".to_owned(), failed("missing signatures")),
        (
            with(&[none]),
            "1".to_owned(),
            failed(
                "unable to verify signature: P-256 EC Public Key does not support signature algorithm \"none\"",
            ),
        ),
        (
            signer.sign(&other).unwrap(),
            digest(&good),
            format!("image verification failed for digest {}", digest(&good)),
        ),
        (with(std::slice::from_ref(&mine)), "1".to_owned(), String::new()),
        (with(std::slice::from_ref(&mine)), digest(&good), String::new()),
    ] {
        let answer = Answer::status(200).header("content-type", SIGNED).body(document.clone());
        let place = format!("/v2/app/manifests/{asked}");
        server.on("GET", &place, [answer]).on("HEAD", &place, [Answer::status(405)]);
        let separator = if asked.contains(':') { '@' } else { ':' };
        let name = format!("{}/app{separator}{asked}", server.host());
        let home = Home::new();
        let done = allowed(&home, &["pull", &name]);
        if expected.is_empty() {
            done.success();
            continue;
        }
        let error = done.failure();
        assert!(error.contains(&expected), "{error}: {expected}");
        for folder in [
            "longshore/content/blobs",
            "longshore/ingest",
            "image/overlay2/imagedb",
            "image/packed/imagedb",
        ] {
            assert_eq!(files_below(&home.data_root().join(folder)), [""; 0], "{expected}");
        }
        assert_eq!(server.count("GET", &path), 0, "{expected}: a layer was asked for");
    }
}

//! Documents as builders and registries write them: nulls, keys in their own case, types that say nothing. What is pulled is listed,
//! saved, loaded, pushed and removed like any other image, and keeps none from that.

use bytes::Bytes;
use serde_json::{Value, json};
use spec::{Digest, MediaType};
use test_support::image::{Blob, Compression, Image, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;
use tokio::runtime::Runtime;

use super::support::{Home, files_below, run};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry that says what it is told to.
struct Registry {
    // Dropped before the runtime that serves it.
    server: Scripted,
    _runtime: Runtime,
}

impl Registry {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Scripted::start()).unwrap();
        Self { server, _runtime: runtime }
    }

    fn blob(&self, bytes: Bytes) -> Digest {
        let digest = Digest::sha256(&bytes);
        self.server.on(
            "GET",
            &format!("/v2/app/blobs/{digest}"),
            [Answer::status(200).body(bytes)],
        );
        digest
    }

    /// Stores a document under a tag and its digest.
    fn document(&self, tag: &str, sent_as: &str, text: &str) -> Digest {
        let digest = Digest::sha256(text.as_bytes());
        let answer = || {
            Answer::status(200)
                .header("Content-Type", sent_as)
                .header("Docker-Content-Digest", digest.to_string())
                .body(text.to_owned())
        };
        for (method, target) in [
            ("GET", tag),
            ("HEAD", tag),
            ("GET", &digest.to_string()),
            ("HEAD", &digest.to_string()),
        ] {
            self.server.on(method, &format!("/v2/app/manifests/{target}"), [answer()]);
        }
        digest
    }
}

/// An image's manifest and config, as JSON to be changed.
struct Parts {
    manifest: Value,
    config: Value,
}

fn parts(name: &str) -> (Parts, Image) {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("name", name.as_bytes())]);
    let image = Image::builder().layer(layer).label("name", name).build();
    let json = |blob: &Blob| serde_json::from_slice::<Value>(&blob.read().unwrap()).unwrap();
    let mut parts = Parts { manifest: json(&image.manifest), config: json(&image.config) };
    parts.manifest["mediaType"] = MANIFEST.into();
    parts.manifest["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    parts.manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip".into();
    (parts, image)
}

type Change = fn(&mut Parts);

const IMAGES: [(&str, Change); 10] = [
    ("no-layers", |parts| {
        parts.manifest["layers"] = Value::Null;
        parts.config["rootfs"]["diff_ids"] = Value::Null;
        parts.config["history"] = Value::Null;
    }),
    ("type-empty", |parts| parts.manifest["mediaType"] = "".into()),
    ("type-null", |parts| parts.manifest["mediaType"] = Value::Null),
    ("other-kinds-null", |parts| {
        for field in ["manifests", "fsLayers", "annotations", "subject"] {
            parts.manifest[field] = Value::Null;
        }
    }),
    ("config-html", |parts| parts.manifest["config"]["mediaType"] = "text/html".into()),
    ("config-untyped", |parts| {
        parts.manifest["config"].as_object_mut().unwrap().remove("mediaType");
    }),
    ("descriptor-nulls", |parts| {
        for descriptor in ["/config", "/layers/0"] {
            let descriptor = parts.manifest.pointer_mut(descriptor).unwrap();
            for field in ["urls", "annotations", "platform", "data"] {
                descriptor[field] = Value::Null;
            }
        }
    }),
    ("unversioned", |parts| {
        parts.manifest.as_object_mut().unwrap().remove("schemaVersion");
    }),
    ("entrypoint-text", |parts| {
        parts.config["config"]["Entrypoint"] = "/app".into();
        parts.config["config"]["cmd"] = Value::Null;
    }),
    ("config-nulls", |parts| {
        for field in
            ["created", "author", "variant", "os.version", "os.features", "container_config"]
        {
            parts.config[field] = Value::Null;
        }
        parts.config["Config"] = parts.config["config"].take();
        parts.config.as_object_mut().unwrap().remove("config");
    }),
];

/// Puts an image into the registry and returns the digest of its manifest.
fn publish(registry: &Registry, name: &str, change: Change, spell: fn(String) -> String) -> Digest {
    let (mut parts, image) = parts(name);
    change(&mut parts);
    let config = parts.config.to_string();
    parts.manifest["config"]["size"] = config.len().into();
    parts.manifest["config"]["digest"] = registry.blob(config.into()).to_string().into();
    registry.blob(image.layers[0].blob.read().unwrap().into());
    registry.document(name, MANIFEST, &spell(parts.manifest.to_string()))
}

fn index(
    registry: &Registry,
    name: &str,
    kind: &str,
    sent_as: &str,
    change: fn(&mut Value),
) -> Digest {
    let manifest = publish(registry, name, |_| (), |text| text);
    let platform = json!({ "os": "linux", "architecture": spec::Platform::host().architecture });
    let entry = json!({ "mediaType": kind, "digest": manifest.to_string(), "size": 1, "platform": platform });
    let mut document = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    change(&mut document);
    registry.document(name, sent_as, &document.to_string());
    manifest
}

/// Names, and the digests that their manifests have.
fn everything(registry: &Registry) -> Vec<(String, Digest)> {
    let mut all = Vec::new();
    for (name, change) in IMAGES {
        all.push((name.to_owned(), publish(registry, name, change, |text| text)));
    }
    let upper = |text: String| {
        let text = text.replace("\"config\":", "\"CONFIG\":").replace("layers\":", "Layers\":");
        text.replace("mediaType", "MEDIATYPE").replace("digest", "Digest").replace("size", "Size")
    };
    all.push(("any-case".to_owned(), publish(registry, "any-case", |_| (), upper)));
    let nothing = |_: &mut Value| ();
    for (name, digest) in [
        (
            "index-nulls",
            index(registry, "index-nulls", MANIFEST, INDEX, |index| {
                index["config"] = Value::Null;
                index["layers"] = Value::Null;
            }),
        ),
        (
            "index-untyped",
            index(registry, "index-untyped", "", "application/json", |index| {
                index["mediaType"] = "".into();
                index["manifests"].as_array_mut().unwrap().insert(0, Value::Null);
            }),
        ),
        ("other-school", index(registry, "other-school", DOCKER, INDEX, nothing)),
    ] {
        all.push((name.to_owned(), digest));
    }
    all
}

#[test]
fn odd_documents_are_pulled_kept_pushed_and_removed_like_any_other() {
    let registry = Registry::start();
    let all = everything(&registry);
    let home = Home::new();
    let name = |tag: &str| format!("{}/app:{tag}", registry.server.host());
    for (tag, _) in &all {
        home.run(&["pull", "-q", &name(tag)]).success();
    }
    let listed = home.run(&["images", "-q", "--no-trunc"]).success();
    assert_eq!(listed.lines().count(), all.len(), "{listed}");
    home.run(&["system", "check", "--deep"]).success();

    let entrypoint = ["inspect", "-f", "{{json .Config.Entrypoint}}", &name("entrypoint-text")];
    assert_eq!(home.run(&entrypoint).success(), "[\"/app\"]\n");
    let label = ["inspect", "-f", "{{.Config.Labels.name}}", &name("config-nulls")];
    assert_eq!(home.run(&label).success(), "config-nulls\n");

    let target = LocalRegistry::start().unwrap();
    let (other, archive) = (Home::new(), home.path().join("all.tar"));
    let names: Vec<String> = all.iter().map(|(tag, _)| name(tag)).collect();
    let mut save = vec!["save", "-o", archive.to_str().unwrap()];
    save.extend(names.iter().map(String::as_str));
    home.run(&save).success();
    other.run(&["load", "-i", archive.to_str().unwrap()]).success();
    let loaded = other.run(&["images", "-q", "--no-trunc"]).success();
    assert_eq!(loaded.lines().count(), names.len(), "{loaded}");
    assert!(loaded.lines().all(|id| listed.contains(id)), "{loaded}");

    for (tag, digest) in &all {
        home.run(&["history", "-q", &name(tag)]).success();
        let pushed = format!("{}/app:{tag}", target.address());
        home.run(&["tag", &name(tag), &pushed]).success();
        let said = home.run(&["push", &pushed]).success();
        assert!(said.contains(&format!("digest: {digest} ")), "{tag}: its bytes changed: {said}");
        home.run(&["rmi", &pushed]).success();
    }
    // One by one: each may keep the others.
    for (tag, _) in &all {
        home.run(&["rmi", &name(tag)]).success();
    }
    home.run(&["prune", "-a", "-f"]).success();
    home.run(&["system", "check"]).success();
    assert_eq!(files_below(&home.data_root().join("longshore/content/blobs")), [""; 0]);
}

#[test]
fn what_is_no_image_is_refused_before_it_is_stored() {
    let registry = Registry::start();
    let charts: [(&str, Change, &str); 4] = [
        (
            "chart",
            |parts| {
                let kind = "application/vnd.cncf.helm.config.v1+json";
                parts.manifest["config"]["mediaType"] = kind.into();
            },
            "\"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching",
        ),
        ("artifact", |parts| parts.config = json!({}), "missing field `rootfs`"),
        ("two-types", |parts| parts.manifest["Manifests"] = json!([]), "ambiguous"),
        ("environment", |parts| parts.config["config"]["Env"] = "A=b".into(), "config: Env"),
    ];
    let home = Home::new();
    for (tag, change, part) in charts {
        publish(&registry, tag, change, |text| text);
        let error = home.run(&["pull", &format!("{}/app:{tag}", registry.server.host())]).failure();
        assert!(error.contains(part), "{tag}: {error}");
    }
    assert_eq!(home.run(&["images", "-aq"]).success(), "");
    home.run(&["system", "check"]).success();
}

#[test]
fn archives_name_their_images_in_every_way() {
    let (parts, image) = parts("archived");
    let bytes = |blob: &Blob| Bytes::from(blob.read().unwrap());
    let (config, layer) = (parts.config.to_string(), bytes(&image.layers[0].blob));
    let mut manifest = parts.manifest;
    let config_digest = Digest::sha256(config.as_bytes());
    manifest["config"]["digest"] = config_digest.to_string().into();
    manifest["config"]["size"] = config.len().into();
    let manifest = manifest.to_string();
    let digest = Digest::sha256(manifest.as_bytes());
    let other = Digest::sha256(b"other");
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let whole = format!("e.com/t/app:1@{digest}");
    let (containerd, oci) = ("io.containerd.image.name", "org.opencontainers.image.ref.name");
    let none = "<none>:<none>@<none>".to_owned();
    for (annotation, name, tags, expected) in [
        (containerd, "e.com/t/app:1", Some(Value::Null), "e.com/t/app:1@<none>".to_owned()),
        (containerd, "e.com/t/app:1", Some(json!(["b:2"])), "b:2@<none>".to_owned()),
        (containerd, &whole, None, whole.clone()),
        (containerd, "e.com/t/app", None, "e.com/t/app:latest@<none>".to_owned()),
        (oci, "t/app", Some(json!([])), "t/app:latest@<none>".to_owned()),
        (oci, "app:1", None, "app:1@<none>".to_owned()),
        (oci, "latest", None, none.clone()),
        (containerd, "BAD", None, none.clone()),
        (oci, "", Some(json!([format!("a:1@{other}")])), "a:1@<none>".to_owned()),
        (oci, "", Some(json!([whole])), whole.clone()),
        (oci, "", Some(json!([format!("a@{other}")])), none),
    ] {
        let entry = json!({
            "mediaType": MediaType::OciManifest, "digest": digest.to_string(), "size": manifest.len(),
            "annotations": { annotation: name }, "platform": null,
        });
        let index = json!({ "schemaVersion": 2, "manifests": [null, entry] }).to_string();
        let mut entries = vec![
            Entry::file("index.json", index),
            Entry::file(path(&digest), manifest.clone()),
            Entry::file(path(&config_digest), config.clone()),
            Entry::file(path(&Digest::sha256(&layer)), layer.to_vec()),
        ];
        if let Some(tags) = &tags {
            let item = json!([{
                "Config": path(&config_digest), "RepoTags": tags, "Layers": [path(&Digest::sha256(&layer))],
            }]);
            entries.push(Entry::file("manifest.json", item.to_string()));
        }
        let home = Home::new();
        let archive = home.path().join("archive.tar");
        let mut writer = test_support::tar::Writer::new(std::fs::File::create(&archive).unwrap());
        for entry in &entries {
            writer.append(entry).unwrap();
        }
        writer.finish().unwrap();
        home.run(&["load", "-i", archive.to_str().unwrap()]).success();
        let format = "{{.Repository}}:{{.Tag}}@{{.Digest}}";
        let listed = home.run(&["images", "--digests", "--format", format]).success();
        assert_eq!(listed.trim_end(), expected, "{annotation}={name} {tags:?}");
    }
}

#[test]
fn layers_that_are_not_to_be_redistributed_stay_where_they_are() {
    let registry = Registry::start();
    let (mut parts, image) = parts("foreign");
    let config = parts.config.to_string();
    parts.manifest["config"]["size"] = config.len().into();
    parts.manifest["config"]["digest"] = registry.blob(config.into()).to_string().into();
    let port = registry.server.address().port();
    let layer = &mut parts.manifest["layers"][0];
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    layer["urls"] = json!([format!("http://localhost:{port}/elsewhere")]);
    let digest = registry.document("1", MANIFEST, &parts.manifest.to_string());
    let bytes = Bytes::from(image.layers[0].blob.read().unwrap());
    let layer = Digest::sha256(&bytes);
    registry.server.on("GET", "/elsewhere", [Answer::status(200).body(bytes)]);

    let home = Home::new();
    let file = home.path().join("daemon.json");
    let run_allowing = |named: &[&str], arguments: &[&str]| {
        let text = json!({ "allow-nondistributable-artifacts": named }).to_string();
        std::fs::write(&file, text).unwrap();
        run(home.longshore().arg("--config-file").arg(&file).args(arguments), "")
    };
    let name = format!("{}/app:1", registry.server.host());
    let error = run_allowing(&[], &["pull", &name]).failure();
    assert!(error.contains("is no public address"), "{error}");
    run_allowing(&["localhost"], &["pull", &name]).success();
    let told = run_allowing(&["localhost"], &["info", "-f", "{{json .RegistryConfig}}"]).success();
    assert!(told.contains(r#""AllowNondistributableArtifactsHostnames":["localhost"]"#), "{told}");
    home.run(&["system", "check", "--deep"]).success();

    let target = LocalRegistry::start().unwrap();
    let pushed = format!("{}/app:1", target.address());
    let at_target = || {
        let path = format!("/v2/app/blobs/{layer}");
        target.client().send("HEAD", &path, &[], b"").unwrap().status
    };
    home.run(&["tag", &name, &pushed]).success();
    for (named, line, status) in [
        ("localhost", "Skipped foreign layer", 404),
        (&*target.address().to_string(), "Pushed", 200),
    ] {
        let said = run_allowing(&[named], &["push", &pushed]).success();
        assert!(said.contains(line) && said.contains(&format!("digest: {digest} ")), "{said}");
        assert_eq!(at_target(), status, "{named}");
    }
}

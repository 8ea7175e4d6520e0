//! An image layout of several platforms, with an attestation, made in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spec::{Algorithm, Hasher, Platform};
use test_support::http::Client;
use test_support::image::{Compression, Format, Image, Layer};
use test_support::tar::{Entry, Writer};

use super::{NAME, PLATFORMS};
use crate::support::noise;

/// The files of an image layout.
#[derive(Clone)]
pub(super) struct Layout {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) algorithm: Algorithm,
    pub(super) index: Value,
    /// The manifests of the platforms, in their order, of the attestation, and of an artifact.
    pub(super) manifests: Vec<Value>,
    pub(super) images: Vec<Image>,
}

impl Layout {
    /// Makes an index of three platforms, the one of the host first, and of an attestation, whose blobs are named by `algorithm`; the configs
    /// of images by `configs`.
    pub(super) fn new(algorithm: Algorithm, configs: Algorithm) -> Self {
        let mut layout = Self {
            files: BTreeMap::new(),
            algorithm,
            index: Value::Null,
            manifests: Vec::new(),
            images: Vec::new(),
        };
        let base = || Layer::new(Compression::Gzip, &[Entry::file("base", noise(1, 70_000))]);
        for (number, platform) in (2..).zip(PLATFORMS) {
            let top = Layer::new(Compression::Gzip, &[Entry::file("top", noise(number, 3000))]);
            let platform = Platform::parse(platform).unwrap();
            let image = Image::builder().format(Format::Oci).platform(platform.clone());
            let image = image.layer(base()).layer(top).label("number", &number.to_string()).build();
            let config = image.config.read().unwrap();
            let host = platform.is_exactly(&Platform::host());
            let config_algorithm = if host { Algorithm::Sha256 } else { configs };
            let config =
                layout.put(config_algorithm, "application/vnd.oci.image.config.v1+json", config);
            let layers: Vec<Value> = image
                .layers
                .iter()
                .map(|layer| {
                    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
                    layout.put(algorithm, kind, layer.blob.read().unwrap())
                })
                .collect();
            let mut manifest = layout.manifest(&config, &layers);
            manifest["platform"] = json!({ "os": "linux", "architecture": platform.architecture });
            layout.manifests.push(manifest);
            layout.images.push(image);
        }
        let config =
            layout.put(algorithm, "application/vnd.oci.image.config.v1+json", b"{}".to_vec());
        let statement = layout.put(algorithm, "application/vnd.in-toto+json", b"[]".to_vec());
        let mut attestation = layout.manifest(&config, &[statement]);
        attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": layout.manifests[0]["digest"],
        });
        layout.manifests.push(attestation);
        let manifests = layout.manifests.clone();
        layout.lists(&manifests);
        layout
    }

    /// Lists a manifest of a kind that nobody knows, too.
    pub(super) fn with_artifact(mut self) -> Self {
        let kind = "application/vnd.oci.artifact.manifest.v1+json";
        let note = self.put(self.algorithm, "text/plain", b"a note".to_vec());
        let artifact = json!({ "mediaType": kind, "layers": [note] });
        let artifact = self.put(self.algorithm, kind, artifact.to_string().into_bytes());
        self.manifests.push(artifact);
        let manifests = self.manifests.clone();
        self.lists(&manifests);
        self
    }

    pub(super) fn put(&mut self, algorithm: Algorithm, kind: &str, bytes: Vec<u8>) -> Value {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        let digest = hasher.finish();
        let descriptor =
            json!({ "mediaType": kind, "digest": digest.to_string(), "size": bytes.len() });
        self.files.insert(path(&digest.to_string()), bytes);
        descriptor
    }

    pub(super) fn manifest(&mut self, config: &Value, layers: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers,
        });
        self.put(self.algorithm, kind, manifest.to_string().into_bytes())
    }

    /// Makes the index one of these manifests.
    pub(super) fn lists(&mut self, manifests: &[Value]) {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
        if let Some(before) = self.index["digest"].as_str() {
            self.files.remove(&path(before));
        }
        self.index = self.put(self.algorithm, kind, index.to_string().into_bytes());
        let mut entry = self.index.clone();
        entry["annotations"] =
            json!({ "io.containerd.image.name": format!("docker.io/library/{NAME}") });
        let list = json!({ "schemaVersion": 2, "manifests": [entry] });
        self.files.insert("index.json".to_owned(), list.to_string().into_bytes());
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        self.files.insert("oci-layout".to_owned(), layout.to_string().into_bytes());
    }

    pub(super) fn file(&mut self, descriptor: &Value) -> &mut Vec<u8> {
        self.files.get_mut(&path(descriptor["digest"].as_str().unwrap())).unwrap()
    }

    /// Puts all of it into a repository; the index under its digest, and under a tag.
    pub(super) fn push(&self, registry: &Client, repository: &str, tag: &str) {
        let documents = |digest: &str| {
            let is_it = |it: &&Value| it["digest"] == digest;
            self.manifests.iter().chain([&self.index]).find(is_it).cloned()
        };
        let blobs = self.files.iter().filter_map(|(path, bytes)| {
            Some((path.strip_prefix("blobs/")?.replace('/', ":"), bytes))
        });
        let (manifests, blobs): (Vec<_>, Vec<_>) =
            blobs.partition(|(digest, _)| documents(digest).is_some());
        for (digest, bytes) in blobs {
            let uploads = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
            registry.send("POST", &uploads, &[], bytes).unwrap().expect(201).unwrap();
        }
        let put = |reference: &str, digest: &str, bytes: &[u8]| {
            let kind = documents(digest).unwrap()["mediaType"].as_str().unwrap().to_owned();
            let place = format!("/v2/{repository}/manifests/{reference}");
            let headers = [("Content-Type", &*kind)];
            registry.send("PUT", &place, &headers, bytes).unwrap().expect(201).unwrap();
        };
        let index = self.index["digest"].as_str().unwrap();
        let (indexes, others): (Vec<_>, Vec<_>) =
            manifests.into_iter().partition(|(digest, _)| digest == index);
        for (digest, bytes) in others.iter().chain(&indexes) {
            put(digest, digest, bytes);
        }
        put(tag, index, indexes[0].1);
    }

    pub(super) fn write(&self, folder: &Path) -> PathBuf {
        let mut tar = Writer::new(Vec::new());
        for (path, bytes) in &self.files {
            tar.append(&Entry::file(path, bytes.clone())).unwrap();
        }
        let archive = folder.join("layout.tar");
        std::fs::write(&archive, tar.finish().unwrap()).unwrap();
        archive
    }
}

pub(super) fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

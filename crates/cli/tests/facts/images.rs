//! The images of the recordings, made anew: the same configs, unpacked sizes and shared layers, other bytes.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use spec::Platform;
use test_support::http::Client;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::tar::Entry;

use crate::player::{filter, tar};

const CREATED: &str = "2023-11-14T22:13:20Z";

/// Everything that the registries have.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) busybox: Index,
    pub(crate) alpine_3_3: Index,
    pub(crate) alpine_3_10: Index,
    pub(crate) alpine_3_20: Index,
    pub(crate) hello: Index,
    pub(crate) nginx: Index,
}

impl Images {
    pub(crate) fn make() -> Self {
        let busybox = layer("busybox", 1_982_581);
        let hello = layer("hello", 682_696);
        let tiny = layer("arm", 18);
        let alpine = |command: &str, layer| amd64(&[command], &[layer]);
        let arm = |layer: &Layer| {
            docker(platform("arm64", Some("v8")), &["/bin/sh"], std::slice::from_ref(layer))
        };
        let others = [("arm", Some("v7")), ("ppc64le", None), ("riscv64", None)];
        let others = others.map(|(architecture, variant)| {
            docker(platform(architecture, variant), &["sh"], std::slice::from_ref(&tiny))
        });
        let mut platforms = vec![amd64(&["sh"], std::slice::from_ref(&busybox)), {
            docker(platform("arm64", Some("v8")), &["sh"], std::slice::from_ref(&tiny))
        }];
        platforms.extend(others);
        Self {
            busybox: Index::new(Format::Docker, platforms),
            alpine_3_3: Index::new(Format::Docker, vec![arm(&tiny)]),
            alpine_3_10: Index::new(
                Format::Docker,
                vec![alpine("/bin/sh", layer("alpine 3.10", 1_982_636))],
            ),
            alpine_3_20: Index::new(
                Format::Docker,
                vec![alpine("/bin/sh", layer("alpine 3.20", 1_982_636))],
            ),
            hello: Index::new(
                Format::Docker,
                vec![
                    amd64(&["/hello"], std::slice::from_ref(&hello)),
                    docker(platform("arm64", Some("v8")), &["/hello"], &[tiny]),
                ],
            ),
            nginx: Index::new(Format::Oci, vec![nginx(&[busybox, hello])]),
        }
    }

    /// Fills Docker Hub.
    pub(crate) fn push_to_hub(&self, hub: &Client) -> io::Result<()> {
        for tag in ["latest", "1.36"] {
            self.busybox.push(hub, "library/busybox", tag)?;
        }
        self.alpine_3_3.push(hub, "library/alpine", "3.3")?;
        self.alpine_3_10.push(hub, "library/alpine", "3.10")?;
        self.alpine_3_20.push(hub, "library/alpine", "3.20")?;
        self.nginx.push(hub, "library/nginx", "latest")?;
        for tag in ["latest", "frozen", "linux"] {
            self.hello.push(hub, "library/hello-world", tag)?;
        }
        for (image, tag) in self.hello.images.iter().zip(["amd64", "arm64"]) {
            image.push(hub, "library/hello-world", tag)?;
        }
        // A push finds the layers of these there already.
        let amd64 = &self.busybox.images[0];
        amd64.push(hub, "hubuser/bb", "seed")
    }

    /// Fills the registry without a password.
    pub(crate) fn push_to_plain(&self, registry: &Client) -> io::Result<()> {
        for tag in ["latest", "1.36"] {
            self.busybox.push(registry, "library/busybox", tag)?;
        }
        for repository in ["me/bb", "me/bb2"] {
            self.busybox.images[0].push(registry, repository, "seed")?;
        }
        Ok(())
    }

    /// The values that the names of the fixtures stand for here.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let config = |index: &Index, image: usize| index.images[image].config.digest.hex();
        let manifest = |index: &Index| index.manifest.digest.hex();
        let child = |image: usize| self.hello.images[image].manifest.digest.hex();
        [
            ("image-busybox-1.36", config(&self.busybox, 0)),
            ("image-alpine-3.3", config(&self.alpine_3_3, 0)),
            ("image-alpine-3.10", config(&self.alpine_3_10, 0)),
            ("image-alpine-3.20", config(&self.alpine_3_20, 0)),
            ("image-hello-world-amd64", config(&self.hello, 0)),
            ("image-hello-world-arm64", config(&self.hello, 1)),
            ("image-nginx-latest", config(&self.nginx, 0)),
            ("manifest-busybox", manifest(&self.busybox)),
            ("manifest-alpine", manifest(&self.alpine_3_3)),
            ("manifest-alpine-2", manifest(&self.alpine_3_10)),
            ("manifest-alpine-3", manifest(&self.alpine_3_20)),
            ("manifest-nginx", manifest(&self.nginx)),
            ("manifest-hello-world", manifest(&self.hello)),
            ("manifest-hello-world-2", child(0)),
            ("manifest-hello-world-3", child(1)),
        ]
        .map(|(name, digest)| (name.to_owned(), digest))
        .into()
    }
}

impl Images {
    /// nginx as an OCI layout in a tar, as `skopeo copy … oci-archive:` writes it.
    pub(crate) fn oci_layout(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        self.nginx.images[0].write_layout(folder.path(), "nginx:fromoci").unwrap();
        let mut entries = vec![Entry::directory("blobs"), Entry::directory("blobs/sha256")];
        let blobs = folder.path().join("blobs/sha256");
        for blob in std::fs::read_dir(blobs).unwrap() {
            let blob = blob.unwrap();
            let name = format!("blobs/sha256/{}", blob.file_name().to_str().unwrap());
            entries.push(Entry::file(name, std::fs::read(blob.path()).unwrap()));
        }
        for name in ["index.json", "oci-layout"] {
            entries.push(Entry::file(name, std::fs::read(folder.path().join(name)).unwrap()));
        }
        tar(&entries)
    }

    /// The image that `docker commit` makes of a container of alpine:3.20, as an archive that names the parent.
    pub(crate) fn committed(&self) -> Vec<u8> {
        let parent = &self.alpine_3_20.images[0];
        let mut config: Value = serde_json::from_slice(&parent.config.read().unwrap()).unwrap();
        let created = "2026-11-21T17:55:25.460842884Z";
        config["created"] = json!(created);
        config["author"] = json!("me");
        config["comment"] = json!("msg");
        config["config"]["Cmd"] = json!(["x"]);
        config["config"]["Labels"] = json!({});
        config["docker_version"] = json!("");
        config["history"].as_array_mut().unwrap().push(json!({
            "created": created, "author": "me", "comment": "msg", "created_by": "true", "empty_layer": true,
        }));
        let manifest = json!([{
            "Config": "config.json", "RepoTags": ["cm:1"], "Layers": ["layer.tar"],
            "Parent": parent.config.digest.to_string(),
        }]);
        let layer = filter("gzip -dc", &parent.layers[0].blob.read().unwrap());
        tar(&[
            Entry::file("config.json", config.to_string()),
            Entry::file("layer.tar", layer),
            Entry::file("manifest.json", manifest.to_string()),
        ])
    }
}

/// A layer of one file of `size` bytes that do not compress to nothing.
fn layer(name: &str, size: usize) -> Layer {
    let mut state =
        name.bytes().fold(1_u64, |state, byte| state.wrapping_mul(257) + u64::from(byte)) | 1;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        content.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    content.truncate(size);
    Layer::new(Compression::Gzip, &[Entry::file(format!("{name}.bin"), content)])
}

fn platform(architecture: &str, variant: Option<&str>) -> Platform {
    let mut platform = Platform::parse(&format!("linux/{architecture}")).unwrap();
    platform.variant = variant.map(str::to_owned);
    platform
}

fn amd64(command: &[&str], layers: &[Layer]) -> Image {
    docker(platform("amd64", None), command, layers)
}

const ENVIRONMENT: [&str; 1] =
    ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/// An image as docker build 20.10 wrote it.
fn docker(platform: Platform, command: &[&str], layers: &[Layer]) -> Image {
    let config = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": ENVIRONMENT, "Cmd": command, "Image": "", "Volumes": null, "WorkingDir": "",
        "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    let mut document = document(&platform, &config, command, layers);
    document["docker_version"] = json!("20.10.23");
    assemble(Format::Docker, platform, document, layers)
}

/// An image as other builders write it.
fn nginx(layers: &[Layer]) -> Image {
    let command = ["nginx"];
    let config = json!({ "Env": ENVIRONMENT, "Cmd": command });
    let platform = platform("amd64", None);
    let document = document(&platform, &config, &command, layers);
    assemble(Format::Oci, platform, document, layers)
}

fn document(platform: &Platform, config: &Value, command: &[&str], layers: &[Layer]) -> Value {
    let added = |layer: &Layer| {
        let digest = layer.diff_id.digest().hex();
        json!({ "created": CREATED, "created_by": format!("/bin/sh -c #(nop) ADD file:{digest} in / ") })
    };
    let mut history: Vec<Value> = layers.iter().map(added).collect();
    let command = json!(command);
    history.push(json!({
        "created": CREATED, "created_by": format!("/bin/sh -c #(nop)  CMD {command}"), "empty_layer": true,
    }));
    let mut document = json!({
        "architecture": platform.architecture, "os": platform.os, "config": config,
        "created": CREATED, "history": history,
    });
    if let Some(variant) = &platform.variant {
        document["variant"] = json!(variant);
    }
    document
}

fn assemble(format: Format, platform: Platform, document: Value, layers: &[Layer]) -> Image {
    let builder = Image::builder().format(format).platform(platform).document(document);
    layers.iter().cloned().fold(builder, test_support::image::ImageBuilder::layer).build()
}

//! Data roots with images that are told in a few words, for tests of the engine's rules.
//!
//! An image is a line: its own name, and what is not as usual:
//!
//! ```text
//! web tags=web:1,web:2 digests=web layers=base,web at=20 labels=tier=front parent=base platform=linux/arm64
//! ```
//!
//! Layers are words, too: `base` is one small file of that name, `base:700` one of 700 bytes. Without `layers` an image has one
//! that is called as itself, with `layers=-` none. `digests` names repositories in which the image has its manifest's digest, `kept`
//! keeps the manifest without; `used` is when it was used last, in seconds. In what goes in and comes out, digests are names: see [`Fixture::digits`] and [`Fixture::words`].

use std::collections::BTreeMap;

use archive::ApplyOptions;
use registry::RegistryConfig;
use serde_json::{Value, json};
use spec::{ChainId, Descriptor, DiffId, Digest, ImageId, MediaType, Platform, Reference};
use store::{Commit, DriverKind, LayerRecord, Lease, NewImage, Store, VerifiedBlob};
use tempfile::TempDir;
use test_support::image::{Compression, Layer};
use test_support::tar::Entry;

use crate::{Engine, EngineConfig, Limits};

/// The size of a layer that does not say it.
const USUAL_SIZE: usize = 10;

pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    runtime: tokio::runtime::Runtime,
    _folder: TempDir,
    made: BTreeMap<String, Made>,
    /// Digests and their names.
    called: Vec<(Digest, String)>,
}

/// An image that was put into the store.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: ImageId,
    pub(crate) manifest: Digest,
    pub(crate) layers: Vec<Layer>,
}

impl Fixture {
    /// Makes a data root that keeps layers packed, with these images.
    pub(crate) fn new(lines: &[&str]) -> Self {
        Self::with_driver(DriverKind::Packed, lines)
    }

    /// Makes a data root that unpacks layers; `None` where that is not allowed, which is told.
    pub(crate) fn unpacked(lines: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: unpacked layers are not tested");
            return None;
        }
        Some(Self::with_driver(DriverKind::Overlay2, lines))
    }

    fn with_driver(driver: DriverKind, lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::open(EngineConfig {
            data_root: folder.path().join("root"),
            driver: Some(driver),
            keep_blobs: true,
            registry: RegistryConfig::default(),
            trust: policy::Settings::default(),
            limits: Limits::default(),
        }));
        let engine = engine.unwrap();
        let (made, called) = (BTreeMap::new(), Vec::new());
        let mut fixture = Self { engine, runtime, _folder: folder, made, called };
        for line in lines {
            fixture.add(line);
        }
        fixture
    }

    pub(crate) fn store(&self) -> &Store {
        self.engine.store()
    }

    /// Runs an operation to its end.
    pub(crate) fn run<T>(&self, operation: impl Future<Output = T>) -> T {
        self.runtime.block_on(operation)
    }

    pub(crate) fn made(&self, name: &str) -> &Made {
        self.made.get(name).unwrap_or_else(|| panic!("no image is called {name}"))
    }

    pub(crate) fn id(&self, name: &str) -> ImageId {
        self.made(name).id.clone()
    }

    /// Puts an image into the store.
    pub(crate) fn add(&mut self, line: &str) {
        self.add_with(line, &json!({}));
    }

    /// Puts an image into the store whose config also has these members.
    pub(crate) fn add_with(&mut self, line: &str, config: &Value) {
        let line = Line::parse(line);
        let config = line.config(config);
        let id = ImageId::new(Digest::sha256(&config));
        let manifest = line.manifest(&config);
        let digest = Digest::sha256(&manifest);
        let store = self.engine.store();
        let lease = store.lease().unwrap();
        let mut commit = Commit::default();
        let mut chain: Option<ChainId> = None;
        let mut path = Vec::new();
        for (word, layer) in &line.layers {
            let parent = chain.clone();
            chain = Some(ChainId::extend(parent.as_ref(), &layer.diff_id));
            path.push(word.as_str());
            let chain = chain.as_ref().unwrap();
            self.called.push((chain.digest().clone(), format!("layer {}", path.join("/"))));
            lease.hold_layer(chain).unwrap();
            if store.layer(chain).unwrap().is_none() {
                stage(store, &lease, &mut commit, layer, parent);
            }
        }
        let mut manifests = Vec::new();
        if line.keeps_manifest {
            let size = manifest.len() as u64;
            manifests.push(Descriptor::new(MediaType::OciManifest, digest.clone(), size));
            let documents =
                [manifest, config.clone()].map(|bytes| VerifiedBlob::of_bytes(bytes.into()));
            commit.blobs.extend(documents);
        }
        commit.references = line.references(&digest).map(|name| (name, id.clone())).collect();
        commit.image =
            Some(NewImage { id: id.clone(), config: config.into(), manifests, parts: Vec::new() });
        store.commit(&lease, commit).unwrap();
        if let Some(seconds) = line.used {
            self.engine.store().note_use(&id);
            self.date(&id, seconds);
        }
        let store = self.engine.store();
        if let Some(parent) = &line.parent {
            store.set_parent(&id, &self.id(parent)).unwrap();
        }
        self.called.push((id.digest().clone(), line.name.clone()));
        self.called.push((digest.clone(), format!("{} digest", line.name)));
        let layers = line.layers.into_iter().map(|(_, layer)| layer).collect();
        self.made.insert(line.name, Made { id, manifest: digest, layers });
    }

    /// Pretends that an image came, and was used last, then.
    fn date(&self, id: &ImageId, seconds: u64) {
        let (root, hex) = (self.store().root(), id.digest().hex());
        let configs = root.join("image").join(self.store().driver().as_str());
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for folder in [root.join("longshore/used"), configs.join("imagedb/content/sha256")] {
            let file = std::fs::File::options().write(true).open(folder.join(&hex)).unwrap();
            file.set_modified(time).unwrap();
        }
    }

    /// Puts what makes up an image into the store as blobs alone, and describes it as an index does.
    pub(crate) fn add_part(&mut self, line: &str) -> Descriptor {
        let line = Line::parse(line);
        let config = line.config(&json!({}));
        let manifest = line.manifest(&config);
        let (id, digest) = (ImageId::new(Digest::sha256(&config)), Digest::sha256(&manifest));
        let size = manifest.len() as u64;
        for bytes in [config, manifest] {
            self.add_blob(bytes);
        }
        let layers: Vec<Layer> = line.layers.into_iter().map(|(_, layer)| layer).collect();
        for layer in &layers {
            self.add_blob(layer.blob.read().unwrap());
        }
        self.called.push((id.digest().clone(), line.name.clone()));
        self.called.push((digest.clone(), format!("{} digest", line.name)));
        self.made.insert(line.name, Made { id, manifest: digest.clone(), layers });
        let mut descriptor = Descriptor::new(MediaType::OciManifest, digest, size);
        descriptor.platform = Some(line.platform);
        descriptor
    }

    /// Describes the manifest of an image as an index does.
    pub(crate) fn described(&self, name: &str) -> Descriptor {
        let image = self.store().image(&self.id(name)).unwrap().unwrap();
        let digest = self.made(name).manifest.clone();
        let size = self.store().blob(&digest).unwrap().unwrap().size;
        let mut descriptor = Descriptor::new(MediaType::OciManifest, digest, size);
        descriptor.platform = Some(image.config.value().platform());
        descriptor
    }

    pub(crate) fn add_blob(&self, bytes: Vec<u8>) -> Digest {
        let blob = VerifiedBlob::of_bytes(bytes.into());
        self.store().replace_blob(&blob).unwrap();
        blob.digest().clone()
    }

    /// Makes an index one that an image came with.
    pub(crate) fn add_index(&self, image: &str, entries: &[Descriptor]) -> Descriptor {
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::OciIndex, "manifests": entries,
        });
        let bytes = index.to_string().into_bytes();
        let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        let descriptor = Descriptor::new(MediaType::OciIndex, digest, size);
        let document = (descriptor.clone(), bytes.into());
        self.store().keep_manifests(&self.id(image), &[document]).unwrap();
        descriptor
    }

    /// Pretends that a dockerd keeps a container of an image.
    pub(crate) fn container(&self, image: &str, container: &str, running: bool) {
        let folder = self.store().root().join("containers").join(container);
        std::fs::create_dir_all(&folder).unwrap();
        let note = json!({
            "ID": container, "Image": self.id(image), "State": { "Running": running },
        });
        std::fs::write(folder.join("config.v2.json"), note.to_string()).unwrap();
    }

    /// Puts digests in the place of names: `<web>` is an image's ID, `<web 12>` its first digits, `<web digest>` its manifest's.
    pub(crate) fn digits(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, made) in &self.made {
            let hex = made.id.digest().hex();
            text = text.replace(&format!("<{name}>"), &made.id.to_string());
            text = text.replace(&format!("<{name} digest>"), &made.manifest.to_string());
            for count in [1, 7, 12, 64] {
                text = text.replace(&format!("<{name} {count}>"), &hex[..count]);
            }
        }
        assert!(!text.contains('<'), "nothing is called so: {text}");
        text
    }

    /// Puts names in the place of digests, whole ones and those that are cut to twelve digits.
    pub(crate) fn words(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (digest, name) in &self.called {
            text = text.replace(&digest.to_string(), &format!("<{name}>"));
            text = text.replace(&digest.short(), &format!("<{name}>"));
        }
        text
    }

    /// Lists all names in the store and the images that they mean.
    pub(crate) fn names(&self) -> String {
        let references = self.store().references().unwrap();
        let names: Vec<String> =
            references.iter().map(|(name, id)| format!("{} {id}", name.familiar())).collect();
        self.words(&names.join(", "))
    }
}

/// An image as it is told.
struct Line {
    name: String,
    layers: Vec<(String, Layer)>,
    tags: Vec<Reference>,
    digests: Vec<Reference>,
    keeps_manifest: bool,
    created: Option<i64>,
    used: Option<u64>,
    labels: BTreeMap<String, String>,
    parent: Option<String>,
    platform: Platform,
}

impl Line {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let name = words.next().expect("an image has a name").to_owned();
        let mut line = Self {
            layers: vec![layer(&name)],
            name,
            tags: Vec::new(),
            digests: Vec::new(),
            keeps_manifest: false,
            created: Some(0),
            used: None,
            labels: BTreeMap::new(),
            parent: None,
            platform: Platform::parse("linux/amd64").unwrap(),
        };
        let reference = |text: &str| Reference::parse_familiar(text).unwrap();
        let tagged = |text: &str| reference(text).with_default_tag();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let list = value.split(',').filter(|word| !matches!(*word, "" | "-"));
            match key {
                "tags" => line.tags = list.map(tagged).collect(),
                "digests" => {
                    line.digests = list.map(reference).collect();
                    line.keeps_manifest = true;
                }
                "kept" => line.keeps_manifest = true,
                "layers" => line.layers = list.map(layer).collect(),
                "used" => line.used = value.parse().ok(),
                "at" => line.created = value.parse().ok(),
                "labels" => {
                    let pairs = list.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                    line.labels = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
                }
                "parent" => line.parent = Some(value.to_owned()),
                "platform" => line.platform = Platform::parse(value).unwrap(),
                _ => panic!("nothing is called {key}: {text}"),
            }
        }
        line
    }

    /// Makes the config. The image's own name is in it, so that no two images are one.
    fn config(&self, more: &Value) -> Vec<u8> {
        let created = self.created.map(|at| jiff::Timestamp::from_second(at).unwrap().to_string());
        let step = |(word, _): &(String, Layer)| json!({ "created_by": format!("RUN {word}") });
        let diff_ids: Vec<&DiffId> = self.layers.iter().map(|(_, layer)| &layer.diff_id).collect();
        let mut config = json!({
            "comment": self.name,
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "variant": self.platform.variant,
            "created": created,
            "config": { "Labels": self.labels },
            "history": self.layers.iter().map(step).collect::<Vec<_>>(),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        config.to_string().into_bytes()
    }

    fn manifest(&self, config: &[u8]) -> Vec<u8> {
        let (digest, size) = (Digest::sha256(config), config.len() as u64);
        let layers: Vec<Descriptor> =
            self.layers.iter().map(|(_, layer)| described(layer)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest,
            "config": Descriptor::new(MediaType::OciConfig, digest, size),
            "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    fn references(&self, manifest: &Digest) -> impl Iterator<Item = Reference> {
        let by_digest = |name: &Reference| {
            Reference::new(name.repository().clone(), None, Some(manifest.clone()))
        };
        let digests: Vec<Reference> = self.digests.iter().map(by_digest).collect();
        self.tags.clone().into_iter().chain(digests)
    }
}

/// Makes a layer of one file: `base`, or with its size `base:700`.
pub(crate) fn layer(word: &str) -> (String, Layer) {
    let (name, size) = word.split_once(':').unwrap_or((word, ""));
    let size = if size.is_empty() { USUAL_SIZE } else { size.parse().unwrap() };
    let content: Vec<u8> = name.bytes().cycle().take(size).collect();
    (name.to_owned(), Layer::new(Compression::Gzip, &[Entry::file(name, content)]))
}

/// Describes the blob of a layer as a manifest does.
pub(crate) fn described(layer: &Layer) -> Descriptor {
    Descriptor::new(MediaType::OciLayerGzip, layer.blob.digest.clone(), layer.blob.size)
}

/// Puts a layer where a pull would have it before its commit.
fn stage(
    store: &Store,
    lease: &Lease,
    commit: &mut Commit,
    layer: &Layer,
    parent: Option<ChainId>,
) {
    let (bytes, digest) = (layer.blob.read().unwrap(), &layer.blob.digest);
    lease.hold_blob(digest).unwrap();
    let is_new = commit.blobs.iter().all(|blob| blob.digest() != digest);
    if is_new && store.blob(digest).unwrap().is_none() {
        let size = bytes.len() as u64;
        let ingest = store.ingest(lease, digest, size).unwrap();
        ingest.writer(0..size).unwrap().write(&bytes).unwrap();
        commit.blobs.push(ingest.verify().unwrap());
    }
    let staged = store.stage(lease).unwrap();
    let unpacked = match store.driver() {
        DriverKind::Packed => archive::inspect_compressed(&*bytes, None, None, &|_| {}),
        DriverKind::Overlay2 => {
            let (path, split) = (staged.path(), staged.tar_split().unwrap());
            archive::unpack(&*bytes, path, split, None, &ApplyOptions::default(), &|_| {})
        }
    };
    let size = unpacked.unwrap().applied.size;
    let (diff_id, blob) = (layer.diff_id.clone(), Some(digest.clone()));
    commit.layers.push((staged, LayerRecord { diff_id, parent, size, blob }));
}

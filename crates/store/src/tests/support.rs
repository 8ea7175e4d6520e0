//! Data roots with small images in them, and what must always be true of one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use spec::{
    ChainId, Descriptor, DiffId, Digest, ImageId, MAX_CONFIG_SIZE, MediaType, Reference, Repository,
};
use tempfile::TempDir;

use crate::{
    Commit, Committed, Credentials, DriverKind, HmacKey, Layer, LayerRecord, Lease, NewImage,
    Source, Store, StoreError, StoreOptions, VerifiedBlob, files,
};

/// A data root in a temporary directory.
pub(crate) struct Root {
    pub(crate) store: Store,
    directory: TempDir,
}

impl Root {
    pub(crate) fn packed() -> Self {
        Self::new(DriverKind::Packed)
    }

    pub(crate) fn new(driver: DriverKind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("root"), driver);
        Self { store, directory }
    }

    /// A data root on the file system of `directory`.
    pub(crate) fn within(directory: &Path, driver: DriverKind) -> Self {
        let directory = tempfile::tempdir_in(directory).unwrap();
        let store = open(&directory.path().join("root"), driver);
        Self { store, directory }
    }

    /// Closes the store, has `between` happen, and opens it again.
    pub(crate) fn closed_meanwhile(self, between: impl FnOnce()) -> Self {
        let Self { store, directory } = self;
        let (path, driver) = (store.root().to_owned(), store.driver());
        drop(store);
        between();
        Self { store: open(&path, driver), directory }
    }

    pub(crate) fn reopen(&self) -> Store {
        open(self.store.root(), self.store.driver())
    }
}

pub(crate) fn open(root: &Path, driver: DriverKind) -> Store {
    Store::open(StoreOptions { root: root.to_owned(), driver: Some(driver), keep_blobs: true })
        .unwrap()
}

/// The drivers that work here: unpacked layers need root.
pub(crate) fn drivers() -> Vec<DriverKind> {
    if rustix::process::geteuid().is_root() {
        vec![DriverKind::Packed, DriverKind::Overlay2]
    } else {
        eprintln!("not root: the driver overlay2 is not tested");
        vec![DriverKind::Packed]
    }
}

/// An image whose layers are made of words: each word is the content of a blob and of a file.
pub(crate) struct Sample {
    pub(crate) words: Vec<String>,
    pub(crate) name: Reference,
}

impl Sample {
    pub(crate) fn new(name: &str, words: &[&str]) -> Self {
        Self {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            name: Reference::parse_familiar(name).unwrap(),
        }
    }

    pub(crate) fn diff_ids(&self) -> Vec<DiffId> {
        let diff_id =
            |word: &String| DiffId::new(Digest::sha256(format!("tar of {word}").as_bytes()));
        self.words.iter().map(diff_id).collect()
    }

    pub(crate) fn chain(&self) -> Vec<ChainId> {
        ChainId::chain(&self.diff_ids())
    }

    pub(crate) fn blob(&self, number: usize) -> Digest {
        Digest::sha256(self.words[number].as_bytes())
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        let ids: Vec<String> = self.diff_ids().iter().map(|id| format!("\"{id}\"")).collect();
        let ids = ids.join(",");
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#)
            .into_bytes()
    }

    pub(crate) fn id(&self) -> ImageId {
        ImageId::new(Digest::sha256(&self.config()))
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        let config = self.config();
        let descriptor = |bytes: &[u8], kind: MediaType| {
            Descriptor::new(kind, Digest::sha256(bytes), bytes.len() as u64)
        };
        let layers: Vec<_> = self
            .words
            .iter()
            .map(|w| descriptor(w.as_bytes(), "application/vnd.oci.image.layer.v1.tar+gzip".into()))
            .collect();
        serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2,
            "config": descriptor(&config, "application/vnd.oci.image.config.v1+json".into()),
            "layers": layers,
        }))
        .unwrap()
    }

    pub(crate) fn digest_name(&self) -> Reference {
        let digest = Digest::sha256(&self.manifest());
        Reference::new(self.name.repository().clone(), None, Some(digest))
    }

    /// Does what a pull does, apart from the network.
    pub(crate) fn pull(&self, store: &Store) -> Result<Committed, StoreError> {
        let lease = store.lease()?;
        let commit = self.prepare(store, &lease)?;
        store.commit(&lease, commit)
    }

    pub(crate) fn prepare(&self, store: &Store, lease: &Lease) -> Result<Commit, StoreError> {
        let mut commit = Commit::default();
        let chain = self.chain();
        for (number, word) in self.words.iter().enumerate() {
            let blob = self.blob(number);
            lease.hold_layer(&chain[number])?;
            lease.hold_blob(&blob)?;
            let repository = self.name.repository();
            commit.sources.push((self.diff_ids()[number].clone(), source(&blob, repository)));
            if store.layer(&chain[number])?.is_some() {
                continue;
            }
            let ingest = store.ingest(lease, &blob, word.len() as u64)?;
            if let Some(missing) = ingest.missing().first() {
                let start = usize::try_from(missing.start).unwrap();
                ingest.writer(missing.clone())?.write(&word.as_bytes()[start..])?;
            }
            commit.blobs.push(ingest.verify()?);
            let staged = store.stage(lease)?;
            if store.driver() == DriverKind::Overlay2 {
                fs::write(staged.path().join(word), word).unwrap();
                staged.tar_split()?.write_all(word.as_bytes()).unwrap();
            }
            let record = LayerRecord {
                diff_id: self.diff_ids()[number].clone(),
                parent: number.checked_sub(1).map(|below| chain[below].clone()),
                size: word.len() as u64,
                blob: Some(blob),
            };
            commit.layers.push((staged, record));
        }
        let (config, manifest) = (self.config(), self.manifest());
        let digest = Digest::sha256(&manifest);
        let kind = "application/vnd.oci.image.manifest.v1+json".into();
        let descriptor = Descriptor::new(kind, digest.clone(), manifest.len() as u64);
        commit.blobs.push(VerifiedBlob::check(&digest, manifest.into())?);
        commit.blobs.push(VerifiedBlob::of_bytes(config.clone().into()));
        let manifests = vec![descriptor];
        let parts = Vec::new();
        commit.image = Some(NewImage { id: self.id(), config: config.into(), manifests, parts });
        commit.references = vec![(self.name.clone(), self.id()), (self.digest_name(), self.id())];
        Ok(commit)
    }

    pub(crate) fn untag(&self, store: &Store) {
        store
            .remove_references(|references| {
                references.remove(&self.name);
                references.remove(&self.digest_name());
                Ok(())
            })
            .unwrap();
    }
}

pub(crate) fn source(blob: &Digest, repository: &Repository) -> Source {
    let hmac = HmacKey::new(&Credentials::default()).sign(blob, repository);
    Source { digest: blob.clone(), repository: repository.clone(), hmac }
}

/// Checks a data root that nobody is using: all that is there is complete and used, and nothing else is there.
///
/// Ingest files may be left: they are what the next pull goes on from.
pub(crate) fn assert_sound(store: &Store) {
    let mut layers = BTreeSet::new();
    let mut blobs = BTreeSet::new();
    // A pull that finds a layer unpacked does not need its blob, which may have gone with another image.
    let mut needed = BTreeSet::new();
    for (name, id) in store.references().unwrap().iter() {
        assert!(store.image(&id).unwrap().is_some(), "{name} means {id}, which is not there");
    }
    for id in store.images().unwrap() {
        let image = store.image(&id).unwrap().unwrap();
        layers.extend(image.layers.iter().cloned());
        let parts = store.parts_of(&id).unwrap();
        let own = store.manifests_of(&id).unwrap();
        for (manifest, is_part) in
            own.iter().map(|own| (own, false)).chain(parts.iter().map(|part| (part, true)))
        {
            let bytes = store.read_blob(&manifest.digest, MAX_CONFIG_SIZE).unwrap();
            let bytes = bytes.expect("a listed manifest is there");
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            needed.insert(manifest.digest.clone());
            let digest = |blob: &serde_json::Value| blob["digest"].as_str()?.parse().ok();
            needed.extend(digest(&parsed["config"]));
            let layers = parsed["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let layers: Vec<Digest> = layers.iter().map(|blob| digest(blob).unwrap()).collect();
            if is_part {
                needed.extend(layers.iter().cloned());
            }
            blobs.extend(needed.iter().cloned().chain(layers));
        }
    }
    let mut cache_ids = BTreeSet::new();
    let known: BTreeSet<ChainId> = store.layer_parents().unwrap().into_keys().collect();
    assert_eq!(known, layers, "the layers are those of the images");
    for chain in &layers {
        let layer = store.layer(chain).unwrap().unwrap();
        assert_layer(store, &layer);
        blobs.extend(layer.blob);
        cache_ids.insert(layer.cache_id);
    }
    let content = store.paths().content();
    let there: BTreeSet<Digest> = files::names(&content.join("blobs/sha256"))
        .unwrap()
        .iter()
        .map(|name| format!("sha256:{name}").parse().unwrap())
        .collect();
    assert!(there.is_subset(&blobs), "manifests or layers mention every blob");
    let needed = if store.driver() == DriverKind::Packed { &blobs } else { &needed };
    assert!(needed.is_subset(&there), "what cannot be made again is here");
    for digest in &there {
        store.read_blob(digest, MAX_CONFIG_SIZE).unwrap().unwrap();
    }
    if store.driver() == DriverKind::Overlay2 {
        let mut directories = files::names(&store.paths().overlay()).unwrap();
        directories.retain(|name| name != "l");
        assert_eq!(directories.into_iter().collect::<BTreeSet<_>>(), cache_ids);
        assert_eq!(files::names(&store.paths().overlay_links()).unwrap().len(), cache_ids.len());
    }
    let paths = store.paths();
    for directory in [paths.staging(), paths.trash(), paths.leases()] {
        let left = files::names(&directory).unwrap();
        assert!(left.is_empty(), "{} holds {left:?}", directory.display());
    }
}

fn assert_layer(store: &Store, layer: &Layer) {
    assert_eq!(ChainId::extend(layer.parent.as_ref(), &layer.diff_id), layer.chain_id);
    if store.driver() == DriverKind::Packed {
        assert!(store.blob(layer.blob.as_ref().unwrap()).unwrap().is_some());
        return;
    }
    let directory = store.paths().overlay_layer(&layer.cache_id);
    let file = fs::read_dir(directory.join("diff")).unwrap().next().unwrap().unwrap().path();
    let content = fs::read(&file).unwrap();
    assert_eq!(content.len() as u64, layer.size);
    assert_eq!(file.file_name().unwrap().as_encoded_bytes(), content);
    assert!(store.tar_split(&layer.chain_id).unwrap().is_some());
    let mut below = Vec::new();
    let mut parent = layer.parent.clone();
    while let Some(chain) = parent {
        let layer = store.layer(&chain).unwrap().unwrap();
        let directory = store.paths().overlay_layer(&layer.cache_id);
        assert!(directory.join("committed").exists(), "a parent is marked");
        below.push(directory.join("diff").to_string_lossy().into_owned());
        parent = layer.parent;
    }
    let data = store.graph_driver(&layer.chain_id).unwrap().data;
    assert_eq!(data.get("LowerDir").map(String::as_str).unwrap_or_default(), below.join(":"));
    for path in &below {
        assert!(Path::new(path).is_dir());
    }
    let link = fs::read_to_string(directory.join("link")).unwrap();
    assert!(store.paths().overlay_links().join(link).is_dir(), "the link leads somewhere");
}

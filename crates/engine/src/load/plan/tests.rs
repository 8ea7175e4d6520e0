use serde_json::json;
use spec::{Descriptor, MediaType};
use test_support::image::{Compression, Layer};
use test_support::tar::Entry;

use crate::testing::{Fixture, layer};

use super::*;

/// An archive of one image, in parts that a test changes before it is planned.
struct Archive {
    config: Vec<u8>,
    listed: Listed,
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    /// An archive with gzipped layers that are told in words, below the names that an image layout has for them.
    fn new(words: &[&str]) -> Self {
        Self::of(&words.iter().map(|word| layer(word).1).collect::<Vec<_>>())
    }

    fn of(layers: &[Layer]) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let files =
            layers.iter().map(|layer| (blob_path(&layer.blob.digest), layer.blob.read().unwrap()));
        let files: Vec<_> = files.collect();
        let listed = Listed {
            config: "config.json".to_owned(),
            layers: files.iter().map(|(path, _)| path.clone()).collect(),
            ..Listed::default()
        };
        Self { config, listed, files }
    }

    /// Adds a manifest that names the config and the layers, and the list that leads to it.
    fn with_manifest(mut self, layers: &[Layer]) -> Self {
        let described = |layer: &Layer| {
            Descriptor::new(MediaType::OciLayerGzip, layer.blob.digest.clone(), layer.blob.size)
        };
        let size = self.config.len() as u64;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest,
            "config": Descriptor::new(MediaType::OciConfig, Digest::sha256(&self.config), size),
            "layers": layers.iter().map(described).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&manifest);
        let entry = Descriptor::new(MediaType::OciManifest, digest.clone(), manifest.len() as u64);
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        self.files.push((blob_path(&digest), manifest));
        self.files.push(("index.json".to_owned(), index.to_string().into_bytes()));
        self
    }

    fn named(mut self, names: &[&str]) -> Self {
        self.listed.tags = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    fn manifest(&self) -> Digest {
        let (path, _) = &self.files[self.files.len() - 2];
        named_digest(path).unwrap()
    }

    fn plan(&self, fixture: &Fixture, platform: Option<&str>) -> Result<Option<PlannedImage>> {
        let mut files = self.files.clone();
        files.push((self.listed.config.clone(), self.config.clone()));
        let contents = Contents::read(Tree::of(files)).unwrap();
        let platforms = platform.map_or(Platforms::Here, |text| {
            Platforms::These(vec![spec::Platform::parse(text).unwrap()])
        });
        let lease = fixture.store().lease().unwrap();
        plan(fixture.store(), &lease, &contents, &self.listed, &platforms)
    }

    fn layers(&self, fixture: &Fixture) -> Vec<PlannedLayer> {
        self.plan(fixture, None).unwrap().unwrap().layers
    }

    fn refusal(&self, fixture: &Fixture) -> String {
        self.plan(fixture, None).unwrap_err().to_string()
    }
}

#[test]
fn an_image_is_named_by_the_bytes_of_its_config_whatever_the_list_calls_it() {
    let fixture = Fixture::new(&[]);
    let mut archive = Archive::new(&["base"]);
    let id = Digest::sha256(&archive.config);
    let other = blob_path(&Digest::sha256(b"other"));
    for (path, fits) in [
        ("config.json", true),
        (&*blob_path(&id), true),
        // docker save of old wrote the digest without a folder, where it is no more than a name.
        (&*format!("{}.json", Digest::sha256(b"other").hex()), true),
        (&*other, false),
    ] {
        path.clone_into(&mut archive.listed.config);
        match archive.plan(&fixture, None) {
            Ok(planned) if fits => assert_eq!(*planned.unwrap().id.digest(), id, "{path}"),
            Err(EngineError::BadArchive(BadArchive::Content(told))) if !fits => {
                assert_eq!(told, path);
            }
            planned => panic!("{path}: {planned:?}"),
        }
    }
}

#[test]
fn an_image_for_another_platform_is_passed_over() {
    let fixture = Fixture::new(&[]);
    let archive = Archive::new(&["base"]);
    for (platform, wanted) in
        [(None, true), (Some("linux/amd64"), true), (Some("linux/arm64"), false)]
    {
        let planned = archive.plan(&fixture, platform).unwrap();
        assert_eq!(planned.is_some(), wanted, "{platform:?}");
    }
}

/// Layers of Windows have files that no Linux can make; where nothing is unpacked, that is no matter.
#[test]
fn another_system_is_refused_where_layers_are_unpacked() {
    let mut archive = Archive::new(&["base"]);
    let text = String::from_utf8(archive.config).unwrap();
    archive.config = text.replace(r#""os":"linux""#, r#""os":"windows""#).into_bytes();
    assert!(archive.plan(&Fixture::new(&[]), None).unwrap().is_some());
    let Some(unpacked) = Fixture::unpacked(&[]) else { return };
    assert_eq!(archive.refusal(&unpacked), "cannot load windows image on linux");
}

#[test]
fn the_list_and_the_config_have_as_many_layers() {
    let fixture = Fixture::new(&[]);
    for (count, refused) in [(1, true), (2, false), (3, true)] {
        let mut archive = Archive::new(&["base", "web"]);
        let path = archive.listed.layers[0].clone();
        archive.listed.layers.resize(count, path);
        match archive.plan(&fixture, None) {
            Ok(planned) => assert!(!refused && planned.is_some(), "{count}"),
            Err(error) => {
                let expected = format!("layers length mismatch: expected {count}, got 2");
                assert!(refused && error.to_string().ends_with(&expected), "{count}: {error}");
            }
        }
    }
}

#[test]
fn a_name_has_a_tag_or_a_digest() {
    let fixture = Fixture::new(&[]);
    let digest = Digest::sha256(b"manifest");
    let planned = |name: &str| Archive::new(&["base"]).named(&[name]).plan(&fixture, None);
    let (tagged, pinned) = (format!("web:1@{digest}"), format!("web@{digest}"));
    for name in ["web:1", "example.com/web:1", &tagged, &pinned] {
        let planned = planned(name).unwrap().unwrap();
        assert_eq!(planned.names[0].familiar(), name);
        // No archive proves what it does not have.
        assert_eq!(planned.bears(&planned.names[0]), name != pinned, "{name}");
    }
    assert_eq!(planned("web").unwrap_err().to_string(), r#"invalid tag "web""#);
    assert!(planned("Web:1").is_err(), "no name at all");
}

#[test]
fn a_digest_that_the_archive_proves_is_a_name() {
    let fixture = Fixture::new(&[]);
    let layers = [layer("base").1];
    let archive = Archive::of(&layers).with_manifest(&layers);
    let (right, wrong) = (archive.manifest(), Digest::sha256(b"another"));
    let names = [format!("web@{right}"), format!("web@{wrong}")];
    let archive = archive.named(&[&names[0], &names[1]]);
    let planned = archive.plan(&fixture, None).unwrap().unwrap();
    let borne: Vec<bool> = planned.names.iter().map(|name| planned.bears(name)).collect();
    assert_eq!(borne, [true, false]);
}

#[test]
fn what_is_here_needs_no_file() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let mut archive = Archive::new(&["base", "web"]);
    archive.files.clear();
    assert!(archive.layers(&fixture).iter().all(|layer| layer.present && layer.file.is_none()));
    // Each is another layer on something else.
    let mut turned = Archive::new(&["web", "base"]);
    assert!(turned.layers(&fixture).iter().all(|layer| !layer.present && layer.file.is_some()));
    let path = turned.files.pop().unwrap().0;
    assert_eq!(turned.refusal(&fixture), format!("open {path}: no such file or directory"));
}

#[test]
fn all_that_stands_on_a_damaged_layer_is_made_anew() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,mid,web"]);
    let archive = Archive::new(&["base", "mid", "web"]);
    let present = || {
        let layers = archive.layers(&fixture);
        layers.iter().map(|layer| layer.present).collect::<Vec<_>>()
    };
    assert_eq!(present(), [true; 3]);
    let blob = &fixture.made("web").layers[1].blob.digest;
    std::fs::remove_file(fixture.store().blob(blob).unwrap().unwrap().path).unwrap();
    assert_eq!(present(), [true, false, false]);
}

#[test]
fn a_file_that_is_named_by_its_digest_must_have_it() {
    let fixture = Fixture::new(&[]);
    let entry = [Entry::file("base", "base")];
    let [plain, gzip] = [Compression::None, Compression::Gzip].map(|kind| Layer::new(kind, &entry));
    let expected = |archive: &Archive| archive.layers(&fixture)[0].expected.clone();
    for layer in [&gzip, &plain] {
        let layers = std::slice::from_ref(layer);
        assert_eq!(expected(&Archive::of(layers)), Some(layer.blob.digest.clone()));
    }
    let mut archive = Archive::of(&[gzip]);
    archive.listed.layers[0] = "base/layer.tar".to_owned();
    archive.files[0].0 = "base/layer.tar".to_owned();
    assert_eq!(expected(&archive), None);
}

#[test]
fn a_layer_that_is_here_as_another_blob_is_kept_as_the_manifest_has_it() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base"]);
    let content: Vec<u8> = b"base".iter().copied().cycle().take(10).collect();
    let zstd = Layer::new(Compression::Zstd, &[Entry::file("base", content)]);
    let same = fixture.made("web").layers.clone();
    assert_eq!(zstd.diff_id, same[0].diff_id);
    for (layers, keep) in [(vec![zstd], true), (same, false)] {
        // The list calls the layer as it likes: the manifest's blob is what is read.
        let mut archive = Archive::of(&layers).with_manifest(&layers);
        archive.listed.layers[0] = "nowhere".to_owned();
        let planned = &archive.layers(&fixture)[0];
        assert_eq!((planned.present, planned.keep), (true, keep));
        assert_eq!(planned.file.as_ref().map(StoredFile::size), Some(layers[0].blob.size));
    }
}

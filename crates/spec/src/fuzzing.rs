//! Fuzz targets: what arrives as text and becomes one of this crate's values.

use crate::{
    DiffId, Digest, ImageConfig, MAX_INDEX_ENTRIES, Manifest, MediaType, Mentioned, NewSchema1,
    Platform, Reference, Schema1, from_go_json, make_schema1, to_go_json,
};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("reference", reference),
    ("platform", platform),
    ("manifest", manifest),
    ("config", config),
    ("schema1", schema1),
    ("go-json", go_json),
];

/// A reference's canonical and its familiar form mean the same.
fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    let Ok(reference) = Reference::parse_familiar(text) else { return };
    assert!(reference.repository().path().len() <= 255);
    assert!(!reference.repository().path().split('/').any(|part| part == ".." || part.is_empty()));
    assert_eq!(Reference::parse_familiar(&reference.to_string()).as_ref(), Ok(&reference));
    // In Docker, too, the familiar form of `docker.io/a.b/c` is one of another registry.
    let first = reference.repository().path().split_once('/').map_or("", |(first, _)| first);
    if !(reference.repository().is_docker_hub() && (first.contains('.') || first == "localhost")) {
        assert_eq!(Reference::parse_familiar(&reference.familiar()).as_ref(), Ok(&reference));
    }
}

/// A platform's specifier means the platform, and each platform runs its own images best.
fn platform(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(platform) = Platform::parse(text) else { return };
    assert_eq!(platform.clone().normalized(), platform);
    assert_eq!(Platform::parse(&platform.specifier()).as_ref(), Ok(&platform));
    assert_eq!(platform.preference(&platform), Some(0));
}

/// A manifest is the same whether its sender says what it is or not, and holds no more than it may.
fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(None, data) else {
        drop(Mentioned::parse(data));
        return;
    };
    let mentioned = Mentioned::parse(data).expect("a manifest mentions what it does");
    match &manifest {
        Manifest::Image(image) => {
            assert!(image.media_type.is_manifest());
            assert!(mentioned.blobs().eq([&image.config].into_iter().chain(&image.layers)));
        }
        Manifest::Index(index) => {
            assert!(index.media_type.is_index() && index.manifests.len() <= MAX_INDEX_ENTRIES);
            assert_eq!(mentioned.manifests, index.manifests);
        }
    }
    let again = Manifest::parse(Some(manifest.media_type()), data);
    assert_eq!(again.expect("its own media type is wrong"), manifest);
    let name = manifest.media_type().as_str();
    assert_eq!(&MediaType::from(name), manifest.media_type());
}

/// A manifest of schema 1 makes a config of its layers, and that a manifest of the same layers.
fn schema1(data: &[u8]) {
    let Ok(manifest) = Schema1::parse(data, "fuzz") else { return };
    let layers: Vec<Digest> = manifest.layers().cloned().collect();
    let diff_ids: Vec<DiffId> =
        layers.iter().map(|blob| DiffId::new(Digest::sha256(blob.hex().as_bytes()))).collect();
    let Ok(config) = manifest.config(&diff_ids) else { return };
    let new = NewSchema1 { name: "fuzz", tag: "1", config: config.as_bytes(), layers: &layers };
    let (made, _) = make_schema1(&new).expect("a config of its own makes no manifest");
    let again = Schema1::parse(made.as_bytes(), "fuzz").expect("what was made cannot be read");
    assert!(again.layers().eq(&layers));
}

/// A config that was read is written as one that reads the same.
fn config(data: &[u8]) {
    let Ok(config) = ImageConfig::parse(data) else { return };
    let written = to_go_json(&config).expect("a config cannot be written");
    let again = ImageConfig::parse(written.as_bytes()).expect("what was written cannot be read");
    assert_eq!(again, config);
    let _ = (config.labels(), config.platform().normalized());
}

/// A document that Go reads is written as one that reads the same.
fn go_json(data: &[u8]) {
    let Ok(document) = from_go_json::<serde_json::Value>(data) else { return };
    let written = to_go_json(&document).expect("a document cannot be written");
    let again: serde_json::Value =
        from_go_json(written.as_bytes()).expect("what was written cannot be read");
    assert_eq!(again, document);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

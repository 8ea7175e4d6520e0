use std::collections::BTreeSet;

use bytes::Bytes;
use spec::{Descriptor, Digest, ImageConfig, Manifest, ManifestError, MediaType, Raw};

use crate::testing::Fixture;
use crate::{Progress, ProgressReceiver};

use super::*;

/// An image without layers, of whose config nothing but its name is of interest.
fn image(word: &str, names: &[&str]) -> PlannedImage {
    let config = format!(r#"{{"comment":"{word}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#);
    let id = ImageId::new(Digest::sha256(config.as_bytes()));
    let config = Raw::parse(Bytes::from(config), ImageConfig::parse).unwrap();
    let names = names.iter().map(|name| reference(name)).collect();
    let layers = Vec::new();
    let (parts, blobs) = (Vec::new(), Vec::new());
    PlannedImage { id, config, names, layers, origin: None, parts, blobs, parent: None }
}

const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

/// Gives an image a manifest and an index, and references by digest that these prove.
fn with_origin(mut image: PlannedImage, proved: &[Reference]) -> PlannedImage {
    let size = image.config.bytes().len() as u64;
    let config = Descriptor::new(MediaType::OciConfig, image.id.digest().clone(), size);
    let config = serde_json::to_string(&config).unwrap();
    let media_type = MediaType::OciManifest;
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[]}}"#
    );
    let manifest = Raw::parse(Bytes::from(text), |bytes| match Manifest::parse(None, bytes)? {
        Manifest::Image(manifest) => Ok::<_, ManifestError>(*manifest),
        Manifest::Index(index) => panic!("{index:?}"),
    });
    let manifest = manifest.unwrap();
    let described = |media_type, bytes: &Bytes| {
        let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
        (descriptor, bytes.clone())
    };
    let index = described(MediaType::OciIndex, &Bytes::from_static(INDEX.as_bytes()));
    let own = described(MediaType::OciManifest, manifest.bytes());
    let documents = vec![index, own];
    image.origin = Some(Origin { manifest, documents, repo_digests: proved.to_vec() });
    image
}

fn reference(text: &str) -> Reference {
    Reference::parse_familiar(text).unwrap()
}

fn ready(images: impl IntoIterator<Item = PlannedImage>) -> Vec<ReadyImage> {
    images.into_iter().map(|image| (image, Vec::new())).collect()
}

/// The references that are set, each with the image.
fn set(commits: &[Commit]) -> Vec<(String, ImageId)> {
    let all = commits.iter().flat_map(|commit| &commit.references);
    all.map(|(name, id)| (name.familiar(), id.clone())).collect()
}

#[test]
fn tags_are_set_without_the_digests_beside_them() {
    let fixture = Fixture::new(&[]);
    let digest = Digest::sha256(b"manifest");
    let (both, alone) = (format!("web:2@{digest}"), format!("web@{digest}"));
    let web = image("web", &["web:1", &both, &alone]);
    let id = web.id.clone();
    let commits = commits(fixture.store(), ready([web])).unwrap();
    assert_eq!(set(&commits), [("web:1".to_owned(), id.clone()), ("web:2".to_owned(), id.clone())]);
    let new = commits[0].image.as_ref().unwrap();
    assert_eq!((&new.id, &*new.manifests), (&id, &[][..]));
    assert!(
        commits[0].blobs.is_empty(),
        "without a manifest, the config is kept as the image alone"
    );
}

/// An index is of several images: the first that was loaded or pulled by it is what its digest means.
#[test]
fn a_digest_goes_to_the_first_image_that_has_it() {
    let digest = Digest::sha256(b"index");
    let name = reference(&format!("web@{digest}"));
    let claims = [name.clone()];
    let images = || ["amd64", "arm64"].map(|word| with_origin(image(word, &[]), &claims));
    let first = images()[0].id.clone();

    let fixture = Fixture::new(&[]);
    let both = commits(fixture.store(), ready(images())).unwrap();
    assert_eq!(set(&both), [(name.familiar(), first.clone())]);

    let fixture = Fixture::new(&["other tags=other:1"]);
    let other = fixture.id("other");
    fixture.store().update_references(|references| references.set(&name, &other)).unwrap();
    assert_eq!(set(&commits(fixture.store(), ready(images())).unwrap()), []);
}

#[test]
fn what_proves_a_digest_is_kept_the_outermost_first() {
    let fixture = Fixture::new(&[]);
    let web = with_origin(image("web", &["web:1"]), &[]);
    let documents = web.origin.as_ref().unwrap().documents.clone();
    let digests: BTreeSet<Digest> = documents
        .iter()
        .map(|(descriptor, _)| descriptor.digest.clone())
        .chain([web.id.digest().clone()])
        .collect();
    let [commit] = &commits(fixture.store(), ready([web])).unwrap()[..] else { panic!("one") };
    let listed: Vec<_> = commit.image.as_ref().unwrap().manifests.iter().collect();
    assert_eq!(listed, documents.iter().map(|(descriptor, _)| descriptor).collect::<Vec<_>>());
    let blobs: BTreeSet<Digest> = commit.blobs.iter().map(|blob| blob.digest().clone()).collect();
    assert_eq!(blobs, digests, "with the config, which the manifest mentions");
}

#[test]
fn a_document_that_is_not_what_it_is_called_is_published_by_nobody() {
    let fixture = Fixture::new(&[]);
    let mut web = with_origin(image("web", &["web:1"]), &[]);
    web.origin.as_mut().unwrap().documents[0].1 = Bytes::from_static(b"{}");
    commits(fixture.store(), ready([web])).unwrap_err();
}

#[test]
fn held_counts_what_waits_in_memory() {
    let plain = image("web", &[]);
    let config = plain.config.bytes().len();
    assert_eq!(held(&ready([])), 0);
    assert_eq!(held(&ready([plain])), config);
    let named = image("web", &["web:1", "web:2"]);
    assert_eq!(held(&ready([named])), config + 2 * BYTES_OF_A_NAME);
    let kept = with_origin(image("web", &[]), &[]);
    let manifest = kept.origin.as_ref().unwrap().manifest.bytes().len();
    let one = held(&ready([kept]));
    assert_eq!(one, config + manifest + INDEX.len());
    let kept = || with_origin(image("web", &[]), &[]);
    assert_eq!(held(&ready([kept(), kept()])), 2 * one);
}

/// Publishes images and returns what is told of it.
fn publish(fixture: &Fixture, images: Vec<ReadyImage>) -> Vec<String> {
    let (progress, receiver) = Progress::channel();
    let load = Load {
        engine: &fixture.engine,
        lease: Arc::new(fixture.store().lease().unwrap()),
        platforms: crate::Platforms::Here,
        progress,
        layer_progress: Progress::silent(),
    };
    fixture.run(load.publish(images)).unwrap();
    drop(load);
    told(fixture, receiver)
}

fn told(fixture: &Fixture, mut receiver: ProgressReceiver) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = fixture.run(receiver.recv()) {
        told.push(match event {
            ProgressEvent::TagTaken { reference, id } => {
                format!("{reference} was {}", fixture.words(&id.to_string()))
            }
            ProgressEvent::Loaded { reference } => reference,
            other => panic!("{other:?}"),
        });
    }
    told
}

#[test]
fn names_are_told_with_the_image_that_loses_each() {
    let fixture = Fixture::new(&["old tags=web:1,web:2"]);
    let proved = reference(&format!("web@{}", Digest::sha256(b"index")));
    let unproved = format!("other@{}", Digest::sha256(b"index"));
    let by_digest = proved.familiar();
    let web = || {
        let image = image("web", &["web:1", "web:3", &by_digest, &unproved]);
        ready([with_origin(image, std::slice::from_ref(&proved))])
    };
    let id = web()[0].0.id.clone();
    assert_eq!(publish(&fixture, web()), ["web:1 was <old>", "web:1", "web:3", &by_digest]);
    let references = fixture.store().references().unwrap();
    for (name, expected) in [("web:1", &id), ("web:2", &fixture.id("old")), ("web:3", &id)] {
        assert_eq!(references.get(&reference(name)).as_ref(), Some(expected), "{name}");
    }
    assert_eq!(references.get(&proved), Some(id));
    assert_eq!(references.get(&reference(&unproved)), None);
    // It takes nothing from itself.
    assert_eq!(publish(&fixture, web()), ["web:1", "web:3", &by_digest]);
    assert_eq!(publish(&fixture, Vec::new()), [""; 0]);
}

use std::collections::BTreeMap;

use spec::MediaType;

use crate::testing::Fixture;

use super::*;

fn kept(fixture: &Fixture, name: &str) -> Kept {
    let image = fixture.store().image(&fixture.id(name)).unwrap().unwrap();
    let documents = fixture.store().manifests_of(&image.id).unwrap();
    Kept::of(fixture.store(), &image, documents).unwrap()
}

/// Tells manifests in words: what each is, and whether it is here.
fn told(fixture: &Fixture, kept: &Kept) -> String {
    let manifest = |listed: &Listed| {
        let kind = match &listed.kept.kind {
            ManifestKind::Image { platform, unpacked } => format!("{platform} {unpacked}"),
            ManifestKind::Attestation { subject } => format!("of {subject}"),
            ManifestKind::Unknown => "unknown".to_owned(),
        };
        let here = if listed.kept.available { "here" } else { "not here" };
        format!("{} {kind} {here}", listed.kept.descriptor.digest)
    };
    let all: Vec<String> = kept.manifests().map(manifest).collect();
    fixture.words(&all.join(", "))
}

fn attestation(fixture: &Fixture, of: &Digest) -> Descriptor {
    let manifest = br#"{"schemaVersion":2,"config":null,"layers":[]}"#;
    let digest = fixture.add_blob(manifest.to_vec());
    let mut descriptor = Descriptor::new(MediaType::OciManifest, digest, manifest.len() as u64);
    let annotations = [
        (REFERENCE_TYPE_ANNOTATION, "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST_ANNOTATION, of.to_string()),
    ];
    descriptor.annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
    descriptor.platform = Platform::parse("unknown/unknown").ok();
    descriptor
}

fn missing(platform: &str) -> Descriptor {
    let digest = Digest::sha256(platform.as_bytes());
    let mut descriptor = Descriptor::new(MediaType::OciManifest, digest, 7);
    descriptor.platform = Platform::parse(platform).ok();
    descriptor
}

#[test]
fn all_that_an_index_lists_is_told() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web layers=base:100,web:20"]);
    let arm = fixture.add_part("arm platform=linux/arm64 layers=base:100,arm:30");
    let web = fixture.described("web");
    let gone = missing("linux/s390x");
    let signed = attestation(&fixture, &web.digest);
    let index = fixture.add_index("web", &[web, arm.clone(), gone.clone(), signed]);
    let kept = kept(&fixture, "web");
    let [tree] = &*kept.trees else { panic!("the manifest is the index's: {kept:?}") };
    assert_eq!((&tree.root, &*tree.indexes), (&index, &[index.clone()][..]));
    let words = told(&fixture, &kept);
    let expected = format!(
        "<web digest> linux/amd64 120 here, <arm digest> linux/arm64 0 here, {} linux/s390x 0 not here, ",
        gone.digest
    );
    assert!(words.starts_with(&expected), "{words}");
    assert!(
        words.ends_with(" of <web digest> here"),
        "what mentions nothing lacks nothing: {words}"
    );

    let of = |platform: &str| {
        let found = kept.for_platform(&Platform::parse(platform).unwrap());
        found.map(|listed| listed.kept.descriptor.digest.clone())
    };
    assert_eq!(of("linux/arm64/v8"), Some(arm.digest));
    // What would run there is another one.
    for platform in ["linux/s390x", "linux/arm/v7", "linux/386"] {
        assert_eq!(of(platform), None, "{platform}");
    }
}

/// The layer that two of them share counts once in all, and with each.
#[test]
fn bytes_are_told_of_each_and_counted_once_in_all() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web layers=base:100,web:20"]);
    let arm = fixture.add_part("arm platform=linux/arm64 layers=base:100,arm:30");
    let web = fixture.described("web");
    fixture.add_index("web", &[web, arm]);
    let kept = kept(&fixture, "web");
    assert_eq!(kept.bytes(fixture.store()).unwrap(), fixture.store().kept_bytes().unwrap());
    let shared = fixture.made("web").layers[0].blob.size;
    let each: u64 = kept.manifests().map(|listed| listed.kept.content).sum();
    let index = kept.trees[0].root.size;
    assert_eq!(each + index, kept.bytes(fixture.store()).unwrap() + shared);
}

#[test]
fn what_is_not_whole_is_not_available() {
    for (name, lost) in [("layer", 1), ("config", 0), ("manifest", 2)] {
        let mut fixture = Fixture::new(&["web tags=web:1 digests=web"]);
        let arm = fixture.add_part("arm platform=linux/arm64 layers=arm");
        let web = fixture.described("web");
        fixture.add_index("web", &[web, arm.clone()]);
        assert!(kept(&fixture, "web").manifests().all(|listed| listed.kept.available), "{name}");
        let made = fixture.made("arm");
        let digest = [made.id.digest(), &made.layers[0].blob.digest, &arm.digest][lost];
        std::fs::remove_file(fixture.store().blob(digest).unwrap().unwrap().path).unwrap();
        let kept = kept(&fixture, "web");
        let available: Vec<bool> = kept.manifests().map(|listed| listed.kept.available).collect();
        assert_eq!(available, [true, false], "{name}");
        assert!(kept.for_platform(&Platform::parse("linux/arm64").unwrap()).is_none(), "{name}");
    }
}

#[test]
fn indexes_within_indexes_are_followed_and_circles_end() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web"]);
    let arm = fixture.add_part("arm platform=linux/arm64");
    let web = fixture.described("web");
    let inner = fixture.add_index("web", &[arm, web.clone()]);
    // Twice the same, and one that nobody has.
    let mut gone = inner.clone();
    gone.digest = Digest::sha256(b"gone");
    fixture.add_index("web", &[inner.clone(), inner, gone, web]);
    let kept = kept(&fixture, "web");
    assert_eq!((kept.trees.len(), kept.trees[0].indexes.len()), (1, 2));
    let words = told(&fixture, &kept);
    assert_eq!(words, "<arm digest> linux/arm64 0 here, <web digest> linux/amd64 10 here");
}

/// dockerd's `IsAttestation` and `IsPseudoImage`.
#[test]
fn kinds_are_told_as_dockerd_tells_them() {
    let digest = Digest::sha256(b"x");
    let descriptor = |platform: &str, annotations: &[(&str, &str)]| {
        let pairs = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let annotations: BTreeMap<String, String> = pairs.collect();
        let platform = platform.split_once('/').map(|(os, architecture)| Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        });
        Descriptor {
            platform,
            annotations,
            ..Descriptor::new(MediaType::OciManifest, digest.clone(), 1)
        }
    };
    let manifest = |layers: &[MediaType]| {
        let blob = |kind: &MediaType| Descriptor::new(kind.clone(), digest.clone(), 1);
        ImageManifest {
            media_type: MediaType::OciManifest,
            config: blob(&MediaType::OciConfig),
            layers: layers.iter().map(blob).collect(),
        }
    };
    let foreign = MediaType::from("application/vnd.in-toto+json");
    let signs = ("vnd.docker.reference.type", "attestation-manifest");
    let text = digest.to_string();
    let of = ("vnd.docker.reference.digest", text.as_str());
    let bad = ("vnd.docker.reference.digest", "nothing");
    for (descriptor, manifest, expected) in [
        (descriptor("linux/amd64", &[]), None, "image"),
        (descriptor("linux/amd64", &[]), Some(manifest(&[MediaType::OciLayerGzip])), "image"),
        (descriptor("linux/amd64", &[]), Some(manifest(&[])), "image"),
        (descriptor("linux/amd64", &[]), Some(manifest(std::slice::from_ref(&foreign))), "unknown"),
        (descriptor("linux/amd64", &[]), Some(manifest(&[foreign, MediaType::OciLayer])), "image"),
        (descriptor("", &[]), None, "image"),
        (descriptor("unknown/unknown", &[]), None, "unknown"),
        (descriptor("unknown/unknown", &[signs, of]), None, "attestation"),
        (descriptor("linux/amd64", &[signs, of]), None, "attestation"),
        (descriptor("unknown/unknown", &[signs]), None, "unknown"),
        (descriptor("unknown/unknown", &[signs, bad]), None, "unknown"),
        (descriptor("linux/amd64", &[of]), None, "image"),
    ] {
        let told = match kind(&descriptor, manifest.as_ref()) {
            ManifestKind::Image { .. } => "image",
            ManifestKind::Attestation { .. } => "attestation",
            ManifestKind::Unknown => "unknown",
        };
        assert_eq!(told, expected, "{descriptor:?} {manifest:?}");
    }
}

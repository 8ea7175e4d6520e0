//! Copies with other bytes: another compression, another format.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use copy::{
    Conversion, Copied, Copier, CopyError, Event, Place, PrivateKey, Source, Summary, Trust,
};
use serde_json::Value;
use spec::{Digest, Platform};
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{copier, side, source, target};

const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const ATTESTED: &str = "vnd.docker.reference.digest";

fn layer(compression: Compression, name: &str, size: usize) -> Layer {
    let content = (0..size).map(|at| (at * at / 7).to_le_bytes()[0]).collect::<Vec<u8>>();
    Layer::new(compression, &[Entry::file(name, content)])
}

/// An image of a layer that all have, and one of its own.
fn image(format: Format, compression: Compression, platform: &str) -> Image {
    let build = Image::builder().format(format).platform(Platform::parse(platform).unwrap());
    build
        .layer(layer(compression, "shared", 300_000))
        .layer(layer(compression, platform, 5000))
        .build()
}

fn images(format: Format, compression: Compression) -> Vec<Image> {
    ["linux/amd64", "linux/arm64"].map(|platform| image(format, compression, platform)).to_vec()
}

fn conversion(compression: &str, format: &str) -> Option<Conversion> {
    let encoding = (!compression.is_empty()).then(|| compression.parse().unwrap());
    let format = (!format.is_empty()).then(|| format.parse().unwrap());
    Conversion::new(encoding, format).unwrap()
}

async fn convert(
    from: &str,
    to: &str,
    (compression, format): (&str, &str),
) -> Result<(Copied, Summary, usize), CopyError> {
    let compressed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&compressed);
    let count = move |event: &Event<'_>| {
        let is_new = matches!(event, Event::Compressed { .. });
        counted.fetch_add(usize::from(is_new), Ordering::Relaxed);
    };
    let copier = Copier::new(Arc::new(count), copy::Mode::default(), None, std::env::temp_dir());
    let target = target(to).await;
    let copier = copier.with_conversion(conversion(compression, format));
    let done = copier.copy(&source(from).await, &target, &[]).await?;
    target.finish().await?;
    Ok((done, copier.summary(), compressed.load(Ordering::Relaxed)))
}

fn get(registry: &LocalRegistry, name: &str) -> Value {
    registry
        .client()
        .get(&format!("/v2/copy/manifests/{name}"))
        .unwrap()
        .expect(200)
        .unwrap()
        .json()
}

fn list(value: &Value, of: &str, field: &str) -> Vec<String> {
    let entries = value[of].as_array().unwrap().iter();
    entries.map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_attested_index_gets_zstd_and_keeps_its_configs() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = Index::attested(images(Format::Oci, Compression::Gzip));
    index.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let (copied, _, compressed) = convert(&from, &to, ("zstd", "")).await.unwrap();
    assert_eq!(compressed, 3, "the layer of both is compressed once");
    let converted = copied.converted.unwrap();
    assert_eq!(converted.from, index.manifest.digest);
    let changes = converted.changes;
    assert_eq!((changes.layers, changes.retyped), (4, 0));
    assert_eq!((changes.attestations, changes.left), (2, 0));

    let stored = get(&b, "1");
    let digests = list(&stored, "manifests", "digest");
    for (at, image) in index.images[..2].iter().enumerate() {
        let manifest = get(&b, &digests[at]);
        assert_eq!(list(&manifest, "layers", "mediaType"), [OCI_ZSTD, OCI_ZSTD]);
        assert_eq!(manifest["config"]["digest"], image.config.digest.to_string());
        for (layer, digest) in image.layers.iter().zip(list(&manifest, "layers", "digest")) {
            let blob = b.client().get(&format!("/v2/copy/blobs/{digest}")).unwrap().body;
            let mut tar = Vec::new();
            archive::decompress(&blob[..], &mut tar).unwrap();
            assert_eq!(Digest::sha256(&tar).to_string(), layer.diff_id.to_string());
        }
        // What says how it was built is found by the new digest, and is as it was.
        let attestation = &stored["manifests"][at + 2];
        assert_eq!(attestation["annotations"][ATTESTED], digests[at]);
        assert_eq!(digests[at + 2], index.images[at + 2].manifest.digest.to_string());
    }

    let (again, summary, compressed) = convert(&from, &to, ("zstd", "")).await.unwrap();
    assert!(again.unchanged);
    assert_eq!((again.digest.clone(), compressed), (copied.digest.clone(), 0));
    assert_eq!((summary.copied, summary.existed), (0, 6), "configs and statements are looked for");
    // The same input gives the same bytes, on another day and from a layout, too.
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:x", folder.path().join("a").display());
    super::support::copy(&from, &layout).await.unwrap();
    let zstd = format!("oci:{}:x", folder.path().join("b").display());
    let (other, ..) = convert(&layout, &zstd, ("zstd", "")).await.unwrap();
    assert_eq!(other.digest, copied.digest);
    let (again, _, compressed) = convert(&layout, &zstd, ("zstd", "")).await.unwrap();
    assert_eq!((again.unchanged, compressed), (true, 0));
}

#[tokio::test]
async fn what_is_as_it_is_wanted_keeps_its_digest() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = Index::new(Format::Oci, images(Format::Oci, Compression::Gzip));
    index.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let (copied, _, compressed) = convert(&from, &to, ("gzip:9", "oci")).await.unwrap();
    assert_eq!((copied.digest, copied.converted, compressed), (index.manifest.digest, None, 0));
}

#[tokio::test]
async fn formats_go_there_and_back() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = Index::new(Format::Docker, images(Format::Docker, Compression::None));
    index.push(&a.client(), "app", "1").unwrap();
    let from = format!("{}/app:1", a.address());
    let at = |tag: &str| format!("{}/copy:{tag}", b.address());
    let (oci, ..) = convert(&from, &at("oci"), ("", "oci")).await.unwrap();
    assert_eq!(oci.converted.unwrap().changes.retyped, 3);
    let stored = get(&b, "oci");
    assert_eq!(stored["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(
        list(&stored, "manifests", "mediaType"),
        ["application/vnd.oci.image.manifest.v1+json"; 2]
    );
    let manifest = get(&b, &list(&stored, "manifests", "digest")[0]);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    assert_eq!(
        list(&manifest, "layers", "mediaType"),
        ["application/vnd.oci.image.layer.v1.tar"; 2]
    );
    // Docker has no type for zstd, so that these become OCI's without a further word.
    let (zstd, ..) = convert(&from, &at("zstd"), ("zstd", "")).await.unwrap();
    let changes = zstd.converted.unwrap().changes;
    assert_eq!((changes.layers, changes.retyped), (4, 3));
    let error = convert(&at("zstd"), &at("back"), ("", "docker")).await.unwrap_err().to_string();
    assert!(
        error.contains(": layer sha256:") && error.contains("add --compression gzip"),
        "{error}"
    );
    let (back, ..) = convert(&at("zstd"), &at("back"), ("gzip", "docker")).await.unwrap();
    let stored = get(&b, "back");
    assert_eq!(stored["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
    let manifest = get(&b, &list(&stored, "manifests", "digest")[0]);
    let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    assert_eq!(list(&manifest, "layers", "mediaType"), [gzip; 2]);
    let (direct, ..) = convert(&from, &at("gzip"), ("gzip", "")).await.unwrap();
    let stored = get(&b, "gzip");
    let of_direct = get(&b, &list(&stored, "manifests", "digest")[0]);
    assert_eq!(list(&of_direct, "layers", "digest"), list(&manifest, "layers", "digest"));
    assert_eq!(direct.digest, back.digest, "on whatever way");
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_config_says_is_named() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let mut image = image(Format::Oci, Compression::Gzip, "linux/amd64");
    let other = layer(Compression::Gzip, "other", 100);
    let manifest = String::from_utf8(image.manifest.read().unwrap()).unwrap();
    let old = &image.layers[1].blob;
    let manifest = manifest
        .replace(&old.digest.to_string(), &other.blob.digest.to_string())
        .replace(&format!("\"size\":{}", old.size), &format!("\"size\":{}", other.blob.size));
    image.manifest =
        test_support::image::Blob::of(image.manifest.media_type.clone(), manifest.into());
    image.layers[1] = other.clone();
    image.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let error = convert(&from, &to, ("zstd", "")).await.unwrap_err().to_string();
    assert!(error.contains(&format!("layer {} decompresses to", other.blob.digest)), "{error}");

    // A blob with the right digest that is no gzip.
    let garbage = bytes::Bytes::from_static(b"\x1f\x8b\x08 is how a gzip begins");
    let mut image = super::support::image(2, 5000);
    let blob = test_support::image::Blob::of(image.layers[1].blob.media_type.clone(), garbage);
    let old = &image.layers[1].blob;
    let manifest = String::from_utf8(image.manifest.read().unwrap()).unwrap();
    let manifest = manifest
        .replace(&old.digest.to_string(), &blob.digest.to_string())
        .replace(&format!("\"size\":{}", old.size), &format!("\"size\":{}", blob.size));
    image.manifest =
        test_support::image::Blob::of(image.manifest.media_type.clone(), manifest.into());
    image.layers[1].blob = blob.clone();
    image.push(&a.client(), "app", "2").unwrap();
    let from = format!("{}/app:2", a.address());
    let error = convert(&from, &to, ("zstd", "")).await.unwrap_err().to_string();
    assert!(error.contains(&format!("layer {} cannot be compressed anew", blob.digest)), "{error}");
    assert_eq!(b.client().get("/v2/copy/manifests/1").unwrap().status, 404);
}

#[tokio::test]
async fn layers_of_an_earlier_image_are_asked_for() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let old = image(Format::Oci, Compression::Gzip, "linux/amd64");
    old.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let (copied, ..) = convert(&from, &to, ("zstd", "")).await.unwrap();
    let layers = list(&get(&b, "1"), "layers", "digest");
    let lose = |digest: &str| {
        let path = format!("/v2/copy/blobs/{digest}");
        b.client().send("DELETE", &path, &[], b"").unwrap().expect(202).unwrap();
    };
    let has =
        |digest: &str| b.client().get(&format!("/v2/copy/blobs/{digest}")).unwrap().status == 200;
    // Of the same image what lacks is sent, and that is told.
    let config = old.config.digest.to_string();
    for (lost, anew) in [(&layers[1], 1), (&config, 0)] {
        lose(lost);
        let (again, summary, compressed) = convert(&from, &to, ("zstd", "")).await.unwrap();
        assert_eq!(again.digest, copied.digest);
        assert_eq!((again.unchanged, summary.copied, compressed), (false, 1, anew), "{lost}");
        assert!(has(lost));
    }
    // And of one that is there with another.
    lose(&layers[1]);
    let other = image(Format::Oci, Compression::Gzip, "linux/arm64");
    Index::new(Format::Oci, vec![old, other]).push(&a.client(), "app", "1").unwrap();
    let (.., compressed) = convert(&from, &to, ("zstd", "")).await.unwrap();
    assert_eq!(compressed, 3, "the lost one, and those of an image whose config is new");
    assert!(layers.iter().all(|layer| has(layer)));

    let folder = tempfile::tempdir().unwrap();
    let to = format!("oci:{}:x", folder.path().display());
    convert(&from, &to, ("zstd", "")).await.unwrap();
    let gone = folder.path().join("blobs/sha256").join(layers[1].trim_start_matches("sha256:"));
    std::fs::remove_file(&gone).unwrap();
    let (again, _, compressed) = convert(&from, &to, ("zstd", "")).await.unwrap();
    assert_eq!((again.unchanged, compressed), (false, 1));
    assert!(gone.is_file());
}

/// Whoever may push to the destination may say there that the image has other layers.
#[tokio::test]
async fn who_signs_or_judges_takes_no_layers_over() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let good = image(Format::Oci, Compression::Gzip, "linux/amd64");
    good.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let mut evil = good.clone();
    evil.layers = vec![layer(Compression::Zstd, "evil", 10), layer(Compression::Zstd, "more", 10)];
    let listed = |layer: &Layer| {
        let (digest, size) = (&layer.blob.digest, layer.blob.size);
        serde_json::json!({"mediaType": OCI_ZSTD, "digest": digest, "size": size})
    };
    let mut document: Value = serde_json::from_slice(&good.manifest.read().unwrap()).unwrap();
    document["layers"] = evil.layers.iter().map(listed).collect();
    let manifest = document.to_string().into();
    evil.manifest = test_support::image::Blob::of(good.manifest.media_type.clone(), manifest);
    let forge = || evil.push(&b.client(), "copy", "1").unwrap();
    let text = include_bytes!("../../../policy/src/key/cosign.key");
    let key = Arc::new(PrivateKey::parse(text, Some(b"secret")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let judging = Trust { policy: Some(policy), verifiers: None };
    for (key, trust, takes_over) in [
        (None, Trust::default(), true),
        (Some(key), Trust::default(), false),
        (None, judging, false),
    ] {
        forge();
        let source = Place::parse(&from).unwrap();
        let source = Source::open(&source, &side().trusting(trust), None).await.unwrap();
        let copier = copier().with_conversion(conversion("zstd", "")).signing(key);
        copier.copy(&source, &target(&to).await, &[]).await.unwrap();
        let layers = list(&get(&b, "1"), "layers", "digest");
        let foreign = evil.layers.iter().filter(|it| layers.contains(&it.blob.digest.to_string()));
        assert_eq!(foreign.count(), if takes_over { 2 } else { 0 });
    }
}

#[tokio::test]
async fn a_folder_for_temporary_files_that_takes_none_is_named() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    image(Format::Oci, Compression::Gzip, "linux/amd64").push(&a.client(), "app", "1").unwrap();
    let mode = copy::Mode::default();
    let copier = Copier::new(Arc::new(|_| {}), mode, None, "/nowhere/at/all".into());
    let copier = copier.with_conversion(conversion("zstd", ""));
    let from = source(&format!("{}/app:1", a.address())).await;
    let to = target(&format!("{}/copy:1", b.address())).await;
    let error = copier.copy(&from, &to, &[]).await.unwrap_err().to_string();
    assert!(error.contains("cannot be written to /nowhere/at/all, the folder for"), "{error}");
}

#[tokio::test]
async fn referrers_and_other_digests_exclude_each_other() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    image(Format::Oci, Compression::Gzip, "linux/amd64").push(&a.client(), "app", "1").unwrap();
    let copier = copier().with_referrers().with_conversion(conversion("zstd", ""));
    let from = source(&format!("{}/app:1", a.address())).await;
    let to = target(&format!("{}/copy:1", b.address())).await;
    let error = copier.copy(&from, &to, &[]).await.unwrap_err().to_string();
    assert!(error.contains("copy one without the other"), "{error}");
}

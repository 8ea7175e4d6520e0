//! Helpers that the tests share.

use std::sync::Arc;

use copy::{Copied, Copier, CopyError, Mode, Place, RegistryConfig, Side, Source, Summary, Target};
use spec::Platform;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::tar::Entry;

pub(crate) fn copier() -> Copier {
    Copier::new(Arc::new(|_| {}), Mode::default(), None, std::env::temp_dir())
}

pub(crate) fn side() -> Side {
    Side::new(RegistryConfig::default(), None, std::env::temp_dir()).unwrap()
}

pub(crate) async fn source(text: &str) -> Source {
    Source::open(&Place::parse(text).unwrap(), &side(), None).await.unwrap()
}

pub(crate) async fn target(text: &str) -> Target {
    Target::open(&Place::parse_target(text).unwrap(), &side(), None).await.unwrap()
}

pub(crate) async fn copy(from: &str, to: &str) -> Result<(Copied, Summary), CopyError> {
    let copier = copier();
    let target = target(to).await;
    let done = copier.copy(&source(from).await, &target, &[]).await?;
    target.finish().await?;
    Ok((done, copier.summary()))
}

/// An image of a layer that all images have, and one of its own of this size.
pub(crate) fn image(seed: u8, size: usize) -> Image {
    let platform = if seed.is_multiple_of(2) { "linux/amd64" } else { "linux/arm64" };
    built(platform, (0..=250).map(|byte| seed ^ byte).cycle().take(size).collect())
}

pub(crate) fn of_platform(platform: &str) -> Image {
    built(platform, platform.as_bytes().to_vec())
}

fn built(platform: &str, own: Vec<u8>) -> Image {
    let layer =
        |name: &str, content: Vec<u8>| Layer::new(Compression::None, &[Entry::file(name, content)]);
    Image::builder()
        .format(Format::Oci)
        .platform(Platform::parse(platform).unwrap())
        .layer(layer("shared", b"shared".to_vec()))
        .layer(layer("own", own))
        .build()
}

pub(crate) fn index(seed: u8, size: usize) -> Index {
    Index::new(Format::Oci, vec![image(seed, size), image(seed + 1, size)])
}

/// Has a scripted registry offer an image as `app:1`.
pub(crate) fn offer(registry: &Scripted, image: &Image) {
    let manifest = &image.manifest;
    let answer = || {
        Answer::status(200)
            .header("content-type", manifest.media_type.as_str())
            .header("docker-content-digest", manifest.digest.to_string())
            .body(manifest.read().unwrap())
    };
    for name in ["1", &manifest.digest.to_string()] {
        registry.on("GET", &format!("/v2/app/manifests/{name}"), [answer()]);
    }
    for blob in image.blobs() {
        let path = format!("/v2/app/blobs/{}", blob.digest);
        registry.on("GET", &path, [Answer::status(200).body(blob.read().unwrap())]);
    }
}

/// Has a scripted registry take whatever it is sent.
pub(crate) fn accept(registry: &Scripted) {
    let begun = || Answer::status(202).header("location", "/v2/copy/blobs/uploads/1");
    registry
        .on("POST", "/v2/copy/blobs/uploads/", [begun()])
        .on("PATCH", "/v2/copy/blobs/uploads/1", [begun()])
        .on("PUT", "/v2/copy/blobs/uploads/1", [Answer::status(201)])
        .reply("PUT", "/v2/copy/manifests/*", |request| {
            let digest = spec::Digest::sha256(&request.body);
            Answer::status(201).header("docker-content-digest", digest.to_string())
        });
}

//! The registry client against registries that do what a test tells them to.

#![expect(
    clippy::cast_possible_truncation,
    clippy::similar_names,
    clippy::unwrap_used,
    reason = "helpers of tests are tests: small numbers, and a panic is a failure"
)]

mod auth;
mod blobs;
mod breaks;
mod catalog;
mod check;
mod downloads;
mod endpoints;
mod foreign;
mod hosts;
mod login;
mod manifests;
mod network;
mod referrers;
mod removal;
mod support;
mod tags;
mod tls;
mod uploads;

/// The engine runs all of these on a runtime with several threads.
#[tokio::test]
async fn every_operation_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}
    let server = test_support::scripted::Scripted::start().await.unwrap();
    let remote = support::remote(&server).await;
    let blob = support::descriptor(b"abc");
    let target = registry::TagOrDigest::Digest(blob.digest.clone());
    spawnable(async move {
        let client = support::client();
        client.login(&server.host(), &support::ann()).await.ok();
        remote.resolve(&target).await.ok();
        remote.manifest(&target).await.ok();
        remote.tags().await.ok();
        client.catalog(&server.host(), &support::ann()).await.ok();
        remote.find(&target).await.ok();
        remote.referrers(&blob.digest, None).await.ok();
        remote.cosign_tags(&blob.digest).await.ok();
        remote.delete_tag(&spec::Tag::latest()).await.ok();
        remote.delete_manifest(&blob.digest).await.ok();
        remote.delete_blob(&blob.digest).await.ok();
        remote.blob_bytes(&blob, 3).await.ok();
        remote.blob_size(&blob.digest).await.ok();
        support::drain(remote.blob(&blob, 0..3).await.unwrap()).await;
        remote.mount(&blob.digest, remote.repository()).await.ok();
        remote.put_manifest(&target, &spec::MediaType::DockerManifest, "abc".into()).await.ok();
        let mut upload = remote.start_upload().await.unwrap();
        upload.send(futures_util::stream::empty(), None, &blob.digest).await.ok();
        upload.status().await.ok();
        upload.cancel().await.ok();
    });
}

/// A file that nobody lists is a test that nobody runs.
#[test]
fn every_file_is_listed() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name}");
    }
}

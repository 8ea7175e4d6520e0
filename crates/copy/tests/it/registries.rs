//! Between registries that do as they should.

use spec::Platform;
use test_support::image::{Format, Index};
use test_support::servers::LocalRegistry;

use super::support::{copier, copy, index, of_platform, source, target};

#[tokio::test]
async fn an_index_keeps_its_digest_and_is_sent_once() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = index(2, 3_000_000);
    index.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("docker://{}/copy:2", b.address()));
    let (copied, summary) = copy(&from, &to).await.unwrap();
    assert_eq!((&copied.digest, copied.unchanged), (&index.manifest.digest, false));
    // Two configs, two layers, and the one that both have.
    assert_eq!((summary.copied, summary.existed, summary.mounted), (5, 0, 0));
    let stored = b.client().get("/v2/copy/manifests/2").unwrap();
    assert_eq!(stored.body, index.manifest.read().unwrap());
    for image in &index.images {
        for blob in image.blobs() {
            let stored = b.client().get(&format!("/v2/copy/blobs/{}", blob.digest)).unwrap();
            assert_eq!(stored.body, blob.read().unwrap());
        }
    }

    let (copied, summary) = copy(&from, &to).await.unwrap();
    assert!(copied.unchanged);
    assert_eq!(summary, copy::Summary::default());
    // Under another name of the same repository nothing but manifests is sent.
    let (copied, summary) = copy(&from, &format!("{}/copy:3", b.address())).await.unwrap();
    assert!(!copied.unchanged);
    assert_eq!((summary.copied, summary.existed), (0, 5));
}

#[tokio::test]
async fn what_another_repository_has_is_mounted() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = index(2, 1000);
    index.push(&a.client(), "app", "1").unwrap();
    let from = format!("{}/app:1", a.address());
    let (_, summary) = copy(&from, &format!("{}/other:1", a.address())).await.unwrap();
    assert_eq!((summary.copied, summary.mounted), (0, 5));
    // What one copy of a run brought to a registry the next one mounts.
    let copier = copier();
    let (from, first) = (source(&from).await, target(&format!("{}/x:1", b.address())).await);
    copier.copy(&from, &first, &[]).await.unwrap();
    let second = target(&format!("{}/y:1", b.address())).await;
    copier.copy(&from, &second, &[]).await.unwrap();
    let summary = copier.summary();
    assert_eq!((summary.copied, summary.mounted), (5, 5));
    let stored = b.client().get("/v2/y/manifests/1").unwrap();
    assert_eq!(stored.body, index.manifest.read().unwrap());
}

#[tokio::test]
async fn one_platform_is_its_manifest_and_several_are_an_index_of_them() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = index(2, 1000);
    index.push(&a.client(), "app", "1").unwrap();
    let from = source(&format!("{}/app:1", a.address())).await;
    let platform = |text: &str| Platform::parse(text).unwrap();
    let (amd, arm) = (platform("linux/amd64"), platform("linux/arm64"));

    let to = target(&format!("{}/copy:arm", b.address())).await;
    let copied = copier().copy(&from, &to, std::slice::from_ref(&arm)).await.unwrap();
    assert_eq!((&copied.digest, copied.cut), (&index.images[1].manifest.digest, false));
    let amd_of_amd = format!("{}/app@{}", a.address(), index.images[0].manifest.digest);
    let wrong = source(&amd_of_amd).await;
    let error = copier().copy(&wrong, &to, std::slice::from_ref(&arm)).await.unwrap_err();
    assert!(error.to_string().contains("no image for platform linux/arm64"), "{error}");

    let to = target(&format!("{}/copy:two", b.address())).await;
    let copied = copier().copy(&from, &to, &[arm.clone(), amd.clone()]).await.unwrap();
    assert_eq!((&copied.digest, copied.cut), (&index.manifest.digest, false), "these are all");
    let three = [&index.images[..], &[of_platform("linux/s390x")]].concat();
    Index::new(Format::Oci, three).push(&a.client(), "app", "3").unwrap();
    let from = source(&format!("{}/app:3", a.address())).await;
    let copied = copier().copy(&from, &to, &[arm, amd.clone()]).await.unwrap();
    assert!(copied.cut);
    let stored = b.client().get("/v2/copy/manifests/two").unwrap().json();
    let digests: Vec<_> =
        index.images.iter().map(|image| image.manifest.digest.to_string()).collect();
    let listed: Vec<_> = stored["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(listed.iter().map(|entry| entry["digest"].clone()).collect::<Vec<_>>(), digests);
    let error = copier().copy(&from, &to, &[amd, platform("linux/riscv64")]).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it is for linux/amd64, linux/arm64, linux/s390x"),
        "{error}"
    );
}

#[tokio::test]
async fn a_dry_run_asks_and_stores_nothing() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let index = index(2, 1000);
    index.push(&a.client(), "app", "1").unwrap();
    let mode = copy::Mode { dry: true, force: false };
    let copier = copy::Copier::new(std::sync::Arc::new(|_| {}), mode, None, std::env::temp_dir());
    let from = source(&format!("{}/app:1", a.address())).await;
    let to = target(&format!("{}/copy:1", b.address())).await;
    let done = copier.copy(&from, &to, &[]).await.unwrap();
    assert_eq!(done.digest, index.manifest.digest);
    assert_eq!(copier.summary().copied, 5);
    assert_eq!(b.client().get("/v2/copy/manifests/1").unwrap().status, 404);
    assert_eq!(
        b.client().get("/v2/_catalog").unwrap().json()["repositories"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn a_digest_as_destination_is_insisted_on() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let (one, two) = (index(2, 1000), index(4, 1000));
    one.push(&a.client(), "app", "1").unwrap();
    let from = format!("{}/app:1", a.address());
    let error = copy(&from, &format!("{}/copy@{}", b.address(), two.manifest.digest)).await;
    assert!(error.unwrap_err().to_string().contains("the image has the digest"));
    let to = format!("{}/copy@{}", b.address(), one.manifest.digest);
    copy(&from, &to).await.unwrap();
    assert!(copy(&from, &to).await.unwrap().0.unchanged);
}

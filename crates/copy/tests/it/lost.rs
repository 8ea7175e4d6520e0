//! Targets that have an image, and not all that it leads to.

use copy::{Copied, Copier, Mode, Summary};
use spec::Digest;
use test_support::http::Client;
use test_support::image::{Format, Image, Index, Referrer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};

use super::support::{copier, copy, image, index, offer, source, target};

async fn force(from: &str, to: &str, referrers: bool) -> (Copied, Summary) {
    let mut copier = Copier::new(
        std::sync::Arc::new(|_| {}),
        Mode { dry: false, force: true },
        None,
        std::env::temp_dir(),
    );
    if referrers {
        copier = copier.with_referrers();
    }
    let done = copier.copy(&source(from).await, &target(to).await, &[]).await.unwrap();
    (done, copier.summary())
}

fn lose(registry: &Client, path: &str) {
    registry.send("DELETE", &format!("/v2/copy/{path}"), &[], b"").unwrap().expect(202).unwrap();
}

fn check(registry: &Client, images: &[Image]) {
    for image in images {
        let path = format!("/v2/copy/manifests/{}", image.manifest.digest);
        registry.get(&path).unwrap().expect(200).unwrap();
        for blob in image.blobs() {
            let path = format!("/v2/copy/blobs/{}", blob.digest);
            assert_eq!(registry.get(&path).unwrap().body, blob.read().unwrap());
        }
    }
}

#[tokio::test]
async fn with_force_every_part_is_asked_for_and_what_lacks_is_sent() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let (index, client) = (index(2, 1000), b.client());
    index.push(&a.client(), "app", "1").unwrap();
    let sbom = Referrer::new("test/sbom", "an sbom", &index.images[0].manifest);
    sbom.push(&a.client(), "app").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    force(&from, &to, true).await;
    lose(&client, &format!("manifests/{}", index.images[0].manifest.digest));
    lose(&client, &format!("blobs/{}", index.images[1].layers[1].blob.digest));
    lose(&client, &format!("blobs/{}", sbom.blobs[1].digest));
    assert!(copy(&from, &to).await.unwrap().0.unchanged, "it is not looked for");
    let (copied, summary) = force(&from, &to, true).await;
    assert!(!copied.unchanged);
    // Of five blobs of the image and two of the referrer one each was lost.
    assert_eq!((summary.copied, summary.existed, summary.referrers), (2, 5, 0));
    check(&client, &index.images);
    let path = format!("/v2/copy/blobs/{}", sbom.blobs[1].digest);
    client.get(&path).unwrap().expect(200).unwrap();
    let (copied, summary) = force(&from, &to, false).await;
    assert!(copied.unchanged);
    assert_eq!(summary, Summary { existed: 5, ..Summary::default() });
}

#[tokio::test]
async fn a_referrer_that_is_but_listed_is_sent_with_force() {
    let a = LocalRegistry::start().unwrap();
    let image = image(2, 10);
    image.push(&a.client(), "app", "1").unwrap();
    let sbom = Referrer::new("test/sbom", "an sbom", &image.manifest);
    sbom.push(&a.client(), "app").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let from = format!("{}/app:1", a.address());
    let to = format!("oci:{}:x", folder.path().display());
    force(&from, &to, true).await;
    let listed = folder.path().join("blobs/sha256").join(sbom.manifest.digest.hex());
    std::fs::remove_file(&listed).unwrap();
    assert_eq!(force(&from, &to, true).await.1.referrers, 1);
    assert_eq!(std::fs::read(&listed).unwrap(), sbom.manifest.read().unwrap());
    assert_eq!(force(&from, &to, true).await.1.referrers, 0);
}

#[tokio::test]
async fn what_is_up_to_date_costs_one_question_to_each_side() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().access_log().start().unwrap();
    index(2, 10).push(&registry.client(), "app", "1").unwrap();
    let at = |name: &str| format!("{}/{name}:1", registry.address());
    copy(&at("app"), &at("copy")).await.unwrap();
    let before = registry.requests().len();
    assert!(copy(&at("app"), &at("copy")).await.unwrap().0.unchanged);
    let asked = registry.requests().split_off(before);
    let asked: Vec<&String> = asked
        .iter()
        .filter(|line| line.contains("/manifests/") || line.contains("/blobs/"))
        .collect();
    let heads = ["copy", "app"].map(|name| format!("HEAD /v2/{name}/manifests/1"));
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().zip(&heads).all(|(line, head)| line.contains(head)), "{asked:?}");
    // Of an update the source is asked for what is new.
    let (kept, new) = (image(2, 10), image(4, 10));
    let update = Index::new(Format::Oci, vec![kept.clone(), new.clone()]);
    update.push(&registry.client(), "app", "1").unwrap();
    let before = registry.requests().len();
    copy(&at("app"), &at("copy")).await.unwrap();
    let asked = registry.requests().split_off(before);
    let is_asked = |image: &Image| {
        let path = format!("GET /v2/app/manifests/{}", image.manifest.digest);
        asked.iter().any(|line| line.contains(&path))
    };
    assert_eq!((is_asked(&kept), is_asked(&new)), (false, true), "{asked:?}");
}

#[tokio::test]
async fn an_update_asks_for_all_that_the_new_image_leads_to() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let (old, client) = (index(2, 1000), b.client());
    old.push(&a.client(), "app", "1").unwrap();
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    copy(&from, &to).await.unwrap();
    lose(&client, &format!("blobs/{}", old.images[0].layers[1].blob.digest));
    let new = Index::new(Format::Oci, vec![old.images[0].clone(), image(4, 1000)]);
    new.push(&a.client(), "app", "1").unwrap();
    copy(&from, &to).await.unwrap();
    check(&client, &new.images);
}

#[tokio::test]
async fn what_is_damaged_in_a_layout_is_not_what_is_there() {
    let a = LocalRegistry::start().unwrap();
    let index = index(2, 1000);
    index.push(&a.client(), "app", "1").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let from = format!("{}/app:1", a.address());
    let blob = |digest: &Digest| folder.path().join("l/blobs/sha256").join(digest.hex());
    let directory = |digest: &Digest| folder.path().join("d").join(digest.hex());
    for (to, path) in [
        (format!("oci:{}/l:x", folder.path().display()), &blob as &dyn Fn(&Digest) -> _),
        (format!("dir:{}/d", folder.path().display()), &directory),
    ] {
        copy(&from, &to).await.unwrap();
        let damaged = path(&index.images[0].layers[1].blob.digest);
        let right = std::fs::read(&damaged).unwrap();
        std::fs::write(&damaged, vec![0; right.len()]).unwrap();
        let (copied, summary) = force(&from, &to, false).await;
        assert_eq!((copied.unchanged, summary.copied, summary.existed), (false, 1, 4), "{to}");
        assert_eq!(std::fs::read(&damaged).unwrap(), right);
        assert!(force(&from, &to, false).await.0.unchanged);
    }
    // The list tells of an image that is not there.
    std::fs::remove_file(blob(&index.manifest.digest)).unwrap();
    let to = format!("oci:{}/l:x", folder.path().display());
    assert!(!copy(&from, &to).await.unwrap().0.unchanged);
    std::fs::write(blob(&index.manifest.digest), "{}").unwrap();
    let error = copy(&to, &format!("{}/copy:1", a.address())).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{}", index.manifest.digest)), "{error}");
    assert!(!copy(&from, &to).await.unwrap().0.unchanged);
}

#[tokio::test]
async fn a_directory_that_lost_a_file_is_healed() {
    let a = LocalRegistry::start().unwrap();
    let index = index(2, 1000);
    index.push(&a.client(), "app", "1").unwrap();
    let (folder, from) = (tempfile::tempdir().unwrap(), format!("{}/app:1", a.address()));
    let (blob, manifest) = (&index.images[1].layers[1].blob, &index.images[0].manifest);
    let (blob, manifest) = (blob.digest.hex(), manifest.digest.hex());
    let files = [format!("d/{blob}"), format!("d/{manifest}.manifest.json")];
    let to = format!("dir:{}/d", folder.path().display());
    copy(&from, &to).await.unwrap();
    assert!(copy(&from, &to).await.unwrap().0.unchanged, "{to}");
    for file in files.map(|file| folder.path().join(file)) {
        let right = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(!copy(&from, &to).await.unwrap().0.unchanged, "{to}");
        assert_eq!(std::fs::read(&file).unwrap(), right);
        std::fs::write(&file, &right[1..]).unwrap();
        assert!(!copy(&from, &to).await.unwrap().0.unchanged, "{to}");
        assert_eq!(std::fs::read(&file).unwrap(), right);
    }
    assert!(copy(&from, &to).await.unwrap().0.unchanged, "{to}");
}

#[tokio::test]
async fn the_digest_of_a_tag_is_a_hint() {
    let (a, b) = (Scripted::start().await.unwrap(), LocalRegistry::start().unwrap());
    let (old, new) = (image(2, 1000), image(4, 1000));
    let to = format!("{}/copy:1", b.address());
    old.push(&b.client(), "copy", "1").unwrap();
    offer(&a, &new);
    let lie = Answer::status(200)
        .header("content-type", new.manifest.media_type.as_str())
        .header("content-length", new.manifest.size.to_string())
        .header("docker-content-digest", Digest::sha256(b"none").to_string());
    a.on("HEAD", "/v2/app/manifests/1", [lie]);
    let (copied, _) = copy(&format!("{}/app:1", a.host()), &to).await.unwrap();
    assert_eq!(copied.digest, new.manifest.digest);
    check(&b.client(), &[new]);
}

#[tokio::test]
async fn what_an_archive_lacks_is_asked_for_by_the_next_image() {
    let (a, b) = (Scripted::start().await.unwrap(), LocalRegistry::start().unwrap());
    let images = [image(2, 1000), image(4, 1000)];
    for image in &images {
        offer(&a, image);
    }
    let shared = &images[0].layers[0].blob;
    assert_eq!(shared.digest, images[1].layers[0].blob.digest);
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("oci-archive:{}", folder.path().join("a.tar").display());
    let (copier, to) = (copier(), target(&archive).await);
    let put = async |image: &Image, tag: &str| {
        let from = format!("{}/app@{}", a.host(), image.manifest.digest);
        copier.copy(&source(&from).await, &to.tagged(&tag.parse().unwrap()), &[]).await
    };
    let path = format!("/v2/app/blobs/{}", shared.digest);
    a.on("GET", &path, [Answer::status(404)]);
    for image in &images {
        let error = put(image, "lost").await.unwrap_err().to_string();
        assert!(error.contains(&shared.digest.to_string()), "{error}");
    }
    a.on("GET", &path, [Answer::status(200).body(shared.read().unwrap())]);
    put(&images[1], "whole").await.unwrap();
    to.finish().await.unwrap();
    copy(&format!("{archive}:whole"), &format!("{}/copy:1", b.address())).await.unwrap();
    check(&b.client(), &images[1..]);
}

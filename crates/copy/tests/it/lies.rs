//! Registries that lie.

use bytes::Bytes;
use serde_json::json;
use spec::Digest;
use test_support::scripted::{Answer, Scripted};

use super::support::{accept, copy, image, offer};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn pair() -> (Scripted, Scripted) {
    let (a, b) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    accept(&b);
    (a, b)
}

async fn refused(a: &Scripted, b: &Scripted) -> String {
    let copied = copy(&format!("{}/app:1", a.host()), &format!("{}/copy:1", b.host())).await;
    let manifests =
        b.lines().iter().filter(|line| line.starts_with("PUT /v2/copy/manifests")).count();
    assert_eq!(manifests, 0, "no manifest is stored");
    copied.unwrap_err().to_string()
}

#[tokio::test]
async fn bytes_with_another_digest_are_not_handed_on_whole() {
    for size in [1000, 2_000_000] {
        let (a, b) = pair().await;
        let image = image(2, size);
        offer(&a, &image);
        let layer = &image.layers[1].blob;
        let mut bytes = layer.read().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let path = format!("/v2/app/blobs/{}", layer.digest);
        a.on("GET", &path, [Answer::status(200).body(bytes)]);
        let error = refused(&a, &b).await;
        assert!(error.contains(&format!("blob {} hashes to sha256:", layer.digest)), "{error}");
        let digest = layer.digest.to_string().replace(':', "%3A");
        let complete = b.received().iter().any(|request| {
            request.body.len() as u64 == layer.size
                || request.query().contains(&digest) && request.body.is_empty()
        });
        assert!(!complete, "the last piece is held back");
    }
}

#[tokio::test]
async fn a_blob_that_is_longer_than_said_is_refused() {
    let (a, b) = pair().await;
    let image = image(2, 1000);
    offer(&a, &image);
    let layer = &image.layers[1].blob;
    let path = format!("/v2/app/blobs/{}", layer.digest);
    a.on("GET", &path, [Answer::status(200).body(vec![0; 100_000]).chunked()]);
    let error = refused(&a, &b).await;
    assert!(error.contains("larger than") || error.contains("has more than"), "{error}");
}

#[tokio::test]
async fn indexes_within_indexes_end() {
    let (a, b) = pair().await;
    let mut digest = Digest::sha256(b"none");
    let mut size = 4;
    for _ in 0..8 {
        let entry = json!({ "mediaType": INDEX, "digest": digest, "size": size });
        let document = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        let bytes = Bytes::from(document.to_string());
        (digest, size) = (Digest::sha256(&bytes), bytes.len());
        let answer = Answer::status(200).header("content-type", INDEX).body(bytes);
        a.on("GET", &format!("/v2/app/manifests/{digest}"), [answer.clone()]);
        a.on("GET", "/v2/app/manifests/1", [answer]);
    }
    let error = refused(&a, &b).await;
    assert!(error.ends_with("indexes are nested more than 4 deep"), "{error}");
}

#[tokio::test]
async fn a_manifest_that_is_said_to_be_stored_is_there() {
    const PATH: &str = "/v2/copy/manifests/1";
    let image = image(2, 1000);
    let digest = image.manifest.digest.to_string();
    let head = || {
        Answer::status(200)
            .header("content-type", image.manifest.media_type.as_str())
            .header("content-length", image.manifest.size.to_string())
    };
    let told =
        |status, digest: &str| Answer::status(status).header("docker-content-digest", digest);
    let page = "<!DOCTYPE html><html><head><title>Welcome</title></head></html>";
    let none = || Answer::status(404);
    let there = || head().header("docker-content-digest", &digest);
    let other = head().header("docker-content-digest", Digest::sha256(b"").to_string());
    let odd = "the header Docker-Content-Digest has an invalid checksum digest format";
    for (stored, after, error, asked) in [
        (told(201, &digest), none(), "", 1),
        (told(201, "x"), there(), odd, 1),
        (Answer::status(202), none(), "copy:1 does not exist, although", 2),
        (Answer::status(202), other, "copy:1 still means sha256:", 2),
        (Answer::status(204), there(), "", 2),
        (Answer::status(200).body(page), there(), r#"(a web page: "Welcome")"#, 1),
    ] {
        let (a, b) = pair().await;
        offer(&a, &image);
        b.on("HEAD", PATH, [none(), after]).on("PUT", PATH, [stored]);
        let copied = copy(&format!("{}/app:1", a.host()), &format!("{}/copy:1", b.host())).await;
        match copied {
            Ok(_) => assert_eq!(error, ""),
            Err(failed) => {
                let failed = failed.to_string();
                assert!(!error.is_empty() && failed.contains(error), "{failed}");
            }
        }
        assert_eq!(b.count("HEAD", PATH), asked, "{error}");
    }
}

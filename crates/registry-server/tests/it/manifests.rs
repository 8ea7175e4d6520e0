//! Manifests and their tags.

use serde_json::json;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::tar::Entry;

use super::*;

fn image(format: Format, content: &str) -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("a", content)]);
    Image::builder().format(format).layer(layer).build()
}

#[test]
fn a_manifest_comes_back_as_it_was() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    for format in [Format::Docker, Format::Oci] {
        let image = image(format, "a");
        image.push(&client, REPOSITORY, "1").unwrap();
        let digest = image.manifest.digest.to_string();
        for reference in ["1", &digest] {
            let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
            let got = client.get(&path).unwrap();
            assert_eq!(got.status, 200);
            assert_eq!(got.body, image.manifest.read().unwrap());
            assert_eq!(got.header("content-type"), Some(image.manifest.media_type.as_str()));
            assert_eq!(got.header("docker-content-digest"), Some(digest.as_str()));
            let head = client.send("HEAD", &path, &[], b"").unwrap();
            assert_eq!(head.status, 200);
            assert_eq!(head.header("content-length"), got.header("content-length"));
            assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
            let known = [("If-None-Match", got.header("etag").unwrap())];
            assert_eq!(client.send("GET", &path, &known, b"").unwrap().status, 304);
        }
    }
}

#[test]
fn an_index_needs_its_manifests() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let arm = spec::Platform::parse("linux/arm64").unwrap();
    let arm = Image::builder().platform(arm).build();
    let index = Index::new(Format::Oci, vec![image(Format::Oci, "a"), arm]);
    let path = format!("/v2/{REPOSITORY}/manifests/all");
    let headers = [("Content-Type", index.manifest.media_type.as_str())];
    let put = client.send("PUT", &path, &headers, &index.manifest.read().unwrap()).unwrap();
    assert_eq!((put.status, code(&put).as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(put.json()["errors"].as_array().unwrap().len(), 2);
    index.push(&client, REPOSITORY, "all").unwrap();
    assert_eq!(client.get(&path).unwrap().body, index.manifest.read().unwrap());
}

#[test]
fn what_is_no_manifest_or_lacks_a_blob_is_refused() {
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let config = put_blob(&client, REPOSITORY, b"{}");
    let manifest = |digest: &Digest, size: u64| {
        let config = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest.to_string(),
            "size": size,
        });
        json!({ "schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [] }).to_string()
    };
    let good = manifest(&config, 2);
    let foreign = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": Digest::sha256(b"elsewhere").to_string(),
        "size": 9,
        "urls": ["https://example.com/layer"],
    });
    let with_foreign = good.replace("\"layers\":[]", &format!("\"layers\":[{foreign}]"));
    let unsaid = good.replace(&format!(",\"mediaType\":\"{OCI}\""), "");
    assert_ne!(unsaid, good);
    let huge = format!("{good}{}", " ".repeat(4 << 20));
    let other = Digest::sha256(b"other");
    let (by_digest, parameter) = (other.to_string(), format!("{OCI}; x=y"));
    let index = "application/vnd.oci.image.index.v1+json";
    for (case, reference, content_type, body, status, expected) in [
        ("not JSON", "1", OCI, "{", 400, "MANIFEST_INVALID"),
        ("another type", "1", index, &good, 400, "MANIFEST_INVALID"),
        ("no manifest's type", "1", "application/x-y", &unsaid, 400, "MANIFEST_INVALID"),
        ("no blob", "1", OCI, &manifest(&other, 5), 400, "MANIFEST_BLOB_UNKNOWN"),
        ("wrong size", "1", OCI, &manifest(&config, 3), 400, "MANIFEST_INVALID"),
        ("too large", "1", OCI, &huge, 413, "SIZE_INVALID"),
        ("another digest", &by_digest, OCI, &good, 400, "DIGEST_INVALID"),
        ("no tag", ".1", OCI, &good, 400, "TAG_INVALID"),
        ("good", "1", OCI, &good, 201, ""),
        ("good, with a parameter", "1", &parameter, &good, 201, ""),
        ("good, of a type that nobody knows", "1", "application/x-y", &good, 201, ""),
        ("good, of unsaid type", "1", "application/octet-stream", &good, 201, ""),
        ("a layer from elsewhere", "2", OCI, &with_foreign, 201, ""),
    ] {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        let headers = [("Content-Type", content_type)];
        let put = client.send("PUT", &path, &headers, body.as_bytes()).unwrap();
        assert_eq!((put.status, code(&put).as_str()), (status, expected), "{case}: {}", put.text());
        if status != 201 {
            let got = client.get(&path).unwrap();
            assert_eq!((got.status, code(&got).as_str()), (404, "MANIFEST_UNKNOWN"), "{case}");
        }
    }
}

#[test]
fn a_tag_moves_and_a_deleted_manifest_takes_its_tags_along() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let (first, second) = (image(Format::Oci, "1"), image(Format::Oci, "2"));
    first.push(&client, REPOSITORY, "a").unwrap();
    first.push(&client, REPOSITORY, "b").unwrap();
    second.push(&client, REPOSITORY, "b").unwrap();
    second.push(&client, REPOSITORY, "c").unwrap();
    let path = |reference: &str| format!("/v2/{REPOSITORY}/manifests/{reference}");
    let delete = |name: &str| client.send("DELETE", &path(name), &[], b"").unwrap().status;
    let status = |name: &str| client.get(&path(name)).unwrap().status;
    assert_eq!(client.get(&path("b")).unwrap().body, second.manifest.read().unwrap());

    assert_eq!(delete("c"), 202);
    assert_eq!(delete("c"), 404);
    let by_digest = second.manifest.digest.to_string();
    assert_eq!(status(&by_digest), 200);
    assert_eq!(delete(&by_digest), 202);
    assert_eq!(delete(&by_digest), 404);
    assert_eq!((status("a"), status("b")), (200, 404));
    second.push(&client, REPOSITORY, "b").unwrap();
    assert_eq!(status("b"), 200);
    // A manifest of this repository is none of another.
    let other = format!("/v2/other/manifests/{}", first.manifest.digest);
    assert_eq!(client.get(&other).unwrap().status, 404);
}

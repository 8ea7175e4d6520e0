//! The distribution specification's requests, one after the other as its conformance tests make them: pull, push, content
//! discovery, content management.

use serde_json::json;
use test_support::image::{Format, Image};

use super::*;

/// One request and the status that the specification gives it.
fn ask(client: &Client, method: &str, path: &str, body: &[u8], expected: u16) -> Response {
    let headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
    let headers = if path.contains("/manifests/") { &headers[..] } else { &[] };
    let response = client.send(method, path, headers, body).unwrap();
    assert_eq!(response.status, expected, "{method} {path}: {}", response.text());
    response
}

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = spec::Hasher::new(spec::Algorithm::Sha512);
    hasher.update(bytes);
    hasher.finish()
}

#[test]
fn every_request_has_its_status() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let at = |rest: &str| format!("/v2/{REPOSITORY}/{rest}");
    ask(&client, "GET", "/v2/", b"", 200);

    // Pull, of what is not there.
    let nothing = Digest::sha256(b"nothing");
    for reference in ["none".to_owned(), nothing.to_string()] {
        for method in ["GET", "HEAD", "DELETE"] {
            ask(&client, method, &at(&format!("manifests/{reference}")), b"", 404);
        }
    }
    for method in ["GET", "HEAD", "DELETE"] {
        ask(&client, method, &at(&format!("blobs/{nothing}")), b"", 404);
    }

    // Push: in one request, in two, in chunks that must follow each other, and by a mount that leads to an upload.
    put_blob(&client, REPOSITORY, b"one");
    let place = begin_upload(&client);
    let digest = Digest::sha256(b"two");
    let stored = ask(&client, "PUT", &format!("{place}?digest={digest}"), b"two", 201);
    assert_eq!(stored.location().unwrap(), at(&format!("blobs/{digest}")));
    let place = begin_upload(&client);
    let chunk = |range: &str, body: &[u8]| {
        client.send("PATCH", &place, &[("Content-Range", range)], body).unwrap()
    };
    assert_eq!(chunk("0-2", b"abc").status, 202);
    let astray = chunk("5-6", b"de");
    assert_eq!((astray.status, astray.header("range")), (416, Some("0-2")));
    assert_eq!(chunk("3-4", b"de").header("range"), Some("0-4"));
    let progress = ask(&client, "GET", &place, b"", 204);
    assert_eq!(progress.header("range"), Some("0-4"));
    ask(&client, "PUT", &format!("{place}?digest={}", Digest::sha256(b"abcde")), b"", 201);
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from={REPOSITORY}");
    ask(&client, "POST", &mount, b"", 201);
    let mount = format!("/v2/other/blobs/uploads/?mount={nothing}&from={REPOSITORY}");
    let upload = ask(&client, "POST", &mount, b"", 202);
    ask(&client, "DELETE", upload.location().unwrap(), b"", 204);
    ask(&client, "GET", upload.location().unwrap(), b"", 404);

    // A manifest, by either algorithm and by tags.
    let image = Image::builder().format(Format::Oci).build();
    image.push(&client, REPOSITORY, "1").unwrap();
    let bytes = image.manifest.read().unwrap();
    let long = sha512(&bytes);
    let stored = ask(&client, "PUT", &at(&format!("manifests/{long}")), &bytes, 201);
    assert_eq!(stored.header("docker-content-digest"), Some(&*long.to_string()));
    assert_eq!(ask(&client, "GET", &at(&format!("manifests/{long}")), b"", 200).body, bytes);
    ask(&client, "PUT", &at("manifests/2"), &bytes, 201);

    // Discovery.
    let tags = |query: &str| ask(&client, "GET", &at(&format!("tags/list{query}")), b"", 200);
    assert_eq!(tags("").json()["tags"], json!(["1", "2"]));
    assert_eq!(tags("?n=1").json()["tags"], json!(["1"]));
    assert_eq!(tags("?n=1&last=1").json()["tags"], json!(["2"]));
    assert_eq!(tags("?n=0").header("link"), None);
    let referrers = ask(&client, "GET", &at(&format!("referrers/{nothing}")), b"", 200);
    assert_eq!(referrers.json()["manifests"], json!([]));
    ask(&client, "GET", &at("referrers/none"), b"", 400);

    // Management: a tag goes alone, a digest with its tags.
    ask(&client, "DELETE", &at("manifests/2"), b"", 202);
    ask(&client, "GET", &at("manifests/2"), b"", 404);
    ask(&client, "GET", &at("manifests/1"), b"", 200);
    ask(&client, "DELETE", &at(&format!("manifests/{}", image.manifest.digest)), b"", 202);
    ask(&client, "GET", &at("manifests/1"), b"", 404);
    ask(&client, "GET", &at(&format!("manifests/{long}")), b"", 200);
    ask(&client, "DELETE", &at(&format!("blobs/{digest}")), b"", 202);
    ask(&client, "GET", &at(&format!("blobs/{digest}")), b"", 404);
    ask(&client, "GET", &format!("/v2/other/blobs/{digest}"), b"", 200);
}

//! Tags, repositories, referrers, and their pages.

use serde_json::{Value, json};
use test_support::image::Image;

use super::*;

/// Follows `Link` from `path` and returns what each page has at `key`.
fn pages(client: &Client, path: &str, key: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let response = client.get(&path).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        found.push(response.json()[key].clone());
        next = response.header("link").map(|link| {
            let target = link.strip_suffix(">; rel=\"next\"").unwrap();
            target.strip_prefix('<').unwrap().to_owned()
        });
    }
    found
}

#[test]
fn tags_come_sorted_and_in_pages() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let path = format!("/v2/{REPOSITORY}/tags/list");
    let unknown = client.get(&path).unwrap();
    assert_eq!((unknown.status, code(&unknown).as_str()), (404, "NAME_UNKNOWN"));
    let image = Image::builder().build();
    for tag in ["b", "a", "C", "1.0"] {
        image.push(&client, REPOSITORY, tag).unwrap();
    }
    let get = |query: &str| client.get(&format!("{path}{query}")).unwrap().json();
    assert_eq!(get(""), json!({ "name": REPOSITORY, "tags": ["1.0", "C", "a", "b"] }));
    assert_eq!(get("?last=C")["tags"], json!(["a", "b"]));
    assert_eq!(get("?n=0")["tags"], json!([]));
    assert_eq!(get("?n=99999999")["tags"].as_array().unwrap().len(), 4);
    let paged = pages(&client, &format!("{path}?n=3"), "tags");
    assert_eq!(paged, [json!(["1.0", "C", "a"]), json!(["b"])]);
    assert_eq!(pages(&client, &format!("{path}?n=2"), "tags").len(), 2);
    let wrong = client.get(&format!("{path}?n=-1")).unwrap();
    assert_eq!((wrong.status, code(&wrong).as_str()), (400, "PAGINATION_NUMBER_INVALID"));

    let manifest = format!("/v2/{REPOSITORY}/manifests/{}", image.manifest.digest);
    client.send("DELETE", &manifest, &[], b"").unwrap().expect(202).unwrap();
    assert_eq!(get("")["tags"], json!([]));
}

#[test]
fn the_catalog_has_every_repository_even_within_others() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    assert_eq!(pages(&client, "/v2/_catalog", "repositories"), [json!([])]);
    for repository in ["b", "a/x", "a", "a/x/manifests", "tags/list"] {
        Image::builder().build().push(&client, repository, "1").unwrap();
    }
    // An upload alone does not make one.
    begin_upload(&client);
    let expected = json!(["a", "a/x", "a/x/manifests", "b", "tags/list"]);
    assert_eq!(pages(&client, "/v2/_catalog", "repositories"), [expected]);
    let paged = pages(&client, "/v2/_catalog?n=2", "repositories");
    assert_eq!(paged, [json!(["a", "a/x"]), json!(["a/x/manifests", "b"]), json!(["tags/list"])]);
    let tags = client.get("/v2/tags/list/tags/list").unwrap().json();
    assert_eq!(tags["tags"], json!(["1"]));
}

#[test]
fn a_manifest_is_listed_with_its_subject() {
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let config = put_blob(&client, REPOSITORY, b"{}");
    let subject = Digest::sha256(b"a manifest that need not be here");
    let path = format!("/v2/{REPOSITORY}/referrers/{subject}");
    let referrers = |query: &str| client.get(&format!("{path}{query}")).unwrap();
    assert_eq!(referrers("").json()["manifests"], json!([]));

    let empty = "application/vnd.oci.empty.v1+json";
    let push = |kind: &str, note: &str| {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": OCI,
            "artifactType": kind,
            "config": { "mediaType": empty, "digest": config.to_string(), "size": 2 },
            "layers": [],
            "subject": { "mediaType": OCI, "digest": subject.to_string(), "size": 1 },
            "annotations": { "note": note },
        })
        .to_string();
        let digest = Digest::sha256(document.as_bytes());
        let place = format!("/v2/{REPOSITORY}/manifests/{digest}");
        let headers = [("Content-Type", OCI)];
        let put = client.send("PUT", &place, &headers, document.as_bytes()).unwrap();
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(put.header("oci-subject"), Some(subject.to_string().as_str()));
        (digest, place)
    };
    let (first, place) = push("application/one+json", "x");
    push("application/two", &"long ".repeat(500_000));
    push("application/two", &"also ".repeat(500_000));

    // Two long ones do not fit in one page.
    let paged = pages(&client, &path, "manifests");
    assert_eq!(paged.iter().map(|page| page.as_array().unwrap().len()).sum::<usize>(), 3);
    assert_eq!(paged.len(), 2);
    let filter = "?artifactType=application%2Fone%2Bjson";
    let one = referrers(filter);
    assert_eq!(one.header("content-type"), Some("application/vnd.oci.image.index.v1+json"));
    assert_eq!(one.header("oci-filters-applied"), Some("artifactType"));
    let listed = &one.json()["manifests"];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["digest"], first.to_string().as_str());
    assert_eq!(listed[0]["artifactType"], "application/one+json");
    assert_eq!(listed[0]["annotations"]["note"], "x");

    client.send("DELETE", &place, &[], b"").unwrap().expect(202).unwrap();
    assert_eq!(referrers(filter).json()["manifests"], json!([]));
}

//! Downloads, ranges, mounts and deletion.

use super::*;

/// Longer than the chunk that the server reads at once, and no multiple of it.
fn content() -> Vec<u8> {
    (0..1_500_001u32).map(|number| number.to_le_bytes()[1]).collect()
}

#[test]
fn a_blob_comes_back_whole_and_in_parts() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let bytes = content();
    let digest = put_blob(&client, REPOSITORY, &bytes);
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");

    let head = client.send("HEAD", &path, &[], b"").unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("1500001"));
    assert_eq!(head.header("docker-content-digest"), Some(digest.to_string().as_str()));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert_eq!(head.header("docker-distribution-api-version"), Some("registry/2.0"));

    let whole = client.get(&path).unwrap();
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes);

    for (range, expected, place) in [
        ("bytes=0-0", 0..1, "bytes 0-0/1500001"),
        ("bytes=524287-524288", 524_287..524_289, "bytes 524287-524288/1500001"),
        ("bytes=600000-", 600_000..1_500_001, "bytes 600000-1500000/1500001"),
        ("bytes=-1", 1_500_000..1_500_001, "bytes 1500000-1500000/1500001"),
        ("bytes=1-99999999", 1..1_500_001, "bytes 1-1500000/1500001"),
    ] {
        let part = client.send("GET", &path, &[("Range", range)], b"").unwrap();
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == bytes[expected], "{range}");
        assert_eq!(part.header("content-range"), Some(place), "{range}");
    }
    let several = client.send("GET", &path, &[("Range", "bytes=0-0,5-5")], b"").unwrap();
    assert_eq!((several.status, several.body.len()), (200, bytes.len()));
    let outside = client.send("GET", &path, &[("Range", "bytes=1500001-")], b"").unwrap();
    assert_eq!((outside.status, code(&outside).as_str()), (416, "RANGE_INVALID"));
    assert_eq!(outside.header("content-range"), Some("bytes */1500001"));
    let ignored = client.send("HEAD", &path, &[("Range", "bytes=0-0")], b"").unwrap();
    assert_eq!((ignored.status, ignored.header("content-range")), (200, None));
}

#[test]
fn a_client_that_has_the_content_is_told_so() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let digest = put_blob(&client, REPOSITORY, b"content");
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let (same, other) = (format!("\"{digest}\""), format!("\"{}\"", Digest::sha256(b"")));
    let range = ("Range", "bytes=0-0");
    for (headers, status) in [
        (vec![("If-None-Match", same.as_str())], 304),
        (vec![("If-None-Match", other.as_str())], 200),
        (vec![("If-Range", other.as_str()), range], 200),
        (vec![("If-Range", same.as_str()), range], 206),
    ] {
        let response = client.send("GET", &path, &headers, b"").unwrap();
        assert_eq!(response.status, status, "{headers:?}");
    }
}

#[test]
fn the_empty_blob_is_a_blob() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let digest = put_blob(&client, REPOSITORY, b"");
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let response = client.get(&path).unwrap();
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(client.send("GET", &path, &[("Range", "bytes=0-")], b"").unwrap().status, 416);
}

#[test]
fn a_blob_belongs_to_its_repository_until_it_is_mounted() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let digest = put_blob(&client, "one", b"shared");
    let get = |repository: &str| client.get(&format!("/v2/{repository}/blobs/{digest}")).unwrap();
    assert_eq!((get("two").status, code(&get("two")).as_str()), (404, "BLOB_UNKNOWN"));

    let mount = |repository: &str, query: &str| {
        let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}{query}");
        client.send("POST", &path, &[], b"").unwrap()
    };
    // From where it is not: an ordinary upload instead.
    let elsewhere = mount("two", "&from=three");
    assert_eq!(elsewhere.status, 202);
    assert!(elsewhere.location().unwrap().starts_with("/v2/two/blobs/uploads/"));
    assert_eq!(get("two").status, 404);

    let mounted = mount("two", "&from=one");
    assert_eq!(mounted.status, 201);
    assert_eq!(mounted.location(), Some(format!("/v2/two/blobs/{digest}").as_str()));
    assert_eq!(get("two").body, b"shared");
    // Without `from`, from wherever it is.
    assert_eq!(mount("four", "").status, 201);
    assert_eq!(mount("five", "&from=../one").status, 400);

    // Deleting it from one repository leaves it in the others.
    let path = format!("/v2/one/blobs/{digest}");
    assert_eq!(client.send("DELETE", &path, &[], b"").unwrap().status, 202);
    assert_eq!(client.send("DELETE", &path, &[], b"").unwrap().status, 404);
    assert_eq!(get("one").status, 404);
    assert_eq!(get("two").status, 200);
}

#[test]
fn what_is_asked_wrongly_is_answered_by_the_specification() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let digest = Digest::sha256(b"");
    for (method, path, status, expected) in [
        ("GET", "/v1/".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", format!("/v2/{REPOSITORY}/blobs/sha256:00"), 400, "DIGEST_INVALID"),
        ("GET", format!("/v2/../../etc/blobs/{digest}"), 400, "NAME_INVALID"),
        ("GET", format!("/v2/%2e%2e/blobs/{digest}"), 400, "NAME_INVALID"),
        ("GET", format!("/v2/a/_layers/blobs/{digest}"), 400, "NAME_INVALID"),
        ("GET", format!("/v2/{REPOSITORY}/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        ("PUT", format!("/v2/{REPOSITORY}/blobs/{digest}"), 405, "UNSUPPORTED"),
        ("POST", "/v2/".to_owned(), 405, "UNSUPPORTED"),
        ("POST", format!("/v2/{REPOSITORY}/blobs/uploads/?digest=x"), 400, "DIGEST_INVALID"),
    ] {
        let response = client.send(method, &path, &[], b"").unwrap();
        assert_eq!((response.status, code(&response).as_str()), (status, expected), "{path}");
        assert_eq!(response.header("allow").is_some(), status == 405, "{path}");
    }
    assert_eq!(client.get("/v2/").unwrap().status, 200);
    assert_eq!(files(&registry), Vec::<String>::new());
}

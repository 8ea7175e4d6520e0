//! The page for people.

use test_support::http::{Client, Response};
use test_support::image::{Compression, Format, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

fn image() -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("a", vec![1; 5000])]);
    Image::builder().format(Format::Oci).architecture("arm64").layer(layer).build()
}

fn get(client: &Client, path: &str) -> Response {
    let response = client.get(path).unwrap();
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    let policy = response.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !response.text().contains("<script"), "{path}");
    response
}

#[test]
fn a_repository_its_tags_and_an_image() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let empty = get(&client, "/").text();
    assert!(empty.contains("Nothing is here yet"), "{empty}");
    assert!(empty.contains(&format!("longshore push {}/NAME:TAG", registry.address())), "{empty}");
    let image = image();
    image.push(&client, "me/app", "1").unwrap();
    let first = get(&client, "/").text();
    assert!(first.contains("<a href='/?repository=me%2Fapp'>me/app</a>"), "{first}");
    assert!(first.contains("/?repository=me%2Fapp&amp;reference=1'>1</a>"), "{first}");
    let tags = get(&client, "/?repository=me%2Fapp").text();
    let digest = image.manifest.digest.to_string();
    assert!(tags.contains("linux/arm64 · 1 layer · ") && tags.contains(&digest), "{tags}");
    for reference in ["1", &digest] {
        let page = get(&client, &format!("/?repository=me/app&reference={reference}")).text();
        let separator = if reference == "1" { ':' } else { '@' };
        let pull = format!("longshore pull {}/me/app{separator}{reference}\n", registry.address());
        let layer = image.layers[0].blob.digest.to_string();
        for expected in [&pull, &digest, &layer, &image.config.digest.to_string()] {
            assert!(page.contains(expected.as_str()), "{expected} in {page}");
        }
        let kind = image.layers[0].blob.media_type.as_str();
        assert!(
            page.contains(&format!("<p class=dim>{kind}</p><ol><li><code>{layer}</code><span>")),
            "{page}"
        );
    }
}

/// A signature has a tag as images do.
#[test]
fn a_signature_is_told_from_an_image() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let image = image();
    image.push(&client, "me/app", "1").unwrap();
    let digest = &image.manifest.digest;
    let blob = |bytes: &[u8]| {
        let digest = spec::Digest::sha256(bytes);
        let place = format!("/v2/me/app/blobs/uploads/?digest={digest}");
        client.send("POST", &place, &[], bytes).unwrap().expect(201).unwrap();
        serde_json::json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": bytes.len() })
    };
    let config = blob(br#"{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let mut layer = blob(b"signed");
    layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json".into();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
    let tag = format!("sha256-{}.sig", digest.hex());
    let place = format!("/v2/me/app/manifests/{tag}");
    let bytes = manifest.to_string().into_bytes();
    client.send("PUT", &place, &[("Content-Type", kind)], &bytes).unwrap().expect(201).unwrap();
    let first = get(&client, "/").text();
    assert!(!first.contains(&tag) && first.contains("1 signature or SBOM"), "{first}");
    let tags = get(&client, "/?repository=me%2Fapp").text();
    assert!(tags.contains(">signature of 1</a>") && tags.contains("1 blob · "), "{tags}");
    let page = get(&client, &format!("/?repository=me/app&reference={tag}")).text();
    assert!(page.contains(&format!(">{digest}</a>, and no image")), "{page}");
    for absent in ["docker pull", "0001-01-01", "unknown", "Platform"] {
        assert!(!page.contains(absent), "{absent} in {page}");
    }
}

#[test]
fn an_index_shows_its_platforms() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let index = test_support::image::Index::attested(vec![image()]);
    index.push(&client, "many", "1").unwrap();
    assert!(get(&client, "/?repository=many").text().contains("1 platform · "));
    let page = get(&client, "/?repository=many&reference=1").text();
    assert!(
        page.contains(">linux/arm64</a>") && page.contains(">attestation-manifest</a>"),
        "{page}"
    );
}

#[test]
fn what_is_not_here_and_what_cannot_be() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    for path in ["/?repository=none", "/?repository=none&reference=1"] {
        let response = get(&client, path);
        assert_eq!(response.status, 404, "{path}");
    }
    for (path, status) in [
        ("/?repository=%3Cscript%3E", 400),
        ("/?repository=../..", 400),
        ("/?repository=a&reference=%3Cscript%3E", 404),
    ] {
        let response = client.get(path).unwrap();
        assert_eq!(response.status, status, "{path}");
        assert!(response.header("content-type").unwrap().starts_with("application/json"));
    }
    assert_eq!(client.send("POST", "/", &[], b"").unwrap().status, 405);
}

#[test]
fn what_others_wrote_is_text_and_is_cut() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let image = image();
    image.push(&client, "app", "1").unwrap();
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&image.manifest.read().unwrap()).unwrap();
    for number in 0..150 {
        let key = format!("{number:03}<script>alert(1)</script>");
        manifest["annotations"][key] =
            "'\"><img src=x onerror=alert(1)>\u{202e}".repeat(100).into();
    }
    let headers = [("Content-Type", image.manifest.media_type.as_str())];
    let bytes = manifest.to_string();
    let answer = client.send("PUT", "/v2/app/manifests/bad", &headers, bytes.as_bytes()).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let page = get(&client, "/?repository=app&reference=bad").text();
    assert!(page.contains("000&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("and 50 more") && page.len() < 100_000, "{}", page.len());
    assert!(!page.contains("<img") && !page.contains('\u{202e}'), "{page}");
}

#[test]
fn a_page_has_fifty_names_and_a_way_to_the_next() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let image = image();
    for number in 0..51 {
        image.push(&client, "many", &format!("t{number:02}")).unwrap();
    }
    let page = get(&client, "/?repository=many").text();
    assert!(page.contains("/?repository=many&amp;last=t49'>More</a>"), "{page}");
    let page = get(&client, "/?repository=many&last=t49").text();
    assert!(page.contains(">t50</a>") && !page.contains(">t49</a>") && !page.contains("More"));
}

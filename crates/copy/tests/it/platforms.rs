//! Platforms of an image, wherever an index lists them.

use serde_json::{Value, json};
use spec::{Digest, Platform};
use test_support::http::Client;
use test_support::image::{Format, Image, Index};
use test_support::servers::LocalRegistry;

use super::support::{copier, of_platform, source, target};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn put(registry: &Client, name: &str, document: &Value) {
    let path = format!("/v2/app/manifests/{name}");
    let bytes = document.to_string().into_bytes();
    registry.send("PUT", &path, &[("Content-Type", INDEX)], &bytes).unwrap().expect(201).unwrap();
}

/// Pushes an index that lists indexes, one for each platform and one for several.
fn push_nested(registry: &Client, tag: &str, inner: &[Index]) {
    let entries: Vec<Value> = inner
        .iter()
        .map(|index| {
            let digest = index.manifest.digest.to_string();
            index.push(registry, "app", &digest).unwrap();
            json!({ "mediaType": INDEX, "digest": digest, "size": index.manifest.size })
        })
        .collect();
    put(registry, tag, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }));
}

async fn choose(registry: &LocalRegistry, tag: &str, platforms: &[&str]) -> Result<Digest, String> {
    let platforms: Vec<Platform> =
        platforms.iter().map(|text| Platform::parse(text).unwrap()).collect();
    let from = source(&format!("{}/app:{tag}", registry.address())).await;
    let to = target(&format!("{}/copy:1", registry.address())).await;
    let copied = copier().copy(&from, &to, &platforms).await;
    copied.map(|copied| copied.digest).map_err(|error| error.to_string())
}

#[tokio::test]
async fn indexes_within_an_index_are_looked_into() {
    let registry = LocalRegistry::start().unwrap();
    let of = |platform: &str| Index::new(Format::Oci, vec![of_platform(platform)]);
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(of);
    let others = ["linux/s390x", "linux/ppc64le"].map(of_platform);
    let inner = [amd, arm, Index::new(Format::Oci, others.to_vec())];
    push_nested(&registry.client(), "nested", &inner);
    let digest = |image: &Image| image.manifest.digest.clone();
    for (platform, image) in [
        ("linux/amd64", &inner[0].images[0]),
        ("linux/arm64", &inner[1].images[0]),
        ("linux/ppc64le", &inner[2].images[1]),
    ] {
        assert_eq!(choose(&registry, "nested", &[platform]).await, Ok(digest(image)));
    }
    choose(&registry, "nested", &["linux/arm64", "linux/ppc64le"]).await.unwrap();
    let cut = registry.client().get("/v2/copy/manifests/1").unwrap().json();
    let listed: Vec<(String, String)> = cut["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["digest"].to_string(), entry["platform"]["architecture"].to_string()))
        .collect();
    let expected = [(&inner[1].images[0], "arm64"), (&inner[2].images[1], "ppc64le")]
        .map(|(image, name)| (json!(digest(image)).to_string(), json!(name).to_string()));
    assert_eq!(listed, expected);
    let error = choose(&registry, "nested", &["linux/riscv64"]).await.unwrap_err();
    let all = "it is for linux/amd64, linux/arm64, linux/s390x, linux/ppc64le";
    assert!(error.ends_with(all), "{error}");
}

#[tokio::test]
async fn another_architecture_that_would_do_is_not_what_is_asked_for() {
    let registry = LocalRegistry::start().unwrap();
    let images = ["wasi/wasm", "linux/386", "linux/arm/v6", "linux/arm/v7", "linux/amd64/v3"];
    let images = images.map(of_platform);
    Index::new(Format::Oci, images.to_vec()).push(&registry.client(), "app", "1").unwrap();
    for (platform, expected) in [
        ("wasi/wasm", Some(0)),
        ("linux/386", Some(1)),
        ("linux/arm/v6", Some(2)),
        ("linux/arm", Some(3)),
        ("linux/amd64/v3", Some(4)),
        // What runs there is of another architecture.
        ("linux/amd64", None),
        ("linux/arm64", None),
        ("linux/wasm", None),
    ] {
        let chosen = choose(&registry, "1", &[platform]).await;
        let expected = expected.map(|at: usize| images[at].manifest.digest.clone());
        assert_eq!(chosen.ok(), expected, "{platform}");
    }
    images[0].push(&registry.client(), "app", "wasm").unwrap();
    assert!(choose(&registry, "wasm", &["wasi/wasm"]).await.is_ok());
    let error = choose(&registry, "wasm", &["linux/amd64"]).await.unwrap_err();
    assert!(error.ends_with("no image for platform linux/amd64; it is for wasi/wasm"), "{error}");
    let nothing = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    put(&registry.client(), "empty", &nothing);
    let error = choose(&registry, "empty", &["linux/amd64"]).await.unwrap_err();
    assert!(error.ends_with("it is for none that it names"), "{error}");
}

//! The clients that everybody has.

use std::path::Path;
use std::process::Command;

use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::installed;
use test_support::tar::Entry;

use super::*;

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn layout_digest(layout: &Path) -> String {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn skopeo_copies_in_and_out() {
    if !installed(&["skopeo"]) {
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layer =
        |name: &str| Layer::new(Compression::Gzip, &[Entry::file(name, name.repeat(100_000))]);
    let image = |name: &str| {
        Image::builder().format(Format::Oci).layer(layer("base")).layer(layer(name)).build()
    };
    let index = Index::new(Format::Oci, vec![image("one"), image("two")]);
    let source = folder.path().join("source");
    index.write_layout(&source, "all").unwrap();

    let there = format!("docker://{}/{REPOSITORY}:all", registry.address());
    let from = format!("oci:{}:all", source.display());
    skopeo(&["copy", "--all", "--dest-tls-verify=false", &from, &there]);
    let listed = skopeo(&["list-tags", "--tls-verify=false", there.trim_end_matches(":all")]);
    assert!(listed.contains("\"all\""), "{listed}");

    // Within the registry, by mounting.
    let other = format!("docker://{}/other:all", registry.address());
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&["copy", "--all", insecure[0], insecure[1], &there, &other]);
    let back = folder.path().join("back");
    let to = format!("oci:{}:all", back.display());
    skopeo(&["copy", "--all", insecure[0], &other, &to]);
    assert_eq!(layout_digest(&back), index.manifest.digest.to_string());

    skopeo(&["delete", "--tls-verify=false", &there]);
    let client = registry.client();
    assert_eq!(client.get(&format!("/v2/{REPOSITORY}/manifests/all")).unwrap().status, 404);
    assert_eq!(client.get("/v2/other/manifests/all").unwrap().status, 200);
}

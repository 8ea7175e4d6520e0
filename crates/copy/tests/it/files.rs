//! Layouts, directories and archives that others made, or will read.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use spec::Digest;
use test_support::http::Client;
use test_support::image::{Blob, Format, Image, Index};
use test_support::servers::LocalRegistry;

use super::support::{copier, copy, image, index, source, target};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn tags(place: &str) -> (Vec<String>, Vec<String>) {
    let found = source(place).await.images(&|_| true).await.unwrap();
    (found.images.iter().map(|(tag, _)| tag.to_string()).collect(), found.untagged)
}

#[tokio::test]
async fn what_another_tool_wrote_in_a_list_stays() {
    let registry = LocalRegistry::start().unwrap();
    let (one, two) = (image(2, 10), image(4, 10));
    two.push(&registry.client(), "app", "two").unwrap();
    let folder = tempfile::tempdir().unwrap();
    one.write_layout(folder.path(), "one").unwrap();
    let path = folder.path().join("index.json");
    let mut list = read(&path);
    list["annotations"] = json!({ "org.example": "kept" });
    list["x-own"] = json!([1.50, null]);
    list["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "arm", "x": 1 });
    let entry = list["manifests"][0].clone();
    let odd =
        json!({ "digest": "md5:0", "annotations": { "org.opencontainers.image.ref.name": "odd" } });
    list["manifests"] = json!([entry, odd, null, 5]);
    std::fs::write(&path, list.to_string()).unwrap();

    let place = |name: &str| format!("oci:{}{name}", folder.path().display());
    copy(&format!("{}/app:two", registry.address()), &place(":two")).await.unwrap();
    let mut written = read(&path);
    let added = written["manifests"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(added["digest"], json!(two.manifest.digest));
    assert_eq!(written, list);

    // One entry that is no descriptor hides none of the others.
    for (name, image) in [(":one", &one), (":two", &two)] {
        let back = format!("{}/back:1", registry.address());
        assert_eq!(copy(&place(name), &back).await.unwrap().0.digest, image.manifest.digest);
    }
    let (tags, _) = tags(&place("")).await;
    assert_eq!(tags, ["one", "two"]);
    let back = format!("{}/back:2", registry.address());
    for name in [":odd", ""] {
        let error = copy(&place(name), &back).await.unwrap_err().to_string();
        assert!(error.contains("one, two, an entry that cannot be read ("), "{error}");
    }
}

#[tokio::test]
async fn images_of_a_layout_are_listed_by_their_tags_and_the_others_told() {
    let registry = LocalRegistry::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [one, two, three] = [2, 4, 6].map(|seed| image(seed, 10));
    one.write_layout(folder.path(), "1").unwrap();
    two.write_layout(folder.path(), "r.example/app:2").unwrap();
    three.write_layout(folder.path(), "gone").unwrap();
    let path = folder.path().join("index.json");
    let mut list = read(&path);
    list["manifests"][2].as_object_mut().unwrap().remove("annotations");
    std::fs::write(&path, list.to_string()).unwrap();
    let place = format!("oci:{}", folder.path().display());
    let (listed, untagged) = tags(&place).await;
    assert_eq!(listed, ["1", "2"]);
    assert_eq!(untagged, [format!("{place}@{}", three.manifest.digest)]);
    let found = source(&place).await.images(&|tag| tag.as_str() == "2").await.unwrap();
    let (_, from) = &found.images[0];
    let to = super::support::target(&format!("{}/copy:2", registry.address())).await;
    let copied = super::support::copier().copy(from, &to, &[]).await.unwrap();
    assert_eq!(copied.digest, two.manifest.digest);
    // Two repositories' images cannot both be the tag of one.
    three.write_layout(folder.path(), "other.example/app:2").unwrap();
    let error = source(&place).await.images(&|_| true).await.unwrap_err().to_string();
    assert!(error.contains("r.example/app:2 has the tag 2, too"), "{error}");
    let one_alone = |tag: &spec::Tag| tag.as_str() == "1";
    assert!(source(&place).await.images(&one_alone).await.is_ok());
    // A manifest that is damaged is a fault of its own image.
    let damaged = folder.path().join("blobs/sha256").join(two.manifest.digest.hex());
    std::fs::write(damaged, "{}").unwrap();
    assert_eq!(source(&place).await.images(&one_alone).await.unwrap().images.len(), 1);
}

#[tokio::test]
async fn a_directory_has_one_image_and_no_more() {
    let registry = LocalRegistry::start().unwrap();
    let (old, new) = (index(2, 10), Index::new(Format::Oci, vec![image(2, 10)]));
    old.push(&registry.client(), "app", "1").unwrap();
    new.push(&registry.client(), "app", "2").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let from = |tag: &str| format!("{}/app:{tag}", registry.address());
    copy(&from("1"), &format!("dir:{}", at("a").display())).await.unwrap();
    std::fs::write(at("a").join("signature-1"), "of the old image").unwrap();
    std::fs::write(at("a").join("notes.txt"), "somebody's").unwrap();
    copy(&from("2"), &format!("dir:{}", at("a").display())).await.unwrap();
    copy(&from("2"), &format!("dir:{}", at("b").display())).await.unwrap();
    let mut expected = names(&at("b"));
    expected.insert("notes.txt".to_owned());
    assert_eq!(names(&at("a")), expected);
    let back = format!("{}/back:1", registry.address());
    let copied = copy(&format!("dir:{}", at("a").display()), &back).await.unwrap().0;
    assert_eq!(copied.digest, new.manifest.digest);
}

/// The root of an image is asked for by its digest where the target has another one under that name.
#[tokio::test]
async fn an_image_of_any_place_takes_the_place_of_another() {
    let registry = LocalRegistry::start().unwrap();
    let (one, whole) = (image(2, 10), index(4, 10));
    one.push(&registry.client(), "app", "one").unwrap();
    whole.push(&registry.client(), "app", "whole").unwrap();
    image(6, 10).push(&registry.client(), "app", "old").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |kind: &str, name: &str| format!("{kind}:{}/{name}", folder.path().display());
    let named = |name: &str| format!("{}/app:{name}", registry.address());
    for image in ["one", "whole"] {
        let mut sources = vec![
            named(image),
            at("dir", &format!("d-{image}")),
            at("oci", &format!("l-{image}:x")),
            at("oci-archive", &format!("a-{image}.tar:x")),
        ];
        if image == "one" {
            sources.push(at("docker-archive", "a.tar:a/b:1"));
        }
        for place in &sources[1..] {
            copy(&sources[0], place).await.unwrap();
        }
        for from in &sources {
            for to in [named("to"), at("oci", "to-l:x"), at("dir", "to-d")] {
                copy(&named("old"), &to).await.unwrap();
                let (copied, _) = copy(from, &to).await.unwrap();
                assert!(!copied.unchanged, "{from} to {to}");
                let (again, _) = copy(from, &to).await.unwrap();
                assert_eq!(
                    (&again.digest, again.unchanged),
                    (&copied.digest, true),
                    "{from} to {to}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_to_one_directory_at_once_leave_one_whole_image() {
    let (registry, folder) = (LocalRegistry::start().unwrap(), tempfile::tempdir().unwrap());
    for (tag, seed) in [("1", 2), ("2", 6)] {
        index(seed, 1000).push(&registry.client(), "app", tag).unwrap();
    }
    let from = |tag: &str| format!("{}/app:{tag}", registry.address());
    for round in 0..4 {
        let to = format!("dir:{}/{round}", folder.path().display());
        let (one, two) = (from("1"), from("2"));
        let (first, second) = tokio::join!(copy(&one, &to), copy(&two, &to));
        let expected = [first.unwrap().0.digest, second.unwrap().0.digest];
        let back = format!("{}/back:{round}", registry.address());
        let copied = copy(&to, &back).await.unwrap().0;
        assert!(expected.contains(&copied.digest));
        // No part of the other is left.
        assert_eq!(names(&folder.path().join(round.to_string())).len(), 9);
    }
    // In one run, the second image removes what the first and the third have.
    let (copier, to) = (copier(), format!("dir:{}/run", folder.path().display()));
    for tag in ["1", "2", "1"] {
        copier.copy(&source(&from(tag)).await, &target(&to).await, &[]).await.unwrap();
    }
    copy(&to, &format!("{}/back:run", registry.address())).await.unwrap();
    // One that fails leaves no folder.
    let to = folder.path().join("none");
    copy(&from("none"), &format!("dir:{}", to.display())).await.unwrap_err();
    assert!(!to.exists());
}

/// Puts an image into `app:1` whose first layer is at its URLs alone.
fn push_foreign(registry: &Client, image: &Image) -> Blob {
    let foreign = &image.layers[0].blob;
    let mut document: Value = serde_json::from_slice(&image.manifest.read().unwrap()).unwrap();
    document["layers"][0]["urls"] = json!(["https://foreign.example/layer"]);
    document["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
    image.push(registry, "app", "0").unwrap();
    let path = format!("/v2/app/blobs/{}", foreign.digest);
    registry.send("DELETE", &path, &[], b"").unwrap().expect(202).unwrap();
    let bytes = document.to_string().into_bytes();
    let headers = [("Content-Type", MANIFEST)];
    registry.send("PUT", "/v2/app/manifests/1", &headers, &bytes).unwrap().expect(201).unwrap();
    Blob::of(image.manifest.media_type.clone(), bytes.into())
}

#[tokio::test]
async fn layers_that_are_not_to_be_redistributed_stay_at_their_urls() {
    let registry = LocalRegistry::start().unwrap();
    let manifest = push_foreign(&registry.client(), &image(2, 10));
    let folder = tempfile::tempdir().unwrap();
    let at = |kind: &str, name: &str| format!("{kind}:{}/{name}", folder.path().display());
    let from = format!("{}/app:1", registry.address());
    for to in [at("oci", "l:x"), at("oci-archive", "a.tar:x")] {
        assert_eq!(copy(&from, &to).await.unwrap().1.copied, 2, "{to}");
        let back = format!("{}/copy:1", registry.address());
        let digest: Digest = copy(&to, &back).await.unwrap().0.digest;
        assert_eq!(digest, manifest.digest);
        // Who has to have the layer is told where it is.
        for whole in [at("dir", "d"), at("docker-archive", "d.tar:a/b:1")] {
            let error = copy(&to, &whole).await.unwrap_err().to_string();
            assert!(error.contains("stays at https://foreign.example/layer"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_folder_that_is_no_place_for_temporary_files_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let side = copy::Side::new(copy::RegistryConfig::default(), None, none.clone()).unwrap();
    let place = copy::Place::parse("oci-archive:-").unwrap();
    let input: copy::Input = Box::new(&b"x"[..]);
    let error = copy::Source::open(&place, &side, Some(input)).await.unwrap_err().to_string();
    let expected = format!("to {}, the folder for temporary files (TMPDIR): ", none.display());
    assert!(error.contains(&expected), "{error}");
}

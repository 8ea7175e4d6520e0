use std::collections::BTreeSet;

use serde_json::Value;

use crate::testing::Fixture;

use super::super::select::select;
use super::*;

fn plan(fixture: &Fixture, names: &[&str]) -> Plan {
    plan_of(fixture, names, &Platforms::Here).unwrap()
}

fn plan_since(fixture: &Fixture, names: &[&str], since: &[&str]) -> Plan {
    plan_without(fixture, names, &Platforms::Here, since).unwrap()
}

fn plan_of(fixture: &Fixture, names: &[&str], platforms: &Platforms) -> Result<Plan> {
    plan_without(fixture, names, platforms, &[])
}

fn plan_without(
    fixture: &Fixture,
    names: &[&str],
    platforms: &Platforms,
    since: &[&str],
) -> Result<Plan> {
    let since: Vec<String> = since.iter().map(|name| fixture.digits(name)).collect();
    let names: Vec<String> = names.iter().map(|name| fixture.digits(name)).collect();
    let lease = fixture.store().reading_lease().unwrap();
    let selection = select(fixture.store(), &lease, &names).unwrap();
    let base = Base::find(fixture.store(), &lease, &since).unwrap();
    let wish = Wish { platforms, referrers: false };
    Plan::make((fixture.store(), &lease), &selection, &wish, base)
}

fn document(plan: &Plan, name: &str) -> Value {
    let Content::Bytes(bytes) = &plan.files[name].content else { panic!("{name} is no document") };
    serde_json::from_slice(bytes).unwrap()
}

/// The blobs of a plan by what they are called in the fixture, and what else there is.
fn files(fixture: &Fixture, plan: &Plan) -> String {
    let mut names: Vec<String> = plan
        .files
        .keys()
        .map(|path| fixture.words(&path.replace("blobs/sha256/", "sha256:")))
        .collect();
    names.sort();
    names.join(" ")
}

#[test]
fn an_image_that_is_kept_is_saved_with_its_own_manifest() {
    let fixture = Fixture::new(&["web tags=web:1 digests=web layers=base,web"]);
    let plan = plan(&fixture, &["web:1"]);
    let web = fixture.made("web");
    let manifests = document(&plan, "index.json")["manifests"].clone();
    let [entry] = &manifests.as_array().unwrap()[..] else { panic!("one entry: {manifests}") };
    assert_eq!(entry["digest"], web.manifest.to_string());
    let annotations = &entry["annotations"];
    assert_eq!(annotations[NAME_ANNOTATION], "docker.io/library/web:1");
    assert_eq!(annotations[REF_NAME_ANNOTATION], "1");
    let proved = format!("docker.io/library/web@{}", web.manifest);
    assert_eq!(annotations[REPO_DIGESTS_ANNOTATION], proved, "so that a load has it again");
    for layer in &web.layers {
        let file = &plan.files[&blob_path(&layer.blob.digest)];
        assert_eq!((file.size, file.mode), (layer.blob.size, FILE_MODE));
    }
    assert_eq!(plan.images, [fixture.id("web")]);
}

#[test]
fn an_image_without_a_manifest_gets_one() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let plan = plan(&fixture, &["web:1"]);
    let index = document(&plan, "index.json");
    let digest: Digest = index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap();
    assert_ne!(digest, fixture.made("web").manifest);
    let manifest = document(&plan, &blob_path(&digest));
    assert_eq!(manifest["config"]["digest"], fixture.id("web").to_string());
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    assert_eq!(index["manifests"][0]["annotations"].get(REPO_DIGESTS_ANNOTATION), None);
}

#[test]
fn manifest_json_and_repositories_name_the_images() {
    let fixture = Fixture::new(&[
        "web tags=web:1,web:2,reg.io/me/web:1 layers=base,web",
        "db tags=db:1 layers=base",
        "none layers=none",
    ]);
    let plan = plan(&fixture, &["web", "db:1", "<none>", "reg.io/me/web:1"]);
    let items = document(&plan, "manifest.json");
    let tags = |index: usize| items[index]["RepoTags"].clone();
    assert_eq!(tags(0), serde_json::json!(["web:1", "web:2", "reg.io/me/web:1"]));
    assert_eq!(tags(1), serde_json::json!(["db:1"]));
    assert_eq!(tags(2), Value::Null, "as Go writes a list that was never made");
    for (index, name) in ["web", "db", "none"].into_iter().enumerate() {
        let made = fixture.made(name);
        assert_eq!(items[index]["Config"], blob_path(made.id.digest()));
        let paths: Vec<String> =
            made.layers.iter().map(|layer| blob_path(&layer.blob.digest)).collect();
        assert_eq!(items[index]["Layers"], serde_json::json!(paths));
        let sources = items[index]["LayerSources"].as_object().unwrap();
        assert!(made.layers.iter().all(|layer| sources.contains_key(&layer.diff_id.to_string())));
    }
    let top = |name: &str| fixture.made(name).layers.last().unwrap().blob.digest.hex();
    assert_eq!(
        document(&plan, "repositories"),
        serde_json::json!({
            "web": { "1": top("web"), "2": top("web") },
            "reg.io/me/web": { "1": top("web") },
            "db": { "1": top("db") },
        })
    );
    let entries = document(&plan, "index.json")["manifests"].as_array().unwrap().len();
    assert_eq!(entries, 5, "one for each tag, and one for what has none");
}

#[test]
fn what_images_share_is_in_the_archive_once() {
    let fixture = Fixture::new(&["a tags=a:1 layers=base,a", "b tags=b:1 layers=base,b"]);
    let both = plan(&fixture, &["a:1", "b:1"]);
    let blobs =
        |plan: &Plan| plan.files.keys().filter(|path| path.starts_with("blobs/sha256/")).count();
    let apart = blobs(&plan(&fixture, &["a:1"])) + blobs(&plan(&fixture, &["b:1"]));
    // The layer, and the folder itself.
    assert_eq!(blobs(&both), apart - 2, "{}", files(&fixture, &both));
}

#[test]
fn a_parent_is_noted_only_if_it_is_saved_too() {
    let fixture = Fixture::new(&[
        "base tags=base:1 layers=base",
        "web tags=web:1 layers=base,web parent=base",
    ]);
    for (names, expected) in [
        (&["web:1"][..], vec![Value::Null]),
        (&["base:1", "web:1"], vec![Value::Null, fixture.id("base").to_string().into()]),
        (&["web:1", "base:1"], vec![fixture.id("base").to_string().into(), Value::Null]),
    ] {
        let items = document(&plan(&fixture, names), "manifest.json");
        let parents: Vec<Value> =
            items.as_array().unwrap().iter().map(|item| item["Parent"].clone()).collect();
        assert_eq!(parents, expected, "{names:?}");
    }
}

#[test]
fn an_archive_of_nothing_is_dockerds() {
    let fixture = Fixture::new(&[]);
    let plan = plan(&fixture, &[]);
    assert_eq!(files(&fixture, &plan), "index.json manifest.json oci-layout");
    assert_eq!(document(&plan, "manifest.json"), Value::Null);
    assert_eq!(document(&plan, "index.json")["manifests"], Value::Null);
}

#[test]
fn times_are_the_images_and_none_is_before_1970() {
    for (created, modified) in [("at=1000", 1000), ("at=never", 0), ("at=-5", 0)] {
        let fixture = Fixture::new(&[&format!("web tags=web:1 {created}")]);
        let plan = plan(&fixture, &["web:1"]);
        let layer = blob_path(&fixture.made("web").layers[0].blob.digest);
        for path in [layer.as_str(), &blob_path(fixture.id("web").digest()), "blobs/"] {
            assert_eq!(plan.files[path].modified, modified, "{created} {path}");
        }
        for path in ["manifest.json", "index.json", "repositories", "blobs/sha256/"] {
            assert_eq!(plan.files[path].modified, 0, "{created} {path}");
        }
    }
}

/// As dockerd saves an image: plain tars, and a document for each layer that nobody reads any more.
#[test]
fn an_unpacked_image_is_saved_as_dockerd_saves_it() {
    let Some(fixture) = Fixture::unpacked(&["web tags=web:1 layers=base,web"]) else { return };
    let plan = plan(&fixture, &["web:1"]);
    let web = fixture.made("web");
    for layer in &web.layers {
        let file = &plan.files[&blob_path(layer.diff_id.digest())];
        assert_eq!((file.size, file.mode), (layer.tar_size, LAYER_MODE));
        assert!(
            matches!(&file.content, Content::Layer(LayerSource::Directory(_, diff_id)) if *diff_id == layer.diff_id)
        );
    }
    let blobs = plan.files.keys().filter(|path| path.len() > "blobs/sha256/".len());
    let blobs = blobs.filter(|path| path.starts_with("blobs/sha256/"));
    assert_eq!(blobs.count(), 6, "two layers, config, manifest, and a document for each layer");
    // With the manifest that it came with, and its blobs, it is saved as it came.
    let Some(fixture) = Fixture::unpacked(&["web tags=web:1 digests=web"]) else { return };
    let plan = self::plan(&fixture, &["web:1"]);
    let index = document(&plan, "index.json");
    assert_eq!(index["manifests"][0]["digest"], fixture.made("web").manifest.to_string());
}

/// The layers in a plan, and those that it leaves out, by the words they are made of.
fn layers(fixture: &Fixture, plan: &Plan) -> (String, String) {
    let left_out = match plan.files.get(LEFT_OUT) {
        Some(_) => document(plan, LEFT_OUT)["files"].clone(),
        None => Value::Null,
    };
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for name in ["base", "web", "db"] {
        for layer in &fixture.made(name).layers {
            let word = fixture.words(&layer.diff_id.to_string());
            let paths =
                [(&layer.blob.digest, layer.blob.size), (layer.diff_id.digest(), layer.tar_size)];
            for (path, size) in paths.map(|(digest, size)| (blob_path(digest), size)) {
                if plan.files.contains_key(&path) {
                    there.insert(word.clone());
                } else if let Some(file) = left_out.get(&path) {
                    assert_eq!(file["size"], size);
                    gone.insert(format!("{word}:{}", file["of"]));
                }
            }
        }
    }
    let text = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
    (text(there), text(gone))
}

#[test]
fn layers_of_what_the_reader_has_are_left_out() {
    let lines = [
        "base tags=base:1 digests=base layers=base",
        "web tags=web:1 digests=web layers=base,web",
        // Its topmost layer is another's lowest one.
        "db tags=db:1 layers=web,base",
    ];
    for fixture in [Some(Fixture::new(&lines)), Fixture::unpacked(&lines)].into_iter().flatten() {
        let shown =
            |names: &[&str], since: &[&str]| layers(&fixture, &plan_since(&fixture, names, since));
        let texts = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let words = |name: &str, number: usize| {
            fixture.words(&fixture.made(name).layers[number].diff_id.to_string())
        };
        let (base, web) = (words("web", 0), words("web", 1));
        let mut both = [base.clone(), web.clone()];
        both.sort();
        let both = both.join(" ");
        assert_eq!(shown(&["web:1"], &[]), texts(&both, ""));
        assert_eq!(shown(&["web:1"], &["base:1"]), texts(&web, &format!("{base}:0")));
        assert_eq!(shown(&["web:1"], &["<base>"]), texts(&web, &format!("{base}:0")));
        assert_eq!(shown(&["web:1"], &["db:1", "base:1"]), texts(&web, &format!("{base}:1")));
        assert_eq!(shown(&["web:1"], &["web:1"]).0, "");
        // A layer in another place has another name in the store: it is not known to be there.
        assert_eq!(shown(&["db:1"], &["base:1"]), texts(&both, ""));
        let (there, _) = shown(&["web:1", "db:1"], &["base:1"]);
        assert_eq!(there, both);
        let plan = plan_since(&fixture, &["web:1"], &["base:1", "db:1"]);
        let since = document(&plan, LEFT_OUT)["since"].clone();
        assert_eq!(since[0]["id"], fixture.id("base").to_string());
        let digest = format!("base@{}", fixture.made("base").manifest);
        assert_eq!(since[0]["names"], serde_json::json!(["base:1", digest]));
        assert_eq!(since[1]["names"], serde_json::json!(["db:1"]));
        assert_eq!(document(&plan, "manifest.json")[0]["Layers"].as_array().unwrap().len(), 2);
    }
}

/// The index of the archive leads to the image's index and that to its manifests; `manifest.json` has the image that the name means.
#[test]
fn an_index_is_saved_with_what_is_here_of_it() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web layers=base,web"]);
    let arm = fixture.add_part("arm platform=linux/arm64 layers=base,arm");
    let web = fixture.described("web");
    let mut gone = arm.clone();
    gone.digest = Digest::sha256(b"gone");
    gone.platform = spec::Platform::parse("linux/s390x").ok();
    let alone = plan(&fixture, &["web:1"]);
    let index = fixture.add_index("web", &[arm.clone(), web.clone(), gone]);
    let whole = plan(&fixture, &["web:1"]);
    let entry = document(&whole, "index.json")["manifests"][0].clone();
    assert_eq!(
        (&entry["digest"], &entry["size"]),
        (&index.digest.to_string().into(), &index.size.into())
    );
    assert_eq!(entry["annotations"][NAME_ANNOTATION], "docker.io/library/web:1");
    let items = document(&whole, "manifest.json");
    assert_eq!(items, document(&alone, "manifest.json"));
    let made = fixture.made("arm");
    for digest in
        [&arm.digest, made.id.digest(), &made.layers[0].blob.digest, &made.layers[1].blob.digest]
    {
        let size = fixture.store().blob(digest).unwrap().unwrap().size;
        assert_eq!(whole.files[&blob_path(digest)].size, size);
    }
    let platforms = |list: &[&str]| {
        Platforms::These(list.iter().map(|text| spec::Platform::parse(text).unwrap()).collect())
    };
    let saved = |platforms: &Platforms| plan_of(&fixture, &["web:1"], platforms);
    let both = saved(&platforms(&["linux/arm64", "linux/amd64"])).unwrap();
    assert_eq!(files(&fixture, &both), files(&fixture, &whole));
    let own = saved(&platforms(&["linux/amd64", "linux/x86_64"])).unwrap();
    assert_eq!(document(&own, "index.json")["manifests"][0]["digest"], web.digest.to_string());
    let other = saved(&platforms(&["linux/arm64"])).unwrap();
    assert_eq!(document(&other, "index.json")["manifests"][0]["digest"], arm.digest.to_string());
    let items = document(&other, "manifest.json");
    assert_eq!(items[0]["Config"], blob_path(made.id.digest()));
    assert_eq!(items[0]["RepoTags"], serde_json::json!(["web:1"]));
    for (wanted, expected) in [
        (platforms(&["linux/s390x"]), "no suitable export target found for platform linux/s390x"),
        (
            platforms(&["linux/amd64", "linux/s390x"]),
            "no suitable export target found for platform linux/s390x",
        ),
        // What would run there is not enough.
        (platforms(&["linux/386"]), "no suitable export target found for platform linux/386"),
        (Platforms::All, "not all that the index of web:1 lists is here, missing: linux/s390x"),
    ] {
        assert_eq!(saved(&wanted).unwrap_err().message(), expected);
    }
}

/// Without an index an image is all that there is of it.
#[test]
fn an_image_without_an_index_is_for_one_platform() {
    let fixture = Fixture::new(&["web tags=web:1", "db tags=db:1 platform=linux/arm64"]);
    let platforms = |list: &[&str]| {
        Platforms::These(list.iter().map(|text| spec::Platform::parse(text).unwrap()).collect())
    };
    for (names, wanted, expected) in [
        (&["web:1"][..], platforms(&["linux/amd64"]), None),
        (&["web:1"], Platforms::All, None),
        (&["db:1"], platforms(&["linux/arm64"]), None),
        (&["web:1"], platforms(&["linux/arm64"]), Some("linux/arm64")),
        (&["web:1", "db:1"], platforms(&["linux/amd64"]), Some("linux/amd64")),
        (&["web:1"], platforms(&["linux/amd64", "linux/arm64"]), Some("linux/arm64")),
        (&["web:1"], platforms(&["linux/386"]), Some("linux/386")),
    ] {
        let lacking = plan_of(&fixture, names, &wanted).err().map(|error| error.message());
        let expected = expected
            .map(|platform| format!("no suitable export target found for platform {platform}"));
        assert_eq!(lacking, expected, "{names:?} {wanted:?}");
    }
}

use serde_json::json;

use crate::testing::Fixture;

use super::*;

fn inspected(fixture: &Fixture, name: &str) -> ImageDetails {
    fixture.run(fixture.engine.inspect(&fixture.digits(name), InspectOptions::default())).unwrap()
}

#[test]
fn names_sizes_and_layers_are_told() {
    let fixture = Fixture::new(&[
        "base layers=base:100",
        "web tags=web:2,web:1 digests=web layers=base:100,web:20 parent=base platform=linux/arm64/v8",
    ]);
    for name in ["web:1", "<web>", "<web 12>", "web@<web digest>"] {
        let web = inspected(&fixture, name);
        assert_eq!(web.id, fixture.id("web"), "{name}");
        assert_eq!(web.repo_tags, ["web:1", "web:2"]);
        assert_eq!(fixture.words(&web.repo_digests.join(" ")), "web@<web digest>");
        assert_eq!(web.parent, Some(fixture.id("base")));
        assert_eq!(web.size, 120);
        let diff_ids: Vec<_> =
            fixture.made("web").layers.iter().map(|layer| layer.diff_id.clone()).collect();
        assert_eq!(web.layers, diff_ids);
        assert_eq!(web.platform.architecture, "arm64");
        assert!(web.manifests.is_none() && web.descriptor.is_none(), "nobody asked");
        assert_eq!(web.graph_driver.name, "packed");
    }
    let base = inspected(&fixture, "<base>");
    assert!(base.repo_tags.is_empty() && base.repo_digests.is_empty() && base.parent.is_none());
}

/// dockerd's: the config's own comment, or that of its last step.
#[test]
fn the_comment_is_the_makers_or_that_of_the_last_step() {
    let step = |comment: &str| json!({ "created_by": "RUN", "comment": comment });
    for (config, expected) in [
        (json!({ "comment": "own", "history": [step("step")] }), "own"),
        (json!({ "comment": "", "history": [step("first"), step("last")] }), "last"),
        (json!({ "comment": null, "history": [step("last")] }), "last"),
        (json!({ "comment": "", "history": [] }), ""),
        (json!({ "comment": "", "history": [{ "created_by": "RUN" }] }), ""),
    ] {
        let mut fixture = Fixture::new(&[]);
        fixture.add_with("web tags=web:1", &config);
        assert_eq!(inspected(&fixture, "web:1").comment, expected, "{config}");
    }
}

#[test]
fn an_image_without_layers_has_no_directories() {
    let fixture = Fixture::new(&["empty tags=empty:1 layers=-"]);
    let empty = inspected(&fixture, "empty:1");
    assert_eq!((empty.size, empty.layers.len(), empty.graph_driver.data.len()), (0, 0, 0));
    assert_eq!(empty.graph_driver.name, "packed");
}

#[test]
fn the_time_of_the_last_tag_is_told_if_there_was_one() {
    let fixture = Fixture::new(&["web tags=web:1", "never layers=-"]);
    fixture.run(fixture.engine.tag("web:1", None, ("web", "2"))).unwrap();
    assert!(inspected(&fixture, "web:1").last_tag_time.is_some());
    assert_eq!(inspected(&fixture, "<never>").last_tag_time, None);
}

#[test]
fn an_image_that_has_lost_a_layer_is_told_as_such() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let chain = spec::ChainId::chain(&[fixture.made("web").layers[0].diff_id.clone()]);
    let entries = fixture.store().root().join("image/packed/layerdb/sha256");
    std::fs::remove_dir_all(entries.join(chain[0].digest().hex())).unwrap();
    let error =
        fixture.run(fixture.engine.inspect("web:1", InspectOptions::default())).unwrap_err();
    let told = fixture.words(&error.message());
    assert_eq!(told, "layer <layer base> of image <web> does not exist");
}

#[test]
fn unpacked_layers_have_their_directories() {
    let Some(fixture) = Fixture::unpacked(&["web tags=web:1 layers=base,web"]) else { return };
    let driver = inspected(&fixture, "web:1").graph_driver;
    assert_eq!(driver.name, "overlay2");
    let keys: Vec<&str> = driver.data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["LowerDir", "MergedDir", "UpperDir", "WorkDir"]);
}

#[test]
fn another_image_of_the_index_is_told_from_its_own_config() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web layers=base:100,web:20"]);
    let arm = fixture.add_part("arm platform=linux/arm64 layers=base:100,arm:30");
    let web = fixture.described("web");
    fixture.add_index("web", &[web, arm.clone()]);
    let inspect = |platform: Option<&str>, manifests| {
        let platform = platform.map(|platform| Platform::parse(platform).unwrap());
        let options = InspectOptions { platform, manifests };
        fixture.run(fixture.engine.inspect("web:1", options))
    };
    let told = inspect(Some("linux/arm64"), false).unwrap();
    assert_eq!((&told.id, &told.comment[..]), (&fixture.id("arm"), "arm"));
    assert_eq!((told.descriptor, &told.repo_tags[..]), (Some(arm), &["web:1".to_owned()][..]));
    assert_eq!(fixture.words(&told.repo_digests.join(" ")), "web@<web digest>");
    assert_eq!((told.layers.len(), told.graph_driver.data.len()), (2, 0));
    let blobs: u64 = fixture.made("arm").layers.iter().map(|layer| layer.blob.size).sum();
    assert!(told.size > blobs && told.size < blobs + 2000, "{}", told.size);
    for platform in [None, Some("linux/amd64")] {
        let own = inspect(platform, false).unwrap();
        assert_eq!((own.id, own.size, own.descriptor), (fixture.id("web"), 120, None));
    }
    let manifests = inspect(None, true).unwrap().manifests.unwrap();
    assert_eq!(manifests.len(), 2);
    let error = inspect(Some("linux/s390x"), false).unwrap_err().message();
    assert!(error.ends_with("does not match the specified platform (linux/s390x)"), "{error}");
}

use crate::kept::ManifestKind;
use crate::testing::Fixture;

use super::*;

const IMAGES: &[&str] = &[
    "web tags=web:1,web:2,reg.io/me/web:1 digests=web at=30 labels=tier=front,team layers=base:100,web:20",
    "db tags=db:1 at=20 labels=tier=back layers=base:100,db:3",
    "old at=10 layers=old:7",
    "pinned digests=web at=15 layers=base:100",
    "undated tags=undated:1 at=never layers=-",
];

fn options(filters: ListFilters) -> ListOptions {
    ListOptions { filters, ..ListOptions::default() }
}

fn listed(fixture: &Fixture, options: ListOptions) -> Result<Vec<ImageSummary>> {
    fixture.run(fixture.engine.list(options))
}

/// The images of a list by their own names, in its order.
fn ids(fixture: &Fixture, options: ListOptions) -> String {
    match listed(fixture, options) {
        Ok(images) => {
            let ids: Vec<String> = images.iter().map(|image| image.id.to_string()).collect();
            fixture.words(&ids.join(" "))
        }
        Err(error) => fixture.words(&error.message()),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn the_youngest_comes_first_and_what_has_no_date_last() {
    let fixture = Fixture::new(IMAGES);
    assert_eq!(ids(&fixture, ListOptions::default()), "<web> <db> <pinned> <old> <undated>");
    let of_one_time = Fixture::new(&["a layers=-", "b layers=-", "c layers=-"]);
    let images = listed(&of_one_time, ListOptions::default()).unwrap();
    assert!(images.is_sorted_by_key(|image| image.id.clone()), "then by their IDs");
}

#[test]
fn a_line_has_the_names_sizes_and_labels() {
    let fixture = Fixture::new(IMAGES);
    let images = listed(&fixture, ListOptions::default()).unwrap();
    let by_name = |name| {
        let id = fixture.id(name);
        images.iter().find(|image| image.id == id).unwrap()
    };
    let web = by_name("web");
    assert_eq!(
        web.repo_tags,
        ["web:1", "web:2", "reg.io/me/web:1"],
        "as canonical ones are sorted"
    );
    assert_eq!(fixture.words(&web.repo_digests.join(" ")), "web@<web digest>");
    assert_eq!((web.created, web.size, web.shared_size), (30, 120, None));
    let labels = web.labels.as_ref().unwrap();
    assert_eq!((labels["tier"].as_str(), labels["team"].as_str()), ("front", ""));
    assert!(web.manifests.is_empty(), "nobody asked for them");
    let undated = by_name("undated");
    assert_eq!((undated.created, undated.size), (0, 0));
    assert!(by_name("old").repo_tags.is_empty());
}

#[test]
fn labels_must_all_be_there() {
    let fixture = Fixture::new(IMAGES);
    for (labels, expected) in [
        (&["tier"][..], "<web> <db>"),
        (&["tier=front"], "<web>"),
        (&["tier", "team"], "<web>"),
        (&["team="], "<web>"),
        (&["team=x"], ""),
        (&["tier=front", "tier=back"], ""),
        (&["Tier"], ""),
    ] {
        let filters = ListFilters { labels: texts(labels), ..ListFilters::default() };
        assert_eq!(ids(&fixture, options(filters)), expected, "{labels:?}");
    }
}

#[test]
fn dangling_is_what_has_no_tag_and_is_no_step() {
    let mut fixture = Fixture::new(IMAGES);
    fixture.add("step at=1 layers=step");
    fixture.add("built tags=built:1 at=2 layers=step,built parent=step");
    for (dangling, all, expected) in [
        (None, false, "<web> <db> <pinned> <old> <built> <undated>"),
        (None, true, "<web> <db> <pinned> <old> <built> <step> <undated>"),
        // An image that has digests only is dangling, too.
        (Some(true), false, "<pinned> <old>"),
        (Some(true), true, "<pinned> <old>"),
        (Some(false), false, "<web> <db> <pinned> <built> <undated>"),
        (Some(false), true, "<web> <db> <pinned> <built> <undated>"),
    ] {
        let filters = ListFilters { dangling, ..ListFilters::default() };
        let options = ListOptions { all, ..options(filters) };
        assert_eq!(ids(&fixture, options), expected, "{dangling:?} {all}");
    }
}

#[test]
fn references_match_familiar_and_canonical_with_and_without_the_tag() {
    let fixture = Fixture::new(IMAGES);
    for (patterns, expected) in [
        (&["web"][..], "web:1 web:2 @web"),
        (&["web:1"], "web:1"),
        (&["*:1"], "db:1 undated:1 web:1"),
        (&["docker.io/library/web"], "web:1 web:2 @web"),
        (&["docker.io/library/web:2"], "web:2"),
        (&["library/web"], ""),
        (&["reg.io/*/*"], "reg.io/me/web:1"),
        (&["reg.io/*"], ""),
        (&["reg.io/me/we?"], "reg.io/me/web:1"),
        (&["w[a-e]b:[12]"], "web:1 web:2"),
        (&["w[^a-d]b:1"], "web:1"),
        (&["db", "undated"], "db:1 undated:1"),
        (&["nothing"], ""),
        // Of an image with no name at all, nothing matches.
        (&["*"], "db:1 undated:1 web:1 web:2 @web"),
    ] {
        let filters = ListFilters { references: texts(patterns), ..ListFilters::default() };
        let images = listed(&fixture, options(filters)).unwrap();
        // Names that do not match are not shown either.
        let mut names: Vec<String> =
            images.iter().flat_map(|image| image.repo_tags.clone()).collect();
        names.sort();
        let by_digest = images
            .iter()
            .any(|image| image.id == fixture.id("web") && !image.repo_digests.is_empty());
        names.extend(by_digest.then(|| "@web".to_owned()));
        assert_eq!(names.join(" "), expected, "{patterns:?}");
    }
}

/// Go reads a pattern when it meets the first name, and what it says is not the caller's fault there.
#[test]
fn a_pattern_that_is_none_is_an_error_where_there_is_a_name() {
    let bad = || ListFilters { references: texts(&["["]), ..ListFilters::default() };
    let fixture = Fixture::new(&["web tags=web:1"]);
    let error = listed(&fixture, options(bad())).unwrap_err();
    assert_eq!(
        (error.message().as_str(), error.kind()),
        ("syntax error in pattern", crate::ErrorKind::System)
    );
    let fixture = Fixture::new(&["web"]);
    assert_eq!(ids(&fixture, options(bad())), "");
}

#[test]
fn before_and_since_exclude_the_image_that_they_name() {
    let fixture = Fixture::new(IMAGES);
    let filters = |before: &[&str], since: &[&str], until: Option<i64>| ListFilters {
        before: before.iter().map(|name| fixture.digits(name)).collect(),
        since: since.iter().map(|name| fixture.digits(name)).collect(),
        until: until.map(|seconds| Timestamp::from_second(seconds).unwrap()),
        ..ListFilters::default()
    };
    for (filters, expected) in [
        (filters(&["db:1"], &[], None), "<pinned> <old>"),
        (filters(&["<db 12>"], &[], None), "<pinned> <old>"),
        (filters(&["web:1"], &[], None), "<db> <pinned> <old>"),
        (filters(&[], &["<old>"], None), "<web> <db> <pinned>"),
        (filters(&[], &["web:2"], None), ""),
        // Of several the narrowest counts.
        (filters(&["web:1", "db:1"], &[], None), "<pinned> <old>"),
        (filters(&[], &["<old>", "db:1"], None), "<web>"),
        (filters(&["web:1"], &["<old>"], None), "<db> <pinned>"),
        (filters(&[], &[], Some(20)), "<pinned> <old>"),
        (filters(&["web:1"], &[], Some(15)), "<old>"),
        // An image without a date is no bound.
        (filters(&["undated:1"], &[], None), "<web> <db> <pinned> <old> <undated>"),
        (filters(&["gone"], &[], None), "No such image: gone:latest"),
        (filters(&[], &["gone:2"], None), "No such image: gone:2"),
    ] {
        let told = format!("{filters:?}");
        assert_eq!(ids(&fixture, options(filters)), expected, "{told}");
    }
}

#[test]
fn shared_sizes_are_of_layers_that_several_images_have() {
    let fixture = Fixture::new(IMAGES);
    let options = ListOptions { shared_size: true, ..ListOptions::default() };
    let images = listed(&fixture, options).unwrap();
    for (name, size, shared) in [
        ("web", 120, 100),
        ("db", 103, 100),
        ("pinned", 100, 100),
        ("old", 7, 0),
        ("undated", 0, 0),
    ] {
        let image = images.iter().find(|image| image.id == fixture.id(name)).unwrap();
        assert_eq!((image.size, image.shared_size), (size, Some(shared)), "{name}");
    }
}

#[test]
fn equal_layers_on_other_parents_are_not_shared() {
    let fixture = Fixture::new(&["a layers=x:5,top:70", "b layers=y:6,top:70"]);
    let options = ListOptions { shared_size: true, ..ListOptions::default() };
    let images = listed(&fixture, options).unwrap();
    assert!(images.iter().all(|image| image.shared_size == Some(0)), "{images:?}");
}

#[test]
fn an_image_that_has_lost_a_layer_is_not_listed() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web", "db tags=db:1"]);
    let chain = ChainId::chain(&[fixture.made("web").layers[0].diff_id.clone()]);
    let entry =
        fixture.store().root().join("image/packed/layerdb/sha256").join(chain[0].digest().hex());
    std::fs::remove_dir_all(entry).unwrap();
    assert_eq!(ids(&fixture, ListOptions::default()), "<db>");
}

#[test]
fn the_parent_is_told_as_long_as_it_is_noted() {
    let fixture = Fixture::new(&[
        "base tags=base:1 layers=base",
        "web tags=web:1 layers=base,web parent=base",
    ]);
    let images = listed(&fixture, ListOptions::default()).unwrap();
    let parent = |name| {
        let image = images.iter().find(|image| image.id == fixture.id(name)).unwrap();
        image.parent.clone()
    };
    assert_eq!(parent("web"), Some(fixture.id("base")));
    assert_eq!(parent("base"), None);
}

#[test]
fn kept_manifests_are_told_with_the_platform() {
    let fixture =
        Fixture::new(&["web tags=web:1 digests=web platform=linux/arm64", "local tags=local:1"]);
    let options = ListOptions { manifests: true, ..ListOptions::default() };
    let images = listed(&fixture, options).unwrap();
    let manifests = |name| {
        let image = images.iter().find(|image| image.id == fixture.id(name)).unwrap();
        image.manifests.clone()
    };
    let [manifest] = &manifests("web")[..] else { panic!("one manifest") };
    assert_eq!(manifest.descriptor.digest, fixture.made("web").manifest);
    let ManifestKind::Image { platform, .. } = &manifest.kind else { panic!("{manifest:?}") };
    assert_eq!(platform.to_string(), "linux/arm64");
    assert!(manifests("local").is_empty());
}

#[test]
fn the_window_excludes_its_ends_and_the_undated() {
    let at = |second| Timestamp::from_second(second).ok();
    let mut window = Window { start: at(10), end: None };
    window.end_at(at(30));
    window.end_at(at(20));
    for (created, inside) in [(at(10), false), (at(11), true), (at(20), false), (None, false)] {
        assert_eq!(window.contains(created), inside);
    }
    assert!(Window::default().contains(None));
}

use crate::testing::Fixture;

use super::*;

const FORCE: RemoveOptions =
    RemoveOptions { force: true, prune_children: true, platforms: Vec::new() };
const PLAIN: RemoveOptions =
    RemoveOptions { force: false, prune_children: true, platforms: Vec::new() };

/// Removes; returns what is told, or the error.
fn removed(fixture: &Fixture, name: &str, options: &RemoveOptions) -> String {
    let name = fixture.digits(name);
    match fixture.run(fixture.engine.remove(&name, options.clone())) {
        Ok(records) => {
            let texts: Vec<String> = records
                .iter()
                .map(|record| match record {
                    Removed::Untagged(name) => format!("untagged {name}"),
                    Removed::Deleted(digest) => format!("deleted {digest}"),
                })
                .collect();
            fixture.words(&texts.join(", "))
        }
        Err(error) => fixture.words(&format!("{:?}: {}", error.kind(), error.message())),
    }
}

/// Removes `name` from a data root of these images; what is told, and the names that are left.
#[track_caller]
fn check(images: &[&str], name: &str, options: &RemoveOptions, told: &str, left: &str) {
    let fixture = Fixture::new(images);
    assert_eq!(removed(&fixture, name, options), told, "{images:?} {name}");
    assert_eq!(fixture.names(), left, "{images:?} {name}");
}

#[test]
fn the_last_name_takes_the_image_with_it() {
    for (images, name, told, left) in [
        (
            &["web tags=web:1"][..],
            "web:1",
            "untagged web:1, deleted <web>, deleted <layer web>",
            "",
        ),
        // One name of several is only that.
        (&["web tags=web:1,web:2"], "web:1", "untagged web:1", "web:2 <web>"),
        (&["web tags=web:1,other:1"], "web:1", "untagged web:1", "other:1 <web>"),
        // Layers go from the top down, and only those that no other image has.
        (
            &["web tags=web:1 layers=base,web"],
            "web:1",
            "untagged web:1, deleted <web>, deleted <layer base/web>, deleted <layer base>",
            "",
        ),
        (
            &["base tags=base:1", "web tags=web:1 layers=base,web"],
            "web:1",
            "untagged web:1, deleted <web>, deleted <layer base/web>",
            "base:1 <base>",
        ),
        (
            &["base tags=base:1", "web tags=web:1 layers=base,web"],
            "base:1",
            "untagged base:1, deleted <base>",
            "web:1 <web>",
        ),
        (&["web tags=web:1 layers=-"], "web:1", "untagged web:1, deleted <web>", ""),
    ] {
        check(images, name, &PLAIN, told, left);
    }
}

/// dockerd takes the digests of a repository with its last tag, and keeps those of other repositories.
#[test]
fn digests_go_with_the_last_tag_of_their_repository() {
    for (images, name, told, left) in [
        (
            &["web tags=web:1 digests=web"][..],
            "web:1",
            "untagged web:1, untagged web@<web digest>, deleted <web>, deleted <layer web>",
            "",
        ),
        (
            &["web tags=web:1,web:2 digests=web"],
            "web:1",
            "untagged web:1",
            "web:2 <web>, web@<web digest> <web>",
        ),
        (
            &["web tags=web:1,other:1 digests=web,other"],
            "web:1",
            "untagged web:1, untagged web@<web digest>",
            "other:1 <web>, other@<web digest> <web>",
        ),
        // A digest is a name like another, and leaves the tag alone.
        (
            &["web tags=web:1 digests=web"],
            "web@<web digest>",
            "untagged web@<web digest>",
            "web:1 <web>",
        ),
        (
            &["web tags=web:1 digests=web"],
            "web:9@<web digest>",
            "untagged web@<web digest>",
            "web:1 <web>",
        ),
        (
            &["web digests=web"],
            "web@<web digest>",
            "untagged web@<web digest>, deleted <web>, deleted <layer web>",
            "",
        ),
        // Only the digest of another repository is left: the image stays for it.
        (&["web tags=web:1 digests=other"], "web:1", "untagged web:1", "other@<web digest> <web>"),
    ] {
        check(images, name, &PLAIN, told, left);
    }
}

#[test]
fn an_id_means_the_image_with_all_names_of_one_repository() {
    let in_use = |how: &str| {
        format!(
            "Conflict: conflict: unable to delete <web> ({how}) - image is referenced in multiple repositories"
        )
    };
    for (images, name, options, told, left) in [
        (
            &["web tags=web:1"][..],
            "<web>",
            &PLAIN,
            "untagged web:1, deleted <web>, deleted <layer web>".to_owned(),
            "",
        ),
        (
            &["web tags=web:1 digests=web"],
            "<web 12>",
            &PLAIN,
            "untagged web:1, untagged web@<web digest>, deleted <web>, deleted <layer web>"
                .to_owned(),
            "",
        ),
        (&["web"], "<web 7>", &PLAIN, "deleted <web>, deleted <layer web>".to_owned(), ""),
        // Two tags, or two repositories, are nobody's to lose by accident.
        (
            &["web tags=web:1,web:2"],
            "<web>",
            &PLAIN,
            in_use("must be forced"),
            "web:1 <web>, web:2 <web>",
        ),
        (
            &["web tags=web:1,other:1"],
            "<web>",
            &PLAIN,
            in_use("must be forced"),
            "other:1 <web>, web:1 <web>",
        ),
        (
            &["web tags=web:1 digests=other"],
            "<web>",
            &PLAIN,
            in_use("must be forced"),
            "other@<web digest> <web>, web:1 <web>",
        ),
        (
            &["web tags=web:1,other:1"],
            "<web>",
            &FORCE,
            "untagged other:1, untagged web:1, deleted <web>, deleted <layer web>".to_owned(),
            "",
        ),
    ] {
        check(images, name, options, &told, left);
    }
}

#[test]
fn a_name_that_begins_the_images_own_id_means_the_id() {
    let mut fixture = Fixture::new(&["web tags=web:1,other:1"]);
    let id = fixture.id("web");
    let name = Reference::parse_familiar(&fixture.digits("<web 7>")).unwrap().with_default_tag();
    fixture.store().update_references(|references| references.set(&name, &id)).unwrap();
    let told = removed(&fixture, "<web 7>", &PLAIN);
    assert!(told.contains("image is referenced in multiple repositories"), "{told}");
    // Another image's ID makes it no ID.
    fixture.add("second tags=second:1");
    let second = fixture.id("second");
    fixture.store().update_references(|references| references.set(&name, &second)).unwrap();
    let told = removed(&fixture, "<web 7>", &PLAIN);
    assert!(told.starts_with("untagged "), "{told}");
}

#[test]
fn names_that_are_wrong_or_gone_change_nothing() {
    let image = &["web tags=web:1 digests=web"];
    let left = "web:1 <web>, web@<web digest> <web>";
    for (name, told) in [
        ("gone", "NotFound: No such image: gone:latest"),
        ("web", "NotFound: No such image: web:latest"),
        ("other@<web digest>", "NotFound: No such image: other@<web digest>"),
        ("<web digest>", "NotFound: No such image: <web digest>"),
        (
            "WEB",
            "InvalidParameter: invalid reference format: repository name (library/WEB) must be lowercase",
        ),
    ] {
        check(image, name, &PLAIN, told, left);
        check(image, name, &FORCE, told, left);
    }
}

#[test]
fn an_image_for_another_platform_is_left_alone() {
    let options = |platform: &str| RemoveOptions {
        platforms: vec![Platform::parse(platform).unwrap()],
        ..FORCE
    };
    let told = "NotFound: image with reference web:1 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)";
    check(&["web tags=web:1"], "web:1", &options("linux/arm64"), told, "web:1 <web>");
    let told = "untagged web:1, deleted <web>, deleted <layer web>";
    check(&["web tags=web:1"], "web:1", &options("linux/amd64"), told, "");
}

/// Images of the classic builder: each step is an image, the parent of the next.
#[test]
fn parents_go_with_their_last_child_if_nobody_needs_them() {
    let steps = [
        "one layers=one",
        "two layers=one,two parent=one",
        "web tags=web:1 layers=one,two,web parent=two",
    ];
    let all = "untagged web:1, deleted <web>, deleted <layer one/two/web>, deleted <two>, deleted <layer one/two>, deleted <one>, deleted <layer one>";
    check(&steps, "web:1", &PLAIN, all, "");
    // `--no-prune`.
    let keep = RemoveOptions { prune_children: false, ..PLAIN };
    let only = "untagged web:1, deleted <web>, deleted <layer one/two/web>";
    check(&steps, "web:1", &keep, only, "");
    // A name, or another child, keeps a parent and all below it.
    let named = ["one layers=one", "two tags=two:1 layers=one,two parent=one", steps[2]];
    check(&named, "web:1", &PLAIN, only, "two:1 <two>");
    let mut siblings = steps.to_vec();
    siblings.push("other tags=other:1 layers=one,two,other parent=two");
    check(&siblings, "web:1", &PLAIN, only, "other:1 <other>");
    // `force` is for the image that was asked for.
    check(&named, "web:1", &FORCE, only, "two:1 <two>");
}

#[test]
fn an_image_with_children_stays_whatever_is_forced() {
    let images = ["base tags=base:1", "web tags=web:1 layers=base,web parent=base"];
    let left = "base:1 <base>, web:1 <web>";
    let told = "Conflict: conflict: unable to delete <base> (cannot be forced) - image has dependent child images";
    for options in [&PLAIN, &FORCE] {
        check(&images, "<base>", options, told, left);
        // Its last name is taken; that the image stays is no error then.
        check(&images, "base:1", options, "untagged base:1", "web:1 <web>");
    }
}

#[test]
fn containers_keep_images() {
    let stopped = "Conflict: conflict: unable to delete <web> (must be forced) - image is being used by stopped container 0123456789ab";
    let running = "Conflict: conflict: unable to delete <web> (cannot be forced) - image is being used by running container 0123456789ab";
    let named = "Conflict: conflict: unable to remove repository reference \"web:1\" (must force) - container 0123456789ab is using its referenced image <web>";
    let gone = "untagged web:1, deleted <web>, deleted <layer web>";
    for (name, is_running, options, told, left) in [
        ("web:1", false, &PLAIN, named, "web:1 <web>"),
        ("web:1", true, &PLAIN, named, "web:1 <web>"),
        ("web:1", false, &FORCE, gone, ""),
        // The name goes, the image stays: dockerd's `untag` comes first.
        ("web:1", true, &FORCE, "untagged web:1", ""),
        ("<web>", false, &PLAIN, stopped, "web:1 <web>"),
        ("<web>", true, &PLAIN, running, "web:1 <web>"),
        ("<web>", false, &FORCE, gone, ""),
        ("<web>", true, &FORCE, running, "web:1 <web>"),
    ] {
        let fixture = Fixture::new(&["web tags=web:1"]);
        fixture.container("web", "0123456789abcdef", is_running);
        assert_eq!(removed(&fixture, name, options), told, "{name} {is_running} {options:?}");
        assert_eq!(fixture.names(), left, "{name} {is_running} {options:?}");
    }
    // One of several names is nobody's only one.
    let fixture = Fixture::new(&["web tags=web:1,web:2"]);
    fixture.container("web", "0123456789abcdef", true);
    assert_eq!(removed(&fixture, "web:1", &PLAIN), "untagged web:1");
}

#[test]
fn the_watchers_are_told_of_each_step() {
    let fixture = Fixture::new(&["web tags=web:1,other:1 digests=web labels=tier=front"]);
    let actions = |fixture: &Fixture| -> Vec<String> {
        let (events, _) = fixture.engine.events().subscribe();
        let shown = events.iter().map(|event| {
            let labels = event.attributes.get("tier").map_or("-", String::as_str);
            fixture.words(&format!("{} {} {labels}", event.action, event.actor_id))
        });
        shown.collect()
    };
    removed(&fixture, "web:1", &PLAIN);
    // As dockerd: the digests that go with a tag are no event.
    assert_eq!(actions(&fixture), ["untag <web> front"]);
    removed(&fixture, "other:1", &PLAIN);
    assert_eq!(actions(&fixture), ["untag <web> front", "untag <web> front", "delete <web> -"]);
}

#[test]
fn kept_blobs_go_with_the_image_that_needs_them() {
    let fixture = Fixture::new(&[
        "web tags=web:1 digests=web layers=base,web",
        "base tags=base:1 digests=base",
    ]);
    let kept = |image: &str, layer: usize| {
        let digest = &fixture.made(image).layers[layer].blob.digest;
        fixture.store().blob(digest).unwrap().is_some()
    };
    assert!(kept("web", 0) && kept("web", 1));
    removed(&fixture, "web:1", &PLAIN);
    assert!(kept("base", 0), "another image has it");
    assert!(!kept("web", 1));
    assert_eq!(fixture.store().blob(&fixture.made("web").manifest).unwrap(), None);
}

#[test]
fn one_repository_with_one_tag_is_a_single_name() {
    let digest = format!("@sha256:{}", "0".repeat(64));
    for (names, single) in [
        (vec![], false),
        (vec!["a:1".to_owned()], true),
        (vec!["a:1".to_owned(), format!("a{digest}")], true),
        (vec![format!("a{digest}")], true),
        (vec!["a:1".to_owned(), "a:2".to_owned()], false),
        (vec!["a:1".to_owned(), format!("b{digest}")], false),
    ] {
        let references: Vec<Reference> =
            names.iter().map(|name| Reference::parse_familiar(name).unwrap()).collect();
        assert_eq!(is_single(&references), single, "{names:?}");
    }
}

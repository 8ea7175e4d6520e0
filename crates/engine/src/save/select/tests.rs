use crate::testing::Fixture;

use super::*;

const IMAGES: &[&str] =
    &["web tags=web:1,web:2,other:1 digests=web", "db tags=db:latest platform=linux/arm64", "none"];

/// The images that a save takes, each with the names that it is saved under.
fn selected(fixture: &Fixture, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| fixture.digits(name)).collect();
    let lease = fixture.store().reading_lease().unwrap();
    match select(fixture.store(), &lease, &names) {
        Ok(selection) => {
            let shown = selection.iter().map(|selected| {
                let names = selected.tags.iter().chain(&selected.digests).map(Reference::familiar);
                format!("{}({})", selected.id, names.collect::<Vec<_>>().join(" "))
            });
            fixture.words(&shown.collect::<Vec<_>>().join(" "))
        }
        Err(error) => fixture.words(&format!("{:?}: {}", error.kind(), error.message())),
    }
}

/// dockerd's `parseNames`: a name without a tag is the repository with all its tags, and an ID has no name.
#[test]
fn names_mean_tags_repositories_and_ids() {
    let fixture = Fixture::new(IMAGES);
    for (names, expected) in [
        (&["web:1"][..], "<web>(web:1)"),
        (&["web"], "<web>(web:1 web:2 web@<web digest>)"),
        (&["web:1", "web:2"], "<web>(web:1 web:2)"),
        (&["web:1", "web:1"], "<web>(web:1)"),
        (&["docker.io/library/web:1", "web:1"], "<web>(web:1)"),
        (&["web:2", "other"], "<web>(web:2 other:1)"),
        (&["web@<web digest>"], "<web>(web@<web digest>)"),
        (&["<web>"], "<web>()"),
        (&["<web 12>"], "<web>()"),
        (&["<web 64>"], "<web>()"),
        (&["sha256:<web 7>"], "<web>()"),
        (&["<web>", "web:2"], "<web>(web:2)"),
        // The order is the caller's.
        (&["db", "web:1"], "<db>(db:latest) <web>(web:1)"),
        (&["web:1", "<none>", "web:2"], "<web>(web:1 web:2) <none>()"),
        (&[], ""),
    ] {
        assert_eq!(selected(&fixture, names), expected, "{names:?}");
    }
}

#[test]
fn what_is_not_there_is_told_as_dockerd_tells_it() {
    let fixture = Fixture::new(IMAGES);
    for (name, expected) in [
        ("web:9", "NotFound: reference does not exist"),
        ("gone:1", "NotFound: reference does not exist"),
        ("other@<web digest>", "NotFound: reference does not exist"),
        ("gone", "NotFound: No such image: gone"),
        ("db/x", "NotFound: No such image: db/x"),
        ("sha256:0000", "NotFound: No such image: sha256:0000"),
        (
            "WEB",
            "InvalidParameter: invalid reference format: repository name (library/WEB) must be lowercase",
        ),
        ("web:", "InvalidParameter: invalid reference format"),
        // A digest is taken for an ID without a look.
        ("<web digest>", "NotFound: No such image: <web digest>"),
    ] {
        assert_eq!(selected(&fixture, &[name]), expected, "{name}");
        assert_eq!(selected(&fixture, &["web:1", name]), expected, "{name}");
    }
}

#[test]
fn what_was_selected_stays_until_the_lease_is_over() {
    let fixture = Fixture::new(&["web tags=web:1"]);
    let lease = fixture.store().reading_lease().unwrap();
    select(fixture.store(), &lease, &["web:1".to_owned()]).unwrap();
    let options = crate::RemoveOptions { force: true, prune_children: true, platforms: Vec::new() };
    let _ = fixture.run(fixture.engine.remove("web:1", options));
    let chain = spec::ChainId::chain(&[fixture.made("web").layers[0].diff_id.clone()]);
    assert!(fixture.store().whole_layer(&chain[0]).unwrap().is_some());
}

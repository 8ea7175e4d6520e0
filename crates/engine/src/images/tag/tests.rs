use spec::ImageId;

use crate::testing::Fixture;

use super::*;

#[test]
fn targets_are_read_as_dockerd_reads_them() {
    let digest = format!("web@sha256:{}", "0".repeat(64));
    let ambiguous = "refusing to create an ambiguous tag using digest algorithm as name";
    for (repository, tag, expected) in [
        ("web", "", "web:latest"),
        ("web", "1", "web:1"),
        ("web:2", "", "web:2"),
        // The parameter counts for more than what the name says.
        ("web:2", "1", "web:1"),
        ("reg.io:5000/me/web", "", "reg.io:5000/me/web:latest"),
        ("docker.io/library/web", "1", "web:1"),
        ("", "1", "invalid reference format"),
        ("web", "a b", "invalid tag format"),
        ("web", ":", "invalid tag format"),
        ("WEB", "", "invalid reference format: repository name (library/WEB) must be lowercase"),
        (&digest, "", "refusing to create a tag with a digest reference"),
        (&digest, "1", "refusing to create a tag with a digest reference"),
        ("sha256", "", ambiguous),
        ("sha256", "1", ambiguous),
        ("reg.io/sha256", "1", "reg.io/sha256:1"),
    ] {
        let told = match parse_target(repository, tag) {
            Ok(target) => target.familiar(),
            Err(error) => {
                assert_eq!(error.kind(), crate::ErrorKind::InvalidParameter);
                error.message()
            }
        };
        assert_eq!(told, expected, "{repository:?} {tag:?}");
    }
}

#[test]
fn a_tag_moves_to_the_image_that_it_is_given_to() {
    let images = ["web tags=web:1", "db tags=db:1"];
    for (source, repository, tag, names) in [
        ("web:1", "other", "", "db:1 <db>, other:latest <web>, web:1 <web>"),
        ("<web 12>", "web", "2", "db:1 <db>, web:1 <web>, web:2 <web>"),
        ("web:1", "web", "1", "db:1 <db>, web:1 <web>"),
        ("db:1", "web", "1", "db:1 <db>, web:1 <db>"),
    ] {
        let fixture = Fixture::new(&images);
        fixture.run(fixture.engine.tag(&fixture.digits(source), None, (repository, tag))).unwrap();
        assert_eq!(fixture.names(), names, "{source} {repository} {tag}");
        let (events, _) = fixture.engine.events().subscribe();
        let event = events.last().unwrap();
        let name = parse_target(repository, tag).unwrap().familiar();
        assert_eq!((event.action, &event.attributes["name"]), ("tag", &name));
        let id: ImageId = event.actor_id.parse().unwrap();
        assert!(fixture.store().last_updated(&id).unwrap().is_some(), "inspect tells when");
    }
}

#[test]
fn a_source_that_is_not_there_names_nothing() {
    let fixture = Fixture::new(&["web tags=web:1"]);
    for (source, told) in [
        ("gone", "No such image: gone:latest"),
        ("web", "No such image: web:latest"),
        ("<web digest>", "No such image: <web digest>"),
    ] {
        let error = fixture
            .run(fixture.engine.tag(&fixture.digits(source), None, ("other", "")))
            .unwrap_err();
        assert_eq!(fixture.words(&error.message()), told);
    }
    assert_eq!(fixture.names(), "web:1 <web>");
}

use crate::testing::Fixture;

use super::*;

const IMAGES: &[&str] = &[
    "web tags=web:latest,web:1,reg.io:5000/me/web:2 digests=web,reg.io:5000/me/web",
    "db tags=db:1 platform=linux/arm64/v8",
    "none",
];

/// Looks a name up: the image, and the reference by which it was found if it was by one.
fn found(fixture: &Fixture, name: &str) -> String {
    let references = fixture.store().references().unwrap();
    match find(fixture.store(), &references, &fixture.digits(name)) {
        Ok(Found { id, reference: None }) => fixture.words(&format!("{id} by its ID")),
        Ok(Found { id, reference: Some(reference) }) => {
            fixture.words(&format!("{id} by {}", reference.familiar()))
        }
        Err(error) => fixture.words(&error.message()),
    }
}

/// dockerd's `GetImage`: a whole digest is an ID, then a reference, then the beginning of an ID.
#[test]
fn images_are_found_by_reference_and_then_by_id() {
    let fixture = Fixture::new(IMAGES);
    for (name, expected) in [
        // References are familiar or canonical, and a name alone means `latest`.
        ("web", "<web> by web:latest"),
        ("web:1", "<web> by web:1"),
        ("docker.io/library/web:1", "<web> by web:1"),
        ("library/web", "<web> by web:latest"),
        ("index.docker.io/library/web", "<web> by web:latest"),
        ("reg.io:5000/me/web:2", "<web> by reg.io:5000/me/web:2"),
        // Where there is a digest, the tag beside it plays no part.
        ("web@<web digest>", "<web> by web@<web digest>"),
        ("web:none@<web digest>", "<web> by web:none@<web digest>"),
        // A digest belongs to the repositories that have it.
        ("db@<web digest>", "No such image: db@<web digest>"),
        // IDs, with and without the algorithm, whole or begun.
        ("<none>", "<none> by its ID"),
        ("<none 64>", "<none> by its ID"),
        ("<none 12>", "<none> by its ID"),
        ("sha256:<none 12>", "<none> by its ID"),
        ("sha256:<none 7>", "<none> by its ID"),
        // A manifest's digest is no ID.
        ("<web digest>", "No such image: <web digest>"),
        // What is not there is told as dockerd tells it: familiar, with the tag that was meant.
        ("db", "No such image: db:latest"),
        ("docker.io/library/gone", "No such image: gone:latest"),
        ("reg.io:5000/me/web", "No such image: reg.io:5000/me/web:latest"),
        ("<none 12>:1", "No such image: <none>:1"),
        // What is no reference at all is told as that.
        ("", "invalid reference format"),
        ("Web", "invalid reference format: repository name (library/Web) must be lowercase"),
        ("web:", "invalid reference format"),
        ("web@sha256:1", "invalid reference format"),
    ] {
        assert_eq!(found(&fixture, name), expected, "{name:?}");
    }
}

#[test]
fn sixty_four_digits_are_an_id_and_never_a_name() {
    let fixture = Fixture::new(IMAGES);
    let digits = "0".repeat(64);
    assert_eq!(found(&fixture, &digits), format!("No such image: sha256:{digits}"));
    let digest = format!("sha256:{digits}");
    assert_eq!(found(&fixture, &digest), format!("No such image: {digest}"));
}

#[test]
fn a_beginning_that_several_ids_have_is_none_of_them() {
    let mut fixture = Fixture::new(&[]);
    // Of seventeen images two begin with the same digit.
    let names: Vec<String> = (0..17).map(|number| format!("image{number}")).collect();
    for name in &names {
        fixture.add(&format!("{name} layers=-"));
    }
    let first = |name: &String| fixture.digits(&format!("<{name} 1>"));
    let twice =
        names.iter().find(|name| names.iter().filter(|n| first(n) == first(name)).count() > 1);
    let twice = twice.unwrap();
    let digit = first(twice);
    assert!(matches!(by_prefix(fixture.store(), &digit).unwrap(), PrefixMatch::Ambiguous));
    // dockerd calls that "no such image", too.
    assert_eq!(found(&fixture, &digit), format!("No such image: {digit}:latest"));
    assert_eq!(found(&fixture, &format!("<{twice} 12>")), format!("<{twice}> by its ID"));
}

#[test]
fn a_name_that_is_also_the_beginning_of_an_id_is_the_name() {
    let mut fixture = Fixture::new(&["web"]);
    let name = fixture.digits("<web 7>");
    fixture.add(&format!("other tags={name}"));
    assert_eq!(found(&fixture, &name), format!("<other> by {name}:latest"));
    assert_eq!(found(&fixture, &format!("sha256:{name}")), format!("<web> by its ID"));
}

#[test]
fn only_hexadecimal_digits_begin_an_id() {
    let fixture = Fixture::new(&["web"]);
    let (hex, upper) = (fixture.digits("<web 12>"), fixture.digits("<web 12>").to_uppercase());
    for (text, is_one) in [
        (hex.as_str(), true),
        (&format!("sha256:{hex}"), true),
        ("", false),
        ("sha256:", false),
        (&format!("sha512:{hex}"), false),
        (&format!("{hex}x"), false),
        (&upper, upper == hex),
    ] {
        let found = by_prefix(fixture.store(), text).unwrap();
        assert_eq!(matches!(found, PrefixMatch::One(_)), is_one, "{text:?}: {found:?}");
    }
}

#[test]
fn a_reference_to_what_is_gone_is_none() {
    let fixture = Fixture::new(IMAGES);
    let hex = fixture.id("web").digest().hex();
    let config = fixture.store().root().join("image/packed/imagedb/content/sha256").join(hex);
    std::fs::remove_file(config).unwrap();
    for name in ["web", "web:1", "web@<web digest>"] {
        assert!(found(&fixture, name).starts_with("No such image: web"), "{name}");
    }
}

/// A caller that names a platform gets that image or an error that says both platforms.
#[test]
fn an_image_for_another_platform_is_not_found() {
    let fixture = Fixture::new(IMAGES);
    let references = fixture.store().references().unwrap();
    for (name, wanted, expected) in [
        ("web", None, "found"),
        ("web", Some("linux/amd64"), "found"),
        (
            "web",
            Some("linux/arm64"),
            "image with reference web was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)",
        ),
        ("db:1", Some("linux/arm64"), "found"),
        ("db:1", Some("linux/arm64/v8"), "found"),
        (
            "db:1",
            Some("windows/arm64"),
            "image with reference db:1 was found but its platform (linux/arm64) does not match the specified platform (windows/arm64)",
        ),
        ("gone", Some("linux/amd64"), "No such image: gone:latest"),
    ] {
        let wanted = wanted.map(|text| Platform::parse(text).unwrap());
        let said = match image(fixture.store(), &references, name, wanted.as_ref()) {
            Ok(_) => "found".to_owned(),
            Err(error) => error.message(),
        };
        assert_eq!(said, expected, "{name} {wanted:?}");
    }
}

/// A platform as a config has it, whatever goes without saying.
fn written(text: &str) -> Platform {
    let words: Vec<&str> = text.split('/').collect();
    Platform {
        os: words[0].to_owned(),
        architecture: words[1].to_owned(),
        variant: words.get(2).map(|variant| (*variant).to_owned()),
        ..Platform::default()
    }
}

/// Two rules: what would run there (inspect, push, remove), and what is for exactly this platform (save, load).
#[test]
fn platforms_match_by_what_runs_and_are_equal_by_what_they_say() {
    for (wanted, offered, runs, is_exact) in [
        ("linux/amd64", "linux/amd64", true, true),
        ("linux/amd64", "linux/386", true, false),
        ("linux/386", "linux/amd64", false, false),
        ("linux/amd64", "windows/amd64", false, false),
        ("linux/x86_64", "linux/amd64", true, true),
        ("linux/arm64", "linux/arm64", true, true),
        // The variant that goes without saying.
        ("linux/arm64/v8", "linux/arm64", true, true),
        ("linux/arm64", "linux/arm64/v8", true, true),
        ("linux/arm/v7", "linux/arm/v6", true, false),
        ("linux/arm/v6", "linux/arm/v7", false, false),
        // A config without a variant may be any.
        ("linux/arm/v6", "linux/arm", true, false),
        ("linux/arm/v7", "linux/arm", true, true),
        ("linux/arm64", "linux/arm/v7", true, false),
        ("linux/riscv64", "linux/arm64", false, false),
    ] {
        let (wanted, offered) = (Platform::parse(wanted).unwrap(), written(offered));
        assert_eq!(platform_matches(&wanted, &offered), runs, "runs: {wanted} {offered}");
        assert_eq!(wanted.is_exactly(&offered), is_exact, "is exact: {wanted} {offered}");
    }
}

#[test]
fn windows_versions_must_suit_each_other() {
    let platform = |version: Option<&str>| Platform {
        os: "windows".to_owned(),
        architecture: "amd64".to_owned(),
        os_version: version.map(str::to_owned),
        ..Platform::default()
    };
    for (wanted, offered, suits) in [
        (None, Some("10.0.17763.1"), true),
        (Some("10.0.17763.1"), Some("10.0.17763.2"), true),
        (Some("10.0.17763.1"), Some("10.0.20348.2"), false),
    ] {
        let (wanted, offered) = (platform(wanted), platform(offered));
        assert_eq!(platform_matches(&wanted, &offered), suits, "{wanted:?} {offered:?}");
        assert_eq!(wanted.is_exactly(&offered), suits, "{wanted:?} {offered:?}");
    }
}

use super::*;

#[test]
fn every_cause_is_told_once() {
    let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let path = std::path::PathBuf::from("/c/ca.crt");
    let names_its_cause = EngineError::Registry(registry::RegistryError::from(
        registry::SettingsError::ReadCertificates { path: path.clone(), source: gone() },
    ));
    let does_not = EngineError::Directory { action: "create", path, source: gone() };
    assert_eq!(names_its_cause.message(), "read `/c/ca.crt`: entity not found");
    assert_eq!(does_not.message(), "failed to create `/c/ca.crt`: entity not found");
}

/// The kinds decide the HTTP status, which is dockerd's.
#[track_caller]
fn check(rows: impl IntoIterator<Item = (EngineError, ErrorKind, &'static str)>) {
    for (error, kind, message) in rows {
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!(error.message(), message);
    }
}

#[test]
fn what_is_wrong_or_missing_is_the_callers() {
    let reference = || "web:1".to_owned();
    check([
        (EngineError::ReservedName, ErrorKind::InvalidParameter, "'scratch' is a reserved name"),
        (EngineError::PushDigest, ErrorKind::InvalidParameter, "cannot push a digest reference"),
        (
            EngineError::Reference(ReferenceError::Tag),
            ErrorKind::InvalidParameter,
            "invalid tag format",
        ),
        (
            EngineError::UnsupportedMediaType(MediaType::from("a/b")),
            ErrorKind::InvalidParameter,
            "unsupported media type a/b",
        ),
        (
            EngineError::NotAnImage { media_type: MediaType::from("a/b"), class: "plugin" },
            ErrorKind::InvalidParameter,
            "Encountered remote \"a/b\"(plugin) when fetching",
        ),
        (EngineError::NoSuchImage(reference()), ErrorKind::NotFound, "No such image: web:1"),
        (EngineError::NoReference, ErrorKind::NotFound, "reference does not exist"),
        (EngineError::NoLocalTag(reference()), ErrorKind::NotFound, "tag does not exist: web:1"),
        (
            EngineError::NoLocalRepository(reference()),
            ErrorKind::NotFound,
            "An image does not exist locally with the tag: web:1",
        ),
        (
            EngineError::NoMatchingManifest("linux/amd64".to_owned()),
            ErrorKind::NotFound,
            "no matching manifest for linux/amd64 in the manifest list entries",
        ),
    ]);
}

#[test]
fn what_stands_in_the_way_is_a_conflict_and_the_rest_the_systems() {
    let shared = |error| EngineError::Shared(Arc::new(error));
    let in_use =
        |hard| EngineError::ImageInUse { id: "web:1".to_owned(), hard, reason: String::new() };
    check([
        (EngineError::AmbiguousId, ErrorKind::System, "ambiguous digest string"),
        (EngineError::Pattern, ErrorKind::System, "syntax error in pattern"),
        (EngineError::NoCredentials, ErrorKind::System, "no basic auth credentials"),
        (
            EngineError::RootFsMismatch,
            ErrorKind::System,
            "layers from manifest don't match image configuration",
        ),
        (EngineError::PruneRunning, ErrorKind::Conflict, "a prune operation is already running"),
        (
            in_use(true),
            ErrorKind::Conflict,
            "conflict: unable to delete web:1 (cannot be forced) - ",
        ),
        (
            in_use(false),
            ErrorKind::Conflict,
            "conflict: unable to delete web:1 (must be forced) - ",
        ),
        (EngineError::Cancelled, ErrorKind::Cancelled, "context canceled"),
        // A job that several waited for failed as if each had done it.
        (shared(EngineError::NoReference), ErrorKind::NotFound, "reference does not exist"),
        (
            shared(shared(EngineError::PruneRunning)),
            ErrorKind::Conflict,
            "a prune operation is already running",
        ),
    ]);
}

#[test]
fn causes_are_told_and_a_prune_is_of_the_kind_of_its_first_failure() {
    let config = |json: &str| EngineError::Config {
        digest: Digest::sha256(b"config"),
        source: serde_json::from_str::<u8>(json).unwrap_err(),
    };
    let told = config("x").message();
    assert!(told.starts_with("image config sha256:") && told.contains("is not valid: "), "{told}");
    let prune =
        EngineError::Prune { failed: 2, reclaimed: 10, first: Box::new(EngineError::NoReference) };
    assert_eq!(prune.kind(), ErrorKind::NotFound, "that of the first");
    assert_eq!(
        prune.message(),
        "not all could be removed: 2 removals failed, 10 bytes were reclaimed: reference does not exist"
    );
}

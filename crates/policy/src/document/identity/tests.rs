use super::*;

fn identity(text: &str) -> SignedIdentity {
    serde_json::from_str::<WrittenIdentity>(text).unwrap().check().unwrap()
}

#[test]
fn a_signature_is_for_a_name_as_the_policy_has_it() {
    let by_digest = format!("r.example/app@sha256:{}", "1".repeat(64));
    let by_both = format!("r.example/app:1@sha256:{}", "1".repeat(64));
    let remap =
        r#"{"type":"remapIdentity","prefix":"m.example:5000/x","signedPrefix":"r.example"}"#;
    let to_hub = r#"{"type":"remapIdentity","prefix":"m.example","signedPrefix":"docker.io"}"#;
    let of_hub = r#"{"type":"remapIdentity","prefix":"docker.io","signedPrefix":"m.example"}"#;
    for (text, image, signed, expected) in [
        (r#"{"type":"matchExact"}"#, "r.example/app:1", "r.example/app:1", true),
        (r#"{"type":"matchExact"}"#, "r.example/app:1", "r.example/app:2", false),
        (r#"{"type":"matchExact"}"#, "r.example/app:1", "r.example/app", false),
        (r#"{"type":"matchExact"}"#, &by_digest, "r.example/app:1", false),
        (r#"{"type":"matchExact"}"#, &by_digest, &by_digest, true),
        (r#"{"type":"matchRepoDigestOrExact"}"#, "r.example/app:1", "r.example/app:1", true),
        (r#"{"type":"matchRepoDigestOrExact"}"#, "r.example/app:1", "r.example/app:2", false),
        (r#"{"type":"matchRepoDigestOrExact"}"#, "r.example/app:1", "r.example/app", false),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_digest, "r.example/app:2", true),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_digest, "r.example/app", false),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_digest, "r.example/other:2", false),
        (r#"{"type":"matchExact"}"#, &by_both, "r.example/app:1", true),
        (r#"{"type":"matchExact"}"#, &by_both, &by_both, true),
        (r#"{"type":"matchExact"}"#, &by_both, &by_digest, false),
        (r#"{"type":"matchExact"}"#, "r.example/app:1", &by_both, false),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_both, "r.example/app:1", true),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_both, "r.example/app:2", false),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_both, &by_digest, false),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "r.example/app", true),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "r.example/app:2", true),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "r.example/app2", false),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "other.example/app:1", false),
        (r#"{"type":"matchRepository"}"#, "alpine:1", "docker.io/library/alpine", true),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "", false),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "r.example/app:1 ", false),
        (
            r#"{"type":"exactReference","dockerReference":"a:1"}"#,
            "b:2",
            "docker.io/library/a:1",
            true,
        ),
        (r#"{"type":"exactReference","dockerReference":"a:1"}"#, "b:2", "b:2", false),
        (r#"{"type":"exactRepository","dockerRepository":"a"}"#, "b:2", "a", true),
        (r#"{"type":"exactRepository","dockerRepository":"a"}"#, "b:2", "b", false),
        (remap, "m.example:5000/x/app:1", "r.example/app:1", true),
        (remap, "m.example:5000/x/app:1", "m.example:5000/x/app:1", false),
        (remap, "m.example:5000/xy/app:1", "r.example/y/app:1", false),
        (remap, "m.example:5000/xy/app:1", "m.example:5000/xy/app:1", true),
        (remap, "other.example/app:1", "other.example/app:1", true),
        (to_hub, "m.example/library/alpine:1", "docker.io/library/alpine:1", true),
        (to_hub, "m.example/me/app:1", "me/app:1", true),
        (to_hub, "m.example/alpine:1", "docker.io/library/alpine:1", false),
        (of_hub, "alpine:1", "m.example/library/alpine:1", true),
        (of_hub, "alpine:1", "alpine:1", false),
    ] {
        let image = Reference::parse_familiar(image).unwrap();
        assert_eq!(
            identity(text).accepts(Some(&image), Some(signed)),
            expected,
            "{text} {image} {signed}"
        );
    }
    for (text, image, taken) in [
        (r#"{"type":"matchExact"}"#, "r.example/app:1", "r.example/app:1"),
        (r#"{"type":"matchRepoDigestOrExact"}"#, "r.example/app:1", "r.example/app:1"),
        (r#"{"type":"matchRepoDigestOrExact"}"#, &by_digest, "any tag of r.example/app"),
        (r#"{"type":"matchRepository"}"#, "r.example/app:1", "any tag of r.example/app"),
        (r#"{"type":"exactReference","dockerReference":"a:1"}"#, "b:2", "docker.io/library/a:1"),
        (remap, "m.example:5000/x/app:1", "r.example/app:1"),
        (remap, "other.example/app:1", "other.example/app:1"),
    ] {
        let image = Reference::parse_familiar(image).unwrap();
        assert_eq!(identity(text).taken(Some(&image)), taken, "{text}");
    }
    // What has no name.
    assert!(!identity(r#"{"type":"matchRepository"}"#).accepts(None, Some("a:1")));
    assert!(
        identity(r#"{"type":"exactRepository","dockerRepository":"a"}"#).accepts(None, Some("a:1"))
    );
}

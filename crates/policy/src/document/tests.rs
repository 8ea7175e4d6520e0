use spec::{Digest, Reference};

use super::*;

fn parse(text: &str) -> Result<Policy, PolicyFault> {
    Policy::parse(text.as_bytes())
}

/// Writes a policy with a requirement for one repository.
fn with(requirement: &str) -> String {
    format!(
        r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"r.example/app":[{requirement}]}}}}}}"#
    )
}

#[test]
fn the_longest_scope_holds_and_no_other() {
    let scopes = [
        "",
        "*.example.com",
        "*.com",
        "docker.io",
        "docker.io/library",
        "docker.io/library/alpine",
        "docker.io/library/alpine:3",
        "r.example.com:5000/a",
        "sub.example.com",
        "sub.example.com/a/b",
    ];
    let entries = scopes.map(|scope| format!(r#""{scope}":[{{"type":"reject"}}]"#)).join(",");
    let text = format!(
        r#"{{"default":[{{"type":"insecureAcceptAnything"}}],"transports":{{"docker":{{{entries}}},"dir":{{"/srv":[{{"type":"reject"}}]}},"oci":{{"/srv/x":[{{"type":"reject"}}]}}}}}}"#
    );
    let policy = parse(&text).unwrap();
    let hex = "0".repeat(64);
    for (name, expected) in [
        ("alpine:3", "docker: docker.io/library/alpine:3"),
        ("alpine", "docker: docker.io/library/alpine"),
        (&format!("alpine:3@sha256:{hex}"), "docker: docker.io/library/alpine:3"),
        (&format!("alpine@sha256:{hex}"), "docker: docker.io/library/alpine"),
        ("alpinelinux", "docker: docker.io/library"),
        ("me/app", "docker: docker.io"),
        ("r.example.com:5000/a/b", "docker: r.example.com:5000/a"),
        // As in containers/image: what is behind the port is not looked for at the host without it.
        ("r.example.com:5000/b", "docker: *.example.com"),
        ("sub.example.com/a/b:x", "docker: sub.example.com/a/b"),
        ("sub.example.com/a/bc", "docker: sub.example.com"),
        ("a.b.example.com/x", "docker: *.example.com"),
        ("example.com/x", "docker: *.com"),
        ("localhost:5000/x", "docker"),
    ] {
        let name = ImageName::at_registry(&Reference::parse_familiar(name).unwrap());
        assert_eq!(policy.rule(&name).scope, expected, "{name}");
    }
    for (name, expected) in [
        (ImageName::in_file("dir", Path::new("/srv/x/y"), ""), "dir: /srv"),
        (ImageName::in_file("dir", Path::new("/srvx"), ""), "default"),
        (ImageName::in_file("oci", Path::new("/srv"), "x"), "default"),
        (ImageName::in_file("oci", Path::new("/srv/x"), "1"), "oci: /srv/x"),
        (ImageName::in_file("oci", Path::new("/srv/x"), ""), "oci: /srv/x"),
        (ImageName::in_archive("docker-archive", "x".to_owned()), "default"),
    ] {
        assert_eq!(policy.rule(&name).scope, expected, "{name}");
    }
}

#[test]
fn what_is_not_understood_refuses_the_whole_file() {
    let signed = |fields: &str| with(&format!(r#"{{"type":"sigstoreSigned",{fields}}}"#));
    let fulcio = r#""fulcio":{"caPath":"/ca","oidcIssuer":"i","subjectEmail":"e"}"#;
    for (text, expected) in [
        (String::new(), "EOF"),
        ("{}".to_owned(), "missing field `default`"),
        (r#"{"default":[]}"#.to_owned(), "the list of requirements of default is empty"),
        (r#"{"default":null}"#.to_owned(), "invalid type: null"),
        (r#"[[{"type":"insecureAcceptAnything"}]]"#.to_owned(), "expected an object"),
        (r#"{"default":[["insecureAcceptAnything"]]}"#.to_owned(), "expected an object"),
        (
            signed(r#""keyPath":"/k","signedIdentity":["matchRepository"]"#),
            "expected an object",
        ),
        (r#"{"default":[{"type":"reject"}],"x":1}"#.to_owned(), "unknown field `x`"),
        (
            r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#.to_owned(),
            "duplicate field `default`",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"reject"}]}}}"#.to_owned(),
            "duplicate field `a`",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{},"docker":{}}}"#.to_owned(),
            "duplicate field `docker`",
        ),
        (r#"{"default":[{"type":"reject"}],"transports":null}"#.to_owned(), "null"),
        (with(r#"{"type":"reject","x":1}"#), "unknown field `x`"),
        (with(r#"{"type":"reject","type":"reject"}"#), "duplicate field `type`"),
        (with(r#"{"type":"Reject"}"#), "unknown variant `Reject`"),
        (with(r#"{"x":1}"#), "missing field `type`"),
        (with(r#"{"type":"signedBy","keyType":"GPGKeys"}"#), "exactly one of keyPath, keyPaths and keyData"),
        (with(r#"{"type":"signedBy","keyType":"X","keyPath":"/k"}"#), "unknown variant `X`"),
        (with(r#"{"type":"sigstoreSigned"}"#), "exactly one of keyPath, keyPaths, keyData"),
        (signed(r#""keyPath":null"#), "exactly one of keyPath"),
        (signed(r#""keyPath":"/k","keyData":"AAAA""#), "exactly one of keyPath"),
        (signed(r#""keyPath":"/k","KeyPath":"/k""#), "unknown field `KeyPath`"),
        (signed(r#""keyPath":"/k","keyPath":"/k""#), "duplicate field `keyPath`"),
        (signed(r#""keyPaths":[]"#), "keyPaths has no entries"),
        (signed(r#""keyDatas":[]"#), "keyDatas has no entries"),
        (signed(r#""keyData":"?""#), "docker: r.example/app: keyData is not base64"),
        (
            signed(r#""keyPath":"/k","rekorPublicKeyPath":"/r","rekorPublicKeyData":"AAAA""#),
            "at most one of rekorPublicKeyPath",
        ),
        (signed(fulcio), "fulcio needs a key of Rekor"),
        (signed(r#""fulcio":{"caPath":"/ca"}"#), "missing field `oidcIssuer`"),
        (signed(r#""pki":{"caRootsPath":"/ca"}"#), "subjectEmail or subjectHostname must be specified"),
        (signed(r#""keyPath":"/k","signedIdentity":{"type":"matchAny"}"#), "unknown variant `matchAny`"),
        (
            signed(r#""keyPath":"/k","signedIdentity":{"type":"matchExact","x":1}"#),
            "unknown field `x`",
        ),
        (
            signed(r#""keyPath":"/k","signedIdentity":{"type":"exactReference","dockerReference":"a"}"#),
            "signedIdentity: \"a\" has neither a tag nor a digest",
        ),
        (
            signed(r#""keyPath":"/k","signedIdentity":{"type":"exactRepository","dockerRepository":"A"}"#),
            "must be lowercase",
        ),
        (
            signed(r#""keyPath":"/k","signedIdentity":{"type":"remapIdentity","prefix":"busybox","signedPrefix":"docker.io"}"#),
            "signedIdentity: prefix \"busybox\" is not valid",
        ),
    ] {
        let told = parse(&text).unwrap_err().to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
    for requirement in [
        r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}"#,
        r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#,
        r#"{"keyData":"AAAA","type":"sigstoreSigned","signedIdentity":{"type":"remapIdentity","prefix":"localhost:5000/a","signedPrefix":"quay.io"}}"#,
        &format!(r#"{{"type":"sigstoreSigned",{fulcio},"rekorPublicKeyDatas":["AAAA"]}}"#),
    ] {
        parse(&with(requirement)).unwrap();
    }
}

#[test]
fn a_scope_that_nothing_is_in_refuses_the_file() {
    let of = |transport: &str, scope: &str| {
        let scopes = format!(r#"{{"{transport}":{{"{scope}":[{{"type":"reject"}}]}}}}"#);
        let text =
            format!(r#"{{"default":[{{"type":"insecureAcceptAnything"}}],"transports":{scopes}}}"#);
        parse(&text).map(drop).map_err(|fault| fault.to_string())
    };
    let digest = Digest::sha256(b"").to_string();
    for (transport, scope, expected) in [
        ("docker-archive", "/srv", "all images of this kind are in the scope \"\""),
        ("dir", "srv", "the path is not absolute"),
        ("oci", "/", "the scope of all is \"\""),
        ("oci", "/srv/", "the path is not written in its shortest form"),
        ("oci-archive", "/srv/../x", "the path is not written in its shortest form"),
        ("docker-daemon", &digest, "a digest is no place"),
    ] {
        assert_eq!(of(transport, scope).unwrap_err(), format!("{transport}: {scope}: {expected}"));
        of(transport, "").unwrap();
    }
    for (transport, scope) in [("dir", "/srv/x"), ("oci", "/srv..x"), ("docker", "r.example/a")] {
        of(transport, scope).unwrap();
    }
}

/// The file that Debian's podman comes with.
#[test]
fn the_policy_of_a_distribution_is_read() {
    let text = r#"{
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker-daemon": {"": [{"type":"insecureAcceptAnything"}]}}
    }"#;
    parse(text).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let told = |path: &Path| Policy::read(path).unwrap_err().to_string();
    assert!(told(&folder.path().join("gone")).contains("No such file"));
    assert!(told(folder.path()).contains("not a regular file"));
}

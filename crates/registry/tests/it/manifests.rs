//! Manifests: found, checked, bounded, tried again.

use registry::{Client, Credentials, Recovery, RegistryConfig, RegistryError, TagOrDigest};
use spec::{Digest, MAX_MANIFEST_SIZE, MediaType, Tag};
use test_support::image::Signer;
use test_support::scripted::{Answer, Scripted};

use crate::support::{MANIFEST, ann, config, impatient, manifest, pushing, remote, remote_of};

const BODY: &[u8] = br#"{"schemaVersion":2}"#;
const PATH: &str = "/v2/me/app/manifests/1";

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

fn digest() -> TagOrDigest {
    TagOrDigest::Digest(Digest::sha256(BODY))
}

#[tokio::test]
async fn a_tag_is_resolved_by_head_and_fetched_by_get() {
    let server = Scripted::start().await.unwrap();
    server.on("HEAD", PATH, [manifest(BODY)]).on("GET", PATH, [manifest(BODY)]);
    let remote = remote(&server).await;

    let found = remote.resolve(&tag()).await.unwrap().descriptor;
    assert_eq!(found.digest, Digest::sha256(BODY));
    assert_eq!(found.size, BODY.len() as u64);
    assert_eq!(found.media_type, MediaType::DockerManifest);

    let fetched = remote.manifest(&tag()).await.unwrap();
    assert_eq!(fetched.bytes, BODY);
    assert_eq!(fetched.digest, found.digest);
    assert_eq!(fetched.media_type, Some(MediaType::DockerManifest));
    assert!(!fetched.source.mirror);

    let expected = ["GET /v2/", "HEAD /v2/me/app/manifests/1", "GET /v2/me/app/manifests/1"];
    assert_eq!(server.lines(), expected);
    for received in &server.received()[1..] {
        let accept = received.header("accept").unwrap();
        for kind in
            ["manifest.v2+json", "manifest.list.v2", "oci.image.manifest", "oci.image.index"]
        {
            assert!(accept.contains(kind), "{accept}");
        }
        assert_eq!(received.header("user-agent"), Some("longshore-test/1"));
        assert_eq!(received.header("accept-encoding"), None);
    }
}

#[tokio::test]
async fn without_a_digest_header_the_body_decides() {
    let server = Scripted::start().await.unwrap();
    let silent = Answer::status(200).header("content-type", MANIFEST).body(BODY);
    let wrong = silent.clone().header("docker-content-digest", "sha256:xyz");
    for head in [silent.clone(), wrong, Answer::status(405), Answer::status(200).chunked()] {
        server.on("HEAD", PATH, [head.clone()]).on("GET", PATH, [silent.clone()]);
        let found = remote(&server).await.resolve(&tag()).await.unwrap().descriptor;
        assert_eq!(found.digest, Digest::sha256(BODY), "{head:?}");
        assert_eq!(found.size, BODY.len() as u64, "{head:?}");
    }
}

#[tokio::test]
async fn what_is_asked_for_by_digest_is_checked() {
    let server = Scripted::start().await.unwrap();
    let path = format!("/v2/me/app/manifests/{}", Digest::sha256(BODY));
    let lie = manifest(b"{}");
    server.on("HEAD", &path, [lie.clone()]).on("GET", &path, [lie]);
    let remote = remote(&server).await;
    let expected = format!("manifest verification failed for digest {}", Digest::sha256(BODY));

    let error = remote.manifest(&digest()).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.recovery(), Recovery::NextEndpoint);
    assert_eq!(remote.resolve(&digest()).await.unwrap_err().to_string(), expected);

    // The header may say what it wants if the bytes are right.
    let odd = Answer::status(200)
        .header("docker-content-digest", Digest::sha256(b"").to_string())
        .body(BODY);
    server.on("GET", &path, [odd]);
    let fetched = remote.manifest(&digest()).await.unwrap();
    assert_eq!(fetched.media_type, None);
}

#[tokio::test]
async fn a_manifest_of_the_first_schema_is_named_as_such() {
    const SIGNED: &str = r#"{"schemaVersion":1,"name":"me/app","tag":"1","architecture":"amd64","fsLayers":[{"blobSum":"x"}],
        "history":[{"v1Compatibility":"{}"}],"signatures":[{"signature":"y"}]}"#;
    const JWS: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let server = Scripted::start().await.unwrap();
    let signed = digest();
    let path = format!("/v2/me/app/manifests/{}", Digest::sha256(BODY));
    // Old registries and proxies have other names for it.
    for content_type in [JWS, "application/json", MANIFEST] {
        let answer = Answer::status(200)
            .header("content-type", content_type)
            .header("docker-content-digest", Digest::sha256(BODY).to_string())
            .body(SIGNED);
        for head in [answer.clone(), Answer::status(405)] {
            for path in [PATH, path.as_str()] {
                server.on("HEAD", path, [head.clone()]).on("GET", path, [answer.clone()]);
            }
            let remote = remote(&server).await;
            for (target, name) in
                [(tag(), "me/app:1".to_owned()), (signed.clone(), format!("me/app@{signed}"))]
            {
                let expected = format!(
                    "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. \
                     Suggest the author of {}/{name} to upgrade the image to the OCI Format or Docker Image manifest \
                     v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/",
                    server.host()
                );
                let error = remote.manifest(&target).await.unwrap_err();
                assert_eq!(error.to_string(), expected, "{content_type} {head:?}");
                match remote.resolve(&target).await {
                    Err(error) => {
                        assert_eq!(error.to_string(), expected, "{content_type} {head:?}");
                    }
                    // What a HEAD request says is believed until the manifest is fetched.
                    Ok(found) => assert_ne!(found.descriptor.media_type.as_str(), JWS),
                }
            }
        }
    }
}

/// Of a manifest of the first schema the signed part counts, for its digest, too, whatever is around it.
#[tokio::test]
async fn where_it_is_allowed_the_first_schema_is_read() {
    const PAYLOAD: &str = "{\"schemaVersion\":1,\"fsLayers\":[],\n \"tag\":\"ä\" }";
    const JWS: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let server = Scripted::start().await.unwrap();
    let digest = Digest::sha256(PAYLOAD.as_bytes());
    let by_digest = format!("/v2/me/app/manifests/{digest}");
    let client = Client::new(RegistryConfig { first_schema: true, ..config() }).unwrap();
    for content_type in [JWS, "application/json", MANIFEST] {
        let remote = remote_of(&client, &server, &Credentials::Anonymous).await.with_first_schema();
        for path in [PATH, &by_digest] {
            let answer = || {
                let signed = Signer::new().unwrap().sign(PAYLOAD).unwrap();
                Answer::status(200).header("content-type", content_type).body(signed)
            };
            server.on("HEAD", path, [Answer::status(405)]).on("GET", path, [answer(), answer()]);
        }
        for target in [tag(), TagOrDigest::Digest(digest.clone())] {
            let found = remote.resolve(&target).await.unwrap().descriptor;
            assert_eq!((found.media_type.as_str(), found.digest), (JWS, digest.clone()));
            let fetched = remote.manifest(&target).await.unwrap();
            assert_eq!((&*fetched.bytes, fetched.digest), (PAYLOAD.as_bytes(), digest.clone()));
        }
    }
    let other = Digest::sha256(b"other");
    let path = format!("/v2/me/app/manifests/{other}");
    let signed = Signer::new().unwrap().sign(PAYLOAD).unwrap();
    server.on("GET", &path, [Answer::status(200).header("content-type", JWS).body(signed)]);
    let remote = remote_of(&client, &server, &Credentials::Anonymous).await.with_first_schema();
    let error = remote.manifest(&TagOrDigest::Digest(other)).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let last = ", application/vnd.docker.distribution.manifest.v1+json";
    for received in server.received().iter().filter(|it| it.path().contains("/manifests/")) {
        assert!(received.header("accept").unwrap().ends_with(last), "{received}");
    }

    // Who cannot do with it is refused, whatever the settings.
    let remote = remote_of(&client, &server, &Credentials::Anonymous).await;
    assert!(matches!(remote.manifest(&tag()).await, Err(RegistryError::FirstSchema { .. })));
    let received = server.received();
    assert_eq!(received.last().unwrap().header("accept").unwrap().matches(".v1+").count(), 2);
}

/// A registry that knows nothing else answers with the digest of the signed part.
#[tokio::test]
async fn a_manifest_of_the_first_schema_is_put_under_the_digest_of_its_signed_part() {
    let server = Scripted::start().await.unwrap();
    let answer = |text: &[u8]| {
        Answer::status(201).header("docker-content-digest", Digest::sha256(text).to_string())
    };
    server.on("PUT", PATH, [answer(b"payload"), answer(b"the whole")]);
    let (remote, tag) = (pushing(&server).await, "1".parse().unwrap());
    let put = async || remote.put_signed_manifest(&tag, b"payload", "the whole".into()).await;
    assert_eq!(put().await.unwrap(), Digest::sha256(b"payload"));
    assert!(matches!(put().await, Err(RegistryError::DigestMismatch { .. })));
    let sent = &server.received()[1];
    assert_eq!(&*sent.body, b"the whole");
    assert!(sent.header("content-type").unwrap().ends_with(".manifest.v1+prettyjws"));
}

#[tokio::test]
async fn only_some_refusals_are_of_the_manifest() {
    for (status, code, expected) in [
        (400, "MANIFEST_INVALID", true),
        (400, "TAG_INVALID", true),
        (415, "UNSUPPORTED", true),
        (400, "DIGEST_INVALID", false),
        (400, "MANIFEST_BLOB_UNKNOWN", false),
        (401, "UNAUTHORIZED", false),
        (403, "DENIED", false),
        (405, "UNSUPPORTED", false),
    ] {
        let server = Scripted::start().await.unwrap();
        server.on("PUT", PATH, [Answer::error(status, code, "no")]);
        let (remote, tag) = (pushing(&server).await, tag());
        let put = remote.put_manifest(&tag, &MediaType::DockerManifest, BODY.into()).await;
        assert_eq!(put.unwrap_err().refuses_manifest(), expected, "{status} {code}");
    }
}

#[tokio::test]
async fn sha512_is_hashed_with_sha512() {
    let server = Scripted::start().await.unwrap();
    let mut hasher = spec::Hasher::new(spec::Algorithm::Sha512);
    hasher.update(BODY);
    let digest = hasher.finish();
    server.on("GET", &format!("/v2/me/app/manifests/{digest}"), [manifest(BODY)]);
    let fetched =
        remote(&server).await.manifest(&TagOrDigest::Digest(digest.clone())).await.unwrap();
    assert_eq!(fetched.digest, digest);
}

#[tokio::test]
async fn manifests_are_bounded() {
    let server = Scripted::start().await.unwrap();
    let size = usize::try_from(MAX_MANIFEST_SIZE).unwrap();
    let large = Answer::status(200).body(vec![b' '; size + 1]);
    let largest = Answer::status(200).body(vec![b'{'; size]);
    let endless = Answer::status(200).body(vec![b' '; 4096]).endless();
    for answer in [large.clone(), large.clone().chunked(), endless] {
        server.on("GET", PATH, [answer]);
        let error = remote(&server).await.manifest(&tag()).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::TooLarge { limit: MAX_MANIFEST_SIZE, .. }),
            "{error}"
        );
    }
    server.on("GET", PATH, [largest]);
    assert_eq!(remote(&server).await.manifest(&tag()).await.unwrap().bytes.len(), size);

    // HEAD is believed enough not to go on.
    let announced = Answer::status(200)
        .header("content-type", MANIFEST)
        .header("docker-content-digest", Digest::sha256(BODY).to_string())
        .body(vec![b' '; size + 1]);
    server.on("HEAD", PATH, [announced]);
    let error = remote(&server).await.resolve(&tag()).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn errors_have_dockers_words() {
    let server = Scripted::start().await.unwrap();
    let missing = Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    let denied = Answer::error(403, "DENIED", "requested access to the resource is denied");
    let limited = Answer::error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.");
    for (answer, expected) in [
        (missing, "manifest unknown: manifest unknown"),
        (denied, "denied: requested access to the resource is denied"),
        (limited, "toomanyrequests: You have reached your pull rate limit."),
        (
            Answer::status(500),
            "Get \"URL\": received unexpected HTTP status: 500 Internal Server Error",
        ),
        (
            Answer::status(403),
            "denied: Get \"URL\": received unexpected HTTP status: 403 Forbidden",
        ),
        (
            Answer::status(200).body("<html><title>Log in</title>"),
            "Get \"URL\": error unmarshalling content: invalid character '<' looking for beginning of value (a web page: \"Log in\")",
        ),
        (
            Answer::status(200),
            "Get \"URL\": error unmarshalling content: unexpected end of JSON input",
        ),
    ] {
        server.on("HEAD", PATH, [answer.clone()]).on("GET", PATH, [answer]);
        let expected = expected.replace("URL", &format!("{}{PATH}", server.url()));
        let remote = remote(&server).await;
        assert_eq!(remote.resolve(&tag()).await.unwrap_err().to_string(), expected);
        assert_eq!(remote.manifest(&tag()).await.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn an_error_knows_its_kind_and_its_request() {
    let server = Scripted::start().await.unwrap();
    let missing = Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    server.on("GET", PATH, [missing]);
    let error = remote(&server).await.manifest(&tag()).await.unwrap_err();
    assert!(error.is_not_found() && !error.is_denied() && !error.is_unauthorized());
    assert_eq!(error.recovery(), Recovery::Fail);
    assert_eq!(error.api_errors()[0].code, "MANIFEST_UNKNOWN");
    assert!(error.api_errors()[0].detailed);
    let RegistryError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.method.as_str(), refusal.status), ("GET", 404));
    assert_eq!(refusal.url, format!("{}{PATH}", server.url()));
}

#[tokio::test]
async fn a_registry_that_asks_for_a_wait_gets_it_and_one_that_fails_is_believed() {
    let soon = |status| Answer::status(status).header("retry-after", "0");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (name, bad, tries) in [
        ("404", Answer::status(404), 1),
        ("429", Answer::status(429), 1),
        ("500", Answer::status(500), 1),
        ("503", Answer::status(503), 1),
        ("429 with a wait", soon(429), 3),
        ("500 with a wait", soon(500), 3),
        ("a date", Answer::status(503).header("retry-after", past), 3),
        // An hour is no pause between tries.
        ("a rate limit", Answer::status(429).header("retry-after", "3600"), 1),
        // Once more, by a new connection.
        ("hang up", Answer::hang_up(), 2),
    ] {
        let server = Scripted::start().await.unwrap();
        server.on("GET", PATH, [bad.clone()]);
        let error = remote(&server).await.manifest(&tag()).await.unwrap_err();
        assert_eq!(server.count("GET", PATH), tries, "{name}: {error}");

        server.forget();
        server.on("GET", PATH, [bad.clone(), manifest(BODY)]);
        let fetched = remote(&server).await.manifest(&tag()).await;
        assert_eq!(fetched.is_ok(), tries > 1, "{name}: {fetched:?}");

        // One that is stored is treated alike.
        server.forget();
        server.on("PUT", PATH, [bad]);
        let remote = pushing(&server).await;
        let stored = remote.put_manifest(&tag(), &MediaType::DockerManifest, BODY.into()).await;
        assert!(stored.is_err(), "{name}");
        assert_eq!(server.count("PUT", PATH), tries, "{name}");
    }
}

#[tokio::test]
async fn silence_ends() {
    let server = Scripted::start().await.unwrap();
    server.on("GET", PATH, [manifest(BODY).stall_after(3)]);
    let client = registry::Client::new(impatient()).unwrap();
    let remote = remote_of(&client, &server, &ann()).await;
    let error = remote.manifest(&tag()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Stalled { .. }), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });

    server.on("GET", PATH, [Answer::silence()]);
    let settings = registry::RegistryConfig {
        response_timeout: std::time::Duration::from_millis(100),
        ..crate::support::config()
    };
    let client = registry::Client::new(settings).unwrap();
    let remote = remote_of(&client, &server, &ann()).await;
    let error = remote.manifest(&tag()).await.unwrap_err();
    let url = format!("{}{PATH}", server.url());
    let expected = format!(r#"Get "{url}": net/http: timeout awaiting response headers"#);
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
}

#[tokio::test]
async fn a_cut_manifest_is_none() {
    let server = Scripted::start().await.unwrap();
    server.on("GET", PATH, [manifest(BODY).cut_after(5)]);
    let error = remote(&server).await.manifest(&tag()).await.unwrap_err();
    assert!(error.to_string().ends_with("unexpected EOF"), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
}

#[tokio::test]
async fn a_manifest_is_stored_as_it_is() {
    let server = Scripted::start().await.unwrap();
    let stored =
        Answer::status(201).header("docker-content-digest", Digest::sha256(BODY).to_string());
    server.on("PUT", PATH, [stored]);
    let remote = pushing(&server).await;
    let digest =
        remote.put_manifest(&tag(), &MediaType::DockerManifest, BODY.into()).await.unwrap();
    assert_eq!(digest, Digest::sha256(BODY));
    let put = server.received().pop().unwrap();
    assert_eq!(put.body, BODY);
    assert_eq!(put.header("content-type"), Some(MANIFEST));

    // A registry that stored something else, and one that says why it does not.
    let other =
        Answer::status(201).header("docker-content-digest", Digest::sha256(b"").to_string());
    server.on("PUT", PATH, [other]);
    let error =
        remote.put_manifest(&tag(), &MediaType::DockerManifest, BODY.into()).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    server.on(
        "PUT",
        PATH,
        [Answer::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")],
    );
    let error =
        remote.put_manifest(&tag(), &MediaType::DockerManifest, BODY.into()).await.unwrap_err();
    assert_eq!(error.to_string(), "manifest blob unknown: blob unknown to registry");

    // Under a digest that is not its own it is not even sent.
    server.forget();
    let wrong = TagOrDigest::Digest(Digest::sha256(b"x"));
    let error =
        remote.put_manifest(&wrong, &MediaType::DockerManifest, BODY.into()).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    assert_eq!(server.lines(), [""; 0]);
}

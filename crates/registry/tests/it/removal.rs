//! Deletion: manifests by digest, tags alone, blobs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use registry::{Access, Remote, TagOrDigest, TagRemoval};
use spec::{Digest, MediaType, Tag};
use test_support::scripted::{Answer, Received, Scripted, challenge_bearer};

use crate::support::{MANIFEST, ann, client, manifest, repository};

const BODY: &[u8] = br#"{"schemaVersion":2}"#;
const MANIFESTS: &str = "/v2/me/app/manifests/";

async fn deleting(server: &Scripted) -> Remote {
    client().remote(&repository(server), &ann(), Access::Delete).await.unwrap()
}

fn tag() -> Tag {
    "1".parse().unwrap()
}

/// The tags of a registry that deletes by digest, and with a digest each tag that means it.
type Tags = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A registry that refuses to delete tags with `refusal`, and deletes as `deletes` says by the number of the request.
async fn by_digest_alone(
    refusal: Answer,
    deletes: impl Fn(usize) -> bool + Send + 'static,
) -> (Scripted, Tags) {
    let server = Scripted::start().await.unwrap();
    let tags: Tags = Arc::default();
    for name in ["1", "same"] {
        tags.lock().unwrap().insert(name.to_owned(), BODY.to_vec());
    }
    let reference = |request: &Received| request.path().strip_prefix(MANIFESTS).unwrap().to_owned();
    for method in ["GET", "HEAD"] {
        let tags = Arc::clone(&tags);
        server.reply(method, &format!("{MANIFESTS}*"), move |request| {
            let found = tags.lock().unwrap().get(&reference(request)).cloned();
            found.map_or_else(
                || Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                |bytes| manifest(bytes.leak()),
            )
        });
    }
    let written = Arc::clone(&tags);
    server.reply("PUT", &format!("{MANIFESTS}*"), move |request| {
        assert_eq!(request.header("content-type"), Some(MANIFEST));
        written.lock().unwrap().insert(reference(request), request.body.to_vec());
        Answer::status(201)
    });
    let (gone, mut number) = (Arc::clone(&tags), 0);
    server.reply("DELETE", &format!("{MANIFESTS}*"), move |request| {
        let Ok(digest) = reference(request).parse::<Digest>() else { return refusal.clone() };
        number += 1;
        if !deletes(number) {
            return Answer::error(405, "UNSUPPORTED", "The operation is unsupported.");
        }
        gone.lock().unwrap().retain(|_, bytes| Digest::sha256(bytes) != digest);
        Answer::status(202)
    });
    server.on("HEAD", "/v2/me/app/blobs/*", [Answer::status(404)]);
    let location = "/v2/me/app/blobs/uploads/x";
    server.on(
        "POST",
        "/v2/me/app/blobs/uploads/",
        [Answer::status(202).header("location", location)],
    );
    server.on("PATCH", location, [Answer::status(202).header("location", location)]);
    server.on("PUT", location, [Answer::status(201)]);
    (server, tags)
}

#[tokio::test]
async fn a_tag_is_deleted_by_its_name_where_that_is_possible() {
    let server = Scripted::start().await.unwrap();
    let path = format!("{MANIFESTS}1");
    for status in [202, 200, 204] {
        server.on("HEAD", &path, [manifest(BODY), Answer::status(404)]);
        server.on("DELETE", &path, [Answer::status(status)]);
        server.forget();
        assert_eq!(deleting(&server).await.delete_tag(&tag()).await.unwrap(), TagRemoval::Tag);
        assert_eq!(
            server.lines(),
            [
                "GET /v2/".to_owned(),
                format!("HEAD {path}"),
                format!("DELETE {path}"),
                format!("HEAD {path}")
            ]
        );
    }
    server.on("HEAD", &path, [manifest(BODY)]);
    server.on("DELETE", &path, [Answer::error(403, "DENIED", "requested access is denied")]);
    let error = deleting(&server).await.delete_tag(&tag()).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
    assert_eq!(server.count("POST", "/v2/me/app/blobs/uploads/"), 0);
}

#[tokio::test]
async fn of_several_tags_of_a_manifest_the_others_stay() {
    for refusal in [
        Answer::error(405, "UNSUPPORTED", "The operation is unsupported."),
        Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
        Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        Answer::status(501),
    ] {
        let (server, tags) = by_digest_alone(refusal, |_| true).await;
        let removed = deleting(&server).await.delete_tag(&tag()).await.unwrap();
        assert_eq!(removed, TagRemoval::Stand);
        let left = tags.lock().unwrap().clone();
        assert_eq!(left, BTreeMap::from([("same".to_owned(), BODY.to_vec())]));
    }
}

#[tokio::test]
async fn a_tag_stays_what_it_was_where_nothing_can_be_deleted() {
    let unsupported = || Answer::error(405, "UNSUPPORTED", "The operation is unsupported.");
    let kept = |tags: &Tags| {
        let tags = tags.lock().unwrap();
        (tags["1"].clone(), tags["same"].clone())
    };
    let (server, tags) = by_digest_alone(unsupported(), |_| false).await;
    let error = deleting(&server).await.delete_tag(&tag()).await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert_eq!(kept(&tags), (BODY.to_vec(), BODY.to_vec()));
    assert_eq!(server.count("PUT", &format!("{MANIFESTS}1")), 0, "it was never touched");

    // Once it goes and once it does not.
    let (server, tags) = by_digest_alone(unsupported(), |number| number == 1).await;
    assert!(deleting(&server).await.delete_tag(&tag()).await.is_err());
    assert_eq!(kept(&tags), (BODY.to_vec(), BODY.to_vec()));
    assert_eq!(server.count("PUT", &format!("{MANIFESTS}1")), 2, "there and back");
}

#[tokio::test]
async fn what_is_not_there_is_told_in_dockers_words() {
    let server = Scripted::start().await.unwrap();
    let missing = Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    for method in ["GET", "HEAD", "DELETE"] {
        server.on(method, &format!("{MANIFESTS}*"), [missing.clone()]);
    }
    let remote = deleting(&server).await;
    let words = "manifest unknown: manifest unknown";
    assert_eq!(remote.delete_tag(&tag()).await.unwrap_err().to_string(), words);
    let digest = Digest::sha256(BODY);
    assert_eq!(remote.delete_manifest(&digest).await.unwrap_err().to_string(), words);
    assert!(!server.lines().iter().any(|line| line.starts_with("DELETE")));
    let path = format!("/v2/me/app/blobs/{digest}");
    server.on("DELETE", &path, [Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry")]);
    assert!(remote.delete_blob(&digest).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_registry_that_says_that_it_did_and_did_not_is_told_of() {
    let server = Scripted::start().await.unwrap();
    for method in ["GET", "HEAD"] {
        server.on(method, &format!("{MANIFESTS}*"), [manifest(BODY)]);
    }
    server.on("DELETE", &format!("{MANIFESTS}*"), [Answer::status(202)]);
    server.on("PUT", &format!("{MANIFESTS}*"), [Answer::status(201)]);
    let (remote, name) = (deleting(&server).await, format!("{}/me/app", server.host()));
    let digest = Digest::sha256(BODY);
    for (error, name) in [
        (remote.delete_tag(&tag()).await.unwrap_err(), format!("{name}:1")),
        (remote.delete_manifest(&digest).await.unwrap_err(), format!("{name}@{digest}")),
    ] {
        let said = "is still there, although the registry says that it deletes it";
        assert!(error.to_string().starts_with(&format!("{name} {said}")), "{error}");
    }
    let (media_type, other) = (MediaType::from(MANIFEST), Bytes::from_static(b"{}"));
    let moved = remote.tag_manifest(&tag(), &media_type, Bytes::from_static(BODY)).await;
    assert_eq!(moved.unwrap(), digest);
    let error = remote.tag_manifest(&tag(), &media_type, other.clone()).await.unwrap_err();
    let said = format!("{name}:1 still means {digest}, although the registry says");
    assert!(error.to_string().starts_with(&said), "{error}");
    server.on("HEAD", &format!("{MANIFESTS}*"), [Answer::status(404)]);
    let error = remote.tag_manifest(&tag(), &media_type, other.clone()).await.unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("{name}:1 does not exist, although")),
        "{error}"
    );
    // Who does not tell is believed.
    for method in ["GET", "HEAD"] {
        server.on(method, &format!("{MANIFESTS}*"), [Answer::status(403)]);
    }
    remote.tag_manifest(&tag(), &media_type, other).await.unwrap();
    remote.delete_manifest(&digest).await.unwrap();
}

#[tokio::test]
async fn a_deletion_is_not_sent_on_to_another_host() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let path = format!("{MANIFESTS}1");
    server.on("HEAD", &path, [manifest(BODY), Answer::status(404)]);
    let away = Answer::redirect(307, &format!("{}{path}", other.url()));
    server.on("DELETE", &path, [away]);
    let error = deleting(&server).await.delete_tag(&tag()).await.unwrap_err();
    assert!(error.to_string().contains("it leads to another host"), "{error}");
    assert!(other.lines().is_empty(), "{:?}", other.lines());
    // Within the host it is.
    let there = "/elsewhere";
    server.on("HEAD", &path, [manifest(BODY), Answer::status(404)]);
    server.on("DELETE", &path, [Answer::redirect(308, there)]);
    server.on("DELETE", there, [Answer::status(202)]);
    assert_eq!(deleting(&server).await.delete_tag(&tag()).await.unwrap(), TagRemoval::Tag);
}

#[tokio::test]
async fn the_token_is_one_to_delete_with() {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_bearer(&format!("{}/token", server.url()), "s");
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    server.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t"}"#)]);
    let path = format!("/v2/me/app/blobs/{}", Digest::sha256(BODY));
    server.on("DELETE", &path, [Answer::status(202)]);
    deleting(&server).await.delete_blob(&Digest::sha256(BODY)).await.unwrap();
    let token = server.lines().into_iter().find(|line| line.starts_with("GET /token")).unwrap();
    assert!(token.contains("scope=repository%3Ame%2Fapp%3Apull%2Cpush%2Cdelete"), "{token}");
}

#[tokio::test]
async fn what_is_looked_for_and_not_found_takes_one_request() {
    let server = Scripted::start().await.unwrap();
    let path = format!("{MANIFESTS}1");
    let target = TagOrDigest::Tag(tag());
    server.on("HEAD", &path, [Answer::status(404)]);
    let remote = deleting(&server).await;
    assert!(remote.find(&target).await.unwrap().is_none());
    assert_eq!(server.lines(), ["GET /v2/".to_owned(), format!("HEAD {path}")]);

    let limits = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")];
    let answer =
        limits.iter().fold(manifest(BODY), |answer, (name, value)| answer.header(name, value));
    server.on("HEAD", &path, [answer]);
    let found = remote.find(&target).await.unwrap().unwrap();
    assert_eq!(found.descriptor.digest, Digest::sha256(BODY));
    let limit = found.pull_limit.unwrap();
    assert_eq!((limit.limit, limit.remaining), (Some(100), Some(76)));
}

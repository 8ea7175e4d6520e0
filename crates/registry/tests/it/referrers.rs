//! Manifests that refer to others: listed by the registry, by clients under a tag, by cosign under tags of its own.

use std::sync::{Arc, Mutex};

use registry::{Referrers, ReferrersFrom, RegistryError, TagOrDigest};
use spec::{Digest, MediaType, Tag};
use test_support::scripted::{Answer, Scripted};

use crate::support::{MANIFEST, manifest, pushing, remote};

const SUBJECT: &[u8] = b"{}";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SBOM: &str = "application/spdx+json";

fn api() -> String {
    format!("/v2/me/app/referrers/{}", Digest::sha256(SUBJECT))
}

fn fallback() -> String {
    format!("/v2/me/app/manifests/{}", Tag::of_referrers(&Digest::sha256(SUBJECT)))
}

fn entry(content: &str, artifact_type: &str) -> String {
    let digest = Digest::sha256(content.as_bytes());
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},
            "artifactType":"{artifact_type}","annotations":{{"a":"b"}},"of":"others"}}"#,
        content.len()
    )
}

fn index(entries: &[String]) -> Answer {
    let entries = entries.join(",");
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#);
    Answer::status(200).header("content-type", INDEX).body(text)
}

fn types(found: &Referrers) -> Vec<&str> {
    found.list.iter().map(|one| one.artifact_type.as_deref().unwrap_or("none")).collect()
}

#[tokio::test]
async fn the_registrys_list_is_read_page_by_page_and_filtered_by_whoever_does_not() {
    let server = Scripted::start().await.unwrap();
    server.reply("GET", &api(), |request| match request.query() {
        "artifactType=application%2Fspdx%2Bjson" | "" => {
            let next = format!("<{}?last=x>; rel=\"next\"", api());
            index(&[entry("1", SBOM), entry("2", "sig")]).header("link", next)
        }
        _ => index(&[entry("3", SBOM), "null".to_owned()]),
    });
    let remote = remote(&server).await;
    let all = remote.referrers(&Digest::sha256(SUBJECT), None).await.unwrap();
    assert_eq!((types(&all), all.from), (vec![SBOM, "sig", SBOM], ReferrersFrom::Registry));
    assert_eq!(all.list[0].descriptor.digest, Digest::sha256(b"1"));
    assert_eq!(all.list[0].descriptor.annotations["a"], "b");
    let some = remote.referrers(&Digest::sha256(SUBJECT), Some(SBOM)).await.unwrap();
    assert_eq!(types(&some), [SBOM, SBOM]);
    assert_eq!(server.count("GET", &fallback()), 0);
}

#[tokio::test]
async fn without_such_a_list_the_tag_is_read_and_the_question_not_asked_twice() {
    for answer in [
        Answer::status(404).body("404 page not found"),
        Answer::error(404, "NAME_UNKNOWN", "no such endpoint"),
        Answer::error(405, "UNSUPPORTED", "no"),
        Answer::status(400),
        Answer::status(200).body("<html><title>Portal</title>"),
    ] {
        let server = Scripted::start().await.unwrap();
        server.on("GET", &api(), [answer]);
        server.on("GET", &fallback(), [index(&[entry("1", SBOM), entry("2", "sig")])]);
        let remote = remote(&server).await;
        for _ in 0..2 {
            let found = remote.referrers(&Digest::sha256(SUBJECT), Some("sig")).await.unwrap();
            assert_eq!((types(&found), found.from), (vec!["sig"], ReferrersFrom::Tag));
        }
        assert_eq!(server.count("GET", &api()), 1);
        assert_eq!(server.count("GET", &fallback()), 2);

        let missing = Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        server.on("GET", &fallback(), [missing]);
        let found = remote.referrers(&Digest::sha256(SUBJECT), None).await.unwrap();
        assert_eq!(found.list, []);
    }
}

#[tokio::test]
async fn a_refusal_is_no_absence_and_lists_are_bounded() {
    let server = Scripted::start().await.unwrap();
    let remote = remote(&server).await;
    let subject = Digest::sha256(SUBJECT);
    server.on("GET", &api(), [Answer::error(403, "DENIED", "requested access is denied")]);
    let error = remote.referrers(&subject, None).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
    server.on("GET", &api(), [Answer::status(503)]);
    assert!(remote.referrers(&subject, None).await.is_err());
    assert_eq!(server.count("GET", &fallback()), 0);

    server.on("GET", &api(), [Answer::status(200).body(vec![b' '; 65536]).endless()]);
    let error = remote.referrers(&subject, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    let mut pages = 0;
    server.reply("GET", &api(), move |_| {
        pages += 1;
        index(&[]).header("link", format!("<?last={pages}>; rel=\"next\""))
    });
    let error = remote.referrers(&subject, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::ListTooLong { what: "pages", .. }), "{error}");
    let many: Vec<String> = (0..10_001).map(|_| entry("1", "x")).collect();
    server.on("GET", &api(), [index(&many)]);
    let error = remote.referrers(&subject, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::ListTooLong { what: "referrers", .. }), "{error}");
    for (body, part) in [
        (r#"{"manifests":[{"mediaType":"x","digest":"sha256:..","size":1}]}"#, "error parsing"),
        (r#"{"manifests":{}}"#, "error parsing"),
    ] {
        server.on("GET", &api(), [Answer::status(200).body(body)]);
        let error = remote.referrers(&subject, None).await.unwrap_err().to_string();
        assert!(error.starts_with(part), "{error}");
    }
}

/// A server that keeps what is put under the tag.
async fn keeping(first: Option<Answer>) -> (Scripted, Arc<Mutex<Option<String>>>) {
    let server = Scripted::start().await.unwrap();
    let kept = Arc::new(Mutex::new(None::<String>));
    let (written, read) = (Arc::clone(&kept), Arc::clone(&kept));
    server.reply("PUT", "/v2/me/app/manifests/*", move |request| {
        if request.path() == fallback() {
            assert_eq!(request.header("content-type"), Some(INDEX));
            let text = String::from_utf8(request.body.to_vec()).unwrap();
            *written.lock().unwrap() = Some(text);
        }
        Answer::status(201)
    });
    server.reply("GET", &fallback(), move |_| match (&*read.lock().unwrap(), &first) {
        (Some(text), _) => Answer::status(200).header("content-type", INDEX).body(text.clone()),
        (None, Some(first)) => first.clone(),
        (None, None) => Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    });
    (server, kept)
}

fn referring(extra: &str) -> String {
    let subject = Digest::sha256(SUBJECT);
    format!(
        r#"{{"schemaVersion":2,"subject":{{"mediaType":"{MANIFEST}","digest":"{subject}","size":2}},
            "config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{subject}","size":2}}{extra}}}"#
    )
}

#[tokio::test]
async fn who_pushes_a_referrer_lists_it_where_the_registry_does_not() {
    let (server, kept) = keeping(Some(index(&[entry("1", SBOM)]))).await;
    let remote = pushing(&server).await;
    let typed = referring(r#","artifactType":"sig","annotations":{"k":"v"}"#);
    let plain = referring("");
    for (document, artifact_type) in
        [(&typed, "sig"), (&plain, "application/vnd.oci.empty.v1+json"), (&typed, "sig")]
    {
        let target = TagOrDigest::Digest(Digest::sha256(document.as_bytes()));
        let bytes = document.clone().into();
        remote.put_manifest(&target, &MediaType::OciManifest, bytes).await.unwrap();
        let found = remote.referrers(&Digest::sha256(SUBJECT), Some(artifact_type)).await.unwrap();
        assert_eq!(found.list.len(), 1, "each once");
        let descriptor = &found.list[0].descriptor;
        assert_eq!(descriptor.digest, Digest::sha256(document.as_bytes()));
        assert_eq!(descriptor.size, document.len() as u64);
        assert_eq!(descriptor.annotations.contains_key("k"), artifact_type == "sig");
    }
    let text = kept.lock().unwrap().clone().unwrap();
    assert!(text.contains(r#""of":"others""#), "what others wrote stays: {text}");
    let all = remote.referrers(&Digest::sha256(SUBJECT), None).await.unwrap();
    assert_eq!(all.list.len(), 3);

    // What is deleted goes from the list, too.
    let digest = Digest::sha256(typed.as_bytes());
    let path = format!("/v2/me/app/manifests/{digest}");
    server.on("GET", &path, [Answer::status(200).body(typed.clone())]);
    server.on("DELETE", &path, [Answer::status(202)]);
    remote.delete_manifest(&digest).await.unwrap();
    let left = remote.referrers(&Digest::sha256(SUBJECT), None).await.unwrap();
    assert_eq!(types(&left), [SBOM, "application/vnd.oci.empty.v1+json"]);
}

#[tokio::test]
async fn a_list_that_is_no_document_is_an_error() {
    for body in ["[]", "1", "\"text\""] {
        let answer = Answer::status(200).header("content-type", INDEX).body(body);
        let (server, kept) = keeping(Some(answer)).await;
        let document = referring("");
        let target = TagOrDigest::Digest(Digest::sha256(document.as_bytes()));
        let put = pushing(&server).await;
        let put = put.put_manifest(&target, &MediaType::OciManifest, document.into()).await;
        let error = put.unwrap_err().to_string();
        assert!(error.contains("error unmarshalling content"), "{body}: {error}");
        assert_eq!(*kept.lock().unwrap(), None);
    }
}

#[tokio::test]
async fn pushes_at_the_same_time_lose_nothing() {
    let (server, _kept) = keeping(None).await;
    let remote = pushing(&server).await;
    let documents: Vec<String> =
        (0..8).map(|at| referring(&format!(r#","artifactType":"t{at}""#))).collect();
    let pushes = documents.iter().map(|document| {
        let target = TagOrDigest::Digest(Digest::sha256(document.as_bytes()));
        let (remote, bytes) = (remote.clone(), document.clone().into());
        async move { remote.put_manifest(&target, &MediaType::OciManifest, bytes).await }
    });
    for pushed in futures_util::future::join_all(pushes).await {
        pushed.unwrap();
    }
    let all = remote.referrers(&Digest::sha256(SUBJECT), None).await.unwrap();
    assert_eq!(all.list.len(), documents.len());
}

#[tokio::test]
async fn a_registry_that_lists_referrers_is_left_to_it() {
    let server = Scripted::start().await.unwrap();
    let document = referring("");
    let path = "/v2/me/app/manifests/1";
    let subject = Digest::sha256(SUBJECT).to_string();
    server.on("PUT", path, [Answer::status(201).header("oci-subject", subject)]);
    let target = TagOrDigest::Tag("1".parse().unwrap());
    let remote = pushing(&server).await;
    remote.put_manifest(&target, &MediaType::OciManifest, document.into()).await.unwrap();
    assert_eq!(server.lines(), ["GET /v2/".to_owned(), format!("PUT {path}")]);
}

#[tokio::test]
async fn cosigns_tags_are_looked_for() {
    let server = Scripted::start().await.unwrap();
    let subject = Digest::sha256(SUBJECT);
    let [signature, _, sbom] = Tag::of_cosign(&subject);
    for tag in [&signature, &sbom] {
        let path = format!("/v2/me/app/manifests/{tag}");
        server.on("HEAD", &path, [manifest(tag.as_str().to_owned().leak().as_bytes())]);
    }
    let found = remote(&server).await.cosign_tags(&subject).await.unwrap();
    let tags: Vec<_> = found.iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags, [&signature, &sbom]);
    assert_eq!(server.lines().len(), 4, "one request each: {:?}", server.lines());
}

//! Uploads: in parts, whole, resumed, mounted.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use registry::{Breaks, Mounted, Recovery, RegistryError, UploadSession};
use spec::{Digest, Repository};
use test_support::scripted::{Answer, Scripted, challenge_basic};

use crate::support::{ANN, ann, content, pushing, repository};

const START: &str = "/v2/me/app/blobs/uploads/";
const HERE: &str = "/v2/me/app/blobs/uploads/1";

fn body(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static + use<> {
    let pieces: Vec<_> =
        bytes.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// A registry that begins uploads.
async fn server() -> Scripted {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_basic();
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]).on(
        "POST",
        START,
        [Answer::status(202).header("location", format!("{HERE}?_state=a"))],
    );
    server
}

fn accepted(range: &str) -> Answer {
    Answer::status(202).header("location", format!("{HERE}?_state=b")).header("range", range)
}

async fn begin(server: &Scripted) -> UploadSession {
    pushing(server).await.start_upload().await.unwrap()
}

#[tokio::test]
async fn a_blob_is_one_patch_and_one_put() {
    let bytes = content(200_000);
    let digest = Digest::sha256(&bytes);
    for length in [Some(200_000), None] {
        let server = server().await;
        let stored = Answer::status(201).header("docker-content-digest", digest.to_string());
        server.on("PATCH", HERE, [accepted("0-199999")]).on("PUT", HERE, [stored]);
        let mut upload = begin(&server).await;
        assert_eq!(upload.offset(), 0);
        upload.send(body(&bytes), length, &digest).await.unwrap();
        assert_eq!(upload.offset(), 200_000);

        let received = server.received();
        let query = format!("_state=b&digest={}", digest.to_string().replace(':', "%3A"));
        let expected = [
            "GET /v2/".to_owned(),
            format!("POST {START}"),
            format!("PATCH {HERE}?_state=a"),
            format!("PUT {HERE}?{query}"),
        ];
        assert_eq!(server.lines(), expected);
        assert_eq!(received[1].header("content-length"), Some("0"));
        assert_eq!(received[2].body, bytes);
        assert_eq!(received[2].header("content-type"), Some("application/octet-stream"));
        let announced = length.map(|length: u64| length.to_string());
        assert_eq!(received[2].header("content-length"), announced.as_deref());
        assert_eq!(received[3].header("content-length"), Some("0"));
        assert!(received[1..].iter().all(|request| request.header("authorization") == Some(ANN)));
    }
}

#[tokio::test]
async fn credentials_are_not_for_an_upload_elsewhere() {
    let store = Scripted::start().await.unwrap();
    let server = server().await;
    let there = format!("{}/up/1", store.url());
    server.on("POST", START, [Answer::status(202).header("location", &there)]);
    store
        .on("PATCH", "/up/1", [Answer::status(202).header("range", "0-2")])
        .on("PUT", "/up/1", [Answer::status(201)])
        .on("GET", "/up/1", [Answer::status(204).header("range", "0-2")])
        .on("DELETE", "/up/1", [Answer::status(204)]);
    let mut upload = begin(&server).await;
    upload.send(body(b"abc"), Some(3), &Digest::sha256(b"abc")).await.unwrap();
    upload.status().await.unwrap();
    upload.cancel().await.unwrap();
    assert_eq!(store.received().len(), 4);
    for request in store.received() {
        assert_eq!(request.header("authorization"), None, "{request}");
    }
}

#[tokio::test]
async fn hostile_locations_are_refused() {
    let server = server().await;
    for location in ["file:///etc/passwd", "http://[", "http://ann:pw@127.0.0.1/"] {
        server.on("POST", START, [Answer::status(202).header("location", location)]);
        let error = pushing(&server).await.start_upload().await.unwrap_err();
        assert!(error.to_string().contains("`Location`"), "{location}: {error}");
    }
    server.on("POST", START, [Answer::status(202)]);
    let error = pushing(&server).await.start_upload().await.unwrap_err();
    assert!(matches!(error, RegistryError::Header { name: "Location", .. }), "{error}");
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_where_the_registry_is() {
    let server = server().await;
    let bytes = content(300_000);
    let digest = Digest::sha256(&bytes);
    server
        .on("PATCH", HERE, [Answer::hang_up_in_request(100_000), accepted("0-299999")])
        .on("GET", HERE, [Answer::status(204).header("range", "0-99999")])
        .on("PUT", HERE, [Answer::status(201)]);
    let mut upload = begin(&server).await;
    let error = upload.send(body(&bytes), Some(300_000), &digest).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: None }, "{error}");

    assert_eq!(upload.status().await.unwrap(), 100_000);
    assert_eq!(upload.offset(), 100_000);
    upload.send(body(&bytes[100_000..]), Some(200_000), &digest).await.unwrap();
    let received = server.received();
    let second = received.iter().filter(|request| request.method == "PATCH").nth(1).unwrap();
    assert_eq!(second.header("content-range"), Some("100000-299999"));
    assert_eq!(second.body, bytes[100_000..]);
}

#[tokio::test]
async fn a_registry_that_takes_next_to_nothing_has_failed() {
    let server = server().await;
    let bytes = content(300_000);
    server.on("PATCH", HERE, [accepted("0-1"), accepted("0-69999"), accepted("0-299999")]);
    let mut upload = begin(&server).await;
    let error = upload.append(body(&bytes), Some(300_000)).await.unwrap_err();
    assert!(error.to_string().ends_with(": the registry took 2 of 300000 bytes"), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    // It goes on all the same, where the registry takes what is worth a request.
    for (offset, known) in [(2, 70_000), (70_000, 300_000)] {
        assert_eq!(upload.offset(), offset);
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        upload.append(body(rest), Some(300_000 - offset)).await.unwrap();
        assert_eq!(upload.offset(), known);
    }
}

#[tokio::test]
async fn an_upload_that_is_gone_says_so() {
    let server = server().await;
    let gone = Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    for method in ["PATCH", "GET", "PUT"] {
        server.on(method, HERE, [gone.clone()]);
    }
    let digest = Digest::sha256(b"abc");
    let mut upload = begin(&server).await;
    for error in [
        upload.append(body(b"abc"), Some(3)).await.unwrap_err(),
        upload.status().await.unwrap_err(),
        upload.finish(&digest).await.unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("blob upload unknown ("), "{error}");
        assert!(error.is_not_found());
        assert_eq!(error.recovery(), Recovery::Retry { after: None });
    }
    // But if the blob is there, an answer was lost and nothing else.
    server.on("HEAD", &format!("/v2/me/app/blobs/{digest}"), [Answer::status(200).until_close()]);
    upload.finish(&digest).await.unwrap();
    upload.cancel().await.unwrap();
}

#[tokio::test]
async fn a_registry_without_parts_gets_the_whole_at_once() {
    let server = server().await;
    let digest = Digest::sha256(b"abc");
    server.on("PATCH", HERE, [Answer::status(405)]).on("PUT", HERE, [Answer::status(201)]);
    let remote = pushing(&server).await;
    let mut upload = remote.start_upload().await.unwrap();
    let error = upload.send(body(b"abc"), Some(3), &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::PartsRefused { status: 405, .. }), "{error}");
    assert!(error.to_string().contains(&server.host()), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });

    let mut upload = remote.start_upload().await.unwrap();
    upload.send(body(b"abc"), Some(3), &digest).await.unwrap();
    let put = server.received().pop().unwrap();
    assert_eq!((put.method.as_str(), put.body.as_ref()), ("PUT", b"abc".as_ref()));
    assert!(put.query().contains("digest=sha256"), "{put}");
    assert_eq!(server.count("PATCH", HERE), 1);
}

#[tokio::test]
async fn a_source_that_fails_is_not_the_registrys_fault() {
    let server = server().await;
    server.on("PATCH", HERE, [accepted("0-2")]);
    let broken = || {
        stream::iter([
            Ok(Bytes::from_static(b"abc")),
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "disk says no")),
        ])
    };
    let bytes = |bytes: &'static [u8]| stream::iter([Ok(Bytes::from_static(bytes))]);
    for (name, source, length, expected) in [
        ("error", broken().boxed(), None, "disk says no"),
        ("error with a length", broken().boxed(), Some(6), "disk says no"),
        ("short", bytes(b"abc").boxed(), Some(6), "it has 3 bytes, 6 were announced"),
        ("long", bytes(b"abcdef").boxed(), Some(3), "it has 6 bytes, 3 were announced"),
    ] {
        let error = begin(&server).await.append(source, length).await.unwrap_err();
        assert!(matches!(error, RegistryError::Source { .. }), "{name}: {error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert_eq!(error.recovery(), Recovery::Fail, "{name}");
    }
}

#[tokio::test]
async fn a_registry_that_does_not_read_is_not_waited_for() {
    // Nobody accepts what is sent after the first bytes: a listener that is never read from.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server().await;
    let there = format!("http://{address}/up");
    server.on("POST", START, [Answer::status(202).header("location", &there)]);
    let client = registry::Client::new(crate::support::impatient()).unwrap();
    let access = registry::Access::Push;
    let remote = client.remote(&repository(&server), &ann(), access).await.unwrap();
    let mut upload = remote.start_upload().await.unwrap();
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![0; 65536])));
    let error = upload.append(endless, None).await.unwrap_err();
    assert!(error.to_string().contains("nothing sent for 100 ms"), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    drop(listener);
}

#[tokio::test]
async fn what_the_registry_stored_is_what_was_sent() {
    let server = server().await;
    let digest = Digest::sha256(b"abc");
    let other =
        Answer::status(201).header("docker-content-digest", Digest::sha256(b"").to_string());
    server.on("PATCH", HERE, [accepted("0-2")]).on("PUT", HERE, [other]);
    let error = begin(&server).await.send(body(b"abc"), Some(3), &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { what: "blob", .. }), "{error}");

    server.on(
        "PUT",
        HERE,
        [Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")],
    );
    let error = begin(&server).await.send(body(b"abc"), Some(3), &digest).await.unwrap_err();
    assert_eq!(error.to_string(), "digest invalid: provided digest did not match uploaded content");
}

#[tokio::test]
async fn every_word_for_success_is_one() {
    let digest = Digest::sha256(b"abc");
    for (begun, taken, finished) in
        [(202, 202, 201), (200, 200, 200), (201, 201, 201), (204, 204, 204), (202, 204, 202)]
    {
        let server = server().await;
        server
            .on("POST", START, [Answer::status(begun).header("location", HERE)])
            .on("PATCH", HERE, [Answer::status(taken)])
            .on("PUT", HERE, [Answer::status(finished)]);
        begin(&server).await.send(body(b"abc"), Some(3), &digest).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_request_may_be_redirected() {
    let server = server().await;
    let digest = Digest::sha256(b"abc");
    server
        .on("PATCH", HERE, [accepted("0-2")])
        .on("PUT", HERE, [Answer::redirect(307, "/finish?a=b")])
        .on("PUT", "/finish", [Answer::status(201)]);
    begin(&server).await.send(body(b"abc"), Some(3), &digest).await.unwrap();
    assert_eq!(server.count("PUT", "/finish"), 1);
}

#[tokio::test]
async fn what_is_too_large_goes_in_smaller_parts() {
    let most = 1 << 20;
    let server = server().await;
    server.reply("PATCH", HERE, move |request| {
        if request.body.len() > most {
            Answer::status(413).body("<html>")
        } else {
            let range = request.header("content-range").unwrap();
            accepted(&format!("0-{}", range.split('-').nth(1).unwrap()))
        }
    });
    let bytes = content(3 << 20);
    let remote = pushing(&server).await;
    let mut upload = remote.start_upload().await.unwrap();
    assert_eq!(upload.part(3 << 20, Breaks::default()), 3 << 20);
    let error = upload.append(body(&bytes), Some(3 << 20)).await.unwrap_err();
    assert!(matches!(error, RegistryError::PartTooLarge { most: 0x0010_0000 }), "{error}");
    while upload.offset() < 3 << 20 {
        let (offset, rest) = (upload.offset(), (3 << 20) - upload.offset());
        let part = upload.part(rest, Breaks::default());
        assert_eq!(part, 1 << 20);
        let piece = &bytes[offset as usize..(offset + part) as usize];
        upload.append(body(piece), Some(part)).await.unwrap();
    }
    // What was found out is known to the next upload.
    assert_eq!(remote.start_upload().await.unwrap().part(3 << 20, Breaks::default()), 1 << 20);

    // A registry that wants more than it takes cannot be helped.
    let wants = Answer::status(202)
        .header("location", HERE)
        .header("oci-chunk-min-length", (1u64 << 40).to_string());
    server.on("POST", START, [wants]);
    let mut upload = pushing(&server).await.start_upload().await.unwrap();
    let error = upload.append(body(&bytes), Some(3 << 20)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused(_)), "{error}");
}

#[tokio::test]
async fn the_most_that_a_registry_wants_is_heeded() {
    let server = server().await;
    for (most, expected) in
        [("1000000", 1_000_000), ("1", 64 << 10), ("0", 9 << 20), ("x", 9 << 20)]
    {
        let begun =
            Answer::status(202).header("location", HERE).header("oci-chunk-max-length", most);
        server.on("POST", START, [begun]);
        assert_eq!(begin(&server).await.part(9 << 20, Breaks::default()), expected, "{most}");
    }
}

#[tokio::test]
async fn an_upload_goes_on_in_another_process() {
    let server = server().await;
    let bytes = content(300_000);
    let digest = Digest::sha256(&bytes);
    server
        .on("PATCH", HERE, [accepted("0-299999")])
        .on("GET", HERE, [Answer::status(204).header("range", "0-99999")])
        .on("PUT", HERE, [Answer::status(201)]);
    let location = begin(&server).await.location().to_owned();
    let mut upload = pushing(&server).await.resume_upload(&location).await.unwrap();
    assert_eq!(upload.offset(), 100_000);
    upload.send(body(&bytes[100_000..]), Some(200_000), &digest).await.unwrap();

    server.on("GET", HERE, [Answer::status(404)]);
    assert!(pushing(&server).await.resume_upload(&location).await.is_err());
    for odd in ["file:///etc/passwd", "http://ann:pw@127.0.0.1/", "http://["] {
        assert!(pushing(&server).await.resume_upload(odd).await.is_err(), "{odd}");
    }
}

#[tokio::test]
async fn blobs_are_mounted_from_siblings() {
    let server = server().await;
    let digest = Digest::sha256(b"abc");
    let sibling = Repository::parse_familiar(&format!("{}/you/base", server.host())).unwrap();
    let remote = pushing(&server).await;

    server.on("POST", START, [Answer::status(201)]);
    assert!(matches!(remote.mount(&digest, &sibling).await.unwrap(), Mounted::Yes));
    let asked = server.received().pop().unwrap();
    let mount = digest.to_string().replace(':', "%3A");
    assert_eq!(asked.query(), format!("mount={mount}&from=you%2Fbase"));

    server.on("POST", START, [Answer::status(202).header("location", HERE)]);
    assert!(matches!(remote.mount(&digest, &sibling).await.unwrap(), Mounted::Started(_)));

    // Nothing can be mounted from another registry: it is not asked to.
    let stranger = Repository::parse_familiar("registry.invalid/you/base").unwrap();
    assert!(matches!(remote.mount(&digest, &stranger).await.unwrap(), Mounted::Started(_)));
    assert_eq!(server.received().pop().unwrap().query(), "");

    // Nor is a 201 without a mount believed.
    server.on("POST", START, [Answer::status(201)]);
    assert!(remote.start_upload().await.is_err());
}

#[tokio::test]
async fn a_refused_mount_is_an_upload() {
    let server = server().await;
    server.reply("POST", START, |request| {
        if request.query().is_empty() {
            Answer::status(202).header("location", HERE)
        } else {
            Answer::error(403, "DENIED", "requested access to the resource is denied")
        }
    });
    let sibling = Repository::parse_familiar(&format!("{}/you/base", server.host())).unwrap();
    let mounted = pushing(&server).await.mount(&Digest::sha256(b"abc"), &sibling).await.unwrap();
    assert!(matches!(mounted, Mounted::Started(_)));
}

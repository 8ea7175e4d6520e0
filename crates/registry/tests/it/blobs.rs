//! Blobs: ranges, redirects, and bodies that do not end as they should.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry::{Client, Recovery, RegistryError, Remote};
use spec::Descriptor;
use test_support::scripted::{Answer, Received, Scripted};

use crate::support::{
    ANN, ann, blob_path, client, config, content, descriptor, drain, impatient, remote, remote_of,
};

const RETRY: Recovery = Recovery::Retry { after: None };

/// Serves a blob as a registry does that knows ranges.
fn ranged(bytes: &[u8], request: &Received) -> Answer {
    let Some(range) = request.header("range") else {
        return Answer::status(200).body(bytes.to_vec());
    };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    Answer::status(206)
        .header("content-range", format!("bytes {first}-{last}/{}", bytes.len()))
        .body(bytes[first..=last].to_vec())
}

async fn read(
    remote: &Remote,
    blob: &Descriptor,
    range: Range<u64>,
) -> Result<(bool, Vec<u8>, Option<RegistryError>), RegistryError> {
    let stream = remote.blob(blob, range).await?;
    let ranged = stream.ranged;
    let (bytes, error) = drain(stream).await;
    Ok((ranged, bytes, error))
}

#[tokio::test]
async fn ranges_are_what_was_asked_for() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(100_000);
    let blob = descriptor(&bytes);
    let served = bytes.clone();
    server.reply("GET", &blob_path(&blob), move |request| ranged(&served, request));
    let remote = remote(&server).await;
    for range in [0..100_000, 0..1, 99_999..100_000, 40_000..70_000, 1..100_000] {
        let part = bytes[range.start as usize..range.end as usize].to_vec();
        let (ranged, received, error) = read(&remote, &blob, range.clone()).await.unwrap();
        assert!(ranged && error.is_none(), "{range:?} {error:?}");
        assert_eq!(received, part, "{range:?}");
    }
    let asked: Vec<_> =
        server.received().iter().map(|r| r.header("range").map(ToOwned::to_owned)).collect();
    assert_eq!(asked[1], None, "a whole blob is no range");
    assert_eq!(asked[2].as_deref(), Some("bytes=0-0"));
    assert_eq!(asked[4].as_deref(), Some("bytes=40000-69999"));
}

#[tokio::test]
async fn nothing_is_asked_for_nothing() {
    let server = Scripted::start().await.unwrap();
    let remote = remote(&server).await;
    for (blob, range) in [
        (descriptor(b""), 0..0),
        (descriptor(b""), 0..10),
        (descriptor(b"abc"), 3..3),
        (descriptor(b"abc"), 5..9),
    ] {
        let (ranged, received, error) = read(&remote, &blob, range.clone()).await.unwrap();
        assert!(ranged && received.is_empty() && error.is_none(), "{range:?}");
    }
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_and_says_so() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(50_000);
    let blob = descriptor(&bytes);
    server.on("GET", &blob_path(&blob), [Answer::status(200).body(bytes.clone())]);
    // All is more than was asked for from the first byte on, too.
    for range in [100..200, 0..200] {
        let read = read(&remote(&server).await, &blob, range.clone()).await;
        let (ranged, received, error) = read.unwrap();
        assert!(!ranged && error.is_none(), "{range:?}");
        assert_eq!(received, bytes, "{range:?}");
    }
}

#[tokio::test]
async fn other_ranges_and_sizes_are_refused() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(1000);
    let blob = descriptor(&bytes);
    let part =
        |header: &str| Answer::status(206).header("content-range", header).body(vec![0; 100]);
    for (name, answer, expected) in [
        ("another start", part("bytes 0-99/1000"), "Content-Range"),
        ("another end", part("bytes 100-299/1000"), "Content-Range"),
        ("no header", Answer::status(206).body(vec![0; 100]), "Content-Range"),
        ("nonsense", part("100-199"), "Content-Range"),
        ("another size", part("bytes 100-199/2000"), "is 2000 bytes, its descriptor says 1000"),
        ("a shorter blob", Answer::status(200).body(vec![0; 999]), "is 999 bytes"),
        ("a longer blob", Answer::status(200).body(vec![0; 1001]), "is 1001 bytes"),
        ("refused with and without", Answer::status(416), "unknown: "),
    ] {
        server.on("GET", &blob_path(&blob), [answer]);
        let error = read(&remote(&server).await, &blob, 100..200).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert_ne!(error.recovery(), RETRY, "{name}");
    }
}

#[tokio::test]
async fn who_refuses_ranges_is_asked_for_all() {
    for (status, elsewhere) in [
        (400, false),
        (403, false),
        (405, false),
        (416, false),
        (501, false),
        (403, true),
        (416, true),
    ] {
        let (server, store) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
        let bytes = content(1000);
        let blob = descriptor(&bytes);
        let (served, path) = (bytes.clone(), blob_path(&blob));
        let reply = move |request: &Received| match request.header("range") {
            Some(_) => Answer::status(status),
            None => Answer::status(200).body(served.clone()),
        };
        if elsewhere {
            let target = format!("{}/signed?X-Signature=a", store.url());
            server.on("GET", &path, [Answer::redirect(307, &target)]);
            store.reply("GET", "/signed", reply);
        } else {
            server.reply("GET", &path, reply);
        }
        let remote = remote(&server).await;
        for _ in 0..2 {
            let (ranged, received, error) = read(&remote, &blob, 100..200).await.unwrap();
            assert!(!ranged && error.is_none(), "{status}: {error:?}");
            assert_eq!(received, bytes, "{status}");
        }
        // The second time it is known.
        assert_eq!(server.count("GET", &path), 3, "{status}");
    }
}

#[tokio::test]
async fn a_range_that_is_cut_short_says_how_far_it_goes() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(300_000);
    let blob = descriptor(&bytes);
    let served = bytes.clone();
    server.reply("GET", &blob_path(&blob), move |request| {
        let first: usize =
            request.header("range").unwrap()[6..].split('-').next().unwrap().parse().unwrap();
        // The last one is too little to go on with.
        let length = if first < 200_000 { 70_000 } else { 10 };
        let part = served[first..first + length].to_vec();
        let range = format!("bytes {first}-{}/{}", first + length - 1, served.len());
        Answer::status(206).header("content-range", range).body(part)
    });
    let remote = remote(&server).await;
    let stream = remote.blob(&blob, 100_000..250_000).await.unwrap();
    assert_eq!((stream.ranged, stream.part.clone()), (true, 100_000..170_000));
    let (received, error) = drain(stream).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(received, bytes[100_000..170_000]);
    let (_, _, error) = read(&remote, &blob, 200_000..250_000).await.unwrap();
    assert_eq!(error.unwrap().recovery(), RETRY);
}

#[tokio::test]
async fn a_blob_is_there_or_not_or_nobody_says() {
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(b"config");
    let path = blob_path(&blob);
    for (answer, expected) in [
        (Answer::status(200).body("config"), Some(Some(6))),
        (Answer::status(200).body("config").chunked(), Some(None)),
        (Answer::status(404), None),
        (Answer::status(400), None),
        (Answer::status(403), None),
        (Answer::status(405), None),
        (Answer::status(500), None),
        (Answer::status(501), None),
    ] {
        server.on("HEAD", &path, [answer]);
        let found = remote(&server).await.blob_presence(&blob.digest).await.unwrap();
        assert_eq!(found.map(|found| found.size), expected);
    }
    for status in [401, 429, 502, 503] {
        server.on("HEAD", &path, [Answer::status(status)]);
        assert!(remote(&server).await.blob_presence(&blob.digest).await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_body_that_goes_wrong_ends_with_an_error() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(100_000);
    let blob = descriptor(&bytes);
    let whole = Answer::status(200).body(bytes.clone());
    for (name, answer, received, expected, recovery) in [
        ("cut", whole.clone().cut_after(40_000), 40_000, "unexpected EOF", RETRY),
        ("stalled", whole.clone().stall_after(40_000), 40_000, "too little data for 100 ms", RETRY),
        (
            "short",
            Answer::status(200).body(bytes[..5000].to_vec()).chunked(),
            5000,
            "received 5000 bytes of 100000",
            RETRY,
        ),
        (
            "long",
            Answer::status(200).body(content(100_001)).chunked(),
            100_000,
            "larger than 100000 bytes",
            Recovery::NextEndpoint,
        ),
        (
            "endless",
            Answer::status(200).body(vec![0; 30_000]).endless(),
            100_000,
            "larger than 100000 bytes",
            Recovery::NextEndpoint,
        ),
    ] {
        server.on("GET", &blob_path(&blob), [answer]);
        let settings = if name == "stalled" { impatient() } else { config() };
        let client = Client::new(settings).unwrap();
        let remote = remote_of(&client, &server, &ann()).await;
        let (_, got, error) = read(&remote, &blob, 0..100_000).await.unwrap();
        let error = error.expect(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert_eq!(error.recovery(), recovery, "{name}");
        assert!(got.len() <= received, "{name}: {}", got.len());
    }
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_ended() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(100_000);
    let blob = descriptor(&bytes);
    let served = bytes.clone();
    server.reply("GET", &blob_path(&blob), move |request| {
        let answer = ranged(&served, request);
        if request.header("range").is_none() { answer.cut_after(60_000) } else { answer }
    });
    let remote = remote(&server).await;
    let (mut received, error) = drain(remote.blob(&blob, 0..100_000).await.unwrap()).await;
    assert_eq!(error.unwrap().recovery(), RETRY);
    assert!(!received.is_empty());
    let offset = received.len() as u64;
    let (_, rest, error) = read(&remote, &blob, offset..100_000).await.unwrap();
    assert!(error.is_none(), "{error:?}");
    received.extend(rest);
    assert_eq!(received, bytes);
}

#[tokio::test]
async fn credentials_stay_at_home_after_a_redirect() {
    let store = Scripted::start().await.unwrap();
    let server = Scripted::start().await.unwrap();
    let (challenge, value) = test_support::scripted::challenge_basic();
    server.on("GET", "/v2/", [Answer::status(401).header(challenge, value)]);
    let bytes = content(1000);
    let blob = descriptor(&bytes);
    let target = format!("{}/store/x?X-Signature=abc", store.url());
    server.on("GET", &blob_path(&blob), [Answer::redirect(307, "/inner?x=1")]).on(
        "GET",
        "/inner",
        [Answer::redirect(302, &target)],
    );
    let served = bytes.clone();
    store.reply("GET", "/store/x", move |request| ranged(&served, request));

    let remote = remote_of(&client(), &server, &ann()).await;
    let (ranged, received, error) = read(&remote, &blob, 10..20).await.unwrap();
    assert!(ranged && error.is_none());
    assert_eq!(received, bytes[10..20]);

    let at_home = server.received();
    assert_eq!(at_home[1].header("authorization"), Some(ANN), "the registry itself");
    assert_eq!(at_home[2].header("authorization"), Some(ANN), "the same host");
    let away = &store.received()[0];
    assert_eq!(away.header("authorization"), None);
    assert_eq!(away.header("range"), Some("bytes=10-19"));
}

#[tokio::test]
async fn a_host_that_sends_us_back_gets_no_credentials_used() {
    let store = Scripted::start().await.unwrap();
    let server = Scripted::start().await.unwrap();
    let (challenge, value) = test_support::scripted::challenge_basic();
    server.on("GET", "/v2/", [Answer::status(401).header(challenge, value)]);
    let blob = descriptor(b"x");
    server.on("GET", &blob_path(&blob), [Answer::redirect(307, &format!("{}/a", store.url()))]);
    store.on("GET", "/a", [Answer::redirect(307, &format!("{}/secret", server.url()))]);
    server.on("GET", "/secret", [Answer::status(200).body("x")]);
    let remote = remote_of(&client(), &server, &ann()).await;
    read(&remote, &blob, 0..1).await.unwrap();
    let last = server.received().pop().unwrap();
    assert_eq!((last.path(), last.header("authorization")), ("/secret", None));
}

#[tokio::test]
async fn redirects_end() {
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(b"x");
    let path = blob_path(&blob);
    server.on("GET", &path, [Answer::redirect(307, &path)]);
    let error = read(&remote(&server).await, &blob, 0..1).await.unwrap_err();
    assert!(error.to_string().ends_with("stopped after 10 redirects"), "{error}");
    assert_eq!(server.count("GET", &path), 11);
    assert_eq!(error.recovery(), Recovery::Fail);

    for location in ["file:///etc/passwd", "http://[", "ftp://x/"] {
        server.on("GET", &path, [Answer::redirect(307, location)]);
        let error = read(&remote(&server).await, &blob, 0..1).await.unwrap_err();
        assert!(error.to_string().contains("`Location`"), "{location}: {error}");
    }
    // A redirect to nowhere is an answer like another.
    server.on("GET", &path, [Answer::status(307)]);
    let error = read(&remote(&server).await, &blob, 0..1).await.unwrap_err();
    assert!(error.to_string().ends_with("received unexpected HTTP status: 307 Temporary Redirect"));
}

#[tokio::test]
async fn signatures_are_not_in_messages() {
    let store = Scripted::start().await.unwrap();
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(&content(100));
    let target = format!("{}/x?X-Signature=s3cret", store.url());
    server.on("GET", &blob_path(&blob), [Answer::redirect(307, &target)]);
    store.on("GET", "/x", [Answer::status(200).body(content(100)).cut_after(10)]);
    let (_, _, error) = read(&remote(&server).await, &blob, 0..100).await.unwrap();
    let error = error.unwrap().to_string();
    assert!(error.contains("X-Signature=REDACTED") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn small_blobs_are_checked() {
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(b"config");
    let path = blob_path(&blob);
    for (name, answer, expected) in [
        ("good", Answer::status(200).body("config"), "config"),
        (
            "another",
            Answer::status(200).body("confiG"),
            "blob verification failed for digest sha256:",
        ),
        ("longer", Answer::status(200).body("config "), "blob verification failed"),
        ("too long", Answer::status(200).body(vec![0; 101]), "larger than 100 bytes"),
        ("endless", Answer::status(200).body("config").endless(), "larger than 100 bytes"),
        (
            "missing",
            Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            "blob unknown: blob",
        ),
    ] {
        server.on("GET", &path, [answer]);
        let shown = match remote(&server).await.blob_bytes(&blob, 100).await {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Err(error) => error.to_string(),
        };
        assert!(shown.contains(expected), "{name}: {shown}");
    }
    // What says of itself that it is too large is not asked for.
    server.forget();
    let error = remote(&server).await.blob_bytes(&blob, 5).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { limit: 5, .. }), "{error}");
    assert_eq!(server.count("GET", &path), 0);
    // Right bytes, wrong size in the descriptor.
    server.on("GET", &path, [Answer::status(200).body("config")]);
    let wrong = Descriptor { size: 7, ..blob };
    let error = remote(&server).await.blob_bytes(&wrong, 100).await.unwrap_err();
    assert!(matches!(error, RegistryError::SizeMismatch { expected: 7, actual: 6, .. }), "{error}");
}

#[tokio::test]
async fn blobs_have_the_tries_that_dockerd_makes() {
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(b"config");
    let path = blob_path(&blob);
    let limited = Answer::error(429, "TOOMANYREQUESTS", "enough");
    for (name, bad, tries) in [
        ("500", Answer::status(500), 5),
        ("cut", Answer::status(200).body("config").cut_after(3), 5),
        ("limited", limited.clone(), 1),
        ("limited for a while", limited.header("retry-after", "0"), 5),
        ("missing", Answer::status(404), 1),
        ("late", Answer::status(408), 1),
    ] {
        server.forget();
        server.on("GET", &path, [bad.clone()]);
        assert!(remote(&server).await.blob_bytes(&blob, 100).await.is_err(), "{name}");
        assert_eq!(server.count("GET", &path), tries, "{name}");
        // The tries of a stream are its reader's.
        server.forget();
        if let Ok(stream) = remote(&server).await.blob(&blob, 0..6).await {
            assert!(drain(stream).await.1.is_some(), "{name}");
        }
        assert_eq!(server.count("GET", &path), 1, "{name}");
    }
}

#[tokio::test]
async fn sizes_are_asked_for_by_head() {
    let server = Scripted::start().await.unwrap();
    let blob = descriptor(b"config");
    let path = blob_path(&blob);
    server.on("HEAD", &path, [Answer::status(200).body("config")]);
    assert_eq!(remote(&server).await.blob_size(&blob.digest).await.unwrap(), Some(6));
    server.on("HEAD", &path, [Answer::status(404)]);
    assert_eq!(remote(&server).await.blob_size(&blob.digest).await.unwrap(), None);
    server.on("HEAD", &path, [Answer::status(403)]);
    let error = remote(&server).await.blob_size(&blob.digest).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
}

#[tokio::test]
async fn a_connection_lost_before_a_blob_begins_is_replaced() {
    let server = Scripted::start().await.unwrap();
    let bytes = content(1000);
    let blob = descriptor(&bytes);
    let path = blob_path(&blob);
    let good = Answer::status(200).body(bytes.clone());
    server.on("GET", &path, [Answer::hang_up(), good]);
    let (_, received, _) = read(&remote(&server).await, &blob, 0..1000).await.unwrap();
    assert_eq!(received, bytes);
    assert_eq!(server.count("GET", &path), 2);
}

#[tokio::test]
async fn who_is_refused_while_another_is_served_waits_for_it() {
    let bytes = content(200_000);
    let blob = descriptor(&bytes);
    let path = blob_path(&blob);
    for (refusal, refused) in [
        (Answer::status(503), 1),
        (Answer::error(429, "TOOMANYREQUESTS", "one at a time"), 1),
        (Answer::status(429).header("retry-after", "0"), 1),
        // A connection that is lost is made anew once, before it counts.
        (Answer::hang_up(), 2),
    ] {
        let server = Scripted::start().await.unwrap();
        let busy = Arc::new(AtomicBool::new(false));
        let (serving, all) = (Arc::clone(&busy), bytes.clone());
        server.reply("GET", &path, move |asked| {
            if serving.swap(true, Ordering::Relaxed) {
                return refusal.clone();
            }
            let start = if asked.header("range") == Some("bytes=0-99999") { 0 } else { 100_000 };
            let named = format!("bytes {start}-{}/200000", start + 99_999);
            let body = all[start..start + 100_000].to_vec();
            Answer::status(206).header("content-range", named).body(body)
        });
        let remote = remote(&server).await;
        let served = remote.blob(&blob, 0..100_000).await.unwrap();
        let (asking, wanted) = (remote.clone(), blob.clone());
        let waiting = tokio::spawn(async move { asking.blob(&wanted, 100_000..200_000).await });
        while server.count("GET", &path) < 1 + refused {
            tokio::task::yield_now().await;
        }
        let (first, _) = drain(served).await;
        busy.store(false, Ordering::Relaxed);
        let (rest, error) = drain(waiting.await.unwrap().unwrap()).await;
        assert!(error.is_none() && [first, rest].concat() == bytes, "{error:?}");
        assert_eq!(server.count("GET", &path), 2 + refused);
        // Nobody else is served now.
        busy.store(true, Ordering::Relaxed);
        remote.blob(&blob, 0..100_000).await.unwrap_err();
    }
}

/// It would keep them from each other, and itself from its error, as long as there are any.
#[tokio::test]
async fn who_is_always_refused_does_not_wait_for_all_others() {
    let server = Scripted::start().await.unwrap();
    let (good, bad) = (content(1000), content(2000));
    let (good_blob, bad_blob) = (descriptor(&good), descriptor(&bad));
    let path = blob_path(&bad_blob);
    server.reply("GET", &blob_path(&good_blob), move |_| Answer::status(200).body(good.clone()));
    server.reply("GET", &path, |_| Answer::status(503));
    let remote = remote(&server).await;
    let mut served = Vec::new();
    for _ in 0..100 {
        served.push(remote.blob(&good_blob, 0..1000).await.unwrap());
    }
    let (asking, wanted) = (remote.clone(), bad_blob.clone());
    let refused = tokio::spawn(async move { asking.blob(&wanted, 0..2000).await });
    while !refused.is_finished() {
        served.pop();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    refused.await.unwrap().unwrap_err();
    assert_eq!((server.count("GET", &path), served.is_empty()), (4, false));
}

//! Registries that do things in their own way, which is no reason to give up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use spec::Digest;
use test_support::image::{Compression, Image, Layer};
use test_support::scripted::{Answer, Received, Scripted};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;
use tokio::runtime::Runtime;

use super::support::{Home, assert_holds_only, noise};

/// More than one range of a download, and than one part of an upload.
const SIZE: usize = 10 << 20;
/// The bytes that a registry that takes or gives little takes or gives at once.
const LITTLE: usize = 1 << 20;

fn image() -> Image {
    let entry = Entry::file("noise", noise(3, SIZE));
    Image::builder().layer(Layer::new(Compression::Gzip, &[entry])).build()
}

/// A data root with an image, and the name that it was pulled by.
fn pulled() -> (Home, String, Image) {
    let (source, image) = (LocalRegistry::start().unwrap(), image());
    image.push(&source.client(), "app", "1").unwrap();
    let home = Home::new();
    let pulled = format!("{}/app:1", source.address());
    home.run(&["pull", "-q", &pulled]).success();
    (home, pulled, image)
}

/// Serves an image; ranges of blobs are answered by `ranged`, of content and first byte.
fn serve(server: &Scripted, image: &Image, ranged: fn(&Bytes, usize) -> Answer) {
    let manifest = Answer::default()
        .header("content-type", image.manifest.media_type.as_str())
        .header("docker-content-digest", image.manifest.digest.to_string())
        .body(image.manifest.read().unwrap());
    for target in ["1".to_owned(), image.manifest.digest.to_string()] {
        for method in ["HEAD", "GET"] {
            server.on(method, &format!("/v2/app/manifests/{target}"), [manifest.clone()]);
        }
    }
    for blob in image.blobs() {
        let content = Bytes::from(blob.read().unwrap());
        server.reply("GET", &format!("/v2/app/blobs/{}", blob.digest), move |request| {
            let Some(range) = request.header("range") else {
                return Answer::default().body(content.clone());
            };
            let first = range.trim_start_matches("bytes=").split('-').next().unwrap();
            ranged(&content, first.parse().unwrap())
        });
    }
}

#[test]
fn ranges_that_are_cut_or_refused_hold_up_no_pull() {
    let runtime = Runtime::new().unwrap();
    let image = image();
    let cut: fn(&Bytes, usize) -> Answer = |content, first| {
        let part = content.slice(first..content.len().min(first + LITTLE));
        let range = format!("bytes {first}-{}/{}", first + part.len() - 1, content.len());
        Answer::status(206).header("content-range", range).body(part)
    };
    let refused: fn(&Bytes, usize) -> Answer = |_, _| Answer::status(416);
    // Twice a part, and then no more.
    let fickle: fn(&Bytes, usize) -> Answer = |content, first| match first {
        0 => {
            let part = content.slice(..8 << 20);
            let range = format!("bytes 0-{}/{}", part.len() - 1, content.len());
            Answer::status(206).header("content-range", range).body(part)
        }
        _ => Answer::status(403),
    };
    let ignored: fn(&Bytes, usize) -> Answer = |content, _| Answer::default().body(content.clone());
    // With how often the layer is asked for, where it comes whole: once, and once before in vain.
    for (name, ranged, requests) in [
        ("cut", cut, None),
        ("refused", refused, Some(2)),
        ("fickle", fickle, None),
        ("ignored", ignored, Some(1)),
    ] {
        let server = runtime.block_on(Scripted::start()).unwrap();
        serve(&server, &image, ranged);
        let home = Home::new();
        let output = home.run(&["pull", &format!("{}/app:1", server.host())]).success();
        // Nothing has failed, so that nothing is waited for.
        assert!(!output.contains("Retrying"), "{name}: {output}");
        assert_holds_only(&home.data_root(), &image);
        let layer = image.blobs().next().unwrap();
        let asked = server.count("GET", &format!("/v2/app/blobs/{}", layer.digest));
        assert!(requests.is_none_or(|requests| requests == asked), "{name}: {asked}");
    }
}

/// A registry that takes little at once, does not say what it has, and has a bad day at first.
#[derive(Default)]
struct Grudging {
    uploads: Mutex<HashMap<String, Vec<u8>>>,
    stored: Mutex<Vec<Digest>>,
    patches: Mutex<usize>,
}

impl Grudging {
    fn begin(&self) -> Answer {
        let mut uploads = self.uploads.lock().unwrap();
        let place = format!("/v2/app/blobs/uploads/{}", uploads.len());
        uploads.insert(place.clone(), Vec::new());
        Answer::status(202).header("location", place)
    }

    fn patch(&self, request: &Received) -> Answer {
        let mut patches = self.patches.lock().unwrap();
        *patches += 1;
        if *patches == 1 {
            return Answer::status(500);
        }
        if request.body.len() > LITTLE {
            return Answer::status(413).body("<html>");
        }
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get_mut(request.path()).unwrap();
        upload.extend_from_slice(&request.body);
        Answer::status(204).header("range", format!("0-{}", upload.len() - 1))
    }

    fn status(&self, place: &str) -> Answer {
        let length = self.uploads.lock().unwrap()[place].len();
        Answer::status(204).header("location", place).header("range", format!("0-{}", length - 1))
    }

    fn put(&self, request: &Received) -> Answer {
        let upload = self.uploads.lock().unwrap().remove(request.path()).unwrap();
        let digest = Digest::sha256(&upload);
        let wanted = digest.to_string().replace(':', "%3A");
        if !request.query().ends_with(&wanted) {
            return Answer::error(400, "DIGEST_INVALID", "digest invalid");
        }
        self.stored.lock().unwrap().push(digest);
        Answer::status(200)
    }
}

#[test]
fn a_registry_that_takes_little_and_says_little_is_pushed_to() {
    let (home, pulled, image) = pulled();

    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let registry = Arc::new(Grudging::default());
    let [begin, patch, put] = [(); 3].map(|()| Arc::clone(&registry));
    for blob in image.blobs() {
        server.on("HEAD", &format!("/v2/app/blobs/{}", blob.digest), [Answer::status(405)]);
    }
    server
        .reply("POST", "/v2/app/blobs/uploads/", move |_| begin.begin())
        .reply("PATCH", "/v2/app/blobs/uploads/*", move |request| patch.patch(request))
        .reply("PUT", "/v2/app/blobs/uploads/*", move |request| put.put(request))
        .on("PUT", "/v2/app/manifests/1", [Answer::status(204)]);
    let name = format!("{}/app:1", server.host());
    home.run(&["tag", &pulled, &name]).success();
    home.run(&["push", "-q", &name]).success();
    let mut stored = registry.stored.lock().unwrap().clone();
    let mut sent: Vec<Digest> = image.blobs().map(|blob| blob.digest.clone()).collect();
    stored.sort();
    sent.sort();
    assert_eq!(stored, sent);
}

#[test]
fn an_upload_that_goes_wrong_after_it_was_resumed_starts_anew_whatever_failed_before() {
    let (home, pulled, _) = pulled();

    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let registry = Arc::new(Grudging::default());
    let [begin, patch, put, status] = [(); 4].map(|()| Arc::clone(&registry));
    let place = "/v2/app/blobs/uploads/0";
    server
        .reply("POST", "/v2/app/blobs/uploads/", move |_| begin.begin())
        .on("PATCH", place, [Answer::error(403, "DENIED", "not now")])
        .on("PUT", "/v2/app/manifests/1", [Answer::status(204)]);
    let name = format!("{}/app:1", server.host());
    home.run(&["tag", &pulled, &name]).success();
    home.run(&["push", "-q", &name]).failure();

    // Not what was sent: the registry finds out at the end, and has a bad moment before.
    let wrong = vec![0; SIZE / 2];
    registry.uploads.lock().unwrap().insert(place.to_owned(), wrong);
    server
        .reply("GET", place, move |_| status.status(place))
        .reply("PATCH", "/v2/app/blobs/uploads/*", move |request| patch.patch(request))
        .reply("PUT", "/v2/app/blobs/uploads/*", move |request| put.put(request));
    home.run(&["push", "-q", &name]).success();
    assert!(server.count("GET", place) >= 1, "{:?}", server.lines());
    assert_eq!(registry.stored.lock().unwrap().len(), 2);
}

#[test]
fn a_push_that_always_breaks_off_goes_on_in_small_parts() {
    let (home, pulled, _) = pulled();

    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let registry = Arc::new(Grudging::default());
    // It has had its bad moment.
    *registry.patches.lock().unwrap() = 1;
    let [begin, patch, put] = [(); 3].map(|()| Arc::clone(&registry));
    server
        .reply("POST", "/v2/app/blobs/uploads/", move |_| begin.begin())
        .reply("PATCH", "/v2/app/blobs/uploads/*", move |request| {
            if request.body.len() > LITTLE {
                Answer::status(502).header("retry-after", "0")
            } else {
                patch.patch(request)
            }
        })
        .reply("PUT", "/v2/app/blobs/uploads/*", move |request| put.put(request))
        .on("PUT", "/v2/app/manifests/1", [Answer::status(204)]);
    let name = format!("{}/app:1", server.host());
    home.run(&["tag", &pulled, &name]).success();
    home.run(&["push", "-q", &name]).success();
    assert_eq!(registry.stored.lock().unwrap().len(), 2);
}

#[test]
fn what_a_registry_mounts_and_does_not_tell_of_is_uploaded() {
    let runtime = Runtime::new().unwrap();
    let (server, image) = (runtime.block_on(Scripted::start()).unwrap(), image());
    serve(&server, &image, |_, _| Answer::status(416));
    let home = Home::new();
    let pulled = format!("{}/app:1", server.host());
    home.run(&["pull", "-q", &pulled]).success();
    // As where dockerd pulled it: the layer and where it is are known, the blobs are not here.
    std::fs::remove_dir_all(home.data_root().join("longshore/content")).unwrap();

    let registry = Arc::new(Grudging::default());
    let [begin, patch, put] = [(); 3].map(|()| Arc::clone(&registry));
    server
        .reply("POST", "/v2/other/blobs/uploads/", move |request| {
            if request.query().contains("mount=") { Answer::status(201) } else { begin.begin() }
        })
        .reply("PATCH", "/v2/app/blobs/uploads/*", move |request| patch.patch(request))
        .reply("PUT", "/v2/app/blobs/uploads/*", move |request| put.put(request))
        .on("PUT", "/v2/other/manifests/1", [Answer::status(201)]);
    let name = format!("{}/other:1", server.host());
    home.run(&["tag", &pulled, &name]).success();
    home.run(&["push", "-q", &name]).success();
    assert!(server.lines().iter().any(|line| line.contains("mount=")), "{:?}", server.lines());
    assert_eq!(registry.stored.lock().unwrap().len(), 2, "{:?}", server.lines());
}

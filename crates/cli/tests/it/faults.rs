//! Registries that fail in every way, and what a user is told.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use bytes::Bytes;
use spec::Digest;
use test_support::image::{Blob, Image};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::LocalRegistry;
use tokio::runtime::Runtime;

use super::support::{
    Bench, Done, Front, Home, assert_holds_only, files_below, is_root, small_image,
};

/// A registry with one image, before a fault is put into it.
struct Faulty {
    // Dropped before the runtime that serves it.
    server: Scripted,
    _runtime: Runtime,
    image: Image,
    home: Home,
}

fn bytes(blob: &Blob) -> Bytes {
    blob.read().unwrap().into()
}

fn whole(blob: &Blob) -> Answer {
    Answer::default()
        .header("Content-Type", blob.media_type.as_str())
        .header("Docker-Content-Digest", blob.digest.to_string())
        .body(bytes(blob))
}

impl Faulty {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Scripted::start()).unwrap();
        let image = small_image(7);
        let faulty = Self { server, _runtime: runtime, image, home: Home::new() };
        let manifest = &faulty.image.manifest;
        for target in ["1".to_owned(), manifest.digest.to_string()] {
            for method in ["HEAD", "GET"] {
                faulty.server.on(method, &format!("/v2/app/manifests/{target}"), [whole(manifest)]);
            }
        }
        for blob in faulty.image.blobs() {
            let content = bytes(blob);
            faulty.server.reply("GET", &path(&blob.digest), move |request| {
                let Some(range) = request.header("range") else {
                    return Answer::default().body(content.clone());
                };
                let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let start: usize = start.parse().unwrap();
                let end = end.parse().map_or(content.len(), |end: usize| end + 1);
                let total = content.len();
                Answer::status(206)
                    .header("Content-Range", format!("bytes {start}-{}/{total}", end - 1))
                    .body(content.slice(start..end))
            });
        }
        faulty
    }

    /// The top layer.
    fn layer(&self) -> &Blob {
        &self.image.layers[1].blob
    }

    /// Answers the first requests for the top layer so, and the ones after as it should be.
    fn first(&self, answers: Vec<Answer>) {
        let content = bytes(self.layer());
        let mut answers = answers.into_iter();
        self.server.reply("GET", &path(&self.layer().digest), move |request| {
            if let Some(answer) = answers.next() {
                return answer;
            }
            match request.header("range") {
                None => Answer::default().body(content.clone()),
                Some(range) => {
                    let start = range.trim_start_matches("bytes=").split('-').next().unwrap();
                    let start: usize = start.parse().unwrap();
                    let last = content.len() - 1;
                    Answer::status(206)
                        .header("Content-Range", format!("bytes {start}-{last}/{}", last + 1))
                        .body(content.slice(start..))
                }
            }
        });
    }

    fn pull(&self) -> Done {
        self.home.run(&["pull", &format!("{}/app:1", self.server.host())])
    }

    /// Insists that a pull succeeds all the same.
    #[track_caller]
    fn recovers(&self) {
        self.pull().success();
        assert_holds_only(&self.home.data_root(), &self.image);
    }

    /// Insists that a pull fails with this in its message, and that nothing of it is seen.
    #[track_caller]
    fn fails(&self, part: &str) {
        let error = self.pull().failure();
        assert!(error.contains(part), "{error}");
        assert_eq!(self.home.run(&["images", "-aq"]).success(), "");
        let blobs = files_below(&self.home.data_root().join("longshore/content/blobs"));
        assert!(!blobs.contains(&format!("sha256/{}", self.layer().digest.hex())));
    }
}

fn path(digest: &Digest) -> String {
    format!("/v2/app/blobs/{digest}")
}

#[test]
fn a_cut_connection_is_resumed() {
    let faulty = Faulty::new();
    faulty.first(vec![Answer::default().body(bytes(faulty.layer())).cut_after(9000)]);
    faulty.recovers();
    let ranges: Vec<String> = faulty
        .server
        .received()
        .iter()
        .filter(|request| request.path() == path(&faulty.layer().digest))
        .filter_map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert!(!ranges.is_empty(), "the second request asks for the rest");
}

#[test]
fn busy_and_broken_registries_are_tried_again() {
    for status in [429, 500, 502, 503, 504] {
        let faulty = Faulty::new();
        let refusal = Answer::error(status, "TOOMANYREQUESTS", "later").header("Retry-After", "0");
        faulty.first(vec![refusal.clone(), refusal]);
        faulty.recovers();
    }
}

#[test]
fn a_layer_of_which_too_much_is_asked_is_given_up() {
    let faulty = Faulty::new();
    // More than are asked within a moment; after them it would come.
    faulty.first(vec![Answer::error(429, "TOOMANYREQUESTS", "enough"); 8]);
    faulty.fails("toomanyrequests: enough");
}

#[test]
fn a_server_that_gets_ranges_wrong_is_asked_for_the_whole() {
    let faulty = Faulty::new();
    let content = bytes(faulty.layer());
    let mut first = true;
    faulty.server.reply("GET", &path(&faulty.layer().digest), move |request| {
        let whole = Answer::default().body(content.clone());
        match request.header("range") {
            None if std::mem::take(&mut first) => whole.cut_after(9000),
            None => whole,
            Some(_) => Answer::status(206).body(content.clone()),
        }
    });
    faulty.recovers();
}

#[test]
fn a_pull_that_others_joined_goes_on_without_the_one_that_began_it() {
    let faulty = Faulty::new();
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("daemon.json");
    std::fs::write(&config, r#"{"stall-timeout": 1}"#).unwrap();
    faulty.first(vec![Answer::default().body(bytes(faulty.layer())).stall_after(9000)]);
    let bench = Bench::new(Front::Longshore, &["--config-file", config.to_str().unwrap()]);
    let name = format!("{}/app:1", faulty.server.host());
    let begin = || {
        let mut pull = bench.command();
        let mut pull = pull.args(["pull", &name]).stdout(Stdio::piped()).spawn().unwrap();
        // Both wait for the layer when they have said that they will fetch it.
        let mut lines = BufReader::new(pull.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("Pulling fs layer")));
        (pull, lines)
    };
    let (mut first, _) = begin();
    let (mut second, mut output) = begin();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(output.any(|line| line.starts_with("Status: ")));
    assert!(second.wait().unwrap().success());
    bench.run(&["inspect", &name]).success();
}

#[test]
fn layers_whose_files_are_gone_are_made_anew() {
    let faulty = Faulty::new();
    faulty.recovers();
    let root = faulty.home.data_root();
    if !is_root() {
        println!("skipped: needs root for the overlay2 driver");
        return;
    }
    let clean = files_below(&root.join("overlay2")).len();
    for entry in std::fs::read_dir(root.join("overlay2")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "l" {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    faulty.pull().success();
    let back = files_below(&root.join("overlay2"));
    let links = |name: &&String| name.starts_with("l/");
    assert_eq!(
        back.iter().filter(|name| !links(name)).count(),
        clean - faulty.image.layers.len(),
        "all but the links, of which the old ones lead nowhere"
    );
    faulty.home.run(&["inspect", &format!("{}/app:1", faulty.server.host())]).success();
}

#[test]
fn a_damaged_blob_is_made_anew_for_a_push() {
    if !is_root() {
        println!("skipped: needs root for the overlay2 driver, which can rebuild a layer");
        return;
    }
    let faulty = Faulty::new();
    faulty.recovers();
    let hex = faulty.layer().digest.hex();
    let blob = faulty.home.data_root().join("longshore/content/blobs/sha256").join(hex);
    let mut damaged = std::fs::read(&blob).unwrap();
    damaged[5000] ^= 1;
    std::fs::write(&blob, damaged).unwrap();

    let target = LocalRegistry::start().unwrap();
    let copy = format!("{}/copy:1", target.address());
    faulty.home.run(&["tag", &format!("{}/app:1", faulty.server.host()), &copy]).success();
    faulty.home.run(&["push", &copy]).success();
    let other = Home::new();
    other.run(&["pull", &copy]).success();
    let ids = other.run(&["images", "-q", "--no-trunc"]).success();
    assert_eq!(ids.trim(), faulty.image.id().to_string());
}

#[test]
fn the_config_is_fetched_beside_the_layers() {
    let faulty = Faulty::new();
    let config = &faulty.image.config;
    let late = whole(config).after(&path(&faulty.layer().digest));
    faulty.server.on("GET", &path(&config.digest), [late]);
    faulty.recovers();
    for blob in faulty.image.blobs() {
        assert_eq!(faulty.server.count("GET", &path(&blob.digest)), 1, "{}", blob.digest);
    }

    // What is known from an earlier pull is not asked for again, kept or not.
    faulty.server.forget();
    faulty.pull().success();
    assert_eq!(faulty.server.lines(), ["GET /v2/", "HEAD /v2/app/manifests/1"]);
}

#[test]
fn downloads_that_began_in_vain_leave_nothing() {
    let faulty = Faulty::new();
    let wrong = small_image(8);
    // The layers of one image, the config of another.
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": wrong.config.size,
            "digest": wrong.config.digest.to_string(),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": faulty.layer().size,
            "digest": faulty.layer().digest.to_string(),
        }],
    });
    let bytes = Bytes::from(manifest.to_string());
    let digest = Digest::sha256(&bytes);
    let answer = Answer::default()
        .header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        .header("Docker-Content-Digest", digest.to_string())
        .body(bytes);
    for target in ["1".to_owned(), digest.to_string()] {
        faulty.server.on("HEAD", &format!("/v2/app/manifests/{target}"), [answer.clone()]);
        faulty.server.on("GET", &format!("/v2/app/manifests/{target}"), [answer.clone()]);
    }
    let late = whole(&wrong.config).after(&path(&faulty.layer().digest));
    faulty.server.on("GET", &path(&wrong.config.digest), [late]);
    faulty.fails("layers from manifest don't match image configuration");
    let own = faulty.home.data_root().join("longshore");
    assert_eq!(files_below(&own.join("ingest")), [""; 0]);
}

#[test]
fn a_wait_that_a_registry_asks_for_is_told_and_kept() {
    let faulty = Faulty::new();
    let busy = Answer::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "1");
    let found = whole(&faulty.image.manifest);
    faulty.server.on("HEAD", "/v2/app/manifests/1", [busy, found]);
    let done = faulty.pull();
    let host = faulty.server.host();
    let note = format!("{host} asks to wait 1 second (429 Too Many Requests)\n");
    assert_eq!(done.stderr, note);
    assert!(!done.stdout.contains("wait"), "{}", done.stdout);
    done.success();

    // Hours are not waited for.
    let limited = Answer::error(429, "TOOMANYREQUESTS", "enough").header("Retry-After", "7200");
    faulty.server.on("HEAD", "/v2/app/manifests/1", [limited.clone()]);
    faulty.server.on("GET", "/v2/app/manifests/1", [limited]);
    let error = faulty.pull().failure();
    assert!(error.contains("toomanyrequests: enough (Retry-After: 7200 s"), "{error}");
}

#[test]
fn a_hang_up_is_tried_again() {
    let faulty = Faulty::new();
    faulty
        .first(vec![Answer::hang_up(), Answer::default().body(bytes(faulty.layer())).cut_after(1)]);
    faulty.recovers();
}

#[test]
fn a_stalled_body_is_given_up_and_resumed() {
    let faulty = Faulty::new();
    let config = faulty.home.path().join("daemon.json");
    std::fs::write(&config, r#"{"stall-timeout": 1}"#).unwrap();
    faulty.first(vec![Answer::default().body(bytes(faulty.layer())).stall_after(9000)]);
    let name = format!("{}/app:1", faulty.server.host());
    let config = config.display().to_string();
    faulty.home.run(&["--config-file", &config, "pull", &name]).success();
    assert_holds_only(&faulty.home.data_root(), &faulty.image);
    assert_eq!(faulty.server.count("GET", &path(&faulty.layer().digest)), 2);
}

/// A connection for each byte, by a break or by a range that is cut, is no progress.
#[test]
fn a_layer_that_comes_byte_by_byte_is_given_up() {
    for is_cut in [true, false] {
        let faulty = Faulty::new();
        let config = faulty.home.path().join("daemon.json");
        std::fs::write(&config, r#"{"max-download-attempts": 2}"#).unwrap();
        let content = bytes(faulty.layer());
        faulty.server.reply("GET", &path(&faulty.layer().digest), move |request| {
            let range = request.header("range").unwrap_or("bytes=0-");
            let start = range.trim_start_matches("bytes=").split('-').next().unwrap();
            let start: usize = start.parse().unwrap();
            let total = content.len();
            let last = if is_cut { start } else { total - 1 };
            let answer = Answer::status(206)
                .header("Content-Range", format!("bytes {start}-{last}/{total}"))
                .body(content.slice(start..=last));
            if is_cut { answer } else { answer.cut_after(1) }
        });
        let name = format!("{}/app:1", faulty.server.host());
        let config = config.display().to_string();
        faulty.home.run(&["--config-file", &config, "pull", &name]).failure();
        assert!(faulty.server.count("GET", &path(&faulty.layer().digest)) <= 4, "{is_cut}");
    }
}

#[test]
fn wrong_bytes_once_are_fetched_again() {
    let faulty = Faulty::new();
    let mut wrong = bytes(faulty.layer()).to_vec();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    faulty.first(vec![Answer::default().body(wrong)]);
    faulty.recovers();
}

#[test]
fn wrong_bytes_for_ever_are_an_error() {
    let faulty = Faulty::new();
    let wrong = bytes(&faulty.image.layers[0].blob);
    let size = usize::try_from(faulty.layer().size).unwrap();
    let wrong: Vec<u8> = wrong.iter().copied().cycle().take(size).collect();
    faulty.server.on("GET", &path(&faulty.layer().digest), [Answer::default().body(wrong)]);
    let digest = faulty.layer().digest.to_string();
    faulty.fails(&format!("filesystem layer verification failed for digest {digest}"));
    faulty.first(Vec::new());
    faulty.recovers();
}

#[test]
fn a_wrong_size_is_an_error() {
    for change in [-1_i64, 1] {
        let faulty = Faulty::new();
        let mut content = bytes(faulty.layer()).to_vec();
        let size = usize::try_from(i64::try_from(content.len()).unwrap() + change).unwrap();
        content.resize(size, 0);
        faulty.server.on("GET", &path(&faulty.layer().digest), [Answer::default().body(content)]);
        faulty.fails(&faulty.layer().digest.to_string());
    }
}

#[test]
fn a_manifest_that_is_not_what_was_asked_for_is_an_error() {
    let faulty = Faulty::new();
    let digest = &faulty.image.manifest.digest;
    let other = whole(&small_image(8).manifest);
    faulty.server.on("GET", &format!("/v2/app/manifests/{digest}"), [other]);
    faulty.fails("digest");
}

#[test]
fn a_blob_that_is_not_there_is_an_error() {
    let faulty = Faulty::new();
    let missing = Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    faulty.server.on("GET", &path(&faulty.layer().digest), [missing]);
    faulty.fails("blob unknown");
}

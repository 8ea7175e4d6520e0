//! A registry that is told what to answer: each request of a pull and of a push in turn, in every wrong way. Both end with
//! success, or with a sentence that names the host, the request and the cause.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use daemon::Daemon;
use engine::{Engine, EngineConfig, Limits};
use registry::RegistryConfig;
use test_support::image::{Blob, Compression, Image, Layer};
use test_support::scripted::{Answer, Scripted, challenge_bearer};
use test_support::tar::Entry;

use crate::fixture::{House, config, info};

/// One of each kind; all others are as one of these.
const STATUSES: [u16; 14] = [200, 201, 204, 206, 302, 304, 400, 401, 403, 404, 416, 429, 500, 503];
/// Those that come with a web page, too.
const PAGES: [u16; 4] = [200, 403, 404, 503];
const PAGE: &str = "<!DOCTYPE html><title>Welcome</title>";

/// The requests of a pull and of a push: a name, the method, and the path below the repository, or the whole of it.
const PULL: [(&str, &str, &str); 6] = [
    ("ping", "GET", "/v2/"),
    ("token", "GET", "/token"),
    ("tag", "HEAD", "manifests/1"),
    ("manifest", "GET", "manifests/*"),
    ("config", "GET", "blobs/CONFIG"),
    ("layer", "GET", "blobs/LAYER"),
];
const PUSH: [(&str, &str, &str); 7] = [
    ("ping", "GET", "/v2/"),
    ("token", "GET", "/token"),
    ("blob", "HEAD", "blobs/*"),
    ("upload", "POST", "blobs/uploads/"),
    ("part", "PATCH", "blobs/uploads/*"),
    ("end", "PUT", "blobs/uploads/*"),
    ("manifest", "PUT", "manifests/1"),
];

/// What succeeds all the same: the answers that are right, or as good as right, and those that nobody has to care for.
const SUCCEED: &str = include_str!("answers.txt");

fn wrong_answers() -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for status in STATUSES {
        answers.push((format!("{status}"), Answer::status(status)));
    }
    for status in PAGES {
        let page = Answer::status(status).header("content-type", "text/html").body(PAGE);
        answers.push((format!("{status}-page"), page));
    }
    answers.push(("cut".to_owned(), Answer::status(200).body(PAGE).cut_after(3)));
    answers.push(("hung-up".to_owned(), Answer::hang_up()));
    answers
}

fn silent_answers() -> Vec<(String, Answer)> {
    vec![
        ("stalled".to_owned(), Answer::status(200).body(PAGE).stall_after(3)),
        ("silent".to_owned(), Answer::silence()),
    ]
}

fn whole(blob: &Blob) -> Answer {
    let bytes: Bytes = blob.read().unwrap().into();
    Answer::default()
        .header("Content-Type", blob.media_type.as_str())
        .header("Docker-Content-Digest", blob.digest.to_string())
        .body(bytes)
}

/// A daemon that makes no pauses, and the registry that it asks.
struct Bench {
    server: Scripted,
    house: House,
    cases: usize,
}

impl Bench {
    async fn open(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let engine = Engine::open(EngineConfig {
            data_root: config.data_root.clone(),
            driver: config.storage_driver,
            keep_blobs: true,
            registry: RegistryConfig {
                stall_timeout: patience,
                response_timeout: patience,
                attempts: 2,
                retry_delay: Duration::from_millis(1),
                ..RegistryConfig::default()
            },
            limits: Limits { attempts: 1, ..Limits::default() },
        })
        .await
        .unwrap();
        let house = House { daemon: Daemon::new(engine.clone(), info(config)), engine, folder };
        Self { server: Scripted::start().await.unwrap(), house, cases: 0 }
    }

    /// Makes a repository that has an image of its own and takes all uploads.
    fn repository(&mut self) -> (String, Image) {
        self.cases += 1;
        let path = format!("t/c{}", self.cases);
        let layer = Layer::new(Compression::Gzip, &[Entry::file("f", path.repeat(50))]);
        let image = Image::builder().layer(layer).build();
        let (server, below) = (&self.server, format!("/v2/{path}"));
        for target in ["1".to_owned(), image.manifest.digest.to_string()] {
            for method in ["HEAD", "GET"] {
                server.on(method, &format!("{below}/manifests/{target}"), [whole(&image.manifest)]);
            }
        }
        for blob in image.blobs() {
            server.on("GET", &format!("{below}/blobs/{}", blob.digest), [whole(blob)]);
        }
        let session = format!("{below}/blobs/uploads/u");
        let taken = Answer::status(202).header("Location", &session);
        server.on("POST", &format!("{below}/blobs/uploads/"), [taken.clone()]);
        server.on("PATCH", &session, [taken]);
        server.on("PUT", &session, [Answer::status(201)]);
        server.on("PUT", &format!("{below}/manifests/1"), [Answer::status(201)]);
        (path, image)
    }

    /// Runs an operation with one request answered wrongly; returns the failure.
    async fn run(
        &mut self,
        operation: &str,
        (request, method, target): (&str, &str, &str),
        answer: &Answer,
    ) -> Option<String> {
        let (path, image) = self.repository();
        let (host, house) = (self.server.host(), &self.house);
        let name = format!("{host}/{path}");
        self.server.on("GET", "/v2/", [Answer::status(200)]);
        let create = format!("/images/create?fromImage={name}&tag=1");
        if operation == "push" {
            // What is pushed has to be here, and the registry must not have it.
            house.post(&create).await;
            let local = format!("local/c{}", self.cases);
            house.post(&format!("/images/{name}:1/tag?repo={local}&tag=1")).await;
            house.send("DELETE", &format!("/images/{name}:1"), &[], "").await;
            house.post(&format!("/images/{local}:1/tag?repo={name}&tag=1")).await;
        }
        if request == "token" {
            let (header, value) = challenge_bearer(&format!("{}/token", self.server.url()), "s");
            self.server.on("GET", "/v2/", [Answer::status(401).header(header, value)]);
        }
        let target = target
            .replace("CONFIG", &image.config.digest.to_string())
            .replace("LAYER", &image.layers[0].blob.digest.to_string());
        let target = if target.starts_with('/') { target } else { format!("/v2/{path}/{target}") };
        self.server.on(method, &target, [answer.clone()]);
        let reply = match operation {
            "pull" => house.post(&create).await,
            _ => house.post(&format!("/images/{name}/push?tag=1")).await,
        };
        if reply.status != 200 {
            return Some(reply.message());
        }
        let lines = reply.lines();
        lines.last().unwrap()["errorDetail"]["message"].as_str().map(str::to_owned)
    }
}

/// Goes through all requests of both operations; returns what succeeded, and insists that the rest is told well.
async fn outcomes(bench: &mut Bench, answers: &[(String, Answer)]) -> BTreeMap<String, String> {
    let (mut succeeded, mut dumb) = (BTreeMap::new(), Vec::new());
    let requests = PULL.map(|request| ("pull", request)).into_iter();
    for (operation, request) in requests.chain(PUSH.map(|request| ("push", request))) {
        let row: &mut String = succeeded.entry(format!("{operation} {}", request.0)).or_default();
        for (name, answer) in answers {
            // How long a registry may take to store what it has received is not for a client to say.
            if name == "silent" && matches!(request.1, "PATCH" | "PUT") {
                continue;
            }
            match bench.run(operation, request, answer).await {
                None => {
                    let _ = write!(row, " {name}");
                }
                Some(told) => {
                    let host = bench.server.host();
                    let names =
                        told.contains(&host) && (told.contains("/v2/") || told.contains("/token"));
                    if !names {
                        dumb.push(format!("{operation} {} {name}: {told}", request.0));
                    }
                }
            }
        }
    }
    assert!(dumb.is_empty(), "neither host nor request is named:\n{}", dumb.join("\n"));
    succeeded
}

#[tokio::test]
async fn every_answer_ends_in_success_or_in_a_sentence() {
    let mut bench = Bench::open(Duration::from_secs(20)).await;
    let succeeded = outcomes(&mut bench, &wrong_answers()).await;
    let rows: Vec<_> = succeeded.iter().map(|(row, cells)| format!("{row}:{cells}\n")).collect();
    let shown = rows.concat();
    assert_eq!(shown, SUCCEED, "\n{shown}");
}

#[tokio::test]
async fn silence_ends_too() {
    let mut bench = Bench::open(Duration::from_millis(300)).await;
    outcomes(&mut bench, &silent_answers()).await;
}

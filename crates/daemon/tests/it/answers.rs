//! A registry that is told what to answer: each request of a pull and of a push in turn, in every wrong way. Both end with
//! success, or with a sentence that names the host, the request and the cause.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use daemon::Daemon;
use engine::{Engine, EngineConfig, Limits};
use futures_util::{StreamExt as _, future, stream};
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

/// An operation, and which of its requests is answered wrongly.
type Request = (&'static str, (&'static str, &'static str, &'static str));

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

/// Answers that succeed all the same: those that are right, or as good as right, and those that nobody has to care for.
const SUCCEED: &str = include_str!("answers.txt");
const ALL_SUCCEED: &str = include_str!("answers-all.txt");
/// Set, this variable has all statuses from 200 to 599 tried.
const ALL_STATUSES: &str = "LONGSHORE_TEST_ALL_STATUSES";

/// Most of a case's time is spent waiting, for the disk or the other end.
const CASES_AT_ONCE: usize = 16;

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

/// A daemon that makes no pauses.
struct Bench {
    house: House,
    /// The registry that the image came from which is pushed.
    _origin: Scripted,
    image: Image,
}

/// One wrong answer to one request, at a registry of its own.
pub(crate) struct Case {
    pub(crate) server: Scripted,
    /// The repository.
    pub(crate) path: String,
    image: Image,
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
                retry_delay: Duration::ZERO,
                ..RegistryConfig::default()
            },
            trust: policy::Settings::default(),
            limits: Limits { attempts: 1, ..Limits::default() },
        })
        .await
        .unwrap();
        let house = House { daemon: Daemon::new(engine.clone(), info(config)), engine, folder };
        let Case { server, path, image } = Case::new(0).await;
        house.post(&format!("/images/create?fromImage={}/{path}&tag=1", server.host())).await;
        house.post(&format!("/images/{}/{path}:1/tag?repo=local/app&tag=1", server.host())).await;
        Self { house, _origin: server, image }
    }

    /// Runs an operation with one request answered wrongly; returns the registry's host and the failure.
    async fn run(
        &self,
        number: usize,
        (operation, (request, method, target)): Request,
        answer: &Answer,
    ) -> (String, Option<String>) {
        let Case { server, path, image } = Case::new(number).await;
        let (host, house) = (server.host(), &self.house);
        let name = format!("{host}/{path}");
        if request == "token" {
            let (header, value) = challenge_bearer(&format!("{}/token", server.url()), "s");
            server.on("GET", "/v2/", [Answer::status(401).header(header, value)]);
        }
        let image = if operation == "push" { &self.image } else { &image };
        let target = target
            .replace("CONFIG", &image.config.digest.to_string())
            .replace("LAYER", &image.layers[0].blob.digest.to_string());
        let target = if target.starts_with('/') { target } else { format!("/v2/{path}/{target}") };
        server.on(method, &target, [answer.clone()]);
        let reply = if operation == "pull" {
            house.post(&format!("/images/create?fromImage={name}&tag=1")).await
        } else {
            house.post(&format!("/images/local/app:1/tag?repo={name}&tag=1")).await;
            house.post(&format!("/images/{name}/push?tag=1")).await
        };
        if reply.status != 200 {
            return (host, Some(reply.message()));
        }
        let lines = reply.lines();
        let told = lines.last().unwrap()["errorDetail"]["message"].as_str().map(str::to_owned);
        (host, told)
    }
}

impl Case {
    /// Makes a registry with a repository that has an image of its own and takes all uploads.
    pub(crate) async fn new(number: usize) -> Self {
        let server = Scripted::start().await.unwrap();
        let path = format!("t/c{number}");
        let layer = Layer::new(Compression::Gzip, &[Entry::file("f", path.repeat(50))]);
        let image = Image::builder().layer(layer).build();
        let below = format!("/v2/{path}");
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
        Self { server, path, image }
    }
}

/// Goes through all requests of both operations; returns what succeeded, and insists that the rest is told well.
async fn outcomes(bench: &Bench, answers: &[(String, Answer)]) -> BTreeMap<String, Vec<String>> {
    let requests = PULL.map(|request| ("pull", request)).into_iter();
    let requests = requests.chain(PUSH.map(|request| ("push", request)));
    let cases = requests.flat_map(|request| answers.iter().map(move |answer| (request, answer)));
    let told: Vec<_> = stream::iter(cases.enumerate())
        .map(|(number, (request, (name, answer)))| async move {
            // How long a registry may take to store what it has received is not for a client to say.
            if name == "silent" && matches!(request.1.1, "PATCH" | "PUT") {
                return None;
            }
            Some((request, name, bench.run(number + 1, request, answer).await))
        })
        .buffered(CASES_AT_ONCE)
        .filter_map(future::ready)
        .collect()
        .await;
    let (mut succeeded, mut dumb) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for ((operation, request), name, (host, failure)) in told {
        let row = succeeded.entry(format!("{operation} {}", request.0)).or_default();
        let Some(failure) = failure else {
            row.push(name.clone());
            continue;
        };
        let names =
            failure.contains(&host) && (failure.contains("/v2/") || failure.contains("/token"));
        if !names {
            dumb.push(format!("{operation} {} {name}: {failure}", request.0));
        }
    }
    assert!(dumb.is_empty(), "neither host nor request is named:\n{}", dumb.join("\n"));
    succeeded
}

fn table(succeeded: &BTreeMap<String, Vec<String>>) -> String {
    let row = |(row, cells): (&String, &Vec<String>)| {
        let row = format!("{row}: {}", cells.join(" "));
        row.trim_end().to_owned() + "\n"
    };
    succeeded.iter().map(row).collect()
}

/// Writes statuses that follow one another as `200-204`.
fn ranges(statuses: &[String]) -> Vec<String> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for status in statuses.iter().map(|status| status.parse().unwrap()) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => ranges.push((status, status)),
        }
    }
    let shown =
        |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    ranges.into_iter().map(shown).collect()
}

#[tokio::test]
async fn every_answer_ends_in_success_or_in_a_sentence() {
    let bench = Bench::open(Duration::from_secs(20)).await;
    let shown = table(&outcomes(&bench, &wrong_answers()).await);
    assert_eq!(shown, SUCCEED, "\n{shown}");
}

/// All statuses there are take a while: only where that is asked for.
#[tokio::test]
async fn every_status_ends_in_success_or_in_a_sentence() {
    if std::env::var_os(ALL_STATUSES).is_none() {
        return;
    }
    let answers: Vec<_> =
        (200..600).map(|status| (status.to_string(), Answer::status(status))).collect();
    let mut succeeded = BTreeMap::<_, Vec<_>>::new();
    // A daemon with few images is quicker.
    for part in answers.chunks(40) {
        let bench = Bench::open(Duration::from_mins(1)).await;
        for (row, statuses) in outcomes(&bench, part).await {
            succeeded.entry(row).or_default().extend(statuses);
        }
    }
    for statuses in succeeded.values_mut() {
        *statuses = ranges(statuses);
    }
    let shown = table(&succeeded);
    assert_eq!(shown, ALL_SUCCEED, "\n{shown}");
}

#[tokio::test]
async fn silence_ends_too() {
    let bench = Bench::open(Duration::from_millis(300)).await;
    outcomes(&bench, &silent_answers()).await;
}

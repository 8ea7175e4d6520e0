//! Refusals of registries, told by Longshore and by dockerd: the status and the words of each, beside each other.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use test_support::http::receive;
use test_support::image::Blob;
use test_support::scripted::{Answer, Scripted, challenge_bearer};
use test_support::servers::{Dockerd, installed};
use tokio::runtime::Runtime;

use super::support::{Bench, Front, is_root, small_image};

/// The table; its head says how it is read.
const TABLE: &str = include_str!("refusals.txt");
const PAGE: &str = "<html><head><title>Sorry</title></head><body>no</body></html>";

/// A line of the table.
struct Row {
    operation: &'static str,
    answer: &'static str,
    longshore: &'static str,
    dockerd: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut columns = line.split('|').map(str::trim);
        let mut next = || columns.next().unwrap_or_else(|| panic!("a column is missing: {line}"));
        let row = Row { operation: next(), answer: next(), longshore: next(), dockerd: next() };
        assert_eq!(columns.next(), None, "{line}");
        row
    };
    lines.map(row).collect()
}

/// Makes the answer that a row has in short.
fn answer(text: &str) -> Answer {
    let (status, form) = text.split_once(' ').unwrap();
    let status = status.parse().unwrap();
    let answer = match form {
        "empty" => Answer::status(status),
        "page" => Answer::status(status).header("content-type", "text/html").body(PAGE),
        "text" => Answer::status(status).header("content-type", "text/plain").body("go away"),
        "details" => Answer::status(status).json(r#"{"details":"go away"}"#),
        "no-errors" => Answer::status(status).json(r#"{"errors":[]}"#),
        "two" => Answer::status(status).json(
            r#"{"errors":[{"code":"DENIED","message":"first","detail":1},{"code":"UNKNOWN","message":"second","detail":1}]}"#,
        ),
        code => match code.strip_suffix(" bare") {
            Some(code) => {
                Answer::status(status).json(format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#))
            }
            None => Answer::error(status, code, "go away"),
        },
    };
    // Nobody is to wait between two tries.
    answer.header("Retry-After", "0")
}

/// A registry with an image `app:1`, and one whose token server is scripted.
struct Registries {
    plain: Scripted,
    tokens: Scripted,
    _runtime: Runtime,
}

fn whole(blob: &Blob) -> Answer {
    let bytes: Bytes = blob.read().unwrap().into();
    Answer::default()
        .header("Content-Type", blob.media_type.as_str())
        .header("Docker-Content-Digest", blob.digest.to_string())
        .body(bytes)
}

impl Registries {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let plain = runtime.block_on(Scripted::start()).unwrap();
        let tokens = runtime.block_on(Scripted::start()).unwrap();
        let image = small_image(17);
        for target in ["1".to_owned(), image.manifest.digest.to_string()] {
            for method in ["HEAD", "GET"] {
                plain.on(method, &format!("/v2/app/manifests/{target}"), [whole(&image.manifest)]);
            }
        }
        for blob in image.blobs() {
            plain.on("GET", &format!("/v2/app/blobs/{}", blob.digest), [whole(blob)]);
        }
        let (name, value) = challenge_bearer(&format!("{}/token", tokens.url()), "s");
        tokens.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
        Self { plain, tokens, _runtime: runtime }
    }

    /// Has a repository answer so, and returns its name.
    fn script(&self, number: usize, operation: &str, answer: &Answer) -> String {
        let path = format!("t/r{number}");
        let answers = || [answer.clone()];
        let all = |method: &str, below: &str| {
            self.plain.on(method, &format!("/v2/{path}/{below}*"), answers());
        };
        match operation {
            "pull" | "distribution" => {
                all("HEAD", "manifests/");
                all("GET", "manifests/");
            }
            "pull -a" => all("GET", "tags/"),
            "push" => all("POST", "blobs/"),
            _ => {
                self.tokens.on("GET", "/token", answers());
                return format!("{}/{path}", self.tokens.host());
            }
        }
        format!("{}/{path}", self.plain.host())
    }
}

/// Sends a request; returns the status and the message of the failure, of which the stream has the last word.
fn ask(socket: &Path, method: &str, target: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let head = format!(
        "{method} /v1.41{target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nX-Registry-Auth: e30=\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let response = receive(stream, method).unwrap();
    let text = response.text();
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    let message = document["message"].as_str().or(document["errorDetail"]["message"].as_str());
    format!("{} {}", response.status, message.unwrap_or(last))
}

fn perform(socket: &Path, operation: &str, name: &str, source: &str) -> String {
    match operation {
        "pull" | "token pull" => {
            ask(socket, "POST", &format!("/images/create?fromImage={name}&tag=1"))
        }
        "pull -a" => ask(socket, "POST", &format!("/images/create?fromImage={name}")),
        "distribution" | "token distribution" => {
            ask(socket, "GET", &format!("/distribution/{name}:1/json"))
        }
        "push" | "token push" => {
            ask(socket, "POST", &format!("/images/{source}/tag?repo={name}&tag=1"));
            ask(socket, "POST", &format!("/images/{name}/push?tag=1"))
        }
        other => panic!("{other}: no such operation"),
    }
}

#[test]
fn what_registries_refuse_has_dockers_status_and_words() {
    let registries = Registries::start();
    let bench = Bench::new(Front::Longshore, &[]);
    let dockerd =
        (is_root() && installed(&["dockerd"])).then(|| Dockerd::builder().start().unwrap());
    if dockerd.is_none() {
        println!("only Longshore is asked: needs root and dockerd");
    }
    let longshore: PathBuf = bench.home.path().join("longshore.sock");
    let source = format!("{}/app", registries.plain.host());
    let sockets = [Some(longshore.as_path()), dockerd.as_ref().map(Dockerd::socket)];
    for socket in sockets.into_iter().flatten() {
        let pulled = ask(socket, "POST", &format!("/images/create?fromImage={source}&tag=1"));
        assert!(pulled.starts_with("200 ") && pulled.contains("Status: "), "{pulled}");
    }
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        let name = registries.script(number, row.operation, &answer(row.answer));
        let (host, path) = name.split_once('/').unwrap();
        for (socket, expected) in sockets.into_iter().zip([row.longshore, row.dockerd]) {
            let (Some(socket), false) = (socket, expected == "-") else { continue };
            let expected = if expected == "=" { row.longshore } else { expected };
            let told = perform(socket, row.operation, &name, &format!("{source}:1"));
            let told = told.replace(host, "HOST").replace(path, "NAME").replace('\n', "\\n");
            if told != expected {
                let Row { operation, answer, .. } = row;
                wrong.push(format!(
                    "{operation} | {answer}\n  expected {expected}\n  told     {told}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Attacks by a server of signatures, and by another process, on who pulls what is signed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, Notary};

use super::{Place, can_run, import};
use crate::support::{Bench, Front};

/// A repository with a tag that was signed twice, at a server that says what a test wants.
struct Forged {
    place: Place,
    name: String,
    /// The timestamps of both times.
    before: String,
    now: String,
}

impl Forged {
    fn new() -> Forged {
        let registry = DockerRegistry::builder().access_log().start().unwrap();
        let place = Place { registry, notary: Notary::behind_script().unwrap() };
        let signer = Bench::new(Front::InProcess, &[]);
        let name = place.name("app:1");
        let push = |content: &str| {
            import(&signer, content, &name);
            place.run(&signer, &["push", &name]).success();
            let bytes = place.notary.client().unwrap().get(&document(&place, "app", "timestamp"));
            bytes.unwrap().expect(200).unwrap().text()
        };
        let (before, now) = (push("one"), push("two"));
        Forged { place, name, before, now }
    }

    fn script(&self) -> &Scripted {
        self.place.notary.script().unwrap()
    }

    /// Has the server say something else about a document.
    fn forge(&self, file: &str, answer: Answer) {
        self.script().on("GET", &document(&self.place, "app", file), [answer]);
    }

    /// Pulls what must not be pulled: nothing of it is seen, and nothing was asked of the registry.
    fn refusal(&self, reader: &Bench) -> String {
        let said = self.place.run(reader, &["pull", &self.name]).failure();
        assert!(!reader.home.data_root().join("image").exists(), "{said}");
        said
    }
}

/// Returns the path of a document.
fn document(place: &Place, repository: &str, file: &str) -> String {
    format!("/v2/{}/_trust/tuf/{file}.json", place.name(repository))
}

#[test]
fn what_a_server_forges_is_refused_and_nothing_of_it_is_seen() {
    if !can_run() {
        return;
    }
    let forged = Forged::new();
    let reader = Bench::new(Front::InProcess, &[]);
    let inspected = forged.place.run(&reader, &["trust", "inspect", "--pretty", &forged.name]);
    assert!(inspected.success().contains("(Repo Admin)"));
    let Forged { before, now, name, place } = &forged;
    let repository = place.name("app");
    let json = |text: &str| Answer::status(200).json(text.to_owned());
    let within = format!(" in timestamp.json of {}\n", place.notary.address());
    let older = "version is lower than expected for remote repository";
    for (answer, expected) in [
        (
            json(before),
            format!(
                "Warning: potential malicious behavior - trust data {older} {repository}: version"
            ),
        ),
        (json(&now[..now.len() - 9]), format!("unexpected end of JSON input{within}")),
        (json("<html>"), format!("invalid character '<' looking for beginning of value{within}")),
        (
            json(&now.replacen("\"version\":", "\"version\":9,\"version\":", 1)),
            "the key \"version\" stands twice".to_owned(),
        ),
        (
            json(&now.replacen("\"version\":", "\"version\":9", 1)),
            "Warning: potential malicious behavior - trust data has insufficient signatures"
                .to_owned(),
        ),
    ] {
        forged.forge("timestamp", answer);
        let said = forged.refusal(&reader);
        assert!(said.starts_with(&expected), "{expected}: {said}");
    }
    forged.forge("timestamp", json(now));
    // A root of somebody else's, for who has none yet.
    let signer = Bench::new(Front::InProcess, &[]);
    let other = place.name("other:1");
    import(&signer, "other", &other);
    place.run(&signer, &["push", &other]).success();
    let root =
        place.notary.client().unwrap().get(&document(place, "other", "root")).unwrap().text();
    forged.forge("root", json(&root));
    let stranger = Bench::new(Front::InProcess, &[]);
    let said = forged.refusal(&stranger);
    let expected = format!(
        "Warning: potential malicious behavior - trust data mismatch for remote repository {repository}: could not validate the path to a trusted root: unable to retrieve valid leaf certificates\n"
    );
    assert_eq!(said, expected);
    // Who has seen the right one goes on believing it.
    place.run(&reader, &["pull", name]).success();
}

#[test]
fn other_targets_than_those_of_the_snapshot_are_refused() {
    if !can_run() {
        return;
    }
    let forged = Forged::new();
    let reader = Bench::new(Front::InProcess, &[]);
    let client = forged.place.notary.client().unwrap().clone();
    // The server's own targets, with another digest in them.
    forged.script().reply(
        "GET",
        &format!("/v2/{}/_trust/tuf/targets.*", forged.place.name("app")),
        move |received| {
            let text = client.get(&received.target).unwrap().text();
            let at = text.find("\"sha256\":\"").unwrap() + "\"sha256\":\"".len();
            let other = if text[at..].starts_with('A') { "B" } else { "A" };
            Answer::status(200).json(format!("{}{other}{}", &text[..at], &text[at + 1..]))
        },
    );
    let said = forged.refusal(&reader);
    assert!(said.starts_with("sha256 checksum for targets did not match: expected "), "{said}");
}

/// A repository that is known costs a look at the server and one for the newest timestamp.
#[test]
fn a_pull_of_what_is_known_costs_two_requests_more() {
    if !can_run() {
        return;
    }
    let forged = Forged::new();
    let reader = Bench::new(Front::InProcess, &[]);
    let registry = &forged.place.registry;
    // The registry tells of a request when it has been answered: a last one says that all are told.
    let asked = |arguments: &[&str], mark: &str| {
        forged.place.run(&reader, arguments).success();
        let path = format!("/v2/{mark}/tags/list");
        registry.client().get(&path).unwrap();
        let begin = Instant::now();
        loop {
            let mut told = registry.requests();
            if told.last().is_some_and(|last| last.ends_with(&path)) {
                told.pop();
                let from = told.iter().rposition(|line| line.ends_with("/tags/list"));
                return told.split_off(from.map_or(0, |at| at + 1));
            }
            assert!(begin.elapsed() < Duration::from_mins(1), "{told:?}");
            std::thread::yield_now();
        }
    };
    asked(&["pull", &forged.name], "cold");
    let plain = asked(&["pull", "--disable-content-trust", &forged.name], "plain");
    forged.script().forget();
    let trusted = asked(&["pull", &forged.name], "trusted");
    let timestamp = document(&forged.place, "app", "timestamp");
    assert_eq!(forged.script().lines(), ["GET /v2/".to_owned(), format!("GET {timestamp}")]);
    assert!(trusted.len() <= plain.len(), "{trusted:?} {plain:?}");
}

#[test]
fn who_has_the_trust_data_is_told_and_a_signal_ends_the_wait() {
    if !can_run() {
        return;
    }
    let forged = Forged::new();
    let reader = Bench::new(Front::InProcess, &[]);
    forged.place.run(&reader, &["trust", "inspect", &forged.name]).success();
    let repository = forged.place.name("app");
    let folder = reader.home.path().join("config/trust/tuf").join(&repository);
    let lock = File::options().write(true).open(folder.join(".longshore.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut command = reader.command();
    let command = forged.place.trusting(&mut command).args(["pull", &forged.name]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let own =
        format!("(process {}), which is at the trust data of {repository}\n", std::process::id());
    assert!(said.starts_with("Waiting for ") && said.ends_with(&own), "{said}");
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
    drop(lock);
    forged.place.run(&reader, &["pull", &forged.name]).success();
}

//! Plays scenarios to a daemon.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use test_support::base64;
use test_support::http::Response;
use test_support::tar::{Entry, Writer};

use crate::compare::Bindings;
use crate::fixture::{self, Answer, Body, Exchange};
use crate::images::Images;
use crate::plan::Step;
use crate::wire;
use crate::world::House;

/// A daemon, and what the scenarios so far had from it.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    house: &'a House,
    images: &'a Images,
    names: Bindings,
    /// The newest version of the API that the daemon speaks, if not all of the recordings'.
    newest: Option<u32>,
    saved: BTreeMap<String, Vec<u8>>,
}

impl<'a> Player<'a> {
    pub(crate) fn new(house: &'a House, images: &'a Images, newest: Option<u32>) -> Self {
        Self { house, images, names: Bindings::new(images.names()), newest, saved: BTreeMap::new() }
    }

    /// Takes a step and returns what was asked and answered, if the step is a recording.
    pub(crate) fn take(&mut self, step: Step) -> Vec<(Exchange, Answer)> {
        match step {
            Step::Play(name) => self.play(name),
            Step::Between { method, target, body } => {
                let body = body.map_or_else(Vec::new, |name| self.make(name));
                let target = self.target(target);
                let auth = r#"{"username":"tester","password":"s3cret"}"#;
                let headers = [("X-Registry-Auth".to_owned(), base64::encode(auth))];
                let response =
                    wire::send(&self.house.socket, method, &target, &headers, &body).unwrap();
                let said = response.text();
                // Not an assertion: what follows shows what is different then.
                if response.status >= 300 || said.contains("errorDetail") {
                    println!("between: {method} {target}: {} {said}", response.status);
                }
                Vec::new()
            }
        }
    }

    fn play(&mut self, scenario: &str) -> Vec<(Exchange, Answer)> {
        let exchanges = fixture::read(scenario);
        let mut played = Vec::new();
        let mut watched = None;
        for exchange in exchanges {
            let target = self.target(&exchange.target);
            let headers = self.headers(&exchange.headers);
            let body = self.body(scenario, &exchange);
            let (method, socket) = (exchange.method.as_str(), &self.house.socket);
            if target.ends_with("/events") {
                let stream = wire::begin(socket, method, &target, &headers, &body).unwrap();
                // The head of the answer says that the daemon listens from now on.
                let mut start = [0; 12];
                (&stream).read_exact(&mut start).unwrap();
                watched = Some((exchange, stream));
                continue;
            }
            let response = wire::send(socket, method, &target, &headers, &body)
                .unwrap_or_else(|error| panic!("{scenario}: {method} {target}: {error}"));
            let answer = self.settle(wire::answer(&response));
            self.keep(scenario, response);
            played.push((exchange, answer));
        }
        if let Some((exchange, stream)) = watched {
            let Body::Text { lines, .. } = &exchange.answer.body else { panic!("no events") };
            let answer = self.settle(wire::read_lines(&stream, lines.len()));
            played.insert(0, (exchange, answer));
        }
        played
    }

    fn target(&self, target: &str) -> String {
        let target = self.names.fill(&self.house.world.address(target));
        let Some(newest) = self.newest else { return target };
        let rest = target.strip_prefix("/v1.").and_then(|rest| rest.split_once('/'));
        match rest {
            Some((minor, rest)) if minor.parse::<u32>().is_ok_and(|minor| minor > newest) => {
                format!("/v1.{newest}/{rest}")
            }
            _ => target,
        }
    }

    fn headers(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        let value = |name: &str, value: &str| match name {
            "X-Registry-Auth" => base64::encode(self.house.world.address(value)),
            _ => value.to_owned(),
        };
        headers.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
    }

    fn body(&self, scenario: &str, exchange: &Exchange) -> Vec<u8> {
        match exchange.body.first().map(String::as_str) {
            None => Vec::new(),
            Some("<archive>") => self.make(scenario),
            Some(_) => self.house.world.address(&exchange.body.join("\n")).into_bytes(),
        }
    }

    /// Makes a body by the name of its scenario, or by that in the plan.
    fn make(&self, name: &str) -> Vec<u8> {
        let busybox = || self.saved.get("save-one").cloned().unwrap_or_default();
        let saved = |name: &str| self.saved.get(name).cloned().unwrap_or_default();
        let filesystem = || tar(&[Entry::directory("."), Entry::file("./hi", "hi\n")]);
        match name {
            "load-multi" => saved("save-multi"),
            "load-notags" => saved("save-byid"),
            "load-gz" => filter("gzip -c", &busybox()),
            "load-bz2" => filter("bzip2 -c", &busybox()),
            "load-xz" => filter("xz -c", &busybox()),
            "load-truncated" => busybox().into_iter().take(600_000).collect(),
            "load-nomanifest" => tar(&[Entry::directory("e")]),
            "load-ociarchive" => self.images.oci_layout(),
            "import-file" | "filesystem" => filesystem(),
            "filesystem-gz" => filter("gzip -c", &filesystem()),
            "committed" => self.images.committed(),
            _ => busybox(),
        }
    }

    /// Returns the answer that would be there if the recordings had been made here.
    fn settle(&self, mut answer: Answer) -> Answer {
        let root = self.house.root.display().to_string();
        let settle = |text: &str| self.house.world.recorded(&text.replace(&root, "<root>"));
        if let Body::Text { lines, .. } = &mut answer.body {
            for line in lines {
                *line = settle(line);
            }
        }
        answer
    }

    fn keep(&mut self, scenario: &str, response: Response) {
        if response.header("content-type") == Some("application/x-tar") {
            self.saved.insert(scenario.to_owned(), response.body);
        }
    }
}

/// Writes a tar.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.append(entry).unwrap();
    }
    writer.finish().unwrap()
}

/// Pipes `input` through a program.
pub(crate) fn filter(command: &str, input: &[u8]) -> Vec<u8> {
    let (program, option) = command.split_once(' ').unwrap();
    let mut child = Command::new(program)
        .arg(option)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    output.stdout
}

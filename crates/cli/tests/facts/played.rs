//! All recordings, played to Longshore and to the dockerd of the machine.

use std::fmt::Write as _;

use test_support::servers::installed;

use crate::compare::{self, Bindings, Depth, Difference, text};
use crate::fixture::{Answer, Body, Exchange};
use crate::images::Images;
use crate::known::{KNOWN, Reference};
use crate::parameters;
use crate::plan::{Step, steps};
use crate::player::Player;
use crate::world::House;

/// The newest version of the API that Debian's dockerd speaks: 1.41.
const INSTALLED_MINOR: u32 = 41;

/// Differences that are not known, and known ones that are gone.
#[derive(Debug, Default)]
struct Verdict {
    report: String,
    used: Vec<bool>,
}

impl Verdict {
    fn new() -> Self {
        Self { report: String::new(), used: vec![false; KNOWN.len()] }
    }

    fn add(
        &mut self,
        reference: Reference,
        scenario: &str,
        exchange: &Exchange,
        found: Vec<Difference>,
    ) {
        for difference in found {
            let known =
                KNOWN.iter().position(|known| known.covers(reference, scenario, &difference));
            if let Some(place) = known {
                self.used[place] = true;
                continue;
            }
            let Difference { place, expected, actual } = difference;
            // Writing to a string does not fail.
            let _ = writeln!(
                self.report,
                "{scenario}: {} {}\n  {place}\n    dockerd:   {expected}\n    longshore: {actual}",
                exchange.method, exchange.target,
            );
        }
    }

    #[track_caller]
    fn check(self, reference: Reference) {
        let mut report = self.report;
        for (known, used) in KNOWN.iter().zip(self.used) {
            if known.reference == reference && !used {
                let _ = writeln!(report, "no longer different: {known:?}");
            }
        }
        assert!(report.is_empty(), "{reference:?}\n{report}");
    }
}

/// `/info` and `/version` describe the machine and the daemon: only their form can be equal.
fn depth(exchange: &Exchange) -> Depth {
    let describes = ["/info", "/version"].iter().any(|path| exchange.target.ends_with(path));
    if describes { Depth::Shape } else { Depth::Values }
}

fn can_run() -> bool {
    rustix::process::geteuid().is_root() && installed(&["gzip", "bzip2", "xz"])
}

#[test]
fn longshore_answers_as_dockerd_29_did() {
    if !can_run() {
        println!("skipped: needs root, gzip, bzip2 and xz");
        return;
    }
    let images = Images::make();
    let house = House::longshore(&images).unwrap();
    let mut player = Player::new(&house, &images, None);
    let mut bindings = Bindings::new(images.names());
    let mut verdict = Verdict::new();
    for step in steps() {
        for (exchange, answer) in player.take(step) {
            let Step::Play(scenario) = step else { continue };
            let found =
                compare::answers(&exchange.answer, &answer, depth(&exchange), &mut bindings);
            verdict.add(Reference::Recorded, scenario, &exchange, found);
        }
    }
    verdict.report.push_str(&parameters::check(&house, Reference::Recorded));
    verdict.check(Reference::Recorded);
}

#[test]
fn longshore_answers_as_the_installed_dockerd() {
    if !can_run() || !installed(&["dockerd"]) {
        println!("skipped: needs root, gzip, bzip2, xz and dockerd");
        return;
    }
    let images = Images::make();
    let longshore = House::longshore(&images).unwrap();
    let docker = House::docker(&images).unwrap();
    let mut ours = Player::new(&longshore, &images, Some(INSTALLED_MINOR));
    let mut theirs = Player::new(&docker, &images, Some(INSTALLED_MINOR));
    let mut bindings = Bindings::default();
    let mut verdict = Verdict::new();
    for step in steps() {
        for ((exchange, actual), (_, expected)) in
            ours.take(step).into_iter().zip(theirs.take(step))
        {
            let Step::Play(scenario) = step else { continue };
            let (mut expected, mut actual) = (templated(expected), actual);
            if scenario == "load-multi" {
                // 20.10 writes the images of an archive in no order, and so reads them.
                sort(&mut expected);
                sort(&mut actual);
            }
            let found = compare::answers(&expected, &actual, depth(&exchange), &mut bindings);
            verdict.add(Reference::Installed, scenario, &exchange, found);
        }
    }
    verdict.report.push_str(&parameters::check(&docker, Reference::Installed));
    verdict.check(Reference::Installed);
}

fn sort(answer: &mut Answer) {
    if let Body::Text { lines, .. } = &mut answer.body {
        lines.sort();
    }
}

/// Gives names to what differs between two daemons.
fn templated(mut answer: Answer) -> Answer {
    match &mut answer.body {
        Body::Text { lines, .. } => {
            for line in lines {
                *line = text::template(line);
            }
        }
        Body::Archive(members) => {
            for member in members {
                member.name = text::template(&member.name);
                member.content = text::template(&member.content);
            }
        }
    }
    answer
}

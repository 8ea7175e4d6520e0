//! Copies of many repositories from one registry to another: how long, at what cost, and whether everything is there.
//!
//! What is timed goes straight from the client to the registries. Requests and bytes are counted in runs of their own, through
//! a proxy in front of each registry.

mod content;
mod kill;
mod peers;
mod runs;
mod verify;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use test_support::proxy::Counts;
use test_support::servers::DockerRegistry;

use self::content::Content;
use self::peers::{Copier, TARGETS};
use self::runs::Bench;
use super::options::{Operation, Options};
use super::table::{Key, Results};
use crate::workspace::Workspace;

/// The first copy to each of [`TARGETS`], and the one after it.
const RUNS: [[&str; 2]; 2] = [
    ["to docker-registry", "to docker-registry, again"],
    ["to longshore registry", "to longshore registry, again"],
];

/// Measures, and returns the tables. `cache` keeps what is copied, `folder` is for the copies.
pub(super) fn run(
    workspace: &Workspace,
    cache: &Path,
    folder: &Path,
    options: &Options,
) -> Result<String> {
    let content = Content::new(options.quick);
    let storage = cache.join(content.key());
    let source = DockerRegistry::builder().storage(&storage).start().context("docker-registry")?;
    content.prepare(&source)?;
    super::images::read_all(&storage)?;
    if !options.built {
        workspace.build_release()?;
    }
    let binary = workspace.release_binary();
    let copiers = peers::copiers(&binary, folder, options);
    let bench = Bench { content, source: &source, binary: &binary, folder };

    let mut results = Results::default();
    let mut counted = Vec::new();
    for (kind, names) in TARGETS.into_iter().zip(RUNS) {
        for round in 1..=options.runs {
            for copier in &copiers {
                let keys = names.map(|image| key(image, copier));
                if results.has_failed(&keys[0]) {
                    continue;
                }
                match bench.measured(kind, copier, round == 1) {
                    Ok(samples) => {
                        for (key, sample) in keys.into_iter().zip(samples) {
                            println!("{key} {round}: {sample}");
                            results.add(key, sample);
                        }
                    }
                    Err(error) => {
                        println!("{} {round}: {error:#}", keys[0]);
                        results.fail(keys[0].clone(), &error);
                    }
                }
            }
        }
        for copier in &copiers {
            if !results.has_failed(&key(names[0], copier)) {
                counted.push((kind, copier.name, bench.counted(kind, copier)?));
            }
        }
    }
    let mut text = format!("# Copies\n\n- {}\n", content.description());
    for copier in &copiers {
        let version = copier.version().unwrap_or_else(|error| format!("{error:#}"));
        let _ = writeln!(text, "- {}: {version}", copier.name);
    }
    let columns: Vec<&'static str> = copiers.iter().map(|copier| copier.name).collect();
    for image in RUNS.into_iter().flatten() {
        results.write_table(&mut text, Operation::Copy, image, &format!("copy {image}"), &columns);
    }
    text.push_str(&requests(&counted));
    if let Some(ours) = copiers.iter().find(|copier| copier.name == "longshore") {
        for kind in TARGETS {
            text.push_str(&kill::run(&bench, kind, ours)?);
        }
    }
    Ok(text)
}

fn key(image: &'static str, copier: &Copier<'_>) -> Key {
    Key { operation: Operation::Copy, image, peer: copier.name }
}

type Counted = (&'static str, &'static str, [[Counts; 2]; 2]);

/// A table of requests, and what they were.
fn requests(counted: &[Counted]) -> String {
    let mut text = String::from(
        "\n## requests\n\n| to | peer | run | at the source | at the target | MB from the source | MB to the target | of these |\n\
         |---|---|---|--:|--:|--:|--:|---|\n",
    );
    for (kind, peer, runs) in counted {
        for (run, [source, target]) in ["first", "second"].into_iter().zip(runs) {
            let megabytes = |bytes: u64| bytes / 1_000_000;
            let _ = writeln!(
                text,
                "| {kind} | {peer} | {run} | {} | {} | {} | {} | {}; {} |",
                source.all(),
                target.all(),
                megabytes(source.received),
                megabytes(target.sent),
                listed(source),
                listed(target)
            );
        }
    }
    text
}

fn listed(counts: &Counts) -> String {
    let each = counts.requests.iter().map(|(kind, count)| format!("{count} {kind}"));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_listed_for_both_ends() {
        let of = |kind, count| Counts { requests: [(kind, count)].into(), ..Counts::default() };
        let first = [of("get blob", 3), Counts { sent: 2_500_000, ..of("upload", 2) }];
        let second = [of("tags", 1), of("head manifest", 5)];
        let text = requests(&[("docker-registry", "crane", [first, second])]);
        for line in [
            "| docker-registry | crane | first | 3 | 2 | 0 | 2 | 3 get blob; 2 upload |",
            "| docker-registry | crane | second | 1 | 5 | 0 | 0 | 1 tags; 5 head manifest |",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}

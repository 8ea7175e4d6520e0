//! `cargo xtask mutate-syncs`: takes each sync of the store out in turn, and has a test of the crash suite fail for it.
//!
//! The suite's disk knows each sync by the line that wants it, and leaves one out that it is told in its environment. So nothing is
//! built anew, and production code knows nothing of this. A sync that the suite does not come to is an error, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell;
use crate::workspace::{Workspace, cargo};

/// The tests that a sync must not go without.
const SUITE: &str = "tests::crash";
const SYNCS: &str = "LONGSHORE_TEST_SYNCS";
const WITHOUT: &str = "LONGSHORE_TEST_WITHOUT_SYNC";

/// The exit status of a program of tests, one of which has failed.
const FAILED_TEST: i32 = 101;

/// Methods of a disk that sync.
const SYNCING: [&str; 6] =
    ["replace", "replace_locked", "sync_dir", "sync_file", "sync_named", "write_back"];
/// Other calls that do.
const OTHERS: [&str; 2] = ["disk::sync_all(", ".durability().sync("];

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let store = workspace.root.join("crates/store");
    let program = build(&workspace.root)?;
    let reached = reached(&program, &store)?;
    let mut survivors = Vec::new();
    let sites = sites(&workspace.root, &store.join("src"))?;
    for site in &sites {
        if !reached.keys().any(|sync| sync.starts_with(&format!("{site} "))) {
            survivors.push(format!("{site}: the suite does not come to it"));
        }
    }
    println!("\n| sync | in | fails without it |\n|---|---|---|");
    for (sync, tests) in &reached {
        let mut failed = None;
        for test in tests {
            if !passes_without(&program, &store, test, sync)? {
                failed = Some(test);
                break;
            }
        }
        let place = function(&workspace.root, sync).unwrap_or_default();
        let shown = failed.map_or("**nothing**", |test| test.trim_start_matches("tests::"));
        println!("| `{sync}` | `{place}` | {shown} |");
        if failed.is_none() {
            survivors.push(format!("{sync}: no test fails without it"));
        }
    }
    println!("\n{} syncs at {} lines", reached.len(), sites.len());
    if survivors.is_empty() { Ok(()) } else { bail!("{}", survivors.join("\n")) }
}

/// Builds the tests of the store; returns the program.
fn build(root: &Path) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let mut command = cargo();
    command.args(["test", "--package", "longshore-store", "--lib", "--no-run"]);
    command.args(["--message-format", "json"]).current_dir(root);
    let messages = shell::output(&mut command)?;
    let mut programs = messages.lines().filter_map(|line| {
        let message: Message = serde_json::from_str(line).ok()?;
        message.executable
    });
    programs.next_back().context("cargo has built no tests")
}

/// Runs the suite; returns which tests come to which sync, those that come to the fewest first.
fn reached(program: &Path, store: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("syncs");
    let mut command = Command::new(program);
    command.arg(SUITE).env(SYNCS, &file).current_dir(store);
    shell::run(&mut command)?;
    let text = fs::read_to_string(&file).context("the suite comes to no sync")?;
    let mut of_tests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (sync, test) in text.lines().filter_map(|line| line.rsplit_once(' ')) {
        of_tests.entry(test).or_default().insert(sync);
    }
    let mut tests: Vec<_> = of_tests.into_iter().filter(|(test, _)| !test.is_empty()).collect();
    tests.sort_by_key(|(_, syncs)| syncs.len());
    let mut reached: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (test, syncs) in tests {
        for sync in syncs {
            reached.entry(sync.to_owned()).or_default().push(test.to_owned());
        }
    }
    Ok(reached)
}

/// Runs one test without one sync. A test that could not be run, or was killed, has not seen anything.
fn passes_without(program: &Path, store: &Path, test: &str, sync: &str) -> Result<bool> {
    let mut command = Command::new(program);
    command.args(["--exact", test]).env(WITHOUT, sync).current_dir(store);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status()?.code() {
        Some(0) => Ok(true),
        Some(FAILED_TEST) => Ok(false),
        _ => bail!("{test}, without {sync}, came to no end of its own"),
    }
}

/// Lists the lines of the store that sync, as `crates/store/src/x.rs:12`.
fn sites(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut sites = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() && !["tests", "disk"].contains(&name) {
            sites.extend(self::sites(root, &path)?);
        } else if path.extension() == Some(OsStr::new("rs")) && name != "tests.rs" {
            let text = fs::read_to_string(&path)?;
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            sites.extend(lines(&text).into_iter().map(|line| format!("{shown}:{line}")));
        }
    }
    sites.sort();
    Ok(sites)
}

/// Lists the lines of a file that sync.
fn lines(text: &str) -> BTreeSet<usize> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let methods = SYNCING.iter().flat_map(|method| {
        let call = format!(".{method}(");
        let found: Vec<_> = text.match_indices(&call).map(|(at, _)| at).collect();
        found
    });
    let methods = methods.filter(|at| {
        let before = text[..*at].trim_end();
        before.ends_with("disk") || before.ends_with("disk()")
    });
    let others = OTHERS.iter().flat_map(|call| text.match_indices(call)).map(|(at, _)| at);
    methods.chain(others).map(|at| text[..at].matches('\n').count() + 1).collect()
}

/// Returns the function that a sync is in.
fn function(root: &Path, sync: &str) -> Option<String> {
    let (path, rest) = sync.split_once(".rs:")?;
    let line: usize = rest.split(' ').next()?.parse().ok()?;
    let text = fs::read_to_string(root.join(format!("{path}.rs"))).ok()?;
    let before: Vec<&str> = text.lines().take(line).collect();
    let declared = before.iter().rev().find_map(|line| line.split_once("fn "))?;
    Some(declared.1.split(['(', '<']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_sync_are_found_however_they_are_broken() {
        let text = "text.replace(a);\n\
                    self.disk().replace(a);\n\
                    self.disk()\n    .sync_dir(b);\n\
                    disk.replace_unsynced(a);\n\
                    file.durability().sync()?;\n\
                    #[cfg(test)]\nmod tests { disk.replace(a) }";
        assert_eq!(lines(text), BTreeSet::from([2, 4, 6]));
    }
}

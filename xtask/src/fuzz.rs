//! `cargo xtask fuzz`: libFuzzer over the targets of all crates, on the toolchain that everything else is built with.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell;
use crate::workspace::{Workspace, cargo};

/// Seconds for all targets together where none are given: enough to see that each still runs.
const DEFAULT_SECONDS: u64 = 60;

/// Arguments of the task.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// One target, or all.
    target: Option<String>,
    /// Time for all targets together, on one processor.
    seconds: u64,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options { target: None, seconds: DEFAULT_SECONDS };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds = arguments.next().and_then(|text| text.parse().ok());
                    options.seconds = seconds.context("`--seconds` needs a number")?;
                }
                option if option.starts_with('-') => bail!("`fuzz` has no option `{option}`"),
                target if options.target.is_none() => options.target = Some(target.to_owned()),
                _ => bail!("`fuzz` takes one target, or none for all"),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    let corpora = workspace.root.join("fuzz/corpus");
    let mut targets = targets(&corpora)?;
    if let Some(wanted) = &options.target {
        if !targets.contains(wanted) {
            bail!("no fuzz target `{wanted}`; there are: {}", targets.join(" "));
        }
        targets = vec![wanted.clone()];
    }
    let program = build(&workspace)?;
    let places = Places { program, corpora, work: workspace.target.join("fuzz") };
    let seconds = (options.seconds / targets.len() as u64).max(1);
    println!("\nEach of {} targets runs {seconds} s.", targets.len());
    println!("{:14} {:>12} {:>9} {:>7}", "target", "executions", "coverage", "inputs");
    let queue = Mutex::new(VecDeque::from(targets));
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(target) = { lock(&queue).pop_front() } {
            if let Err(error) = places.run(&target, seconds) {
                lock(&failures).push(format!("{error:#}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        bail!("{}", failures.join("\n\n"));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names of the targets: each has a folder of inputs to begin with.
fn targets(corpora: &Path) -> Result<Vec<String>> {
    let entries = corpora.read_dir().with_context(|| format!("no `{}`", corpora.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Builds the program that has all targets.
///
/// The crates of the workspace alone get libFuzzer's counters: the wrapper is theirs, so the dependencies are those of the tests.
/// As `--workspace` stands for the same features as there, none is built again.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--test", "fuzz", "--no-run"]);
    command.args([
        "--features",
        "longshore-fuzz/libfuzzer",
        "--message-format=json-render-diagnostics",
    ]);
    command.env("RUSTC_WORKSPACE_WRAPPER", workspace.root.join("fuzz/rustc"));
    command.current_dir(&workspace.root).stderr(Stdio::inherit());
    println!("\n$ {}", shell::line(&command));
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the fuzz targets do not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let program = built.filter_map(|Built { executable }| executable).next_back();
    program.context("cargo built no fuzz targets")
}

/// A message of Cargo's, as far as it tells of a program.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// Files of a run.
struct Places {
    program: PathBuf,
    /// Inputs to begin with, which are in the repository.
    corpora: PathBuf,
    /// Inputs that were found on the way, logs, and what failed.
    work: PathBuf,
}

impl Places {
    fn run(&self, target: &str, seconds: u64) -> Result<()> {
        let found = self.work.join("corpus").join(target);
        let failed = self.work.join("failed");
        let log = self.work.join(format!("{target}.log"));
        for folder in [&found, &failed] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        let output =
            File::create(&log).with_context(|| format!("cannot create `{}`", log.display()))?;
        let mut command = Command::new(&self.program);
        command.env("LONGSHORE_FUZZ_TARGET", target).stdout(Stdio::null()).stderr(output);
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        // An input is a few kilobytes: what takes a second or a gigabyte is a fault.
        command.args(["-timeout=20", "-rss_limit_mb=1024"]);
        command.arg(format!("-artifact_prefix={}/{target}-", failed.display()));
        command.arg(&found).arg(self.corpora.join(target));
        let status = command.status().context("cannot run the fuzz targets")?;
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
        if !status.success() {
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            bail!(
                "{target} failed; its input is the last `{target}-…` in `{}`, and belongs into \
                 `fuzz/corpus/{target}` with the mend\n{end}",
                failed.display()
            );
        }
        println!("{}", told(target, &text));
        Ok(())
    }
}

/// A line for one target, from what libFuzzer printed.
fn told(target: &str, log: &str) -> String {
    let last = log.lines().rfind(|line| line.contains("DONE") || line.contains("INITED"));
    let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).copied().unwrap_or("?")
    };
    let executions = words.first().map_or("?", |word| word.trim_start_matches('#'));
    let inputs = after("corp:").split('/').next().unwrap_or_default();
    format!("{target:14} {executions:>12} {:>9} {inputs:>7}", after("cov:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options() {
        let expected = Options { target: Some("tar".to_owned()), seconds: 600 };
        assert_eq!(parsed("--seconds 600 tar").unwrap(), expected);
        assert_eq!(parsed("").unwrap(), Options { target: None, seconds: DEFAULT_SECONDS });
        for wrong in ["--seconds", "--seconds x", "--jobs 2", "tar pax"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_for_a_target() {
        let log = "INFO: Seed\n#2\tINITED cov: 1 ft: 2 corp: 1/1b\n\
                   #208405\tDONE   cov: 169 ft: 500 corp: 100/6157b lim: 1371 exec/s: 16031\nstat::x: 1\n";
        assert_eq!(
            told("pax", log).split_whitespace().collect::<Vec<_>>(),
            ["pax", "208405", "169", "100"]
        );
    }
}

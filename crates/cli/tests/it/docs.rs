//! The console blocks of the pages for users: each command runs and prints what the page says.
//!
//! A page is one shell in a home of its own. `localhost:5000` is a registry that starts empty, `docker.io` one with `alpine`;
//! neither is on this machine's network. In a page `…` stands for anything, on a line of its own for any lines, and
//! `<digest>` for a digest. A command without output on the page may print what it likes. Blocks that need Docker Hub,
//! a service manager or somebody else's server are `sh`, and are not run.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{Home, run};

/// Begins the line that tells how a command ended.
const END: &str = "\u{1}end ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The pages for users, by their path.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// A command of a page and the lines that it prints there.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    printed: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "```console" {
            continue;
        }
        for line in lines.by_ref().take_while(|line| line.trim() != "```") {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), printed: Vec::new() });
                }
                (None, Some(step)) if step.command.ends_with('\\') => {
                    step.command.push('\n');
                    step.command.push_str(line);
                }
                (None, Some(step)) => step.printed.push(line.to_owned()),
                (None, None) => panic!("a block begins without a command: {line}"),
            }
        }
    }
    steps
}

/// Every digest as `<digest>`.
fn without_digests(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("sha256:") {
        let is_digest = after.len() >= 64 && after.bytes().take(64).all(|b| b.is_ascii_hexdigit());
        text.push_str(before);
        text.push_str(if is_digest { "<digest>" } else { "sha256:" });
        rest = if is_digest { &after[64..] } else { after };
    }
    text + rest
}

fn fits(expected: &str, line: &str) -> bool {
    let (expected, line) = (without_digests(expected), without_digests(line));
    let mut rest = line.as_str();
    for (index, piece) in expected.split('…').enumerate() {
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(at) if index > 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || expected.ends_with('…')
}

fn fit(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, others)), _) if first == "…" => {
            (0..=lines.len()).any(|skipped| fit(others, &lines[skipped..]))
        }
        (Some((first, others)), Some((line, rest))) => fits(first, line) && fit(others, rest),
        _ => false,
    }
}

/// An image for two platforms, as Docker Hub would have it.
fn alpine() -> Index {
    let image = |architecture: &str| {
        let release = Entry::file("etc/os-release", "ID=alpine\n");
        let program = Entry::file("bin/busybox", architecture.repeat(9999)).mode(0o755);
        let entries = [Entry::directory("etc"), release, Entry::directory("bin"), program];
        let layer = Layer::new(Compression::Gzip, &entries);
        Image::builder().format(Format::Oci).architecture(architecture).layer(layer).build()
    };
    Index::attested(vec![image("amd64"), image("arm64")])
}

/// Runs the commands and returns for each its status and what it printed.
fn play(steps: &[Step], name: &str) -> Vec<(String, String)> {
    let (own, hub, home) =
        (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap(), Home::new());
    for tag in ["latest", "3.20"] {
        alpine().push(&hub.client(), "library/alpine", tag).unwrap();
    }
    let folder = home.path();
    let certificates = folder.join("certs.d");
    fs::create_dir_all(certificates.join("docker.io")).unwrap();
    let mirror = format!("server = \"http://{}\"\n", hub.address());
    fs::write(certificates.join("docker.io/hosts.toml"), mirror).unwrap();
    let program = folder.join("longshore");
    let binary = env!("CARGO_BIN_EXE_longshore");
    let script =
        format!("#!/bin/sh\nexec {binary} --certs-dir {} \"$@\"\n", certificates.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let mut script = String::from("exec 2>&1\n");
    for Step { command, .. } in steps {
        writeln!(script, "{command}\nprintf '{END}%s\\n' $?").unwrap();
    }
    let own = own.address().to_string();
    let script = script.replace("localhost:5000", &own);
    let work = folder.join("work");
    fs::create_dir(&work).unwrap();
    let mut shell = home.clean("bash");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    shell.env("PATH", path).env("LONGSHORE_DATA_ROOT", home.data_root()).env("LC_ALL", "C.UTF-8");
    let output = run(shell.current_dir(work), &script).stdout.replace(&own, "localhost:5000");
    let mut played = Vec::new();
    let mut printed = String::new();
    for line in output.lines() {
        // What a command prints without a line's end stands before it.
        match line.split_once(END) {
            Some((before, status)) => {
                printed.push_str(before);
                played.push((status.to_owned(), std::mem::take(&mut printed)));
            }
            None => printed.extend([line, "\n"]),
        }
    }
    assert_eq!(played.len(), steps.len(), "{name}: the shell ended early\n{output}");
    played
}

#[test]
fn every_console_block_runs_and_prints_what_its_page_says() {
    let (mut wrong, mut count) = (String::new(), 0);
    for page in pages() {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        let steps = steps(&fs::read_to_string(&page).unwrap());
        if steps.is_empty() {
            continue;
        }
        count += steps.len();
        for (step, (status, printed)) in steps.iter().zip(play(&steps, &name)) {
            let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
            let as_said = step.printed.is_empty() || fit(&step.printed, &lines);
            if status != "0" || !as_said {
                let Step { command, printed: expected } = step;
                let expected = expected.join("\n");
                writeln!(
                    wrong,
                    "{name}\n$ {command}\nexit status {status}\n{printed}-- not\n{expected}\n"
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 25, "only {count} commands are in the pages");
}

#[test]
fn a_page_is_compared_with_its_placeholders() {
    let page = "a\n```sh\n$ no\n```\n```console\n$ a \\\n  b\none\n$ c\n```\n";
    let step = |command: &str, printed: &[&str]| Step {
        command: command.to_owned(),
        printed: printed.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(steps(page), [step("a \\\n  b", &["one"]), step("c", &[])]);
    let digest = format!("sha256:{}", "0a".repeat(32));
    for (expected, line, fitting) in [
        ("a … c", "a b c", true),
        ("a … c", "a b", false),
        ("…c", "abc", true),
        ("a…", "abc", true),
        ("a", "ab", false),
        ("b", "ab", false),
        ("x <digest>", &format!("x {digest}"), true),
        ("x <digest>", "x sha256:00", false),
    ] {
        assert_eq!(fits(expected, line), fitting, "{expected} {line}");
    }
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    assert!(fit(&lines("a\n…\nd"), &["a", "b", "c", "d"]));
    assert!(!fit(&lines("a\n…\nd"), &["a", "b"]));
    assert!(!fit(&lines("a"), &["a", "b"]));
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy();
        if !["SUMMARY.md", "README.md"].contains(&&*name) {
            assert!(summary.contains(&format!("]({name})")), "{name} is not in docs/SUMMARY.md");
        }
    }
}

/// The text of all code but tests.
fn code() -> String {
    let (mut code, mut waiting) = (String::new(), vec![root().join("crates")]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !path.components().any(|part| part.as_os_str() == "tests")
            {
                code.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    code
}

#[test]
fn every_message_of_the_page_is_one_of_ours() {
    let (code, page) =
        (code(), fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap());
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let mut unknown = Vec::new();
    for row in &rows {
        let messages = row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        let pieces = messages.flat_map(|message| message.split('…')).map(str::trim);
        unknown.extend(pieces.filter(|piece| !code.contains(piece)));
    }
    assert!(unknown.is_empty(), "no code says {unknown:?}");
    assert!(rows.len() > 10);
}

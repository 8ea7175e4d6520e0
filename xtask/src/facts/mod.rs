//! `cargo xtask facts FOLDER`: recordings of a real dockerd, as fixtures of the conformance suite.
//!
//! A recording is a text file for each command: the command, its output, then every request and answer. A fixture
//! (`crates/cli/tests/facts/recorded/*.txt`) keeps what a client can rely on and gives names to what is different on
//! every machine: digests, times, sizes of compressed things, folders.

mod names;
mod recording;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use self::names::Names;
use self::recording::{Exchange, Recording};
use crate::workspace::Workspace;

/// Folder of the fixtures, from the root of the workspace.
const FIXTURES: &str = "crates/cli/tests/facts/recorded";

/// Reads the recordings in `folder` and writes the fixtures anew.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let mut texts = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            texts.push((name, fs::read_to_string(&path)?));
        }
    }
    ensure!(!texts.is_empty(), "there is no recording (*.txt) in {}", folder.display());
    texts.sort();
    let all: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    let names = Names::learn(&all);

    let target = Workspace::read()?.root.join(FIXTURES);
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    let mut ping: Option<String> = None;
    let mut written = 0;
    for (name, text) in &texts {
        let recording = Recording::parse(text).with_context(|| name.clone())?;
        let mut fixture = format!("# {}\n", names.apply(&recording.command));
        let mut requests = 0;
        for exchange in &recording.exchanges {
            let text = write_exchange(exchange, &names);
            if exchange.request.starts_with("HEAD /_ping") {
                // The same before every command: once is enough.
                match &ping {
                    None => ping = Some(text),
                    Some(known) if *known == text => {}
                    Some(_) => bail!("{name}: this ping is unlike the others"),
                }
                continue;
            }
            requests += 1;
            fixture.push_str(&text);
        }
        if requests > 0 {
            fs::write(target.join(format!("{name}.txt")), fixture)?;
            written += 1;
        }
    }
    if let Some(ping) = ping {
        fs::write(target.join("ping.txt"), format!("# before every command\n{ping}"))?;
        written += 1;
    }
    println!("{written} fixtures in {}", target.display());
    Ok(())
}

fn write_exchange(exchange: &Exchange, names: &Names) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n>>> {}", names.apply(&exchange.request));
    for header in &exchange.request_headers {
        let _ = writeln!(text, "{}", names.apply(header));
    }
    // Archives are made anew: their members tell which, the answers tell what is in them.
    let members: Vec<String> =
        exchange.request_body.iter().filter(|line| !line.starts_with("  ")).cloned().collect();
    write_body(&mut text, &members, names);
    let _ = writeln!(text, "\n<<< {}", exchange.status);
    for header in &exchange.headers {
        let _ = writeln!(text, "{}", names.apply(header));
    }
    write_body(&mut text, &exchange.body, names);
    text
}

fn write_body(text: &mut String, body: &[String], names: &Names) {
    if body.is_empty() {
        return;
    }
    text.push('\n');
    let mut last = String::new();
    for line in body {
        let line = names.apply(line);
        // Counters that differ only in what is left out.
        if line != last {
            text.push_str(&line);
            text.push('\n');
            last = line;
        }
    }
}

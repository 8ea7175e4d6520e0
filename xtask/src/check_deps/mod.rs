//! `cargo xtask check-deps`: arrows between crates only point down, and arrows between files make no circle.

mod circles;
mod collect;
mod crates;
mod exceptions;
mod graph;
mod modules;
mod summary;

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use circles::Circle;
use exceptions::EXCEPTIONS;
use graph::Graph;
use modules::Place;

pub(crate) fn run(options: &[String]) -> Result<()> {
    let (is_summary, workspace) = match options {
        [] => (false, Workspace::read()?),
        [flag] if flag == "--summary" => (true, Workspace::read()?),
        [flag, folder] if flag == "--summary" => (true, Workspace::read_in(folder.as_ref())?),
        _ => bail!("`check-deps` takes nothing, or `--summary [FOLDER]`"),
    };
    if is_summary {
        return summary::print(&workspace);
    }
    let wrong: Vec<String> = workspace.packages.iter().flat_map(crates::problems).collect();
    if !wrong.is_empty() {
        bail!("dependencies that ARCHITECTURE.md does not allow:\n  {}", wrong.join("\n  "));
    }
    println!("check-deps: the arrows of {} crates only point down", workspace.packages.len());
    let mut found = 0;
    for package in &workspace.packages {
        let graph = Graph::read(package.root_file()?)?;
        let circles = circles::find(&graph, &EXCEPTIONS.of(&package.name, &graph)?);
        for circle in &circles {
            print!("{}", told(&package.name, circle, &graph));
        }
        found += circles.len();
    }
    if found > 0 {
        bail!("{found} circles of files");
    }
    println!("check-deps: no circle of files");
    Ok(())
}

/// A circle for a reader: its files, and the fewest arrows without which it is open.
fn told(package: &str, circle: &Circle, graph: &Graph) -> String {
    let name = |file: usize| graph.files[file].display();
    let files: Vec<String> = circle.files.iter().map(|&file| name(file).to_string()).collect();
    let mut text = format!("\n{package}: a circle of {} files: {}\n", files.len(), files.join(" "));
    for arrow in &circle.closing {
        let (from, to) = *arrow;
        let Place { line, path } = &graph.arrows[arrow];
        let _ = writeln!(text, "  closed by {}:{line} -> {} ({path})", name(from), name(to));
    }
    text
}
